//! `spec.remediation`: what the operator may do without approval.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{limits::LimitsSpec, proposal::ProposedAction, window::WindowSpec};

/// What the operator may do without approval in mode Enforce.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Remediation {
    /// Auto (default): cancel a run that died while it read from its source, then reload the table; propose the cancel
    /// of a run that is silent in another phase; reload a table in status Running without a run. Propose: propose every
    /// cancel. "Off": only report. Write "Off" in quotes, because YAML reads a bare Off as false.
    #[serde(default)]
    pub cancel_stuck: CancelStuck,
    /// Auto (default): after a backoff, reload a table whose run failed for a transient reason (Transient, RateLimited,
    /// PlatformInternal), and a table whose change data capture was repaired. "Off": only report.
    #[serde(default)]
    pub reload_transient: Switch,
    /// Auto (default): reload a table that is stale (severity Error) once. A table that is synced in full is reloaded
    /// at most once a day, because its rows are billed each time. "Off": only report.
    #[serde(default)]
    pub reload_stale: Switch,
    /// Propose (default): if a table no longer exists in its source, propose that PostHog rereads the source's list of
    /// tables. This deletes PostHog's data of tables that no longer exist. "Off": only report.
    #[serde(default)]
    pub refresh_schemas: Proposing,
    /// Propose (default): if the incremental field no longer exists, or a table has no primary key, propose one that
    /// fits. "Off": only report.
    #[serde(default)]
    pub repair_config: Proposing,
    /// Propose (default): if data is wrong or no longer fits, propose to delete the table's rows and import it from the
    /// beginning. "Off": only report.
    #[serde(default)]
    pub resync: Proposing,
    /// Propose (default): if the primary key of a table is not unique, propose to delete its data, set another key and
    /// import it from the beginning. "Off": only report.
    #[serde(default)]
    pub delete_data: Proposing,
    /// Propose (default): if a replication slot was lost and PostHog has not recreated it, propose to rebuild change
    /// data capture, which imports every captured table from the beginning. "Off": only report.
    #[serde(default)]
    pub repair_cdc: Proposing,
    /// Propose (default): if the vendor has switched a webhook off and its tables can be synced without one, propose to
    /// delete the webhook and create another one, which deletes the rows of the tables that sync by it. "Off": only
    /// report.
    #[serde(default)]
    pub reregister_webhook: Proposing,
    /// Auto (default): when a source rejects its credentials and the Secret that `spec.credentials` names has changed,
    /// apply the new values once and reload the tables. "Off": only report.
    #[serde(default)]
    pub apply_credentials: Switch,
    /// Auto (default): once a fix is proved, switch tables on again that PostHog was observed to switch off. "Off":
    /// only report.
    #[serde(default)]
    pub reenable_after_fix: Switch,
    /// Auto (default): register a webhook once if it certainly does not exist in PostHog or at the vendor, and push
    /// `webhookInputs` when their Secret has changed. "Off": only report.
    #[serde(default)]
    pub register_webhook: Switch,
    /// When the operator may start an action. It finishes what it has started. With only Deny windows: always except in
    /// them. With any Allow window: only in one of those. Deny takes precedence. Empty (default): always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<WindowSpec>,
    /// How much the operator may do at a time and per incident.
    #[serde(default)]
    pub limits: LimitsSpec,
}

/// Whether stuck runs are cancelled.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelStuck {
    /// Cancel runs that are certainly dead, propose the other cancels.
    #[default]
    Auto,
    /// Propose every cancel.
    Propose,
    /// Only report.
    Off,
}

impl CancelStuck {
    /// Whether anything is done about stuck tables.
    #[must_use]
    pub const fn switch(self) -> Switch {
        match self {
            Self::Auto | Self::Propose => Switch::Auto,
            Self::Off => Switch::Off,
        }
    }

    /// Whether the cancel of a silent run is proposed.
    #[must_use]
    pub const fn proposing(self) -> Proposing {
        match self {
            Self::Auto | Self::Propose => Proposing::Propose,
            Self::Off => Proposing::Off,
        }
    }
}

/// Whether a safe action is taken without approval.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// Take the action.
    #[default]
    Auto,
    /// Only report.
    Off,
}

/// Whether an action that could cost data is proposed. It is never taken without a person's approval. Write "Off" in quotes,
/// because YAML reads a bare Off as false.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proposing {
    /// Propose the action.
    #[default]
    Propose,
    /// Only report.
    Off,
}

/// Whether each action that needs approval is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProposingSwitches {
    refresh_schemas: Proposing,
    repair_config: Proposing,
    resync: Proposing,
    delete_data: Proposing,
    repair_cdc: Proposing,
    reregister_webhook: Proposing,
    reenable: Switch,
    reload: Switch,
    cancel: Proposing,
}

impl ProposingSwitches {
    pub(super) const fn new(remediation: &Remediation) -> Self {
        Self {
            refresh_schemas: remediation.refresh_schemas,
            repair_config: remediation.repair_config,
            resync: remediation.resync,
            delete_data: remediation.delete_data,
            repair_cdc: remediation.repair_cdc,
            reregister_webhook: remediation.reregister_webhook,
            reenable: remediation.reenable_after_fix,
            reload: remediation.reload_transient,
            cancel: remediation.cancel_stuck.proposing(),
        }
    }

    /// Whether this action is proposed.
    #[must_use]
    pub const fn of(&self, action: ProposedAction) -> Proposing {
        match action {
            ProposedAction::RefreshSchemas => self.refresh_schemas,
            ProposedAction::RepairConfig => self.repair_config,
            ProposedAction::Resync => self.resync,
            ProposedAction::DeleteData => self.delete_data,
            ProposedAction::RepairCdc => self.repair_cdc,
            ProposedAction::ReregisterWebhook => self.reregister_webhook,
            // Actions that are taken without approval if they are safe are proposed if they are not.
            ProposedAction::Reenable => unless_off(self.reenable),
            ProposedAction::Reload => unless_off(self.reload),
            ProposedAction::Cancel => self.cancel,
        }
    }
}

const fn unless_off(switch: Switch) -> Proposing {
    match switch {
        Switch::Auto => Proposing::Propose,
        Switch::Off => Proposing::Off,
    }
}
