//! The policies of a scope, as their watch reports them. What is kept of each is little: 10,000 of them must fit into little memory.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;

use super::watched::Watched;
use crate::api::validated::PolicyRef;

/// What is kept of a policy. Each reconcile reads the whole of it again.
#[derive(Debug)]
struct Kept {
    /// Another one means that it was changed by somebody else than the operator.
    version: u64,
    /// Names of the Secrets that it uses.
    secrets: Box<[Box<str>]>,
    unreadable: Option<Arc<Unreadable>>,
}

/// A policy that cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    /// Why.
    pub why: String,
    /// The policy, as events name it.
    pub about: ObjectReference,
}

/// The policies that the watch of a scope knows.
#[derive(Debug, Default)]
pub struct Policies {
    /// The namespace that is watched; none for all.
    pub namespace: Option<String>,
    known: Mutex<Known>,
    is_listed: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    policies: HashMap<PolicyRef, Kept>,
    /// Those that the list in progress has named so far.
    listed: HashSet<PolicyRef>,
}

impl Policies {
    /// None yet, of this namespace or of all.
    #[must_use]
    pub fn new(namespace: Option<String>) -> Self {
        Self {
            namespace,
            ..Self::default()
        }
    }

    /// True if the policy is of this scope.
    #[must_use]
    pub fn covers(&self, at: &PolicyRef) -> bool {
        let mut namespace = self.namespace.iter();
        namespace.all(|namespace| **namespace == *at.namespace)
    }

    /// True if the first list was complete once.
    #[must_use]
    pub fn are_listed(&self) -> bool {
        self.is_listed.load(Ordering::Acquire)
    }

    /// Records a policy; true if it is new or somebody else than the operator has changed it.
    pub fn note(&self, policy: &Watched) -> bool {
        let unreadable = policy.unreadable.as_ref().map(|why| {
            Arc::new(Unreadable {
                why: why.clone(),
                about: policy.object_ref(&()),
            })
        });
        let kept = Kept {
            version: policy.version,
            secrets: policy.secrets.clone(),
            unreadable,
        };
        let before = self.known().policies.insert(policy.at.clone(), kept);
        before.is_none_or(|before| before.version != policy.version)
    }

    /// Forgets a policy that was deleted.
    pub fn forget(&self, at: &PolicyRef) {
        self.known().policies.remove(at);
    }

    /// A list begins.
    pub fn begin_list(&self) {
        self.known().listed.clear();
    }

    /// The list in progress names this policy.
    pub fn list(&self, at: &PolicyRef) {
        self.known().listed.insert(at.clone());
    }

    /// The list is complete: forgets the policies that it did not name, and returns them. There is no event for what was deleted while a
    /// watch was broken.
    pub fn end_list(&self) -> Vec<PolicyRef> {
        let mut known = self.known();
        let Known { policies, listed } = &mut *known;
        let listed = std::mem::take(listed);
        let gone = policies.extract_if(|at, _| !listed.contains(at));
        let gone = gone.map(|(at, _)| at).collect();
        drop(known);
        self.is_listed.store(true, Ordering::Release);
        gone
    }

    /// True if the policy is known.
    #[must_use]
    pub fn knows(&self, at: &PolicyRef) -> bool {
        self.known().policies.contains_key(at)
    }

    /// Why a policy cannot be read, if it cannot.
    #[must_use]
    pub fn unreadable(&self, at: &PolicyRef) -> Option<Arc<Unreadable>> {
        self.known().policies.get(at)?.unreadable.clone()
    }

    /// All policies.
    #[must_use]
    pub fn all(&self) -> Vec<PolicyRef> {
        self.known().policies.keys().cloned().collect()
    }

    /// The policies whose API key, credentials of sources or receivers are in this Secret.
    #[must_use]
    pub fn users_of(&self, namespace: &str, secret: &str) -> Vec<PolicyRef> {
        let known = self.known();
        let users = known.policies.iter().filter(|(at, kept)| {
            *at.namespace == *namespace && kept.secrets.iter().any(|own| **own == *secret)
        });
        users.map(|(at, _)| at.clone()).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with(name: &str, change: impl Fn(&mut Value)) -> Watched {
        let mut policy = json!({
            "metadata": {
                "name": name, "namespace": "data", "uid": "u", "generation": 1, "resourceVersion": "7",
                "annotations": {"a": "b"},
            },
            "spec": {"posthog": {
                "host": "https://us.posthog.com", "projectId": 1, "apiKeySecretRef": {"name": "key", "key": "k"},
            }},
        });
        change(&mut policy);
        serde_json::from_value(policy).unwrap()
    }

    fn policy(name: &str) -> Watched {
        with(name, |_| {})
    }

    #[test]
    fn a_policy_is_due_when_it_is_new_or_its_spec_or_annotations_have_changed() {
        let policies = Policies::new(None);
        assert!(policies.note(&policy("a")));
        assert!(!policies.note(&policy("a")));
        let status = with("a", |policy| {
            policy["metadata"]["resourceVersion"] = "8".into();
            policy["metadata"]["labels"] = json!({"a": "b"});
            policy["status"] = json!({"observedGeneration": 1});
        });
        assert!(!policies.note(&status), "its status and its labels");
        for (field, value) in [
            ("generation", json!(2)),
            ("annotations", json!({"a": "c"})),
            ("uid", json!("created again")),
        ] {
            let changed = with("a", |policy| policy["metadata"][field] = value.clone());
            assert!(policies.note(&changed), "{field}");
            assert!(policies.note(&policy("a")), "{field} as before");
        }
        policies.forget(&policy("a").at);
        assert!(!policies.knows(&policy("a").at));
        assert!(policies.note(&policy("a")));
    }

    #[test]
    fn a_list_that_is_complete_forgets_what_it_does_not_name() {
        let policies = Policies::new(None);
        for name in ["a", "b"] {
            policies.note(&policy(name));
        }
        assert!(!policies.are_listed());
        policies.begin_list();
        policies.list(&policy("b").at);
        policies.begin_list();
        policies.list(&policy("a").at);
        assert!(policies.knows(&policy("b").at), "not before the end");
        assert_eq!(policies.end_list(), [policy("b").at]);
        assert_eq!(policies.all(), [policy("a").at]);
        assert!(policies.are_listed());
    }

    #[test]
    fn the_users_of_a_secret_are_those_of_its_namespace_that_name_it() {
        let policies = Policies::new(None);
        policies.note(&policy("a"));
        policies.note(&with("b", |policy| {
            policy["spec"]["posthog"]["apiKeySecretRef"]["name"] = "other".into();
        }));
        assert_eq!(policies.users_of("data", "key"), [policy("a").at]);
        assert!(policies.users_of("elsewhere", "key").is_empty());
    }

    #[test]
    fn one_that_cannot_be_read_says_why_until_it_can() {
        let policies = Policies::new(None);
        policies.note(&with("a", |policy| policy["spec"]["posthog"] = 7.into()));
        let unreadable = policies.unreadable(&policy("a").at).unwrap();
        assert!(unreadable.why.starts_with("spec: "), "{}", unreadable.why);
        assert_eq!(unreadable.about.name.as_deref(), Some("a"));
        policies.note(&policy("a"));
        assert!(policies.unreadable(&policy("a").at).is_none());
    }
}
