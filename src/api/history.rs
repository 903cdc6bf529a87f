//! `status.history`: the last actions and observations of the operator.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::incident::Incident;

/// Most entries of the history.
pub const MAX_HISTORY: usize = 10;

/// An action or observation of the operator.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What, in a sentence.
    pub what: String,
    /// The incident that it closed; absent if it closed none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<ClosedIncident>,
}

/// A closed incident.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClosedIncident {
    /// Id of the table in PostHog.
    pub schema_id: String,
    /// Why, in a sentence.
    pub why: String,
}

/// An entry before it is added to the history: its text, and what code needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What, in a sentence.
    pub what: String,
    /// The incident that it closed.
    pub closed: Option<ClosedIncident>,
}

impl From<String> for Note {
    fn from(what: String) -> Self {
        Self { what, closed: None }
    }
}

impl Note {
    /// An incident is closed, for this reason.
    #[must_use]
    pub fn closing(incident: &Incident, why: &str) -> Self {
        Self {
            what: format!("{}: {why}", incident.schema),
            closed: Some(ClosedIncident {
                schema_id: incident.schema_id.clone(),
                why: why.to_owned(),
            }),
        }
    }

    /// The same with its sentences shortened by `cap`.
    #[must_use]
    pub fn capped(self, cap: impl Fn(&str) -> String) -> Self {
        let Self { what, closed } = self;
        let closed = closed.map(|ClosedIncident { schema_id, why }| ClosedIncident {
            schema_id,
            why: cap(&why),
        });
        Self {
            what: cap(&what),
            closed,
        }
    }
}
