//! `run`: the operator itself.

use std::{io::IsTerminal, net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use super::{CliError, network::NetworkArgs};
use crate::{
    api::{Timings, names::SERVICE_ACCOUNT},
    controller::{
        self, Options, ProcessHealth, leadership::Election, lease::Times, startup::StartError,
    },
    decide::approval,
    observe::observer::MostTables,
    posthog::{
        authorities::Authorities,
        guard::{DEFAULT_HOSTS, HostList, is_loopback},
        proxy,
        quota::Share,
        visible::Visible,
    },
    report::{Metrics, notifications::outbox::Pace},
    serve,
};

/// Name of the Lease unless a flag says otherwise.
const LEASE_NAME: &str = "warehouse-sync-operator";

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Namespace whose policies are looked after; repeat it, or separate with commas. Default: all namespaces
    #[arg(
        long = "namespace",
        value_name = "NAME",
        env = "WAREHOUSE_SYNC_NAMESPACES",
        value_delimiter = ',',
        value_parser = name
    )]
    namespaces: Vec<String>,

    /// Host (or HOST:PORT) of a PostHog that may get API keys; repeat it, or separate with commas. Default: us.posthog.com and eu.posthog.com
    #[arg(long = "allowed-host", value_name = "HOST", env = "WAREHOUSE_SYNC_ALLOWED_HOSTS", value_delimiter = ',', value_parser = host)]
    allowed_hosts: Vec<String>,

    /// Host (or HOST:PORT) that may be told when a person is needed (spec.notifications), for example hooks.slack.com; repeat it, or
    /// separate with commas. Default: none
    #[arg(long = "allowed-notify-host", value_name = "HOST", env = "WAREHOUSE_SYNC_ALLOWED_NOTIFY_HOSTS", value_delimiter = ',', value_parser = host)]
    allowed_notify_hosts: Vec<String>,

    /// Also permit http://127.0.0.1:PORT, for a PostHog (or a simulator, or a receiver of notifications) on this machine
    #[arg(long, env = "WAREHOUSE_SYNC_ALLOW_HTTP_LOOPBACK")]
    allow_http_loopback: bool,

    #[command(flatten)]
    network: NetworkArgs,

    /// Address for /livez, /readyz and /metrics
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "WAREHOUSE_SYNC_BIND",
        default_value = "0.0.0.0:8080"
    )]
    bind: SocketAddr,

    /// Namespace of the Lease by which replicas agree on who leads. Default: that of the pod, or of the kubeconfig
    #[arg(long, value_name = "NAME", env = "WAREHOUSE_SYNC_LEASE_NAMESPACE", value_parser = name)]
    lease_namespace: Option<String>,

    /// Name of that Lease. Operators in one namespace that look after different policies need one each
    #[arg(
        long,
        value_name = "NAME",
        env = "WAREHOUSE_SYNC_LEASE_NAME",
        default_value = LEASE_NAME,
        value_parser = name
    )]
    lease_name: String,

    /// Calls that may be sent to one project of PostHog in an hour, by all policies on it together; a policy's maxActionsPerHour can only
    /// lower it
    #[arg(long, value_name = "N", env = "WAREHOUSE_SYNC_MAX_ACTIONS_PER_HOUR", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    max_actions_per_hour: u32,

    /// How much of PostHog's limits of each API key the operator may use, in percent; the rest is for the others that use the key
    #[arg(long, value_name = "PERCENT", env = "WAREHOUSE_SYNC_QUOTA_SHARE", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    quota_share: u32,

    /// Tables of one project of PostHog that are taken into memory; a project with more is not read, which its policies say
    #[arg(long, value_name = "N", env = "WAREHOUSE_SYNC_MAX_TABLES_PER_PROJECT", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    max_tables_per_project: u32,

    /// Tables of all projects together: a project that would be too much is not read, which its policies say
    #[arg(long, value_name = "N", env = "WAREHOUSE_SYNC_MAX_TABLES", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    max_tables: u32,

    /// Believe approvals also where the admission policies of approvals are not in force: then anybody who may edit a policy can approve
    #[arg(long, env = "WAREHOUSE_SYNC_ALLOW_UNGUARDED_APPROVALS")]
    allow_unguarded_approvals: bool,

    /// Believe only approvals whose name the API server has checked, not those that come from git on behalf of somebody
    #[arg(long, env = "WAREHOUSE_SYNC_REQUIRE_VERIFIED_APPROVALS")]
    require_verified_approvals: bool,

    /// User name of a ServiceAccount that people act through (system:serviceaccount:NAMESPACE:NAME), whose approvals count as a person's;
    /// repeat it, or separate with commas. The admission policies must name the same. Default: none
    #[arg(long = "verified-service-accounts", value_name = "USER", env = "WAREHOUSE_SYNC_VERIFIED_SERVICE_ACCOUNTS", value_delimiter = ',', value_parser = service_account)]
    verified_service_accounts: Vec<String>,

    /// How log lines look. What is logged is set by RUST_LOG
    #[arg(long, value_name = "FORMAT", env = "WAREHOUSE_SYNC_LOG_FORMAT", value_enum, default_value_t = LogFormat::Human)]
    log_format: LogFormat,

    /// Divide the fixed durations of remediation, for demos and tests on this machine
    #[arg(long, value_name = "N", env = "WAREHOUSE_SYNC_TIME_FACTOR", hide = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    time_factor: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Lines for people
    Human,
    /// One JSON object per line
    Json,
}

