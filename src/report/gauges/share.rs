//! What one policy adds to the gauges.

use std::{array, collections::HashMap, hash::Hash};

use jiff::Timestamp;

use crate::{
    api::{
        WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        conditions::{APPROVAL_GUARD_ACTIVE, HEALTHY, NOTIFYING, READY, Reason},
        policy::Mode,
        proposal::{Phase, Proposal, ProposedAction},
        status::{RootCause, SchemaCounts, Severity, Step},
    },
    decide::{Guard, Held},
    diagnose::{Exported, Problem},
    posthog::instance::{Feature, Instance, UnfamiliarKind},
    report::conditions::ConditionStatus,
};

/// What a reconcile found; its status may be too small to show all of it.
#[derive(Debug)]
pub struct PollResult<'a> {
    /// What is wrong.
    pub problems: &'a [Problem],
    /// The tables by how they are.
    pub counts: SchemaCounts,
    /// What is not done, and why.
    pub held: &'a [Held],
    /// What the PostHog of the project shows.
    pub instance: &'a Instance,
    /// When tables last succeeded, if the policy exports that.
    pub exported: &'a Exported,
}

/// When a policy was last polled, and from when on that is too long ago.
#[derive(Debug, Clone, Copy)]
pub struct PollTimes {
    pub at: Option<Timestamp>,
    pub overdue_at: Option<Timestamp>,
}

/// Mode and conditions of a policy.
#[derive(Debug, Clone, Copy)]
pub struct PolicyState {
    pub mode: &'static str,
    pub ready: ConditionStatus,
    pub healthy: ConditionStatus,
}

/// A proposal that is not over.
#[derive(Debug, Clone, Copy)]
pub struct Open {
    pub action: ProposedAction,
    pub phase: Phase,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What the PostHog of a policy shows, in the order of `Feature::ALL` and `UnfamiliarKind::ALL`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    pub features: [Option<bool>; Feature::ALL.len()],
    pub unfamiliar: [u32; UnfamiliarKind::ALL.len()],
}

impl From<&Instance> for Shown {
    fn from(instance: &Instance) -> Self {
        Self {
            features: array::from_fn(|place| instance.shows(Feature::ALL[place])),
            unfamiliar: array::from_fn(|place| {
                let count = instance.count(UnfamiliarKind::ALL[place]);
                u32::try_from(count).unwrap_or(u32::MAX)
            }),
        }
    }
}

/// What one policy adds. Little memory: there may be 10,000.
#[derive(Debug)]
pub struct PolicyShare {
    pub state: PolicyState,
    /// Why it is not Ready.
    pub not_ready: Option<Reason>,
    /// Reason of `ApprovalGuardActive`.
    pub approval_guard: Option<Reason>,
    /// Reason of `Notifying`; none without receivers.
    pub notifying: Option<Reason>,
    pub polled: PollTimes,
    pub incidents: Box<[Step]>,
    pub proposals: Box<[Open]>,
    pub breaker_open_since: Option<Timestamp>,
    pub findings: Counts<(RootCause, Severity)>,
    /// As [`by_verdict`] counts.
    pub counts: [u32; VERDICTS.len()],
    pub held: Counts<Guard>,
    pub instance: Shown,
    /// None if nothing is exported, as of most.
    pub exported: Option<Box<Exported>>,
}

impl PolicyShare {
    /// What its spec and status say.
    pub fn new(
        policy: &WarehouseSyncPolicy,
        status: &WarehouseSyncPolicyStatus,
        polled: PollTimes,
    ) -> Self {
        let ready = truth(status, READY);
        Self {
            state: PolicyState {
                mode: mode(policy),
                ready,
                healthy: truth(status, HEALTHY),
            },
            not_ready: (ready != ConditionStatus::True)
                .then(|| reason(status, READY))
                .flatten(),
            approval_guard: reason(status, APPROVAL_GUARD_ACTIVE),
            notifying: reason(status, NOTIFYING),
            polled,
            incidents: status.incidents.iter().map(|one| one.step).collect(),
            proposals: status.proposals.iter().filter_map(open).collect(),
            breaker_open_since: status.state.breaker.as_ref().map(|open| open.open_since),
            findings: Box::default(),
            counts: Default::default(),
            held: Box::default(),
            instance: Shown::default(),
            exported: None,
        }
    }

    /// Adds what a reconcile found.
    pub fn found(mut self, result: &PollResult<'_>) -> Self {
        let problems = result.problems.iter();
        self.findings = count(problems.map(|problem| (problem.cause, problem.severity)));
        self.held = count(result.held.iter().map(|held| held.guard));
        self.counts = by_verdict(&result.counts);
        self.instance = result.instance.into();
        let exports = *result.exported != Exported::default();
        self.exported = exports.then(|| Box::new(result.exported.clone()));
        self
    }

    /// Keeps what an earlier reconcile found.
    pub fn found_before(self, before: Option<Self>) -> Self {
        let Some(before) = before else { return self };
        Self {
            findings: before.findings,
            counts: before.counts,
            held: before.held,
            instance: before.instance,
            exported: before.exported,
            ..self
        }
    }
}

/// How many there are of each kind. A slice: nearly always it is empty or has one entry.
type Counts<A> = Box<[(A, i64)]>;

fn count<A: Eq + Hash>(all: impl Iterator<Item = A>) -> Counts<A> {
    let mut counts: HashMap<A, i64> = HashMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts.into_iter().collect()
}

/// What [`by_verdict`] counts.
pub const VERDICTS: [&str; 8] = [
    "healthy", "running", "stuck", "failing", "stale", "disabled", "billing", "unknown",
];

/// The tables by how they are, in the order of [`VERDICTS`].
fn by_verdict(counts: &SchemaCounts) -> [u32; VERDICTS.len()] {
    let SchemaCounts {
        total: _,
        healthy,
        running,
        stuck,
        failing,
        stale,
        disabled,
        billing,
        unknown,
    } = counts;
    [
        healthy, running, stuck, failing, stale, disabled, billing, unknown,
    ]
    .map(|count| u32::try_from(*count).unwrap_or(u32::MAX))
}

fn mode(policy: &WarehouseSyncPolicy) -> &'static str {
    match policy.spec.mode {
        _ if policy.spec.suspend || policy.metadata.deletion_timestamp.is_some() => "Suspended",
        Mode::Observe => "Observe",
        Mode::Enforce => "Enforce",
    }
}

/// From a closed list, also if another version wrote the status.
fn truth(status: &WarehouseSyncPolicyStatus, type_: &str) -> ConditionStatus {
    match status.condition(type_).map(|c| c.status.as_str()) {
        Some("True") => ConditionStatus::True,
        Some("False") => ConditionStatus::False,
        _ => ConditionStatus::Unknown,
    }
}

fn reason(status: &WarehouseSyncPolicyStatus, type_: &str) -> Option<Reason> {
    status.condition(type_)?.reason.parse().ok()
}

fn open(proposal: &Proposal) -> Option<Open> {
    (!proposal.is_over()).then_some(Open {
        action: proposal.action,
        phase: proposal.phase,
        created_at: proposal.created_at,
        expires_at: proposal.expires_at,
    })
}
