//! `diagnose`: reads a project once and reports what is wrong. Read-only by construction: it has a client, which only
//! reads, and nothing of `execute`.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    CANNOT, CliError,
    drawing::drawings,
    html, markdown,
    network::NetworkArgs,
    output,
    project::{BUDGET, Project, Read},
    report::Report,
    waiting::LONGEST_WAIT,
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
        diagnose as find_problems, probing,
        single_read::{self, Unprobed},
        words::{in_words, plural},
    },
    posthog::instance::{Feature, Instance},
    report::words,
};

/// Arguments of `diagnose`.
#[derive(Debug, Args)]
#[command(
    after_help = "The API key is read from the environment variable POSTHOG_API_KEY, or from the file of --api-key-file. \
        It needs the scope external_data_source:read. With external_data_source:write, some causes are more precise; nothing is changed.\n\n\
        Exit codes:\n  \
        0  no findings, or only information\n  \
        1  warnings\n  \
        2  errors\n  \
        3  the project could not be read, or too little of it to report that nothing is wrong;\n     \
        the report could not be written; wrong flags"
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

    /// Output format
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    output: Format,

    /// With --output html: how many days of runs it shows
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(i64).range(1..=30))]
    days: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A report for people
    Table,
    /// One JSON object
    Json,
    /// The same as YAML
    Yaml,
    /// One HTML file, with a drawing of the runs of each source: attach it to an incident
    Html,
    /// Markdown, to paste into an issue
    Markdown,
}

/// The report for programs. Findings are those of a policy's status.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    host: &'a str,
    project: i64,
    read_at: Timestamp,
    summary: &'a Summary,
    /// What was not checked, and why.
    notes: &'a [String],
    /// Whether this `PostHog` provides this; null if not known.
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
        runs: (args.output == Format::Html).then(|| SignedDuration::from_hours(24 * args.days)),
    };
    let mut read = project.read()?;
    let (mut diagnosis, notes) = diagnosed(&mut read);
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
    let report = Report {
        host,
        project: args.project,
        read_at: read.at,
        summary: &summary,
        notes: &notes,
        findings: &findings,
        width: output::width(),
    };
    output::print(&match args.output {
        Format::Json => output::json(&document)?,
        Format::Yaml => output::yaml(&document)?,
        Format::Table => report.text(),
        Format::Markdown => markdown::page(&report),
        Format::Html => html::page(&report, &drawings(&read, &findings, args.days))?,
    })?;
    Ok(exit_code(&findings, read.cut_off))
}

/// The findings for a reader without the operator.
fn findings(diagnosis: &mut Diagnosis, began: Timestamp) -> Vec<Finding> {
    for problem in &mut diagnosis.problems {
        problem.advice = Advice::same(problem.advice.by_hand);
    }
    let mut findings = words::findings(diagnosis, &Plan::default(), usize::MAX).shown;
    for finding in &mut findings {
        // What this command saw first started earlier, at an unknown time.
        finding.since = finding.since.filter(|at| *at < began);
        "None: this command only reads".clone_into(&mut finding.next_action);
    }
    // Findings about the whole project come first.
    findings.sort_by_key(|finding| (finding.severity, !finding.source_id.is_empty()));
    findings
}

/// Of the worst finding. An incomplete read without findings is not a success.
fn exit_code(findings: &[Finding], cut_off: bool) -> ExitCode {
    match findings.iter().map(|finding| finding.severity).min() {
        Some(Severity::Error) => ExitCode::from(2),
        Some(Severity::Warning) => ExitCode::from(1),
        Some(Severity::Info) | None if cut_off => ExitCode::from(CANNOT),
        Some(Severity::Info) | None => ExitCode::SUCCESS,
    }
}

/// What is wrong with the project, and what was not checked.
pub(super) fn diagnosed(read: &mut Read) -> (Diagnosis, Vec<String>) {
    let (at, cut_off) = (read.at, read.cut_off);
    let timings = &Timings::PRODUCTION;
    let unprobed = Unprobed::of(&read.policy, &mut read.snapshot, timings, at, cut_off);
    let known = read.known();
    let mut diagnosis = find_problems(&known);
    single_read::add(&known, &unprobed, &mut diagnosis);
    let questions = probing::due(&known).len();
    let mut notes = notes(&unprobed, questions, cut_off);
    notes.extend(of_instance(&known.snapshot.instance));
    (diagnosis, notes)
}

/// What this `PostHog` does not provide, and what that means for the report.
fn of_instance(instance: &Instance) -> impl Iterator<Item = String> {
    let only_observed = instance.why_only_observed().map(|why| {
        format!("Versions: {why}. Upgrade PostHog before the operator may act on this project.")
    });
    let said = instance.sentences().into_iter();
    let said = said.map(|sentence| format!("This PostHog: {sentence}."));
    only_observed.into_iter().chain(said)
}

/// What was not checked, and why.
fn notes(unprobed: &Unprobed, questions: usize, cut_off: bool) -> Vec<String> {
    const BY_LIST: &str = "Their state is taken from PostHog's list of tables.";
    let mut notes = Vec::new();
    if cut_off {
        notes.push(format!(
            "This report is incomplete: PostHog answered 429 and asked to wait longer than the {} that this command waits. All clients of an API key share its limits: try again later.",
            in_words(LONGEST_WAIT)
        ));
    }
    if unprobed.no_answer > 0 {
        let reason = unprobed.reason.as_deref().unwrap_or("no answer");
        let tables = plural(unprobed.no_answer, "table");
        notes.push(format!(
            "The runs of {tables} could not be read ({reason}). {BY_LIST}"
        ));
    }
    if unprobed.not_asked > 0 {
        let (tables, most) = (plural(unprobed.not_asked, "table"), BUDGET.run_probes);
        notes.push(format!(
            "{tables} that need a probe got none: this command probes at most {most}. {BY_LIST}"
        ));
    }
    if questions > 0 {
        let questions = plural(questions, "probe");
        notes.push(format!(
            "{questions} of webhooks, change data capture and columns skipped to limit the duration of this command."
        ));
    }
    notes
}
