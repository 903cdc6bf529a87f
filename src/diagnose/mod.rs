//! Why?
//!
//! From what was observed to verdicts on tables, and from verdicts to findings and counts. Pure: no client, no clock.

pub mod cause;
pub mod suspects;
pub mod verdict;

pub use verdict::{Diagnosis, Judged, Verdict, diagnose};
