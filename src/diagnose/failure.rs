//! Why a run failed: structured signals first, then the text, then what a probe or the siblings say of an ambiguous text.

use jiff::Timestamp;

use super::{
    causes::{Advice, Cause, Scope, StrongerSignal},
    classify::classify,
    known::Known,
    source_facts::SourceFacts,
    words::seconds,
};
use crate::{
    api::status::{Confidence, Fate, RootCause},
    observe::{Newest, Reading, RunProbe, Snapshot},
    posthog::{
        PostHogError, redact,
        wire::{Schema, Source},
    },
};

/// Longest error text that is kept, in characters.
const TEXT_CAP: usize = 300;

/// Runs in a row without a success of which the newest ended with a note of `PostHog`: from this many on they are failures.
const NOTES_IN_A_ROW: usize = 3;

/// A failure, and why it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: RootCause,
    /// How sure that is.
    pub confidence: Confidence,
    /// The rule that says so.
    pub rule: &'static str,
    /// What a person should do.
    pub advice: Advice,
    /// What `PostHog` says, redacted and capped; none if it says nothing.
    pub text: Option<String>,
    /// Further evidence of the cause.
    pub facts: Vec<String>,
    /// When `PostHog` connected to the source after a failure to do so: the text is out of date.
    pub overcome: Option<Timestamp>,
}

/// What helps where a connection works again.
const RESUME: Advice = Advice {
    with_operator: "PostHog can connect to the source again, so nothing needs to change there. Resume: if PostHog switched the table off, switch it on again by approving the proposal or in PostHog; otherwise reload it or wait for the next run.",
    by_hand: "PostHog can connect to the source again, so nothing needs to change there. Resume: if PostHog switched the table off, switch it on again in PostHog; otherwise reload it or wait for the next run.",
};

/// Why the newest run of a table failed at `failed_at`.
#[must_use]
pub fn failure(
    known: &Known<'_>,
    of: &SourceFacts<'_>,
    schema: &Schema,
    failed_at: Option<Timestamp>,
) -> Failure {
    let (failure, text) = without_text(known, of, schema, failed_at);
    Failure {
        text: text.map(|text| redact::text(text, TEXT_CAP)),
        ..failure
    }
}

/// Only the cause of it. Redacting the text is most of the work.
pub(super) fn cause(
    known: &Known<'_>,
    of: &SourceFacts<'_>,
    schema: &Schema,
    failed_at: Option<Timestamp>,
) -> &'static Cause {
    Cause::of(without_text(known, of, schema, failed_at).0.cause)
}

/// The failure, and its text as `PostHog` says it.
fn without_text<'a>(
    known: &Known<'a>,
    of: &SourceFacts<'_>,
    schema: &'a Schema,
    failed_at: Option<Timestamp>,
) -> (Failure, Option<&'a str>) {
    let snapshot = known.snapshot;
    let (text, reading) = read(snapshot, of.source, schema);
    let mut failure = Failure {
        cause: reading.cause,
        confidence: reading.confidence,
        rule: reading.rule,
        advice: reading.advice(),
        text: None,
        facts: reading.likeness().into_iter().collect(),
        overcome: None,
    };
    if let Some(blocked) = blocked(snapshot, schema) {
        failure.becomes(blocked, Confidence::High, "field/incremental_sync_blocked");
        failure
            .facts
            .push("PostHog's field incremental_sync_blocked names this cause".to_owned());
    }
    if Cause::of(failure.cause).is_note() {
        notes_again_and_again(&mut failure, snapshot, schema);
    }
    match Cause::of(failure.cause).doubt {
        StrongerSignal::Status => {
            failure.becomes(RootCause::Unknown, Confidence::Low, "none");
            failure.facts.push(
                "the text mentions billing limits, but the table's status in PostHog is not a billing status"
                    .to_owned(),
            );
        }
        StrongerSignal::Source => ask_the_source(&mut failure, snapshot, schema),
        StrongerSignal::Siblings => {
            ask_the_siblings(&mut failure, of, failed_at, reading.is_bare_refusal);
        }
        // The table was read already, with the same `read`.
        StrongerSignal::Table | StrongerSignal::Nothing => {}
    }
    if Cause::of(failure.cause).scope == Scope::Connection {
        ask_the_connection(&mut failure, known, of, failed_at);
    }
    (failure, text)
}

