//! Actions for findings, the calls that they consist of, and the outcomes of calls.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;

/// An action for a finding.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Cancel a stuck run, then reload the table.
    CancelAndReload,
    /// Start a sync with its current configuration.
    Reload,
    /// Apply new credentials from a Secret to the source.
    ApplyCredentials,
    /// Register the webhook again, or push its signing secret.
    RegisterWebhook,
    /// Let PostHog reread the list of tables. Needs approval: rows of tables that no longer exist are deleted.
    RefreshSchemas,
    /// Change the incremental field or set a first primary key. Needs approval.
    RepairConfig,
    /// Delete the table's rows and import it from the beginning. Needs approval.
    Resync,
    /// Delete the table's data, set its keys, and import it from the beginning. Needs approval.
    DeleteData,
    /// Rebuild change data capture with new snapshots. Needs approval.
    RepairCdc,
    /// Switch tables on again. Needs approval unless PostHog was observed to switch them off.
    Reenable,
    /// Delete the webhook at the vendor and create another one. Needs approval: the rows of tables that sync by it are
    /// deleted.
    ReregisterWebhook,
}

/// A call that the operator sends to PostHog.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Cancel the running job of a table.
    Cancel,
    /// Start a sync of a table with its current configuration.
    Reload,
    /// Switch a table on again that PostHog switched off.
    Enable,
}

/// The outcome of a call.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum Fate {
    /// Answered with 2xx.
    Accepted,
    /// Refused, without effect.
    Refused,
    /// Proved not to have been sent, or rejected before PostHog processed it.
    NotSent,
    /// Sent, but its effect is unknown.
    Unknown,
}

impl Fate {
    /// Every outcome.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name, as metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
