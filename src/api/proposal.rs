//! Proposals: what the operator would do and may not without a person, as status shows it.
//!
//! Plain data. Nothing here can be sent: there is no way from a proposal to a call.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;

use super::{
    action::{Action, Fate},
    cause::RootCause,
};

/// Most proposals kept in a status. When all of them wait for an answer, nothing new is proposed.
pub const MAX_PROPOSALS: usize = 32;
/// Most columns of a primary key.
pub const MAX_KEY_COLUMNS: usize = 16;
/// Longest name of a column, in characters.
pub const MAX_COLUMN: usize = 128;

/// What is proposed. Its two letters begin the proposal's id.
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
)]
pub enum ProposedAction {
    /// rf: let PostHog read the source's list of tables anew.
    RefreshSchemas,
    /// cf: change the incremental field, or set a first primary key.
    RepairConfig,
    /// rs: wipe the table and import it anew.
    Resync,
    /// dd: delete the table's data, set its primary key, import it anew.
    DeleteData,
    /// rc: make slot and publication anew and import every captured table anew.
    RepairCdc,
    /// re: switch tables of a source on again that are off, and of which nobody saw who did that.
    Reenable,
    /// rl: start a sync of a table that may be wiped by it, because an earlier call may have armed that.
    Reload,
    /// rw: remove the webhook at the vendor and make another one; tables that sync by it are wiped.
    ReregisterWebhook,
    /// ca: cancel a run that shows no sign of life and may be loading all the same, then reload the table.
    Cancel,
}

impl ProposedAction {
    /// Every action.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The two letters with which the ids of its proposals begin.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RefreshSchemas => "rf",
            Self::RepairConfig => "cf",
            Self::Resync => "rs",
            Self::DeleteData => "dd",
            Self::RepairCdc => "rc",
            Self::Reenable => "re",
            Self::Reload => "rl",
            Self::ReregisterWebhook => "rw",
            Self::Cancel => "ca",
        }
    }

    /// Its name, as status and metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The field of `spec.remediation` that switches it off.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::RefreshSchemas => "refreshSchemas",
            Self::RepairConfig => "repairConfig",
            Self::Resync => "resync",
            Self::DeleteData => "deleteData",
            Self::RepairCdc => "repairCdc",
            Self::Reenable => "reenableAfterFix",
            Self::Reload => "reloadTransient",
            Self::ReregisterWebhook => "reregisterWebhook",
            Self::Cancel => "cancelStuck",
        }
    }

    /// The same, as findings name it.
    #[must_use]
    pub const fn of_finding(self) -> Action {
        match self {
            Self::RefreshSchemas => Action::RefreshSchemas,
            Self::RepairConfig => Action::RepairConfig,
            Self::Resync => Action::Resync,
            Self::DeleteData => Action::DeleteData,
            Self::RepairCdc => Action::RepairCdc,
            Self::Reenable => Action::Reenable,
            Self::Reload => Action::Reload,
            Self::ReregisterWebhook => Action::ReregisterWebhook,
            Self::Cancel => Action::CancelAndReload,
        }
    }
}

/// Where a proposal stands.
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
)]
pub enum Phase {
    /// A person has to say yes or no.
    AwaitingApproval,
    /// A person said yes; it is done as soon as every check right before it says the same.
    Approved,
    /// Its calls are being sent.
    Executing,
    /// All calls were taken; the proof that they did what they should is awaited.
    Verifying,
    /// It is proved to be done.
    Executed,
    /// PostHog refused it, and nothing has changed.
    Failed,
    /// Nobody knows how far it came. It is never sent again; another proposal needs another approval.
    OutcomeUnknown,
    /// A person said no. Not proposed again until the finding has cleared.
    Denied,
    /// Nobody answered in time, or its time after the approval has run out. Proposed again, with another id, as long as the
    /// finding holds.
    Expired,
    /// What it was for has gone, or the policy no longer wants it.
    Withdrawn,
    /// What would be done, or to what, has changed: another proposal takes its place.
    Superseded,
}

impl Phase {
    /// Its name, as status and metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// True from the approval to the end of it.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Approved | Self::Executing | Self::Verifying)
    }

    /// True for a phase that nothing follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::AwaitingApproval | Self::Approved | Self::Executing | Self::Verifying => false,
            Self::Executed
            | Self::Failed
            | Self::OutcomeUnknown
            | Self::Denied
            | Self::Expired
            | Self::Withdrawn
            | Self::Superseded => true,
        }
    }
}

