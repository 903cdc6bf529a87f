//! What reconciles: what is shared by all policies of a process.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;

use crate::{
    api::{Timings, validated::PolicyRef},
    decide::{approval, proposal::Seed},
    execute::{Leads, Ledger},
    observe::Observer,
    posthog::{Transport, client::Clock, guard::HostList},
    report::{
        DecisionLog, Kubernetes, KubernetesError, Metrics, metrics::ReconcileOutcome,
        notifications::Outbox,
    },
};

/// Reconciles policies.
pub struct Reconciler<T, K> {
    /// What is shared between policies of one project and key.
    pub observer: Observer<T>,
    /// Kubernetes.
    pub kubernetes: Arc<K>,
    /// The operator's list of hosts.
    pub hosts: HostList,
    /// The operator's list of hosts of receivers of notifications.
    pub notify_hosts: HostList,
    /// Notifications that wait to be sent.
    pub outbox: Outbox,
    /// The fixed durations.
    pub timings: Timings,
    /// Calls that may be sent to one project in an hour, by all policies on it together.
    pub max_actions_per_hour: usize,
    /// Which approvals are accepted.
    pub approvals: approval::Rules,
    /// Sends whose outcome the status may not know.
    pub ledger: Ledger,
    /// Whether this process leads.
    pub leads: Leads,
    /// Metrics.
    pub metrics: Metrics,
    /// What was said in the log.
    pub decision_log: DecisionLog,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub seed: DrawSeed,
}

/// Draws a seed; none if the system has no random numbers to give.
pub type DrawSeed = Arc<dyn Fn() -> Option<Seed> + Send + Sync>;

/// What comes after a reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// When to come back; none if the policy was deleted.
    pub again_in: Option<SignedDuration>,
    /// How it ended, for the metrics.
    pub outcome: ReconcileOutcome,
    /// Policies that share the poll that was just made.
    pub trigger: Vec<PolicyRef>,
}

impl<T: Transport, K: Kubernetes> Reconciler<T, K> {
    /// A reconcile that is running when leadership is lost ends here. The outcome of a call is written anyway: the write succeeds
    /// only if the next leader has not written yet, which then need not find it out.
    pub(super) fn check_leads(&self, at: &PolicyRef) -> Result<(), KubernetesError> {
        match (self.leads)(Duration::ZERO) {
            Some(_) => Ok(()),
            None => Err(KubernetesError::NotLeading(at.clone())),
        }
    }

    /// Forgets a policy that was deleted, or that another replica now handles.
    pub fn forget(&self, at: &PolicyRef) {
        self.observer.forget(at);
        self.decision_log.forget(at);
        self.outbox.forget(at);
        self.metrics.gauges.forget(at);
    }
}
