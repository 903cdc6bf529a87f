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
        AboutRows, BreakerState, FixWatch, GuardPart, LostSlot, MAX_LOST_SLOTS, MAX_MARKS,
        MAX_MISSING, MAX_OFF, MAX_ON, MAX_SENDS_REMEMBERED, MAX_SOURCES, MAX_WENT_OFF, Mark,
        Missing, RowsFell, STATE_FORMAT, SchemaState, SentInput, SourceOn, SourceState, State,
        Suppressed, Tried, WentOff,
    },
};

/// What the operator found, did and remembers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
// By this default, kstatus (of Flux and others) calls a policy that no operator has seen yet "InProgress", not "Current".
// Atomic: each apply replaces the whole status, so that nothing in it stays that the operator no longer reports, and managed fields do not name
// each of its fields, which took a fifth of the object.
#[schemars(extend("default" = serde_json::json!({"observedGeneration": -1}), "x-kubernetes-map-type" = "atomic"))]
pub struct WarehouseSyncPolicyStatus {
    /// The `metadata.generation` that this status describes; -1 until the operator has seen the policy.
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
    /// What the operator is remediating, one entry for each table and cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub incidents: Vec<Incident>,
    /// What the operator would do once a person has approved it, oldest first. Some proposals that no longer wait are
    /// kept for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub proposals: Vec<Proposal>,
    /// The last ten actions and observations of the operator, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<HistoryEntry>,
    /// What must survive a restart; not for people.
    #[serde(default, skip_serializing_if = "State::is_empty")]
    pub state: State,
    /// When PostHog was last polled. Updated at most once an hour, so that a stopped operator is visible without a
    /// write for each poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_checked_at: Option<Timestamp>,
    /// What the operator waits for or would do next.
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
    /// Healthy and running tables out of all that are switched on, for example 118/120.
    pub healthy_of: String,
    /// Proposals that wait for a person's approval.
    pub pending_approval: i64,
    /// How many findings there are, also those that did not fit into `findings`, by cause and severity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub findings: Vec<FindingCount>,
}

/// How many findings have this cause and severity.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FindingCount {
    /// The root cause.
    pub cause: RootCause,
    /// How severe they are.
    pub severity: Severity,
    /// How many.
    pub count: i64,
}

/// Counts of the selected sources.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceCounts {
    /// All.
    pub total: i64,
    /// Sources without a selected table that is stuck, failing, billing or unknown.
    pub healthy: i64,
    /// The others.
    pub failing: i64,
}

/// Counts of the selected tables. Each table is counted in `total` and in one other field.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SchemaCounts {
    /// All.
    pub total: i64,
    /// The last run completed.
    pub healthy: i64,
    /// A run is in progress and not stuck.
    pub running: i64,
    /// A run is stuck, or the operator is remediating a stuck run.
    pub stuck: i64,
    /// The last run failed.
    pub failing: i64,
    /// The status is Completed, but no run has completed for several of the table's own intervals.
    pub stale: i64,
    /// Syncing is switched off, or was never configured.
    pub disabled: i64,
    /// PostHog's billing limit stops the table.
    pub billing: i64,
    /// The state is unknown; also tables that wait for their first run.
    pub unknown: i64,
}

/// What the operator waits for or would do next.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NextAction {
    /// What, in a sentence.
    pub what: String,
    /// Deadline; absent if it depends on PostHog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub when: Option<Timestamp>,
    /// The guard that holds it; absent if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
}

impl WarehouseSyncPolicyStatus {
    /// The condition of this type, if it exists.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == type_)
    }

    /// Adds an entry to the history, newest first, and drops the oldest.
    pub fn remember(&mut self, at: Timestamp, step: impl Into<Note>) {
        let Note { what, closed } = step.into();
        self.history.insert(0, HistoryEntry { at, what, closed });
        self.history.truncate(MAX_HISTORY);
    }

    /// Why the last incident of this table was closed, if the history still has it.
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
