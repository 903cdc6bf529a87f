//! Which probes are worth a request now. Only suspects are probed, and no probe is repeated without need: each costs a request of a quota that is
//! shared with the team's own use, and some make `PostHog` read the customer's source.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    causes::{Cause, Reads, Scope},
    cdc, data_checks,
    failure::{blocked, read},
    fix::SwitchedOff,
    judge,
    known::Known,
    requests,
    source_facts::SourceFacts,
    switched_off, webhooks,
};
use crate::{
    api::{policy::Switch, validated::DataRule},
    observe::{Deliveries, Probe, WriteScope, probes::Probed},
    posthog::{
        PostHogError,
        lax::Lax,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// How long the answer about a table that has not changed is used.
const ANSWER_LASTS: SignedDuration = SignedDuration::from_hours(6);
/// How soon an unanswered probe is repeated: at first, and at most. Doubled each time.
const ASK_AGAIN: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(10), SignedDuration::from_hours(6));
/// How long between the logs of two webhooks of a project: queries are counted in tens an hour.
const BETWEEN_LOGS: SignedDuration = SignedDuration::from_mins(10);
/// How long a key that may not query is not asked to.
const SCOPE_LASTS: SignedDuration = SignedDuration::from_hours(24);
/// How long what webhooks need is used: it changes with a version of `PostHog`.
const FIELDS_LAST: SignedDuration = SignedDuration::from_hours(24);
/// How often the data of a table is checked, at most.
const DATA_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// The questions to ask now, those first that were not asked for the longest time.
#[must_use]
pub fn due(known: &Known<'_>) -> Vec<Probe> {
    let mut due = Due {
        now: known.now,
        probes: Vec::new(),
        known: HashSet::new(),
    };
    for source in known.snapshot.selected_sources() {
        of_source(known, source, &mut due);
    }
    for (source, tables) in known.snapshot.sources.selected() {
        let of = SourceFacts::new(known.snapshot, source);
        for schema in tables {
            of_table(known, &of, schema, &mut due);
        }
    }
    for schema in switched_off::to_ask(known) {
        if may_ask_live(known) {
            let probed = known.snapshot.probes.fields.get(schema.id.as_str());
            due.add(Probe::Fields(schema.id.to_string()), probed, ANSWER_LASTS);
        }
    }
    of_data(known, &mut due);
    // Stable: of those that were never asked, the cheap ones and those of sources come first.
    due.probes.sort_by_key(|(asked, _)| *asked);
    due.probes.into_iter().map(|(_, probe)| probe).collect()
}

/// What was found to be due, each with when it was last asked.
struct Due {
    now: Timestamp,
    probes: Vec<(Option<Timestamp>, Probe)>,
    known: HashSet<Probe>,
}

impl Due {
    /// Adds a question that was never asked, or not for `every`, or in vain.
    fn add<A>(&mut self, probe: Probe, probed: Option<&Probed<A>>, every: SignedDuration) {
        self.add_if(probe, probed, |_| every);
    }

    /// The same with `every` depending on the answer.
    fn add_if<A>(
        &mut self,
        probe: Probe,
        probed: Option<&Probed<A>>,
        every: impl FnOnce(&Probed<A>) -> SignedDuration,
    ) {
        let is_due = probed.is_none_or(|probed| {
            let wait = if probed.in_vain == 0 {
                every(probed)
            } else {
                back_off(probed.in_vain).min(ASK_AGAIN.1)
            };
            // Asked in the future: the clock was set back.
            self.now.duration_since(probed.asked).abs() >= wait
        });
        if is_due {
            self.push(probe, probed.map(|probed| probed.asked));
        }
    }

    fn push(&mut self, probe: Probe, asked: Option<Timestamp>) {
        if self.known.insert(probe.clone()) {
            self.probes.push((asked, probe));
        }
    }
}

/// Whether a reload of the table would have to be proposed.
fn has_pending_reset(known: &Known<'_>, schema_id: &str) -> bool {
    let mut states = known.state.schemas.iter();
    let mut others = known
        .snapshot
        .other_policies
        .iter()
        .flat_map(|one| &one.reset_pending_since);
    states.any(|state| state.reset_pending_since.is_some() && state.id == schema_id)
        || others.any(|(id, _)| id == schema_id)
}

fn back_off(in_vain: u32) -> SignedDuration {
    let doubled = 1_i32.checked_shl(in_vain - 1).unwrap_or(i32::MAX);
    ASK_AGAIN.0.checked_mul(doubled).unwrap_or(ASK_AGAIN.1)
}

fn of_source(known: &Known<'_>, source: &Source, due: &mut Due) {
    let probes = &known.snapshot.probes;
    let id = &source.id;
    if webhooks::tables(known, source).next().is_some() {
        let every = known.policy.check_webhooks_every;
        let mut states = known.state.sources.iter();
        let sent_input = states.find(|state| state.id == *id);
        let sent_input = sent_input.map_or([None; 2], |state| {
            [&state.webhook, &state.webhook_inputs].map(|one| Some(one.as_ref()?.at))
        });
        let sent_input: Vec<Timestamp> = sent_input.into_iter().flatten().collect();
        due.add_if(
            Probe::Webhook(id.clone()),
            probes.webhooks.get(id),
            |probed| {
                // What the operator registered or pushed is probed once more, soon.
                if sent_input.iter().any(|at| *at >= probed.asked) {
                    SignedDuration::ZERO
                } else {
                    every
                }
            },
        );
    }
    if webhooks::shows_inputs(known, source) {
        let probe = Probe::WebhookFields(id.clone());
        let mut asked = due.probes.iter().map(|(_, probe)| probe);
        if !asked.any(|probe| matches!(probe, Probe::WebhookFields(_))) {
            due.add(probe, probes.webhook_fields.as_ref(), FIELDS_LAST);
        }
    }
    of_deliveries(known, source, due);
    if webhooks::is_off_at_vendor(probes.webhooks.get(id)) && may_ask_live(known) {
        for schema in source
            .schemas
            .iter()
            .filter(|schema| schema.syncs_by("webhook"))
        {
            let before = probes.fields.get(schema.id.as_str());
            due.add(Probe::Fields(schema.id.to_string()), before, ANSWER_LASTS);
        }
    }
    of_connection(known, source, due);
    if cdc::tables(known, source).next().is_none() {
        return;
    }
    let every = known.policy.check_cdc_every;
    // What a run has said since asks for a newer answer.
    let failed = cdc::tables(known, source).filter(|row| row.status() == SchemaStatus::Failed);
    let seen = failed.filter_map(|row| known.snapshot.seen(&row.id));
    let failed_since = seen.map(|seen| seen.row_since).max();
    due.add_if(Probe::Cdc(id.clone()), probes.cdc.get(id), |probed| {
        if failed_since.is_some_and(|since| since > probed.at) {
            SignedDuration::ZERO
        } else {
            every
        }
    });
    if may_ask_live(known) && cdc::is_suspect(known, source) {
        let before = probes.prerequisites.get(id);
        let check = cdc::check(known.snapshot, source);
        due.add(Probe::Prerequisites(id.clone(), check), before, every);
    }
}

/// Queries are few: only tables without another problem are checked, and none with a key that may not query.
fn of_deliveries(known: &Known<'_>, source: &Source, due: &mut Due) {
    let probes = &known.snapshot.probes;
    let info = probes.webhooks.get(&source.id);
    let info = info.and_then(|probed| probed.answer.as_ref().ok());
    let function = info.and_then(|info| info.hog_function.as_ref()?.id.get());
    let may_not = |probed: &Probed<Deliveries>| {
        let lacks = |error: &PostHogError| error.lacks_scope("query:read");
        let lately = known.now.duration_since(probed.asked).abs() < SCOPE_LASTS;
        lately && probed.answer.as_ref().is_err_and(lacks)
    };
    let rests =
        |probed: &Probed<Deliveries>| known.now.duration_since(probed.asked).abs() < BETWEEN_LOGS;
    let mut asked = due.probes.iter().map(|(_, probe)| probe);
    let wanted = webhooks::tables(known, source).next().is_some()
        && !asked.any(|probe| matches!(probe, Probe::Deliveries(..)))
        && !probes
            .deliveries
            .values()
            .any(|one| may_not(one) || rests(one));
    if let Some(function) = function.filter(|_| wanted) {
        let probe = Probe::Deliveries(source.id.clone(), function.clone());
        let before = probes.deliveries.get(&source.id);
        due.add(probe, before, ANSWER_LASTS);
    }
}

/// Does a source answer again that turned its tables away? One of them is asked: the answer is about all. Change data capture has a
/// question of its own.
fn of_connection(known: &Known<'_>, source: &Source, due: &mut Due) {
    let snapshot = known.snapshot;
    let is_turned_away = |schema: &&Schema| {
        schema.is_on()
            && schema.status() == SchemaStatus::Failed
            && !schema.syncs_by("cdc")
            && known.policy.selector.selects_schema(&schema.name)
            && Cause::of(read(snapshot, source, schema).1.cause).scope == Scope::Connection
    };
    let mut tables = source.schemas.iter();
    if let Some(schema) = tables.find(is_turned_away).filter(|_| may_ask_live(known)) {
        let probed = snapshot.probes.fields.get(schema.id.as_str());
        let row_since = snapshot.seen(&schema.id).map(|seen| seen.row_since);
        due.add_if(
            Probe::Fields(schema.id.to_string()),
            probed,
            lasts(row_since),
        );
    }
}

/// Some questions read, but need the scope to write.
fn may_ask_live(known: &Known<'_>) -> bool {
    known.snapshot.write_scope != WriteScope::Missing
}

fn of_table(known: &Known<'_>, of: &SourceFacts<'_>, schema: &Schema, due: &mut Due) {
    if schema.status() == SchemaStatus::Failed {
        of_failure(known, of.source, schema, due);
        of_switched_off(known, of, schema, due);
    }
    let reset_pending_since = has_pending_reset(known, &schema.id);
    if reset_pending_since || requests::is_waiting(known, &schema.id) {
        let probed = known.snapshot.probes.details.get(schema.id.as_str());
        due.add(Probe::Detail(schema.id.to_string()), probed, ANSWER_LASTS);
    }
}

fn of_failure(known: &Known<'_>, source: &Source, schema: &Schema, due: &mut Due) {
    let snapshot = known.snapshot;
    let cause = read(snapshot, source, schema).1.cause;
    let cause = blocked(snapshot, schema).unwrap_or(cause);
    let reads = Cause::of(cause).reads;
    let row_since = snapshot.seen(&schema.id).map(|seen| seen.row_since);
    if reads != Reads::Nothing {
        let probed = snapshot.probes.details.get(schema.id.as_str());
        due.add_if(
            Probe::Detail(schema.id.to_string()),
            probed,
            lasts(row_since),
        );
    }
    if reads == Reads::TableAndSource && may_ask_live(known) {
        let probed = snapshot.probes.fields.get(schema.id.as_str());
        due.add_if(
            Probe::Fields(schema.id.to_string()),
            probed,
            lasts(row_since),
        );
    }
}

/// Was the reason fixed for which the table was switched off? Probed only where the answer has an effect.
fn of_switched_off(known: &Known<'_>, of: &SourceFacts<'_>, schema: &Schema, due: &mut Due) {
    let policy = known.policy;
    let off = schema.is_off();
    if !off || !policy.may_act() || policy.reenable_after_fix == Switch::Off || !may_ask_live(known)
    {
        return;
    }
    let snapshot = known.snapshot;
    let Some(seen) = snapshot.seen(&schema.id) else {
        return;
    };
    let source = of.source;
    let verdict = judge::verdict(known, of, schema, Some(seen));
    let Some(off) = SwitchedOff::new(known.state, snapshot, (source, schema), &verdict) else {
        return;
    };
    match off.questions(seen.row_since) {
        None => {
            let before = snapshot.probes.prerequisites.get(&source.id);
            let check = cdc::check(snapshot, source);
            let probe = Probe::Prerequisites(source.id.clone(), check);
            due.add(probe, before, policy.check_cdc_every);
        }
        Some((probes, at)) => {
            // New credentials are a reason to ask at once.
            let fields = snapshot.probes.fields.get(schema.id.as_str());
            let mut sources = known.state.sources.iter();
            let sent_input = sources.find(|state| state.id == source.id);
            let sent_input = sent_input.and_then(|state| Some(state.credentials.as_ref()?.at));
            let renewed =
                fields.is_some_and(|probed| sent_input.is_some_and(|at| at > probed.asked));
            if renewed || known.now >= at {
                for probe in probes {
                    due.push(probe, Some(at));
                }
            }
        }
    }
}

/// How long an answer about a table lasts: no longer than what the list says of it.
fn lasts<A>(row_since: Option<Timestamp>) -> impl FnOnce(&Probed<A>) -> SignedDuration {
    move |probed| {
        if row_since.is_some_and(|since| since > probed.at) {
            SignedDuration::ZERO
        } else {
            ANSWER_LASTS
        }
    }
}

fn of_data(known: &Known<'_>, due: &mut Due) {
    for check in &known.policy.data_checks {
        let Ok((_, schema)) = data_checks::target(known, check) else {
            continue;
        };
        // Only data of a completed sync is checked, and not while the next one is writing.
        if schema.status() != SchemaStatus::Completed || schema.last_synced_at == Lax::Null {
            continue;
        }
        let probe = data_checks::probe(check, schema);
        let probed = known.snapshot.probes.data.get(&probe);
        if data_checks::is_broken(check, probed) {
            let detail = known.snapshot.probes.details.get(schema.id.as_str());
            due.add(Probe::Detail(schema.id.to_string()), detail, ANSWER_LASTS);
        }
        let synced_at = schema.last_synced_at.get().copied();
        due.add_if(Probe::Data(probe), probed, |probed| {
            let answer = probed.answer.as_ref();
            let same_sync = answer.is_ok_and(|answer| answer.synced_at == synced_at);
            // Duplicates come only with a sync; the newest row grows old by itself.
            let stands = same_sync && matches!(check.rule, DataRule::UniqueKey(_));
            if stands {
                SignedDuration::MAX
            } else {
                DATA_EVERY
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_without_an_answer_is_repeated_less_and_less_often() {
        let minutes: Vec<i64> = (1..9)
            .map(|n| back_off(n).min(ASK_AGAIN.1).as_mins())
            .collect();
        assert_eq!(minutes, [10, 20, 40, 80, 160, 320, 360, 360]);
        assert!(back_off(u32::MAX) >= ASK_AGAIN.1);
    }
}
