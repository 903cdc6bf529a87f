//! The input of the tests of guards: a policy that selects sources `s1` and `s2`, whose tables are healthy, and one order. Nothing holds it until a
//! test changes something.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{OperatorLimits, OrderContext};
use crate::{
    api::{
        About, Timings, ValidatedPolicy,
        proposal::{Phase, Proposal, ProposedAction},
        status::{Call, Fate, Incident, RootCause, Send, State, Step},
        validated::{PolicyRef, Selector},
    },
    decide::{
        approval::answer::Rules,
        plan::{Basis, Kind, OfIncident, OfProposal, OfSource, Order, Plan, Subject},
        safety::NextRun,
    },
    diagnose::{Diagnosis, Known, diagnose},
    observe::{
        ApprovalGuard, Changes, CredentialValues, OtherPolicy, OtherProjects, Probes, Snapshot,
        Sources, WriteScope,
    },
    posthog::{instance::Instance, wire::Source, write::Write},
};

/// An order, and everything for which a guard may hold it.
pub struct Situation {
    pub policy: ValidatedPolicy,
    pub snapshot: Snapshot,
    pub state: State,
    pub proposals: Vec<Proposal>,
    pub diagnosis: Diagnosis,
    pub plan: Plan,
    pub limits: OperatorLimits,
    pub may_wipe: BTreeMap<String, Timestamp>,
    pub order: Order,
}

impl Situation {
    pub fn new(order: Order) -> Self {
        let (policy, snapshot, state) = (policy("{}", ""), snapshot(), State::default());
        let diagnosis = diagnose(&known(&policy, &snapshot, &state, &[]));
        Self {
            policy,
            snapshot,
            state,
            proposals: Vec::new(),
            diagnosis,
            plan: Plan::default(),
            limits: OperatorLimits {
                max_actions_per_hour: 60,
                approvals: Rules::default(),
            },
            may_wipe: BTreeMap::new(),
            order,
        }
    }

    /// Changes the list.
    pub fn list(&mut self, change: impl FnOnce(&mut Vec<Source>)) {
        let sources = &mut self.snapshot.sources;
        *sources = sources.changed(&self.policy.selector, change);
    }

    /// What `check` answers.
    pub fn ask<A>(&self, check: impl FnOnce(&OrderContext<'_>) -> A) -> A {
        let known = known(&self.policy, &self.snapshot, &self.state, &self.proposals);
        let Order {
            kind,
            subject,
            basis,
            starts,
            ..
        } = &self.order;
        check(&OrderContext {
            known: &known,
            diagnosis: &self.diagnosis,
            plan: &self.plan,
            limits: self.limits,
            may_wipe: &self.may_wipe,
            kind: *kind,
            subject,
            basis,
            starts: *starts,
        })
    }

    /// What an order for an incident was decided on.
    pub fn incident(&mut self) -> &mut OfIncident {
        let Basis::Incident(basis) = &mut self.order.basis else {
            panic!("the order is for no incident");
        };
        basis
    }
}

fn known<'a>(
    policy: &'a ValidatedPolicy,
    snapshot: &'a Snapshot,
    state: &'a State,
    proposals: &'a [Proposal],
) -> Known<'a> {
    Known {
        policy,
        snapshot,
        state,
        proposals,
        timings: &Timings::PRODUCTION,
        now: now(),
    }
}

pub fn now() -> Timestamp {
    "2026-10-01T12:00:00Z".parse().unwrap()
}

pub fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

/// A policy with these annotations, and these fields of `spec` beside `mode: Enforce`.
pub fn policy(annotations: &str, spec: &str) -> ValidatedPolicy {
    let yaml = format!(
        "{{apiVersion: warehousesync.dev/v1alpha1, kind: WarehouseSyncPolicy, metadata: {{name: p, namespace: n, uid: u1, \
         creationTimestamp: '2026-01-01T00:00:00Z', annotations: {annotations}}}, spec: {{mode: Enforce, \
         posthog: {{host: 'http://127.0.0.1:1', projectId: 1, apiKeySecretRef: {{name: s, key: k}}}}, {spec}}}}}"
    );
    ValidatedPolicy::new(&serde_saphyr::from_str(&yaml).unwrap()).unwrap()
}

