//! Whether the admission policies in the cluster are the ones that this version ships: word for word, because one word less can
//! let anybody approve. Anyone who can change them can also change them back, so uid and generation are remembered, too.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        authentication::v1::SelfSubjectReview,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    core::ApiResource,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};

use super::{status_writers::Writers, timed};
use crate::{
    api::status::GuardPart,
    observe::ApprovalGuard,
    report::{KubernetesError, Metrics},
};

/// What is shipped.
const SHIPPED: &str = include_str!("../../deploy/admission.yaml");
/// How long an answer is used. Right before a call, facts may not be older either.
const LASTS: Duration = Duration::from_secs(10);
/// How long the API server may take to enforce a change.
const SETTLES: Duration = Duration::from_secs(10);
/// Creates a missing object, from the files of this version of the operator.
const APPLY: &str = "kubectl apply -f deploy/admission.yaml (with Helm: helm upgrade)";
/// Restores an object: `apply` would keep what someone has added to it.
const REPLACE: &str = "kubectl replace -f deploy/admission.yaml (with Helm: helm get manifest RELEASE -n NAMESPACE | kubectl replace -f -)";

/// The variable of an admission policy that lists the `ServiceAccounts` of people, as CEL.
const PEOPLE: &str = "people";
/// The label with the revision of the shipped objects, and the revision of objects that are older than the label.
const REVISION: &str = "warehousesync.dev/guard-revision";
const FIRST_REVISION: u32 = 1;
/// Replaces objects of another version with those of this one.
const UPGRADE: &str = "kubectl apply -f deploy/admission.yaml of the operator's own version (with Helm: helm upgrade)";

/// Checks the admission policies, for all policies together.
pub struct GuardWatch {
    client: Client,
    metrics: Metrics,
    /// User names of the `ServiceAccounts` of people.
    people: &'static [String],
    last: Mutex<Option<LastRead>>,
}

/// What was found.
struct LastRead {
    at: Instant,
    guard: ApprovalGuard,
    /// Who writes status; none if the guard is broken.
    writers: Option<StatusWriters>,
    /// Since when its parts are these, if this process saw them become so.
    changed: Option<Instant>,
}

/// Who writes status.
struct StatusWriters {
    /// The operator's own account.
    own: String,
    accounts: Writers,
}

/// One of the objects that are shipped.
#[derive(Debug, Deserialize)]
struct Shipped {
    kind: String,
    metadata: ObjectMeta,
    spec: Value,
}

/// Why approvals are ignored, or why that is unknown.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// What is shipped with this binary is no manifest.
    #[error("the admission policies of this version cannot be read: {0}")]
    Shipped(String),
    /// The operator may not query its own name.
    #[error(
        "the operator may not query its own user name: bind its ServiceAccount to the ClusterRole system:basic-user"
    )]
    NameForbidden,
    /// The API server does not return the operator's name.
    #[error(
        "the API server does not return the operator's user name: check that it serves selfsubjectreviews of authentication.k8s.io/v1"
    )]
    NameUnknown,
    /// An object is missing.
    #[error("{0} is missing: {APPLY}")]
    Missing(String),
    /// An object cannot be read.
    #[error("the operator may not read {0}: kubectl apply -f deploy/rbac.yaml, or helm upgrade")]
    Forbidden(String),
    /// An object is being deleted.
    #[error("{0} is being deleted; once it is deleted: {APPLY}")]
    Deleting(String),
    /// An object is not what is shipped.
    #[error("{what} is not what this version of the operator ships{people}: {REPLACE}")]
    Altered {
        /// The object.
        what: String,
        /// What its flag says of the accounts of people.
        people: String,
    },
    /// An object is what another version ships.
    #[error(
        "{what} is that of {age} version of the operator (label {REVISION}: {its}, this version ships {ours}), so approvals are ignored: {UPGRADE}"
    )]
    OfAnotherVersion {
        /// The object.
        what: String,
        /// Whether that version is older or newer.
        age: &'static str,
        /// The revision of the object.
        its: u32,
        /// The revision that is shipped.
        ours: u32,
    },
    /// The connection: that says nothing of the guard.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
}

impl GuardWatch {
    /// Asks through `client`. `people` are the user names of the `ServiceAccounts` that people act through.
    #[must_use]
    pub fn new(client: Client, metrics: Metrics, people: &'static [String]) -> Self {
        Self {
            client,
            metrics,
            people,
            last: Mutex::new(None),
        }
    }

    /// The state of the admission policies, at most ten seconds old. An error is one of the connection: it says nothing about them, and
    /// a guard that seems to be away makes every approval inert.
    pub async fn current(&self) -> Result<ApprovalGuard, KubernetesError> {
        self.read(|last| last.guard.clone()).await
    }

    /// Why this operator may not write the status of policies in the namespace: the admission policies name another account for it. None
    /// if they name its own, or are broken.
    pub async fn other_writer(&self, namespace: &str) -> Result<Option<String>, KubernetesError> {
        let other = |last: &LastRead| {
            let writers = last.writers.as_ref()?;
            let writer = writers.accounts.of_namespace(namespace)?;
            (writer != writers.own).then(|| other_writer(namespace, writer, &writers.own))
        };
        self.read(other).await
    }

