//! A `PostHog` project, read once by a command. Read-only by construction: it has a client, which only reads, and
//! nothing of `execute`.

use std::{path::Path, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{
    CliError,
    cannot_read::why,
    network::NetworkArgs,
    progress::Progress,
    runs::{self, SourceRuns},
    waiting::WaitingTransport,
};
use crate::{
    api::{Timings, ValidatedPolicy, WarehouseSyncPolicy, host::Host, status::State},
    controller::survey::{Budget, Survey},
    diagnose::{Known, canary},
    observe::{Observer, OtherProjects, Snapshot},
    posthog::{
        ApiKey, client::Clock, guard::HostList, http::HttpTransport, quota::Purpose, redact,
    },
};

/// The variable that holds the API key.
const KEY_VARIABLE: &str = "POSTHOG_API_KEY";
/// Prefix of a personal API key of `PostHog`.
const KEY_PREFIX: &str = "phx_";

/// How many requests one command may send after the list: well below the 480 requests per minute of a key.
pub(super) const BUDGET: Budget = Budget {
    run_probes: 200,
    probes: 60,
};

/// Which project is read, and how.
pub(super) struct Project<'a> {
    pub host: &'a str,
    pub id: i64,
    pub api_key_file: Option<&'a Path>,
    pub network: &'a NetworkArgs,
    /// The one table that is probed; if none is named, every table that needs it.
    pub table: Option<&'a str>,
    /// Also read the runs of this period.
    pub runs: Option<SignedDuration>,
}

/// What a read of a project needs.
pub(super) struct Reader<'a> {
    /// What is selected, and how it is judged.
    pub policy: ValidatedPolicy,
    pub key: ApiKey,
    /// What is known from earlier polls.
    pub state: State,
    /// Where the key may be sent.
    pub hosts: HostList,
    pub network: &'a NetworkArgs,
    /// Probe only the one table that the policy selects.
    pub one_table: bool,
    /// Also read the runs of this period.
    pub runs: Option<SignedDuration>,
}

/// What was read of a project.
pub(super) struct Read {
    /// A policy with all defaults that selects the requested tables.
    pub policy: ValidatedPolicy,
    pub snapshot: Snapshot,
    pub state: State,
    pub at: Timestamp,
    /// `PostHog` stopped answering before everything was read.
    pub cut_off: bool,
    /// The runs of each selected source, if they were requested.
    pub runs: Vec<SourceRuns>,
}

impl Read {
    /// The input of the diagnosis.
    pub(super) const fn known(&self) -> Known<'_> {
        Known {
            policy: &self.policy,
            snapshot: &self.snapshot,
            state: &self.state,
            proposals: &[],
            timings: &Timings::PRODUCTION,
            now: self.at,
        }
    }
}

