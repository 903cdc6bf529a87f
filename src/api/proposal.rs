//! Proposals: actions that wait for a person's approval, as status shows them.
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

/// The proposed action. The proposal's id begins with its two letters.
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
    /// rf: let PostHog reread the source's list of tables.
    RefreshSchemas,
    /// cf: change the incremental field, or set a first primary key.
    RepairConfig,
    /// rs: delete the table's rows and import it from the beginning.
    Resync,
    /// dd: delete the table's data, set its primary key, and import it from the beginning.
    DeleteData,
    /// rc: recreate slot and publication, and import every captured table from the beginning.
    RepairCdc,
    /// re: switch tables of a source on again for which it is unknown who switched them off.
    Reenable,
    /// rl: start a sync of a table that may delete the table's rows, because an earlier call may have requested that.
    Reload,
    /// rw: delete the webhook at the vendor and create another one; the rows of tables that sync by it are deleted.
    ReregisterWebhook,
    /// ca: cancel a run that is silent but may still be loading, then reload the table.
    Cancel,
}

impl ProposedAction {
    /// Every action.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The two letters at the beginning of its proposals' ids.
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

/// The phase of a proposal.
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
    /// A person must approve or deny it.
    AwaitingApproval,
    /// A person approved it. It is executed once every check right before the call passes.
    Approved,
    /// Its calls are being sent.
    Executing,
    /// PostHog accepted all calls; the proof of their effect has not appeared yet.
    Verifying,
    /// Its effect is proved.
    Executed,
    /// PostHog refused it, and nothing was changed.
    Failed,
    /// It is unknown how much of it was done. It is never sent again; another proposal needs another approval.
    OutcomeUnknown,
    /// A person denied it. It is not proposed again until the finding has cleared.
    Denied,
    /// It was not answered in time, or not started in time after the approval. It is proposed again with a new id, as
    /// long as the finding exists.
    Expired,
    /// Its finding has cleared, or the policy no longer allows the action.
    Withdrawn,
    /// The action or its target has changed: another proposal replaces it.
    Superseded,
}

impl Phase {
    /// Its name, as status and metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// True from its approval until it ends.
    #[must_use]
    pub const fn is_in_progress(self) -> bool {
        matches!(self, Self::Approved | Self::Executing | Self::Verifying)
    }

    /// True for a final phase.
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

/// Whether data can be lost. Ordered: the worst is the greatest.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum LosesData {
    /// No data can be lost.
    No,
    /// Data may be lost.
    Maybe,
    /// Data will be lost.
    Yes,
}

/// An action that the operator takes once a person has approved it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Two letters for the action and 26 characters of the SHA-256 of `material`, in base32. An approval is valid for
    /// exactly this material: other material has another id.
    #[schemars(length(min = 29, max = 29))]
    pub id: String,
    /// The proposed action.
    pub action: ProposedAction,
    /// The target of the action.
    pub target: Target,
    /// The steps in words, in order.
    #[schemars(length(max = 6))]
    pub steps: Vec<String>,
    /// Everything that the id is calculated from. It does not change during the life of the proposal.
    pub material: Material,
    /// The finding that it is for, as of the creation of the proposal.
    pub reason: String,
    /// The facts that the finding was based on then, redacted and shortened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub evidence: Vec<String>,
    /// What it could cost.
    pub impact: Impact,
    /// The command that approves it, ready to paste.
    pub approve_command: String,
    /// The command that denies it; add the reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deny_command: String,
    /// When it was created.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub created_at: Timestamp,
    /// When it expires without an answer.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub expires_at: Timestamp,
    /// Its phase.
    pub phase: Phase,
    /// Why it is in this phase; absent while it waits for an answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 400))]
    pub message: String,
    /// Who approved it; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalSeen>,
    /// What was sent, with the result; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution>,
}

impl Proposal {
    /// True while a person may approve it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::AwaitingApproval
    }

    /// Records an approval.
    pub fn approves(&mut self, seen: ApprovalSeen) {
        self.phase = Phase::Approved;
        self.message.clear();
        self.approval = Some(seen);
    }

    /// True if it has ended.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.phase.is_terminal()
    }

    /// Name of the table, or of the source if it is about the whole source.
    #[must_use]
    pub fn title(&self) -> &str {
        if self.target.schema.is_empty() {
            &self.target.source
        } else {
            &self.target.schema
        }
    }

    /// Its steps that have been started.
    #[must_use]
    pub fn started_steps(&self) -> &[ExecutedStep] {
        let execution = self.execution.as_ref();
        execution.map_or(&[], |execution| &execution.steps)
    }

    /// Id of the table, or of the source if it is about the whole source.
    #[must_use]
    pub fn subject_id(&self) -> &str {
        if self.target.schema_id.is_empty() {
            &self.target.source_id
        } else {
            &self.target.schema_id
        }
    }
}

