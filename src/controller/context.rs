//! What the reconciles of all scopes share.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, channel::mpsc};
use kube::{
    Resource,
    runtime::reflector::{ObjectRef, Store},
};

use super::{
    Reconciler, absent::Absent, for_others, kubernetes::Cluster, leadership::Leadership,
    other_policies::OtherPolicies, timed::Counted, watched::Watched,
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
pub(super) type Trigger = mpsc::UnboundedSender<ObjectRef<Watched>>;

pub(super) struct Context {
    /// What reconciles.
    pub reconciler: Real,
    /// Where to send a trigger for a policy: by namespace, or one for all.
    pub trigger: HashMap<Option<String>, Trigger>,
    /// Who leads.
    pub leadership: Leadership,
    /// The stores of the watches, by namespace; one without, if all are watched.
    pub policies: Vec<(Option<String>, Store<Watched>)>,
    /// Namespaces without policies, because they do not exist.
    pub absent: Absent,
    /// What policies of one project must know of one another.
    pub other_policies: OtherPolicies,
    /// Failures in a row, of policies whose last reconcile failed.
    pub failures: Mutex<HashMap<PolicyRef, u32>>,
}

/// True if the watch knows the policy.
pub(super) fn knows(policies: &Store<Watched>, at: &PolicyRef) -> bool {
    let object = ObjectRef::new(&at.name).within(&at.namespace);
    policies.get(&object).is_some()
}

impl Context {
    /// True if this process leads.
    pub(super) fn leads(&self) -> bool {
        self.leadership.leads(Duration::ZERO).is_some()
    }

    /// True if every first list is there. Before, a policy of another namespace may own a table, unknown to this process.
    pub(super) fn knows_all(&self) -> bool {
        self.policies.iter().all(|(namespace, store)| {
            store.wait_until_ready().now_or_never().is_some()
                || namespace
                    .as_ref()
                    .is_some_and(|namespace| self.absent.contains(namespace))
        })
    }

    /// True if no watch knows the policy any more.
    pub(super) fn is_gone(&self, at: &PolicyRef) -> bool {
        self.absent.contains(&at.namespace)
            || !self.policies.iter().any(|(_, store)| knows(store, at))
    }

    /// Reports on a policy that it cannot be read: a newer operator may have written values into its status that this one does not know.
    pub(super) async fn not_understood(&self, policy: &Watched, error: &str) -> KubernetesError {
        let at = for_others::at(policy);
        let why = format!(
            "the policy is skipped because this operator cannot read it; a newer operator may have written it: {error}"
        );
        self.reconciler.forget(&at);
        let notice = events::left_alone(&why);
        let about = policy.object_ref(&());
        self.reconciler
            .kubernetes
            .publish_about(&about, notice)
            .await;
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

    /// Triggers a reconcile of another policy.
    pub(super) fn trigger(&self, other: &PolicyRef) {
        let to = self
            .trigger
            .get(&None)
            .or_else(|| self.trigger.get(&Some(other.namespace.clone())));
        if let Some(to) = to {
            // It fails only at shutdown.
            let _ = to.unbounded_send(ObjectRef::new(&other.name).within(&other.namespace));
        }
    }
}
