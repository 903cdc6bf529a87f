//! A model of the API server with one policy: versions, preconditions, and reads that may be old.

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use warehouse_sync_operator::{
    api::{
        WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        conditions::Reason,
        policy::{CredentialUse, SecretKeyRef},
        status::GuardPart,
        validated::{PolicyRef, Project},
    },
    controller::secret_use::{self, Use},
    observe::{ApprovalGuard, OtherPolicy},
    posthog::ApiKey,
    report::{
        Kubernetes, KubernetesError,
        events::Notice,
        kubernetes::{SecretError, SecretRefused},
        notifications::channel::SecretValue,
    },
};

use crate::faults::{Fault, Faults};

/// The API key of every policy.
pub const KEY: &str = "phx_demo";

#[derive(Clone)]
pub struct Cluster {
    state: Arc<Mutex<State>>,
    faults: Faults,
}

struct State {
    policy: WarehouseSyncPolicy,
    before: WarehouseSyncPolicy,
    stale_reads: usize,
    events: Vec<Notice>,
    other_policies: Vec<OtherPolicy>,
    other_policies_later: Option<Vec<OtherPolicy>>,
    secrets: Vec<Secret>,
    approval_guard: ApprovalGuard,
    approval_guard_later: Option<ApprovalGuard>,
    other_writer: Option<String>,
    /// The Secret of the key is missing; Secrets cannot be asked for.
    lacks_api_key: bool,
    fails_secrets: bool,
}

/// A guard that is installed, of this generation.
pub fn guard(generation: i64) -> ApprovalGuard {
    ApprovalGuard {
        broken: None,
        parts: vec![GuardPart {
            name: "ValidatingAdmissionPolicy/approvals".to_owned(),
            uid: "g".to_owned(),
            generation,
        }],
    }
}

impl Cluster {
    pub fn new(policy: WarehouseSyncPolicy, faults: Faults) -> Self {
        let before = policy.clone();
        let state = State {
            policy,
            before,
            stale_reads: 0,
            events: Vec::new(),
            other_policies: Vec::new(),
            other_policies_later: None,
            secrets: Vec::new(),
            approval_guard: guard(1),
            approval_guard_later: None,
            other_writer: None,
            lacks_api_key: false,
            fails_secrets: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            faults,
        }
    }

    pub fn status(&self) -> WarehouseSyncPolicyStatus {
        self.state
            .lock()
            .unwrap()
            .policy
            .status
            .clone()
            .unwrap_or_default()
    }

    pub fn events(&self) -> Vec<Notice> {
        self.state.lock().unwrap().events.clone()
    }

    /// Creates or changes a Secret, as `kubectl apply` would.
    pub fn put_secret(&self, yaml: &str) {
        let secret: Secret = serde_saphyr::from_str(yaml).unwrap();
        let mut state = self.state.lock().unwrap();
        state
            .secrets
            .retain(|known| known.metadata.name != secret.metadata.name);
        state.secrets.push(secret);
    }

    /// The Secret of the key goes missing, or comes back.
    pub fn lose_api_key(&self, lost: bool) {
        self.state.lock().unwrap().lacks_api_key = lost;
    }

    /// Secrets cannot be asked for from now on, or can again.
    pub fn fail_secrets(&self, fails: bool) {
        self.state.lock().unwrap().fails_secrets = fails;
    }

    /// Changes of the admission policies.
    pub fn set_approval_guard(&self, guard: ApprovalGuard) {
        self.state.lock().unwrap().approval_guard = guard;
    }

    /// The admission policies let another operator write status, for this reason, or this one.
    pub fn set_other_writer(&self, why: Option<&str>) {
        self.state.lock().unwrap().other_writer = why.map(str::to_owned);
    }

    /// The same, from when the policy has next looked at it.
    pub fn set_approval_guard_after_a_read(&self, guard: ApprovalGuard) {
        self.state.lock().unwrap().approval_guard_later = Some(guard);
    }

    /// The other policies on the same project.
    pub fn set_other_policies(&self, other_policies: Vec<OtherPolicy>) {
        self.state.lock().unwrap().other_policies = other_policies;
    }

    /// The same, from when the policy has next looked at them.
    pub fn set_other_policies_after_a_read(&self, other_policies: Vec<OtherPolicy>) {
        self.state.lock().unwrap().other_policies_later = Some(other_policies);
    }

    pub fn object(&self) -> WarehouseSyncPolicy {
        self.state.lock().unwrap().policy.clone()
    }

    /// Sets an annotation, as `kubectl annotate` would, or removes it.
    pub fn annotate(&self, key: &str, value: Option<&str>) {
        let mut state = self.state.lock().unwrap();
        let annotations = state.policy.metadata.annotations.get_or_insert_default();
        match value {
            Some(value) => annotations.insert(key.to_owned(), value.to_owned()),
            None => annotations.remove(key),
        };
        state.bump();
    }

    /// The resource version: one more after each write.
    pub fn version(&self) -> u64 {
        let state = self.state.lock().unwrap();
        let version = state.policy.metadata.resource_version.as_ref();
        version.unwrap().parse().unwrap()
    }

    /// Changes the spec, as `kubectl edit` would.
    pub fn edit(&self, change: impl FnOnce(&mut WarehouseSyncPolicy)) {
        let mut state = self.state.lock().unwrap();
        change(&mut state.policy);
        let generation = state.policy.metadata.generation.unwrap() + 1;
        state.policy.metadata.generation = Some(generation);
        state.bump();
    }
}

