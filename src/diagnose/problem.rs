//! A problem: what is wrong with a table or a source, why, how that is known, and what a person should do.

use std::ops::Deref;

use jiff::Timestamp;

use super::causes::{Advice, Cause};
use crate::api::status::{Confidence, RootCause, Severity};

/// Longest name of a table that is shown, in characters.
pub const NAME_CAP: usize = 160;

/// Something that somebody should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What people call the source.
    pub source: String,
    /// Id of the source; empty for what concerns the whole project.
    pub source_id: String,
    /// Id and name of the table; none for what concerns the source as a whole.
    pub table: Option<(String, String)>,
    /// Why.
    pub cause: RootCause,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// The rule that says so.
    pub rule: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The facts, redacted.
    pub evidence: Vec<Fact>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Names of all tables that suffer from it; empty if it is only `table`.
    pub affected: Vec<String>,
    /// What a person should do.
    pub advice: Advice,
}

impl Problem {
    /// A problem of a whole source, as bad as its cause is, with the general advice for it.
    #[must_use]
    pub fn of_source(
        source: String,
        source_id: &str,
        cause: RootCause,
        rule: &'static str,
        message: String,
    ) -> Self {
        Self {
            source,
            source_id: source_id.to_owned(),
            table: None,
            cause,
            severity: Cause::of(cause).severity,
            confidence: Confidence::High,
            rule,
            message,
            evidence: Vec::new(),
            since: None,
            affected: Vec::new(),
            advice: Cause::of(cause).advice,
        }
    }
}

/// A fact that is evidence of a problem, redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// In words.
    Said(String),
    /// It is not known who disabled the table. Only a process that keeps watching could know it.
    NobodySaw,
}

impl Fact {
    /// In words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Said(words) => words,
            Self::NobodySaw => {
                "who switched it off is unknown: PostHog and a person who switches off a failing table look the same"
            }
        }
    }
}

impl Deref for Fact {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for Fact {
    fn from(words: String) -> Self {
        Self::Said(words)
    }
}

impl From<&str> for Fact {
    fn from(words: &str) -> Self {
        Self::Said(words.to_owned())
    }
}

/// A problem that explains those of many tables.
#[derive(Debug)]
pub struct SharedProblem {
    /// The problem.
    pub problem: Problem,
    /// Ids of the tables.
    pub tables: Vec<String>,
}
