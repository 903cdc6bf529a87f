//! Tables that have far fewer rows: than before a person had them wiped and imported again, or than before the last sync. A sync that removes more
//! than half of the rows is reported; for a smaller loss, the right number is unknown.

use super::{known::Known, problem::Problem};
use crate::{
    api::{
        proposal::{Phase, Proposal},
        status::{RootCause, RowsFell},
    },
    observe::changes::is_less_than_half,
    posthog::{
        redact,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// The smallest loss that is reported, in percent of the rows before.
const BIG_FALL: i64 = 10;

/// What was lost and has not come back.
pub(super) fn problems(known: &Known<'_>) -> Vec<Problem> {
    let executed = known
        .proposals
        .iter()
        .filter(|row| row.phase == Phase::Executed);
    let by_proposals: Vec<Problem> = executed.filter_map(|row| problem(known, row)).collect();
    let is_reported = |schema: &Schema| {
        let mut tables = by_proposals.iter().filter_map(|one| one.table.as_ref());
        tables.any(|(id, _)| *id == schema.id)
    };
    let others = known.snapshot.selected();
    let others = others.filter(|(_, schema)| !is_reported(schema));
    let others = others.filter_map(|(source, schema)| after_sync(known, source, schema));
    let others: Vec<Problem> = others.collect();
    by_proposals.into_iter().chain(others).collect()
}

/// What a sync that completed took away.
fn after_sync(known: &Known<'_>, source: &Source, schema: &Schema) -> Option<Problem> {
    let RowsFell { before, at } = known.snapshot.changes.rows_fell.get(schema.id.as_str())?;
    let rows = schema.rows()?;
    if schema.status() != SchemaStatus::Completed || !is_less_than_half(rows, *before) {
        return None;
    }
    let name = redact::one_line(&schema.name, super::problem::NAME_CAP);
    Some(Problem {
        table: Some((schema.id.to_string(), name)),
        since: Some(*at),
        evidence: vec![
            format!("rows before: {before}").into(),
            format!("rows now: {rows}").into(),
        ],
        ..Problem::of_source(
            redact::one_line(&source.title(), 80),
            &source.id,
            RootCause::RowLoss,
            "sync/fewer-rows",
            format!("A sync reduced the table from {before} to {rows} rows"),
        )
    })
}

fn problem(known: &Known<'_>, proposal: &Proposal) -> Option<Problem> {
    let execution = proposal.execution.as_ref()?;
    let (before, after) = (execution.rows_before?, execution.rows_after?);
    let target = &proposal.target;
    let (source, schema) = known.snapshot.row(&target.source_id, &target.schema_id)?;
    let now = schema
        .table
        .as_ref()
        .and_then(|table| table.row_count.get().copied());
    if !is_big_fall(before, after) || !is_big_fall(before, now?) {
        return None;
    }
    let mut problem = Problem::of_source(
        redact::one_line(&source.title(), 80),
        &source.id,
        RootCause::RowLoss,
        "resync/fewer-rows",
        format!(
            "The table has {after} rows after proposal {}, and had {before} before",
            proposal.id
        ),
    );
    problem.table = Some((
        schema.id.to_string(),
        redact::one_line(&schema.name, super::problem::NAME_CAP),
    ));
    problem.evidence = vec![
        format!("rows before: {before}").into(),
        format!("rows after: {after}").into(),
    ];
    problem.since = execution.steps.last().and_then(|step| step.finished_at);
    Some(problem)
}

const fn is_big_fall(before: i64, after: i64) -> bool {
    after.saturating_mul(100) < before.saturating_mul(100 - BIG_FALL)
}

#[cfg(test)]
mod tests {
    use super::is_big_fall;

    #[test]
    fn a_loss_of_a_tenth_is_reported_and_a_smaller_one_is_not() {
        assert!(is_big_fall(100, 89) && is_big_fall(70, 0));
        assert!(!is_big_fall(100, 90) && !is_big_fall(0, 0) && !is_big_fall(5, 7));
    }
}
