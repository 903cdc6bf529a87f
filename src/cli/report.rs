//! The report of `diagnose` for people: grouped, most severe first.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use crate::{
    api::status::{Finding, SchemaCounts, Severity, Summary},
    diagnose::words::{in_words, plural},
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

/// The findings of one severity.
pub(super) struct Section {
    pub severity: Severity,
    pub title: &'static str,
    /// How many findings.
    pub count: usize,
    pub groups: Vec<Group>,
}

impl Section {
    /// Its class in HTML.
    pub(super) const fn class(&self) -> &'static str {
        match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// Findings of one source, cause and rule.
pub(super) struct Group {
    /// The table or source.
    pub subject: String,
    pub cause: &'static str,
    /// What the cause means, in a sentence.
    pub meaning: &'static str,
    /// What is known, by name.
    pub lines: Vec<(&'static str, String)>,
}

impl Report<'_> {
    /// The whole report, for a terminal.
    pub(super) fn text(&self) -> String {
        let mut text = self.paragraph(&format!("{BOLD}{}{BOLD:#}", self.title()));
        text.push_str(&self.paragraph(&counts(self.summary)));
        for note in self.notes {
            text.push_str(&self.paragraph(&format!("{BOLD}Note:{BOLD:#} {note}")));
        }
        for section in self.sections() {
            let colour = match section.severity {
                Severity::Error => AnsiColor::Red,
                Severity::Warning => AnsiColor::Yellow,
                Severity::Info => AnsiColor::Cyan,
            };
            let style = Style::new().bold().fg_color(Some(colour.into()));
            let (title, count) = (section.title, section.count);
            let _ = write!(text, "\n{style}{title} ({count}){style:#}\n");
            for group in section.groups {
                text.push('\n');
                text.push_str(&self.group(&group));
            }
        }
        if let Some(nothing) = self.nothing_found() {
            let _ = write!(text, "\n{nothing}\n");
        }
        text
    }

    /// What was read, and when.
    pub(super) fn title(&self) -> String {
        let (project, host, read_at) = (self.project, self.host, minute(self.read_at));
        format!("PostHog project {project} at {host}, read {read_at}")
    }

    /// The findings, most severe first.
    pub(super) fn sections(&self) -> Vec<Section> {
        let sections = [
            (Severity::Error, "ERRORS"),
            (Severity::Warning, "WARNINGS"),
            (Severity::Info, "FOR INFORMATION"),
        ];
        let sections = sections.map(|(severity, title)| {
            let groups = groups(self.findings, severity);
            Section {
                severity,
                title,
                count: groups.iter().map(Vec::len).sum(),
                groups: groups.iter().map(|group| self.described(group)).collect(),
            }
        });
        let mut sections = Vec::from(sections);
        sections.retain(|section| section.count > 0);
        sections
    }

    /// What to say if there are no findings.
    pub(super) fn nothing_found(&self) -> Option<&'static str> {
        if !self.findings.is_empty() {
            None
        } else if self.summary.schemas.total == 0 {
            Some("The project has no data-warehouse tables.")
        } else if self.notes.is_empty() {
            Some("Nothing is wrong.")
        } else {
            Some("No problems were found in the checked part.")
        }
    }

    fn paragraph(&self, text: &str) -> String {
        wrapped(text, self.width, "", "  ")
    }

    fn group(&self, group: &Group) -> String {
        let Group {
            subject,
            cause,
            meaning,
            lines,
        } = group;
        let title = format!("{BOLD}{subject}{BOLD:#}: {cause} {DIM}({meaning}){DIM:#}");
        self.paragraph(&title) + &fields("  ", lines, self.width)
    }

    /// What is known of findings of one source, cause and rule.
    fn described(&self, group: &[&Finding]) -> Group {
        let first = group.first();
        Group {
            subject: subject(group),
            cause: first.map_or("", |first| first.cause.as_str()),
            meaning: first.map_or("", |first| first.cause.meaning()),
            lines: first.map_or_else(Vec::new, |first| self.lines(group, first)),
        }
    }

    fn lines(&self, group: &[&Finding], first: &Finding) -> Vec<(&'static str, String)> {
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
        lines
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
