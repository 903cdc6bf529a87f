//! `explain`: everything about one table or source: its findings, what they mean, its incident and its proposals.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    PluginError,
    cluster::ClusterArgs,
    open,
    print::{Format, print},
    status::blocks,
    subject::{self, Subject},
    view::{HeldAction, PolicyView},
};
use crate::{
    api::{
        proposal::Proposal,
        status::{Finding, Incident},
    },
    cli::output,
    cli::report::{self, fields},
    diagnose::Cause,
};

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Name of the policy
    name: String,
    /// Name or id of a table or source that its status shows
    #[arg(value_name = "TABLE")]
    subject: String,
}

/// What the status shows of a table or source.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained<'a> {
    findings: Vec<&'a Finding>,
    incidents: Vec<&'a Incident>,
    held: Vec<&'a HeldAction<'a>>,
    proposals: Vec<&'a Proposal>,
    /// Its page in `PostHog`.
    url: String,
}

/// Explains one table or source.
pub(super) async fn explain(
    args: &ExplainArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let policy = cluster.connect().await?.policy(&args.name).await?;
    let subjects = subject::find(&policy, &args.subject)?;
    let now = Timestamp::now();
    let view = PolicyView::new(&policy, now);
    let source_id = subjects.first().map(|subject| subject.source_id);
    let explained = explained(&view, &subjects, open::url(&policy, source_id)?);
    print(format, &explained, || text(&view, &explained, now))
}

fn explained<'a>(view: &'a PolicyView<'a>, of: &[Subject<'_>], url: String) -> Explained<'a> {
    let is = |source_id: &str, schema_id: &str| {
        let mut of = of.iter();
        of.any(|one| one.source_id == source_id && one.schema_id == schema_id)
    };
    let named = |held: &&HeldAction<'_>| {
        let mut of = of.iter();
        of.any(|one| one.source == held.source && one.schema == held.schema)
    };
    let proposals = view.waiting.iter().chain(&view.in_progress);
    Explained {
        findings: (view.findings.iter().copied())
            .filter(|one| is(&one.source_id, &one.schema_id))
            .collect(),
        incidents: (view.incidents.iter().copied())
            .filter(|one| is(&one.source_id, &one.schema_id))
            .collect(),
        held: view.held.iter().filter(named).collect(),
        proposals: (proposals.chain(&view.ended).copied())
            .filter(|one| is(&one.target.source_id, &one.target.schema_id))
            .collect(),
        url,
    }
}

fn text(view: &PolicyView<'_>, explained: &Explained<'_>, now: Timestamp) -> String {
    let Explained {
        findings,
        incidents,
        held,
        proposals,
        url,
    } = explained;
    let mut text = blocks::findings(findings, now);
    text.push_str(&blocks::incidents(incidents, now));
    text.push_str(&blocks::held(held.iter().copied()));
    let (waiting, others): (Vec<&Proposal>, Vec<&Proposal>) =
        proposals.iter().partition(|one| one.is_open());
    text.push_str(&blocks::waiting(view, &waiting, now));
    text.push_str(&blocks::proposals("OTHER PROPOSALS", &others));
    let mut more: Vec<(&str, String)> = Vec::new();
    for finding in findings {
        let remedy = Cause::of(finding.cause).remedy_for(&finding.rule);
        more.extend(report::operator(remedy).map(|could| ("Operator", could)));
    }
    more.dedup();
    for held in held {
        let lift = format!("docs/guards.md says how to lift the guard {}", held.guard);
        more.push(("Guard", lift));
    }
    more.push(("PostHog", url.clone()));
    format!(
        "{}\n{}",
        text.trim_start(),
        fields("", &more, output::width())
    )
}
