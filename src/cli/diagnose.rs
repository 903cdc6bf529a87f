//! `diagnose`: reads a project once and says what is wrong. Read-only by construction: it has a client, which only reads, and
//! nothing of `execute`.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    CANNOT, CliError,
    network::NetworkArgs,
    output,
    patient::PATIENCE,
    project::{BUDGET, Project, Read},
    report::{Report, plural},
};
use crate::{
    api::{
        Timings,
        status::{Finding, Severity, Summary},
    },
    decide::Plan,
    diagnose::{
        Diagnosis,
        causes::Advice,
        diagnose as judge,
        one_look::{self, Unlooked},
        probing,
        words::in_words,
    },
    posthog::instance::{Feature, Instance},
    report::words,
};

/// Arguments of `diagnose`.
#[derive(Debug, Args)]
#[command(
    after_help = "The API key is read from the environment variable POSTHOG_API_KEY, or from the file of --api-key-file. It needs the scope\n\
external_data_source:read; with external_data_source:write some causes are told more precisely (nothing is ever changed).\n\n\
Exit code: 0 nothing is wrong or only for information, 1 warnings, 2 errors, 3 the project could not be read (or not enough\n\
of it to say that nothing is wrong), the report not be written, or wrong flags."
)]
pub(super) struct DiagnoseArgs {
    /// Base URL of PostHog, for example https://us.posthog.com; http only for http://127.0.0.1:PORT
    #[arg(long, value_name = "URL")]
    host: String,

    /// Numeric id of the project, as in the URL of PostHog's UI (/project/12345)
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    project: i64,

    /// File with the API key, instead of POSTHOG_API_KEY
    #[arg(long, value_name = "PATH")]
    api_key_file: Option<PathBuf>,

    #[command(flatten)]
    network: NetworkArgs,

    /// How to print
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A report for people
    Table,
    /// One JSON object
    Json,
    /// The same as YAML
    Yaml,
}

/// The report for programs. Findings are those of a policy's status.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    host: &'a str,
    project: i64,
    read_at: Timestamp,
    summary: &'a Summary,
    /// What was not looked at, and why.
    notes: &'a [String],
    /// Whether this `PostHog` shows this; what is not known is null.
    instance: BTreeMap<Feature, Option<bool>>,
    findings: &'a [Finding],
}

/// Reads the project and prints what is wrong with it.
pub(super) fn diagnose(args: &DiagnoseArgs) -> Result<ExitCode, CliError> {
    let began = Timestamp::now();
    let project = Project {
        host: &args.host,
        id: args.project,
        api_key_file: args.api_key_file.as_deref(),
        network: &args.network,
        table: None,
    };
    let mut read = project.read()?;
    let (mut diagnosis, notes) = judged(&mut read);
    let findings = findings(&mut diagnosis, began);
    let summary = diagnosis.summary(|_| false);
    let host = read.policy.project.host.as_str();
    let shows = |feature: &Feature| (*feature, read.snapshot.instance.shows(*feature));
    let document = Document {
        host,
        project: args.project,
        read_at: read.at,
        summary: &summary,
        notes: &notes,
        instance: Feature::ALL.iter().map(shows).collect(),
        findings: &findings,
    };
    output::print(&match args.output {
        Format::Json => output::json(&document)?,
        Format::Yaml => output::yaml(&document)?,
        Format::Table => Report {
            host,
            project: args.project,
            read_at: read.at,
            summary: &summary,
            notes: &notes,
            findings: &findings,
            width: output::width(),
        }
        .text(),
    })?;
    Ok(exit_code(&findings, read.cut_off))
}

/// The findings as one sees them who has no operator.
fn findings(diagnosis: &mut Diagnosis, began: Timestamp) -> Vec<Finding> {
    for problem in &mut diagnosis.problems {
        problem.advice = Advice::same(problem.advice.by_hand);
    }
    let mut findings = words::findings(diagnosis, &Plan::default(), usize::MAX).shown;
    for finding in &mut findings {
        // What was first seen just now began some time before, and nobody knows when.
        finding.since = finding.since.filter(|at| *at < began);
        "Nothing: this command only reads.".clone_into(&mut finding.next_action);
    }
    // What concerns the whole project comes before its sources.
    findings.sort_by_key(|finding| (finding.severity, !finding.source_id.is_empty()));
    findings
}

/// By the worst finding. That nothing was found says nothing if not all was read.
fn exit_code(findings: &[Finding], cut_off: bool) -> ExitCode {
    match findings.iter().map(|finding| finding.severity).min() {
        Some(Severity::Error) => ExitCode::from(2),
        Some(Severity::Warning) => ExitCode::from(1),
        Some(Severity::Info) | None if cut_off => ExitCode::from(CANNOT),
        Some(Severity::Info) | None => ExitCode::SUCCESS,
    }
}

/// What is wrong with the project, and what was not looked at.
fn judged(read: &mut Read) -> (Diagnosis, Vec<String>) {
    let (at, cut_off) = (read.at, read.cut_off);
    let timings = &Timings::PRODUCTION;
    let unlooked = Unlooked::of(&read.policy, &mut read.snapshot, timings, at, cut_off);
    let known = read.known();
    let mut diagnosis = judge(&known);
    one_look::add(&known, &unlooked, &mut diagnosis);
    let questions = probing::due(&known).len();
    let mut notes = notes(&unlooked, questions, cut_off);
    notes.extend(of_instance(&known.snapshot.instance));
    (diagnosis, notes)
}

/// What this `PostHog` does not show, and what that means for the report.
fn of_instance(instance: &Instance) -> impl Iterator<Item = String> {
    let only_observed = instance.why_only_observed().map(|why| {
        format!("Versions: {why}. Upgrade PostHog before you let the operator act on this project.")
    });
    let said = instance.sentences().into_iter();
    let said = said.map(|sentence| format!("Of this PostHog: {sentence}."));
    only_observed.into_iter().chain(said)
}

/// What was not looked at, and why.
fn notes(unlooked: &Unlooked, questions: usize, cut_off: bool) -> Vec<String> {
    const BY_LIST: &str = "What is said of them is what PostHog's list of tables says.";
    let mut notes = Vec::new();
    if cut_off {
        notes.push(format!(
            "PostHog answered 429 and asked for a longer wait than the {} that this command waits, so this report is not complete. The limits of an API key are shared with everything else that uses it: try again later.",
            in_words(PATIENCE)
        ));
    }
    if unlooked.no_answer > 0 {
        let reason = unlooked.reason.as_deref().unwrap_or("no answer");
        let tables = plural(unlooked.no_answer, "table");
        notes.push(format!(
            "The runs of {tables} could not be read ({reason}). {BY_LIST}"
        ));
    }
    if unlooked.not_asked > 0 {
        let (tables, most) = (plural(unlooked.not_asked, "table"), BUDGET.looks);
        notes.push(format!(
            "{tables} that deserve a closer look got none: one call looks at {most} at most. {BY_LIST}"
        ));
    }
    if questions > 0 {
        let questions = plural(questions, "closer question");
        notes.push(format!(
            "{questions} on webhooks, change data capture and columns left out, so that this command ends in time."
        ));
    }
    notes
}
