//! Policies as their watch reports them, read only as far as the operator needs them between reconciles.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    iter,
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, api::ObjectMeta, core::NamespaceResourceScope};
use serde::Deserialize;
use serde_json::Value;

use super::as_other_policy::{as_other_policy, at};
use crate::{
    api::{
        WarehouseSyncPolicy, WarehouseSyncPolicySpec, WarehouseSyncPolicyStatus,
        policy::Credentials,
        validated::{PolicyRef, Project},
    },
    observe::OtherPolicy,
};

/// A policy as it comes, in two steps: one that cannot be read is reported by name and does not stop the others.
///
/// kube's `DeserializeGuard` does that too, and a start with 10,000 policies took 2.9 s of a processor with it instead of 1.2 s: it keeps
/// and copies each object as it came, managed fields and all.
#[derive(Deserialize)]
struct Listed {
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

/// The metadata that is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Why a policy cannot be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("spec: {0}")]
    Spec(serde_json::Error),
    #[error("status: {0}")]
    Status(serde_json::Error),
}

impl Listed {
    fn read(
        &self,
    ) -> Result<(WarehouseSyncPolicySpec, Option<WarehouseSyncPolicyStatus>), Unreadable> {
        let spec = Deserialize::deserialize(&self.spec).map_err(Unreadable::Spec)?;
        let status = Deserialize::deserialize(&self.status).map_err(Unreadable::Status)?;
        Ok((spec, status))
    }
}

impl From<Metadata> for ObjectMeta {
    fn from(all: Metadata) -> Self {
        Self {
            name: all.name,
            namespace: all.namespace,
            uid: all.uid,
            resource_version: all.resource_version,
            generation: all.generation,
            creation_timestamp: all.creation_timestamp,
            deletion_timestamp: all.deletion_timestamp,
            annotations: Some(all.annotations),
            ..Self::default()
        }
    }
}

/// As `kubectl apply` writes it: the whole object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A policy as its watch reports it.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Listed")]
pub struct Watched {
    /// As the watch itself needs it.
    metadata: ObjectMeta,
    /// Where it is.
    pub at: PolicyRef,
    /// A number that changes when it is created again and when spec or annotations change; not with its status or labels.
    pub version: u64,
    /// Names of the Secrets that it uses.
    pub secrets: Box<[Box<str>]>,
    /// What others on its project must know of it; none if it cannot be read, or does not say which project.
    pub as_other_policy: Option<(Project, Arc<OtherPolicy>)>,
    /// Why it cannot be read, if it cannot.
    pub unreadable: Option<String>,
}

impl From<Listed> for Watched {
    fn from(listed: Listed) -> Self {
        let read = listed.read();
        let mut metadata = ObjectMeta::from(listed.metadata);
        let version = version(&mut metadata);
        match read {
            Ok((spec, status)) => {
                let policy = WarehouseSyncPolicy {
                    metadata,
                    spec,
                    status,
                };
                let as_other_policy = as_other_policy(&policy);
                let named = as_other_policy.as_ref().map(|(_, other)| other.at.clone());
                Self {
                    at: named.unwrap_or_else(|| at(&policy.metadata)),
                    version,
                    secrets: secrets(&policy.spec),
                    as_other_policy,
                    metadata: policy.metadata,
                    unreadable: None,
                }
            }
            Err(why) => Self {
                at: at(&metadata),
                version,
                secrets: Box::default(),
                as_other_policy: None,
                metadata,
                unreadable: Some(why.to_string()),
            },
        }
    }
}

/// What changes when a reconcile is due. Annotations are not kept: they may be 256 KiB, of each of many policies.
fn version(metadata: &mut ObjectMeta) -> u64 {
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    let mut hasher = DefaultHasher::new();
    (&metadata.uid, metadata.generation, annotations).hash(&mut hasher);
    hasher.finish()
}

fn secrets(spec: &WarehouseSyncPolicySpec) -> Box<[Box<str>]> {
    let inputs = spec.credentials.iter().flat_map(Credentials::inputs);
    let receivers = spec.notifications.iter();
    let receivers =
        receivers.flat_map(|one| iter::once(&one.secret_ref).chain(&one.hmac_secret_ref));
    let names: BTreeSet<&str> = iter::once(&spec.posthog.api_key_secret_ref)
        .chain(inputs.map(|(_, from)| &from.secret_ref))
        .chain(receivers)
        .map(|at| at.name.as_str())
        .collect();
    names.into_iter().map(Box::from).collect()
}

impl Resource for Watched {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        WarehouseSyncPolicy::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        WarehouseSyncPolicy::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        WarehouseSyncPolicy::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        WarehouseSyncPolicy::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn watched(spec: &Value) -> Watched {
        let policy = json!({
            "apiVersion": "warehousesync.dev/v1alpha1",
            "kind": "WarehouseSyncPolicy",
            "metadata": {
                "name": "p", "namespace": "data", "uid": "u", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {LAST_APPLIED: "{}", "warehousesync.dev/a": "b"},
            },
            "spec": spec,
        });
        serde_json::from_value(policy).unwrap()
    }

    #[test]
    fn every_secret_that_a_policy_names_is_known() {
        let policy = watched(&json!({
            "posthog": {
                "host": "https://us.posthog.com", "projectId": 1,
                "apiKeySecretRef": {"name": "key", "key": "k"},
            },
            "credentials": [{
                "source": {"id": "s"},
                "jobInputs": {"password": {"secretRef": {"name": "input", "key": "k"}}},
            }],
            "notifications": [{
                "name": "n", "type": "Webhook", "events": ["Escalated"],
                "secretRef": {"name": "receiver", "key": "k"}, "hmacSecretRef": {"name": "hmac", "key": "k"},
            }],
        }));
        assert_eq!(policy.unreadable, None);
        let secrets: Vec<&str> = policy.secrets.iter().map(|name| &**name).collect();
        assert_eq!(secrets, ["hmac", "input", "key", "receiver"]);
    }

    #[test]
    fn one_that_cannot_be_read_is_known_by_name_and_says_why() {
        let policy = watched(&json!({"posthog": 7}));
        let why = policy.unreadable.clone().unwrap();
        assert!(
            why.starts_with("spec: ") && why.contains("expected struct PostHogProject"),
            "{why}"
        );
        assert_eq!(policy.at.to_string(), "data/p");
        assert!(policy.as_other_policy.is_none());
    }

    #[test]
    fn a_change_of_annotations_shows_and_they_are_not_kept() {
        let with = |annotations: Value| {
            let mut policy = json!({"metadata": {"name": "p"}, "spec": {"posthog": 7}});
            policy["metadata"]["annotations"] = annotations;
            let policy: Watched = serde_json::from_value(policy).unwrap();
            assert_eq!(policy.metadata.annotations, None);
            policy.version
        };
        let version = with(json!({"a": "b"}));
        assert_eq!(version, with(json!({"a": "b", LAST_APPLIED: "{}"})));
        for other in [json!({"a": "y"}), json!({"b": "b"}), json!({})] {
            assert_ne!(version, with(other));
        }
    }
}
