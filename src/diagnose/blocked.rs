//! Tables whose source is known to be broken as a whole: what would be done to them one by one cannot help, and the finding of the
//! source says so.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    cdc,
    known::Known,
    problem::{Problem, SharedProblem},
    verdict::{Judged, Verdict},
};
use crate::posthog::{redact, wire::Schema};

/// Longest reason, in characters.
const WHY_CAP: usize = 200;

/// Why nothing is done to a table by itself, by id of the table.
pub type BlockedTables = BTreeMap<String, String>;

/// The tables of sources whose capture stands still, whose connection is broken, or that billing holds back.
pub(super) fn tables(
    known: &Known<'_>,
    judged: &[Judged],
    capture: &[SharedProblem],
    connection: &[SharedProblem],
) -> BlockedTables {
    let mut blocked = BlockedTables::new();
    let mut block = |source_id: &str, why: &str, concerns: fn(&Schema) -> bool| {
        let mut sources = known.snapshot.sources.iter();
        let source = sources.find(|source| source.id == source_id);
        for schema in source.into_iter().flat_map(|source| &source.schemas) {
            if concerns(schema) {
                let why = || format!("its whole source is failing: {why}");
                blocked.entry(schema.id.to_string()).or_insert_with(why);
            }
        }
    };
    let said = |problem: &Problem| redact::one_line(&problem.message, WHY_CAP);
    let is_overcome = |tables: &[String]| {
        let tables: HashSet<&String> = tables.iter().collect();
        let mut judged = judged
            .iter()
            .filter(|judged| tables.contains(&judged.schema_id));
        judged.any(|judged| {
            let failure = judged.verdict.failure();
            failure.is_some_and(|failure| failure.overcome.is_some())
        })
    };
    for SharedProblem { problem, tables } in connection {
        if is_overcome(tables) {
            continue;
        }
        block(&problem.source_id, &said(problem), |_| true);
    }
    for SharedProblem { problem, tables: _ } in capture {
        if cdc::stops_capture(problem) || cdc::has_no_slot(problem) {
            block(&problem.source_id, &said(problem), |schema| {
                schema.syncs_by("cdc")
            });
        }
    }
    let judged = judged.iter();
    let billing = judged.filter(|judged| judged.verdict == Verdict::Billing);
    let sources: BTreeSet<&str> = billing.map(|judged| judged.source_id.as_str()).collect();
    for source_id in sources {
        let why = "PostHog's billing limit blocks its tables";
        block(source_id, why, |_| true);
    }
    blocked
}
