//! `diagnose`: reads a project once and says what is wrong. Read-only by construction: it has a client, which only reads, and
//! nothing of `execute`.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    CANNOT, CliError,
    cannot_read::why,
    network::NetworkArgs,
    output,
    patient::{PATIENCE, Patient},
    progress::Progress,
    report::{Report, plural},
};
use crate::{
    api::{
        Timings, ValidatedPolicy, WarehouseSyncPolicy,
        host::Host,
        status::{Finding, Severity, State, Summary},
    },
    controller::survey::{Budget, Survey},
    decide::Plan,
    diagnose::{
        Diagnosis, Known,
        causes::Advice,
        diagnose as judge,
        one_look::{self, Unlooked},
        probing,
        words::in_words,
    },
    observe::{Elsewhere, Observer, Snapshot},
    posthog::{
        ApiKey,
        client::Clock,
        guard::HostList,
        http::HttpTransport,
        instance::{Feature, Instance},
        quota::Purpose,
        redact,
    },
    report::words,
};

/// The variable that holds the API key.
const KEY_VARIABLE: &str = "POSTHOG_API_KEY";
/// How a personal API key of `PostHog` begins.
const KEY_BEGINS: &str = "phx_";

/// What one call may ask beyond the list: well below the 480 requests a minute of a key.
const BUDGET: Budget = Budget {
    looks: 200,
    probes: 60,
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
    instance: &'a BTreeMap<Feature, Option<bool>>,
    findings: &'a [Finding],
}

/// Reads the project and prints what is wrong with it.
pub(super) fn diagnose(args: &DiagnoseArgs) -> Result<ExitCode, CliError> {
    let policy = policy(args)?;
    let key = key(args)?;
    let began = Timestamp::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let read = runtime.block_on(until_interrupted(read(args, &policy, key)));
    // What is still waiting for a connection must not hold the process.
    runtime.shutdown_background();
    let mut read = read?;
    let findings = findings(&mut read.diagnosis, began);
    let summary = read.diagnosis.summary(|_| false);
    let host = policy.project.host.as_str();
    let document = Document {
        host,
        project: args.project,
        read_at: read.at,
        summary: &summary,
        notes: &read.notes,
        instance: &read.instance,
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
            notes: &read.notes,
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

/// Who ends a read by Ctrl-C finds an empty line and no half of a progress message.
async fn until_interrupted<A>(
    read: impl Future<Output = Result<A, CliError>>,
) -> Result<A, CliError> {
    tokio::select! {
        // In this order, so that Ctrl-C is listened for before anything is sent.
        biased;
        Ok(()) = tokio::signal::ctrl_c() => {
            Progress::new().clears();
            Err(CliError::Interrupted)
        }
        result = read => result,
    }
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

fn cannot(what: impl std::fmt::Display) -> CliError {
    CliError::CannotRead(what.to_string())
}

fn key(args: &DiagnoseArgs) -> Result<ApiKey, CliError> {
    let (bytes, from) = match &args.api_key_file {
        Some(path) => {
            let shown = path.display().to_string();
            if shown.starts_with(KEY_BEGINS) {
                return Err(cannot(format!(
                    "--api-key-file names a file, and this looks like the key itself: put it into {KEY_VARIABLE} instead"
                )));
            }
            let bytes = std::fs::read(path).map_err(|error| {
                cannot(format!("cannot read the API key from {shown}: {error}"))
            })?;
            (bytes, format!("file {shown}"))
        }
        None => match std::env::var_os(KEY_VARIABLE) {
            Some(value) => (value.into_encoded_bytes(), KEY_VARIABLE.to_owned()),
            None => {
                return Err(cannot(format!(
                    "no API key: set {KEY_VARIABLE} to a personal API key of PostHog with the scope external_data_source:read, or name a file with --api-key-file"
                )));
            }
        },
    };
    ApiKey::new(&bytes)
        .map_err(|error| cannot(format!("the API key of {from} cannot be used: {error}")))
}

/// A policy with every default that selects the whole project.
fn policy(args: &DiagnoseArgs) -> Result<ValidatedPolicy, CliError> {
    // What stands before an @ may be a password.
    let host = Host::parse(&args.host)
        .map_err(|error| cannot(format!("--host: {}", redact::text(&error.to_string(), 300))))?;
    let object: WarehouseSyncPolicy = serde_json::from_value(serde_json::json!({
        "apiVersion": "warehousesync.dev/v1alpha1",
        "kind": "WarehouseSyncPolicy",
        "metadata": {"name": "diagnose", "namespace": "default", "uid": "diagnose", "creationTimestamp": "1970-01-01T00:00:00Z"},
        "spec": {
            "posthog": {"host": host.as_str(), "projectId": args.project, "apiKeySecretRef": {"name": "none", "key": "none"}},
            // Whoever asks now wants to know now.
            "health": {"failing": {"for": "0s"}},
        },
    }))
    .map_err(cannot)?;
    ValidatedPolicy::new(&object).map_err(cannot)
}

/// What was read of a project.
struct Read {
    diagnosis: Diagnosis,
    at: Timestamp,
    notes: Vec<String>,
    instance: BTreeMap<Feature, Option<bool>>,
    /// `PostHog` answered no more before all was asked.
    cut_off: bool,
}

async fn read(
    args: &DiagnoseArgs,
    policy: &ValidatedPolicy,
    key: ApiKey,
) -> Result<Read, CliError> {
    let progress = Progress::new();
    let hosts = HostList::new(&[policy.project.host.authority().to_owned()], true);
    let authorities = args.network.authorities().map_err(cannot)?;
    let clock: Clock = Arc::new(Timestamp::now);
    let http = HttpTransport::new(hosts, &authorities, clock.clone()).map_err(cannot)?;
    let transport = Patient::new(http, progress);
    let patience = transport.patience();
    let observer = Observer::new(Arc::new(transport), clock.clone());
    let view = observer.project(&policy.at, &policy.project, key);
    progress.says("reading the list of sources");
    let polled = view.poll(jiff::SignedDuration::ZERO, Purpose::Poll).await;
    progress.clears();
    let sources = polled
        .listed
        .map_err(|error| cannot(why(&error, &args.host, args.project)))?;
    let state = State::default();
    let mut snapshot = Survey {
        policy,
        view: &view,
        state: &state,
        proposals: &[],
        incidents: &[],
        timings: &Timings::PRODUCTION,
        budget: BUDGET,
        every_run: true,
        progress: &|done, all| progress.says(&format!("looking closer: {done} of {all}")),
    }
    .make(sources, Vec::new(), Elsewhere::default())
    .await;
    progress.clears();
    Ok(judged(
        policy,
        &mut snapshot,
        &state,
        clock(),
        patience.has_ended(),
    ))
}

fn judged(
    policy: &ValidatedPolicy,
    snapshot: &mut Snapshot,
    state: &State,
    now: Timestamp,
    cut_off: bool,
) -> Read {
    let timings = &Timings::PRODUCTION;
    let unlooked = Unlooked::of(policy, snapshot, timings, now, cut_off);
    let known = Known {
        policy,
        snapshot,
        state,
        proposals: &[],
        timings,
        now,
    };
    let mut diagnosis = judge(&known);
    one_look::add(&known, &unlooked, &mut diagnosis);
    let questions = probing::due(&known).len();
    Read {
        diagnosis,
        at: now,
        notes: notes(&unlooked, questions, cut_off)
            .into_iter()
            .chain(of_instance(&snapshot.instance))
            .collect(),
        instance: (Feature::ALL.iter())
            .map(|feature| (*feature, snapshot.instance.shows(*feature)))
            .collect(),
        cut_off,
    }
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
