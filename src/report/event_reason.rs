//! The reasons of events: a closed list, so that code, docs and alerts agree.

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
    /// This version does not understand all of the policy, and skips it.
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
    /// It is proved that the approved action was done.
    ProposalExecuted,
    /// The approved action could not be done, and nothing has changed.
    ProposalFailed,
    /// It is unknown how much of the approved action was done.
    ProposalOutcomeUnknown,
    /// A person denied it.
    ProposalDenied,
    /// It was not answered, or not started, in time.
    ProposalExpired,
    /// Its finding has cleared, or the policy no longer wants it.
    ProposalWithdrawn,
    /// Another proposal has replaced it.
    ProposalSuperseded,
    /// `PostHog` accepted a cancel.
    CancelSent,
    /// `PostHog` accepted a reload.
    ReloadSent,
    /// `PostHog` accepted to switch a table on again.
    TableEnabled,
    /// `PostHog` accepted new credentials.
    CredentialsApplied,
    /// `PostHog` registered a webhook.
    WebhookRegistered,
    /// `PostHog` accepted new inputs of a webhook.
    WebhookInputsPushed,
    /// `PostHog` refused a call.
    SendRefused,
    /// A call was not sent.
    SendFailed,
    /// It is unknown whether a call arrived.
    SendUnknown,
    /// The cancelled run has ended.
    JobEnded,
    /// A new run has started.
    NewJobSeen,
    /// The new run failed, too.
    NewJobFailed,
    /// The new run completed.
    Recovered,
    /// An incident was closed.
    IncidentClosed,
    /// The operator has no safe action left.
    Escalated,
    /// A receiver of notifications cannot be notified.
    NotificationFailed,
    /// Every receiver can be notified again.
    NotificationsDelivered,
}

impl EventReason {
    /// Every reason, for the documentation and its drift check.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The reason as events show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
