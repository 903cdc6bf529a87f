//! All policies, worst first.

use std::{borrow::Cow, fmt::Write as _};

use askama::Template;
use jiff::Timestamp;

use super::{
    badge::{Badge, badge, why},
    frame::Frame,
    live::Seen,
};
use crate::{
    api::status::Finding,
    cli::plugin::view::{OverallHealth, PolicyView, worst_first},
};

/// The page.
#[derive(Template)]
#[template(path = "ui/overview.html")]
pub(super) struct Overview<'a> {
    frame: Frame<'a>,
    counts: String,
    rows: Vec<Row<'a>>,
    /// Namespace, name and reason of those that cannot be read.
    unreadable: Vec<(&'a str, &'a str, &'a str)>,
}

/// A policy.
struct Row<'a> {
    badge: Badge,
    healthy: &'a str,
    worst: Option<Worst<'a>>,
    more: i64,
    /// Why it has this badge.
    why: Cow<'a, str>,
    /// What a search finds it by.
    words: String,
    /// What the filter finds it by.
    is: String,
    view: PolicyView<'a>,
}

/// The worst finding.
struct Worst<'a> {
    title: String,
    cause: &'static str,
    message: &'a str,
}

impl<'a> Overview<'a> {
    /// What was seen, at `now`.
    pub(super) fn new(frame: Frame<'a>, seen: &'a Seen, now: Timestamp) -> Self {
        let all = seen.policies.iter().flatten();
        let readable = all.clone().filter_map(|(_, read)| read.as_deref().ok());
        let is_lost = frame.lost.is_some();
        let views = worst_first(readable, now).into_iter();
        let rows: Vec<Row<'a>> = views.map(|view| row(view, is_lost)).collect();
        let unreadable = all.filter_map(|((namespace, name), read)| {
            let why = read.as_ref().err()?;
            Some((namespace.as_str(), name.as_str(), why.as_str()))
        });
        let unreadable: Vec<_> = unreadable.collect();
        Self {
            counts: counts(&rows, unreadable.len()),
            frame,
            rows,
            unreadable,
        }
    }
}

fn row(view: PolicyView<'_>, is_lost: bool) -> Row<'_> {
    let worst = view.findings.first().map(|finding| Worst {
        title: finding.title(),
        cause: finding.cause.as_str(),
        message: &finding.message,
    });
    let shown = i64::try_from(view.findings.len()).unwrap_or(i64::MAX);
    let others = shown
        .saturating_add(view.findings_truncated)
        .saturating_sub(1);
    let is_quiet = !is_lost && view.health.standing == OverallHealth::Healthy;
    Row {
        badge: badge(view.health.standing, is_lost),
        healthy: view
            .summary
            .map_or("unknown", |summary| &summary.healthy_of),
        worst,
        more: others.max(0),
        why: if is_quiet {
            "".into()
        } else {
            why(view.health.message, is_lost)
        },
        words: words(&view),
        is: is(&view, is_quiet),
        view,
    }
}

/// Names and causes in lower case.
fn words(view: &PolicyView<'_>) -> String {
    let mut words = format!(
        "{}/{} {} {}",
        view.namespace, view.name, view.host, view.project
    );
    for finding in &view.findings {
        let Finding { source, schema, .. } = finding;
        // Writing to a string cannot fail.
        _ = write!(words, " {source} {schema} {}", finding.cause.as_str());
    }
    for proposal in &view.waiting {
        _ = write!(words, " {} {}", proposal.title(), proposal.id);
    }
    words.to_lowercase()
}

fn is(view: &PolicyView<'_>, is_quiet: bool) -> String {
    let kinds = [
        (!is_quiet, "attention"),
        (!view.waiting.is_empty(), "waiting"),
        (view.suspended, "suspended"),
    ];
    let kinds = kinds
        .into_iter()
        .filter_map(|(is, name)| is.then_some(name));
    kinds.collect::<Vec<_>>().join(" ")
}

/// How many policies are how, in a line.
fn counts(rows: &[Row<'_>], unreadable: usize) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let labels = std::iter::repeat_n("Unknown", unreadable);
    for label in labels.chain(rows.iter().map(|row| row.badge.label)) {
        match counts.iter_mut().find(|(known, _)| *known == label) {
            Some((_, count)) => *count += 1,
            None => counts.push((label, 1)),
        }
    }
    let waiting: usize = rows.iter().map(|row| row.view.waiting.len()).sum();
    let total = rows.len() + unreadable;
    let said = counts
        .iter()
        .map(|(label, count)| format!("{count} {}", label.to_lowercase()));
    let said = said.collect::<Vec<_>>().join(", ");
    let noun = if total == 1 { "policy" } else { "policies" };
    let waits = if waiting == 1 {
        "proposal waits"
    } else {
        "proposals wait"
    };
    format!("{total} {noun}: {said}. {waiting} {waits} for approval.").replace(": .", ".")
}
