//! Keeps the Lease, and publishes to the rest of the process whether it leads.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};
use tokio::sync::{oneshot, watch as signal};

use super::{
    ProcessHealth,
    lease::{Candidate, Claim, LeaseWrite, Times, holder},
    timed,
};
use crate::{posthog::redact, report::Metrics};

/// Longest name of a holder that is shown, in characters: that of a pod and what is random.
const HOLDER_CAP: usize = 280;

/// Where the Lease is, and how long it lasts.
#[derive(Debug, Clone)]
pub struct Election {
    /// Its namespace; none means that of the pod, or of the kubeconfig.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Durations.
    pub times: Times,
}

/// Knows whether this process leads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leadership {
    claim: signal::Receiver<Option<Claim>>,
    times: Times,
}

impl Leadership {
    /// Until when this process leads; none if it does not, or not for as long as a call with this deadline may take.
    #[must_use]
    pub fn leads(&self, deadline: Duration) -> Option<Instant> {
        let share = self.times.share(deadline);
        // The clock is read while the claim is borrowed: see `Campaign::publish`.
        let claim = (*self.claim.borrow()).filter(|claim| claim.covers(Instant::now(), share));
        claim.map(Claim::until)
    }

    /// Resolves when leadership was won or lost; false once the campaign has ended.
    pub async fn changed(&mut self) -> bool {
        self.claim.changed().await.is_ok()
    }
}

/// Keeps the Lease while the process lives.
pub struct Campaign {
    candidate: Candidate,
    times: Times,
    api: Api<Lease>,
    namespace: String,
    name: String,
    claim: signal::Sender<Option<Claim>>,
    health: ProcessHealth,
    metrics: Metrics,
    /// What was last said about it.
    reported: String,
    /// True once a write was tried: the Lease may be ours.
    has_written: bool,
}

impl Campaign {
    /// A campaign for the Lease of `election`; `namespace` is where it is unless that says otherwise.
    #[must_use]
    pub fn new(
        client: &Client,
        namespace: &str,
        election: &Election,
        health: ProcessHealth,
        metrics: Metrics,
    ) -> (Self, Leadership) {
        let Election {
            namespace: wanted,
            name,
            times,
        } = election.clone();
        let namespace = wanted.unwrap_or_else(|| namespace.to_owned());
        let (claim, claimed) = signal::channel(None);
        let leadership = Leadership {
            claim: claimed,
            times,
        };
        let campaign = Self {
            candidate: Candidate::new(identity(), times),
            times,
            api: Api::namespaced(client.clone(), &namespace),
            namespace,
            name,
            claim,
            health,
            metrics,
            reported: String::new(),
            has_written: false,
        };
        (campaign, leadership)
    }

    /// Runs until `finished` says that nothing is running any more, and then releases the Lease. If its sender is dropped,
    /// something may still be running: the Lease expires by itself.
    ///
    /// Once `stopped`, a claim is kept but none is won.
    pub async fn run(
        mut self,
        stopped: signal::Receiver<bool>,
        mut finished: oneshot::Receiver<()>,
    ) {
        loop {
            if !*stopped.borrow() || self.claim.borrow().is_some() {
                self.step().await;
            }
            tokio::select! {
                () = tokio::time::sleep(self.candidate.pause(Instant::now())) => {}
                ended = &mut finished => {
                    if ended.is_ok() {
                        self.release().await;
                    }
                    return;
                }
            }
        }
    }

    /// One read of the Lease, and one write if it is due.
    async fn step(&mut self) {
        let done = self.read_and_write().await;
        self.publish();
        self.report(done);
    }

    /// Who holds the Lease, as far as this step knows.
    async fn read_and_write(&mut self) -> Result<Option<String>, LeaseError> {
        let found = self
            .get()
            .await
            .map_err(|error| LeaseError { verb: "get", error })?;
        let write = self
            .candidate
            .saw(found.as_ref(), Instant::now(), Timestamp::now());
        // What was lost must be known before anything else is waited for.
        self.publish();
        let Some(write) = write else {
            return Ok(found.as_ref().and_then(holder).map(str::to_owned));
        };
        let (verb, started) = (verb(&write), Instant::now());
        match self.write(write).await {
            Ok(()) => {
                self.candidate.wrote(started);
                Ok(Some(self.candidate.identity().to_owned()))
            }
            // Another was faster, or deleted it: the next read will show.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 404 && verb == "update" => Ok(None),
            Err(error) => Err(LeaseError { verb, error }),
        }
    }

    async fn get(&self) -> Result<Option<Lease>, kube::Error> {
        let get = self.api.get_opt(&self.name);
        timed::kubernetes(&self.metrics, "get_lease", &self.name, get).await
    }

    async fn write(&mut self, write: LeaseWrite) -> Result<(), kube::Error> {
        self.has_written = true;
        let (name, params) = (&self.name, PostParams::default());
        match write {
            LeaseWrite::Create(mut lease) => {
                lease.metadata.name = Some(name.clone());
                let create = self.api.create(&params, &lease);
                timed::kubernetes(&self.metrics, "create_lease", name, create).await
            }
            LeaseWrite::Replace(lease) => {
                let replace = self.api.replace(name, &params, &lease);
                timed::kubernetes(&self.metrics, "update_lease", name, replace).await
            }
        }
        .map(|_| ())
    }

