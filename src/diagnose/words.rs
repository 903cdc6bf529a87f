//! What several findings say in the same words, and times and lengths of time as sentences need them. What only one finding says is beside its
//! diagnosis.

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
    let of =
        |count: i64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match minutes {
        0 => of(length.as_secs(), "second"),
        1..=119 => of(minutes, "minute"),
        120..=2879 => of(minutes / 60, "hour"),
        _ => of(minutes / (24 * 60), "day"),
    }
}
