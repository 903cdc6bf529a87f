//! A policy, a PostHog, an operator that can die, and a clock that is moved by hand.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use posthog_simulator::{Arrival, Clock, EffectKind, Scenario, Simulator, Watchdog};
use warehouse_sync_operator::{
    api::{
        Timings, ValidatedPolicy, WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        conditions::{HEALTHY, Reason},
        proposal::ProposedCall,
        status::{Finding, Severity},
        validated::PolicyRef,
    },
    controller::Reconciler,
    decide::approval,
    execute::Ledger,
    observe::{Observer, other_projects::AllProjects},
    posthog::{ApiKey, client, guard::HostList, quota::Share},
    report::{DecisionLog, Metrics, notifications::Outbox},
};

use crate::{
    cluster::{Cluster, KEY},
    faults::{Faults, Succession},
    transport::SimTransport,
};

pub struct World {
    pub simulator: Arc<Mutex<Simulator>>,
    pub cluster: Cluster,
    pub faults: Faults,
    /// The one that leads.
    operator: Operator,
    /// Fails the test if a run that was alive was harmed; [`Simulator::take_violations`] declares it.
    _watchdog: Watchdog,
}

#[derive(Clone)]
struct Operator {
    reconciler: Arc<Reconciler<SimTransport, Cluster>>,
    leads: Arc<AtomicBool>,
}

/// A time that no test comes to: nothing here waits.
pub fn far() -> Instant {
    Instant::now() + Duration::from_hours(24)
}

pub fn start() -> Timestamp {
    "2026-10-01T00:00:00Z".parse().unwrap()
}

pub fn policy(spec: &str) -> WarehouseSyncPolicy {
    let spec = format!(
        "{{apiVersion: warehousesync.dev/v1alpha1, kind: WarehouseSyncPolicy, metadata: {{name: p, namespace: n, uid: u1, \
         generation: 1, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z'}}, \
         spec: {{posthog: {{host: 'http://127.0.0.1:1', projectId: 12345, apiKeySecretRef: {{name: s, key: k}}}}, {spec}}}}}"
    );
    serde_saphyr::from_str(&spec).unwrap()
}

impl World {
    pub fn new(scenario: &str, spec: &str, faults: Faults) -> Self {
        let scenario = Scenario::from_yaml(scenario).unwrap();
        let simulator = Arc::new(Mutex::new(
            Simulator::from_scenario(&scenario, Clock::Manual(start())).unwrap(),
        ));
        let cluster = Cluster::new(policy(spec), faults.clone());
        let operator = operator(&simulator, &cluster, &faults);
        Self {
            _watchdog: Watchdog(simulator.clone()),
            simulator,
            cluster,
            faults,
            operator,
        }
    }

    /// What the process that leads knows of the sources of all projects.
    pub fn everywhere(&self) -> &AllProjects {
        &self.operator.reconciler.observer.all_projects
    }

    /// What the process that leads would tell people.
    pub fn outbox(&self) -> Outbox {
        self.operator.reconciler.outbox.clone()
    }

    /// The process dies; another takes its place, which knows only what the status says.
    pub fn restart(&mut self) {
        self.operator = operator(&self.simulator, &self.cluster, &self.faults);
    }

    /// One reconcile by the process that leads; how long until the next.
    pub fn reconcile(&mut self) -> SignedDuration {
        let wait = self.reconcile_as_leader();
        if self.faults.take_ran_out() {
            self.restart();
        }
        wait
    }

    /// The same, without a successor if its claim runs out.
    pub fn reconcile_as_leader(&mut self) -> SignedDuration {
        let at = PolicyRef {
            namespace: "n".into(),
            name: "p".into(),
        };
        let operator = self.operator.clone();
        let mut pass = pin!(operator.reconciler.reconcile(&at));
        loop {
            match pass.as_mut().now_or_never() {
                Some(Ok(done)) => return done.again_in.expect("the policy is there"),
                Some(Err(_)) => return SignedDuration::from_secs(2),
                None if self.faults.take_crash() => {
                    // One that no longer leads is not started again.
                    if Arc::ptr_eq(&self.operator.leads, &operator.leads) {
                        self.restart();
                    }
                    return SignedDuration::from_secs(5);
                }
                None => {
                    let succession = self.faults.take_succession();
                    let Succession { known } = succession.expect("nothing else waits here");
                    operator.leads.store(!known, Ordering::Relaxed);
                    self.restart();
                    self.reconcile_as_leader();
                }
            }
        }
    }

    /// Reconciles for `time`, as often as the operator wants.
    pub fn run_for(&mut self, time: SignedDuration) {
        let end = self.now() + time;
        while self.now() < end {
            let wait = self.reconcile();
            self.check_invariants();
            self.simulator.lock().unwrap().advance(wait);
        }
    }

