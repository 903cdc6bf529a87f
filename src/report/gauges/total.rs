//! The shares of all policies, added up.

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::share::{Open, PolicyShare, Shown, VERDICTS};
use crate::{
    api::{
        conditions::Reason,
        proposal::{Phase, ProposedAction},
        status::{RootCause, Severity, Step},
    },
    decide::Guard,
    posthog::instance::{Feature, UnfamiliarKind},
};

/// Phases that are not final.
const PHASES: [Phase; 4] = [
    Phase::AwaitingApproval,
    Phase::Approved,
    Phase::Executing,
    Phase::Verifying,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabels {
    mode: &'static str,
    ready: &'static str,
    healthy: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    cause: &'static str,
    severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SchemaLabels {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IncidentLabels {
    step: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeldLabels {
    guard: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProposalLabels {
    action: &'static str,
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FeatureLabels {
    feature: &'static str,
    shown: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// The sums, and the extremes of times.
#[derive(Debug)]
pub struct Totals {
    policies: Family<PolicyLabels, Gauge>,
    not_ready: Family<ReasonLabels, Gauge>,
    approval_guard: Family<ReasonLabels, Gauge>,
    notifying: Family<ReasonLabels, Gauge>,
    overdue: Gauge,
    findings: Family<FindingLabels, Gauge>,
    schemas: Family<SchemaLabels, Gauge>,
    incidents: Family<IncidentLabels, Gauge>,
    held: Family<HeldLabels, Gauge>,
    proposals: Family<ProposalLabels, Gauge>,
    oldest_proposal: Family<ActionLabels, Seconds>,
    next_expiry: Family<ActionLabels, Seconds>,
    breakers_open: Gauge,
    features: Family<FeatureLabels, Gauge>,
    unfamiliar: Family<KindLabels, Gauge>,
    /// An unknown time is not shown: zero would be a time.
    breaker_open_since: Option<Timestamp>,
    oldest_poll: Option<Timestamp>,
    newest_poll: Option<Timestamp>,
}

/// A Unix timestamp.
pub(super) type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

impl Default for Totals {
    /// With a zero for each label of the short lists, so that graphs show the first increase.
    fn default() -> Self {
        let totals = Self {
            policies: Family::default(),
            not_ready: Family::default(),
            approval_guard: Family::default(),
            notifying: Family::default(),
            overdue: Gauge::default(),
            findings: Family::default(),
            schemas: Family::default(),
            incidents: Family::default(),
            held: Family::default(),
            proposals: Family::default(),
            oldest_proposal: Family::default(),
            next_expiry: Family::default(),
            breakers_open: Gauge::default(),
            features: Family::default(),
            unfamiliar: Family::default(),
            breaker_open_since: None,
            oldest_poll: None,
            newest_poll: None,
        };
        totals.add_schemas([0; VERDICTS.len()]);
        for &kind in UnfamiliarKind::ALL {
            totals.add_unfamiliar(kind, 0);
        }
        for &step in Step::ALL {
            totals.add_incidents(step, 0);
        }
        for &guard in Guard::ALL {
            totals.add_held(guard, 0);
        }
        for &action in ProposedAction::ALL {
            for phase in PHASES {
                totals.add_proposals(action, phase, 0);
            }
        }
        totals
    }
}

impl Totals {
    /// Adds the share of one policy.
    pub fn add(&mut self, share: &PolicyShare, now: Timestamp) {
        let PolicyShare {
            state,
            not_ready,
            approval_guard,
            notifying,
            polled,
            incidents,
            proposals,
            breaker_open_since,
            findings,
            counts,
            held,
            instance,
            exported: _,
        } = share;
        let labels = PolicyLabels {
            mode: state.mode,
            ready: state.ready.as_str(),
            healthy: state.healthy.as_str(),
        };
        self.policies.get_or_create(&labels).inc();
        for (family, reason) in [
            (&self.not_ready, not_ready),
            (&self.approval_guard, approval_guard),
            (&self.notifying, notifying),
        ] {
            if let Some(reason) = reason.map(Reason::as_str) {
                family.get_or_create(&ReasonLabels { reason }).inc();
            }
        }
        let overdue = polled.overdue_at.is_some_and(|at| at < now);
        self.overdue.inc_by(i64::from(overdue));
        self.oldest_poll = earlier(self.oldest_poll, polled.at);
        self.newest_poll = self.newest_poll.max(polled.at);
        for ((cause, severity), count) in findings {
            self.add_findings(*cause, *severity, *count);
        }
        self.add_schemas(*counts);
        for step in incidents {
            self.add_incidents(*step, 1);
        }
        for (guard, count) in held {
            self.add_held(*guard, *count);
        }
        for open in proposals {
            self.add_proposal(open);
        }
        self.add_instance(instance);
        self.breakers_open
            .inc_by(i64::from(breaker_open_since.is_some()));
        self.breaker_open_since = earlier(self.breaker_open_since, *breaker_open_since);
    }

    fn add_instance(&self, instance: &Shown) {
        for (feature, shown) in Feature::ALL.iter().zip(instance.features) {
            let shown = match shown {
                Some(true) => "yes",
                Some(false) => "no",
                None => "unknown",
            };
            let feature = feature.as_str();
            let labels = FeatureLabels { feature, shown };
            self.features.get_or_create(&labels).inc();
        }
        for (kind, count) in UnfamiliarKind::ALL.iter().zip(instance.unfamiliar) {
            self.add_unfamiliar(*kind, count);
        }
    }

    fn add_unfamiliar(&self, kind: UnfamiliarKind, count: u32) {
        let kind = kind.as_str();
        self.unfamiliar
            .get_or_create(&KindLabels { kind })
            .inc_by(count.into());
    }

    fn add_findings(&self, cause: RootCause, severity: Severity, count: i64) {
        let labels = FindingLabels {
            cause: cause.as_str(),
            severity: in_a_word(severity),
        };
        self.findings.get_or_create(&labels).inc_by(count);
    }

    fn add_schemas(&self, counts: [u32; VERDICTS.len()]) {
        for (verdict, count) in VERDICTS.into_iter().zip(counts) {
            let labels = SchemaLabels { verdict };
            self.schemas.get_or_create(&labels).inc_by(count.into());
        }
    }

    fn add_incidents(&self, step: Step, count: i64) {
        let step = step.as_str();
        let labels = IncidentLabels { step };
        self.incidents.get_or_create(&labels).inc_by(count);
    }

    fn add_held(&self, guard: Guard, count: i64) {
        let guard = guard.as_str();
        self.held.get_or_create(&HeldLabels { guard }).inc_by(count);
    }

    fn add_proposals(&self, action: ProposedAction, phase: Phase, count: i64) {
        let labels = ProposalLabels {
            action: action.as_str(),
            phase: phase.as_str(),
        };
        self.proposals.get_or_create(&labels).inc_by(count);
    }

    fn add_proposal(&self, open: &Open) {
        self.add_proposals(open.action, open.phase, 1);
        if open.phase == Phase::AwaitingApproval {
            let action = open.action.as_str();
            let labels = ActionLabels { action };
            earliest(&self.oldest_proposal, &labels, open.created_at);
            earliest(&self.next_expiry, &labels, open.expires_at);
        }
    }

    /// Under their names.
    pub fn register(self, registry: &mut Registry) {
        registry.register(
            "policies",
            "Policies by mode and by the status of their conditions Ready and Healthy",
            self.policies,
        );
        registry.register(
            "policies_not_ready",
            "Policies that are not Ready, by reason",
            self.not_ready,
        );
        registry.register(
            "policies_overdue",
            "Policies whose next successful poll is overdue",
            self.overdue,
        );
        registry.register(
            "approval_guard_policies",
            "Policies by reason of their condition ApprovalGuardActive",
            self.approval_guard,
        );
        registry.register(
            "notifying_policies",
            "Policies by reason of their condition Notifying",
            self.notifying,
        );
        register_time(
            registry,
            "oldest_poll_timestamp",
            "Time of the last poll of the policy that has not been polled for longest",
            self.oldest_poll,
        );
        register_time(
            registry,
            "newest_poll_timestamp",
            "Time of the last poll of any policy",
            self.newest_poll,
        );
        registry.register(
            "findings",
            "Findings by cause and severity, over all policies",
            self.findings,
        );
        registry.register(
            "schemas",
            "Selected tables by verdict, over all policies",
            self.schemas,
        );
        registry.register(
            "incidents",
            "Incidents by step, over all policies",
            self.incidents,
        );
        registry.register(
            "held",
            "Held actions, by guard, over all policies",
            self.held,
        );
        registry.register(
            "proposals",
            "Proposals that have not ended, by action and phase, over all policies",
            self.proposals,
        );
        registry.register_with_unit(
            "oldest_proposal_timestamp",
            "Creation time of the oldest proposal that waits for an answer, by action",
            Unit::Seconds,
            self.oldest_proposal,
        );
        registry.register_with_unit(
            "next_proposal_expiry_timestamp",
            "Earliest expiry of the proposals that wait for an answer, by action",
            Unit::Seconds,
            self.next_expiry,
        );
        registry.register(
            "breakers_open",
            "Policies whose circuit breaker is open",
            self.breakers_open,
        );
        registry.register(
            "posthog_features",
            "Policies by feature of their PostHog, and whether it has it",
            self.features,
        );
        registry.register(
            "posthog_unfamiliar",
            "Values from PostHog that this version does not know, by kind, over all policies",
            self.unfamiliar,
        );
        register_time(
            registry,
            "breaker_open_since_timestamp",
            "Opening time of the circuit breaker that has been open for longest",
            self.breaker_open_since,
        );
    }
}

fn register_time(registry: &mut Registry, name: &str, help: &str, at: Option<Timestamp>) {
    if let Some(at) = at {
        registry.register_with_unit(name, help, Unit::Seconds, at_time(at));
    }
}

fn earliest(family: &Family<ActionLabels, Seconds>, labels: &ActionLabels, at: Timestamp) {
    let known = family.get(labels).map(|gauge| gauge.get());
    let at = seconds(at);
    let least = known.map_or(at, |known| known.min(at));
    family.get_or_create(labels).set(least);
}

/// The earlier of two times, either of which may be unknown.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

fn at_time(at: Timestamp) -> Seconds {
    let gauge = Seconds::default();
    gauge.set(seconds(at));
    gauge
}

pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

const fn in_a_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
        Severity::Info => "Info",
    }
}
