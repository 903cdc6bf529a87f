//! Make it so.
//!
//! One path for every call that writes: see [`send`]. A crash at any line of it leaves a status from which the next process continues
//! without sending anything twice.

pub mod calls;
pub mod gate;
pub mod journal;
pub mod ledger;
pub mod notification_sender;
pub mod send;
pub mod spending;

pub use journal::Journal;
pub use ledger::Ledger;
pub use send::{Leads, OrderResult, Sender};
