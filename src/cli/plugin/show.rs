//! `show`: one proposal in full.

use std::{fmt::Write as _, process::ExitCode};

use jiff::Timestamp;

use super::{
    PluginError,
    cluster::ClusterArgs,
    find::{ProposalArgs, find},
    print::{Format, print},
    view, words,
};
use crate::{
    api::proposal::{ExecutedStep, Execution, Proposal},
    cli::{output, report::fields},
    posthog::redact,
};

/// Longest text that is shown, in characters.
const TEXT: usize = 1_000;

/// Shows one proposal.
pub(super) async fn show(
    args: &ProposalArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let policy = cluster.connect().await?.policy(&args.name).await?;
    let proposal = find(&policy, &args.id)?;
    let material = output::yaml(&proposal.material)?;
    print(format, proposal, || {
        let mut text = written(what(proposal));
        text.push_str(&written(so_far(proposal, Timestamp::now())));
        // Not wrapped: the id is calculated from exactly this.
        text.push_str("\nMaterial (the id is calculated from it):\n");
        for line in material.lines() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {line}");
        }
        text
    })
}

/// What is proposed, as shown to everyone who approves it.
pub(super) fn summary(proposal: &Proposal) -> String {
    written(what(proposal))
}

fn written(lines: Vec<(&'static str, String)>) -> String {
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(name, value)| (name, redact::one_line(&value, TEXT)))
        .collect();
    fields("", &lines, output::width())
}

fn what(proposal: &Proposal) -> Vec<(&'static str, String)> {
    let target = &proposal.target;
    let of = match target.schema.as_str() {
        "" => target.source.clone(),
        table => format!("{} {table}", target.source),
    };
    let impact = &proposal.impact;
    let rows = impact
        .rows
        .map_or("not known".to_owned(), |rows| rows.to_string());
    let mut lines = vec![
        ("Proposal", proposal.id.clone()),
        ("Action", format!("{} of {of}", proposal.action.as_str())),
        (
            "Project",
            format!("{} at {}", target.project_id, proposal.material.host),
        ),
        ("Reason", proposal.reason.clone()),
    ];
    lines.extend(
        proposal
            .evidence
            .iter()
            .map(|fact| ("Evidence", fact.clone())),
    );
    let steps = proposal.steps.iter().enumerate();
    lines.extend(steps.map(|(place, step)| ("Steps", format!("{}. {step}", place + 1))));
    lines.push(("Loses data", format!("{:?}", impact.loses_data)));
    lines.push(("Rows", rows));
    lines.extend(impact.sync_type.clone().map(|by| ("Synced by", by)));
    lines.push(("Cost", impact.cost.clone()));
    lines
}

/// Its phase, who approved it, and what was sent.
fn so_far(proposal: &Proposal, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut lines = vec![("Phase", format!("{:?}", proposal.phase))];
    if !proposal.message.is_empty() {
        lines.push(("Why", proposal.message.clone()));
    }
    lines.push(("Created", view::since(proposal.created_at, now)));
    if proposal.is_open() {
        lines.push(("Expires", view::by(proposal.expires_at, now)));
    }
    lines.extend(proposal.approval.as_ref().map(|approval| {
        let checked = words::verified(approval);
        let at = view::since(approval.observed_at, now);
        (
            "Approved by",
            format!("{} ({checked}), observed {at}", approval.by),
        )
    }));
    let execution = proposal.execution.iter();
    lines.extend(execution.flat_map(|one| execution_lines(one, now)));
    lines
}

fn execution_lines(execution: &Execution, now: Timestamp) -> Vec<(&'static str, String)> {
    let steps = execution.steps.iter();
    let mut lines: Vec<_> = steps.map(|step| ("Sent", sent(step, now))).collect();
    let known = |name, value: Option<String>| value.map(|value| (name, value));
    let rows = |rows: Option<i64>| rows.map(|rows| rows.to_string());
    let rest = [
        known("Job before", execution.job_before.clone()),
        known("New job", execution.observed_job.clone()),
        known("Rows before", rows(execution.rows_before)),
        known("Rows after", rows(execution.rows_after)),
    ];
    lines.extend(rest.into_iter().flatten());
    lines
}

/// A call and its outcome.
fn sent(step: &ExecutedStep, now: Timestamp) -> String {
    let became = match (step.http_status, step.fate) {
        (Some(status), _) => format!("HTTP {status}"),
        (None, Some(fate)) => format!("{fate:?}"),
        (None, None) => "outcome unknown".to_owned(),
    };
    let detail = match step.detail.as_str() {
        "" => String::new(),
        detail => format!(", {detail}"),
    };
    format!(
        "{:?} at {}: {became}{detail}",
        step.call,
        view::since(step.started_at, now)
    )
}
