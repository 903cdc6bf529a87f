//! The narrow port to Kubernetes. Two users: the real client, and the deterministic simulation of the tests.

use std::sync::Arc;

use secrecy::SecretString;

use super::{events::Notice, notifications::channel::SecretValue};
use crate::api::conditions::Reason;
use crate::{
    api::{
        WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        policy::{CredentialUse, SecretKeyRef},
        validated::{PolicyRef, Project},
    },
    observe::{ApprovalGuard, OtherPolicy},
    posthog::ApiKey,
};

/// Why a request to Kubernetes failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubernetesError {
    /// The object was changed since it was read.
    #[error("{0} was changed during the reconcile")]
    Conflict(PolicyRef),
    /// Another process leads now; this one writes no more.
    #[error("{0}: this process no longer leads")]
    NotLeading(PolicyRef),
    /// The object no longer exists.
    #[error("{0} no longer exists")]
    Gone(PolicyRef),
    /// This operator does not understand all of the object, because a newer one has written it.
    #[error("{at}: {why}")]
    NotUnderstood {
        /// Which policy.
        at: PolicyRef,
        /// What is not understood, and what to do.
        why: String,
    },
    /// The admission policies let another operator write the status of this policy.
    #[error("{at}: {why}")]
    OtherWriter {
        /// Which policy.
        at: PolicyRef,
        /// Who writes it, and what to do.
        why: String,
    },
    /// Anything else; the request may still have taken effect.
    #[error("{what}: {reason}")]
    Failed {
        /// What was tried, on which object.
        what: String,
        /// What the API server or the connection said.
        reason: String,
    },
}

/// A Secret that cannot be used, and why: a reason for the condition, and a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SecretRefused {
    /// The reason.
    pub reason: Reason,
    /// The sentence.
    pub message: String,
}

/// Why a Secret gave no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It cannot be used until a person changes something.
    #[error(transparent)]
    Refused(#[from] SecretRefused),
    /// It could not be read. The next reconcile reads it again.
    #[error(transparent)]
    Unread(#[from] KubernetesError),
}

/// What the reconcile core asks of Kubernetes.
pub trait Kubernetes: Send + Sync + 'static {
    /// The policy as the API server has it now; none if it was deleted.
    fn policy(
        &self,
        at: &PolicyRef,
    ) -> impl Future<Output = Result<Option<WarehouseSyncPolicy>, KubernetesError>> + Send;

    /// Applies the whole status, if the object still has this resourceVersion. Returns the new one.
    fn apply_status(
        &self,
        at: &PolicyRef,
        resource_version: &str,
        status: &WarehouseSyncPolicyStatus,
    ) -> impl Future<Output = Result<String, KubernetesError>> + Send;

    /// The API key in a labelled Secret of the namespace.
    fn api_key(
        &self,
        namespace: &str,
        secret: &SecretKeyRef,
    ) -> impl Future<Output = Result<ApiKey, SecretError>> + Send;

    /// A value of a Secret whose owner allows this use in the project.
    fn source_secret(
        &self,
        namespace: &str,
        wanted: &CredentialUse,
        project_id: i64,
    ) -> impl Future<Output = Result<SecretString, SecretError>> + Send;

    /// A value of a Secret with the label for notifications.
    fn notification_secret(
        &self,
        namespace: &str,
        secret: &SecretKeyRef,
    ) -> impl Future<Output = Result<SecretValue, SecretError>> + Send;

    /// Whether the admission policies that make an annotation an approval are in effect.
    fn approval_guard(&self)
    -> impl Future<Output = Result<ApprovalGuard, KubernetesError>> + Send;

    /// Why the admission policies let another operator write the status of policies in the namespace; none if they let this one, or are broken.
    fn other_writer(
        &self,
        namespace: &str,
    ) -> impl Future<Output = Result<Option<String>, KubernetesError>> + Send;

    /// The other policies on a project.
    fn other_policies(&self, at: &PolicyRef, project: &Project) -> Vec<Arc<OtherPolicy>>;

    /// Publishes an event. Best effort: never an error, never long.
    fn publish(
        &self,
        policy: &WarehouseSyncPolicy,
        notice: Notice,
    ) -> impl Future<Output = ()> + Send;
}
