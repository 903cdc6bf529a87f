//! What a decision is about, in the words by which logs and statuses find each other.

use super::{
    proposal::Proposal,
    status::{Finding, Incident},
};

/// The fields that every line of the log about a decision has, as far as they apply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct About {
    /// The source, as people call it.
    pub source: Option<String>,
    /// The table.
    pub schema: Option<String>,
    /// The incident: one name from its first line to its last.
    pub incident: Option<String>,
    /// Id of the proposal.
    pub proposal: Option<String>,
}

impl About {
    /// About a source.
    #[must_use]
    pub fn source(source: &str) -> Self {
        Self {
            source: given(source),
            ..Self::default()
        }
    }

    /// About an incident. When it was opened tells it from others of the same table.
    #[must_use]
    pub fn incident(incident: &Incident) -> Self {
        Self {
            schema: given(&incident.schema),
            incident: Some(format!("{}@{}", incident.schema_id, incident.opened_at)),
            ..Self::source(&incident.source)
        }
    }

    /// About a finding.
    #[must_use]
    pub fn finding(finding: &Finding) -> Self {
        Self {
            schema: given(&finding.schema),
            ..Self::source(&finding.source)
        }
    }

    /// About a proposal.
    #[must_use]
    pub fn proposal(proposal: &Proposal) -> Self {
        Self {
            schema: given(&proposal.target.schema),
            proposal: Some(proposal.id.clone()),
            ..Self::source(&proposal.target.source)
        }
    }
}

fn given(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| name.to_owned())
}
