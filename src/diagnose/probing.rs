//! Which closer questions are worth asking now. Only suspects are asked about, and no question twice without need: each costs a
//! request of a quota that is shared with the team's own use, and some make `PostHog` look into the customer's source.

use jiff::{SignedDuration, Timestamp};

use super::{cdc, data_checks, failure::read, verdict::Known, webhooks};
use crate::{
    api::status::RootCause,
    observe::{Probe, WriteScope, probes::Probed},
    posthog::{
        lax::Lax,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// How long the answer about a table that has not changed is used.
const ANSWER_LASTS: SignedDuration = SignedDuration::from_hours(6);
/// How soon a question that brought no answer is asked again.
const ASK_AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// How often the data of a table is looked at, at most.
const DATA_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// The questions to ask now, at most `most`; the cheap ones and those of sources first.
#[must_use]
pub fn due(known: &Known<'_>, most: usize) -> Vec<Probe> {
    let mut due = Vec::new();
    for source in known.snapshot.selected_sources(&known.policy.selector) {
        of_source(known, source, &mut due);
    }
    for (source, schema) in known.snapshot.selected(&known.policy.selector) {
        if schema.status() == SchemaStatus::Failed {
            of_failure(known, source, schema, &mut due);
        }
    }
    of_data(known, &mut due);
    due.truncate(most);
    due
}

fn of_source(known: &Known<'_>, source: &Source, due: &mut Vec<Probe>) {
    let probes = &known.snapshot.probes;
    let old = |at: Option<Timestamp>, every: SignedDuration| {
        at.is_none_or(|at| known.now.duration_since(at) >= every)
    };
    let id = &source.id;
    let every = known.policy.check_webhooks_every;
    if webhooks::tables(known, source).next().is_some()
        && old(probes.webhooks.get(id).map(|probed| probed.at), every)
    {
        due.push(Probe::Webhook(id.clone()));
    }
    if cdc::tables(known, source).next().is_none() {
        return;
    }
    let every = known.policy.check_cdc_every;
    if old(probes.cdc.get(id).map(|probed| probed.at), every) {
        due.push(Probe::Cdc(id.clone()));
    }
    if may_ask_live(known)
        && old(probes.prerequisites.get(id).map(|probed| probed.at), every)
        && cdc::is_suspect(known, source)
    {
        due.push(Probe::Prerequisites(id.clone()));
    }
}

/// Some questions read, but need the scope to write.
fn may_ask_live(known: &Known<'_>) -> bool {
    known.snapshot.write_scope != WriteScope::Missing
}

fn of_failure(known: &Known<'_>, source: &Source, schema: &Schema, due: &mut Vec<Probe>) {
    let probes = &known.snapshot.probes;
    let seen = known.snapshot.runs.get(&schema.id);
    let row_since = seen.map(|seen| seen.row_since);
    let cause = read(known.snapshot, source, schema).1.cause;
    // The table alone has signals that the list lacks: a better reason than a text that says little.
    let unclear = matches!(
        cause,
        RootCause::Unknown
            | RootCause::PrimaryKeyMissing
            | RootCause::PrimaryKeyDuplicate
            | RootCause::SourceObjectMissing
    );
    if unclear && outdated(known, probes.details.get(&schema.id), row_since) {
        due.push(Probe::Detail(schema.id.clone()));
    }
    if cause == RootCause::SourceObjectMissing
        && may_ask_live(known)
        && outdated(known, probes.fields.get(&schema.id), row_since)
    {
        due.push(Probe::Fields(schema.id.clone()));
    }
}

/// True if an answer is missing, or older than what the list says of the table now.
fn outdated<A>(
    known: &Known<'_>,
    probed: Option<&Probed<A>>,
    row_since: Option<Timestamp>,
) -> bool {
    let Some(Probed { at, answer }) = probed else {
        return true;
    };
    let age = known.now.duration_since(*at);
    let lasts = if answer.is_ok() {
        ANSWER_LASTS
    } else {
        ASK_AGAIN
    };
    age >= lasts || (row_since.is_some_and(|since| since > *at) && answer.is_ok())
}

fn of_data(known: &Known<'_>, due: &mut Vec<Probe>) {
    for check in &known.policy.data_checks {
        let Ok((_, schema)) = data_checks::target(known, check) else {
            continue;
        };
        // Only what a sync has brought is looked at, and not while the next one is writing.
        if schema.status() != SchemaStatus::Completed || schema.last_synced_at == Lax::Null {
            continue;
        }
        let probe = data_checks::probe(check, schema);
        let asked = known.snapshot.probes.data.get(&probe);
        let new = match asked {
            None => true,
            Some(Probed { at, answer }) => {
                let synced_at = schema.last_synced_at.get().copied();
                let same_sync = answer
                    .as_ref()
                    .is_ok_and(|answer| answer.synced_at == synced_at);
                known.now.duration_since(*at) >= DATA_EVERY && !same_sync
            }
        };
        if new {
            due.push(Probe::Data(probe));
        }
    }
}
