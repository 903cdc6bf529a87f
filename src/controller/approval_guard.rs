//! Whether the admission policies in the cluster are the ones that this version ships: word for word, because one word less can
//! let anybody approve. Whoever can change them can also change them back, so uid and generation are remembered, too.

use std::{cmp::Ordering, time::Duration};

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
/// The account that may write status, as it stands there.
const ACCOUNT: &str = "system:serviceaccount:warehouse-sync-operator:warehouse-sync-operator";
/// How long an answer is used. Right before a call no older facts count either.
const LASTS: Duration = Duration::from_secs(10);
/// How long the API server may take to act by what has changed.
const SETTLES: Duration = Duration::from_secs(10);
/// What makes an object that is not there, from the files of this version of the operator.
const APPLY: &str = "kubectl apply -f deploy/admission.yaml (with helm instead: helm upgrade)";
/// What makes an object as it was: `apply` would leave what somebody has added to it.
const REPLACE: &str = "kubectl replace -f deploy/admission.yaml (with helm instead: helm get manifest RELEASE -n NAMESPACE | kubectl replace -f -)";

/// The variable of an admission policy that lists the `ServiceAccounts` of people, as CEL.
const PEOPLE: &str = "people";
/// The label that counts what was changed in the objects that are shipped, and what those have that are older than it.
const REVISION: &str = "warehousesync.dev/guard-revision";
const FIRST_REVISION: u32 = 1;
/// What makes objects of another version those of this one.
const UPGRADE: &str = "kubectl apply -f deploy/admission.yaml of the operator's own version (with helm: helm upgrade)";

/// Looks at the guard, for all policies together.
pub struct GuardWatch {
    client: Client,
    metrics: Metrics,
    /// User names of the `ServiceAccounts` of people.
    people: &'static [String],
    last: Mutex<Option<Look>>,
}

/// What was found.
struct Look {
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

    /// How the guard stands, as of ten seconds ago at most. An error is one of the connection: that says nothing of the guard, and
    /// a guard that seems to be away makes every approval inert.
    pub async fn look(&self) -> Result<ApprovalGuard, KubernetesError> {
        let mut last = self.last.lock().await;
        if let Some(look) = last.as_ref()
            && look.at.elapsed() < LASTS
        {
            return Ok(look.guard.clone());
        }
        let mut guard = self.ask().await?;
        let at = Instant::now();
        let changed = match last.as_ref() {
            Some(before) if before.guard.parts == guard.parts => before.changed,
            Some(_) => Some(at),
            None => None,
        };
        if guard.is_active() && changed.is_some_and(|since| since.elapsed() < SETTLES) {
            guard.broken = Some(moment_ago("the guard of approvals"));
        }
        *last = Some(Look {
            at,
            guard: guard.clone(),
            changed,
        });
        Ok(guard)
    }

    async fn ask(&self) -> Result<ApprovalGuard, KubernetesError> {
        let shipped: Vec<Shipped> = match serde_saphyr::from_multiple(SHIPPED) {
            Ok(shipped) => shipped,
            Err(error) => {
                return Ok(ApprovalGuard::broken(format!(
                    "the admission policies of this version cannot be read: {error}"
                )));
            }
        };
        let account = match self.account().await? {
            Ok(account) => account,
            Err(why) => return Ok(ApprovalGuard::broken(why)),
        };
        let (mut parts, mut new) = (Vec::new(), None);
        for mut part in shipped {
            let (kind, name) = (&part.kind, part.metadata.name.clone().unwrap_or_default());
            part.spec = with_people(with_account(part.spec, &account), self.people);
            match self.compare(&name, &part, &account).await? {
                Ok((part, is_new)) => {
                    if is_new {
                        new.get_or_insert_with(|| moment_ago(&format!("{kind} {name}")));
                    }
                    parts.push(part);
                }
                Err(why) => return Ok(ApprovalGuard::broken(why)),
            }
        }
        parts.sort();
        Ok(ApprovalGuard { broken: new, parts })
    }

