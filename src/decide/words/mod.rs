//! The sentences that decisions write into status, history and events: one file for each kind, so that a term changes in one place and the
//! language can be read at once. The decisions say which sentence, never how it is worded; a test in `tests/repository` holds that.
//!
//! Sentences that have a file of their own stay there: why a guard holds (`guards/`, one file each), why a call needs approval
//! (`safety/why.rs`), and the steps of a proposal (`proposal/steps.rs`).

pub(crate) mod approval;
pub(crate) mod closed;
pub mod cost;
pub(crate) mod execution;
pub(crate) mod held;
pub(crate) mod incident;
pub(crate) mod next_action;
pub mod note;
pub(crate) mod order;
