//! What the log of a webhook says of its deliveries. It is read by query, and needs the scope `query:read`.

use jiff::{SignedDuration, Timestamp, civil};
use serde_json::Value;

use crate::posthog::probe::QueryAnswer;

/// The newest lines that are read.
const LINES: usize = 50;
/// Older ones say nothing of today.
const WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// Lines of one delivery are no further apart.
const OF_ONE: SignedDuration = SignedDuration::from_secs(10);

/// The deliveries that the newest lines report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// When each was refused for its signature, newest first, with the text of the line.
    pub refused: Vec<(Timestamp, String)>,
    /// When other lines were written, of deliveries that were not refused, newest first.
    pub others: Vec<Timestamp>,
}

/// The query for the log of a function; none if its id is none.
#[must_use]
pub fn query(function_id: &str) -> Option<String> {
    let is_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    (!function_id.is_empty() && function_id.chars().all(is_id)).then(|| {
        format!(
            "SELECT timestamp, level, message FROM log_entries WHERE log_source = 'hog_function' AND log_source_id = '{function_id}' \
             ORDER BY timestamp DESC LIMIT {LINES}"
        )
    })
}

/// Reads the answer at `now`. A line that cannot be read says nothing.
#[must_use]
pub fn read(answer: &QueryAnswer, now: Timestamp) -> Deliveries {
    let lines: Vec<(Timestamp, &str)> = (answer.results.iter())
        .filter_map(|row| Some((time(row.first()?)?, row.last()?.as_str()?)))
        .filter(|(at, _)| now.duration_since(*at) < WITHIN)
        .collect();
    let refused: Vec<(Timestamp, String)> = (lines.iter())
        .filter(|(_, text)| is_refusal(text))
        .map(|(at, text)| (*at, (*text).to_owned()))
        .collect();
    let beside = |at: Timestamp| {
        let mut refused = refused.iter();
        refused.any(|(other, _)| at.duration_since(*other).abs() <= OF_ONE)
    };
    let others = lines.iter().map(|(at, _)| *at);
    let others = others.filter(|at| !beside(*at)).collect();
    Deliveries { refused, others }
}

/// `Bad signature`, `Missing signature`, `Signing secret not configured`, and others of that kind.
fn is_refusal(text: &str) -> bool {
    const WHAT: [&str; 5] = [
        "signature",
        "signing secret",
        "authorization",
        "token",
        "delivery",
    ];
    const HOW: [&str; 11] = [
        "bad",
        "missing",
        "invalid",
        "mismatch",
        "fail",
        "not configured",
        "could not",
        "refus",
        "reject",
        "dropped",
        "unauthor",
    ];
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    has(&WHAT) && has(&HOW)
}

fn time(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?.trim();
    let naive = || {
        let civil: civil::DateTime = text.parse().ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(zoned.timestamp())
    };
    text.parse().ok().or_else(naive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_is_put_into_the_query() {
        assert!(query("0196f0aa-0000-7000-8000-000000000001").is_some());
        for odd in ["", "a' OR 1=1 --", "id"] {
            assert_eq!(query(odd), None, "{odd}");
        }
    }

    #[test]
    fn refused_deliveries_are_distinguished_and_old_ones_are_ignored() {
        let now: Timestamp = "2026-10-01T12:00:00Z".parse().unwrap();
        let answer = r#"{"results":[
            ["2026-10-01T11:00:00Z","INFO","Function completed in 3ms"],
            ["2026-10-01 10:00:01.000000","INFO","Function completed in 3ms"],
            ["2026-10-01 10:00:00.000000","WARN","Bad signature"],
            ["2026-09-29T10:00:00Z","WARN","Missing signature"],
            [null,"WARN","Bad signature"]]}"#;
        let found = read(&serde_json::from_str(answer).unwrap(), now);
        assert_eq!((found.refused.len(), found.others.len()), (1, 1));
        assert_eq!(found.refused[0].1, "Bad signature");
    }
}
