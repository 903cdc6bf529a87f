//! A wipe helps only against what is about the data of one table. Against anything else it costs the rows and cures nothing.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::status::Confidence,
    diagnose::{Cause, Diagnosis, Judged, Known, Problem, Verdict, causes::Origin, sources},
    posthog::{
        lax::Lax,
        wire::{Schema, Source},
    },
};

/// Within what time runs fail together whose tables have no interval, or a shorter one.
const AT_LEAST: SignedDuration = SignedDuration::from_hours(1);

/// Words of texts that are about the connection, or about what is stored of it.
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

/// Why the data of the table is not wiped for a problem that an error or a data check shows, as a sentence; none if it may be proposed.
/// Who asks for it decides alone.
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
        return Some("A human: the error's text does not say for certain that the data is the trouble, so no wipe is proposed. Read the text and the log of the run in PostHog.".to_owned());
    }
    if speaks_of_connection(&problem.message) {
        return Some("A human: the error is about the connection or what is stored of it, and a wipe would not cure that. Check the source's settings in PostHog.".to_owned());
    }
    let (alike, active) = failing_alike(known, diagnosis, problem, source);
    (alike >= 2 && alike * 2 > active).then(|| {
        format!("A human: {alike} of the {active} tables of the source fail alike at the same time, so the trouble is more likely the source's than the data's, and no wipe is proposed. Look at what they have in common.")
    })
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
        selector.selects_schema(&schema.name) && (schema.should_sync == Lax::Is(true) || off)
    };
    (alike, source.schemas.iter().filter(syncs).count())
}
