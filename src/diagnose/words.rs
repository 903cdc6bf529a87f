//! What several findings say in the same words, and times and lengths of time as sentences need them. What only one finding says is beside its
//! diagnosis.

use std::fmt::Display;

use jiff::{SignedDuration, Timestamp};

use super::problem::NAME_CAP;
use crate::{
    observe::{Canary, probes::Probed},
    posthog::redact,
};

pub(super) const NO_SOURCE: &str = "no source of the project matches";

/// Of a table that is stale.
#[must_use]
pub fn no_run_since(at: Timestamp) -> String {
    format!("no run has completed since {at}")
}

pub(super) fn several_runs(count: usize) -> String {
    format!(
        "{count} runs of the table are in progress: the newest may wait for an older one, and a cancel would stop the newest"
    )
}

pub(super) fn refused_start(at: Timestamp) -> String {
    format!("PostHog refused another start at {at} without knowing whether the run is alive")
}

pub(super) fn posthog_works(canary: &Canary) -> String {
    format!(
        "PostHog works: {} completed a run at {}",
        redact::one_line(&canary.name, NAME_CAP),
        seconds(canary.finished_at)
    )
}

/// A time, to the second.
pub(super) fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Of when an answer is, if it is not of now.
pub(super) fn as_of<A>(probed: &Probed<A>) -> String {
    match probed.in_vain {
        0 => String::new(),
        _ => format!(", as of {} (no answer since then)", seconds(probed.at)),
    }
}

/// A length of time as people say it: hours and minutes, days from two on.
#[must_use]
pub fn in_words(length: SignedDuration) -> String {
    let minutes = length.as_mins();
    match minutes {
        0 => plural(length.as_secs(), "second"),
        1..=119 => plural(minutes, "minute"),
        120..=2879 => plural(minutes / 60, "hour"),
        _ => plural(minutes / (24 * 60), "day"),
    }
}

/// A number and its unit.
pub fn plural<N: Copy + Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{ending}")
}