    /// Reconciles until this many cancels were sent to PostHog, and no longer.
    pub fn run_until_cancelled(&mut self, count: usize) {
        let end = self.now() + SignedDuration::from_hours(30);
        while self.count("cancel") < count {
            assert!(
                self.now() < end,
                "no cancel came: {:#?}",
                self.status().findings
            );
            self.run_for(SignedDuration::from_secs(1));
        }
    }

    /// How many error texts the process that leads has read since it last read the list.
    pub fn texts_read(&self) -> usize {
        let at = PolicyRef {
            namespace: "n".into(),
            name: "p".into(),
        };
        let policy = ValidatedPolicy::new(&self.cluster.object()).unwrap();
        let key = ApiKey::new(KEY.as_bytes()).unwrap();
        let observer = &self.operator.reconciler.observer;
        observer
            .project(&at, &policy.project, key)
            .readings()
            .made()
    }

    pub fn now(&self) -> Timestamp {
        self.simulator.lock().unwrap().now()
    }

    pub fn status(&self) -> WarehouseSyncPolicyStatus {
        self.cluster.status()
    }

    /// What the process that leads would be scraped for.
    pub fn metrics(&self) -> String {
        let metrics = &self.operator.reconciler.metrics;
        metrics.encode(self.now()).unwrap()
    }

    /// Requests to cancel or reload that reached PostHog.
    pub fn count(&self, call: &str) -> usize {
        self.simulator
            .lock()
            .unwrap()
            .count("POST", &format!("/{call}/"))
    }

    pub fn schema_id(&self, name: &str) -> String {
        self.simulator.lock().unwrap().schema_id(name).unwrap()
    }

    /// How often a person has approved that this is sent: once for each proposal that has started it.
    fn approved(&self, method: &str, path: &str) -> usize {
        let proposals = self.status().proposals;
        let started = proposals.iter().flat_map(|proposal| {
            let approved = proposal.approval.is_some();
            let execution = proposal.execution.iter().filter(move |_| approved);
            let steps = execution.flat_map(|execution| &execution.steps);
            steps.map(move |step| (step.call, proposal))
        });
        let of_this = started.filter(|(call, proposal)| {
            let (schema, source) = (&proposal.target.schema_id, &proposal.target.source_id);
            let (wanted, end) = match call {
                ProposedCall::PatchSchema => ("PATCH", format!("/{schema}/")),
                ProposedCall::PatchTables => ("PATCH", format!("/{source}/bulk_update_schemas/")),
                ProposedCall::Resync => ("POST", format!("/{schema}/resync/")),
                ProposedCall::DeleteData => ("DELETE", format!("/{schema}/delete_data/")),
                ProposedCall::Reload => ("POST", format!("/{schema}/reload/")),
                ProposedCall::Cancel => ("POST", format!("/{schema}/cancel/")),
                ProposedCall::RefreshSchemas => ("POST", format!("/{source}/refresh_schemas/")),
                ProposedCall::RepairCdc => ("POST", format!("/{source}/repair_cdc/")),
                ProposedCall::DeleteWebhook => ("POST", format!("/{source}/delete_webhook/")),
                ProposedCall::CreateWebhook => ("POST", format!("/{source}/create_webhook/")),
            };
            wanted == method && path.ends_with(&end)
        });
        of_this.count()
    }

    /// What holds in every plan, at every step.
    pub fn check_invariants(&self) {
        let simulator = self.simulator.lock().unwrap();
        let cancelled: Vec<_> = simulator
            .effects()
            .iter()
            .filter(|effect| {
                matches!(
                    effect.kind,
                    EffectKind::Cancelled | EffectKind::CancelIgnored
                )
            })
            .map(|effect| effect.job_id.clone().unwrap())
            .collect();
        for job in &cancelled {
            assert_eq!(
                cancelled.iter().filter(|other| *other == job).count(),
                1,
                "job {job} was cancelled twice"
            );
        }
        for request in simulator
            .requests()
            .iter()
            .filter(|request| request.method != "GET")
        {
            // The last three only read.
            let allowed = [
                "/cancel/",
                "/reload/",
                "/incremental_fields/",
                "/check_cdc_prerequisites_for_source/",
                "/query/",
            ];
            // What PostHog was seen to switch off, after a proved fix.
            let switches_on = request.method == "PATCH"
                && request.path.contains("/external_data_schemas/")
                && request.body == br#"{"should_sync":true}"#;
            let has_credentials = !self.cluster.object().spec.credentials.is_empty();
            let sent_input = request.method == "PATCH" && has_credentials
                || ["/create_webhook/", "/update_webhook_inputs/"]
                    .iter()
                    .any(|call| request.path.ends_with(call));
            let safe = sent_input
                || switches_on
                || allowed.iter().any(|call| request.path.ends_with(call));
            let (method, path) = (&request.method, &request.path);
            if !safe {
                let requests = simulator.requests().iter();
                let alike = requests.filter(|other| other.method == *method && other.path == *path);
                let approved = self.approved(method, path);
                assert!(
                    alike.count() <= approved,
                    "{method} {path} was sent more often than the {approved} times that it was approved"
                );
            }
        }
        drop(simulator);
        self.says_what_is_so();
        let size = serde_json::to_vec(&self.status()).unwrap().len();
        assert!(size <= 256 * 1024, "status of {size} bytes");
    }
}

