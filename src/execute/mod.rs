//! Make it so.
//!
//! One call at a time: live gate → intent into the status → send → outcome into the status. A crash at any line leaves a
//! status from which the next process goes on without sending anything twice.

pub mod approved;
pub mod calls;
pub mod courier;
pub mod handover;
pub mod ledger;
pub mod run;
pub mod spending;

pub use ledger::Ledger;
pub use run::{Leads, run};
