//! The status of `WarehouseSyncPolicy`: what a user reads, and what the operator must remember across restarts.
//!
//! Every list is bounded. Everything that came from `PostHog` has been redacted and capped before it is put here.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::proposal::Proposal;
pub use super::{
    action::{Action, Call, Fate},
    cause::{Confidence, RootCause, Severity},
    finding::{Affected, Finding, MAX_AFFECTED, MAX_EVIDENCE, MAX_FINDINGS},
    history::{ClosedIncident, HistoryEntry, MAX_HISTORY, Note},
    incident::{Incident, MAX_INCIDENTS, Send, Step},
    state::{
        BreakerState, FixWatch, GuardPart, Handover, LostSlot, MAX_LOST_SLOTS, MAX_MARKS,
        MAX_MISSING, MAX_OFF, MAX_ON, MAX_SENDS_REMEMBERED, MAX_SOURCES, MAX_WENT_OFF, Mark,
        Missing, RowsFell, STATE_FORMAT, SchemaState, SourceOn, SourceState, State, Suppressed,
        Tried, WentOff,
    },
};

/// What the operator found, did and remembers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WarehouseSyncPolicyStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled, Healthy, RemediationAllowed, PendingApproval, ApprovalGuardActive, and with spec.notifications Notifying. Each carries `observedGeneration`, a reason and a message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Counts at the last successful poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// What is wrong or unknown, most severe first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub findings: Vec<Finding>,
    /// How many findings did not fit into `findings`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub findings_truncated: Option<i64>,
    /// What the operator is putting right, one row for each table and cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub incidents: Vec<Incident>,
    /// What the operator would do once a person has approved it, oldest first; some that no longer wait are kept for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub proposals: Vec<Proposal>,
    /// The last ten steps that the operator took or saw, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<HistoryEntry>,
    /// What must survive a restart; not for people.
    #[serde(default, skip_serializing_if = "State::is_empty")]
    pub state: State,
    /// When PostHog was last read. Moved at most hourly, so that a dead operator shows without a write at every poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_checked_at: Option<Timestamp>,
    /// What the operator waits for, or would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<NextAction>,
}

/// Counts at the last successful poll.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Counts of the selected sources.
    pub sources: SourceCounts,
    /// Counts of the selected tables.
    pub schemas: SchemaCounts,
    /// Healthy and running tables of all that are switched on, for example 118/120.
    pub healthy_of: String,
    /// Proposals that wait for a person's approval.
    pub pending_approval: i64,
}

/// Counts of the selected sources.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceCounts {
    /// All.
    pub total: i64,
    /// Those of which no selected table is stuck, failing, billing or unknown.
    pub healthy: i64,
    /// The others.
    pub failing: i64,
}

/// Counts of the selected tables. Each table counts once, in `total` and in one other field.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SchemaCounts {
    /// All.
    pub total: i64,
    /// The last run completed.
    pub healthy: i64,
    /// A run is in progress and not stuck.
    pub running: i64,
    /// A run hangs, or the operator is putting a hung run right.
    pub stuck: i64,
    /// The last run failed.
    pub failing: i64,
    /// It says Completed, but no run has completed for several of its own intervals.
    pub stale: i64,
    /// Syncing is switched off, or was never set up.
    pub disabled: i64,
    /// PostHog's billing limit holds the table back.
    pub billing: i64,
    /// Cannot tell; also tables that wait for their first run.
    pub unknown: i64,
}

/// What the operator waits for, or would do.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NextAction {
    /// What, in a sentence.
    pub what: String,
    /// When at the latest; absent if it depends on PostHog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub when: Option<Timestamp>,
    /// The guard that holds it back; absent if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
}

impl WarehouseSyncPolicyStatus {
    /// The condition of this type, if it is there.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == type_)
    }

    /// Adds a step to the history, newest first, and drops the oldest.
    pub fn remember(&mut self, at: Timestamp, step: impl Into<Note>) {
        let Note { what, closed } = step.into();
        self.history.insert(0, HistoryEntry { at, what, closed });
        self.history.truncate(MAX_HISTORY);
    }

    /// Why the last incident of this table was closed, as far as the history reaches.
    #[must_use]
    pub fn why_closed(&self, schema_id: &str) -> Option<&str> {
        let mut closed = self
            .history
            .iter()
            .filter_map(|entry| entry.closed.as_ref());
        let closed = closed.find(|closed| closed.schema_id == schema_id)?;
        Some(&closed.why)
    }
}
