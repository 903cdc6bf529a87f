//! Parts of the output about one policy: findings, incidents, held actions, proposals.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::super::view::{self, HeldAction, PolicyView};
use crate::{
    api::{
        proposal::Proposal,
        status::{Finding, Incident, Send, Severity},
    },
    cli::{output, report::fields},
    posthog::redact,
};

/// Longest text that is shown, in characters.
const TEXT: usize = 600;

pub(super) const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Lines of names and values.
pub(super) type Lines = Vec<(&'static str, String)>;

/// A title with the number of entries.
pub(super) fn heading(title: &str, count: usize) -> String {
    format!("{BOLD}{title} ({count}){BOLD:#}\n")
}

/// Findings in full.
pub fn findings(all: &[&Finding], now: Timestamp) -> String {
    part("FINDINGS", all.iter().map(|one| finding(one, now)))
}

/// Incidents in full.
pub fn incidents(all: &[&Incident], now: Timestamp) -> String {
    part("INCIDENTS", all.iter().map(|one| incident(one, now)))
}

/// What is held.
pub fn held<'a>(all: impl ExactSizeIterator<Item = &'a HeldAction<'a>>) -> String {
    part("HELD", all.map(one_held))
}

/// Proposals that wait, with the commands that answer them.
pub fn waiting(view: &PolicyView<'_>, all: &[&Proposal], now: Timestamp) -> String {
    let blocks = all.iter().map(|one| one_waiting(view, one, now));
    part("PROPOSALS THAT WAIT", blocks)
}

/// Proposals that have been answered or are over.
pub fn proposals(title: &str, all: &[&Proposal]) -> String {
    part(title, all.iter().map(|one| answered(one)))
}

/// A part of the output; nothing if it is empty.
fn part(title: &str, blocks: impl ExactSizeIterator<Item = String>) -> String {
    let count = blocks.len();
    if count == 0 {
        return String::new();
    }
    let mut text = format!("\n{}", heading(title, count));
    for block in blocks {
        text.push('\n');
        text.push_str(&block);
    }
    text
}

fn finding(finding: &Finding, now: Timestamp) -> String {
    let colour = match finding.severity {
        Severity::Error => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Info => AnsiColor::Cyan,
    };
    let style = Style::new().bold().fg_color(Some(colour.into()));
    let title = format!(
        "{style}{:?}{style:#} {BOLD}{}{BOLD:#}: {} {DIM}({}){DIM:#}\n",
        finding.severity,
        clean(&finding.title()),
        finding.cause.as_str(),
        finding.cause.meaning()
    );
    title + &shown(of_finding(finding, now))
}

/// What is known about a finding.
fn of_finding(finding: &Finding, now: Timestamp) -> Lines {
    let mut lines = vec![("What", finding.message.clone())];
    lines.extend(finding.since.map(|at| ("Since", view::since(at, now))));
    if let Some(affected) = &finding.affected {
        let hidden = usize::try_from(affected.count).unwrap_or_default();
        let hidden = hidden.saturating_sub(affected.schemas.len());
        let more = match hidden {
            0 => String::new(),
            hidden => format!(" and {hidden} more"),
        };
        let names = affected.schemas.join(", ");
        lines.push(("Tables", format!("{}: {names}{more}", affected.count)));
    }
    let evidence = finding.evidence.iter();
    lines.extend(evidence.map(|fact| ("Evidence", fact.clone())));
    lines.push((
        "Rule",
        format!("{}, confidence {:?}", finding.rule, finding.confidence),
    ));
    lines.push(("What to do", finding.advice.clone()));
    lines.push(("Operator", finding.next_action.clone()));
    lines
}

fn incident(incident: &Incident, now: Timestamp) -> String {
    let title = format!(
        "{BOLD}{} {}{BOLD:#}: {} {DIM}({}){DIM:#}\n",
        clean(&incident.source),
        clean(&incident.schema),
        incident.step.as_str(),
        incident.step.meaning()
    );
    title + &shown(of_incident(incident, now))
}

/// What is known about an incident.
fn of_incident(incident: &Incident, now: Timestamp) -> Lines {
    let mut lines = vec![
        (
            "Opened",
            format!(
                "{}, because of {}",
                view::since(incident.opened_at, now),
                incident.cause.as_str()
            ),
        ),
        ("Attempt", incident.attempt.to_string()),
        ("Step since", view::since(incident.step_since, now)),
    ];
    lines.extend(incident.deadline.map(|at| ("Deadline", view::by(at, now))));
    lines.extend(incident.sends.iter().map(|send| ("Sent", sent(send, now))));
    if !incident.message.is_empty() {
        lines.push(("Observed", incident.message.clone()));
    }
    lines
}

/// A call and its outcome.
fn sent(send: &Send, now: Timestamp) -> String {
    let outcome = match (send.http_status, send.fate) {
        (Some(status), Some(fate)) => format!("HTTP {status}, {}", fate.as_str()),
        (Some(status), None) => format!("HTTP {status}"),
        (None, Some(fate)) => fate.as_str().to_owned(),
        (None, None) => "outcome unknown".to_owned(),
    };
    let detail = match send.detail.as_str() {
        "" => String::new(),
        detail => format!(", {detail}"),
    };
    let at = view::since(send.started_at, now);
    format!("{:?} at {at}: {outcome}{detail}", send.call)
}

fn one_held(held: &HeldAction<'_>) -> String {
    let of = format!("{} {}", held.source, held.schema);
    let of = match of.trim() {
        "" => "The policy",
        of => of,
    };
    let title = format!("{BOLD}{}{BOLD:#}: guard {}\n", clean(of), held.guard);
    title + &shown(vec![("What", held.sentence.to_string())])
}

fn one_waiting(view: &PolicyView<'_>, proposal: &Proposal, now: Timestamp) -> String {
    let mut lines = vec![("Reason", proposal.reason.clone())];
    let steps = proposal.steps.iter().enumerate();
    lines.extend(steps.map(|(place, step)| ("Steps", format!("{}. {step}", place + 1))));
    lines.push(("Loses data", format!("{:?}", proposal.impact.loses_data)));
    lines.push(("Cost", proposal.impact.cost.clone()));
    lines.push(("Expires", view::by(proposal.expires_at, now)));
    let of = format!("-n {} {} {}", view.namespace, view.name, proposal.id);
    lines.push(("Approve", format!("kubectl wsp approve {of}")));
    lines.push(("Deny", format!("kubectl wsp deny {of} --reason \"…\"")));
    of_proposal(proposal) + &shown(lines)
}

fn answered(proposal: &Proposal) -> String {
    let mut lines = vec![("Phase", proposal.phase.as_str().to_owned())];
    if !proposal.message.is_empty() {
        lines.push(("Why", proposal.message.clone()));
    }
    let by = proposal.approval.as_ref();
    lines.extend(by.map(|approval| ("Approved by", approval.by.clone())));
    of_proposal(proposal) + &shown(lines)
}

fn of_proposal(proposal: &Proposal) -> String {
    format!(
        "{BOLD}{}{BOLD:#}: {} of {}\n",
        clean(&proposal.id),
        proposal.action.as_str(),
        clean(proposal.title())
    )
}

/// Lines of a block, as they may be printed.
pub(super) fn shown(lines: Lines) -> String {
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(name, value)| (name, clean(&value)))
        .collect();
    fields("  ", &lines, output::width())
}

/// A text of a status, which may contain anything: it must not move the cursor.
pub fn clean(text: &str) -> String {
    redact::one_line(text, TEXT)
}
