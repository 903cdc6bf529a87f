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
use strum::{EnumMessage as _, VariantArray as _};

use super::{
    notification::Announced,
    proposal::{Phase, Proposal, ProposedAction},
};

/// Most sources of which a status remembers what was handed over.
pub const MAX_SOURCES: usize = 128;
/// Most findings kept in a status; `findingsTruncated` counts the rest.
pub const MAX_FINDINGS: usize = 50;
/// Most incidents kept in a status. When full, nothing new starts.
pub const MAX_INCIDENTS: usize = 256;
/// Most tables whose progress marks are kept in a status.
pub const MAX_MARKS: usize = 256;
/// Most tables kept in a status of those that have left PostHog's list.
pub const MAX_MISSING: usize = 100;
/// Most sends of the last hour that a status remembers.
pub const MAX_SENDS_REMEMBERED: usize = 100;
/// Most sources without their replication slot that a status remembers.
pub const MAX_LOST_SLOTS: usize = 50;
/// Most names of affected tables in a finding.
pub const MAX_AFFECTED: usize = 20;
/// Most facts in a finding.
pub const MAX_EVIDENCE: usize = 8;
/// Most entries of the history.
pub const MAX_HISTORY: usize = 10;

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

/// Why something is not as desired. A closed list: each cause has a row in every table that is kept by cause.
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
    PartialOrd,
    Ord,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::EnumMessage,
)]
pub enum RootCause {
    /// The source rejects the user name, password, key or token.
    CredentialsInvalid,
    /// The source knows who asks and does not allow it.
    PermissionDenied,
    /// The account that was connected in PostHog has gone or was revoked.
    IntegrationMissing,
    /// The SSH tunnel to the source cannot be set up.
    SshTunnel,
    /// The source cannot be reached: name, route, firewall, allowlist.
    NetworkUnreachable,
    /// An encrypted connection to the source cannot be set up.
    TlsFailure,
    /// The table has no primary key to sync incrementally on.
    PrimaryKeyMissing,
    /// The table's primary key is not unique.
    PrimaryKeyDuplicate,
    /// A column that the sync depends on has gone or was renamed.
    SchemaDrift,
    /// The table has gone from the source or was renamed.
    TableMissing,
    /// A table or a column has gone from the source; not known which.
    SourceObjectMissing,
    /// Change data capture cannot go on: publication, settings or stream.
    CdcBroken,
    /// The replication slot was lost, and with it the place in the log.
    CdcSlotLost,
    /// PostHog's billing limit was reached. Not a technical failure.
    BillingLimit,
    /// A quota, plan or bill at the vendor holds the source back.
    VendorQuota,
    /// The webhook channel does not deliver.
    WebhookBroken,
    /// The source asks to be called less often.
    RateLimited,
    /// A passing trouble of the source: trying again is the cure.
    Transient,
    /// A passing trouble inside PostHog.
    PlatformInternal,
    /// Many sources turned bad at once: PostHog itself is the likely cause.
    PlatformOutage,
    /// A value or a column's type does not fit what is stored.
    DataTypeMismatch,
    /// The source or its connection is set up in a way that cannot work.
    SourceConfig,
    /// The source cut a query off because it took too long.
    SourceTimeout,
    /// Somebody stopped the run in PostHog. Not a failure.
    OperatorAction,
    /// A run in Running that makes no progress, or a table that says Running without a run.
    Stuck,
    /// No sync has completed for several of the table's own intervals.
    Stale,
    /// Rows were lost in a resync.
    RowLoss,
    /// A data check of the policy did not hold.
    DataCheckFailed,
    /// A person asked for an action.
    Requested,
    /// A new table that nobody has set up. Information.
    NotConfigured,
    /// The table has left PostHog's list; the key may no longer see it.
    NotVisible,
    /// Not known, or not to be told from what PostHog says.
    Unknown,
}

