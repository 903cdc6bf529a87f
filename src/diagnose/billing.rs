//! What to switch off when the billing limit holds tables back: which tables move the most rows?

use super::{
    causes::{Cause, StrongerSignal},
    known::Known,
    problem::{NAME_CAP, Problem},
    words::in_words,
};
use crate::posthog::{
    redact,
    wire::{Schema, Source},
};

/// How many tables are named.
const NAMED: usize = 3;
const MINUTES_A_DAY: i128 = 24 * 60;

/// Says in each problem of billing which tables of the project move the most rows, as far as that is known: a table that is
/// read in full moves all its rows with each run; of others only the runs tell.
pub(super) fn name_the_heaviest(known: &Known<'_>, problems: &mut [Problem]) {
    let mut limited = problems
        .iter_mut()
        .filter(|problem| Cause::of(problem.cause).doubt == StrongerSignal::Status)
        .peekable();
    if limited.peek().is_none() {
        return;
    }
    let Some(said) = heaviest(known) else { return };
    for problem in limited {
        problem.evidence.push(said.clone().into());
    }
}

fn heaviest(known: &Known<'_>) -> Option<String> {
    let sources = known.snapshot.sources.iter();
    let mut tables: Vec<(i128, &Source, &Schema)> = sources
        .flat_map(|source| source.schemas.iter().map(move |schema| (source, schema)))
        .filter_map(|(source, schema)| Some((rows_a_day(schema)?, source, schema)))
        .collect();
    tables.sort_by(|(a, _, x), (b, _, y)| b.cmp(a).then_with(|| x.id.cmp(&y.id)));
    let named: Vec<String> = tables
        .iter()
        .take(NAMED)
        .filter_map(|(_, source, schema)| {
            Some(format!(
                "{} {} ({} rows every {})",
                redact::one_line(&source.title(), 80),
                redact::one_line(&schema.name, NAME_CAP),
                rows(schema)?,
                in_words(schema.frequency()?)
            ))
        })
        .collect();
    (!named.is_empty()).then(|| {
        format!(
            "the full-refresh tables that read the most rows: {}",
            named.join(", ")
        )
    })
}

fn rows_a_day(schema: &Schema) -> Option<i128> {
    let full = schema.is_on() && schema.syncs_by("full_refresh");
    let minutes = i128::from(schema.frequency()?.as_mins().max(1));
    full.then_some(i128::from(rows(schema)?) * MINUTES_A_DAY / minutes)
}

fn rows(schema: &Schema) -> Option<i64> {
    let rows = schema.table.as_ref()?.row_count.get().copied()?;
    (rows > 0).then_some(rows)
}