/// Whether data can be lost. In this order, so that the worst is the greatest.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum LosesData {
    /// It cannot.
    No,
    /// It can.
    Maybe,
    /// It is.
    Yes,
}

/// Something that the operator would do once a person has approved it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Two letters for the action and 26 characters of the SHA-256 of `material`, in base32: what is approved is exactly what
    /// the material says. Anything else in it has another id.
    #[schemars(length(min = 29, max = 29))]
    pub id: String,
    /// What is proposed.
    pub action: ProposedAction,
    /// What it would be done to.
    pub target: Target,
    /// What would be done, in words, one after the other.
    #[schemars(length(max = 6))]
    pub steps: Vec<String>,
    /// All that the id is made of. Nothing of it changes while the proposal stands.
    pub material: Material,
    /// The finding that it is for, as it was when the proposal was made.
    pub reason: String,
    /// The facts that the finding rested on then, redacted and capped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub evidence: Vec<String>,
    /// What it could cost.
    pub impact: Impact,
    /// The command that approves it, ready to paste.
    pub approve_command: String,
    /// The command that denies it; the reason is still to be written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deny_command: String,
    /// When it was made.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub created_at: Timestamp,
    /// When it is given up without an answer.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub expires_at: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// Why it stands where it does; absent while it waits for an answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 400))]
    pub message: String,
    /// Who said yes; absent while nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalSeen>,
    /// What was sent, and what came of it; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution>,
}

impl Proposal {
    /// True while a person may say yes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::AwaitingApproval
    }

    /// Takes note of an approval.
    pub fn approves(&mut self, seen: ApprovalSeen) {
        self.phase = Phase::Approved;
        self.message.clear();
        self.approval = Some(seen);
    }

    /// True if nothing more comes of it.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.phase.is_terminal()
    }

    /// What it is about, for people: the table, or the source alone.
    #[must_use]
    pub fn title(&self) -> &str {
        if self.target.schema.is_empty() {
            &self.target.source
        } else {
            &self.target.schema
        }
    }

    /// The steps of it that were begun.
    #[must_use]
    pub fn begun(&self) -> &[ExecutedStep] {
        let execution = self.execution.as_ref();
        execution.map_or(&[], |execution| &execution.steps)
    }

    /// Id of what it is about.
    #[must_use]
    pub fn subject_id(&self) -> &str {
        if self.target.schema_id.is_empty() {
            &self.target.source_id
        } else {
            &self.target.schema_id
        }
    }
}

/// An approval as the operator saw it, and keeps it whatever becomes of the annotation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalSeen {
    /// The value of the annotation: the user name of who approved, or `on-behalf:` and a name.
    #[schemars(length(max = 256))]
    pub by: String,
    /// True if the API server made sure that the name is the user's own. False for `on-behalf:`, where whoever may write to git
    /// says whose approval it is.
    pub verified: bool,
    /// When the operator saw it.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub observed_at: Timestamp,
}

/// What was done for an approved proposal.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// Names this one execution: written down before the first call, and never used again.
    pub intent_id: String,
    /// The newest job of the table before the first call; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_before: Option<String>,
    /// Rows of the table before the first call; absent if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub rows_before: Option<i64>,
    /// Rows of the table after the proof; absent before, or if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub rows_after: Option<i64>,
    /// The job that came of it; absent until it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_job: Option<String>,
    /// Until when the proof must have come; absent while a job is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub deadline: Option<Timestamp>,
    /// Polls since the last call that could have shown the proof and did not.
    #[serde(default, skip_serializing_if = "crate::api::proposal::is_zero")]
    #[schemars(with = "i64", range(min = 0, max = 1000))]
    pub polls: u32,
    /// The calls so far, one for each step that was begun.
    #[schemars(length(max = 6))]
    pub steps: Vec<ExecutedStep>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A call that was sent, or was about to be.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExecutedStep {
    /// Which call.
    pub call: ProposedCall,
    /// When it was about to be sent: written down before.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// How often it was tried, counting only those of which it is proved that they did not leave, and the last.
    #[schemars(with = "i64", range(min = 1, max = 10))]
    pub tries: u32,
    /// What became of the call; absent while that is not known, also after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
    /// HTTP status of the answer; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>", range(min = 0, max = 65535))]
    pub http_status: Option<u16>,
    /// When the answer came; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub finished_at: Option<Timestamp>,
    /// What PostHog or the connection said, without secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 400))]
    pub detail: String,
}

