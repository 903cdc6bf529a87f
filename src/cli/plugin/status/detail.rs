//! One policy in full.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::{
    super::view::{self, OverallHealth, PolicyView},
    blocks::{self, BOLD, clean, shown},
    overview::mode,
};
use crate::cli::report;

/// What is shown of one policy.
pub(super) fn text(view: &PolicyView<'_>, now: Timestamp) -> String {
    let mut text = top(view, now);
    text.push_str(&blocks::findings(&view.findings, now));
    if view.findings_truncated > 0 {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\nand {} more findings", view.findings_truncated);
    }
    text.push_str(&blocks::incidents(&view.incidents, now));
    text.push_str(&blocks::held(view.held.iter()));
    text.push_str(&blocks::waiting(view, &view.waiting, now));
    text.push_str(&blocks::proposals("APPROVED PROPOSALS", &view.in_progress));
    text
}

fn top(view: &PolicyView<'_>, now: Timestamp) -> String {
    let health = &view.health;
    let style = Style::new()
        .bold()
        .fg_color(Some(colour(health.standing).into()));
    let since = health
        .since
        .map_or_else(String::new, |at| format!(" since {}", view::since(at, now)));
    let title = format!(
        "{BOLD}{}/{}{BOLD:#}: {style}{:?}{style:#}{since}\n",
        clean(view.namespace),
        clean(view.name),
        health.standing
    );
    let polled = view.checked_at.map_or_else(
        || "not polled yet".to_owned(),
        // The time in status is up to an hour old.
        |at| format!("polled {} or later", view::since(at, now)),
    );
    let mut lines = vec![
        ("Why", health.message.to_owned()),
        (
            "Project",
            format!("{} at {}, {polled}", view.project, view.host),
        ),
    ];
    lines.extend(
        view.summary
            .map(|summary| ("Tables", report::counts(summary))),
    );
    lines.push(("Mode", mode(view)));
    lines.extend(view.next_action.map(|next| {
        let when = next
            .when
            .map_or_else(String::new, |at| format!(", by {}", view::by(at, now)));
        let held = next
            .blocked_by
            .as_ref()
            .map_or_else(String::new, |by| format!("; waits for: {by}"));
        ("Next", format!("{}{when}{held}", next.what))
    }));
    title + &shown(lines)
}

const fn colour(standing: OverallHealth) -> AnsiColor {
    match standing {
        OverallHealth::Stalled | OverallHealth::Unhealthy => AnsiColor::Red,
        OverallHealth::Unknown | OverallHealth::Warnings => AnsiColor::Yellow,
        OverallHealth::Healthy => AnsiColor::Green,
    }
}