/// Runs the operator until it is told to stop. In a JSON log, why it ended badly is an object too.
pub(super) fn run(args: &RunArgs) -> Result<ExitCode, CliError> {
    let logged = start_log(args.log_format);
    match logged.and_then(|()| run_logged(args)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => match args.log_format {
            LogFormat::Human => Err(error),
            LogFormat::Json => {
                tracing::error!("{error}");
                Ok(ExitCode::from(error.exit_code()))
            }
        },
    }
}

fn run_logged(args: &RunArgs) -> Result<(), CliError> {
    let options = options(args)?;
    tell_the_way(&options.authorities);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(operate(options, args.bind));
    // What is still waiting for a connection must not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// What calls to `PostHog` go through and trust, so that nobody has to guess it from the environment of a pod.
fn tell_the_way(authorities: &Authorities) {
    if let Some(proxy) = proxy::named() {
        tracing::info!(
            "https goes through the proxy {proxy}, except to the hosts that NO_PROXY names"
        );
    }
    if authorities.count() > 0 {
        tracing::info!(
            "trusts {} more certificate authorities, from --ca-file",
            authorities.count()
        );
    }
}

async fn operate(options: Options, bind: SocketAddr) -> Result<(), CliError> {
    let (health, metrics) = (ProcessHealth::default(), Metrics::default());
    let clock = controller::clock();
    let server = serve::start(bind, health.clone(), metrics.clone(), clock).await?;
    tokio::select! {
        ended = controller::run(options, health, metrics, stop_signal()) => Ok(ended?),
        _ = server => Err(StartError::Ended("the health server").into()),
    }
}

fn options(args: &RunArgs) -> Result<Options, CliError> {
    let fast = args.time_factor > 1;
    // A chart sets a variable that has no value to nothing.
    let given = |hosts: &[String]| -> Vec<String> {
        let hosts = hosts.iter().filter(|host| !host.is_empty());
        hosts.cloned().collect()
    };
    let (listed, notified) = (
        given(&args.allowed_hosts),
        given(&args.allowed_notify_hosts),
    );
    let all_loopback = listed.iter().chain(&notified).all(|host| is_loopback(host));
    if fast && !(args.allow_http_loopback && all_loopback) {
        return Err(CliError::Usage(
            "--time-factor is for demos and tests on this machine: it needs --allow-http-loopback, and every --allowed-host must be loopback, and so must every --allowed-notify-host".to_owned(),
        ));
    }
    // With shortened durations no PostHog but one on this machine may be reached, also not by default.
    let hosts = match listed.as_slice() {
        [] if fast => Vec::new(),
        [] => DEFAULT_HOSTS.map(str::to_owned).to_vec(),
        listed => listed.to_vec(),
    };
    // A chart sets a variable that has no value to nothing; and two watches of one namespace would be two controllers.
    let mut namespaces: Vec<String> = args
        .namespaces
        .iter()
        .filter(|name| !name.is_empty())
        .cloned()
        .collect();
    namespaces.sort();
    namespaces.dedup();
    Ok(Options {
        max_actions_per_hour: usize::try_from(args.max_actions_per_hour).unwrap_or(usize::MAX),
        quota_share: Share::percent(args.quota_share).faster_by(args.time_factor),
        most_tables: MostTables {
            of_project: usize::try_from(args.max_tables_per_project).unwrap_or(usize::MAX),
            in_all: usize::try_from(args.max_tables).unwrap_or(usize::MAX),
        },
        approvals: approval::Rules {
            allow_unguarded: args.allow_unguarded_approvals,
            require_verified: args.require_verified_approvals,
            people: people(&args.verified_service_accounts),
        },
        namespaces,
        election: election(args),
        hosts: HostList::new(&hosts, args.allow_http_loopback),
        notify_hosts: HostList::new(&notified, args.allow_http_loopback),
        notify_pace: Pace::divided_by(args.time_factor),
        authorities: args.network.authorities().map_err(CliError::Usage)?,
        timings: Timings::divided_by(args.time_factor),
    })
}

fn election(args: &RunArgs) -> Election {
    let given = |name: &String| !name.is_empty();
    let name = Some(&args.lease_name).filter(|name| given(name));
    Election {
        namespace: args.lease_namespace.clone().filter(given),
        name: name.map_or_else(|| LEASE_NAME.to_owned(), Clone::clone),
        times: Times::divided_by(args.time_factor),
    }
}

/// Those that are given, in the order in which the chart writes them into the admission policies. They stay for as long as the process.
fn people(accounts: &[String]) -> &'static [String] {
    let mut given: Vec<String> = accounts.iter().filter(|a| !a.is_empty()).cloned().collect();
    given.sort();
    given.dedup();
    given.leak()
}