    /// Publishes the claim to the process, and wakes waiting tasks only if leadership was won or lost.
    ///
    /// The clock is read under the lock of the claim, as in [`Leadership::leads`]: a task that found a claim expired did so before
    /// this renews it, and is woken.
    fn publish(&mut self) {
        let renewed = self.candidate.claim();
        let (mut led, mut leads) = (false, false);
        self.claim.send_if_modified(|claim| {
            let now = Instant::now();
            let valid = |claim: &Claim| claim.covers(now, Duration::ZERO);
            let before = std::mem::replace(claim, renewed.filter(valid));
            (led, leads) = (before.is_some(), claim.is_some());
            let without_a_gap = before.as_ref().is_some_and(valid);
            if leads { !without_a_gap } else { led }
        });
        self.metrics.leader.set(i64::from(leads));
        if led && !leads {
            tracing::warn!("no longer the leader: no reconcile and no call is started");
            // If it leads again, that is news.
            self.reported.clear();
        }
    }

    /// Reports the state in log and readiness, once.
    fn report(&mut self, done: Result<Option<String>, LeaseError>) {
        let leads = self.claim.borrow().is_some();
        let done = done.map_err(|error| error.message(&self.namespace, &self.name));
        let place = format!("Lease {}/{}", self.namespace, self.name);
        // A leader whose claim still holds can do its work.
        let reason = done.as_ref().err().filter(|_| !leads);
        self.health.blocked(reason.cloned());
        let is_problem = done.is_err();
        let sentence = match done {
            Ok(Some(_)) if leads => {
                format!("leader: holds {place} as {}", self.candidate.identity())
            }
            Ok(Some(holder)) => {
                let holder = redact::one_line(&holder, HOLDER_CAP);
                format!("standby: {holder} holds {place}")
            }
            Ok(None) => return,
            Err(problem) => problem,
        };
        if sentence == self.reported {
            return;
        }
        if is_problem {
            tracing::warn!("{sentence}; retrying");
        } else {
            tracing::info!("{sentence}");
        }
        self.reported = sentence;
    }

    /// Gives the claim up first of all, and then says so in the Lease.
    async fn release(mut self) {
        self.candidate.release(None, Timestamp::now());
        self.claim.send_replace(None);
        self.metrics.leader.set(0);
        if !self.has_written {
            return;
        }
        let place = format!("Lease {}/{}", self.namespace, self.name);
        match self.try_release().await {
            Ok(true) => tracing::info!("released {place}"),
            Ok(false) => {}
            Err(error) => tracing::warn!(
                "{place} could not be released and expires in {} s: {}",
                self.times.lease.as_secs(),
                timed::reason(&error)
            ),
        }
    }

    async fn try_release(&mut self) -> Result<bool, kube::Error> {
        let found = self.get().await?;
        let Some(lease) = self.candidate.release(found.as_ref(), Timestamp::now()) else {
            return Ok(false);
        };
        self.write(LeaseWrite::Replace(lease)).await.map(|()| true)
    }
}

/// A request for the Lease that failed.
struct LeaseError {
    /// What was tried: `get`, `create` or `update`.
    verb: &'static str,
    error: kube::Error,
}

impl LeaseError {
    /// What is wrong with the Lease `name` in `namespace`, and what to do about it.
    fn message(&self, namespace: &str, name: &str) -> String {
        let verb = self.verb;
        let elsewhere = "or name another namespace with --lease-namespace";
        match &self.error {
            kube::Error::Api(status)
                if status.code == 403 && status.message.contains("being terminated") =>
            {
                format!(
                    "namespace {namespace} of the Lease {name} is being deleted: recreate it, {elsewhere}"
                )
            }
            kube::Error::Api(status) if status.code == 403 => format!(
                "the operator may not {verb} the Lease {namespace}/{name} (403): give it get, create and update on leases.coordination.k8s.io in namespace {namespace}, {elsewhere}"
            ),
            kube::Error::Api(status) if status.code == 404 => {
                format!(
                    "there is no namespace {namespace} for the Lease {name}: create it, {elsewhere}"
                )
            }
            other => format!(
                "cannot {verb} the Lease {namespace}/{name}: {}",
                timed::reason(other)
            ),
        }
    }
}

const fn verb(write: &LeaseWrite) -> &'static str {
    match write {
        LeaseWrite::Create(_) => "create",
        LeaseWrite::Replace(_) => "update",
    }
}

/// The pod and something random: a container that was started again must not take its predecessor's claim for its own.
fn identity() -> String {
    let host = std::env::var("HOSTNAME")
        .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"))
        .unwrap_or_default();
    let host = match host.trim() {
        "" => "operator",
        host => host,
    };
    let random = RandomState::new().build_hasher().finish();
    format!("{host}_{random:016x}")
}