    /// What was found at most ten seconds ago.
    async fn read<A>(&self, of: impl FnOnce(&LastRead) -> A) -> Result<A, KubernetesError> {
        let mut last = self.last.lock().await;
        let current = match last.as_ref() {
            Some(current) if current.at.elapsed() < LASTS => current,
            before => {
                let next = self.read_again(before).await?;
                last.insert(next)
            }
        };
        Ok(of(current))
    }

    async fn read_again(&self, before: Option<&LastRead>) -> Result<LastRead, KubernetesError> {
        let (mut guard, writers) = match self.ask().await {
            Ok((guard, writers)) => (guard, Some(writers)),
            Err(GuardError::Kubernetes(error)) => return Err(error),
            Err(broken) => (ApprovalGuard::broken(broken.to_string()), None),
        };
        let at = Instant::now();
        let changed = match before {
            Some(before) if before.guard.parts == guard.parts => before.changed,
            Some(_) => Some(at),
            None => None,
        };
        if guard.is_active() && changed.is_some_and(|since| since.elapsed() < SETTLES) {
            guard.broken = Some(moment_ago("the set of admission policies"));
        }
        Ok(LastRead {
            at,
            guard,
            writers,
            changed,
        })
    }

    async fn ask(&self) -> Result<(ApprovalGuard, StatusWriters), GuardError> {
        let shipped: Vec<Shipped> = serde_saphyr::from_multiple(SHIPPED)
            .map_err(|error| GuardError::Shipped(error.to_string()))?;
        let own = self.account().await?;
        let (mut parts, mut new, mut accounts) = (Vec::new(), None, None);
        for mut part in shipped {
            let name = part.metadata.name.clone().unwrap_or_default();
            let object = self.find(&part.kind, &name).await?;
            let spec = object.data.get("spec").unwrap_or(&Value::Null);
            part.spec = with_people(part.spec, self.people);
            // Each installation may list other accounts; what matters is who writes in this operator's own namespaces.
            if let Some(found) = Writers::of(spec) {
                found.put_into(&mut part.spec);
                accounts.get_or_insert(found);
            }
            self.compare(&part, &name, &object)?;
            if is_new(&object.metadata) {
                new.get_or_insert_with(|| moment_ago(&format!("{} {name}", part.kind)));
            }
            parts.push(GuardPart {
                name: format!("{}/{name}", part.kind),
                uid: object.metadata.uid.unwrap_or_default(),
                generation: object.metadata.generation.unwrap_or_default(),
            });
        }
        parts.sort();
        let no_accounts = || GuardError::Shipped("they name no account".to_owned());
        let accounts = accounts.ok_or_else(no_accounts)?;
        let guard = ApprovalGuard { broken: new, parts };
        Ok((guard, StatusWriters { own, accounts }))
    }

    /// The operator's own user name. Every account may query it, unless that right was removed.
    async fn account(&self) -> Result<String, GuardError> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let (params, review) = (PostParams::default(), SelfSubjectReview::default());
        let asked = reviews.create(&params, &review);
        let asked = timed::kubernetes(&self.metrics, "review_self", "", asked).await;
        if asked.as_ref().is_err_and(is_forbidden) {
            return Err(GuardError::NameForbidden);
        }
        let review = asked.map_err(|e| timed::failed("query", "the operator's user name", &e))?;
        let user = review.status.and_then(|status| status.user_info);
        let name = user.and_then(|user| user.username);
        name.ok_or(GuardError::NameUnknown)
    }

    /// One of the objects in the cluster.
    async fn find(&self, kind: &str, name: &str) -> Result<DynamicObject, GuardError> {
        let what = || format!("{kind} {name}");
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource(kind));
        let found = timed::kubernetes(&self.metrics, "get_guard", name, api.get_opt(name)).await;
        let object = match found {
            Ok(Some(object)) => object,
            Ok(None) => return Err(GuardError::Missing(what())),
            Err(error) if is_forbidden(&error) => return Err(GuardError::Forbidden(what())),
            Err(error) => return Err(timed::failed("read", name, &error).into()),
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Err(GuardError::Deleting(what()));
        }
        Ok(object)
    }

    /// Compares one object with the shipped one.
    fn compare(
        &self,
        shipped: &Shipped,
        name: &str,
        object: &DynamicObject,
    ) -> Result<(), GuardError> {
        if object.data.get("spec") == Some(&shipped.spec) {
            return Ok(());
        }
        let what = format!("{} {name}", shipped.kind);
        let (its, ours) = (revision(&object.metadata), revision(&shipped.metadata));
        Err(if its == ours {
            let people = with_flag(self.people);
            GuardError::Altered { what, people }
        } else {
            let age = if its < ours { "an older" } else { "a newer" };
            GuardError::OfAnotherVersion {
                what,
                age,
                its,
                ours,
            }
        })
    }
}

