//! What people request by annotation. A request that has led to a proposal exists as long as the proposal, even without the annotation.
//! If that was superseded before anything replaced it, the request still exists, because no one has answered it.

use super::{
    causes::{
        Advice, Cause, Origin,
        rules::{DELETE_DATA, NOT_UNDERSTOOD, RESYNC},
    },
    known::Known,
    problem::{NAME_CAP, Problem},
};
use crate::{
    api::{
        proposal::{Phase, Proposal, ProposedAction},
        status::{RootCause, Severity},
    },
    posthog::{
        redact,
        wire::{Schema, Source},
    },
};

/// What is requested: its rule, and in words.
const TO_DELETE: (&str, &str) = (DELETE_DATA, "delete the table's data");
const TO_RESYNC: (&str, &str) = (
    RESYNC,
    "resync the table, which deletes its rows and reimports it",
);

/// Requests that are not known to be answered yet.
pub(super) fn problems(known: &Known<'_>) -> Vec<Problem> {
    known
        .snapshot
        .selected()
        .filter_map(|(source, schema)| {
            let (rule, message) = asked(known, &schema.id)?;
            Some(problem(source, schema, rule, message))
        })
        .collect()
}

/// The rule of a request for a table, and a sentence.
fn asked(known: &Known<'_>, schema_id: &str) -> Option<(&'static str, String)> {
    if let Some(value) = unanswered(known, schema_id) {
        return Some(match requested_action(value) {
            Some((rule, what)) => (rule, format!("A person requested to {what}")),
            None => (
                NOT_UNDERSTOOD,
                format!(
                    "The annotation request.warehousesync.dev/{schema_id} has the unknown value {:?}: use Resync or DeleteData (with @2, @3, … to request it again)",
                    redact::one_line(value, 60)
                ),
            ),
        });
    }
    let proposal = waiting(known, schema_id)?;
    let (rule, what) = match proposal.action {
        ProposedAction::DeleteData => TO_DELETE,
        _ => TO_RESYNC,
    };
    Some((rule, format!("A person requested to {what}")))
}

/// The request for a table that has not led to a proposal yet, as the annotation says it.
#[must_use]
pub fn unanswered<'a>(known: &Known<'a>, schema_id: &str) -> Option<&'a str> {
    let mut requests = known.policy.answers.requests();
    let (_, value) = requests.find(|(id, _)| *id == schema_id)?;
    let mut states = known.state.schemas.iter();
    let state = states.find(|state| state.id == schema_id);
    let handled = state.and_then(|state| state.request_handled.as_deref());
    (handled != Some(value)).then_some(value)
}

/// True if a request for a table has not been answered by a person yet, with or without a proposal.
#[must_use]
pub fn is_waiting(known: &Known<'_>, schema_id: &str) -> bool {
    unanswered(known, schema_id).is_some() || waiting(known, schema_id).is_some()
}

/// The newest proposal that a request for a table has led to, while it is open or superseded. A new proposal is the last of the list.
fn waiting<'a>(known: &Known<'a>, schema_id: &str) -> Option<&'a Proposal> {
    let mut newest_first = known.proposals.iter().rev();
    let newest = newest_first.find(|row| {
        row.target.schema_id == schema_id && Cause::of(row.material.cause).origin == Origin::Request
    })?;
    (!newest.is_over() || newest.phase == Phase::Superseded).then_some(newest)
}

/// What a value asks for: `Resync`, `DeleteData`, either with `@` and a number behind it.
fn requested_action(value: &str) -> Option<(&'static str, &'static str)> {
    let word = match value.split_once('@') {
        Some((word, again)) if again.parse::<u32>().is_ok() => word,
        Some(_) => return None,
        None => value,
    };
    match word {
        "Resync" => Some(TO_RESYNC),
        "DeleteData" => Some(TO_DELETE),
        _ => None,
    }
}

fn problem(source: &Source, schema: &Schema, rule: &'static str, message: String) -> Problem {
    let title = redact::one_line(&source.title(), 80);
    let mut problem = Problem::of_source(title, &source.id, RootCause::Requested, rule, message);
    problem.table = Some((
        schema.id.to_string(),
        redact::one_line(&schema.name, NAME_CAP),
    ));
    if rule == NOT_UNDERSTOOD {
        problem.advice = Advice::same("Correct the annotation.");
        problem.severity = Severity::Warning;
    }
    problem
}
