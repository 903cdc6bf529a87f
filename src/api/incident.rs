//! `status.incidents`: what the operator is putting right.

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
