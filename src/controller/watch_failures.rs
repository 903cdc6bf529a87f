//! Failures of watches: counted per watcher, logged once, and explained where the namespace was deleted.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use kube::Client;
use tokio::sync::mpsc;

use super::{absent::is_missing, context::Context};

/// How often a namespace that does not exist is looked for.
const CHECK_AGAIN: Duration = Duration::from_secs(2);
/// How often it is checked that a namespace exists, in addition to each failure of a watch: an open watch outlives its rights by minutes.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// How often the same failure of a watch is logged.
const SAY_AGAIN: Duration = Duration::from_mins(10);

/// Receives why watches of one scope fail: counts and logs it, and checks whether their namespace still exists. Ends with the scope.
pub(super) async fn mind(
    namespace: Option<String>,
    client: Client,
    context: Arc<Context>,
    mut failures: mpsc::Receiver<String>,
) {
    let metrics = &context.reconciler.metrics;
    let mut logged: BTreeMap<String, Instant> = BTreeMap::new();
    if let Some(namespace) = &namespace {
        until_it_exists(namespace, &client, &context).await;
    }
    loop {
        let failed = match tokio::time::timeout(CHECK_EVERY, failures.recv()).await {
            Ok(None) => return,
            Ok(Some(why)) => Some(why),
            Err(_) => None,
        };
        if let Some(namespace) = &namespace
            && is_missing(&client, metrics, namespace).await
        {
            context.absent.note(namespace, metrics);
            context
                .other_policies
                .keep(|at| *at.namespace != **namespace);
            until_it_exists(namespace, &client, &context).await;
            // What failed during that time is explained.
            while failures.try_recv().is_ok() {}
            continue;
        }
        logged.retain(|_, at| at.elapsed() < SAY_AGAIN);
        if let Some(why) = failed
            && !logged.contains_key(&why)
        {
            tracing::warn!("a watch failed and is restarted: {why}");
            logged.insert(why, Instant::now());
        }
    }
}

async fn until_it_exists(namespace: &str, client: &Client, context: &Context) {
    let metrics = &context.reconciler.metrics;
    while context.absent.contains(namespace) {
        tokio::time::sleep(CHECK_AGAIN).await;
        if !is_missing(client, metrics, namespace).await {
            context.absent.forget(namespace, metrics);
        }
    }
}
