//! What is wrong now, over all policies, as gauges. Labels are from closed lists; which policy it is, its status says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    api::{
        proposal::{Proposal, ProposedAction},
        status::{SchemaCounts, Severity},
        validated::PolicyRef,
    },
    diagnose::Problem,
};

/// Labels of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    cause: &'static str,
    severity: &'static str,
}

/// Labels of tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SchemaLabels {
    verdict: &'static str,
}

/// Labels of proposals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProposalLabels {
    action: &'static str,
}

type Counted<L> = HashMap<L, i64>;

/// Gauges that are sums over policies. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    findings: Family<FindingLabels, Gauge>,
    schemas: Family<SchemaLabels, Gauge>,
    proposals: Family<ProposalLabels, Gauge>,
    /// What each policy has added, so that it can be taken away again.
    shares: Arc<Mutex<HashMap<PolicyRef, Share>>>,
}

#[derive(Debug, Default)]
struct Share {
    findings: Counted<FindingLabels>,
    schemas: Counted<SchemaLabels>,
    proposals: Counted<ProposalLabels>,
}

impl Gauges {
    /// The gauges, registered.
    pub fn registered(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        registry.register(
            "findings",
            "Findings by cause and severity, over all policies",
            gauges.findings.clone(),
        );
        registry.register(
            "schemas",
            "Selected tables by verdict, over all policies",
            gauges.schemas.clone(),
        );
        registry.register(
            "proposals",
            "Proposals that wait for approval by action, over all policies",
            gauges.proposals.clone(),
        );
        gauges
    }

    /// Replaces what the policy at `at` has added.
    pub fn set(
        &self,
        at: &PolicyRef,
        problems: &[Problem],
        counts: &SchemaCounts,
        proposals: &[Proposal],
    ) {
        let mut findings: Counted<FindingLabels> = HashMap::new();
        for problem in problems {
            let labels = FindingLabels {
                cause: problem.cause.as_str(),
                severity: severity(problem.severity),
            };
            *findings.entry(labels).or_default() += 1;
        }
        let schemas = by_verdict(counts)
            .into_iter()
            .map(|(verdict, count)| (SchemaLabels { verdict }, count))
            .collect();
        let waiting = |action: ProposedAction| {
            let rows = proposals.iter();
            let count = rows.filter(|row| row.is_open() && row.action == action);
            i64::try_from(count.count()).unwrap_or(i64::MAX)
        };
        let proposals = ProposedAction::ALL
            .into_iter()
            .map(|action| {
                let labels = ProposalLabels {
                    action: action.as_str(),
                };
                (labels, waiting(action))
            })
            .collect();
        self.replace(
            at,
            Some(Share {
                findings,
                schemas,
                proposals,
            }),
        );
    }

    /// Takes away what a policy that is gone has added.
    pub fn forget(&self, at: &PolicyRef) {
        self.replace(at, None);
    }

    fn replace(&self, at: &PolicyRef, new: Option<Share>) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.remove(at) {
            self.count(&share, -1);
        }
        if let Some(share) = new {
            self.count(&share, 1);
            shares.insert(at.clone(), share);
        }
    }

    fn count(&self, share: &Share, sign: i64) {
        let Share {
            findings,
            schemas,
            proposals,
        } = share;
        add(&self.findings, findings, sign);
        add(&self.schemas, schemas, sign);
        add(&self.proposals, proposals, sign);
    }
}

fn add<L>(family: &Family<L, Gauge>, counts: &Counted<L>, sign: i64)
where
    L: Clone + std::hash::Hash + Eq,
{
    for (labels, count) in counts {
        family.get_or_create(labels).inc_by(sign * count);
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
        Severity::Info => "Info",
    }
}

const fn by_verdict(counts: &SchemaCounts) -> [(&'static str, i64); 8] {
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
        ("healthy", *healthy),
        ("running", *running),
        ("stuck", *stuck),
        ("failing", *failing),
        ("stale", *stale),
        ("disabled", *disabled),
        ("billing", *billing),
        ("unknown", *unknown),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_counts_once_and_leaves_nothing_behind() {
        let gauges = Gauges::default();
        let at = |name: &str| PolicyRef {
            namespace: "n".into(),
            name: name.into(),
        };
        let counts = |failing| SchemaCounts {
            failing,
            ..SchemaCounts::default()
        };
        let failing = || {
            let labels = SchemaLabels { verdict: "failing" };
            gauges.schemas.get_or_create(&labels).get()
        };
        gauges.set(&at("a"), &[], &counts(3), &[]);
        gauges.set(&at("a"), &[], &counts(2), &[]);
        gauges.set(&at("b"), &[], &counts(5), &[]);
        assert_eq!(failing(), 7);
        gauges.forget(&at("b"));
        gauges.forget(&at("b"));
        assert_eq!(failing(), 2);
    }
}
