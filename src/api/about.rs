//! What a decision is about, in the names that log lines and statuses share.

use super::{
    proposal::Proposal,
    status::{Finding, Incident},
};

/// The fields that every line of the log about a decision has, as far as they apply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct About {
    /// Name of the source.
    pub source: Option<String>,
    /// The table.
    pub schema: Option<String>,
    /// The incident: the same value from its first line to its last.
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

    /// About an incident. The time at which it was opened distinguishes it from others of the same table.
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
