//! Why?
//!
//! From what was observed to verdicts on tables, and from verdicts to findings and counts. Pure: no client, no clock.

pub mod advice;
pub mod cause;
pub mod classify;
pub mod suspects;
pub mod verdict;

pub use verdict::{Diagnosis, Judged, Verdict, diagnose};
