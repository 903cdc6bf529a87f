//! The end of a reconcile that could not poll: the reason is reported, and approvals are remembered.

use jiff::SignedDuration;

use super::{
    observed::FailedPoll,
    reconciler::{Reconciled, Reconciler},
};
use crate::{
    api::WarehouseSyncPolicy,
    decide::proposal,
    posthog::{Transport, redact},
    report::{
        Kubernetes, KubernetesError, StatusWriter, compose, metrics::ReconcileOutcome,
        notifications::Channels,
    },
};

/// A failed poll is retried within this time.
const RETRY: SignedDuration = SignedDuration::from_secs(30);

impl<T: Transport, K: Kubernetes> Reconciler<T, K> {
    /// The end of a reconcile that could not poll.
    pub(super) async fn poll_failed(
        &self,
        object: &WarehouseSyncPolicy,
        failed: FailedPoll,
        writer: &mut StatusWriter<'_, K>,
    ) -> Result<Reconciled, KubernetesError> {
        let FailedPoll {
            not_ready,
            policy,
            trigger,
        } = failed;
        let at = &writer.at().clone();
        let now = (self.clock)();
        let generation = object.metadata.generation.unwrap_or_default();
        let channels = match &policy {
            Some(policy) => self.channels(policy).await,
            None => Channels::default(),
        };
        let mut old = writer.written().clone();
        self.outbox.complete(at, &mut old.state.announced);
        let mut status = compose::poll_failed(
            policy.as_ref(),
            generation,
            &old,
            &not_ready,
            &channels,
            now,
        );
        if let Some(policy) = &policy {
            // An annotation may have been removed by the time that PostHog can be polled again.
            let guard = self.kubernetes.approval_guard().await?;
            let notes = proposal::latch(policy, &guard, self.approvals, &mut status, now);
            for note in notes {
                status.remember(now, redact::one_line(&note, 240));
            }
        }
        self.decision_log.poll_failed(at, &not_ready);
        writer.write(status, now).await?;
        writer.publish().await;
        if let Some(policy) = &policy {
            self.hand_to_outbox(policy, writer.written(), &channels);
        }
        let interval = policy.map_or(RETRY, |policy| policy.interval);
        let again_in = if not_ready.reason.stalls() {
            interval
        } else {
            interval.min(RETRY)
        };
        self.check_leads(at)?;
        let gauges = &self.metrics.gauges;
        gauges.poll_failed(at, object, writer.written(), (now, again_in));
        Ok(Reconciled {
            again_in: Some(again_in),
            outcome: ReconcileOutcome::PollFailed,
            trigger,
        })
    }
}