fn snapshot() -> Snapshot {
    let table = |id: &str, sync_type: &str| {
        json!({"id": id, "name": id, "should_sync": true, "status": "Completed", "sync_type": sync_type,
            "last_synced_at": "2026-10-01T11:30:00Z"})
    };
    let sources = json!([
        {"id": "s1", "source_type": "Postgres", "prefix": "prod", "access_method": "warehouse",
            "schemas": [table("a1", "full_refresh"), table("b1", "incremental")]},
        {"id": "s2", "source_type": "Stripe", "access_method": "warehouse", "schemas": [table("a2", "incremental")]},
    ]);
    Snapshot {
        sources: Sources::new(
            Arc::new(serde_json::from_value(sources).unwrap()),
            &Selector::default(),
        ),
        runs: HashMap::new(),
        changes: Changes::default(),
        probes: Probes::default(),
        canaries: Vec::new(),
        readings: Arc::default(),
        run_probed: HashSet::new(),
        write_scope: WriteScope::Granted,
        other_policies: Vec::new(),
        credential_values: CredentialValues::default(),
        other_projects: OtherProjects::default(),
        instance: Instance::default(),
        slowed: false,
        approval_guard: ApprovalGuard {
            broken: None,
            parts: Vec::new(),
        },
    }
}

/// A policy `other` of the same namespace that selects everything and was made then; this one was made in January 2026.
pub fn other_policy(created: &str) -> OtherPolicy {
    OtherPolicy {
        at: PolicyRef {
            namespace: "n".into(),
            name: "other".into(),
        },
        uid: "u0".into(),
        created: created.parse().unwrap(),
        may_act: true,
        reads_until: Timestamp::MAX,
        selector: policy("{}", "").selector,
        in_flight: Vec::new(),
        sends: Vec::new(),
        cancelled: Vec::new(),
        reset_pending_since: Vec::new(),
    }
}

/// An incident of a table of `s1`.
pub fn incident(schema_id: &str, step: Step) -> Incident {
    Incident {
        schema_id: schema_id.into(),
        schema: schema_id.into(),
        source: "Postgres prod".into(),
        source_id: "s1".into(),
        cause: RootCause::Transient,
        step,
        attempt: 1,
        job_id: None,
        baseline_job_id: None,
        new_job_id: None,
        opened_at: now(),
        step_since: now(),
        deadline: None,
        healthy_since: None,
        sends: Vec::new(),
        message: String::new(),
    }
}

/// A call that an incident records.
pub fn sent(call: Call, fate: Option<Fate>) -> Send {
    Send {
        call,
        started_at: ago(1),
        fate,
        http_status: None,
        detail: String::new(),
    }
}

/// A resync of a table of `s1`; with an empty `schema_id`, something that is done to the source as a whole.
pub fn proposal(id: &str, schema_id: &str, phase: Phase) -> Proposal {
    let row = json!({
        "id": id, "action": "Resync", "phase": phase, "steps": [], "reason": "", "approveCommand": "",
        "target": {"projectId": 1, "source": "Postgres prod", "sourceId": "s1", "schema": schema_id, "schemaId": schema_id},
        "material": {"version": 1, "nonce": "", "policyUid": "u1", "action": "Resync", "steps": [], "host": "", "projectId": 1,
            "sourceId": "s1", "cause": "Transient", "rule": ""},
        "impact": {"losesData": "Yes", "cost": ""}, "createdAt": now(), "expiresAt": now(),
    });
    serde_json::from_value(row).unwrap()
}

fn order(kind: Kind, schema_id: &str, basis: Basis) -> Order {
    Order {
        subject: Subject {
            source_id: "s1".into(),
            schema_id: schema_id.into(),
            title: String::new(),
            about: About::default(),
        },
        call: Write::Reload {
            schema_id: schema_id.into(),
        },
        kind,
        what: String::new(),
        why: String::new(),
        starts: true,
        basis,
    }
}

/// A first call for an incident of table `a1`.
pub fn of_incident(kind: Kind, call: Call) -> Order {
    let step = match call {
        Call::Cancel => Step::Cancelling,
        Call::Enable => Step::Enabling,
        Call::Reload => Step::Reloading,
    };
    let basis = OfIncident {
        incident: incident("a1", step),
        call,
        hanging: None,
        name: "a1".into(),
        warehouse: true,
        next_run: NextRun::Ordinary,
    };
    order(kind, "a1", Basis::Incident(Box::new(basis)))
}

/// A call for source `s1`.
pub fn of_source(kind: Kind) -> Order {
    let basis = OfSource {
        from: "Secret db".into(),
        hmac: "x".into(),
        has_inputs: None,
    };
    order(kind, "", Basis::Source(basis))
}

/// The first of two steps of proposal `own`, of table `a1`, or with an empty `schema_id` of source `s1`.
pub fn of_proposal(schema_id: &str) -> Order {
    let basis = OfProposal {
        id: "own".into(),
        action: ProposedAction::Resync,
        steps_left: 2,
    };
    order(Kind::Approved, schema_id, Basis::Proposal(basis))
}