/// What a proposal would be done to.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Numeric id of the project in PostHog.
    pub project_id: i64,
    /// The source, for example `Postgres prod`.
    pub source: String,
    /// Id of the source in PostHog.
    pub source_id: String,
    /// Name of the table in PostHog; absent for what is done to the source as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// Id of the table in PostHog; absent for what is done to the source as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema_id: String,
}

impl Target {
    /// True if both are of the same table, or one is the source as a whole that the other is of. The id of a table is empty for its
    /// source as a whole.
    #[must_use]
    pub fn meets(&self, source_id: &str, schema_id: &str) -> bool {
        meet((&self.source_id, &self.schema_id), (source_id, schema_id))
    }
}

/// The same, of the ids of a source and a table each.
#[must_use]
pub fn meet(one: (&str, &str), other: (&str, &str)) -> bool {
    one.0 == other.0 && (one.1.is_empty() || other.1.is_empty() || one.1 == other.1)
}

/// What a proposal could cost, as of when it was made.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// Whether data can be lost.
    pub loses_data: LosesData,
    /// Rows of the tables that it touches; absent if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub rows: Option<i64>,
    /// How the table is synced; absent for a source, or if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_type: Option<String>,
    /// What happens to the data, in a sentence or two.
    pub cost: String,
}

/// All that a proposal's id is made of.
///
/// Left out on purpose: the generation of the policy, time stamps, texts of errors, counts of rows, and the newest job, which
/// changes with every sync and would leave nobody the time to look.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Material {
    /// Version of this format.
    pub version: i64,
    /// Drawn at random when the proposal was made, so that nobody can approve what nobody has seen. 32 hexadecimal digits.
    pub nonce: String,
    /// `metadata.uid` of the policy.
    pub policy_uid: String,
    /// What is proposed.
    pub action: ProposedAction,
    /// The calls, one after the other, with all that they say.
    #[schemars(length(max = 6))]
    pub steps: Vec<ProposedStep>,
    /// The host that PostHog runs at.
    pub host: String,
    /// Numeric id of the project in PostHog.
    pub project_id: i64,
    /// Id of the source in PostHog.
    pub source_id: String,
    /// Id of the table in PostHog; absent for what is done to the source as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<String>,
    /// How the table is synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_type: Option<String>,
    /// The column by which new rows are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental_field: Option<String>,
    /// Columns of the declared primary key; absent if none is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub primary_keys: Option<Vec<String>>,
    /// Why.
    pub cause: RootCause,
    /// The rule that named the cause.
    pub rule: String,
    /// Id of the table in the warehouse; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_id: Option<String>,
}

/// A call of a proposal. A description: it cannot be sent.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProposedStep {
    /// Which call.
    pub call: ProposedCall,
    /// PatchSchema and PatchTables: `should_sync: true`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub switch_on: bool,
    /// PatchSchema: the column by which new rows are to be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental_field: Option<String>,
    /// PatchSchema: the type of that column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental_field_type: Option<String>,
    /// PatchSchema: the columns of the primary key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub primary_key_columns: Option<Vec<String>>,
    /// PatchTables: how the tables are to be synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_type: Option<String>,
    /// PatchTables: ids of the tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub schema_ids: Vec<String>,
    /// Cancel: the run that was judged. PostHog cancels whatever run is newest, so it must be this one right before the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub job_id: Option<String>,
}

/// The calls of which proposals are made.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProposedCall {
    /// Change how the table is synced.
    PatchSchema,
    /// Change how several tables of the source are synced.
    PatchTables,
    /// Wipe the table and import it anew.
    Resync,
    /// Delete the table's data.
    DeleteData,
    /// Start a sync of the table.
    Reload,
    /// Read the source's list of tables anew.
    RefreshSchemas,
    /// Rebuild change data capture of the source.
    RepairCdc,
    /// Remove the webhook of the source, at the vendor too.
    DeleteWebhook,
    /// Make a webhook for the source, at the vendor too.
    CreateWebhook,
    /// Cancel the newest run of the table.
    Cancel,
}
