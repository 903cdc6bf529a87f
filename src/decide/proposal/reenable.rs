//! Tables that are off after a failure and may be switched on again, but only with approval: who switched them off was not observed, or
//! the fix was not observed, or they are imported from the beginning. And those that the source lacked and shows again. One proposal for
//! each source and cause.

use std::collections::BTreeMap;

use super::{
    draft::Draft,
    fit::{Fit, Wanted},
    key::Key,
    steps::call,
};
use crate::{
    api::{
        proposal::{ProposedAction, ProposedCall, ProposedStep},
        status::RootCause,
    },
    decide::{orders, plan::Said, table::is_wiped_when_switched_on, words::next_action as words},
    diagnose::{
        Diagnosis, Judged, Known, Problem, Verdict,
        fix::{Fix, SwitchedOff},
        switched_off::{self, Returned},
    },
    posthog::wire::{Schema, Source},
};

/// Most tables that one proposal switches on; the others follow with the next.
const MAX_TABLES: usize = 100;

/// A table that is off and whose fix can be observed.
struct Candidate<'a> {
    judged: &'a Judged,
    source: &'a Source,
    schema: &'a Schema,
    off: SwitchedOff<'a>,
    /// Whether change data capture is stopped, which the prerequisite check does not show.
    is_blocked: bool,
}

/// The tables that the operator does not switch on by itself, in a stable order.
fn candidates<'a>(known: &'a Known<'a>, diagnosis: &'a Diagnosis) -> Vec<Candidate<'a>> {
    let (state, snapshot) = (known.state, known.snapshot);
    let is_off = |judged: &&Judged| matches!(judged.verdict, Verdict::Disabled { .. });
    let off = diagnosis.judged.iter().filter(is_off);
    let mut all: Vec<Candidate<'_>> = off
        .filter_map(|judged| {
            let row = snapshot.row(&judged.source_id, &judged.schema_id)?;
            let off = SwitchedOff::new(state, snapshot, row, &judged.verdict)?;
            let (source, schema) = row;
            let by_itself = off.is_about_key() || orders::first(known, judged).is_some();
            (!by_itself).then_some(Candidate {
                judged,
                source,
                schema,
                off,
                is_blocked: schema.syncs_by("cdc")
                    && diagnosis.blocked.contains_key(schema.id.as_str()),
            })
        })
        .collect();
    all.sort_by_key(|table| (table.cause(), &table.schema.id));
    all
}

impl Candidate<'_> {
    fn cause(&self) -> RootCause {
        let failure = self.judged.verdict.failure();
        failure.map_or(RootCause::Unknown, |failure| failure.cause)
    }

    fn is_wiped(&self) -> bool {
        is_wiped_when_switched_on(self.schema)
    }

    fn fits(&self) -> bool {
        match self.off.fix() {
            _ if self.is_blocked => false,
            Fix::Likely => true,
            Fix::Proved => self.is_wiped(),
            Fix::Open | Fix::No => false,
        }
    }

    /// What a person can do while the cause is not fixed.
    fn waits(&self) -> &'static str {
        if self.off.is_seen() && !self.is_wiped() {
            words::FIX_AND_SWITCHED_ON
        } else {
            words::FIX_AND_PROPOSED
        }
    }
}

/// What is proposed for each source that has such tables.
pub fn fitting(known: &Known<'_>, diagnosis: &Diagnosis) -> BTreeMap<Key, Wanted> {
    let mut sources: BTreeMap<&str, Vec<Candidate<'_>>> = BTreeMap::new();
    for table in candidates(known, diagnosis) {
        sources.entry(&table.source.id).or_default().push(table);
    }
    let action = ProposedAction::Reenable;
    let of_source = |tables: Vec<Candidate<'_>>| {
        let first = tables.first()?;
        let key = Key {
            source_id: first.source.id.clone(),
            schema_id: None,
            cause: first.cause(),
        };
        let fit = fit(known, &tables, key.cause);
        Some((key, Wanted { action, fit }))
    };
    let failed: Vec<(Key, Wanted)> = sources.into_values().filter_map(of_source).collect();
    let returned = switched_off::returned(known).into_iter();
    let returned =
        returned.map(|returned| (Key::of(&returned.problem), shown_again(known, returned)));
    failed.into_iter().chain(returned).collect()
}

/// Tables that the source lacked and shows again.
fn shown_again(known: &Known<'_>, returned: Returned<'_>) -> Wanted {
    let Returned {
        source,
        mut tables,
        problem,
    } = returned;
    tables.truncate(MAX_TABLES);
    Wanted {
        action: ProposedAction::Reenable,
        fit: draft(known, &problem, source, &tables),
    }
}

fn fit(known: &Known<'_>, tables: &[Candidate<'_>], cause: RootCause) -> Fit {
    // Proposed together: otherwise each answer would lead to a proposal of its own.
    if tables.iter().any(|table| table.off.fix() == Fix::Open) {
        return Fit::Open(words::SOURCE_NOT_CHECKED);
    }
    let fitting: Vec<&Candidate<'_>> = tables
        .iter()
        .filter(|table| table.fits())
        .take(MAX_TABLES)
        .collect();
    let waits = tables.first().map_or("", Candidate::waits);
    let Some((first, problem)) = fitting
        .first()
        .and_then(|first| Some((first, Problem::of_table(first.judged)?)))
    else {
        return Fit::Nothing(waits.to_owned());
    };
    // The key of a proposal is read from its material.
    let problem = Problem { cause, ..problem };
    let tables: Vec<&Schema> = fitting.iter().map(|table| table.schema).collect();
    draft(known, &problem, first.source, &tables)
}

fn draft(known: &Known<'_>, problem: &Problem, source: &Source, tables: &[&Schema]) -> Fit {
    let mut ids: Vec<String> = tables.iter().map(|table| table.id.to_string()).collect();
    ids.sort();
    let step = ProposedStep {
        switch_on: true,
        schema_ids: ids,
        ..call(ProposedCall::PatchTables)
    };
    let wiped = || {
        tables
            .iter()
            .filter(|table| is_wiped_when_switched_on(table))
    };
    let rows = wiped().map(|table| table.rows());
    let planned = (ProposedAction::Reenable, vec![step]);
    let draft = Draft::of_source(known.policy, problem, source, planned, rows.sum());
    let wiped_by = wiped().find_map(|table| table.sync_type.get());
    Fit::Draft(Box::new(match wiped_by {
        Some(method) => draft.of_tables_that_sync_by(method),
        None => draft,
    }))
}

/// Whether a source still has such a table, even if its fix is currently unknown.
pub fn has_tables(known: &Known<'_>, diagnosis: &Diagnosis, source_id: &str) -> bool {
    let tables = candidates(known, diagnosis);
    tables.iter().any(|table| table.source.id == source_id)
}

/// Copies the next action of the source to the finding of each such table.
pub fn explain(known: &Known<'_>, diagnosis: &Diagnosis, said: &mut BTreeMap<Key, Said>) {
    let tables = candidates(known, diagnosis);
    let mut new: Vec<(Key, Said)> = Vec::new();
    for table in &tables {
        let of_source = said.iter().find(|(key, said)| {
            key.source_id == table.source.id && said.action == ProposedAction::Reenable
        });
        let Some((_, of_source)) = of_source else {
            continue;
        };
        let mut own = of_source.clone();
        if table.off.fix() == Fix::No {
            table.waits().clone_into(&mut own.next);
        }
        let of_table = Problem::of_table(table.judged);
        new.extend(of_table.map(|problem| (Key::of(&problem), own)));
    }
    for (key, own) in new {
        said.entry(key).or_insert(own);
    }
}
