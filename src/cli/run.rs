//! `run`: the operator itself.

use std::{io::IsTerminal, net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use super::{CliError, network::NetworkArgs, panics};
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

/// Default name of the Lease.
const LEASE_NAME: &str = "warehouse-sync-operator";

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Namespace whose policies are reconciled; repeat the flag, or separate with commas. Default: all namespaces
    #[arg(
        long = "namespace",
        value_name = "NAME",
        env = "WAREHOUSE_SYNC_NAMESPACES",
        value_delimiter = ',',
        value_parser = name
    )]
    namespaces: Vec<String>,

    /// Host (or HOST:PORT) of a PostHog instance to which API keys may be sent; repeat the flag, or separate with
    /// commas. Default: us.posthog.com and eu.posthog.com
    #[arg(long = "allowed-host", value_name = "HOST", env = "WAREHOUSE_SYNC_ALLOWED_HOSTS", value_delimiter = ',', value_parser = host)]
    allowed_hosts: Vec<String>,

    /// Host (or HOST:PORT) to which notifications (spec.notifications) may be sent, for example hooks.slack.com; repeat
    /// the flag, or separate with commas. Default: none
    #[arg(long = "allowed-notify-host", value_name = "HOST", env = "WAREHOUSE_SYNC_ALLOWED_NOTIFY_HOSTS", value_delimiter = ',', value_parser = host)]
    allowed_notify_hosts: Vec<String>,

    /// Also allow http://127.0.0.1:PORT, for PostHog, a simulator or a receiver of notifications on this machine
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

    /// Namespace of the Lease by which replicas agree on a leader. Default: that of the pod, or of the kubeconfig
    #[arg(long, value_name = "NAME", env = "WAREHOUSE_SYNC_LEASE_NAMESPACE", value_parser = name)]
    lease_namespace: Option<String>,

    /// Name of that Lease. Operators in one namespace that reconcile different policies need different names
    #[arg(
        long,
        value_name = "NAME",
        env = "WAREHOUSE_SYNC_LEASE_NAME",
        default_value = LEASE_NAME,
        value_parser = name
    )]
    lease_name: String,

    /// Calls that all policies of one PostHog project may send together in an hour; a policy's maxActionsPerHour can
    /// only lower it
    #[arg(long, value_name = "N", env = "WAREHOUSE_SYNC_MAX_ACTIONS_PER_HOUR", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    max_actions_per_hour: u32,

    /// Share of each API key's rate limits that the operator may use, in percent; the rest is for other clients with
    /// the same key
    #[arg(long, value_name = "PERCENT", env = "WAREHOUSE_SYNC_QUOTA_SHARE", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    quota_share: u32,

    /// Most tables of one PostHog project; a project with more is not read, and its policies report that
    #[arg(long, value_name = "N", env = "WAREHOUSE_SYNC_MAX_TABLES_PER_PROJECT", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    max_tables_per_project: u32,

    /// Most tables of all projects together; a project that would exceed this is not read, and its policies report that
    #[arg(long, value_name = "N", env = "WAREHOUSE_SYNC_MAX_TABLES", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    max_tables: u32,

    /// Accept approvals even if the admission policies are not in effect: then anyone who may edit a policy can approve
    #[arg(long, env = "WAREHOUSE_SYNC_ALLOW_UNGUARDED_APPROVALS")]
    allow_unguarded_approvals: bool,

    /// Accept only approvals whose name the API server has verified, not approvals from git on behalf of someone
    #[arg(long, env = "WAREHOUSE_SYNC_REQUIRE_VERIFIED_APPROVALS")]
    require_verified_approvals: bool,

    /// User name of a ServiceAccount (system:serviceaccount:NAMESPACE:NAME) through which people act, so that its
    /// approvals are treated as a person's; repeat the flag, or separate with commas. The admission policies must name
    /// the same ones. Default: none
    #[arg(long = "verified-service-accounts", value_name = "USER", env = "WAREHOUSE_SYNC_VERIFIED_SERVICE_ACCOUNTS", value_delimiter = ',', value_parser = service_account)]
    verified_service_accounts: Vec<String>,

    /// Format of log lines. RUST_LOG sets what is logged
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

/// Runs the operator until it receives a signal to stop. In a JSON log, why it ended badly is an object too.
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
    log_network(&options.authorities);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(operate(options, args.bind));
    // Calls that still wait for a connection must not delay the exit.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Logs the proxy and the additional certificate authorities, which are hard to see from outside the pod.
fn log_network(authorities: &Authorities) {
    if let Some(proxy) = proxy::named() {
        tracing::info!("https uses the proxy {proxy}, except for the hosts in NO_PROXY");
    }
    if authorities.count() > 0 {
        tracing::info!(
            "trusting {} additional certificate authorities from --ca-file",
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
    // A chart sets a variable without a value to the empty string.
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
            "--time-factor is for demos and tests on this machine: it needs --allow-http-loopback, and every --allowed-host and --allowed-notify-host must be a loopback address".to_owned(),
        ));
    }
    // With shortened durations, only a PostHog on this machine may be reached: the default hosts are excluded.
    let hosts = match listed.as_slice() {
        [] if fast => Vec::new(),
        [] => DEFAULT_HOSTS.map(str::to_owned).to_vec(),
        listed => listed.to_vec(),
    };
    // A chart sets a variable without a value to the empty string. Two watches of one namespace would be two
    // controllers.
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

/// The given accounts, in the order in which the chart writes them into the admission policies. They are kept until the
/// process ends.
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
    // A chart sets a variable without a value to the empty string.
    if is_account || text.is_empty() {
        return Ok(text.to_owned());
    }
    Err("write the full user name, system:serviceaccount:NAMESPACE:NAME".to_owned())
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

/// The default of `RUST_LOG`. The operator itself logs failed calls and watches, with the object and what to do. kube would log the same
/// answers as Rust prints them, and objects that it cannot read with all that is in them.
const LOGGED: &str = "info,kube=off,rustls_platform_verifier=off";

/// Starts the log, also if `RUST_LOG` cannot be used: then with the default filter.
fn start_log(format: LogFormat) -> Result<(), CliError> {
    // A chart sets a variable without a value to the empty string.
    let wanted = std::env::var("RUST_LOG")
        .ok()
        .filter(|text| !text.is_empty());
    let (filter, usable) = match wanted.map(|text| (EnvFilter::try_new(&text), text)) {
        None => (EnvFilter::new(LOGGED), Ok(())),
        Some((Ok(filter), _)) => (filter, Ok(())),
        Some((Err(error), text)) => (
            EnvFilter::new(LOGGED),
            Err(CliError::Usage(format!(
                "RUST_LOG is not a filter ({error}): {text:?}. Write for example `info` or `info,warehouse_sync_operator=debug`"
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
    panics::are_logged();
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
