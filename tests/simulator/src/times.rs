//! Sync frequencies.

use jiff::SignedDuration;

/// What `sync_frequency` accepts on write.
pub(crate) const ACCEPTED: [&str; 9] = [
    "5min", "15min", "30min", "1hour", "6hour", "12hour", "24hour", "7day", "30day",
];

/// How long a frequency's interval is; none for what is not an interval (`never`, odd values).
pub(crate) fn interval(frequency: &str) -> Option<SignedDuration> {
    let minutes = match frequency {
        "1min" => 1,
        "5min" => 5,
        "15min" => 15,
        "30min" => 30,
        "1hour" => 60,
        "6hour" => 6 * 60,
        "12hour" => 12 * 60,
        "24hour" => 24 * 60,
        "7day" => 7 * 24 * 60,
        "30day" => 30 * 24 * 60,
        _ => return None,
    };
    Some(SignedDuration::from_mins(minutes))
}
