//! What a proposal is for.

use crate::{
    api::{proposal::Proposal, status::RootCause},
    diagnose::{Cause, Problem},
};

/// What a proposal is for. Of several findings with the same key there is one proposal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Id of the source.
    pub source_id: String,
    /// Id of the table; none for what is done to the source as a whole.
    pub schema_id: Option<String>,
    /// Why.
    pub cause: RootCause,
}

impl Key {
    /// The key of a proposal.
    #[must_use]
    pub fn of_proposal(proposal: &Proposal) -> Self {
        let target = &proposal.target;
        Self {
            source_id: target.source_id.clone(),
            schema_id: Some(target.schema_id.clone()).filter(|id| !id.is_empty()),
            cause: proposal.material.cause,
        }
    }

    /// The key of a finding.
    #[must_use]
    pub fn of(problem: &Problem) -> Self {
        let of_source = Cause::of(problem.cause).proposes.is_for_source();
        let table = problem.table.as_ref().filter(|_| !of_source);
        Self {
            source_id: problem.source_id.clone(),
            schema_id: table.map(|(id, _)| id.clone()),
            cause: problem.cause,
        }
    }
}
