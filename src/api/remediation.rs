//! `spec.remediation`: what the operator may do by itself.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{limits::LimitsSpec, proposal::ProposedAction, window::WindowSpec};

/// What the operator may do by itself in mode Enforce.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Remediation {
    /// Auto (default): cancel a run that died while it read from its source, then reload the table; propose the cancel of a run that is
    /// silent in another phase; reload a table that says Running without a run. Propose: propose every cancel. "Off": report. Write
    /// "Off" in quotes, because YAML reads a bare Off as false.
    #[serde(default)]
    pub cancel_stuck: CancelStuck,
    /// Auto (default): reload a table whose run failed for a passing reason (Transient, RateLimited, PlatformInternal), after a
    /// pause, and one whose change data capture was mended. "Off": report.
    #[serde(default)]
    pub reload_transient: Switch,
    /// Auto (default): reload a table that is stale (severity Error) once; one that is synced in full at most once a day,
    /// because that costs rows. "Off": report.
    #[serde(default)]
    pub reload_stale: Switch,
    /// Propose (default): where a table has gone from its source, propose to let PostHog read the source's list of tables
    /// anew, which deletes what it has of tables that vanished. "Off": report.
    #[serde(default)]
    pub refresh_schemas: Proposing,
    /// Propose (default): where the incremental field has gone, or a table has no primary key, propose the one that fits.
    /// "Off": report.
    #[serde(default)]
    pub repair_config: Proposing,
    /// Propose (default): where data is bad or no longer fits, propose to wipe the table and import it anew. "Off": report.
    #[serde(default)]
    pub resync: Proposing,
    /// Propose (default): where the primary key of a table is not unique, propose to delete its data, set another key and
    /// import it anew. "Off": report.
    #[serde(default)]
    pub delete_data: Proposing,
    /// Propose (default): where a replication slot was lost and PostHog has not made it anew, propose to rebuild change data
    /// capture, which imports every captured table anew. "Off": report.
    #[serde(default)]
    pub repair_cdc: Proposing,
    /// Propose (default): where the vendor has switched a webhook off and its tables can be synced without one, propose to
    /// remove it and make another one, which wipes the tables that sync by it. "Off": report.
    #[serde(default)]
    pub reregister_webhook: Proposing,
    /// Auto (default): when a source rejects its credentials and the Secret that `spec.credentials` names has changed, hand it
    /// to PostHog once and reload the tables. "Off": report.
    #[serde(default)]
    pub apply_credentials: Switch,
    /// Auto (default): after a proved fix, switch those tables on again that PostHog was seen to switch off. "Off": report.
    #[serde(default)]
    pub reenable_after_fix: Switch,
    /// Auto (default): register a webhook that PostHog or the vendor certainly lacks, once, and push `webhookInputs` when their
    /// Secret has changed. "Off": report.
    #[serde(default)]
    pub register_webhook: Switch,
    /// When the operator may start something. What it has started it ends. Only Deny windows: always but then. Any Allow
    /// window: only then. Deny wins. Empty (default): always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<WindowSpec>,
    /// How much the operator may do at once and again.
    #[serde(default)]
    pub limits: LimitsSpec,
}

/// Whether stuck runs are cancelled.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelStuck {
    /// Cancel what is certainly dead, propose the rest.
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

/// Whether a safe action is taken without asking.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// Do it.
    #[default]
    Auto,
    /// Only report.
    Off,
}

/// Whether an action that could cost data is proposed. It is never taken without a person's approval. Write "Off" in quotes,
/// because YAML reads a bare Off as false.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proposing {
    /// Propose it.
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
            // What is done without asking where it is safe is proposed where it is not.
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
