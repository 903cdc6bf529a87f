//! `tables`: every table that a policy selects, read from `PostHog` with the policy's API key, which the caller must be
//! allowed to read.

use std::{collections::HashMap, process::ExitCode};

use clap::{Args, builder::PossibleValuesParser};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::{
    PluginError,
    cluster::{Cluster, ClusterArgs},
    print::{Format, print, table},
    view,
};
use crate::{
    api::{ValidatedPolicy, WarehouseSyncPolicy, host::Host, policy::SourceRef, status::RootCause},
    cli::{
        diagnose::diagnosed,
        network::NetworkArgs,
        print_error,
        project::{Read, Reader},
        report::minute,
    },
    controller::secret_use::{self, Use},
    diagnose::{Diagnosis, Problem},
    posthog::{
        ApiKey,
        guard::{DEFAULT_HOSTS, HostList},
        wire::Source,
    },
};

/// Arguments of `tables`.
#[derive(Debug, Args)]
pub(super) struct TablesArgs {
    /// Name of the policy
    name: String,
    /// Only tables with this cause
    #[arg(long, value_parser = PossibleValuesParser::new(RootCause::ALL.iter().map(|cause| cause.as_str())))]
    cause: Option<String>,
    /// Only tables of this source: its name or id, or as a policy names it, for example type=Stripe,prefix=prod
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Host (or HOST:PORT) of a PostHog instance to which you allow the API key to be sent, in addition to
    /// us.posthog.com and eu.posthog.com. The policy chooses the host, so check that it is yours
    #[arg(long = "allowed-host", value_name = "HOST")]
    allowed_hosts: Vec<String>,
    /// Also allow http://127.0.0.1:PORT
    #[arg(long)]
    allow_http_loopback: bool,
    #[command(flatten)]
    network: NetworkArgs,
}

/// A table of a policy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    source: String,
    source_id: String,
    table: String,
    table_id: String,
    /// The state, as the counts of a status have it: healthy, running, stuck and so on.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<RootCause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Start of the last run that completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_synced_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<i64>,
}

/// Lists the tables of one policy.
pub(super) async fn tables(
    args: &TablesArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let cluster = cluster.connect().await?;
    let policy = cluster.policy(&args.name).await?;
    let status = policy.status.clone().unwrap_or_default();
    let valid = ValidatedPolicy::new(&policy);
    let valid = valid.map_err(|error| PluginError::refused(error.to_string()))?;
    let hosts = hosts(args, &valid.project.host)?;
    let reader = Reader {
        key: key(&cluster, &policy).await?,
        policy: valid,
        state: status.state,
        hosts,
        network: &args.network,
        one_table: false,
        runs: None,
    };
    // Boxed: a survey is a large future.
    let mut read = Box::pin(reader.read()).await?;
    let (diagnosis, notes) = diagnosed(&mut read);
    for note in notes {
        print_error(&format!("note: {note}"));
    }
    let rows = rows(&read, &diagnosis);
    let wanted = |row: &Row| {
        let cause = row.cause.map(RootCause::as_str);
        args.cause.is_none() || args.cause.as_deref() == cause
    };
    let mut rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
    if let Some(source) = &args.source {
        let ids = ids_of(source, &read);
        rows.retain(|row| ids.contains(&row.source_id.as_str()));
    }
    print(format, &rows, || text(&rows, format == Format::Wide))
}

/// Where the key may be sent. An editor of policies chooses the host; the caller's rights must not carry the key there.
fn hosts(args: &TablesArgs, host: &Host) -> Result<HostList, PluginError> {
    let allowed: Vec<String> = DEFAULT_HOSTS
        .iter()
        .map(|host| (*host).to_owned())
        .chain(args.allowed_hosts.iter().cloned())
        .collect();
    let hosts = HostList::new(&allowed, args.allow_http_loopback);
    if hosts.check(host).is_ok() {
        return Ok(hosts);
    }
    let flag = if host.is_http_loopback() {
        "--allow-http-loopback".to_owned()
    } else {
        format!("--allowed-host={}", host.authority())
    };
    Err(PluginError::refused(format!(
        "the API key would be sent to {host}, which the policy names: add {flag} if you trust it. Nothing was sent"
    )))
}

/// The API key that the policy names.
async fn key(cluster: &Cluster, policy: &WarehouseSyncPolicy) -> Result<ApiKey, PluginError> {
    let wanted = &policy.spec.posthog.api_key_secret_ref;
    let secret = cluster.secret(&wanted.name).await?;
    let value = secret_use::value(secret.as_ref(), &cluster.namespace, wanted, Use::ApiKey);
    let value = value.map_err(|refused| PluginError::refused(refused.message))?;
    ApiKey::new(value.expose_secret().as_bytes()).map_err(|error| {
        PluginError::refused(format!(
            "the API key in the Secret {} is invalid: {error}",
            wanted.name
        ))
    })
}

