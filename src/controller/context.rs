//! What the reconciles of all scopes share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    Reconciler,
    absent::Absent,
    kubernetes::Cluster,
    leadership::Leadership,
    other_policies::OtherPolicies,
    policies::{Policies, Unreadable},
    queue::Queue,
    timed::Counted,
};
use crate::{
    api::validated::PolicyRef,
    posthog::http::HttpTransport,
    report::{KubernetesError, events, metrics::ReconcileOutcome},
};

/// After the first failure in a row, and at most.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(1);

pub(super) type Real = Reconciler<Counted<HttpTransport>, Cluster>;

pub(super) struct Context {
    /// What reconciles.
    pub reconciler: Real,
    /// When policies are reconciled.
    pub queue: Queue,
    /// Who leads.
    pub leadership: Leadership,
    /// The policies that the watches know, by scope.
    pub policies: Vec<Arc<Policies>>,
    /// Namespaces without policies, because they do not exist.
    pub absent: Absent,
    /// What policies of one project must know of one another.
    pub other_policies: OtherPolicies,
    /// Failures in a row, of policies whose last reconcile failed.
    pub failures: Mutex<HashMap<PolicyRef, u32>>,
}

impl Context {
    /// True if this process leads.
    pub(super) fn leads(&self) -> bool {
        self.leadership.leads(Duration::ZERO).is_some()
    }

    /// True if every first list is there. Before, a policy of another namespace may own a table, unknown to this process.
    pub(super) fn knows_all(&self) -> bool {
        self.policies.iter().all(|policies| {
            let namespace = policies.namespace.as_ref();
            policies.are_listed()
                || namespace.is_some_and(|namespace| self.absent.contains(namespace))
        })
    }

    /// True if no watch knows the policy any more.
    pub(super) fn is_gone(&self, at: &PolicyRef) -> bool {
        let scope = self.scope_of(at);
        self.absent.contains(&at.namespace) || !scope.is_some_and(|policies| policies.knows(at))
    }

    /// The scope that the policy is in.
    pub(super) fn scope_of(&self, at: &PolicyRef) -> Option<&Policies> {
        let mut scopes = self.policies.iter();
        scopes.find(|policies| policies.covers(at)).map(Arc::as_ref)
    }

    /// Forgets a policy that was deleted.
    pub(super) fn forget(&self, at: &PolicyRef) {
        self.other_policies.forget(at);
        self.reconciler.forget(at);
    }

    /// Reports on a policy that it cannot be read: a newer operator may have written values into its status that this one does not know.
    pub(super) async fn not_understood(
        &self,
        at: &PolicyRef,
        policy: &Unreadable,
    ) -> KubernetesError {
        let why = format!(
            "the policy is skipped because this operator cannot read it; a newer operator may have written it: {}",
            policy.why
        );
        self.reconciler.forget(at);
        let notice = events::left_alone(&why);
        let kubernetes = &self.reconciler.kubernetes;
        kubernetes.publish_about(&policy.about, notice).await;
        let at = at.clone();
        KubernetesError::NotUnderstood { at, why }
    }

    /// How long a policy waits after another failure in a row: 2 s, doubling, to 1 min.
    pub(super) fn back_off(&self, at: &PolicyRef) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(at.clone()).or_insert(0);
        *count += 1;
        FIRST_RETRY
            .saturating_mul(1 << (*count - 1).min(5))
            .min(LAST_RETRY)
    }

    /// A successful reconcile ends a row of failures.
    pub(super) fn succeeded(&self, at: &PolicyRef) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(at);
    }

    pub(super) fn count(&self, outcome: ReconcileOutcome) {
        self.reconciler.metrics.reconciled(outcome);
    }
}