impl World {
    /// Health and its numbers do not contradict each other.
    fn says_what_is_so(&self) {
        let status = self.status();
        let (Some(healthy), Some(summary)) = (status.condition(HEALTHY), &status.summary) else {
            return;
        };
        let counts = &summary.schemas;
        let on = counts.total - counts.disabled;
        let warned = |finding: &&Finding| finding.severity != Severity::Info;
        if healthy.reason == Reason::AllHealthy.as_str() {
            let healthy = counts.healthy + counts.running;
            assert_eq!(healthy, on, "{healthy:?} {summary:?}");
            assert_eq!(status.findings.iter().find(warned), None, "{healthy:?}");
        }
        if healthy.status == "True" {
            assert!(
                healthy.message.starts_with(&summary.healthy_of),
                "{healthy:?} {summary:?}"
            );
        }
    }

    /// I15: the tables of which no data has come for two intervals and a poll, and no Warning or Error says so.
    pub fn late_and_not_said(&self) -> Vec<Arrival> {
        let simulator = self.simulator.lock().unwrap();
        let (now, status) = (simulator.now(), self.status());
        let policy = ValidatedPolicy::new(&self.cluster.object()).unwrap();
        let late = simulator.arrivals().into_iter().filter(|table| {
            let waits = table.last.map(|at| now.duration_since(at));
            waits.is_some_and(|waits| waits > table.every * 2 + policy.interval)
        });
        late.filter(|table| !status.findings.iter().any(|finding| says(finding, table)))
            .collect()
    }
}

/// Whether a finding warns of this table.
fn says(finding: &Finding, table: &Arrival) -> bool {
    let Arrival {
        source_id,
        schema_id,
        name,
        ..
    } = table;
    let affected = finding.affected.as_ref();
    let affects = affected.is_some_and(|affected| {
        let cut_off = i64::try_from(affected.schemas.len()) != Ok(affected.count);
        cut_off || affected.schemas.iter().any(|one| one.ends_with(name))
    });
    finding.severity != Severity::Info
        && (finding.schema_id == *schema_id
            || affects
            || (finding.schema.is_empty() && finding.source_id == *source_id))
}

fn operator(simulator: &Arc<Mutex<Simulator>>, cluster: &Cluster, faults: &Faults) -> Operator {
    let transport = SimTransport {
        simulator: simulator.clone(),
        faults: faults.clone(),
    };
    let time = simulator.clone();
    let seeds = simulator.clone();
    let wrong = faults.clone();
    let clock: client::Clock =
        Arc::new(move || time.lock().unwrap().now() + wrong.clock_is_ahead_by());
    let leads = Arc::new(AtomicBool::new(true));
    let (reported, claim) = (leads.clone(), faults.clone());
    let reconciler = Reconciler {
        max_actions_per_hour: 60,
        approvals: approval::Rules::default(),
        observer: Observer::new(Arc::new(transport), clock.clone()).sharing(Share::percent(10)),
        kubernetes: Arc::new(cluster.clone()),
        hosts: HostList::new(&[], true),
        notify_hosts: HostList::new(&[], true),
        outbox: Outbox::default(),
        timings: Timings::PRODUCTION,
        ledger: Ledger::default(),
        leads: Arc::new(move |_| {
            let leads = reported.load(Ordering::Relaxed) && !claim.ran_out();
            leads.then(far)
        }),
        metrics: Metrics::default(),
        decision_log: DecisionLog::default(),
        // A different one in each reconcile, and the same in each run of a test.
        seed: Arc::new(move || {
            let nanos = seeds.lock().unwrap().now().as_nanosecond().to_le_bytes();
            let mut seed = [0; 32];
            seed[..16].copy_from_slice(&nanos);
            Some(seed)
        }),
        clock,
    };
    Operator {
        reconciler: Arc::new(reconciler),
        leads,
    }
}
