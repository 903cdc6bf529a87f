//! `status.incidents`: what the operator is remediating.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage as _, VariantArray as _};

use super::{
    action::{Call, Fate},
    cause::RootCause,
};

/// Most incidents kept in a status. When full, nothing new starts.
pub const MAX_INCIDENTS: usize = 256;

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
    strum::EnumMessage,
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
    /// Waiting before the next attempt, because the new run failed too.
    BackOff,
    /// A new job completed; the incident is kept until the table has been healthy for `healthyFor`.
    Recovered,
    /// The operator has stopped acting: a person is needed.
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

    /// What it means, in a sentence; the same as `kubectl explain` shows.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        let sentence = self.get_documentation().unwrap_or_default();
        sentence.trim_end_matches('.')
    }
}

/// The remediation of one table, from finding to recovery.
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
    /// The current step.
    pub step: Step,
    /// Number of the attempt, from 1.
    pub attempt: i64,
    /// The stuck job; absent if the table was in status Running without a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// The newest job when the attempt began; the operator waits for a newer one. Absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_job_id: Option<String>,
    /// The job that the reload started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_job_id: Option<String>,
    /// When the incident was opened.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub opened_at: Timestamp,
    /// When the current step began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub step_since: Timestamp,
    /// Deadline of the current step; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub deadline: Option<Timestamp>,
    /// Since when the table has been healthy again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub healthy_since: Option<Timestamp>,
    /// The calls of this attempt, oldest first. Written before they are sent, so that a crash cannot hide them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub sends: Vec<Send>,
    /// The last observation, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// One call of an incident.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Send {
    /// Which call.
    pub call: Call,
    /// When sending began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// Outcome of the call; absent until it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
    /// The HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub http_status: Option<i64>,
    /// The answer or the connection error, redacted and shortened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
