//! The report of `diagnose` for people: grouped, most severe first.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use crate::{
    api::status::{Finding, RootCause, SchemaCounts, Severity, Summary},
    decide::remedy::{Remedy, remedy},
    diagnose::problem::in_words,
};

/// Widest line, in characters.
const WIDTH: usize = 100;
/// Most messages of a group that are shown.
const SHOWN: usize = 5;
/// Most names of tables that are shown in a line.
const NAMES: usize = 8;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// What was read, and what was found in it.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub host: &'a str,
    pub project: i64,
    pub read_at: Timestamp,
    pub summary: &'a Summary,
    pub findings: &'a [Finding],
}

impl Report<'_> {
    /// The whole report.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{BOLD}PostHog project {} at {}{BOLD:#}, read {}\n{}\n",
            self.project,
            self.host,
            minute(self.read_at),
            counts(self.summary)
        );
        for (severity, title, colour) in [
            (Severity::Error, "ERRORS", AnsiColor::Red),
            (Severity::Warning, "WARNINGS", AnsiColor::Yellow),
            (Severity::Info, "FOR INFORMATION", AnsiColor::Cyan),
        ] {
            let groups = groups(self.findings, severity);
            if groups.is_empty() {
                continue;
            }
            let style = Style::new().bold().fg_color(Some(colour.into()));
            let _ = write!(text, "\n{style}{title}{style:#}\n");
            for group in groups {
                text.push('\n');
                text.push_str(&self.group(&group));
            }
        }
        if self.findings.is_empty() {
            text.push_str(if self.summary.schemas.total == 0 {
                "\nThe project has no data-warehouse tables, so there is nothing to say.\n"
            } else {
                "\nNothing is wrong.\n"
            });
        }
        text
    }

    /// Findings of one source and cause.
    fn group(&self, group: &[&Finding]) -> String {
        let Some(first) = group.first() else {
            return String::new();
        };
        let mut text = format!(
            "{BOLD}{}{BOLD:#}: {} {DIM}({}){DIM:#}\n",
            subject(group),
            first.cause.as_str(),
            first.cause.meaning()
        );
        let mut lines = Vec::new();
        for finding in group.iter().take(SHOWN) {
            let what = if group.len() > 1 && !finding.schema.is_empty() {
                format!("{}: {}", finding.schema, finding.message)
            } else {
                finding.message.clone()
            };
            let since = finding.since.map_or_else(String::new, |at| self.since(at));
            lines.push(("What", format!("{what}{since}")));
        }
        if group.len() > SHOWN {
            lines.push((
                "What",
                format!("and {} more tables likewise", group.len() - SHOWN),
            ));
        }
        if let Some(affected) = first
            .affected
            .as_ref()
            .filter(|affected| affected.count > 1)
        {
            let count = usize::try_from(affected.count).unwrap_or(usize::MAX);
            lines.push((
                "Tables",
                names(affected.schemas.iter().map(String::as_str), count),
            ));
        }
        lines.extend(first.evidence.iter().map(|fact| ("Evidence", fact.clone())));
        lines.push((
            "Known by",
            format!("rule {}, confidence {:?}", first.rule, first.confidence),
        ));
        lines.push(("What to do", first.advice.clone()));
        lines.push(("Operator", operator(first.cause)));
        text.push_str(&fields("  ", &lines));
        text
    }

    fn since(&self, at: Timestamp) -> String {
        let ago = self.read_at.duration_since(at);
        format!(" Since {} ({} ago).", minute(at), in_words(ago))
    }
}

/// Findings of `severity`, those of one source and cause together, in the order in which they come.
fn groups(findings: &[Finding], severity: Severity) -> Vec<Vec<&Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.severity == severity)
    {
        let same = |group: &&mut Vec<&Finding>| {
            group.first().is_some_and(|first| {
                (&first.source_id, first.cause, &first.rule)
                    == (&finding.source_id, finding.cause, &finding.rule)
            })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

fn subject(group: &[&Finding]) -> String {
    match group {
        [] => String::new(),
        [one] => one.title(),
        [first, ..] => format!("{}, {} tables", first.source, group.len()),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>, count: usize) -> String {
    let shown: Vec<_> = names.take(NAMES).collect();
    let rest = count.saturating_sub(shown.len());
    let more = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    format!("{count}: {}{more}", shown.join(", "))
}

fn counts(summary: &Summary) -> String {
    let SchemaCounts {
        total,
        healthy,
        running,
        stuck,
        failing,
        stale,
        disabled,
        billing,
        unknown,
    } = &summary.schemas;
    let parts = [
        (healthy, "healthy"),
        (running, "running"),
        (stuck, "stuck"),
        (failing, "failing"),
        (stale, "stale"),
        (billing, "held back by billing"),
        (disabled, "switched off"),
        (unknown, "not known or never run"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| **count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let plural =
        |count: i64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let list = if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    };
    format!(
        "{} with {}{list}",
        plural(summary.sources.total, "source"),
        plural(*total, "table")
    )
}

/// What the operator would do about a cause.
pub(super) fn operator(cause: RootCause) -> String {
    match remedy(cause) {
        Remedy::Safe(action) => format!("{action:?} fits, and is safe"),
        Remedy::NeedsApproval(action) => {
            format!(
                "{action:?} fits, and needs a person's approval because it could cost data or changes the configuration"
            )
        }
        Remedy::Nothing => "there is nothing that it could do".to_owned(),
    }
}

/// Lines of names and values, wrapped, the names in a column. A name that repeats is shown once.
pub(super) fn fields(indent: &str, fields: &[(&str, String)]) -> String {
    let column = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let rest = format!("{indent}{:column$}", "");
    let mut text = String::new();
    let mut before = "";
    for (name, value) in fields {
        let shown = if *name == before { "" } else { name };
        before = name;
        let first = format!("{indent}{shown:column$}");
        let options = textwrap::Options::new(WIDTH)
            .initial_indent(&first)
            .subsequent_indent(&rest)
            .break_words(false);
        text.push_str(&textwrap::fill(value, options));
        text.push('\n');
    }
    text
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
