//! `status.state`: what must survive a restart.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    action::Fate,
    announced::Announced,
    cause::RootCause,
    proposal::{Phase, ProposedAction},
};

/// Most sources whose last applied credentials and webhook inputs a status remembers.
pub const MAX_SOURCES: usize = 128;
/// Most tables whose progress marks are kept in a status.
pub const MAX_MARKS: usize = 256;
/// Most tables kept in a status that are no longer in PostHog's list.
pub const MAX_MISSING: usize = 100;
/// Most sends of the last hour that a status remembers.
pub const MAX_SENDS_REMEMBERED: usize = 100;
/// Most sources without their replication slot that a status remembers.
pub const MAX_LOST_SLOTS: usize = 50;
/// Most tables that a status remembers as switched on, over all sources.
pub const MAX_ON: usize = 1_000;
/// Most times that tables of a source were switched off that a status remembers.
pub const MAX_WENT_OFF: usize = 64;
/// Most tables that a status remembers as switched off, over all those times.
pub const MAX_OFF: usize = 300;
/// The newest format of [`State`] that this binary knows. It is raised when an older binary, which drops unknown fields
/// when it writes, could do harm by that: forget a call that was sent, or a guard.
pub const STATE_FORMAT: i64 = 1;

/// What must survive a restart.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// Format of this state; absent means 1. An operator that knows only older formats does not touch the policy, and
    /// reports that in an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1))]
    pub format: Option<i64>,
    /// One entry for each table with something to remember.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub schemas: Vec<SchemaState>,
    /// One entry for each source to which credentials, webhook inputs or a webhook registration were sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub sources: Vec<SourceState>,
    /// Tables that are no longer in PostHog's list. Kept for a day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub missing: Vec<Missing>,
    /// The tables that are switched on, by source. After a restart they show what was switched off in the meantime.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub on: Vec<SourceOn>,
    /// Tables that were observed to be switched off, and are still off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub went_off: Vec<WentOff>,
    /// When calls were sent in the last hour, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>", length(max = 100))]
    pub sends: Vec<Timestamp>,
    /// The value of the annotation `reconcile.warehousesync.dev/resetAt` that last took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_handled: Option<String>,
    /// The value of the annotation `reconcile.warehousesync.dev/requestedAt` for which PostHog was last polled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_handled: Option<String>,
    /// The circuit breaker; absent while it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerState>,
    /// Sources that lack their replication slot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub lost_slots: Vec<LostSlot>,
    /// The admission policies and bindings that were in force when approvals were last trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub guard: Vec<GuardPart>,
    /// What is not proposed again for a while, because it was denied, executed, or failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub suppressed: Vec<Suppressed>,
    /// Since when PostHog has listed no sources although there were some before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub empty_since: Option<Timestamp>,
    /// What the receivers of `spec.notifications` have been sent, and what is still to be sent.
    #[serde(skip_serializing_if = "Announced::is_empty")]
    pub announced: Announced,
}

impl State {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            format,
            schemas,
            sources,
            missing,
            on,
            went_off,
            sends,
            reset_handled,
            poll_handled,
            breaker,
            lost_slots,
            guard,
            suppressed,
            empty_since,
            announced,
        } = self;
        format.is_none()
            && schemas.is_empty()
            && sources.is_empty()
            && sends.is_empty()
            && reset_handled.is_none()
            && poll_handled.is_none()
            && breaker.is_none()
            && missing.is_empty()
            && on.is_empty()
            && went_off.is_empty()
            && lost_slots.is_empty()
            && guard.is_empty()
            && suppressed.is_empty()
            && empty_since.is_none()
            && announced.is_empty()
    }
}

/// An action that is not proposed again for a while.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Suppressed {
    /// Id of the source in PostHog.
    pub source_id: String,
    /// Id of the table in PostHog; absent for an action on the whole source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<String>,
    /// The action that is not proposed.
    pub action: ProposedAction,
    /// The cause for which it is not proposed.
    pub cause: RootCause,
    /// How the proposal ended.
    pub phase: Phase,
    /// When it ended.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// The job that it started, if any: the result of that job is not a new finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// An admission policy or a binding, as it was when approvals were last trusted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct GuardPart {
    /// Its kind and name, for example ValidatingAdmissionPolicy/approvals.
    #[schemars(length(max = 300))]
    pub name: String,
    /// Its metadata.uid, which changes when it is deleted and recreated.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Its metadata.generation, which changes when it is altered and restored.
    pub generation: i64,
}

/// What is remembered about one table.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SchemaState {
    /// Id of the table in PostHog.
    pub id: String,
    /// Progress of its run when it last changed; absent if no run is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Mark>,
    /// When PostHog was observed to switch syncing off because of a failure; absent if it is unknown who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub disabled_seen: Option<Timestamp>,
    /// When the table was observed to be switched on or to get another interval; absent once its first run is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub rescheduled: Option<Timestamp>,
    /// Since when the table has been observed to be switched on without any completed sync; absent once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub waiting: Option<Timestamp>,
    /// A decrease of its rows to less than half within one sync; absent once they are back, and after a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_fell: Option<RowsFell>,
    /// How many attempts the operator has made in closed incidents of the table since it was last healthy; absent if
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Tried>,
    /// When the operator last reloaded this fully synced table because it was stale; absent after a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub reloaded_in_full: Option<Timestamp>,
    /// When the operator last cancelled a run of the table without approval; absent once a later run has completed.
    /// Until then it cancels no other run of the table without approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub cancelled: Option<Timestamp>,
    /// Since when the next run may delete the table's rows, because a call that requests this was answered with an
    /// error or not at all; absent once a later run has completed.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "poisoned")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub reset_pending_since: Option<Timestamp>,
    /// The last request for this table that led to a proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_handled: Option<String>,
    /// How to see whether the problem for which PostHog switched this table off has been fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<FixWatch>,
}

