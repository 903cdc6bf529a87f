//! New credentials for a source that rejects its current ones.

use super::rotated::were_rotated;
use crate::{
    api::{About, status::RootCause},
    decide::{
        guards::tried_before::tried,
        plan::{Basis, Kind, OfSource, Order, Subject},
        words::order as words,
    },
    diagnose::{Cause, Diagnosis, Judged, Known, credentials::Content},
    posthog::{redact, wire::Source, write::Write},
};

/// The order to send `PostHog` the content of a Secret, if the source rejects its current credentials.
#[must_use]
pub fn order(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    source: &Source,
    content: &Content,
) -> Option<Order> {
    let Content { inputs, hmac, from } = content;
    if !rejects(diagnosis, source) {
        return None;
    }
    let mut states = known.state.sources.iter();
    let state = states.find(|state| state.id == source.id);
    let before = state.and_then(|state| state.credentials.as_ref());
    let is_tried = before.and_then(|before| tried(before, hmac)).is_some();
    if is_tried && !rejects_still(known, diagnosis, source) {
        return None;
    }
    let subject = subject(source);
    let title = &subject.title;
    Some(Order {
        call: Write::PatchSource {
            source_id: source.id.clone(),
            job_inputs: inputs.clone(),
        },
        kind: Kind::Credentials,
        what: words::credentials(from, title),
        why: words::FROM_SECRET.to_owned(),
        starts: true,
        basis: Basis::Source(OfSource {
            from: from.clone(),
            hmac: hmac.clone(),
            has_inputs: None,
        }),
        subject,
    })
}

/// A source as a whole.
pub(super) fn subject(source: &Source) -> Subject {
    let title = redact::one_line(&source.title(), 80);
    Subject {
        source_id: source.id.clone(),
        schema_id: String::new(),
        about: About::source(&title),
        title,
    }
}

/// Whether the source rejects its credentials. An outage of `PostHog` may hide that.
fn rejects(diagnosis: &Diagnosis, source: &Source) -> bool {
    let mut problems = diagnosis.problems.iter();
    let mut judged = diagnosis.judged.iter();
    let is_overcome = judged.any(|judged| {
        let failure = judged.verdict.failure();
        judged.source_id == source.id && failure.is_some_and(|failure| failure.overcome.is_some())
    });
    rejected_tables(diagnosis, source).next().is_some()
        || !is_overcome
            && problems
                .any(|problem| problem.source_id == source.id && wants_credentials(problem.cause))
}

/// Whether the source rejected them since the last ones were sent: a table that is off keeps its old error.
fn rejects_still(known: &Known<'_>, diagnosis: &Diagnosis, source: &Source) -> bool {
    let rejected = rejected_tables(diagnosis, source);
    let old: Vec<bool> = rejected.map(|judged| were_rotated(known, judged)).collect();
    old.is_empty() || old.contains(&false)
}

/// The tables that failed because of their credentials.
fn rejected_tables<'a>(
    diagnosis: &'a Diagnosis,
    source: &'a Source,
) -> impl Iterator<Item = &'a Judged> {
    diagnosis.judged.iter().filter(|judged| {
        let failure = judged.verdict.failure();
        judged.source_id == source.id
            && failure.is_some_and(|failure| {
                // Others may have been set since: these could be older.
                wants_credentials(failure.cause) && failure.overcome.is_none()
            })
    })
}

fn wants_credentials(cause: RootCause) -> bool {
    Cause::of(cause).wants_credentials()
}