fn rows(read: &Read, diagnosis: &Diagnosis) -> Vec<Row> {
    let judged = diagnosis.judged.iter();
    let states: HashMap<&str, &'static str> = judged
        .map(|judged| (judged.schema_id.as_str(), judged.verdict.as_str()))
        .collect();
    let problems = Problems::of(diagnosis);
    let selected = read.snapshot.selected();
    selected
        .map(|(source, schema)| {
            let problem = problems.about(&source.id, &schema.id, &schema.name);
            Row {
                source: source.title(),
                source_id: source.id.clone(),
                table: schema.name.to_string(),
                table_id: schema.id.to_string(),
                // Only tables that are not healthy are judged in detail.
                state: states.get(schema.id.as_str()).copied().unwrap_or("healthy"),
                cause: problem.map(|problem| problem.cause),
                message: problem.map(|problem| problem.message.clone()),
                since: problem.and_then(|problem| problem.since),
                last_synced_at: schema.synced_at(read.at),
                rows: schema.rows(),
            }
        })
        .collect()
}

/// Problems by table.
struct Problems<'a> {
    tables: HashMap<&'a str, &'a Problem>,
    /// By id of the source and name of the table.
    affected: HashMap<(&'a str, &'a str), &'a Problem>,
}

impl<'a> Problems<'a> {
    fn of(diagnosis: &'a Diagnosis) -> Self {
        let mut of = Self {
            tables: HashMap::new(),
            affected: HashMap::new(),
        };
        // Sorted, the most severe first.
        for problem in &diagnosis.problems {
            if let Some((id, _)) = &problem.table {
                of.tables.entry(id).or_insert(problem);
            }
            for name in &problem.affected {
                let key = (problem.source_id.as_str(), name.as_str());
                of.affected.entry(key).or_insert(problem);
            }
        }
        of
    }

    fn about(&self, source_id: &str, schema_id: &str, name: &str) -> Option<&'a Problem> {
        let own = self.tables.get(schema_id);
        own.or_else(|| self.affected.get(&(source_id, name)))
            .copied()
    }
}

/// Ids of the sources that a person means.
fn ids_of<'a>(wanted: &str, read: &'a Read) -> Vec<&'a str> {
    let named = SourceRef::parse(wanted);
    let is_meant = |source: &&Source| {
        let (type_, prefix, id) = (source.type_name(), source.prefix_name(), &source.id);
        wanted.eq_ignore_ascii_case(id)
            || wanted.eq_ignore_ascii_case(&source.title())
            || named
                .as_ref()
                .is_some_and(|named| named.matches(type_, prefix, id))
    };
    let sources = read.snapshot.selected_sources();
    sources
        .filter(is_meant)
        .map(|source| source.id.as_str())
        .collect()
}

fn text(rows: &[Row], wide: bool) -> String {
    if rows.is_empty() {
        return "No tables found.\n".to_owned();
    }
    let now = Timestamp::now();
    let short = |row: &Row| {
        [
            row.source.clone(),
            row.table.clone(),
            row.state.to_owned(),
            row.cause
                .map_or_else(String::new, |cause| cause.as_str().to_owned()),
            row.since.map_or_else(String::new, |at| view::ago(at, now)),
            row.last_synced_at
                .map_or_else(String::new, |at| view::ago(at, now)),
            row.rows.map_or_else(String::new, |rows| rows.to_string()),
        ]
    };
    if !wide {
        let header = [
            "SOURCE",
            "TABLE",
            "STATE",
            "CAUSE",
            "SINCE",
            "LAST SYNC",
            "ROWS",
        ];
        return table(header, &rows.iter().map(short).collect::<Vec<_>>());
    }
    let header = [
        "SOURCE",
        "TABLE",
        "STATE",
        "CAUSE",
        "SINCE",
        "LAST SYNC",
        "ROWS",
        "SYNCED AT",
        "TABLE ID",
        "MESSAGE",
    ];
    let wide = rows.iter().map(|row| {
        let [source, table, state, cause, since, last, count] = short(row);
        let at = row.last_synced_at.map_or_else(String::new, minute);
        let message = row.message.clone().unwrap_or_default();
        [
            source,
            table,
            state,
            cause,
            since,
            last,
            count,
            at,
            row.table_id.clone(),
            message,
        ]
    });
    table(header, &wide.collect::<Vec<_>>())
}
