//! What can be said about a root cause: the fields of its row.

use crate::api::{
    ValidatedPolicy,
    policy::Switch,
    status::{Action, Severity},
};

/// What is known about a root cause.
#[derive(Debug)]
pub struct Cause {
    /// How bad a finding is, where its verdict does not say.
    pub severity: Severity,
    /// Where the cause shows.
    pub origin: Origin,
    /// What knows better than the text of an error that names it.
    pub doubt: StrongerSignal,
    /// What is read about a failed table whose error text names it.
    pub reads: Reads,
    /// What of a source it is about.
    pub scope: Scope,
    /// True if an outage of `PostHog` may look like this from outside. A key that is not unique or a missing column is none.
    pub may_be_outage: bool,
    /// True if `PostHog` tries again by itself, or may: it disables no table because of it.
    pub retried_by_posthog: bool,
    /// What helps.
    pub remedy: Remedy,
    /// For which of the rules that find it the remedy helps.
    pub helps: AppliesTo,
    /// When the operator reloads a table because of it.
    pub reload: Reload,
    /// What the proposal for it does.
    pub proposes: Proposes,
    /// What shows that the finding behind a proposal has cleared.
    pub cleared_by: ClearedBy,
    /// What shows that it was fixed, on a table that is off because of it.
    pub fixed_by: FixedBy,
    /// What a person should do.
    pub advice: Advice,
}

impl Cause {
    /// True for a note in the place of an error: nothing failed.
    #[must_use]
    pub fn is_note(&self) -> bool {
        self.origin == Origin::Note
    }

    /// True if other credentials help, which the operator has if `spec.credentials` names them.
    #[must_use]
    pub fn wants_credentials(&self) -> bool {
        self.remedy == Remedy::Safe(Action::ApplyCredentials)
    }

    /// True if the remedy hands something to the source as a whole, and not to a table.
    #[must_use]
    pub const fn is_remedied_at_source(&self) -> bool {
        match self.remedy {
            Remedy::Safe(Action::ApplyCredentials | Action::RegisterWebhook) => true,
            Remedy::Safe(_) | Remedy::NeedsApproval(_) | Remedy::Nothing => false,
        }
    }

    /// True if no part of a text may name it: something is sent for it without a person being asked, or only the status
    /// really tells.
    #[must_use]
    pub fn needs_the_whole_text(&self) -> bool {
        let is_acted_on = match self.remedy {
            Remedy::Safe(_) => true,
            Remedy::NeedsApproval(_) | Remedy::Nothing => false,
        };
        is_acted_on || self.doubt == StrongerSignal::Status
    }

    /// What helps against what `rule` found.
    #[must_use]
    pub fn remedy_for(&self, rule: &str) -> Remedy {
        let helps = match self.helps {
            AppliesTo::Always => true,
            AppliesTo::OnlyFor(rules) => rules.contains(&rule),
            AppliesTo::ExceptFor(start) => !rule.starts_with(start),
        };
        if helps { self.remedy } else { Remedy::Nothing }
    }
}

/// Where a cause shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the error of a run, or in a probe of it.
    Error,
    /// In the error of a run, as a note: somebody stopped the run, and nothing failed.
    Note,
    /// Only in observations of a table, a source or a project; no error text names it.
    Observation,
    /// In the data of a table.
    Data,
    /// In an annotation: a person asked for it.
    Request,
}

impl Origin {
    /// True if what is known of a table must be newer than the failure; data and requests say nothing of when.
    #[must_use]
    pub const fn needs_fresh_detail(self) -> bool {
        match self {
            Self::Error | Self::Note | Self::Observation => true,
            Self::Data | Self::Request => false,
        }
    }
}

/// What is more reliable than an error text. Rule: structured signals first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrongerSignal {
    /// Nothing: the text is accepted.
    Nothing,
    /// The status of the table: a text of its own is old, or is about another party.
    Status,
    /// The table alone, which has signals that the list lacks.
    Table,
    /// The customer's source: it distinguishes a missing table from a missing column.
    Source,
    /// The other tables of the source: they distinguish a dead key from one that lacks a right.
    Siblings,
}

/// What is read about a failed table. Each read costs a request of a quota that is shared with the team's own use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Nothing.
    Nothing,
    /// The table alone: a better reason than a text that says little, or how the table is set up.
    Table,
    /// The table alone, and its columns in the customer's source.
    TableAndSource,
}

/// What of a source a cause is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One table, as far as a run of it shows.
    Table,
    /// The connection of the source: if every table says so, it is one finding for the source.
    Connection,
    /// What the source holds or is set to: if every table says the same words, it is one finding for the source.
    Settings,
    /// Change data capture of the source.
    Capture,
}

/// What can be done about a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Safe: may be done without asking.
    Safe(Action),
    /// Could cost data, or changes what a person configured: needs approval.
    NeedsApproval(Action),
    /// Only a person can help, or nothing is to be done.
    Nothing,
}

