//! The reasons of events: a closed list, so that code, docs and alerts cannot drift apart.

use strum::VariantArray as _;

/// What an event says has happened. `docs/conditions.md` says of each what to do.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
pub enum EventReason {
    /// Ready became True.
    Ready,
    /// Ready became False, or its reason changed.
    NotReady,
    /// Healthy became True.
    Healthy,
    /// Healthy became False or Unknown, or its reason changed.
    Unhealthy,
    /// `RemediationAllowed` became True.
    RemediationAllowed,
    /// What this version does not understand is left alone.
    LeftAlone,
    /// `RemediationAllowed` became False.
    RemediationHeld,
    /// A finding appeared.
    FindingOpened,
    /// The breaker opened.
    BreakerOpened,
    /// The breaker closed.
    BreakerClosed,
    /// A proposal was made.
    ProposalOpened,
    /// An approval was seen.
    ProposalApproved,
    /// The first call of an approved proposal is about to be sent.
    ProposalExecuting,
    /// What was approved is proved to be done.
    ProposalExecuted,
    /// What was approved could not be done, and nothing has changed.
    ProposalFailed,
    /// Nobody knows how far what was approved came.
    ProposalOutcomeUnknown,
    /// A person denied it.
    ProposalDenied,
    /// It was not answered, or not begun, in time.
    ProposalExpired,
    /// Its finding has cleared, or the policy no longer wants it.
    ProposalWithdrawn,
    /// Another proposal has taken its place.
    ProposalSuperseded,
    /// `PostHog` accepted a cancel.
    CancelSent,
    /// `PostHog` accepted a reload.
    ReloadSent,
    /// `PostHog` accepted that a table is switched on again.
    TableEnabled,
    /// `PostHog` took new credentials.
    CredentialsApplied,
    /// `PostHog` registered a webhook.
    WebhookRegistered,
    /// `PostHog` took new inputs of a webhook.
    WebhookInputsPushed,
    /// `PostHog` refused a call.
    SendRefused,
    /// A call did not leave.
    SendFailed,
    /// Nobody knows whether a call arrived.
    SendUnknown,
    /// The cancelled job has ended.
    JobEnded,
    /// A new job has begun.
    NewJobSeen,
    /// The new job failed as well.
    NewJobFailed,
    /// The new job completed.
    Recovered,
    /// An incident left the list.
    IncidentClosed,
    /// The operator is at its end.
    Escalated,
    /// A receiver of notifications cannot be told.
    NotificationFailed,
    /// Every receiver of notifications can be told again.
    NotificationsDelivered,
}

impl EventReason {
    /// Every reason, for the documentation and its drift check.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The reason as it stands in an event.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
