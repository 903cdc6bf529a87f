//! Tables that have left the list. A key with fewer rights sees fewer tables: that is no proof of deletion.

use std::collections::BTreeMap;

use super::{causes::Cause, known::Known, problem::Problem};
use crate::{
    api::{
        status::{Confidence, Missing, RootCause, Severity},
        validated::Selector,
    },
    observe::{Snapshot, changes::MISSING_POLLS},
};

/// The tables that the policy selects and the list no longer has.
pub fn selected<'a>(
    selector: &'a Selector,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = &'a Missing> {
    snapshot
        .changes
        .missing
        .values()
        .filter(|gone| selector.selects_schema(&gone.schema))
        .filter(|gone| {
            // The source may have been deleted too; then only its id and title are known.
            match snapshot
                .sources
                .iter()
                .find(|source| source.id == gone.source_id)
            {
                Some(source) => {
                    selector.selects_source(source.type_name(), source.prefix_name(), &source.id)
                }
                None => selector.selects_title(&gone.source, &gone.source_id),
            }
        })
}

/// True if a table of this name left the list so lately that it may be back in the next.
pub fn is_just_missing(snapshot: &Snapshot, name: &str) -> bool {
    let mut missing = snapshot.changes.missing.values();
    missing.any(|gone| gone.schema == name && gone.polls < MISSING_POLLS)
}

/// One problem for each source that misses tables: information only.
pub fn problems(known: &Known<'_>) -> Vec<Problem> {
    let mut by_source: BTreeMap<(&str, bool), Vec<&Missing>> = BTreeMap::new();
    for gone in selected(&known.policy.selector, known.snapshot) {
        let sure = gone.polls >= MISSING_POLLS;
        by_source
            .entry((&gone.source_id, sure))
            .or_default()
            .push(gone);
    }
    by_source
        .into_iter()
        .filter_map(|((source_id, sure), tables)| problem(source_id, sure, &tables))
        .collect()
}

fn problem(source_id: &str, sure: bool, tables: &[&Missing]) -> Option<Problem> {
    let first = tables.first()?;
    let (cause, rule, said) = if sure {
        (
            RootCause::NotVisible,
            "list/not-visible",
            "missing from PostHog's list: deleted, or hidden from this API key",
        )
    } else {
        (
            RootCause::Unknown,
            "list/just-missing",
            "missing from PostHog's newest list; it may return with the next one",
        )
    };
    let (who, is) = match tables.len() {
        1 => (first.schema.clone(), "is"),
        count => (format!("{count} tables"), "are"),
    };
    let message = format!("{who} {is} {said}");
    let table = (tables.len() == 1).then(|| (first.schema_id.clone(), first.schema.clone()));
    Some(Problem {
        table,
        severity: Severity::Info,
        confidence: if sure {
            Confidence::Medium
        } else {
            Confidence::Low
        },
        since: tables.iter().map(|gone| gone.since).min(),
        affected: tables.iter().map(|gone| gone.schema.clone()).collect(),
        advice: Cause::of(RootCause::NotVisible).advice,
        ..Problem::of_source(first.source.clone(), source_id, cause, rule, message)
    })
}
