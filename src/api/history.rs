//! `status.history`: the last steps that the operator took or saw.

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

/// A step that the operator took or saw.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What, in a sentence.
    pub what: String,
    /// The incident that was closed by it; absent if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<ClosedIncident>,
}

/// An incident that left the list.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClosedIncident {
    /// Id of the table in PostHog.
    pub schema_id: String,
    /// Why, in a sentence.
    pub why: String,
}

/// A step before it stands in the history: what is said of it, and what code must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What, in a sentence.
    pub what: String,
    /// The incident that was closed by it.
    pub closed: Option<ClosedIncident>,
}

impl From<String> for Note {
    fn from(what: String) -> Self {
        Self { what, closed: None }
    }
}

impl Note {
    /// An incident leaves the list, for this reason.
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

    /// The same with its sentences changed by `cap`, which keeps them short.
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
