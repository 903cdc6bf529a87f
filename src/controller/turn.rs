//! One turn of a policy: reconciled if this process leads, and when it comes again.

use std::time::{Duration, Instant};

use super::context::Context;
use crate::{
    api::validated::PolicyRef,
    report::{KubernetesError, metrics::ReconcileOutcome},
};

/// How soon a policy is reconciled again whose namespace does not exist.
const CHECK_NAMESPACE: Duration = Duration::from_mins(1);
/// How soon a skipped policy is checked again, and logged again.
const LEFT_ALONE: Duration = Duration::from_mins(10);

/// Reconciles a policy if this process leads; when it is due again, if nothing changes before.
pub(super) async fn turn(at: &PolicyRef, context: &Context) -> Option<Duration> {
    let again_in = reconcile(at, context).await;
    again_in.unwrap_or_else(|error| after_error(at, &error, context))
}

async fn reconcile(at: &PolicyRef, context: &Context) -> Result<Option<Duration>, KubernetesError> {
    // A standby does nothing. When it leads, every policy is triggered.
    if !context.leads() {
        return Ok(None);
    }
    if context.absent.contains(&at.namespace) {
        // The watch may not have seen it go.
        context.reconciler.forget(at);
        context.succeeded(at);
        return Ok(Some(CHECK_NAMESPACE));
    }
    let Some(policies) = context.scope_of(at).filter(|policies| policies.knows(at)) else {
        context.succeeded(at);
        return Ok(None);
    };
    if let Some(unreadable) = policies.unreadable(at) {
        return Err(context.not_understood(at, &unreadable).await);
    }
    let started = Instant::now();
    // Boxed: the futures of a reconcile add up.
    let done = Box::pin(context.reconciler.reconcile(at)).await;
    context.reconciler.metrics.reconcile_took(started.elapsed());
    // It may have been deleted, or taken over by another replica, during the reconcile: then nothing of it may remain.
    if context.is_gone(at) || !context.leads() {
        context.reconciler.forget(at);
    }
    let done = done?;
    for other in &done.trigger {
        context.queue.trigger(other);
    }
    context.succeeded(at);
    context.count(done.outcome);
    Ok(done.again_in.map(|wait| jittered(wait.unsigned_abs(), at)))
}

fn after_error(at: &PolicyRef, error: &KubernetesError, context: &Context) -> Option<Duration> {
    match error {
        // Someone changed the object during the reconcile: reconcile again.
        KubernetesError::Conflict(_) => {
            context.count(ReconcileOutcome::Conflict);
            tracing::debug!(policy = %at, "{error}");
            Some(jittered(Duration::from_millis(200), at))
        }
        KubernetesError::Gone(_) => {
            context.count(ReconcileOutcome::Gone);
            None
        }
        KubernetesError::NotLeading(_) => {
            context.count(ReconcileOutcome::NotLeading);
            tracing::info!(policy = %at, "{error}");
            None
        }
        KubernetesError::NotUnderstood { .. } => {
            context.count(ReconcileOutcome::NotUnderstood);
            tracing::error!(policy = %at, "{error}");
            Some(jittered(LEFT_ALONE, at))
        }
        KubernetesError::OtherWriter { .. } => {
            context.count(ReconcileOutcome::OtherWriter);
            tracing::error!(policy = %at, "{error}");
            Some(jittered(LEFT_ALONE, at))
        }
        KubernetesError::Failed { .. } => {
            context.count(ReconcileOutcome::Failed);
            let wait = context.back_off(at);
            tracing::warn!(policy = %at, "{error}; retrying in {} s", wait.as_secs());
            Some(jittered(wait, at))
        }
    }
}

/// Up to 5 % earlier, by the policy's name, so that policies that were made together do not poll together forever.
fn jittered(wait: Duration, at: &PolicyRef) -> Duration {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    at.hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 50).unwrap_or(0);
    wait.saturating_sub(wait * share / 1_000)
}
