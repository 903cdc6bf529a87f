//! What a reconcile of 20,000 tables knows, and its pure part.

use std::{collections::HashSet, hint::black_box, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use warehouse_sync_operator::{
    api::{Timings, ValidatedPolicy, WarehouseSyncPolicy, WarehouseSyncPolicyStatus},
    decide::{Plan, Settings, approval, decide, proposal},
    diagnose::{Diagnosis, Known, diagnose, probing, suspects},
    observe::{
        ApprovalGuard, Changes, CredentialValues, Log, OtherProjects, Probes, RunProbe, Seen,
        Snapshot, Sources, WriteScope,
    },
    posthog::wire::{Page, Schema, SchemaStatus, Source},
    report::{compose, notifications::Channels},
};

use super::page;

const POLICY: &str = "
apiVersion: warehousesync.dev/v1alpha1
kind: WarehouseSyncPolicy
metadata: {name: all, namespace: data, uid: u1, generation: 1, creationTimestamp: '2026-01-01T00:00:00Z'}
spec:
  mode: Enforce
  posthog: {host: 'https://us.posthog.com', projectId: 1, apiKeySecretRef: {name: posthog, key: api-key}}
  selector: {schemas: {include: ['public.*'], exclude: ['*_tmp']}}
";

/// What a reconcile knows of a project on a working day.
pub struct World {
    policy: ValidatedPolicy,
    list: Arc<Vec<Source>>,
    pub snapshot: Snapshot,
    pub status: WarehouseSyncPolicyStatus,
    timings: Timings,
    now: Timestamp,
}

impl World {
    pub fn new() -> Self {
        let page: Page<Source> = serde_json::from_slice(&page::large()).unwrap();
        Self::of(&serde_saphyr::from_str(POLICY).unwrap(), page)
    }

    /// The first `sources` of them, with other names of tables, and a policy that has also these fields in its spec.
    pub fn with(spec: &Value, sources: usize, name: fn(usize) -> String) -> Self {
        let mut policy: Value = serde_saphyr::from_str(POLICY).unwrap();
        for (field, value) in spec.as_object().unwrap() {
            policy["spec"][field] = value.clone();
        }
        let mut page: Page<Source> = serde_json::from_slice(&page::large()).unwrap();
        page.results.truncate(sources);
        let tables = page
            .results
            .iter_mut()
            .flat_map(|source| &mut source.schemas);
        for (place, table) in tables.enumerate() {
            table.name = name(place).into();
        }
        Self::of(&serde_json::from_value(policy).unwrap(), page)
    }

    /// One source with this many tables. All of them were healthy at one poll, and changed in the same way at the next, two hours ago.
    pub fn of_one_source(tables: usize, change: fn(&mut Schema)) -> Self {
        let mut page: Page<Source> = serde_json::from_slice(&page::large()).unwrap();
        let mut sources = page.results.drain(..);
        let mut only = sources.next().unwrap();
        let is_well = |row: &&Schema| row.is_on() && row.status() == SchemaStatus::Completed;
        let well = only.schemas.iter().find(is_well).unwrap().clone();
        let ids = only
            .schemas
            .drain(..)
            .chain(sources.flat_map(|source| source.schemas));
        let row = |(place, row): (usize, Schema)| Schema {
            id: row.id,
            name: format!("public.orders_{place}").into(),
            ..well.clone()
        };
        only.schemas = ids.take(tables).enumerate().map(row).collect();
        let before = vec![only.clone()];
        only.schemas.iter_mut().for_each(change);
        page.results = vec![only];
        let mut world = Self::of(&serde_saphyr::from_str(POLICY).unwrap(), page);
        let (then, now) = (world.now - SignedDuration::from_mins(2), world.now);
        world
            .snapshot
            .changes
            .note(Some((&before, then)), &world.list, now);
        world.now += SignedDuration::from_hours(2);
        world
    }

    fn of(policy: &WarehouseSyncPolicy, page: Page<Source>) -> Self {
        let now: Timestamp = page::NOW.parse().unwrap();
        let rows = page.results.iter().flat_map(|source| &source.schemas);
        let runs =
            rows.filter_map(|row| Some((row.id.to_string(), Arc::new(run_probed(row, now)?))));
        let policy = ValidatedPolicy::new(policy).unwrap();
        let runs = runs.collect();
        let list = Arc::new(page.results);
        let snapshot = Snapshot {
            runs,
            sources: Sources::new(list.clone(), &policy.selector),
            changes: Changes::default(),
            probes: Probes::default(),
            canaries: Vec::new(),
            readings: Arc::default(),
            run_probed: HashSet::new(),
            write_scope: WriteScope::Granted,
            other_policies: Vec::new(),
            credential_values: CredentialValues::default(),
            other_projects: OtherProjects::default(),
            instance: warehouse_sync_operator::posthog::instance::Instance::default(),
            slowed: false,
            approval_guard: ApprovalGuard {
                broken: None,
                parts: Vec::new(),
            },
        };
        Self {
            policy,
            list,
            snapshot,
            status: WarehouseSyncPolicyStatus::default(),
            timings: Timings::PRODUCTION,
            now,
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            policy: &self.policy,
            snapshot: &self.snapshot,
            state: &self.status.state,
            proposals: &self.status.proposals,
            timings: &self.timings,
            now: self.now,
        }
    }

    /// From what is known to what should happen; also which tables the policy selects, as for each reconcile.
    pub fn plan(&self) -> (Diagnosis, Plan) {
        black_box(Sources::new(self.list.clone(), &self.policy.selector));
        let known = self.known();
        let diagnosis = diagnose(&known);
        let settings = Settings {
            max_actions_per_hour: 60,
            proposals: proposal::ProposalSettings {
                seed: Some(&[7; 32]),
                approvals: approval::Rules::default(),
                own_executions: &HashSet::new(),
            },
        };
        let plan = decide(&known, &diagnosis, &self.status.incidents, &settings);
        (diagnosis, plan)
    }

    /// The same, beginning with the choice of probes, and ending with the status.
    /// Returns how many tables are not healthy.
    pub fn reconcile(&mut self) -> usize {
        let (policy, timings) = (&self.policy, &self.timings);
        let incidents = &self.status.incidents;
        let tables = suspects::suspects(policy, &self.snapshot, incidents, timings, self.now);
        black_box((tables, probing::due(&self.known())));
        let (diagnosis, plan) = self.plan();
        self.status = self.compose(&diagnosis, &plan);
        diagnosis.judged.len()
    }

    /// What people then see, which is what the next pass begins with.
    pub fn compose(&self, diagnosis: &Diagnosis, plan: &Plan) -> WarehouseSyncPolicyStatus {
        compose::observed(
            &self.policy,
            &self.status,
            &self.snapshot,
            diagnosis,
            plan,
            // No notifications.
            &Channels::default(),
            self.now,
        )
    }
}

/// A table that runs or failed, with what the operator has read about it.
fn run_probed(row: &Schema, now: Timestamp) -> Option<Seen> {
    let (status, ended) = match row.status() {
        SchemaStatus::Running => ("Running", "null".to_owned()),
        SchemaStatus::Failed => ("Failed", format!("\"{now}\"")),
        _ => return None,
    };
    let job = format!(
        r#"[{{"id":"job-{0}","created_at":"{now}","finished_at":{ended},"status":"{status}","rows_synced":5,"schema":{{"id":"{0}"}}}}]"#,
        row.id
    );
    let mut seen = Seen::first(row, now);
    let jobs = serde_json::from_str(&job).map_err(|error| error.to_string());
    seen.record_probe(RunProbe::new(now, &row.id, jobs, Log::of_line(Some(now))));
    Some(seen)
}