impl State {
    fn bump(&mut self) {
        let version: u64 = self
            .policy
            .metadata
            .resource_version
            .as_ref()
            .unwrap()
            .parse()
            .unwrap();
        self.policy.metadata.resource_version = Some((version + 1).to_string());
    }

    fn apply(
        &mut self,
        version: &str,
        status: &WarehouseSyncPolicyStatus,
        at: &PolicyRef,
    ) -> Result<String, KubernetesError> {
        if self.policy.metadata.resource_version.as_deref() != Some(version) {
            return Err(KubernetesError::Conflict(at.clone()));
        }
        self.before = self.policy.clone();
        // Through JSON, as the wire does.
        let status = serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap();
        self.policy.status = Some(status);
        self.bump();
        Ok(self.policy.metadata.resource_version.clone().unwrap())
    }
}

impl Kubernetes for Cluster {
    async fn policy(&self, _: &PolicyRef) -> Result<Option<WarehouseSyncPolicy>, KubernetesError> {
        let mut state = self.state.lock().unwrap();
        if state.stale_reads > 0 {
            state.stale_reads -= 1;
            return Ok(Some(state.before.clone()));
        }
        Ok(Some(state.policy.clone()))
    }

    async fn approval_guard(&self) -> Result<ApprovalGuard, KubernetesError> {
        let mut state = self.state.lock().unwrap();
        let now = state.approval_guard.clone();
        if let Some(later) = state.approval_guard_later.take() {
            state.approval_guard = later;
        }
        Ok(now)
    }

    async fn other_writer(&self, _: &str) -> Result<Option<String>, KubernetesError> {
        Ok(self.state.lock().unwrap().other_writer.clone())
    }

    async fn apply_status(
        &self,
        at: &PolicyRef,
        version: &str,
        status: &WarehouseSyncPolicyStatus,
    ) -> Result<String, KubernetesError> {
        let apply = || self.state.lock().unwrap().apply(version, status, at);
        let failed = || {
            Err(KubernetesError::Failed {
                what: "write status".into(),
                reason: "away".into(),
            })
        };
        match self.faults.next("status") {
            Some(Fault::CrashBefore) => self.faults.crash().await,
            Some(Fault::CrashAfter) => {
                let _ = apply();
                self.faults.crash().await
            }
            Some(Fault::AnswerLost) => {
                let _ = apply();
                failed()
            }
            Some(Fault::RequestLost | Fault::NotSent) => failed(),
            Some(Fault::SecondWriter) => {
                self.state.lock().unwrap().bump();
                apply()
            }
            Some(fault @ (Fault::LeaderLost | Fault::LeaderFrozen)) => {
                self.faults.be_succeeded(fault == Fault::LeaderLost).await;
                apply()
            }
            Some(Fault::StaleRead) => {
                let applied = apply();
                self.state.lock().unwrap().stale_reads = 1;
                applied
            }
            Some(Fault::ClaimRunsOut) => {
                let applied = apply();
                self.faults.run_out();
                applied
            }
            Some(Fault::TakesAMinute) => {
                let ahead = self.faults.clock_is_ahead_by();
                self.faults
                    .set_clock_ahead(ahead + SignedDuration::from_mins(1));
                apply()
            }
            None => apply(),
        }
    }

    async fn api_key(&self, _: &str, _: &SecretKeyRef) -> Result<ApiKey, SecretError> {
        let state = self.state.lock().unwrap();
        if state.fails_secrets {
            let error = KubernetesError::Failed {
                what: "get the Secret".into(),
                reason: "away".into(),
            };
            return Err(error.into());
        }
        if state.lacks_api_key {
            let refused = SecretRefused {
                reason: Reason::SecretMissing,
                message: "it is missing".into(),
            };
            return Err(refused.into());
        }
        Ok(ApiKey::new(KEY.as_bytes()).unwrap())
    }

    async fn source_secret(
        &self,
        namespace: &str,
        wanted: &CredentialUse,
        project_id: i64,
    ) -> Result<SecretString, SecretError> {
        let state = self.state.lock().unwrap();
        let at = &wanted.secret_ref;
        let named = |secret: &&Secret| secret.metadata.name.as_deref() == Some(&at.name);
        let secret = state.secrets.iter().find(named);
        let wanted_for = Use::Source { project_id, wanted };
        Ok(secret_use::value(secret, namespace, at, wanted_for)?)
    }

    async fn notification_secret(
        &self,
        namespace: &str,
        wanted: &SecretKeyRef,
    ) -> Result<SecretValue, SecretError> {
        let state = self.state.lock().unwrap();
        let named = |secret: &&Secret| secret.metadata.name.as_deref() == Some(&wanted.name);
        let secret = state.secrets.iter().find(named);
        let value = secret_use::value(secret, namespace, wanted, Use::Notification)?;
        let version = secret.and_then(|secret| secret.metadata.resource_version.clone());
        Ok(SecretValue {
            value,
            version: version.unwrap_or_default(),
        })
    }

    fn other_policies(&self, _: &PolicyRef, _: &Project) -> Vec<Arc<OtherPolicy>> {
        let mut state = self.state.lock().unwrap();
        let now = state.other_policies.iter().cloned().map(Arc::new).collect();
        if let Some(later) = state.other_policies_later.take() {
            state.other_policies = later;
        }
        now
    }

    async fn publish(&self, _: &WarehouseSyncPolicy, notice: Notice) {
        // As the API server counts them, which refuses the event.
        assert!(notice.note.len() <= 1_024, "{}", notice.note);
        self.state.lock().unwrap().events.push(notice);
    }
}
