//! `diagnose`: reads a project once and says what is wrong. Read-only by construction: it has a client, which only reads, and
//! nothing of `execute`.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::{CliError, output, report::Report};
use crate::{
    api::{
        Timings, ValidatedPolicy, WarehouseSyncPolicy,
        host::Host,
        status::{Finding, Severity, State, Summary},
    },
    controller::survey::{Budget, Survey},
    decide::Plan,
    diagnose::{Diagnosis, Known, diagnose as judge, one_look},
    observe::{Observer, Snapshot},
    posthog::{ApiKey, PostHogError, client::Clock, guard::HostList, http::HttpTransport},
    report::words,
};

/// The variable that holds the API key.
const KEY_VARIABLE: &str = "POSTHOG_API_KEY";

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
Exit code: 0 nothing is wrong or only for information, 1 warnings, 2 errors, 3 the project could not be read."
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
    let (diagnosis, read_at) = runtime.block_on(read(args, &policy, key))?;
    let mut findings = words::findings(&diagnosis, &Plan::default(), usize::MAX).shown;
    for finding in &mut findings {
        // What was first seen just now began some time before, and nobody knows when.
        finding.since = finding.since.filter(|at| *at < began);
    }
    let summary = diagnosis.summary(|_| false);
    let host = policy.project.host.as_str();
    let document = Document {
        host,
        project: args.project,
        read_at,
        summary: &summary,
        findings: &findings,
    };
    output::print(&match args.output {
        Format::Json => output::json(&document)?,
        Format::Yaml => output::yaml(&document)?,
        Format::Table => Report {
            host,
            project: args.project,
            read_at,
            summary: &summary,
            findings: &findings,
        }
        .text(),
    })?;
    Ok(exit_code(&findings))
}

fn exit_code(findings: &[Finding]) -> ExitCode {
    match findings.iter().map(|finding| finding.severity).min() {
        Some(Severity::Error) => ExitCode::from(2),
        Some(Severity::Warning) => ExitCode::from(1),
        Some(Severity::Info) | None => ExitCode::SUCCESS,
    }
}

fn cannot(what: impl std::fmt::Display) -> CliError {
    CliError::CannotRead(what.to_string())
}

fn key(args: &DiagnoseArgs) -> Result<ApiKey, CliError> {
    let (bytes, from) = match &args.api_key_file {
        Some(path) => {
            let shown = path.display();
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
    let host = Host::parse(&args.host).map_err(|error| cannot(format!("--host: {error}")))?;
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

async fn read(
    args: &DiagnoseArgs,
    policy: &ValidatedPolicy,
    key: ApiKey,
) -> Result<(Diagnosis, Timestamp), CliError> {
    let hosts = HostList::new(&[policy.project.host.authority().to_owned()], true);
    let transport = HttpTransport::new(hosts).map_err(cannot)?;
    let clock: Clock = Arc::new(Timestamp::now);
    let observer = Observer::new(Arc::new(transport), clock.clone());
    let view = observer.project(&policy.at, &policy.project, key);
    let progress = Progress::new();
    progress.says("reading the list of sources");
    let polled = view.poll(jiff::SignedDuration::ZERO).await;
    progress.clears();
    let sources = polled.listed.map_err(|error| cannot(why(&error, args)))?;
    let state = State::default();
    let snapshot = Survey {
        policy,
        view: &view,
        state: &state,
        incidents: &[],
        timings: &Timings::PRODUCTION,
        budget: BUDGET,
        every_run: true,
        progress: &|done, all| progress.says(&format!("looking closer: {done} of {all}")),
    }
    .make(sources, Vec::new())
    .await;
    progress.clears();
    let now = clock();
    Ok((judged(policy, &snapshot, &state, now), now))
}

fn judged(
    policy: &ValidatedPolicy,
    snapshot: &Snapshot,
    state: &State,
    now: Timestamp,
) -> Diagnosis {
    let known = Known {
        policy,
        snapshot,
        state,
        timings: &Timings::PRODUCTION,
        now,
    };
    let mut diagnosis = judge(&known);
    one_look::add(&known, &mut diagnosis);
    diagnosis
}

/// Why the project could not be read, and what to do.
fn why(error: &PostHogError, args: &DiagnoseArgs) -> String {
    let (host, project) = (&args.host, args.project);
    let advice = match error {
        PostHogError::NotSent { .. } | PostHogError::NoAnswer { .. } => {
            format!("Check that {host} is the address of PostHog and can be reached from here")
        }
        PostHogError::Waiting { .. } | PostHogError::RateLimited { .. } => {
            "The limits of the API key are shared with everything else that uses it: try again in a minute".to_owned()
        }
        PostHogError::Refused { status: 401, .. } => {
            "Use a valid personal API key of PostHog (it begins with phx_), made on this host".to_owned()
        }
        PostHogError::Refused { status: 403, .. } if error.lacks_scope("external_data_source:read") => {
            "Add the scope external_data_source:read to the API key in PostHog".to_owned()
        }
        PostHogError::Refused { status: 403, .. } => {
            format!("Give the API key access to project {project} in PostHog")
        }
        PostHogError::Refused { status: 404, .. } => {
            format!("PostHog at {host} knows no project {project} for this key: check --project, the number in the URL of PostHog's UI, and --host")
        }
        PostHogError::Refused { status: 500.., .. } => {
            "PostHog has trouble of its own: try again in some minutes".to_owned()
        }
        PostHogError::Refused { .. } | PostHogError::Unexpected { .. } => {
            format!("Check that {host} is the address of PostHog itself, without a path")
        }
    };
    format!("{error}. {advice}")
}

/// A line on a terminal that says how far a long read is.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
        }
    }

    fn says(&self, what: &str) {
        if self.shown {
            anstream::eprint!("\r\x1b[K{what} …");
        }
    }

    fn clears(&self) {
        if self.shown {
            anstream::eprint!("\r\x1b[K");
        }
    }
}
