//! Tables that have far fewer rows since they were wiped and imported anew, with a person's approval. Rows are compared only
//! then: at any other time nobody can tell how many there should be.

use super::{known::Known, problem::Problem};
use crate::{
    api::{
        proposal::{Phase, Proposal},
        status::RootCause,
    },
    posthog::redact,
};

/// The fall from which on it is told, in percent of the rows before.
const BIG_FALL: i64 = 10;

/// What was lost and has not come back.
pub(super) fn problems(known: &Known<'_>) -> Vec<Problem> {
    let executed = known
        .proposals
        .iter()
        .filter(|row| row.phase == Phase::Executed);
    executed.filter_map(|row| problem(known, row)).collect()
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
            "Before proposal {} the table had {before} rows, after it {after}",
            proposal.id
        ),
    );
    problem.table = Some((
        schema.id.clone(),
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
    fn a_fall_of_a_tenth_is_told_and_a_smaller_one_is_not() {
        assert!(is_big_fall(100, 89) && is_big_fall(70, 0));
        assert!(!is_big_fall(100, 90) && !is_big_fall(0, 0) && !is_big_fall(5, 7));
    }
}
