//! Condition types and reasons: constants, so that code, docs and alerts cannot drift apart.

use strum::VariantArray as _;

/// The policy is accepted and the last poll worked, also when syncs are red.
pub const READY: &str = "Ready";
/// The first poll of this generation has not been made yet.
pub const RECONCILING: &str = "Reconciling";
/// Only a human can get this policy going.
pub const STALLED: &str = "Stalled";
/// The desired health holds for every selected table.
pub const HEALTHY: &str = "Healthy";
/// The operator may send what it decides.
pub const REMEDIATION_ALLOWED: &str = "RemediationAllowed";

/// The admission policies stand that make an annotation an approval.
pub const APPROVAL_GUARD_ACTIVE: &str = "ApprovalGuardActive";
/// A proposal waits for a person.
pub const PENDING_APPROVAL: &str = "PendingApproval";
/// Every receiver of `spec.notifications` can be told; absent without receivers.
pub const NOTIFYING: &str = "Notifying";

/// Why a condition has its status.
///
/// Each reason says what happened; the message beside it in the condition says what a human does about it.
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
    /// Ready: `PostHog` was read.
    Polled,
    /// Reconciling: finished. Stalled: nothing blocks.
    Proceeding,
    /// Reconciling: no poll of this generation yet.
    FirstPoll,
    /// The spec cannot be used although the API server took it.
    InvalidSpec,
    /// The host is not on the operator's list.
    HostNotAllowed,
    /// The referenced Secret does not exist.
    SecretMissing,
    /// The Secret exists but has not been released for this use.
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
    /// `PostHog` knows no such project (404).
    ProjectNotFound,
    /// No connection to the host.
    HostUnreachable,
    /// `PostHog` asked to wait (429).
    RateLimited,
    /// `PostHog` answered with a server error.
    PostHogUnavailable,
    /// The answer was not what `PostHog`'s API sends.
    UnexpectedAnswer,
    /// The project has more tables than the operator takes.
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
    /// Healthy: `PostHog` says something of a table that cannot be relied on.
    CannotTell,
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
    /// Pending approval: none does.
    NothingToApprove,
    /// Guard of approvals: it stands.
    GuardStands,
    /// Guard of approvals: it is missing, altered, or cannot be read.
    GuardBroken,
    /// Guard of approvals: it does not stand, and approvals count all the same.
    GuardNotRequired,
    /// Notifying: every receiver can be told.
    ReceiversReady,
    /// Notifying: a Secret, its label, its value or its host is wrong.
    ReceiverUnusable,
    /// Notifying: a receiver did not take a message, and it was given up.
    DeliveryFailed,
}

impl Reason {
    /// Every reason, for the documentation and its drift check.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The reason as it stands in a condition.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// True when waiting cannot help: a human has to change something.
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