impl RootCause {
    /// What it means, in a sentence; the same as `kubectl explain` shows.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        let sentence = self.get_documentation().unwrap_or_default();
        sentence.trim_end_matches('.')
    }

    /// Its name, as status and metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Every cause.
    pub const ALL: &'static [Self] = Self::VARIANTS;
}

/// How bad a finding is. Ordered: the worst is the smallest.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
)]
pub enum Severity {
    /// Data is not arriving.
    Error,
    /// Somebody should look.
    Warning,
    /// Good to know.
    Info,
}

/// How sure the operator is of a finding's cause.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Rests on a structured signal.
    High,
    /// Rests on a text or on one sign of several.
    Medium,
    /// A guess, or no cause at all.
    Low,
}

/// Something that is not as desired, and what comes next.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The source, for example `Postgres prod`; `PostHog` for what concerns the whole project.
    pub source: String,
    /// Id of the source in PostHog; absent for what concerns the whole project.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source_id: String,
    /// Name of the table in PostHog; absent for what concerns the source as a whole, see `affected`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// Id of the table in PostHog; absent for what concerns the source as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema_id: String,
    /// Why.
    pub cause: RootCause,
    /// How bad.
    pub severity: Severity,
    /// How sure the operator is of the cause.
    pub confidence: Confidence,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The rule that named the cause, for example `postgres/password` or `status/billing`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// The facts that this rests on, redacted and capped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub evidence: Vec<String>,
    /// Which tables suffer from it; absent if it is only the table that the finding names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected: Option<Affected>,
    /// Since when, as far as the operator knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
    /// What a person should do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// The operator's action that fits; absent if only a person can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// What the operator does next, or would do, or why nothing.
    pub next_action: String,
}

impl Finding {
    /// What it is about: source and table, or the source alone.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.source, self.schema)
            .trim_end()
            .to_owned()
    }

    /// Id of what it is about.
    #[must_use]
    pub fn subject_id(&self) -> &str {
        if self.schema_id.is_empty() {
            &self.source_id
        } else {
            &self.schema_id
        }
    }
}

/// The tables that suffer from a finding.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Affected {
    /// How many.
    pub count: i64,
    /// The names of the first twenty.
    #[schemars(length(max = 20))]
    pub schemas: Vec<String>,
}

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

/// Where an incident stands.
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
pub enum Step {
    /// The table is being switched on again.
    Enabling,
    /// The cancel is being sent.
    Cancelling,
    /// Waiting until the cancelled job has ended.
    WaitTerminal,
    /// Waiting, because a run started right after a cancel is skipped.
    Settle,
    /// The reload is being sent.
    Reloading,
    /// Waiting until PostHog shows a new job.
    WaitNewJob,
    /// Waiting until the new job ends.
    WaitSuccess,
    /// Waiting before the next attempt, because the new run failed as well.
    BackOff,
    /// A new job completed; kept until the table was healthy for `healthyFor`.
    Recovered,
    /// The operator is at its end: a human is needed.
    Escalated,
}

