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
mod fitting;
mod forbidden;
mod keys;
mod lifecycle;
pub mod material;
mod reenable;
mod steps;

pub use lifecycle::{Proposals, Said, decide};
pub use reenable::tell as tell_of_tables_that_are_off;

use crate::{api::status::RootCause, diagnose::Problem};

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

impl Key {
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