/// A decrease of the rows of a table.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RowsFell {
    /// Rows before.
    pub before: i64,
    /// When fewer were first seen.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
}

/// Attempts that did not make a table healthy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// How many were started.
    pub attempts: i64,
    /// Since when the table has been healthy; absent while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub healthy_since: Option<Timestamp>,
}

/// How to see whether the problem for which PostHog switched a table off has been fixed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FixWatch {
    /// How often the source was checked.
    pub tries: i64,
    /// When the source was last checked.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub asked: Timestamp,
    /// When the source last refused; absent if it never did: then an answer does not prove a fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub refused: Option<Timestamp>,
    /// Since when the problem has appeared to be fixed; absent while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "mended")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub fixed_since: Option<Timestamp>,
    /// Fingerprint of the primary key at the failure; absent if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Fingerprint of the key that the source declared then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected: Option<String>,
}

impl SchemaState {
    /// An entry that remembers nothing yet.
    #[must_use]
    pub const fn of(id: String) -> Self {
        Self {
            id,
            marks: None,
            disabled_seen: None,
            rescheduled: None,
            waiting: None,
            rows_fell: None,
            tried: None,
            reloaded_in_full: None,
            cancelled: None,
            reset_pending_since: None,
            request_handled: None,
            fix: None,
        }
    }

    /// Adds the fields that only another entry of the same table has.
    pub fn complete(&mut self, other: Self) {
        let Self {
            id: _,
            marks,
            disabled_seen,
            rescheduled,
            waiting,
            rows_fell,
            tried,
            reloaded_in_full,
            cancelled,
            reset_pending_since,
            request_handled,
            fix,
        } = other;
        self.marks = self.marks.take().or(marks);
        self.disabled_seen = self.disabled_seen.or(disabled_seen);
        self.rescheduled = self.rescheduled.or(rescheduled);
        self.waiting = self.waiting.or(waiting);
        self.rows_fell = self.rows_fell.take().or(rows_fell);
        self.tried = self.tried.take().or(tried);
        self.reloaded_in_full = self.reloaded_in_full.or(reloaded_in_full);
        self.cancelled = self.cancelled.or(cancelled);
        self.reset_pending_since = self.reset_pending_since.or(reset_pending_since);
        self.request_handled = self.request_handled.take().or(request_handled);
        self.fix = self.fix.take().or(fix);
    }
}

/// What was sent to PostHog for one source.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceState {
    /// Id of the source in PostHog.
    pub id: String,
    /// The credentials that were applied last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SentInput>,
    /// The inputs of the webhook that were pushed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_inputs: Option<SentInput>,
    /// The last registration of its webhook; absent once the webhook is observed to exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<SentInput>,
}

/// Something that is sent to PostHog once. Written before it is sent, so that a crash cannot hide it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SentInput {
    /// An HMAC of the Secret's values, keyed with the API key. The same values are not sent twice.
    pub hmac: String,
    /// When sending began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Outcome of the call; absent until it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
    /// The answer or the connection error, without secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Whether PostHog has since shown that it has it. If it no longer does, the same values are sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
}

/// The circuit breaker, which starts nothing while many sources fail at once.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BreakerState {
    /// When it opened.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub open_since: Timestamp,
    /// When one table was last tried; absent before the first trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub trial_at: Option<Timestamp>,
    /// How many sources failed, out of how many, and since when, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A source whose database has no replication slot.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LostSlot {
    /// Id of the source in PostHog.
    pub source_id: String,
    /// When the slot was first found missing.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
}

/// The tables of a source that are switched on.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SourceOn {
    /// Id of the source in PostHog.
    pub source_id: String,
    /// How many of its tables are on.
    pub count: i64,
    /// The last eight characters of the ids of these tables; not all if there are too many.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tables: String,
}

impl SourceOn {
    /// The part of a table's id that is remembered.
    #[must_use]
    pub fn short(id: &str) -> &str {
        let from = id.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
        &id[from..]
    }
}

/// Tables of one source that were switched off between the same two polls, and are still off.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WentOff {
    /// Id of the source in PostHog.
    pub source_id: String,
    /// The last poll that saw them on; absent if the operator was not running then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub after: Option<Timestamp>,
    /// The first poll that saw them off.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub by: Timestamp,
    /// How many there were.
    pub count: i64,
    /// Whether no table of the source was switched on after that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Whether the source was found to lack them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// Ids of those that are still off; not all if there are too many.
    pub schema_ids: Vec<String>,
}

/// A table that is no longer in PostHog's list.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// Id of the table in PostHog.
    pub schema_id: String,
    /// Name of the table in PostHog.
    pub schema: String,
    /// Id of the source in PostHog.
    pub source_id: String,
    /// Name of the source.
    pub source: String,
    /// When it was first missing.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// Number of polls in which it was missing, counted up to three.
    pub polls: i64,
}

/// Progress of a run when it last changed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// The newest job; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Whether that job was running. False: the table is in status Running without a running job.
    pub running: bool,
    /// Rows that the job had synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub rows: Option<i64>,
    /// Time stamp of the newest line in the run's log, by PostHog's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub log_at: Option<Timestamp>,
    /// Since when nothing has changed, by the operator's clock.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_names_of_earlier_builds_are_still_read() {
        let at = "2026-10-01T00:00:00Z";
        let fix = json!({"tries": 1, "asked": at, "mended": at});
        let mut row = json!({"id": "a", "fix": fix});
        row["poisoned"] = json!(at);
        let row: SchemaState = serde_json::from_value(row).unwrap();
        assert!(row.reset_pending_since.is_some());
        assert!(row.fix.unwrap().fixed_since.is_some());
    }
}