impl Step {
    /// Every step.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name, as status and metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One thing that the operator is putting right.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// Id of the table in PostHog.
    pub schema_id: String,
    /// Name of the table in PostHog.
    pub schema: String,
    /// Name of the source.
    pub source: String,
    /// Id of the source in PostHog.
    pub source_id: String,
    /// Why the incident was opened.
    pub cause: RootCause,
    /// Where it stands.
    pub step: Step,
    /// Which try this is, from 1.
    pub attempt: i64,
    /// The job that hung; absent if the table said Running without a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// The newest job when the attempt began: a newer one is what the operator waits for. Absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_job_id: Option<String>,
    /// The job that the reload brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_job_id: Option<String>,
    /// When the incident was opened.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub opened_at: Timestamp,
    /// When the present step began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub step_since: Timestamp,
    /// When the present step is given up; absent if it may last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub deadline: Option<Timestamp>,
    /// Since when the table has been healthy again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub healthy_since: Option<Timestamp>,
    /// What was sent in this attempt, oldest first. Written before the sending, so that a crash cannot hide it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub sends: Vec<Send>,
    /// What was seen last, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A call that the operator sends to PostHog.
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
pub enum Call {
    /// Cancel the running job of a table.
    Cancel,
    /// Start a sync of a table as it is configured.
    Reload,
    /// Switch a table on again that PostHog switched off.
    Enable,
}

impl Call {
    /// Every call.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// A bounded name, for metrics and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
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

/// One call of an incident.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Send {
    /// Which call.
    pub call: Call,
    /// When it was about to be sent.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// What became of it; absent until the answer is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
    /// The HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub http_status: Option<i64>,
    /// What PostHog or the connection said, redacted and capped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A step that the operator took or saw.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What, in a sentence.
    pub what: String,
}

/// The newest format of [`State`] that this binary knows. It is raised when an older binary, which drops what it does not know when
/// it writes, could do harm by that: forget a step that was taken, or a guard.
pub const STATE_FORMAT: i64 = 1;

/// What must survive a restart.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// Format of what is remembered here; absent means 1. An operator that knows only older formats leaves the policy alone, and says
    /// so in an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1))]
    pub format: Option<i64>,
    /// One row for each table of which something must be remembered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub schemas: Vec<SchemaState>,
    /// One row for each source that was handed something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub sources: Vec<SourceState>,
    /// Tables that have left PostHog's list. Kept for a day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub missing: Vec<Missing>,
    /// When calls were sent in the last hour, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>", length(max = 100))]
    pub sends: Vec<Timestamp>,
    /// The value of the annotation `reconcile.warehousesync.dev/resetAt` that was last acted upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_handled: Option<String>,
    /// The value of the annotation `reconcile.warehousesync.dev/requestedAt` for which PostHog was last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_handled: Option<String>,
    /// The breaker; absent while it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerState>,
    /// Sources that lack their replication slot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub lost_slots: Vec<LostSlot>,
    /// The admission policies and bindings that were in force when approvals were last believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub guard: Vec<GuardPart>,
    /// What is not proposed again for a while, because it was denied, or done, or failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub suppressed: Vec<Suppressed>,
    /// Since when PostHog has listed no source although there were some.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub empty_since: Option<Timestamp>,
    /// What the receivers of `spec.notifications` were told, and are still to be told.
    #[serde(skip_serializing_if = "Announced::is_empty")]
    pub announced: Announced,
}

impl State {
    fn is_empty(&self) -> bool {
        let Self {
            format,
            schemas,
            sources,
            missing,
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
            && lost_slots.is_empty()
            && guard.is_empty()
            && suppressed.is_empty()
            && empty_since.is_none()
            && announced.is_empty()
    }
}

/// Something that is not proposed again for a while.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Suppressed {
    /// Id of the source in PostHog.
    pub source_id: String,
    /// Id of the table in PostHog; absent for what is done to the source as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<String>,
    /// What is not proposed.
    pub action: ProposedAction,
    /// For which cause.
    pub cause: RootCause,
    /// How the proposal ended.
    pub phase: Phase,
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// The job that came of it, if there was one: what it shows is no news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// An admission policy or a binding, as it was.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct GuardPart {
    /// Its kind and name, for example ValidatingAdmissionPolicy/approvals.
    #[schemars(length(max = 300))]
    pub name: String,
    /// Its metadata.uid: one that was deleted and made anew has another.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Its metadata.generation: one that was altered and put back has another.
    pub generation: i64,
}