/// An approval as the operator observed it. It is kept even if the annotation changes or is removed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalSeen {
    /// The value of the annotation: the user name of the approver, or `on-behalf:` and a name.
    #[schemars(length(max = 256))]
    pub by: String,
    /// True if the API server checked that the user wrote their own name. False for `on-behalf:`, where anyone with
    /// write access to the git repository can write any name.
    pub verified: bool,
    /// When the operator observed it.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub observed_at: Timestamp,
}

/// What was done for an approved proposal.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// Id of this execution: written before the first call, never used again.
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
    /// The job that it started; absent until it has been observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_job: Option<String>,
    /// Deadline of the proof; absent while a job is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub deadline: Option<Timestamp>,
    /// Polls since the last call that could have shown the proof but did not.
    #[serde(default, skip_serializing_if = "crate::api::proposal::is_zero")]
    #[schemars(with = "i64", range(min = 0, max = 1000))]
    pub polls: u32,
    /// The calls so far, one for each step that was started.
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

/// A call that was sent, or may have been sent.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExecutedStep {
    /// Which call.
    pub call: ProposedCall,
    /// When sending began, written before the call.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// How often it was tried: the last try, and those that were proved not to have been sent.
    #[schemars(with = "i64", range(min = 1, max = 10))]
    pub tries: u32,
    /// Outcome of the call; absent while it is not known, also after a crash.
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
    /// The answer or the connection error, without secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 400))]
    pub detail: String,
}

/// The target of a proposal.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Numeric id of the project in PostHog.
    pub project_id: i64,
    /// The source, for example `Postgres prod`.
    pub source: String,
    /// Id of the source in PostHog.
    pub source_id: String,
    /// Name of the table in PostHog; absent for an action on the whole source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// Id of the table in PostHog; absent for an action on the whole source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema_id: String,
}

impl Target {
    /// True if both are the same table, or one is the whole source of the other. The table's id is empty for a whole
    /// source.
    #[must_use]
    pub fn meets(&self, source_id: &str, schema_id: &str) -> bool {
        meet((&self.source_id, &self.schema_id), (source_id, schema_id))
    }
}

/// The same, for pairs of a source's and a table's id.
#[must_use]
pub fn meet(one: (&str, &str), other: (&str, &str)) -> bool {
    one.0 == other.0 && (one.1.is_empty() || other.1.is_empty() || one.1 == other.1)
}

/// What a proposal could cost, as of its creation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// Whether data can be lost.
    pub loses_data: LosesData,
    /// Rows of the affected tables; absent if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub rows: Option<i64>,
    /// How the table is synced; absent for a source, or if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_type: Option<String>,
    /// What happens to the data, in a sentence or two.
    pub cost: String,
}

/// Everything that a proposal's id is calculated from.
///
/// Deliberately excluded: the generation of the policy, time stamps, error texts, row counts, and the newest job, which
/// changes with every sync and would leave no time to approve.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Material {
    /// Version of this format.
    pub version: i64,
    /// Random value from the creation of the proposal, so that a proposal cannot be approved before it exists. 32
    /// hexadecimal digits.
    pub nonce: String,
    /// `metadata.uid` of the policy.
    pub policy_uid: String,
    /// The proposed action.
    pub action: ProposedAction,
    /// The calls in order, with everything that they change.
    #[schemars(length(max = 6))]
    pub steps: Vec<ProposedStep>,
    /// The host of PostHog.
    pub host: String,
    /// Numeric id of the project in PostHog.
    pub project_id: i64,
    /// Id of the source in PostHog.
    pub source_id: String,
    /// Id of the table in PostHog; absent for an action on the whole source.
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
    /// The rule that determined the cause.
    pub rule: String,
    /// Id of the table in the warehouse; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_id: Option<String>,
}

/// A call of a proposal, as a description that cannot be sent.
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
    /// PatchTables, RepairCdc: ids of the tables that the call changes or resets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub schema_ids: Vec<String>,
    /// Cancel: the run that the proposal is about. PostHog cancels the newest run, so this run must still be the newest
    /// right before the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub job_id: Option<String>,
}

/// The calls that a proposal can contain.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProposedCall {
    /// Change how the table is synced.
    PatchSchema,
    /// Change how several tables of the source are synced.
    PatchTables,
    /// Delete the table's rows and import it from the beginning.
    Resync,
    /// Delete the table's data.
    DeleteData,
    /// Start a sync of the table.
    Reload,
    /// Reread the source's list of tables.
    RefreshSchemas,
    /// Rebuild change data capture of the source.
    RepairCdc,
    /// Delete the webhook of the source, also at the vendor.
    DeleteWebhook,
    /// Create a webhook for the source, also at the vendor.
    CreateWebhook,
    /// Cancel the newest run of the table.
    Cancel,
}