/// What `PostHog` answers now is newer than the text. It got in before, too, if it took the credentials with which the run failed:
/// then the run knows better.
fn ask_the_connection(
    failure: &mut Failure,
    known: &Known<'_>,
    of: &SourceFacts<'_>,
    failed_at: Option<Timestamp>,
) {
    let mut states = known.state.sources.iter();
    let state = states.find(|state| state.id == of.source.id);
    let sent_input = state.and_then(|state| state.credentials.as_ref());
    let failed_with = sent_input.is_some_and(|sent_input| {
        sent_input.fate == Some(Fate::Accepted) && failed_at.is_none_or(|at| at > sent_input.at)
    });
    let reached = of.reached().filter(|_| !failed_with);
    let Some(at) = reached.filter(|at| failed_at.is_some_and(|failed_at| *at > failed_at)) else {
        return;
    };
    failure.overcome = Some(at);
    failure.advice = RESUME;
    failure.facts.push(format!(
        "PostHog connected to the source at {}, after this failure, so the error text is outdated",
        seconds(at)
    ));
}

/// What `PostHog` says of a failed run, and what that means, without anything else. The table's text counts first, then the
/// newest job's, which may say more: some texts of tables only say that the run stopped.
#[must_use]
pub fn read<'a>(
    snapshot: &'a Snapshot,
    source: &Source,
    schema: &'a Schema,
) -> (Option<&'a str>, Reading) {
    let job = || {
        let run_probe = snapshot.seen(&schema.id)?.readable()?;
        match run_probe.newest() {
            Newest::Job(job, _) => job.latest_error.get(),
            Newest::None | Newest::Unclear(_) => None,
        }
    };
    let detail = || snapshot.detail(&schema.id)?.row.latest_error.get();
    let source_type = source.source_type.get().map(String::as_str);
    let read = |text| snapshot.readings.of(text, source_type, classify);
    let mut readings = [schema.latest_error.get(), job(), detail()]
        .into_iter()
        .flatten()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
        .map(|text| (Some(text), read(text)));
    let says_why =
        |(_, reading): &(_, Reading)| Cause::of(reading.cause).doubt != StrongerSignal::Table;
    let first = readings.next();
    match first {
        None => (None, read("")),
        Some(first) if says_why(&first) => first,
        Some(first) => readings.find(says_why).unwrap_or(first),
    }
}

impl Failure {
    /// The same of a run that the operator cancelled with approval: that it was stopped is no note then, because no run came after it.
    pub(super) fn of_cancel_in_vain(mut self) -> Self {
        self.becomes(
            RootCause::Stuck,
            Confidence::High,
            "run/cancelled-and-none-since",
        );
        self.advice = Advice::same(
            "Reload the table in PostHog: the operator cancelled its run with approval, and its reload started no run. If no run starts again, ask PostHog's support.",
        );
        let fact = "the operator cancelled the run after a person approved it";
        self.facts.push(fact.to_owned());
        self
    }

    fn becomes(&mut self, cause: RootCause, confidence: Confidence, rule: &'static str) {
        *self = Self {
            cause,
            confidence,
            rule,
            advice: Cause::of(cause).advice,
            text: self.text.take(),
            facts: std::mem::take(&mut self.facts),
            overcome: None,
        };
    }
}

/// One run that ends with a note of `PostHog` is none that failed; several in a row, without any success, are. Runs that somebody
/// stopped are not counted.
fn notes_again_and_again(failure: &mut Failure, snapshot: &Snapshot, schema: &Schema) {
    let Some(seen) = snapshot.seen(&schema.id) else {
        return;
    };
    let run_probe = seen.readable().map(RunProbe::newest);
    let stopped = matches!(run_probe, Some(Newest::Job(job, _)) if job.was_stopped());
    let streak = seen.streak.filter(|streak| streak.count >= NOTES_IN_A_ROW);
    if let Some(streak) = streak.filter(|_| !stopped) {
        failure.becomes(
            RootCause::PlatformInternal,
            Confidence::Medium,
            "run/notes-in-a-row",
        );
        failure.facts.push(format!(
            "{} runs in a row ended without data, the newest with this note",
            streak.count
        ));
    }
}