/// What is remembered of one table.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SchemaState {
    /// Id of the table in PostHog.
    pub id: String,
    /// How far its run was when it was last seen to move; absent if it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Mark>,
    /// When PostHog was seen to switch syncing off because of a failure; absent if nobody saw who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub disabled_seen: Option<Timestamp>,
    /// When the table was seen to be switched on or given another interval; absent once its first run is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub rescheduled: Option<Timestamp>,
    /// When the operator last reloaded the table in full because it was stale; absent after a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub reloaded_in_full: Option<Timestamp>,
    /// When the operator last cancelled a run of the table by itself; absent once a later run has completed. Until then it cancels no
    /// other run of the table without approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub cancelled: Option<Timestamp>,
    /// Since when the next run may wipe the table, because a call that arms a reset was answered with an error or not at all;
    /// absent once a later run has completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub poisoned: Option<Timestamp>,
    /// The last request of a person for this table that led to a proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_handled: Option<String>,
    /// Of a table that PostHog was seen to switch off: what tells whether that was mended since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<FixWatch>,
}

/// What tells whether somebody has mended what PostHog switched a table off for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FixWatch {
    /// How often it was looked for.
    pub tries: i64,
    /// When it was looked for last.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub asked: Timestamp,
    /// When the source last refused; absent if it never did, and then an answer proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub refused: Option<Timestamp>,
    /// Since when it has looked mended; absent while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub mended: Option<Timestamp>,
    /// What tells the primary key at the failure from another; absent if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The same of the key that the source declared then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected: Option<String>,
}

impl SchemaState {
    /// A row that remembers nothing yet.
    #[must_use]
    pub const fn of(id: String) -> Self {
        Self {
            id,
            marks: None,
            disabled_seen: None,
            rescheduled: None,
            reloaded_in_full: None,
            cancelled: None,
            poisoned: None,
            request_handled: None,
            fix: None,
        }
    }

    /// Takes over what another row of the same table knows beside.
    pub fn complete(&mut self, other: Self) {
        let Self {
            id: _,
            marks,
            disabled_seen,
            rescheduled,
            reloaded_in_full,
            cancelled,
            poisoned,
            request_handled,
            fix,
        } = other;
        self.marks = self.marks.take().or(marks);
        self.disabled_seen = self.disabled_seen.or(disabled_seen);
        self.rescheduled = self.rescheduled.or(rescheduled);
        self.reloaded_in_full = self.reloaded_in_full.or(reloaded_in_full);
        self.cancelled = self.cancelled.or(cancelled);
        self.poisoned = self.poisoned.or(poisoned);
        self.request_handled = self.request_handled.take().or(request_handled);
        self.fix = self.fix.take().or(fix);
    }
}

/// What was handed to PostHog for one source.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceState {
    /// Id of the source in PostHog.
    pub id: String,
    /// The credentials that were handed over last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Handover>,
    /// The inputs of the webhook that were pushed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_inputs: Option<Handover>,
    /// The last registration of its webhook; absent once the webhook is seen to be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Handover>,
}

/// Something that was handed to PostHog once. Written before the sending, so that a crash cannot hide it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Handover {
    /// What it was: an HMAC of the Secret's values, keyed with the API key. The same is not handed over twice.
    pub hmac: String,
    /// When it was about to be sent.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What became of it; absent until the answer is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
    /// What PostHog or the connection said, without secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The breaker, which stops the operator while many sources fail at once.
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
    /// How many sources turned bad, of how many, and since when, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A source whose database was found without the replication slot.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LostSlot {
    /// Id of the source in PostHog.
    pub source_id: String,
    /// When the slot was first missed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
}

/// A table that has left PostHog's list.
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
    /// When it was first missed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// Polls in which it was missing, counted up to three.
    pub polls: i64,
}

/// How far a run was when it was last seen to move.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// The newest job; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Whether that job was running. False: the table says Running without a running job.
    pub running: bool,
    /// Rows that the job had synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub rows: Option<i64>,
    /// Time stamp of the newest line in the run's log, by PostHog's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub log_at: Option<Timestamp>,
    /// Since when nothing has moved, by the operator's clock.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
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
    pub fn remember(&mut self, at: Timestamp, what: String) {
        self.history.insert(0, HistoryEntry { at, what });
        self.history.truncate(MAX_HISTORY);
    }
}
