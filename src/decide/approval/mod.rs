//! From a proposal that waits to calls that may be sent: which annotations are approvals, what must hold right before the
//! first call, and what comes after each.
//!
//! [`Approved`] is the only way from a proposal to a permit.

pub mod after_cancel;
pub mod answer;
pub mod approved;
pub mod facts;
pub mod guard;
mod own_run;
pub mod pending_reset;
pub mod progress;
mod proof;

pub use answer::{ApprovalAnswer, Rules};
pub use approved::Approved;
pub use progress::{Case, Progress, next};
