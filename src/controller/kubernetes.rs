//! The port to Kubernetes of production.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::Status,
    runtime::events::{Event, EventType, Reporter},
};
use secrecy::SecretString;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{
    approval_guard::GuardWatch, other_policies::OtherPolicies, recorders::Recorders,
    secrets::ApiKeys, timed,
};
use crate::{
    api::{
        WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        names::{FIELD_MANAGER, REPORTER},
        policy::{CredentialUse, SecretKeyRef},
        validated::{PolicyRef, Project},
    },
    observe::{ApprovalGuard, OtherPolicy},
    posthog::{ApiKey, redact},
    report::{
        Kubernetes, KubernetesError, Metrics, events::Notice, kubernetes::SecretError,
        notifications::channel::SecretValue,
    },
};

/// Talks to the API server.
pub struct Cluster {
    client: Client,
    metrics: Metrics,
    recorders: Recorders,
    api_keys: ApiKeys,
    approval_guard: GuardWatch,
    other_policies: OtherPolicies,
    /// Requests about policies that are in progress.
    turns: Semaphore,
}

/// Calls about policies at a time. When the operator starts, all of them are due at once: the API server is to answer others, too,
/// and a call that waits there loses time that is counted.
const CALLS_AT_ONCE: usize = 32;

/// What a status apply sends: nothing but the status, and the version that it was computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusApply<'a> {
    api_version: String,
    kind: String,
    metadata: ApplyMetadata<'a>,
    status: &'a WarehouseSyncPolicyStatus,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ApplyMetadata<'a> {
    name: &'a str,
    resource_version: &'a str,
}

impl Cluster {
    /// Talks through `client`; `other_policies` is what the watches tell, `people` the user names of `ServiceAccounts` that people act through.
    #[must_use]
    pub fn new(
        client: Client,
        metrics: Metrics,
        api_keys: ApiKeys,
        other_policies: OtherPolicies,
        people: &'static [String],
    ) -> Self {
        let reporter = Reporter {
            controller: REPORTER.to_owned(),
            instance: std::env::var("HOSTNAME").ok(),
        };
        let recorders = Recorders::new(client.clone(), reporter);
        let approval_guard = GuardWatch::new(client.clone(), metrics.clone(), people);
        Self {
            client,
            metrics,
            recorders,
            api_keys,
            approval_guard,
            other_policies,
            turns: Semaphore::new(CALLS_AT_ONCE),
        }
    }

    /// Makes a call when it is its turn.
    async fn call<A>(
        &self,
        call: &'static str,
        name: &str,
        future: impl Future<Output = Result<A, kube::Error>>,
    ) -> Result<A, kube::Error> {
        // It fails only if it is closed, which never happens.
        let _turn = self.turns.acquire().await;
        timed::kubernetes(&self.metrics, call, name, future).await
    }

    /// Publishes an event about the policy that `about` names.
    pub async fn publish_about(&self, about: &ObjectReference, notice: Notice) {
        let Notice {
            warning,
            reason,
            action,
            note,
            schema_id,
            about: _,
        } = notice;
        let reason = reason.as_str();
        let event = Event {
            type_: if warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: reason.to_owned(),
            note: Some(note),
            action: action.to_owned(),
            // Events that differ in nothing but their note are merged, and the first note stays: the table makes them differ.
            secondary: schema_id.map(|id| ObjectReference {
                kind: Some("ExternalDataSchema".into()),
                name: Some(id),
                ..Default::default()
            }),
        };
        let name = about.name.as_deref().unwrap_or_default();
        // An event is a courtesy: a reconcile never fails for one.
        let recorder = self.recorders.next();
        let publish = recorder.publish(&event, about);
        if let Err(error) = self.call("publish_event", name, publish).await {
            let namespace = about.namespace.as_deref().unwrap_or_default();
            tracing::debug!(
                policy = format!("{namespace}/{name}"),
                reason,
                "event not published: {}",
                timed::reason(&error)
            );
        }
    }

    fn api(&self, at: &PolicyRef) -> Api<WarehouseSyncPolicy> {
        Api::namespaced(self.client.clone(), &at.namespace)
    }
}

impl Kubernetes for Cluster {
    async fn policy(&self, at: &PolicyRef) -> Result<Option<WarehouseSyncPolicy>, KubernetesError> {
        let name = at.to_string();
        let api = self.api(at);
        let mut found = self
            .call("get_policy", &name, api.get_opt(&at.name))
            .await
            .map_err(|e| timed::failed("read policy", &name, &e))?;
        if let Some(policy) = &mut found {
            // They are not used, and they are the larger part of an object: 18 KiB in memory.
            policy.metadata.managed_fields = None;
        }
        Ok(found)
    }

    async fn approval_guard(&self) -> Result<ApprovalGuard, KubernetesError> {
        self.approval_guard.current().await
    }

    async fn other_writer(&self, namespace: &str) -> Result<Option<String>, KubernetesError> {
        self.approval_guard.other_writer(namespace).await
    }

    async fn apply_status(
        &self,
        at: &PolicyRef,
        resource_version: &str,
        status: &WarehouseSyncPolicyStatus,
    ) -> Result<String, KubernetesError> {
        let body = StatusApply {
            api_version: WarehouseSyncPolicy::api_version(&()).into_owned(),
            kind: WarehouseSyncPolicy::kind(&()).into_owned(),
            metadata: ApplyMetadata {
                name: &at.name,
                resource_version,
            },
            status,
        };
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let name = at.to_string();
        let api = self.api(at);
        let patch = Patch::Apply(&body);
        let apply = api.patch_status(&at.name, &params, &patch);
        match self.call("apply_status", &name, apply).await {
            Ok(applied) => Ok(applied.resource_version().unwrap_or_default()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Err(KubernetesError::Conflict(at.clone()))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {
                Err(KubernetesError::Gone(at.clone()))
            }
            Err(kube::Error::Api(status)) if does_not_fit(&status) => {
                Err(KubernetesError::Failed {
                    what: format!("write status of {name}"),
                    reason: format!(
                        "the CustomResourceDefinition in the cluster is older than the operator: run `warehouse-sync-operator crd | \
                         kubectl apply -f -` with this version ({})",
                        redact::text(&status.message, 200)
                    ),
                })
            }
            Err(error) => Err(timed::failed("write status of", &name, &error)),
        }
    }

    async fn api_key(&self, namespace: &str, secret: &SecretKeyRef) -> Result<ApiKey, SecretError> {
        self.api_keys.read(namespace, secret).await
    }

    async fn source_secret(
        &self,
        namespace: &str,
        wanted: &CredentialUse,
        project_id: i64,
    ) -> Result<SecretString, SecretError> {
        self.api_keys
            .read_source(namespace, wanted, project_id)
            .await
    }

    async fn notification_secret(
        &self,
        namespace: &str,
        secret: &SecretKeyRef,
    ) -> Result<SecretValue, SecretError> {
        self.api_keys.read_notification(namespace, secret).await
    }

    fn other_policies(&self, at: &PolicyRef, project: &Project) -> Vec<Arc<OtherPolicy>> {
        self.other_policies.of(at, project)
    }

    async fn publish(&self, policy: &WarehouseSyncPolicy, notice: Notice) {
        self.publish_about(&policy.object_ref(&()), notice).await;
    }
}

/// True if the API server refuses what it was sent because the installed CRD does not know a field, or a value of one. It says so with
/// 500 and with 422 (seen with v1.36).
fn does_not_fit(refused: &Status) -> bool {
    refused.message.contains("field not declared in schema") || refused.code == 422
}