impl Remedy {
    /// The action, if there is one.
    #[must_use]
    pub const fn action(self) -> Option<Action> {
        match self {
            Self::Safe(action) | Self::NeedsApproval(action) => Some(action),
            Self::Nothing => None,
        }
    }
}

/// For which rules the remedy of a cause helps. Some find the cause, but not in the form in which the remedy would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppliesTo {
    /// For all.
    Always,
    /// For these.
    OnlyFor(&'static [&'static str]),
    /// For all but those whose names begin like this.
    ExceptFor(&'static str),
}

/// When the operator reloads a table because of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Never by itself.
    Never,
    /// Once a run that hangs has been cancelled, or at once if there is no run.
    AfterCancel,
    /// Once while it is stale; in full at most once a day, because that costs all rows.
    Stale,
    /// After a back-off.
    AfterBackOff,
    /// After a back-off, once `PostHog`'s check of the prerequisites of change data capture is good.
    AfterCheck,
    /// Once the source has been given new credentials.
    AfterRotation,
}

impl Reload {
    /// True if a reload may help by itself, and is tried again after a back-off.
    #[must_use]
    pub const fn is_retried(self) -> bool {
        match self {
            Self::AfterBackOff | Self::AfterCheck => true,
            Self::Never | Self::AfterCancel | Self::Stale | Self::AfterRotation => false,
        }
    }

    /// What `spec.remediation` says about it, and in which field; none if it never happens.
    #[must_use]
    pub const fn switch(self, policy: &ValidatedPolicy) -> Option<(Switch, &'static str)> {
        match self {
            Self::Never => None,
            Self::AfterCancel => Some((policy.cancel_stuck.switch(), "cancelStuck")),
            Self::Stale => Some((policy.reload_stale, "reloadStale")),
            Self::AfterBackOff | Self::AfterCheck => {
                Some((policy.reload_transient, "reloadTransient"))
            }
            Self::AfterRotation => Some((policy.apply_credentials, "applyCredentials")),
        }
    }
}

/// What the proposal for a cause does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proposes {
    /// There is none.
    Nothing,
    /// Unknown until the customer's source has been read.
    OpenUntilAsked,
    /// Sync by another incremental field.
    OtherField,
    /// Set the first primary key, or another one where there is one.
    FirstOrOtherKey,
    /// Delete the data and set another primary key.
    OtherKey,
    /// Refresh `PostHog`'s list of the source's tables.
    RefreshSchemas,
    /// Wipe and reimport the table.
    Resync,
    /// Repair change data capture of the source.
    RepairCdc,
    /// Register another webhook of the source.
    ReregisterWebhook,
    /// Cancel a run that the operator does not cancel by itself, and reload its table.
    Cancel,
    /// What the annotation asks for.
    AsRequested,
}

impl Proposes {
    /// True if one proposal is made for the source, though findings name its tables.
    #[must_use]
    pub const fn is_for_source(self) -> bool {
        match self {
            Self::RefreshSchemas | Self::RepairCdc => true,
            // A finding of a webhook names no table to begin with.
            Self::ReregisterWebhook
            | Self::Nothing
            | Self::OpenUntilAsked
            | Self::OtherField
            | Self::FirstOrOtherKey
            | Self::OtherKey
            | Self::Resync
            | Self::Cancel
            | Self::AsRequested => false,
        }
    }
}

/// What shows that the finding behind a proposal has cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClearedBy {
    /// The table fails for this cause no more.
    Verdict,
    /// The webhook of the source works.
    Webhook,
    /// The database has the replication slot of the source.
    Slot,
    /// No table of the source is missing any more.
    Tables,
    /// Every data check of the table has been made, and finds nothing.
    DataChecks,
    /// Nothing: it was requested once, and the proposal remains.
    Nothing,
}

/// What shows that a cause was fixed, on a table that is off because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixedBy {
    /// Nothing can.
    Nothing,
    /// The source answers again. A table that is synced by change data capture: its check is good.
    Source,
    /// The same, but only where `PostHog` was not seen to disable the table: it disables none for an unknown reason, and a person decides whether the
    /// reason still applies.
    SourceUnlessSeen,
    /// The check of change data capture is good.
    CdcCheck,
    /// The table has another primary key than at the failure.
    Key,
    /// The same, or the source declares a primary key now.
    FirstKey,
}

/// What a person should do, in one or two plain sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Beside an operator, which may do a part of it.
    pub with_operator: &'static str,
    /// For a person who only ran a command: nobody cancels, reloads or proposes anything for them.
    pub by_hand: &'static str,
}

impl Advice {
    /// Advice that leaves nothing to the operator.
    #[must_use]
    pub const fn same(text: &'static str) -> Self {
        Self {
            with_operator: text,
            by_hand: text,
        }
    }
}
