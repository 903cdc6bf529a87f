//! The reasons of events: a closed list, so that code, docs and alerts cannot drift apart.

/// What an event says has happened. `docs/conditions.md` says of each what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    pub const ALL: [Self; 37] = [
        Self::Ready,
        Self::NotReady,
        Self::Healthy,
        Self::Unhealthy,
        Self::RemediationAllowed,
        Self::LeftAlone,
        Self::RemediationHeld,
        Self::FindingOpened,
        Self::BreakerOpened,
        Self::BreakerClosed,
        Self::ProposalOpened,
        Self::ProposalApproved,
        Self::ProposalExecuting,
        Self::ProposalExecuted,
        Self::ProposalFailed,
        Self::ProposalOutcomeUnknown,
        Self::ProposalDenied,
        Self::ProposalExpired,
        Self::ProposalWithdrawn,
        Self::ProposalSuperseded,
        Self::CancelSent,
        Self::ReloadSent,
        Self::TableEnabled,
        Self::CredentialsApplied,
        Self::WebhookRegistered,
        Self::WebhookInputsPushed,
        Self::SendRefused,
        Self::SendFailed,
        Self::SendUnknown,
        Self::JobEnded,
        Self::NewJobSeen,
        Self::NewJobFailed,
        Self::Recovered,
        Self::IncidentClosed,
        Self::Escalated,
        Self::NotificationFailed,
        Self::NotificationsDelivered,
    ];

    /// The reason as it stands in an event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::NotReady => "NotReady",
            Self::Healthy => "Healthy",
            Self::Unhealthy => "Unhealthy",
            Self::RemediationAllowed => "RemediationAllowed",
            Self::LeftAlone => "LeftAlone",
            Self::RemediationHeld => "RemediationHeld",
            Self::FindingOpened => "FindingOpened",
            Self::BreakerOpened => "BreakerOpened",
            Self::BreakerClosed => "BreakerClosed",
            Self::ProposalOpened => "ProposalOpened",
            Self::ProposalApproved => "ProposalApproved",
            Self::ProposalExecuting => "ProposalExecuting",
            Self::ProposalExecuted => "ProposalExecuted",
            Self::ProposalFailed => "ProposalFailed",
            Self::ProposalOutcomeUnknown => "ProposalOutcomeUnknown",
            Self::ProposalDenied => "ProposalDenied",
            Self::ProposalExpired => "ProposalExpired",
            Self::ProposalWithdrawn => "ProposalWithdrawn",
            Self::ProposalSuperseded => "ProposalSuperseded",
            Self::CancelSent => "CancelSent",
            Self::ReloadSent => "ReloadSent",
            Self::TableEnabled => "TableEnabled",
            Self::CredentialsApplied => "CredentialsApplied",
            Self::WebhookRegistered => "WebhookRegistered",
            Self::WebhookInputsPushed => "WebhookInputsPushed",
            Self::SendRefused => "SendRefused",
            Self::SendFailed => "SendFailed",
            Self::SendUnknown => "SendUnknown",
            Self::JobEnded => "JobEnded",
            Self::NewJobSeen => "NewJobSeen",
            Self::NewJobFailed => "NewJobFailed",
            Self::Recovered => "Recovered",
            Self::IncidentClosed => "IncidentClosed",
            Self::Escalated => "Escalated",
            Self::NotificationFailed => "NotificationFailed",
            Self::NotificationsDelivered => "NotificationsDelivered",
        }
    }
}
