//! A wipe only fixes problems with the data of one table. For anything else it costs the rows and fixes nothing.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::status::Confidence,
    decide::words::next_action as words,
    diagnose::{Cause, Diagnosis, Judged, Known, Problem, Verdict, causes::Origin, sources},
    posthog::wire::{Schema, Source},
};

/// The time within which failures count as simultaneous if the tables have no interval, or a shorter one.
const AT_LEAST: SignedDuration = SignedDuration::from_hours(1);

/// Words of error texts about the connection or its stored settings.
const OF_CONNECTION: [&str; 16] = [
    "encrypted",
    "encryption",
    "decrypt",
    "decrypted",
    "decryption",
    "ciphertext",
    "fernet",
    "connection",
    "connect",
    "handshake",
    "socket",
    "tunnel",
    "credential",
    "credentials",
    "password",
    "authentication",
];

/// Why no wipe of the table is proposed for a problem that an error or a data check shows, as a sentence; none if it may be proposed.
/// A wipe that a person requests is always proposed.
pub fn forbids(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    problem: &Problem,
    source: &Source,
) -> Option<String> {
    match Cause::of(problem.cause).origin {
        Origin::Request | Origin::Data => return None,
        Origin::Error | Origin::Note | Origin::Observation => {}
    }
    if problem.confidence != Confidence::High {
        return Some(words::TEXT_UNCERTAIN.to_owned());
    }
    if speaks_of_connection(&problem.message) {
        return Some(words::CONNECTION.to_owned());
    }
    let (alike, active) = failing_alike(known, diagnosis, problem, source);
    (alike >= 2 && alike * 2 > active).then(|| words::source_is_likelier(alike, active))
}

fn speaks_of_connection(text: &str) -> bool {
    // Its sign is quoted, as names are.
    text.to_lowercase().contains("<encrypted>")
        || sources::shape(text)
            .split(' ')
            .any(|word| OF_CONNECTION.contains(&word))
}

/// How many tables of the source fail for the same cause within one of their intervals, and how many it syncs.
fn failing_alike(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    problem: &Problem,
    source: &Source,
) -> (usize, usize) {
    let of_source = |judged: &&Judged| judged.source_id == source.id;
    let fails = |judged: &Judged| match &judged.verdict {
        Verdict::Failing { since, failure } if failure.cause == problem.cause => Some(*since),
        Verdict::Disabled {
            after: Some(failure),
            by_posthog: Some(at),
        } if failure.cause == problem.cause => Some(*at),
        _ => None,
    };
    let failing: Vec<(&str, Timestamp)> = (diagnosis.judged.iter().filter(of_source))
        .filter_map(|judged| Some((judged.schema_id.as_str(), fails(judged)?)))
        .collect();
    let row = |id: &str| source.schemas.iter().find(|schema| schema.id == id);
    let intervals = failing.iter().filter_map(|(id, _)| row(id)?.frequency());
    let within = intervals.max().unwrap_or(AT_LEAST).max(AT_LEAST);
    let (first, last) = (
        failing.iter().map(|(_, at)| *at).min(),
        failing.iter().map(|(_, at)| *at).max(),
    );
    let together = first
        .zip(last)
        .is_some_and(|(first, last)| last.duration_since(first) <= within);
    let alike = if together { failing.len() } else { 0 };
    let selector = &known.policy.selector;
    let syncs = |schema: &&Schema| {
        let off = failing.iter().any(|(id, _)| *id == schema.id);
        selector.selects_schema(&schema.name) && (schema.is_on() || off)
    };
    (alike, source.schemas.iter().filter(syncs).count())
}
