//! All that the decision of a reconcile may be based on, or why it could not be read.

use jiff::{SignedDuration, Timestamp};

use super::{
    not_ready,
    pace::{max_age, purpose},
    reconciler::Reconciler,
    survey::{Budget, Survey},
};
use crate::{
    api::{
        Timings, ValidatedPolicy, WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        validated::PolicyRef,
    },
    diagnose::Known,
    observe::{CredentialValues, Snapshot, observer::ProjectView},
    posthog::{ApiKey, Transport, quota::Purpose},
    report::{
        Kubernetes, KubernetesError, compose::NotReady, kubernetes::SecretError,
        notifications::Channels,
    },
};

/// What a reconcile knows of its policy and of the project.
pub struct Observed<T> {
    /// The policy.
    pub policy: ValidatedPolicy,
    /// The project.
    pub view: ProjectView<T>,
    /// The status at the start, completed from the memory of this process.
    pub old: WarehouseSyncPolicyStatus,
    /// What was observed.
    pub snapshot: Snapshot,
    /// The receivers of notifications.
    pub channels: Channels,
    /// When that was over: the one time of all that the reconcile decides and writes.
    pub now: Timestamp,
    /// Policies that share the poll that was just made.
    pub trigger: Vec<PolicyRef>,
}

impl<T> Observed<T> {
    /// What a decision may be based on.
    pub const fn known<'a>(&'a self, timings: &'a Timings) -> Known<'a> {
        Known {
            policy: &self.policy,
            snapshot: &self.snapshot,
            state: &self.old.state,
            proposals: self.old.proposals.as_slice(),
            timings,
            now: self.now,
        }
    }
}

/// Why a reconcile could not observe.
pub struct FailedPoll {
    /// Why the poll failed.
    pub not_ready: NotReady,
    /// The policy, if it can be read.
    pub policy: Option<ValidatedPolicy>,
    /// Policies that share the poll that was just made.
    pub trigger: Vec<PolicyRef>,
}

impl FailedPoll {
    /// Before anything was polled.
    fn early(not_ready: impl Into<NotReady>, policy: Option<ValidatedPolicy>) -> Self {
        Self {
            not_ready: not_ready.into(),
            policy,
            trigger: Vec::new(),
        }
    }
}

impl<T: Transport, K: Kubernetes> Reconciler<T, K> {
    /// Reads all that the decision may be based on, or finds why it cannot.
    pub(super) async fn observe(
        &self,
        at: &PolicyRef,
        object: &WarehouseSyncPolicy,
        written: &WarehouseSyncPolicyStatus,
    ) -> Result<Result<Observed<T>, FailedPoll>, KubernetesError> {
        let mut policy = match ValidatedPolicy::new(object) {
            Ok(policy) => policy,
            Err(error) => return Ok(Err(FailedPoll::early(error, None))),
        };
        // The name that is known already, not a copy of it: many places keep it.
        policy.at = at.clone();
        if let Err(error) = self.hosts.check(&policy.project.host) {
            return Ok(Err(FailedPoll::early(error, Some(policy))));
        }
        let key = match self
            .kubernetes
            .api_key(&policy.at.namespace, &policy.api_key)
            .await
        {
            Ok(key) => key,
            Err(SecretError::Unread(error)) => return Err(error),
            Err(SecretError::Refused(refused)) => {
                return Ok(Err(FailedPoll::early(refused, Some(policy))));
            }
        };
        let credential_values = self.credential_values(&policy, &key).await?;
        let channels = self.channels(&policy).await;
        let approval_guard = self.kubernetes.approval_guard().await?;
        let view = self.observer.project(&policy.at, &policy.project, key);
        credential_values.hide(view.client.secrets());
        let mut old = written.clone();
        self.ledger.complete(&policy.uid, &mut old.incidents);
        self.ledger
            .complete_sources(&policy.uid, &mut old.state.sources);
        self.ledger
            .complete_proposals(&policy.uid, &mut old.proposals);
        self.outbox.complete(&policy.at, &mut old.state.announced);

        let asked = policy.requested_at.is_some() && policy.requested_at != old.state.poll_handled;
        let polled = if asked {
            view.poll(SignedDuration::ZERO, Purpose::Repair).await
        } else {
            let (timings, now) = (&self.timings, (self.clock)());
            let purpose = purpose(&policy, &old.incidents, &old.proposals, timings, now);
            view.poll(max_age(&policy, &old, timings, now), purpose)
                .await
        };
        if asked && polled.fresh && polled.listed.is_ok() {
            old.state.poll_handled.clone_from(&policy.requested_at);
        }
        let trigger = if polled.fresh {
            view.others()
        } else {
            Vec::new()
        };
        let sources = match polled.listed {
            Ok(sources) => sources,
            Err(error) => {
                let not_ready = not_ready::of_poll(&error, &policy);
                return Ok(Err(FailedPoll {
                    not_ready,
                    policy: Some(policy),
                    trigger,
                }));
            }
        };
        let now = (self.clock)();
        if let Some(not_ready) = not_ready::of_vanished(&sources, &old, &self.timings, now) {
            return Ok(Err(FailedPoll {
                not_ready,
                policy: Some(policy),
                trigger,
            }));
        }
        let other_policies = self.kubernetes.other_policies(&policy.at, &policy.project);
        let survey = Survey {
            policy: &policy,
            view: &view,
            state: &old.state,
            incidents: &old.incidents,
            proposals: &old.proposals,
            timings: &self.timings,
            budget: Budget::RECONCILE,
            every_run: false,
            progress: &|_, _| {},
        };
        let other_projects = self.observer.all_projects.but(&policy.project, now);
        // Boxed, so that it takes memory only from here on: at the start a thousand reconciles wait for their lists.
        let snapshot = Box::pin(survey.make(sources, other_policies, other_projects)).await;
        let snapshot = Snapshot {
            credential_values,
            approval_guard,
            slowed: view.pace(Purpose::Poll) > policy.interval,
            ..snapshot
        };
        Ok(Ok(Observed {
            policy,
            view,
            old,
            snapshot,
            channels,
            // Probes may have taken minutes.
            now: (self.clock)(),
            trigger,
        }))
    }

    /// What the Secrets of `spec.credentials` hold.
    async fn credential_values(
        &self,
        policy: &ValidatedPolicy,
        key: &ApiKey,
    ) -> Result<CredentialValues, KubernetesError> {
        let mut credential_values = CredentialValues::default();
        for wanted in policy.credential_uses() {
            let (namespace, project) = (&policy.at.namespace, policy.project.id);
            let read = self.kubernetes.source_secret(namespace, &wanted, project);
            let value = match read.await {
                Ok(value) => Ok(value),
                Err(SecretError::Refused(refused)) => Err(refused.message),
                Err(SecretError::Unread(error)) => return Err(error),
            };
            credential_values.add(wanted, value, key);
        }
        Ok(credential_values)
    }
}