impl Project<'_> {
    /// Reads the project. Ctrl-C interrupts it.
    pub(super) fn read(&self) -> Result<Read, CliError> {
        let policy = self.policy()?;
        let key = self.key()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let hosts = HostList::new(&[policy.project.host.authority().to_owned()], true);
        let reader = Reader {
            policy,
            key,
            state: State::default(),
            hosts,
            network: self.network,
            one_table: self.table.is_some(),
            runs: self.runs,
        };
        let read = runtime.block_on(until_interrupted(reader.read()));
        // Calls that still wait for a connection must not delay the exit.
        runtime.shutdown_background();
        read
    }

    /// A policy with all defaults that selects the whole project, or the one table.
    fn policy(&self) -> Result<ValidatedPolicy, CliError> {
        // The text before an @ may be a password.
        let host = Host::parse(self.host).map_err(|error| {
            cannot(format!("--host: {}", redact::text(&error.to_string(), 300)))
        })?;
        let object: WarehouseSyncPolicy = serde_json::from_value(serde_json::json!({
        "apiVersion": "warehousesync.dev/v1alpha1",
        "kind": "WarehouseSyncPolicy",
        "metadata": {"name": "diagnose", "namespace": "default", "uid": "diagnose", "creationTimestamp": "1970-01-01T00:00:00Z"},
        "spec": {
            "posthog": {"host": host.as_str(), "projectId": self.id, "apiKeySecretRef": {"name": "none", "key": "none"}},
            // The user wants to see failures immediately.
            "health": {"failing": {"for": "0s"}},
            "selector": {"schemas": {"include": self.table.into_iter().collect::<Vec<_>>()}},
        },
    }))
    .map_err(cannot)?;
        ValidatedPolicy::new(&object).map_err(cannot)
    }

    fn key(&self) -> Result<ApiKey, CliError> {
        let (bytes, from) = match self.api_key_file {
            Some(path) => {
                let shown = path.display().to_string();
                if shown.starts_with(KEY_PREFIX) {
                    return Err(cannot(format!(
                        "--api-key-file expects the path of a file, but the value looks like the key itself: set {KEY_VARIABLE} to it instead"
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
                        "no API key: set {KEY_VARIABLE} to a personal API key of PostHog with the scope external_data_source:read, or pass a file with --api-key-file"
                    )));
                }
            },
        };
        ApiKey::new(&bytes)
            .map_err(|error| cannot(format!("the API key from {from} is invalid: {error}")))
    }
}

impl Reader<'_> {
    /// Reads the project.
    pub(super) async fn read(self) -> Result<Read, CliError> {
        let Self {
            policy,
            key,
            state,
            hosts,
            network,
            one_table,
            runs,
        } = self;
        let progress = Progress::new();
        let authorities = network.authorities().map_err(cannot)?;
        let clock: Clock = Arc::new(Timestamp::now);
        let http = HttpTransport::new(hosts, &authorities, clock.clone()).map_err(cannot)?;
        let transport = WaitingTransport::new(http, progress);
        let wait_budget = transport.wait_budget();
        let observer = Observer::new(Arc::new(transport), clock.clone());
        let view = observer.project(&policy.at, &policy.project, key);
        progress.show("reading the list of sources");
        let polled = view.poll(SignedDuration::ZERO, Purpose::Poll).await;
        progress.clear();
        let (host, id) = (policy.project.host.as_str(), policy.project.id);
        let sources = polled
            .listed
            .map_err(|error| cannot(why(&error, host, id)))?;
        let mut snapshot = Survey {
            policy: &policy,
            view: &view,
            state: &state,
            proposals: &[],
            incidents: &[],
            timings: &Timings::PRODUCTION,
            budget: BUDGET,
            every_run: true,
            progress: &|done, all| progress.show(&format!("probing: {done} of {all}")),
        }
        .make(sources, Vec::new(), OtherProjects::default())
        .await;
        progress.clear();
        if one_table && let Some(other) = canary::newest(&snapshot) {
            view.read_canary(&other.source_id, &other.schema_id, &other.name)
                .await;
            snapshot.canaries = view.canaries(&snapshot.sources);
        }
        let mut of_sources = Vec::new();
        if let Some(period) = runs {
            let since = clock().checked_sub(period).map_err(cannot)?;
            let selected = snapshot.selected_sources();
            of_sources = runs::of_sources(&view.client, selected, since, progress).await;
            progress.clear();
        }
        Ok(Read {
            policy,
            snapshot,
            state,
            at: clock(),
            cut_off: wait_budget.has_ended(),
            runs: of_sources,
        })
    }
}

/// After Ctrl-C the progress line is cleared.
async fn until_interrupted<A>(
    read: impl Future<Output = Result<A, CliError>>,
) -> Result<A, CliError> {
    tokio::select! {
        // In this order, so that Ctrl-C is handled before anything is sent.
        biased;
        Ok(()) = tokio::signal::ctrl_c() => {
            Progress::new().clear();
            Err(CliError::Interrupted)
        }
        result = read => result,
    }
}

fn cannot(what: impl std::fmt::Display) -> CliError {
    CliError::CannotRead(what.to_string())
}
