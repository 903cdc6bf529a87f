//! A leader that is frozen on the way to a call, for longer than its claim lasts. Another takes over; the first is thawed, with the
//! answers that it waited for at hand, and sends nothing.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use kube::Api;
use warehouse_sync_operator::api::{
    WarehouseSyncPolicy,
    names::APPROVE,
    proposal::{Phase, Proposal},
};

use crate::{
    support::{Env, Operator, wait_until},
    tls_and_proxy::{Gate, PrivateAuthority, Proxy, one_way},
};

/// How many pairs of operators there are at once.
const PAIRS: usize = 3;

/// How often the leader of each pair is frozen.
const ROUNDS: usize = 17;

/// When, by the intent of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frozen {
    /// While it reads what the call depends on.
    Before,
    /// The intent stands in status, which it does not yet know.
    During,
    /// While it connects to PostHog for the call.
    After,
}

const PLACES: [Frozen; 3] = [Frozen::Before, Frozen::During, Frozen::After];

/// Half of the tables are healthy: if most of a source failed alike, no resync would be proposed.
fn scenario() -> String {
    let table = "status: Failed, rows: 70, last_synced_ago: 40h, last_run_ago: 2h, frequency: 30day, \
        latest_error: 'Source column type changed: amount was int64 and is now string', then: {completes: {after: 1s, rows: 70}}";
    format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{{name: t, copies: {ROUNDS}, {table}}}, {{name: z, copies: {ROUNDS}, frequency: 30day, last_synced_ago: 1h}}]}}]"
    )
}

/// An operator, and the gates on its ways to PostHog and to the API server.
struct Side {
    operator: Operator,
    posthog: Arc<Gate>,
    api: Arc<Gate>,
    _proxy: Proxy,
    _kubeconfig: tempfile::TempDir,
}

impl Side {
    fn new(env: &Env, host: &str, ca_file: &str) -> Self {
        let (proxy, api) = (Proxy::open(), Arc::<Gate>::default());
        let (folder, kubeconfig) = through(&env.kubeconfig, api.clone());
        let args = ["--namespace", &env.namespace, "--allowed-host", host];
        let more = ["--time-factor", "60", "--ca-file", ca_file];
        let flags = ["--allow-unguarded-approvals", "--allow-http-loopback"];
        let args = [&args[..], &more, &flags].concat();
        let url = format!("http://{}", proxy.address());
        let variables = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", "127.0.0.1")];
        Self {
            operator: Operator::start_with(&kubeconfig, &args, &variables),
            posthog: proxy.gate.clone(),
            api,
            _proxy: proxy,
            _kubeconfig: folder,
        }
    }

    fn metric(&self, name: &str) -> u64 {
        let (_, metrics) = self.operator.get("/metrics");
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    fn wait_until_leads(&self, wanted: bool) {
        wait_until("leadership to change", || {
            let leads = self.metric("warehouse_sync_leader ") == 1;
            (leads == wanted)
                .then_some(())
                .ok_or_else(|| self.operator.log())
        });
    }

    /// How many calls that it began are over.
    fn calls(&self) -> u64 {
        self.metric("warehouse_sync_posthog_requests_total{call=\"resync\"")
    }
}

/// A kubeconfig whose way to the API server leads through the gate.
fn through(kubeconfig: &PathBuf, gate: Arc<Gate>) -> (tempfile::TempDir, PathBuf) {
    let text = fs::read_to_string(kubeconfig).unwrap();
    let (before, rest) = text.split_once("https://127.0.0.1:").unwrap();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
    let port = one_way(rest[..end].parse().unwrap(), gate);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    fs::write(
        &path,
        format!("{before}https://127.0.0.1:{port}{}", &rest[end..]),
    )
    .unwrap();
    (folder, path)
}

/// What the API server has of the proposals, asked past all gates.
struct Reported {
    runtime: tokio::runtime::Runtime,
    policies: Api<WarehouseSyncPolicy>,
}

impl Reported {
    fn new(env: &Env) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let client = runtime.block_on(env.plane.client()).unwrap();
        let policies = Api::namespaced(client, &env.namespace);
        Self { runtime, policies }
    }

    fn proposals(&self) -> Vec<Proposal> {
        let policy = self.runtime.block_on(self.policies.get("p")).unwrap();
        policy
            .status
            .map(|status| status.proposals)
            .unwrap_or_default()
    }

    fn phase(&self, id: &str) -> Phase {
        let proposals = self.proposals();
        proposals.iter().find(|row| row.id == id).unwrap().phase
    }
}

