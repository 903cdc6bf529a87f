//! Several policies: a line each, then what is wrong with them.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{
    super::{
        print::table,
        view::{self, PolicyView},
    },
    blocks::heading,
};
use crate::api::{policy::Mode, status::Severity};

/// Most findings that are listed.
const FINDINGS: usize = 20;

/// What is shown of several policies.
pub(super) fn text(views: &[PolicyView<'_>], wide: bool, now: Timestamp) -> String {
    let mut text = if wide {
        let header = [
            "NAMESPACE",
            "NAME",
            "HEALTH",
            "TABLES",
            "ERRORS",
            "WARNINGS",
            "INCIDENTS",
            "HELD",
            "PENDING",
            "SINCE",
            "MODE",
            "POLLED",
            "REASON",
        ];
        let rows: Vec<_> = views.iter().map(|view| wide_row(view, now)).collect();
        table(header, &rows)
    } else {
        let header = [
            "NAMESPACE",
            "NAME",
            "HEALTH",
            "TABLES",
            "ERRORS",
            "WARNINGS",
            "HELD",
            "PENDING",
            "SINCE",
        ];
        let rows: Vec<_> = views.iter().map(|view| row(view, now)).collect();
        table(header, &rows)
    };
    text.push_str(&unhealthy(views));
    text.push_str(&findings(views, now));
    text.push_str(&proposals(views, now));
    text
}

fn row(view: &PolicyView<'_>, now: Timestamp) -> [String; 9] {
    let summary = view.summary;
    [
        view.namespace.to_owned(),
        view.name.to_owned(),
        format!("{:?}", view.health.standing),
        summary.map_or_else(String::new, |summary| summary.healthy_of.clone()),
        view.count(Severity::Error).to_string(),
        view.count(Severity::Warning).to_string(),
        view.held.len().to_string(),
        view.waiting.len().to_string(),
        view.health
            .since
            .map_or_else(String::new, |at| view::ago(at, now)),
    ]
}

fn wide_row(view: &PolicyView<'_>, now: Timestamp) -> [String; 13] {
    let [
        namespace,
        name,
        health,
        tables,
        errors,
        warnings,
        held,
        pending,
        since,
    ] = row(view, now);
    [
        namespace,
        name,
        health,
        tables,
        errors,
        warnings,
        view.incidents.len().to_string(),
        held,
        pending,
        since,
        mode(view),
        view.checked_at
            .map_or_else(String::new, |at| view::since(at, now)),
        view.health.message.to_owned(),
    ]
}

/// The mode, and whether it is suspended.
pub(super) fn mode(view: &PolicyView<'_>) -> String {
    let mode = match view.mode {
        Mode::Observe => "Observe",
        Mode::Enforce => "Enforce",
    };
    if view.suspended {
        format!("{mode}, suspended")
    } else {
        mode.to_owned()
    }
}

/// Why policies without findings are not healthy.
fn unhealthy(views: &[PolicyView<'_>]) -> String {
    let unknown = views.iter().filter(|view| {
        view.findings.is_empty() && !matches!(view.health.standing, view::OverallHealth::Healthy)
    });
    let rows: Vec<_> = unknown
        .map(|view| {
            [
                format!("{}/{}", view.namespace, view.name),
                view.health.message.to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", table(["POLICY", "WHY IT IS NOT HEALTHY"], &rows))
}

/// The findings of all policies, worst first.
fn findings(views: &[PolicyView<'_>], now: Timestamp) -> String {
    let all = views
        .iter()
        .flat_map(|view| view.findings.iter().map(move |finding| (view, *finding)));
    let mut all: Vec<_> = all
        .filter(|(_, finding)| finding.severity != Severity::Info)
        .collect();
    all.sort_by_key(|(_, finding)| finding.severity);
    if all.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = all
        .iter()
        .take(FINDINGS)
        .map(|(view, finding)| {
            [
                format!("{:?}", finding.severity),
                format!("{}/{}", view.namespace, view.name),
                finding.title(),
                finding.cause.as_str().to_owned(),
                finding
                    .since
                    .map_or_else(String::new, |at| view::ago(at, now)),
                finding.next_action.clone(),
            ]
        })
        .collect();
    let header = ["SEVERITY", "POLICY", "OF", "CAUSE", "SINCE", "NEXT"];
    let mut text = format!(
        "\n{}{}",
        heading("WHAT IS WRONG", all.len()),
        table(header, &rows)
    );
    if let Some(hidden) = all.len().checked_sub(FINDINGS).filter(|hidden| *hidden > 0) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "and {hidden} more");
    }
    text.push_str("`kubectl wsp status NAME` shows one policy in full.\n");
    text
}

/// Proposals of all policies that wait.
fn proposals(views: &[PolicyView<'_>], now: Timestamp) -> String {
    let rows: Vec<_> = views
        .iter()
        .flat_map(|view| view.waiting.iter().map(move |proposal| (view, *proposal)))
        .map(|(view, proposal)| {
            [
                format!("{}/{}", view.namespace, view.name),
                proposal.id.clone(),
                proposal.action.as_str().to_owned(),
                proposal.title().to_owned(),
                format!("{:?}", proposal.impact.loses_data),
                view::by(proposal.expires_at, now),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let header = ["POLICY", "ID", "ACTION", "OF", "LOSES DATA", "EXPIRES"];
    let title = heading("PROPOSALS THAT WAIT", rows.len());
    format!("\n{title}{}", table(header, &rows))
}
