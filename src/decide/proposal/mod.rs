//! What needs a person's approval: which proposal fits which finding, what its id is made of, and how long it stands.
//!
//! A proposal is a description. Nothing here makes a call or a permit, and there is no way from a [`Proposal`] to one.
//!
//! `fitting` says what would be proposed for each finding, from `steps` and `keys`, and `reenable` for tables that are off; `forbidden` what speaks against it;
//! `cleared` whether a finding is certainly over; `draft` and [`material`] what a proposal is made of; `lifecycle` brings these
//! and the proposals of before together.
//!
//! [`Proposal`]: crate::api::proposal::Proposal

mod cleared;
mod cost;
mod draft;
pub(super) mod fitting;
pub(super) mod forbidden;
mod keys;
mod lifecycle;
pub mod material;
mod poisoned;
mod reenable;
pub mod steps;
mod suppressed;
pub mod webhook;

pub use lifecycle::{Proposals, Said, Settings, decide, latch, note};
pub use reenable::tell as tell_of_tables_that_are_off;

use jiff::Timestamp;

use crate::{
    api::{proposal::Proposal, status::RootCause},
    decide::Plan,
    diagnose::Problem,
};

/// 32 random bytes, drawn anew for each pass: the nonces of its proposals come from them.
pub type Seed = [u8; 32];

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

impl Plan {
    /// Puts a proposal in place of the one with its id. What has ended by that is remembered.
    pub fn put(&mut self, proposal: Proposal, now: Timestamp) {
        let mut rows = self.proposals.iter_mut();
        let Some(row) = rows.find(|row| row.id == proposal.id) else {
            return;
        };
        if row.phase != proposal.phase {
            self.notes.push(note(&proposal).into());
            if let Some(suppressed) = suppressed::of(&proposal, now) {
                suppressed::remember(&mut self.suppressed, suppressed);
            }
        }
        *row = proposal;
    }
}

impl Key {
    /// The key of what a proposal is for.
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
        let of_source = matches!(
            problem.cause,
            RootCause::TableMissing | RootCause::CdcSlotLost
        );
        let table = problem.table.as_ref().filter(|_| !of_source);
        Self {
            source_id: problem.source_id.clone(),
            schema_id: table.map(|(id, _)| id.clone()),
            cause: problem.cause,
        }
    }
}
