//! `status.findings`: what is wrong or unknown.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    action::Action,
    cause::{Confidence, RootCause, Severity},
};

/// Most findings kept in a status; `findingsTruncated` counts the rest.
pub const MAX_FINDINGS: usize = 50;
/// Most names of affected tables in a finding.
pub const MAX_AFFECTED: usize = 20;
/// Most facts in a finding.
pub const MAX_EVIDENCE: usize = 8;

/// Something that is not as the policy expects, and what happens next.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The source, for example `Postgres prod`; `PostHog` for a finding about the whole project.
    pub source: String,
    /// Id of the source in PostHog; absent for a finding about the whole project.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source_id: String,
    /// Name of the table in PostHog; absent for a finding about the whole source, see `affected`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// Id of the table in PostHog; absent for a finding about the whole source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema_id: String,
    /// The root cause.
    pub cause: RootCause,
    /// How severe it is.
    pub severity: Severity,
    /// How certain the cause is.
    pub confidence: Confidence,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The rule that determined the cause, for example `postgres/password` or `status/billing`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// The facts that the finding is based on, redacted and shortened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub evidence: Vec<String>,
    /// The affected tables; absent if only the table of the finding is affected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected: Option<Affected>,
    /// Since when, as far as the operator knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
    /// What a person should do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// The operator's action for this cause; absent if only a person can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// What the operator does or would do next, or why it does nothing.
    pub next_action: String,
}

impl Finding {
    /// Names of source and table, or of the source alone.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.source, self.schema)
            .trim_end()
            .to_owned()
    }

    /// Id of the table, or of the source if the finding is about the whole source.
    #[must_use]
    pub fn subject_id(&self) -> &str {
        if self.schema_id.is_empty() {
            &self.source_id
        } else {
            &self.schema_id
        }
    }
}

/// The tables that a finding affects.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Affected {
    /// How many.
    pub count: i64,
    /// The names of the first twenty.
    #[schemars(length(max = 20))]
    pub schemas: Vec<String>,
}
