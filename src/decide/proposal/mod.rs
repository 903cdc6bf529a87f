//! What needs a person's approval: which proposal fits which finding, what its id is made of, and how long it is valid.
//!
//! A proposal is a description. Nothing here makes a call or a permit, and there is no way from a [`Proposal`] to one.
//!
//! `fitting` says what would be proposed for each finding, from `steps` and `keys`, and `reenable` for tables that are off;
//! `denial` records denials; `cleared` says whether a finding is certainly over; `draft` and [`material`] what a proposal is made of;
//! [`commands`] how it is answered; `lifecycle` combines these with the existing proposals.
//!
//! [`Proposal`]: crate::api::proposal::Proposal

mod cleared;
pub mod commands;
mod denial;
pub mod draft;
pub mod fit;
pub mod fitting;
pub mod key;
mod keys;
mod lifecycle;
mod made;
pub mod material;
mod pending_reset;
mod reenable;
mod silent;
pub mod steps;
mod suppressed;
pub mod webhook;
mod wipe;

pub use super::words::note::note;
pub use denial::latch_denials;
pub use key::Key;
pub use lifecycle::{decide, latch, put};
pub use made::{ProposalSettings, Proposals};
pub use material::Seed;
pub use reenable::explain as explain_tables_that_are_off;
