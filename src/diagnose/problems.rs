//! Everything that somebody should know of a project: the problems of single tables, folded where one cause lies behind many,
//! and what no table shows.

use std::collections::HashSet;

use crate::api::status::Severity;

use super::{
    billing,
    blocked::{self, BlockedTables},
    cdc, credentials, data_checks,
    known::Known,
    missing, not_configured,
    problem::{Problem, SharedProblem},
    requests, row_loss, running, source_status, sources, switched_off,
    verdict::Judged,
    webhooks,
};

/// The problems of a reconcile, most severe first, and the tables that are not remediated one by one because of their source.
#[must_use]
pub fn all(
    known: &Known<'_>,
    judged: &[Judged],
    outage: Option<SharedProblem>,
) -> (Vec<Problem>, BlockedTables) {
    let mut reported: HashSet<String> = HashSet::new();
    let mut problems = Vec::new();
    let mut report = |wide: Vec<SharedProblem>, reported: &mut HashSet<String>| {
        for SharedProblem { problem, tables } in wide {
            reported.extend(tables);
            problems.push(problem);
        }
    };
    // Widest first: what one problem explains, no other repeats.
    report(outage.into_iter().collect(), &mut reported);
    report(running::problem(known).into_iter().collect(), &mut reported);
    let capture = cdc::problems(known, judged);
    // What PostHog says of capture now is newer than what its tables say of the connection.
    let by_capture = capture.iter().flat_map(|wide| &wide.tables);
    let reported_before: HashSet<String> = reported.iter().chain(by_capture).cloned().collect();
    let connection = sources::problems(known, judged, &reported_before);
    let blocked = blocked::tables(known, judged, &capture, &connection);
    report(connection, &mut reported);
    report(capture, &mut reported);
    report(webhooks::unknown(known, judged), &mut reported);
    problems.extend(
        judged
            .iter()
            .filter(|judged| !reported.contains(&judged.schema_id))
            .filter_map(Problem::of_table),
    );
    for beside in [
        webhooks::problems,
        credentials::problems,
        data_checks::problems,
        missing::problems,
        not_configured::problems,
        requests::problems,
        row_loss::problems,
        switched_off::problems,
    ] {
        problems.extend(beside(known));
    }
    problems.extend(source_status::problems(known, &problems));
    billing::name_the_heaviest(known, &mut problems);
    problems.sort_by(|a, b| place(a).cmp(&place(b)));
    (problems, blocked)
}

/// Errors before warnings, what concerns a source before its tables.
fn place(problem: &Problem) -> (Severity, &str, Option<&str>) {
    let table = problem.table.as_ref().map(|(_, name)| name.as_str());
    (problem.severity, &problem.source, table)
}
