//! What can be done about a finding, the calls of which that consists, and what may become of one.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;

/// What can be done about a finding, in the operator's terms.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Cancel a run that hangs, then reload the table.
    CancelAndReload,
    /// Start a sync as it is configured.
    Reload,
    /// Hand new credentials from a Secret to PostHog.
    ApplyCredentials,
    /// Register the webhook anew, or hand it its signing secret.
    RegisterWebhook,
    /// Let PostHog read the list of tables anew. Needs approval: rows of tables that vanished are deleted.
    RefreshSchemas,
    /// Change the incremental field or set a first primary key. Needs approval.
    RepairConfig,
    /// Wipe the table and import it anew. Needs approval.
    Resync,
    /// Delete the table's data, set its keys, import it anew. Needs approval.
    DeleteData,
    /// Rebuild change data capture with new snapshots. Needs approval.
    RepairCdc,
    /// Switch tables on again. Needs approval where nobody saw PostHog switch them off.
    Reenable,
    /// Remove the webhook at the vendor and make another one. Needs approval: tables that sync by it are wiped.
    ReregisterWebhook,
}

/// A call that the operator sends to PostHog.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Cancel the running job of a table.
    Cancel,
    /// Start a sync of a table as it is configured.
    Reload,
    /// Switch a table on again that PostHog switched off.
    Enable,
}

/// What became of a call.
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
    /// Answered with a refusal that had no effect.
    Refused,
    /// Provably did not leave, or was turned away before PostHog looked at it.
    NotSent,
    /// Sent, but nobody knows what came of it.
    Unknown,
}

impl Fate {
    /// Every fate.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name, as metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
