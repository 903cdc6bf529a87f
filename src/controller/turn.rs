//! One turn of a policy: reconciled if this process leads, and when it comes again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kube::runtime::controller::Action;

use super::{context::Context, for_others, watched::Watched};
use crate::{
    api::validated::PolicyRef,
    report::{KubernetesError, metrics::ReconcileOutcome},
};

/// How soon a policy is reconciled again while not all policies are known.
const CHECK_AGAIN: Duration = Duration::from_secs(1);
/// How soon a policy is reconciled again whose namespace does not exist.
const CHECK_NAMESPACE: Duration = Duration::from_mins(1);
/// How soon a skipped policy is checked again, and logged again.
const LEFT_ALONE: Duration = Duration::from_mins(10);

pub(super) async fn reconcile(
    policy: Arc<Watched>,
    context: Arc<Context>,
) -> Result<Action, KubernetesError> {
    // A standby does nothing. When it leads, every policy is triggered.
    if !context.leads() {
        return Ok(Action::await_change());
    }
    if !context.knows_all() {
        return Ok(Action::requeue(CHECK_AGAIN));
    }
    let at = for_others::at(&*policy);
    if context.absent.contains(&at.namespace) {
        // The watch may not have seen it go.
        context.reconciler.forget(&at);
        context.succeeded(&at);
        return Ok(Action::requeue(CHECK_NAMESPACE));
    }
    if let Some(why) = &policy.unreadable {
        return Err(context.not_understood(&policy, why).await);
    }
    let started = Instant::now();
    // Boxed: the futures of a reconcile add up.
    let done = Box::pin(context.reconciler.reconcile(&at)).await;
    context.reconciler.metrics.reconcile_took(started.elapsed());
    // It may have been deleted, or taken over by another replica, during the reconcile: then nothing of it may remain.
    if context.is_gone(&at) || !context.leads() {
        context.reconciler.forget(&at);
    }
    let done = done?;
    for other in done.trigger {
        context.trigger(&other);
    }
    context.succeeded(&at);
    context.count(done.outcome);
    Ok(done.again_in.map_or_else(Action::await_change, |wait| {
        Action::requeue(jittered(wait.unsigned_abs(), &at))
    }))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub(super) fn on_error(
    policy: Arc<Watched>,
    error: &KubernetesError,
    context: Arc<Context>,
) -> Action {
    let at = for_others::at(&*policy);
    match error {
        // Someone changed the object during the reconcile: reconcile again.
        KubernetesError::Conflict(_) => {
            context.count(ReconcileOutcome::Conflict);
            tracing::debug!(policy = %at, "{error}");
            Action::requeue(jittered(Duration::from_millis(200), &at))
        }
        KubernetesError::Gone(_) => {
            context.count(ReconcileOutcome::Gone);
            Action::await_change()
        }
        KubernetesError::NotLeading(_) => {
            context.count(ReconcileOutcome::NotLeading);
            tracing::info!(policy = %at, "{error}");
            Action::await_change()
        }
        KubernetesError::NotUnderstood { .. } => {
            context.count(ReconcileOutcome::NotUnderstood);
            tracing::error!(policy = %at, "{error}");
            Action::requeue(jittered(LEFT_ALONE, &at))
        }
        KubernetesError::OtherWriter { .. } => {
            context.count(ReconcileOutcome::OtherWriter);
            tracing::error!(policy = %at, "{error}");
            Action::requeue(jittered(LEFT_ALONE, &at))
        }
        KubernetesError::Failed { .. } => {
            context.count(ReconcileOutcome::Failed);
            let wait = context.back_off(&at);
            tracing::warn!(policy = %at, "{error}; retrying in {} s", wait.as_secs());
            Action::requeue(jittered(wait, &at))
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
