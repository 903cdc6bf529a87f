//! Reconciles policies when they are due, many at a time.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::watch as signal;

use super::{context::Context, slots::Slots, stop::stopped_now, turn::turn};
use crate::{
    api::{host::Host, validated::PolicyRef},
    posthog::redact,
    report::{Metrics, metrics::ReconcileOutcome},
};

/// Reconciles at a time. Many, because one that waits for a slow PostHog must not hold up the others; not more, because each takes
/// some 30 KiB, and at the start all are due.
const CONCURRENT: usize = 500;
/// Of these, reconciles of policies on one host. The rest is for the other hosts while that one answers slowly.
const OF_HOST: usize = 400;

/// How soon it is checked again whether all policies are known. It takes a moment at the start, and after a namespace was created.
const CHECK_AGAIN: Duration = Duration::from_millis(50);

/// How soon a policy is reconciled again whose reconcile has panicked.
const AFTER_PANIC: Duration = Duration::from_mins(1);

/// Reconciles what is due, until it is stopped and all reconciles that run have ended.
pub(super) async fn run(context: Arc<Context>, stopped: signal::Receiver<bool>) {
    let mut running = FuturesUnordered::new();
    let mut slots = Slots::new(OF_HOST);
    let mut stopped = std::pin::pin!(stopped_now(stopped));
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(host) = running.next() => {
                let host: Option<Host> = host;
                if let Some(at) = slots.end(host.as_ref()) {
                    running.push(reconciled(at, host, context.clone()));
                }
            }
            at = due(&context), if running.len() < CONCURRENT => {
                let host = context.other_policies.host_of(&at);
                if let Some(at) = slots.start(at, host.as_ref()) {
                    running.push(reconciled(at, host, context.clone()));
                }
            }
        }
    }
    while running.next().await.is_some() {}
}

/// The next policy that is due. Nothing is due before all policies are known: one of another namespace may own a table.
async fn due(context: &Context) -> PolicyRef {
    while !context.knows_all() {
        tokio::time::sleep(CHECK_AGAIN).await;
    }
    context.queue.next().await
}

/// Reconciles a policy. Returns the host that has room again.
async fn reconciled(at: PolicyRef, host: Option<Host>, context: Arc<Context>) -> Option<Host> {
    let (own, of_task) = (at.clone(), context.clone());
    let turn = async move { turn(&own, &of_task).await };
    let again_in = survived(&at, &context.reconciler.metrics, turn).await;
    context.queue.done(&at, again_in);
    host
}

/// When the policy is due again. Its turn has a task of its own, so that a panic ends nothing else.
async fn survived(
    at: &PolicyRef,
    metrics: &Metrics,
    turn: impl Future<Output = Option<Duration>> + Send + 'static,
) -> Option<Duration> {
    tokio::spawn(turn).await.unwrap_or_else(|panicked| {
        metrics.reconciled(ReconcileOutcome::Panicked);
        tracing::error!(
            policy = %at,
            "the reconcile ended by a bug: {}; retrying in {} s",
            redact::text(&panicked.to_string(), 200),
            AFTER_PANIC.as_secs()
        );
        Some(AFTER_PANIC)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_one_turn_and_is_counted_and_retried() {
        let metrics = Metrics::default();
        let at = |name: &str| PolicyRef {
            namespace: "team".into(),
            name: name.into(),
        };
        let (broken, well) = (at("broken"), at("well"));
        let minute = Some(Duration::from_mins(1));
        let (first, second) = tokio::join!(
            survived(&broken, &metrics, async { panic!("no table 7") }),
            survived(&well, &metrics, async move {
                tokio::task::yield_now().await;
                minute
            }),
        );
        assert_eq!((first, second), (Some(AFTER_PANIC), minute));
        let text = metrics.encode(jiff::Timestamp::UNIX_EPOCH).unwrap();
        let counted = "warehouse_sync_reconciles_total{outcome=\"panicked\"} 1";
        assert!(text.contains(counted), "{text}");
    }
}
