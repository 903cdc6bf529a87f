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