/// Freezes the leader at that place of the road of the call of proposal `id`.
fn freeze(leader: &Side, place: Frozen, reported: &Reported, id: &str) {
    let end = Instant::now() + Duration::from_mins(1);
    let mut last = Instant::now();
    loop {
        assert!(Instant::now() < end, "{place:?}: {}", leader.operator.log());
        let (waits, phase) = (leader.posthog.waiting() > 0, reported.phase(id));
        let is_there = match place {
            Frozen::Before => waits && phase == Phase::Approved,
            Frozen::During => phase == Phase::Executing,
            Frozen::After => waits && phase == Phase::Executing,
        };
        if is_there {
            return leader.operator.freeze();
        }
        if !waits {
            // It may write down something else, and the answer to that is let through.
            if place == Frozen::During && last.elapsed() > Duration::from_millis(100) {
                leader.api.open();
                std::thread::sleep(Duration::from_millis(5));
                leader.api.close();
                last = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        last = Instant::now();
        // It has no answer of PostHog, so its pending request to the API server is not that of the intent.
        leader.api.open();
        if place == Frozen::During && phase == Phase::Approved {
            leader.api.close();
        }
        leader.posthog.let_one_through();
    }
}

/// One round: how often the table was resynced by the end of it.
fn round(
    leader: &Side,
    other: &Side,
    place: Frozen,
    reported: &Reported,
    env: &Env,
    proposal: &Proposal,
) {
    let path = format!("/{}/resync/", proposal.target.schema_id);
    let (id, calls) = (&proposal.id, leader.calls());
    leader.wait_until_leads(true);
    leader.posthog.close();
    env.kubectl(&["annotate", "wsp", "p", &format!("{APPROVE}{id}=ann")]);
    freeze(leader, place, reported, id);
    other.wait_until_leads(true);
    // An intent whose outcome is unknown must not be repeated by any replica.
    let sent = usize::from(place == Frozen::Before);
    wait_until("the call of the other", || {
        let count = env.count("POST", &path);
        (count == sent)
            .then_some(())
            .ok_or_else(|| other.operator.log())
    });
    leader.api.open();
    leader.posthog.open();
    leader.operator.thaw();
    leader.wait_until_leads(false);
    if place == Frozen::After {
        wait_until("the end of the call", || {
            (leader.calls() > calls)
                .then_some(())
                .ok_or_else(|| leader.operator.log())
        });
    }
    assert_eq!(
        env.count("POST", &path),
        sent,
        "{place:?}: {}",
        leader.operator.log()
    );
}

fn pair(number: usize) {
    let (env, authority) = (Env::new(&scenario()), PrivateAuthority::new("ours"));
    let port = authority.in_front_of(env.posthog.port(), "localhost");
    let (host, ca_file) = (format!("localhost:{port}"), authority.file());
    let ca_file = ca_file.display().to_string();
    let policy = env.policy(
        "p",
        "mode: Enforce, remediation: {limits: {maxActionsPerHour: 60}}",
    );
    let policy = policy.replace(&env.posthog.url(), &format!("https://{host}"));
    // Shorter limits are only for a PostHog over http on this machine.
    let policy = policy.replace("2s, noProgressFor: 2s, loadingSilentFor: 4s", "6h");
    env.apply(&policy).unwrap();
    let mut leader = Side::new(&env, &host, &ca_file);
    leader.wait_until_leads(true);
    let mut other = Side::new(&env, &host, &ca_file);
    let reported = Reported::new(&env);
    let proposals = wait_until("the proposals", || {
        let proposals = reported.proposals();
        (proposals.len() == ROUNDS)
            .then_some(proposals)
            .ok_or_else(|| leader.operator.log())
    });
    other.operator.wait_for_log("standby: ");
    for (proposal, turn) in proposals.iter().zip(number..) {
        round(
            &leader,
            &other,
            PLACES[turn % PLACES.len()],
            &reported,
            &env,
            proposal,
        );
        std::mem::swap(&mut leader, &mut other);
    }
    // The replica that knows that a call was not sent may send it once it leads again.
    for proposal in &proposals {
        let path = format!("/{}/resync/", proposal.target.schema_id);
        assert!(env.count("POST", &path) <= 1, "{path}");
    }
}

#[test]
fn a_frozen_leader_sends_nothing_once_it_is_thawed() {
    std::thread::scope(|scope| {
        for number in 0..PAIRS {
            scope.spawn(move || pair(number));
        }
    });
}
