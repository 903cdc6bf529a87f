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

use super::timed;
use crate::{
    api::status::GuardPart,
    observe::ApprovalGuard,
    report::{KubernetesError, Metrics},
};

/// What is shipped.
const SHIPPED: &str = include_str!("../../deploy/admission.yaml");
/// The account that may write status, in these manifests.
const ACCOUNT: &str = "system:serviceaccount:warehouse-sync-operator:warehouse-sync-operator";
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
    /// Since when its parts are these, if this process saw them become so.
    changed: Option<Instant>,
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
    #[error("the API server does not return the operator's user name")]
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
    #[error(
        "{what} is not what this version of the operator ships for its account ({account}){people}: {REPLACE}"
    )]
    Altered {
        /// The object.
        what: String,
        /// The operator's account.
        account: String,
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
        let mut last = self.last.lock().await;
        if let Some(current) = last.as_ref()
            && current.at.elapsed() < LASTS
        {
            return Ok(current.guard.clone());
        }
        let mut guard = match self.ask().await {
            Ok(guard) => guard,
            Err(GuardError::Kubernetes(error)) => return Err(error),
            Err(broken) => ApprovalGuard::broken(broken.to_string()),
        };
        let at = Instant::now();
        let changed = match last.as_ref() {
            Some(before) if before.guard.parts == guard.parts => before.changed,
            Some(_) => Some(at),
            None => None,
        };
        if guard.is_active() && changed.is_some_and(|since| since.elapsed() < SETTLES) {
            guard.broken = Some(moment_ago("the set of admission policies"));
        }
        *last = Some(LastRead {
            at,
            guard: guard.clone(),
            changed,
        });
        Ok(guard)
    }

    async fn ask(&self) -> Result<ApprovalGuard, GuardError> {
        let shipped: Vec<Shipped> = serde_saphyr::from_multiple(SHIPPED)
            .map_err(|error| GuardError::Shipped(error.to_string()))?;
        let account = self.account().await?;
        let (mut parts, mut new) = (Vec::new(), None);
        for mut part in shipped {
            let name = part.metadata.name.clone().unwrap_or_default();
            part.spec = with_people(with_account(part.spec, &account), self.people);
            let kind = part.kind.clone();
            let (part, is_new) = self.compare(&name, &part, &account).await?;
            if is_new {
                new.get_or_insert_with(|| moment_ago(&format!("{kind} {name}")));
            }
            parts.push(part);
        }
        parts.sort();
        Ok(ApprovalGuard { broken: new, parts })
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

    /// Compares one object with the shipped one: what to remember of it, and whether it is new.
    async fn compare(
        &self,
        name: &str,
        shipped: &Shipped,
        account: &str,
    ) -> Result<(GuardPart, bool), GuardError> {
        let kind = &shipped.kind;
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
        if object.data.get("spec") != Some(&shipped.spec) {
            let (its, ours) = (revision(&object.metadata), revision(&shipped.metadata));
            return Err(if its == ours {
                GuardError::Altered {
                    what: what(),
                    account: account.to_owned(),
                    people: with_flag(self.people),
                }
            } else {
                let age = if its < ours { "an older" } else { "a newer" };
                GuardError::OfAnotherVersion {
                    what: what(),
                    age,
                    its,
                    ours,
                }
            });
        }
        let is_new = is_new(&object.metadata);
        let part = GuardPart {
            name: format!("{kind}/{name}"),
            uid: object.metadata.uid.unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
        };
        Ok((part, is_new))
    }
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

/// The same for another account than the one that is shipped.
fn with_account(spec: Value, account: &str) -> Value {
    match spec {
        Value::String(text) => Value::String(text.replace(ACCOUNT, account)),
        Value::Array(items) => {
            let items = items.into_iter();
            Value::Array(items.map(|item| with_account(item, account)).collect())
        }
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields
                .map(|(name, value)| (name, with_account(value, account)))
                .collect()
        }
        other => other,
    }
}

/// The same with these `ServiceAccounts` of people instead of none.
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
        assert!(shipped.iter().all(|part| revision(&part.metadata) == 4));
    }

    #[test]
    fn what_is_shipped_can_be_read_and_names_the_account_once() {
        let shipped: Vec<Shipped> = serde_saphyr::from_multiple(SHIPPED).unwrap();
        assert_eq!(shipped.len(), 6);
        let text: String = shipped
            .into_iter()
            .map(|part| with_account(part.spec, "somebody").to_string())
            .collect();
        assert_eq!(SHIPPED.matches(ACCOUNT).count(), 1);
        assert!(text.contains("somebody") && !text.contains(ACCOUNT));
    }
}
