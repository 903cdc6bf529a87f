//! One cause behind all tables of a source: one problem with its blast radius instead of forty. Never from the source's own
//! status, which `PostHog` derives from its tables.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{
    causes::{Cause, Scope, StrongerSignal},
    failure::read,
    known::Known,
    problem::{NAME_CAP, Problem, SharedProblem},
    verdict::{Judged, Verdict},
};
use crate::{
    api::status::{Confidence, RootCause},
    observe::Seen,
    posthog::{
        redact,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// The problems of whole sources.
pub(super) fn problems(
    known: &Known<'_>,
    judged: &[Judged],
    reported: &HashSet<String>,
) -> Vec<SharedProblem> {
    let open: Vec<&Judged> = judged
        .iter()
        .filter(|judged| !reported.contains(&judged.schema_id))
        .collect();
    let suspects: HashSet<&str> = open
        .iter()
        .filter(|judged| failed(judged).is_some())
        .map(|judged| judged.source_id.as_str())
        .collect();
    known
        .snapshot
        .sources
        .iter()
        .filter(|source| suspects.contains(source.id.as_str()))
        .filter_map(|source| wide(known, source, &open))
        .collect()
}

/// What a table's newest result says.
enum NewestResult {
    /// It has none, or one that says nothing of the source.
    Nothing,
    /// It worked.
    Success,
    /// It failed.
    Failure {
        /// Why.
        cause: RootCause,
        /// What it says, without what names a table or counts something.
        words: String,
        /// True if an API only refused the request.
        refused: bool,
    },
}

impl NewestResult {
    fn has(&self, is: impl Fn(&Cause) -> bool) -> bool {
        matches!(self, Self::Failure { cause, .. } if is(Cause::of(*cause)))
    }
}

fn newest(
    known: &Known<'_>,
    source: &Source,
    schema: &Schema,
    stale: &HashSet<&str>,
) -> NewestResult {
    let status = schema.status();
    // Its last success is so old that it says nothing of today.
    if status == SchemaStatus::Completed && stale.contains(schema.id.as_str()) {
        return NewestResult::Nothing;
    }
    let has_text = schema
        .latest_error
        .get()
        .is_some_and(|text| !text.trim().is_empty());
    // Switched off by a person, or never set up: says nothing of today.
    let failed = status == SchemaStatus::Failed && has_text;
    if !(schema.is_on() || failed) {
        return NewestResult::Nothing;
    }
    match status {
        SchemaStatus::Completed => NewestResult::Success,
        // The text outlives the start of the next run, and a success clears it.
        SchemaStatus::Running if !has_text && schema.last_synced_at.get().is_some() => {
            NewestResult::Success
        }
        SchemaStatus::Running if !has_text => NewestResult::Nothing,
        SchemaStatus::Failed | SchemaStatus::Running => failure(known, source, schema),
        SchemaStatus::Never
        | SchemaStatus::Paused
        | SchemaStatus::Billing
        | SchemaStatus::Unknown => NewestResult::Nothing,
    }
}

fn failure(known: &Known<'_>, source: &Source, schema: &Schema) -> NewestResult {
    let (text, reading) = read(known.snapshot, source, schema);
    let cause = Cause::of(reading.cause);
    if cause.is_note() {
        return NewestResult::Nothing;
    }
    NewestResult::Failure {
        cause: reading.cause,
        words: shape(text.unwrap_or_default()),
        refused: cause.doubt == StrongerSignal::Siblings || reading.is_bare_refusal,
    }
}

/// What all newest results of a source have in common.
struct Shared {
    cause: RootCause,
    /// True if it shows only in all of them together: where every table is refused, it is the key that is refused.
    together: bool,
}

/// The one cause of all newest results, if there is one.
fn shared(known: &Known<'_>, source: &Source, judged: &[&Judged]) -> Option<Shared> {
    let (mut causes, mut said) = (HashSet::new(), HashSet::new());
    let (mut count, mut all_refused) = (0, true);
    let stale = judged.iter();
    let stale = stale.filter(|judged| matches!(judged.verdict, Verdict::Stale { .. }));
    let stale: HashSet<&str> = stale.map(|judged| judged.schema_id.as_str()).collect();
    let results: Vec<(NewestResult, Option<Timestamp>)> = (source.schemas.iter())
        .map(|schema| {
            let failed_at = known.snapshot.seen(&schema.id).and_then(Seen::failed_at);
            (newest(known, source, schema, &stale), failed_at)
        })
        .collect();
    let turned_away = (results.iter())
        .filter(|(result, _)| result.has(|cause| cause.scope == Scope::Connection))
        .filter_map(|(_, at)| *at)
        .max();
    for (result, failed_at) in results {
        // What may have passed by itself says nothing if a sibling was turned away since.
        let has_passed = result.has(|cause| cause.retried_by_posthog)
            && failed_at
                .zip(turned_away)
                .is_some_and(|(at, turned_away)| at <= turned_away);
        if has_passed {
            continue;
        }
        match result {
            NewestResult::Nothing => {}
            NewestResult::Success => return None,
            NewestResult::Failure {
                cause,
                words,
                refused,
            } => {
                causes.insert(cause);
                said.insert(words);
                count += 1;
                all_refused &= refused;
            }
        }
    }
    let cause = *causes.iter().next()?;
    let alike = match Cause::of(cause).scope {
        Scope::Connection => true,
        Scope::Settings => count >= 2 && said.len() == 1,
        Scope::Table | Scope::Capture => false,
    };
    if causes.len() == 1 && alike {
        return Some(Shared {
            cause,
            together: false,
        });
    }
    (all_refused && count >= 2).then_some(Shared {
        cause: RootCause::CredentialsInvalid,
        together: true,
    })
}

fn wide(known: &Known<'_>, source: &Source, judged: &[&Judged]) -> Option<SharedProblem> {
    let of_source: Vec<&Judged> = (judged.iter().copied())
        .filter(|judged| judged.source_id == source.id)
        .collect();
    let Shared { cause, together } = shared(known, source, &of_source)?;
    let failing: Vec<&Judged> = (of_source.iter().copied())
        .filter(|judged| suffers(judged))
        .collect();
    let first = failing
        .iter()
        .filter_map(|judged| known.snapshot.seen(&judged.schema_id))
        .filter_map(Seen::failed_at)
        .min();
    if first.is_some_and(|first| succeeded_after(source, first)) {
        return None;
    }
    // The most specific failure represents all.
    let speaker = failing
        .iter()
        .filter(|judged| failed(judged).is_some_and(|(own, _)| together || own == cause))
        .max_by_key(|judged| matches!(judged.verdict, Verdict::Failing { .. }))?;
    let mut problem = Problem::of_table(speaker)?;
    let affected: Vec<String> = failing
        .iter()
        .map(|judged| redact::one_line(&judged.schema, NAME_CAP))
        .collect();
    problem.evidence.insert(
        0,
        format!(
            "the newest result of every table of the source shows this cause ({} of them selected), and none succeeded since the first failure",
            affected.len()
        )
        .into(),
    );
    let overcome = speaker
        .verdict
        .failure()
        .and_then(|failure| failure.overcome);
    if together {
        problem.cause = cause;
        problem.confidence = Confidence::Medium;
        problem.rule = "siblings/all-refused";
        if overcome.is_none() {
            problem.advice = Cause::of(cause).advice;
        }
        problem.table = None;
        problem.evidence.push(
            "every table is refused; a missing right on one table would leave the others working"
                .into(),
        );
    } else if failing.len() >= 2 {
        // What several tables say alike is surer than what one does.
        problem.confidence = Confidence::High;
        problem.table = None;
    }
    problem.since = first.or(problem.since);
    problem.severity = failing
        .iter()
        .filter_map(|judged| Problem::of_table(judged))
        .map(|own| own.severity)
        .min()
        .unwrap_or(problem.severity);
    problem.affected = affected;
    let tables = failing
        .iter()
        .map(|judged| judged.schema_id.clone())
        .collect();
    Some(SharedProblem { problem, tables })
}

/// True if a table of the source was synced after `first`.
pub(super) fn succeeded_after(source: &Source, first: Timestamp) -> bool {
    source
        .schemas
        .iter()
        .any(|schema| schema.last_synced_at.get().is_some_and(|at| *at > first))
}

/// True for a table that failed, or that has not been synced for so long that it would already have failed.
fn suffers(judged: &Judged) -> bool {
    match &judged.verdict {
        Verdict::JustFailed | Verdict::Stale { .. } => true,
        _ => failed(judged).is_some(),
    }
}

/// A text without quotations, numbers, and what looks like a name: the rest is the same for every table.
#[must_use]
pub fn shape(text: &str) -> String {
    let is_plain = |c: char| c.is_alphabetic() || matches!(c, '\'' | '-');
    let words = text
        .split_whitespace()
        .map(|word| word.trim_matches(['.', ',', ':', ';', '(', ')', '[', ']', '!', '?']))
        .filter(|word| !word.is_empty() && word.chars().all(is_plain))
        .filter(|word| !word.starts_with('\'') && !word.ends_with('\''));
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// The cause and time of a table that failed, also of one that was switched off after it.
fn failed(judged: &Judged) -> Option<(RootCause, Option<Timestamp>)> {
    match &judged.verdict {
        Verdict::Failing { since, failure } => Some((failure.cause, Some(*since))),
        Verdict::Disabled {
            after: Some(failure),
            by_posthog,
        } => Some((failure.cause, *by_posthog)),
        _ => None,
    }
}