/// Why a policy is skipped whose status another account writes.
#[must_use]
pub fn other_writer(namespace: &str, writer: &str, own: &str) -> String {
    format!(
        "the policy is skipped because the admission policy warehousesync-status lets only {writer} write status in namespace {namespace}, and \
         this operator is {own}: remove the namespace from this operator (--namespace), or list it for this operator in \
         admissionPolicies.otherOperators of the Helm release that installs the admission policies"
    )
}

/// The flag that lists the accounts of people, if there are any.
fn with_flag(people: &[String]) -> String {
    match people {
        [] => String::new(),
        people => format!(" and --verified-service-accounts={}", people.join(",")),
    }
}

fn revision(meta: &ObjectMeta) -> u32 {
    let label = meta.labels.as_ref().and_then(|labels| labels.get(REVISION));
    label
        .and_then(|text| text.parse().ok())
        .unwrap_or(FIRST_REVISION)
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Why admission policies that are correct are not trusted yet: the API server reads them through a cache.
fn moment_ago(what: &str) -> String {
    format!("{what} was changed a moment ago, and the API server may not enforce it yet")
}

/// True for an object that was created or changed recently according to its own times, for a process that has not seen it before:
/// when someone removes what another manager has added, no time is written.
fn is_new(meta: &ObjectMeta) -> bool {
    let changes = meta.managed_fields.iter().flatten();
    let changes = changes.filter_map(|entry| entry.time.as_ref());
    let made = meta.creation_timestamp.iter();
    let newest = changes.chain(made).map(|time| time.0).max();
    newest.is_some_and(|at| Timestamp::now().duration_since(at).unsigned_abs() < SETTLES)
}

/// Kind and name of each object that is shipped.
#[must_use]
pub fn shipped() -> Vec<(String, String)> {
    let shipped: Vec<Shipped> = serde_saphyr::from_multiple(SHIPPED).unwrap_or_default();
    let objects = shipped.into_iter();
    objects
        .map(|object| (object.kind, object.metadata.name.unwrap_or_default()))
        .collect()
}

/// How the API server knows objects of a kind that is shipped.
#[must_use]
pub fn resource(kind: &str) -> ApiResource {
    if kind == "ValidatingAdmissionPolicy" {
        ApiResource::erase::<ValidatingAdmissionPolicy>(&())
    } else {
        ApiResource::erase::<ValidatingAdmissionPolicyBinding>(&())
    }
}

/// The spec of an admission policy with these `ServiceAccounts` of people instead of none.
fn with_people(mut spec: Value, people: &[String]) -> Value {
    let variables = spec.get_mut("variables").and_then(Value::as_array_mut);
    let mut variables = variables.into_iter().flatten();
    if let Some(variable) = variables.find(|variable| variable["name"] == PEOPLE) {
        // A list of texts in JSON is one in CEL, too.
        variable["expression"] = json!(people).to_string().into();
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_people_are_listed_in_one_place() {
        let shipped: Vec<Shipped> = serde_saphyr::from_multiple(SHIPPED).unwrap();
        let people = ["system:serviceaccount:a:b".to_owned()];
        let changed: Vec<Shipped> = shipped
            .into_iter()
            .filter_map(|mut part| {
                let before = part.spec.clone();
                assert_eq!(with_people(before.clone(), &[]), before, "none is listed");
                part.spec = with_people(part.spec, &people);
                (part.spec != before).then_some(part)
            })
            .collect();
        let [one] = &changed[..] else {
            panic!("{changed:?}")
        };
        let text = one.spec.to_string();
        assert!(
            text.contains(r#"[\"system:serviceaccount:a:b\"]"#),
            "{text}"
        );
    }

    #[test]
    fn an_object_without_the_label_is_of_the_first_revision() {
        let meta = |revision: Option<&str>| ObjectMeta {
            labels: revision.map(|text| [(REVISION.to_owned(), text.to_owned())].into()),
            ..ObjectMeta::default()
        };
        for (label, expected) in [(None, 1), (Some("1"), 1), (Some("x"), 1), (Some("3"), 3)] {
            assert_eq!(revision(&meta(label)), expected, "{label:?}");
        }
        let shipped: Vec<Shipped> = serde_saphyr::from_multiple(SHIPPED).unwrap();
        assert!(shipped.iter().all(|part| revision(&part.metadata) == 5));
    }

    #[test]
    fn what_is_shipped_can_be_read_and_names_its_account_in_one_object() {
        const ACCOUNT: &str =
            "system:serviceaccount:warehouse-sync-operator:warehouse-sync-operator";
        let shipped: Vec<Shipped> = serde_saphyr::from_multiple(SHIPPED).unwrap();
        assert_eq!(shipped.len(), 6);
        assert_eq!(SHIPPED.matches(ACCOUNT).count(), 1);
        let mut named = shipped.iter().filter_map(|part| Writers::of(&part.spec));
        let accounts = named.next().unwrap();
        assert_eq!(accounts.of_namespace("any"), Some(ACCOUNT));
        assert_eq!(named.next(), None);
    }
}
