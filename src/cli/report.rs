//! The report of `diagnose` for people: grouped, most severe first.

use std::fmt::{Display, Write as _};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use crate::{
    api::status::{Finding, SchemaCounts, Severity, Summary},
    diagnose::words::in_words,
    diagnose::{Cause, causes::Remedy},
};

/// Most messages of a group that are shown.
const SHOWN: usize = 5;
/// Most names of tables that are shown in a line.
const NAMES: usize = 8;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// What was read, and the findings.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub host: &'a str,
    pub project: i64,
    pub read_at: Timestamp,
    pub summary: &'a Summary,
    pub notes: &'a [String],
    pub findings: &'a [Finding],
    pub width: usize,
}

impl Report<'_> {
    /// The whole report.
    pub(super) fn text(&self) -> String {
        let mut text = self.paragraph(&format!(
            "{BOLD}PostHog project {} at {}{BOLD:#}, read {}",
            self.project,
            self.host,
            minute(self.read_at)
        ));
        text.push_str(&self.paragraph(&counts(self.summary)));
        for note in self.notes {
            text.push_str(&self.paragraph(&format!("{BOLD}Note:{BOLD:#} {note}")));
        }
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
            let count: usize = groups.iter().map(Vec::len).sum();
            let _ = write!(text, "\n{style}{title} ({count}){style:#}\n");
            for group in groups {
                text.push('\n');
                text.push_str(&self.group(&group));
            }
        }
        if self.findings.is_empty() {
            text.push_str(self.nothing_found());
        }
        text
    }

    fn nothing_found(&self) -> &'static str {
        if self.summary.schemas.total == 0 {
            "\nThe project has no data-warehouse tables.\n"
        } else if self.notes.is_empty() {
            "\nNothing is wrong.\n"
        } else {
            "\nNo problems were found in the checked part.\n"
        }
    }

    fn paragraph(&self, text: &str) -> String {
        wrapped(text, self.width, "", "  ")
    }

    /// Findings of one source, cause and rule.
    fn group(&self, group: &[&Finding]) -> String {
        let Some(first) = group.first() else {
            return String::new();
        };
        let title = self.paragraph(&format!(
            "{BOLD}{}{BOLD:#}: {} {DIM}({}){DIM:#}",
            subject(group),
            first.cause.as_str(),
            first.cause.meaning()
        ));
        let mut lines = messages(group);
        lines.extend(
            group
                .iter()
                .filter_map(|finding| finding.since)
                .min()
                .map(|at| ("Since", self.since(at))),
        );
        if let Some(affected) = first
            .affected
            .as_ref()
            .filter(|affected| affected.count > 1)
        {
            let count = usize::try_from(affected.count).unwrap_or(usize::MAX);
            let names = names(affected.schemas.iter().map(String::as_str), count);
            lines.push(("Tables", format!("{count}: {names}")));
        }
        // The evidence of the first table represents the group: the others differ in little more than ids and times.
        let of = |fact: &String| match group {
            [_] => fact.clone(),
            _ => format!("{}: {fact}", first.schema),
        };
        lines.extend(first.evidence.iter().map(|fact| ("Evidence", of(fact))));
        lines.push((
            "Rule",
            format!("{}, confidence {:?}", first.rule, first.confidence),
        ));
        lines.push(("What to do", first.advice.clone()));
        let could = operator(Cause::of(first.cause).remedy_for(&first.rule));
        lines.extend(could.map(|could| ("Operator", could)));
        title + &fields("  ", &lines, self.width)
    }

    fn since(&self, at: Timestamp) -> String {
        let ago = self.read_at.duration_since(at);
        format!("{} ({} ago)", minute(at), in_words(ago))
    }
}

/// What is wrong with the tables of a group, each message once.
fn messages(group: &[&Finding]) -> Vec<(&'static str, String)> {
    let mut messages: Vec<(&str, Vec<&str>)> = Vec::new();
    for finding in group {
        let name = finding.schema.as_str();
        match messages
            .iter_mut()
            .find(|(said, _)| *said == finding.message)
        {
            Some((_, names)) => names.push(name),
            None => messages.push((&finding.message, vec![name])),
        }
    }
    let hidden: usize = messages.iter().skip(SHOWN).map(|(_, of)| of.len()).sum();
    let shown = messages.iter().take(SHOWN).map(|(message, of)| {
        if group.len() == 1 {
            return ("What", (*message).to_owned());
        }
        let names = names(of.iter().copied(), of.len());
        ("What", format!("{names}: {message}"))
    });
    let rest = (hidden > 0).then(|| ("What", format!("and {hidden} more tables")));
    shown.chain(rest).collect()
}

/// Findings of `severity`, equal ones grouped; a source's own findings before those of its tables.
fn groups(findings: &[Finding], severity: Severity) -> Vec<Vec<&Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.severity == severity)
    {
        let same = |group: &&mut Vec<&Finding>| {
            let first = group.first();
            first.is_some_and(|first| kind(first) == kind(finding))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups.sort_by_key(|group| {
        group.first().map(|first| {
            let of_tables = !first.schema.is_empty();
            (
                !first.source_id.is_empty(),
                &first.source,
                of_tables,
                first.cause.as_str(),
            )
        })
    });
    groups
}

/// What the findings of a group have in common.
fn kind(finding: &Finding) -> impl PartialEq + use<'_> {
    (
        &finding.source_id,
        finding.schema.is_empty(),
        finding.cause,
        &finding.rule,
        finding.confidence,
        &finding.advice,
    )
}

fn subject(group: &[&Finding]) -> String {
    match group {
        [] => String::new(),
        [one] => one.title(),
        [first, ..] if first.schema.is_empty() => first.source.clone(),
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
    format!("{}{more}", shown.join(", "))
}

/// Counts of sources and tables, in words.
pub(super) fn counts(summary: &Summary) -> String {
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
        (billing, "stopped by billing"),
        (disabled, "switched off"),
        (unknown, "unknown or never run"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| **count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
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

/// A number and its unit.
pub(super) fn plural<N: Copy + Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{ending}")
}

/// What the operator could do, if anything.
pub(super) fn operator(remedy: Remedy) -> Option<String> {
    match remedy {
        Remedy::Safe(action) => Some(format!(
            "{action:?} is possible and safe: in mode Enforce it needs no approval"
        )),
        Remedy::NeedsApproval(action) => Some(format!(
            "{action:?} is possible, but needs a person's approval because it could lose data or changes the configuration"
        )),
        Remedy::Nothing => None,
    }
}

/// Lines of names and values, wrapped, the names in a column. A name that repeats is shown once.
pub(super) fn fields(indent: &str, fields: &[(&str, String)], width: usize) -> String {
    let column = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let rest = format!("{indent}{:column$}", "");
    let mut text = String::new();
    let mut before = "";
    for (name, value) in fields {
        let shown = if *name == before { "" } else { name };
        before = name;
        let first = format!("{indent}{shown:column$}");
        text.push_str(&wrapped(value, width, &first, &rest));
    }
    text
}

/// A paragraph. Ids and times stay whole, so that they can be copied.
fn wrapped(text: &str, width: usize, first: &str, rest: &str) -> String {
    let options = textwrap::Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options) + "\n"
}

/// A time, to the minute.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