    /// The operator's own user name; the reason why it is not known. Every account may ask, unless somebody has taken that away.
    async fn account(&self) -> Result<Result<String, String>, KubernetesError> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let (params, review) = (PostParams::default(), SelfSubjectReview::default());
        let asked = reviews.create(&params, &review);
        let asked = timed::kubernetes(&self.metrics, "review_self", "", asked).await;
        if asked.as_ref().is_err_and(is_forbidden) {
            let why = "the operator may not ask for its own name: bind its account to the ClusterRole system:basic-user";
            return Ok(Err(why.to_owned()));
        }
        let review = asked.map_err(|e| timed::failed("ask for", "the operator's own name", &e))?;
        let user = review.status.and_then(|status| status.user_info);
        let name = user.and_then(|user| user.username);
        Ok(name.ok_or_else(|| "the API server does not tell the operator its own name".to_owned()))
    }

    /// Holds one object against what is shipped: what to remember of it, and whether it is new; the reason why it is not the same.
    async fn compare(
        &self,
        name: &str,
        shipped: &Shipped,
        account: &str,
    ) -> Result<Result<(GuardPart, bool), String>, KubernetesError> {
        let kind = &shipped.kind;
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource(kind));
        let found = timed::kubernetes(&self.metrics, "get_guard", name, api.get_opt(name)).await;
        let object = match found {
            Ok(Some(object)) => object,
            Ok(None) => return Ok(Err(format!("{kind} {name} is missing: {APPLY}"))),
            Err(error) if is_forbidden(&error) => {
                return Ok(Err(format!(
                    "the operator may not read {kind} {name}: kubectl apply -f deploy/rbac.yaml, or helm upgrade"
                )));
            }
            Err(error) => return Err(timed::failed("read", name, &error)),
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(Err(format!(
                "{kind} {name} is being deleted; once it is gone: {APPLY}"
            )));
        }
        if object.data.get("spec") != Some(&shipped.spec) {
            let found = format!("{kind} {name}");
            let why = of_another_version(&found, &object.metadata, &shipped.metadata);
            return Ok(Err(why.unwrap_or_else(|| {
                let people = match self.people {
                    [] => String::new(),
                    people => format!(" and --verified-service-accounts={}", people.join(",")),
                };
                format!(
                    "{found} is not what this version of the operator ships for its own account ({account}){people}: {REPLACE}"
                )
            })));
        }
        let is_new = is_new(&object.metadata);
        let part = GuardPart {
            name: format!("{kind}/{name}"),
            uid: object.metadata.uid.unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
        };
        Ok(Ok((part, is_new)))
    }
}

/// Why an object that differs from what is shipped does so, if it is that of another version.
fn of_another_version(found: &str, meta: &ObjectMeta, shipped: &ObjectMeta) -> Option<String> {
    let (its, ours) = (revision(meta), revision(shipped));
    let which = match its.cmp(&ours) {
        Ordering::Equal => return None,
        Ordering::Less => "an older",
        Ordering::Greater => "a newer",
    };
    Some(format!(
        "{found} is that of {which} version of the operator (label {REVISION}: {its}, this version ships {ours}), so that no approval counts: {UPGRADE}"
    ))
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

/// Why a guard does not count yet that is as it should be: the API server reads admission policies through a cache.
fn moment_ago(what: &str) -> String {
    format!("{what} was changed a moment ago, and the API server may not yet act by it")
}

/// True for an object that was made or changed just now, as far as it says so itself, for a process that has not seen it before:
/// when somebody takes away what another has added, no time is written.
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
    fn accounts_of_people_stand_in_one_place() {
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
    fn what_another_version_made_is_said_to_be_that() {
        let meta = |revision: Option<&str>| ObjectMeta {
            labels: revision.map(|text| [(REVISION.to_owned(), text.to_owned())].into()),
            ..ObjectMeta::default()
        };
        let ours = meta(Some("2"));
        for (found, says) in [
            (None, Some("an older version")),
            (Some("1"), Some("an older version")),
            (Some("x"), Some("an older version")),
            (Some("2"), None),
            (Some("3"), Some("a newer version")),
        ] {
            let why = of_another_version("It", &meta(found), &ours);
            assert_eq!(why.is_some(), says.is_some(), "{found:?}");
            assert!(why.is_none_or(|why| why.contains(says.unwrap_or_default())));
        }
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
