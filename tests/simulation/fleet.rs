//! Many policies in one process, each with its object, and a clock that is moved between reconciles.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use posthog_simulator::{Clock, Scenario, Simulator, Watchdog};
use secrecy::SecretString;
use warehouse_sync_operator::{
    api::{
        Timings, WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        policy::{CredentialUse, SecretKeyRef},
        validated::{PolicyRef, Project},
    },
    controller::{Reconciler, as_other_policy::as_other_policy},
    decide::approval,
    execute::Ledger,
    observe::{ApprovalGuard, Observer, OtherPolicy},
    posthog::{ApiKey, client, guard::HostList, quota::Share},
    report::{
        DecisionLog, Kubernetes, KubernetesError, Metrics,
        events::Notice,
        kubernetes::SecretError,
        notifications::{Outbox, channel::SecretValue},
    },
};

use crate::{
    cluster::Cluster,
    faults::Faults,
    transport::SimTransport,
    world::{far, policy, start},
};

pub struct Fleet {
    pub simulator: Arc<Mutex<Simulator>>,
    policies: Policies,
    reconciler: Reconciler<SimTransport, Policies>,
    due: BTreeMap<PolicyRef, Timestamp>,
    _watchdog: Watchdog,
}

/// The objects, and what each policy knows of the others.
#[derive(Clone)]
struct Policies {
    all: Arc<BTreeMap<PolicyRef, Cluster>>,
    /// Whether the watches lag so far behind that no policy knows what the others did.
    lag: bool,
}

impl Fleet {
    /// This many policies with this spec, the first the oldest; `project` says of which project each is.
    pub fn new(scenario: &str, spec: &str, count: usize, project: impl Fn(usize) -> i64) -> Self {
        Self::with(scenario, &vec![spec; count], project, false)
    }

    /// The same with a spec each. `lag`: what a policy did is not seen by the others.
    pub fn with(scenario: &str, specs: &[&str], project: impl Fn(usize) -> i64, lag: bool) -> Self {
        let scenario = Scenario::from_yaml(scenario).unwrap();
        let simulator = Simulator::from_scenario(&scenario, Clock::Manual(start())).unwrap();
        let simulator = Arc::new(Mutex::new(simulator));
        let of = |(number, spec): (usize, &&str)| {
            let mut policy = policy(spec);
            let at = at(number);
            policy.metadata.name = Some(at.name.to_string());
            policy.metadata.uid = Some(format!("u{number:03}"));
            policy.spec.posthog.project_id = project(number);
            (at, Cluster::new(policy, Faults::default()))
        };
        let all: BTreeMap<_, _> = specs.iter().enumerate().map(of).collect();
        let due = all.keys().map(|at| (at.clone(), start())).collect();
        let policies = Policies {
            all: Arc::new(all),
            lag,
        };
        let reconciler = reconciler(&simulator, &policies);
        Self {
            _watchdog: Watchdog(simulator.clone()),
            simulator,
            policies,
            reconciler,
            due,
        }
    }

    /// `--max-actions-per-hour` of the operator.
    pub fn set_cap(&mut self, calls: usize) {
        self.reconciler.max_actions_per_hour = calls;
    }

    /// Lets every policy reconcile as often as it wants, for `time`.
    pub fn run_for(&mut self, time: SignedDuration) {
        let end = self.simulator.lock().unwrap().now() + time;
        loop {
            let (at, due) = self.due.iter().min_by_key(|(_, due)| **due).unwrap();
            let (at, due) = (at.clone(), *due);
            if due >= end {
                self.simulator.lock().unwrap().set_now(end);
                return;
            }
            self.simulator.lock().unwrap().set_now(due);
            let reconciled = self.reconciler.reconcile(&at).now_or_never();
            let done = reconciled.expect("nothing waits here").unwrap();
            // Never at once again: a reconcile that takes no time would be repeated forever.
            let wait = done.again_in.unwrap().max(SignedDuration::from_secs(1));
            self.due.insert(at, due + wait);
        }
    }

    pub fn status(&self, number: usize) -> WarehouseSyncPolicyStatus {
        self.policies.all[&at(number)].status()
    }
}

fn at(number: usize) -> PolicyRef {
    PolicyRef {
        namespace: "n".into(),
        name: format!("p{number:03}").into(),
    }
}

fn reconciler(
    simulator: &Arc<Mutex<Simulator>>,
    policies: &Policies,
) -> Reconciler<SimTransport, Policies> {
    let transport = SimTransport {
        simulator: simulator.clone(),
        faults: Faults::default(),
    };
    let time = simulator.clone();
    let clock: client::Clock = Arc::new(move || time.lock().unwrap().now());
    Reconciler {
        max_actions_per_hour: 60,
        approvals: approval::Rules::default(),
        observer: Observer::new(Arc::new(transport), clock.clone()).sharing(Share::percent(10)),
        kubernetes: Arc::new(policies.clone()),
        hosts: HostList::new(&[], true),
        notify_hosts: HostList::default(),
        outbox: Outbox::default(),
        timings: Timings::PRODUCTION,
        ledger: Ledger::default(),
        leads: Arc::new(|_| Some(far())),
        metrics: Metrics::default(),
        decision_log: DecisionLog::default(),
        seed: Arc::new(|| Some([7; 32])),
        clock,
    }
}

impl Kubernetes for Policies {
    async fn policy(&self, at: &PolicyRef) -> Result<Option<WarehouseSyncPolicy>, KubernetesError> {
        Ok(self.all.get(at).map(Cluster::object))
    }

    async fn approval_guard(&self) -> Result<ApprovalGuard, KubernetesError> {
        Ok(crate::cluster::guard(1))
    }

    async fn other_writer(&self, _: &str) -> Result<Option<String>, KubernetesError> {
        Ok(None)
    }

    async fn apply_status(
        &self,
        at: &PolicyRef,
        version: &str,
        status: &WarehouseSyncPolicyStatus,
    ) -> Result<String, KubernetesError> {
        self.all[at].apply_status(at, version, status).await
    }

    async fn api_key(&self, _: &str, _: &SecretKeyRef) -> Result<ApiKey, SecretError> {
        Ok(ApiKey::new(b"phx_demo").unwrap())
    }

    async fn source_secret(
        &self,
        _: &str,
        _: &CredentialUse,
        _: i64,
    ) -> Result<SecretString, SecretError> {
        panic!("no policy here has credentials")
    }

    async fn notification_secret(
        &self,
        _: &str,
        _: &SecretKeyRef,
    ) -> Result<SecretValue, SecretError> {
        panic!("no policy here tells anybody")
    }

    fn other_policies(&self, at: &PolicyRef, project: &Project) -> Vec<Arc<OtherPolicy>> {
        let objects = self.all.values().map(Cluster::object).map(|mut object| {
            if self.lag {
                object.status = None;
            }
            object
        });
        objects
            .filter_map(|object| as_other_policy(&object))
            .filter(|(theirs, other_policy)| theirs == project && other_policy.at != *at)
            .map(|(_, other_policy)| other_policy)
            .collect()
    }

    async fn publish(&self, _: &WarehouseSyncPolicy, _: Notice) {}
}
