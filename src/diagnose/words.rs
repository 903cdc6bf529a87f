//! Times and lengths of time, as sentences need them.

use jiff::{SignedDuration, Timestamp};

use crate::observe::probes::Probed;

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
