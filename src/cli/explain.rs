//! `explain`: what an error text means, without network or cluster; or the state of one table of a project.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{CliError, batch::batch, network::NetworkArgs, output, project::Project, report};
use crate::{
    api::{
        Timings,
        status::{Action, Confidence, RootCause},
    },
    diagnose::{
        Cause,
        causes::Remedy,
        classify::{NO_RULE, classify},
        diagnose,
        one_table::{TableReport, state_of},
        single_read::{self, Unprobed},
    },
    observe::Reading,
    posthog::{
        redact,
        wire::{Schema, Source},
    },
};

/// Longest part of a text that is echoed, in characters.
const SHOWN: usize = 300;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:\n  \
        0  every text was read (if nothing says what it means, its cause is Unknown)\n  \
        1  a line of the batch could not be read\n  \
        2  wrong flags\n  \
        3  the input or the project could not be read, or the output could not be written")]
pub(super) struct ExplainArgs {
    /// The error text, as PostHog shows it in `latest_error`
    #[arg(required_unless_present_any = ["batch", "table"], conflicts_with_all = ["batch", "table"])]
    text: Option<String>,

    /// Type of the source as PostHog names it, for example Postgres. It distinguishes texts that several kinds of
    /// sources use
    #[arg(long, value_name = "TYPE", conflicts_with_all = ["batch", "table"])]
    source_type: Option<String>,

    /// Output format
    #[arg(long, short, value_enum, default_value_t = Format::Table, conflicts_with = "batch")]
    output: Format,

    /// Read one JSON object per line from standard input, {"id", "text", "sourceType"?}, and write one per line, {"id",
    /// "cause", "confidence", "rule", "advice"}. A broken line gets cause Unknown and a field "error", and is reported
    /// on standard error
    #[arg(long, conflicts_with = "table")]
    batch: bool,

    /// Name of a table, instead of a text: print its state in PostHog now, the phase of its run, and the evidence. The
    /// API key is read as in `diagnose`
    #[arg(long, value_name = "NAME", requires = "host", requires = "project")]
    table: Option<String>,

    /// Base URL of PostHog, for --table
    #[arg(long, value_name = "URL", requires = "table")]
    host: Option<String>,

    /// Numeric id of the project, for --table
    #[arg(long, value_name = "ID", requires = "table", value_parser = clap::value_parser!(i64).range(1..))]
    project: Option<i64>,

    /// File with the API key, instead of POSTHOG_API_KEY, for --table
    #[arg(long, value_name = "PATH", requires = "table")]
    api_key_file: Option<PathBuf>,

    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON object
    Json,
}

/// The explanation of a text.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation<'a> {
    cause: RootCause,
    confidence: Confidence,
    rule: &'a str,
    advice: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
    needs_approval: bool,
}

/// Explains one text, or those of standard input.
pub(super) fn explain(args: &ExplainArgs) -> Result<ExitCode, CliError> {
    if let (Some(table), Some(host), Some(project)) = (&args.table, &args.host, args.project) {
        let project = Project {
            host,
            id: project,
            api_key_file: args.api_key_file.as_deref(),
            network: &args.network,
            table: Some(table),
            runs: None,
        };
        return of_table(&project, table, args.output);
    }
    let Some(text) = &args.text else {
        return batch(std::io::stdin().lock(), std::io::stdout().lock());
    };
    let reading = classify(text, args.source_type.as_deref());
    let explanation = Explanation {
        cause: reading.shown_cause(),
        confidence: reading.confidence,
        rule: reading.rule,
        advice: reading.advice().by_hand,
        action: Cause::of(reading.cause).remedy.action(),
        needs_approval: matches!(Cause::of(reading.cause).remedy, Remedy::NeedsApproval(_)),
    };
    let printed = match args.output {
        Format::Json => output::json(&explanation)?,
        Format::Table => table(text, &reading),
    };
    output::print(&printed)?;
    Ok(ExitCode::SUCCESS)
}

/// The state of a table, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TableState<'a> {
    source: String,
    table: &'a str,
    /// The status in PostHog.
    status: &'a str,
    verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<RootCause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'a str>,
    evidence: &'a [String],
    advice: &'a str,
}

/// Prints the state of each table of this name.
fn of_table(project: &Project<'_>, name: &str, format: Format) -> Result<ExitCode, CliError> {
    let mut read = project.read()?;
    let (at, cut_off) = (read.at, read.cut_off);
    let timings = &Timings::PRODUCTION;
    let unprobed = Unprobed::of(&read.policy, &mut read.snapshot, timings, at, cut_off);
    let known = read.known();
    let mut diagnosis = diagnose(&known);
    single_read::add(&known, &unprobed, &mut diagnosis);
    let selected = read.snapshot.selected();
    let named: Vec<(&Source, &Schema)> = selected.filter(|(_, row)| row.name == name).collect();
    if named.is_empty() {
        let none = format!(
            "the project has no table named {}",
            redact::one_line(name, SHOWN)
        );
        return Err(CliError::CannotRead(none));
    }
    let states: Vec<TableReport> = named
        .iter()
        .map(|row| state_of(&known, &diagnosis, *row))
        .collect();
    let states = named.iter().zip(&states);
    let states: Vec<TableState<'_>> = states
        .map(|((source, schema), state)| TableState {
            source: source.title(),
            table: &schema.name,
            status: schema
                .status
                .get()
                .map_or("unknown", |status| status.as_str()),
            verdict: &state.verdict,
            cause: state.cause,
            phase: state.phase,
            evidence: &state.evidence,
            advice: state.advice,
        })
        .collect();
    output::print(&match format {
        Format::Json => output::json(&states)?,
        Format::Table => states.iter().map(state).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn state(state: &TableState<'_>) -> String {
    let TableState {
        source,
        table,
        status,
        verdict,
        cause,
        phase,
        evidence,
        advice,
    } = state;
    let mut fields = vec![
        ("Table", format!("{source}, {table}")),
        ("PostHog", (*status).to_owned()),
        ("Verdict", (*verdict).to_owned()),
    ];
    fields.extend(cause.map(|cause| ("Cause", cause.as_str().to_owned())));
    fields.extend(phase.map(|phase| ("Phase", phase.to_owned())));
    fields.extend(evidence.iter().map(|fact| ("Evidence", fact.clone())));
    fields.push(("What to do", (*advice).to_owned()));
    report::fields("", &fields, output::width())
}

fn table(text: &str, reading: &Reading) -> String {
    let mut fields = vec![
        ("Text", redact::text(text, SHOWN)),
        (
            "Cause",
            format!(
                "{} ({})",
                reading.shown_cause().as_str(),
                reading.shown_cause().meaning()
            ),
        ),
        ("Confidence", format!("{:?}", reading.confidence)),
        ("Why", why(reading)),
        ("What to do", reading.advice().by_hand.to_owned()),
    ];
    fields
        .extend(report::operator(Cause::of(reading.cause).remedy).map(|could| ("Operator", could)));
    report::fields("", &fields, output::width())
}

fn why(reading: &Reading) -> String {
    if let Some(likeness) = reading.likeness() {
        likeness
    } else if reading.rule == NO_RULE {
        "no rule matches this text; a wrong cause would be worse than none".to_owned()
    } else {
        format!("rule {}", reading.rule)
    }
}