/// The details of the table, if they were read.
pub(super) fn blocked(snapshot: &Snapshot, schema: &Schema) -> Option<RootCause> {
    let detail = snapshot.detail(&schema.id)?;
    match detail.incremental_sync_blocked.get()?.as_str() {
        "missing_primary_key" => Some(RootCause::PrimaryKeyMissing),
        "duplicate_primary_key" => Some(RootCause::PrimaryKeyDuplicate),
        _ => None,
    }
}

/// Table or column? The customer's source was read.
fn ask_the_source(failure: &mut Failure, snapshot: &Snapshot, schema: &Schema) {
    let Some(answer) = snapshot.fields(&schema.id) else {
        return;
    };
    match answer {
        Ok(fields) => {
            let wanted = snapshot
                .detail(&schema.id)
                .and_then(|detail| detail.incremental_field.get());
            let gone = wanted.filter(|column| fields.has_column(column) == Some(false));
            failure.facts.push(match gone {
                Some(column) => format!(
                    "the source has the table, but no column {}, its incremental field",
                    redact::one_line(column, 80)
                ),
                None => "the source has the table, so a column is missing".to_owned(),
            });
            let confidence = if gone.is_some() {
                Confidence::High
            } else {
                Confidence::Medium
            };
            failure.becomes(RootCause::SchemaDrift, confidence, "probe/table-found");
        }
        Err(PostHogError::Refused {
            status: 400,
            detail,
            ..
        }) if says_gone(detail) => {
            failure
                .facts
                .push("PostHog found no such table in the source".to_owned());
            failure.becomes(
                RootCause::TableMissing,
                Confidence::High,
                "probe/table-not-found",
            );
        }
        Err(error) => failure.facts.push(format!(
            "PostHog could not check the table in the source: {}",
            redact::text(&error.to_string(), 200)
        )),
    }
}

/// `Schema with name X not found`, or that it could not be discovered: the name stands in the middle and does not matter.
pub(super) fn says_gone(detail: &str) -> bool {
    let detail = detail.to_lowercase();
    (detail.starts_with("schema with name") && detail.trim_end_matches('.').ends_with("not found"))
        || detail.starts_with("could not discover schema")
}

/// A dead key fails every table. If a sibling succeeded after this table failed, the key works now; and if an API only
/// refused the request (`bare`), it is this table that the key may not read.
fn ask_the_siblings(
    failure: &mut Failure,
    of: &SourceFacts<'_>,
    failed_at: Option<Timestamp>,
    bare: bool,
) {
    let proof = of
        .newest_success()
        .filter(|(at, _)| failed_at.is_some_and(|failed_at| *at > failed_at));
    if let Some((_, sibling)) = proof {
        failure.facts.push(format!(
            "{} synced after this failure, so the credentials work",
            redact::one_line(&sibling.name, 80)
        ));
        if bare {
            failure.becomes(
                RootCause::PermissionDenied,
                Confidence::Medium,
                "siblings/succeed",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posthog::wire::{Job, STOPPED};

    #[test]
    fn a_run_that_somebody_stopped_is_a_note_and_an_error_that_quotes_it_is_an_error() {
        for note in STOPPED {
            assert_eq!(
                classify(note, None).cause,
                RootCause::OperatorAction,
                "{note}"
            );
        }
        let stopped = |said: &str| {
            let json = serde_json::json!({"id": "j", "status": "Failed", "latest_error": said});
            serde_json::from_value::<Job>(json).unwrap().was_stopped()
        };
        assert!(stopped(" sync cancelled by user. "));
        for error in [
            "",
            "statement cancelled: Sync cancelled by user",
            "query Cancelled by server",
        ] {
            assert!(!stopped(error));
            assert_eq!(classify(error, None).cause, RootCause::Unknown, "{error}");
        }
    }
}