fn service_account(text: &str) -> Result<String, String> {
    let is_account = text.strip_prefix(SERVICE_ACCOUNT).is_some_and(|rest| {
        let mut parts = rest.split(':');
        let fits = |part: Option<&str>| {
            part.is_some_and(|part| {
                let fits = |b: u8| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.')
                };
                !part.is_empty() && part.bytes().all(fits)
            })
        };
        fits(parts.next()) && fits(parts.next()) && parts.next().is_none()
    });
    // A chart sets a variable that has no value to nothing.
    if is_account || text.is_empty() {
        return Ok(text.to_owned());
    }
    Err("write the whole user name, system:serviceaccount:NAMESPACE:NAME".to_owned())
}

fn name(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.len() <= 63 && text.bytes().all(fits) && !text.starts_with('-') && !text.ends_with('-')
    {
        return Ok(text.to_owned());
    }
    Err("a name has at most 63 lower-case letters, digits and dashes, and begins and ends with a letter or digit".to_owned())
}

fn host(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    crate::api::host::Host::parse(&format!("https://{text}"))
        .map(|host| host.authority().to_owned())
        .map_err(|_| "write HOST or HOST:PORT without https:// and without a path, for example posthog.example.com".to_owned())
}

/// What is logged unless `RUST_LOG` says otherwise. What kube's client and the verifier of certificates say of a failed call, the operator
/// tells itself, with its object and what to do.
const LOGGED: &str = "info,kube=warn,kube_client::client::builder=off,rustls_platform_verifier=off";

/// Starts the log, also if `RUST_LOG` cannot be used: then with the default filter.
fn start_log(format: LogFormat) -> Result<(), CliError> {
    // A chart sets a variable that has no value to nothing.
    let wanted = std::env::var("RUST_LOG")
        .ok()
        .filter(|text| !text.is_empty());
    let (filter, usable) = match wanted.map(|text| (EnvFilter::try_new(&text), text)) {
        None => (EnvFilter::new(LOGGED), Ok(())),
        Some((Ok(filter), _)) => (filter, Ok(())),
        Some((Err(error), text)) => (
            EnvFilter::new(LOGGED),
            Err(CliError::Usage(format!(
                "RUST_LOG is no filter ({error}): {text:?}. Allowed is for example `info` or `info,warehouse_sync_operator=debug`"
            ))),
        ),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(move || Visible {
            to: std::io::stderr(),
            is_json: matches!(format, LogFormat::Json),
        });
    match format {
        LogFormat::Human => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    usable
}

/// Resolves at SIGTERM or Ctrl-C. A second one ends the process at once.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
}
