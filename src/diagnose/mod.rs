//! Why?
//!
//! From what was observed to verdicts on tables, and from verdicts to problems and counts. Pure: no client, no clock.
//!
//! [`suspects`] and [`probing`] say what deserves a probe; [`verdict`] judges each table, with [`failure`] for why a run
//! failed, which reads its text by [`classify`]; [`causes`] holds what is known about each cause; `problems` puts together what somebody should know.

mod billing;
mod blocked;
pub mod canary;
pub mod causes;
pub mod cdc;
pub mod classify;
pub mod credentials;
pub mod data_checks;
pub mod diagnosis;
mod exported;
pub mod failure;
pub mod fix;
pub mod freshness;
mod judge;
pub mod known;
mod longest_silent;
pub mod missing;
pub mod not_configured;
pub mod one_table;
pub mod outage;
pub mod probing;
pub mod problem;
mod problems;
mod reachable;
pub mod requests;
mod row_loss;
mod running;
pub mod single_read;
mod source_facts;
mod source_status;
pub mod sources;
pub mod stuck;
pub mod suspects;
pub mod switched_off;
mod table;
pub mod verdict;
pub mod webhooks;
mod went_off;
pub mod words;

pub use causes::Cause;
pub use diagnosis::{Diagnosis, diagnose};
pub use exported::{Exported, MAX_EXPORTED};
pub use known::Known;
pub use problem::Problem;
pub use verdict::{Judged, Verdict};
