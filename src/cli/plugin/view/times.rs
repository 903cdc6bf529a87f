//! Times for people: the exact time, and how long ago or how soon that is.

use jiff::Timestamp;

use crate::{cli::report::minute, diagnose::words::in_words};

/// How long ago `at` is, for example `3 hours ago`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        return format!("in {}", in_words(at.duration_since(now)));
    }
    format!("{} ago", in_words(now.duration_since(at)))
}

/// A time in the past, for example `2026-11-30 09:00 UTC (3 hours ago)`.
pub fn since(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", minute(at), ago(at, now))
}

/// A deadline, for example `2026-11-30 12:20 UTC (in 20 minutes)`. One that has passed takes effect at the next poll.
pub fn by(at: Timestamp, now: Timestamp) -> String {
    if at <= now {
        return format!("{} (due {})", minute(at), ago(at, now));
    }
    since(at, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_and_in_words() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-30T12:00:00Z");
        let cases = [
            (
                since(at("2026-11-30T09:00:00Z"), now),
                "2026-11-30 09:00 UTC (3 hours ago)",
            ),
            (
                by(at("2026-11-30T12:20:00Z"), now),
                "2026-11-30 12:20 UTC (in 20 minutes)",
            ),
            (
                by(at("2026-11-30T11:59:00Z"), now),
                "2026-11-30 11:59 UTC (due 1 minute ago)",
            ),
        ];
        for (said, expected) in cases {
            assert_eq!(said, expected);
        }
    }
}
