//! Condition types and reasons as constants, so that code, docs and alerts agree.

use strum::VariantArray as _;

/// The policy is accepted and the last poll succeeded, even if syncs are failing.
pub const READY: &str = "Ready";
/// The first poll of this generation has not been made yet.
pub const RECONCILING: &str = "Reconciling";
/// The policy does not work until a person changes something.
pub const STALLED: &str = "Stalled";
/// Every selected table is as healthy as expected.
pub const HEALTHY: &str = "Healthy";
/// The operator may send calls.
pub const REMEDIATION_ALLOWED: &str = "RemediationAllowed";

/// The admission policies that make an annotation an approval are in effect.
pub const APPROVAL_GUARD_ACTIVE: &str = "ApprovalGuardActive";
/// A proposal waits for a person.
pub const PENDING_APPROVAL: &str = "PendingApproval";
/// Every receiver of `spec.notifications` can be notified; absent without receivers.
pub const NOTIFYING: &str = "Notifying";

/// Why a condition has its status.
///
/// The reason says what happened; the condition's message says what to do about it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
pub enum Reason {
    /// Ready: `PostHog` was polled.
    Polled,
    /// Reconciling: finished. Stalled: nothing blocks.
    Proceeding,
    /// Reconciling: no poll of this generation yet.
    FirstPoll,
    /// The spec is invalid although the API server accepted it.
    InvalidSpec,
    /// The host is not on the operator's list.
    HostNotAllowed,
    /// The referenced Secret does not exist.
    SecretMissing,
    /// The Secret does not have the label for this use.
    SecretNotLabelled,
    /// The operator may not read the Secret.
    SecretForbidden,
    /// The Secret lacks the key that the policy names.
    SecretKeyMissing,
    /// The value in the Secret cannot be an API key.
    SecretInvalid,
    /// `PostHog` does not accept the API key (401).
    KeyRejected,
    /// The key may not read this project or these objects (403).
    ProjectForbidden,
    /// The key lacks the scope `external_data_source:read`.
    KeyLacksReadScope,
    /// The key lacks the scope `external_data_source:write`.
    KeyLacksWriteScope,
    /// The project does not exist in `PostHog` (404).
    ProjectNotFound,
    /// No connection to the host.
    HostUnreachable,
    /// `PostHog` asked to wait (429).
    RateLimited,
    /// `PostHog` answered with a server error.
    PostHogUnavailable,
    /// The answer was not what `PostHog`'s API sends.
    UnexpectedAnswer,
    /// The project has more tables than the operator allows.
    ProjectTooLarge,
    /// The list is empty although there were sources before.
    SourcesVanished,
    /// Healthy: every selected table that is switched on is healthy.
    AllHealthy,
    /// Healthy: nothing of severity Error, but not every table is known to be healthy.
    HealthyWithWarnings,
    /// Healthy: at least one finding of severity Error.
    SyncsUnhealthy,
    /// Healthy: not known, because `PostHog` could not be read.
    NotObserved,
    /// Healthy: `PostHog`'s data about a table is not reliable.
    HealthUnknown,
    /// Healthy: the selector matches no table, or none that is switched on.
    NothingSelected,
    /// Remediation: Enforce, and nothing blocks it.
    Enforcing,
    /// Remediation: mode is Observe.
    Observing,
    /// Remediation: `spec.suspend` is true, or the policy is being deleted.
    Suspended,
    /// Pending approval: proposals wait for a person.
    ProposalsWait,
    /// Pending approval: no proposal waits.
    NothingToApprove,
    /// Admission policies: they are in effect.
    GuardActive,
    /// Admission policies: they are missing, altered, or cannot be read.
    GuardBroken,
    /// Admission policies: they are not in effect, and approvals are accepted anyway.
    GuardNotRequired,
    /// Notifying: every receiver can be notified.
    ReceiversReady,
    /// Notifying: a Secret, its label, its value or its host is wrong.
    ReceiverUnusable,
    /// Notifying: a receiver did not accept a message, and delivery was given up.
    DeliveryFailed,
}

impl Reason {
    /// Every reason, for the documentation and its drift check.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The reason as conditions show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// True if waiting cannot help: a person must change something.
    #[must_use]
    pub const fn stalls(self) -> bool {
        matches!(
            self,
            Self::InvalidSpec
                | Self::HostNotAllowed
                | Self::SecretMissing
                | Self::SecretNotLabelled
                | Self::SecretForbidden
                | Self::SecretKeyMissing
                | Self::SecretInvalid
                | Self::KeyRejected
                | Self::ProjectForbidden
                | Self::KeyLacksReadScope
                | Self::ProjectNotFound
                | Self::ProjectTooLarge
        )
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
