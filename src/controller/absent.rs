//! Namespaces that are to be watched and do not exist. Nothing is in them, so nobody has to wait for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::sync::mpsc;

use super::{context::Context, timed};
use crate::report::Metrics;

/// How often a namespace that does not exist is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How often it is checked that a namespace exists, besides when a watch fails: a watch that has begun outlives its rights by minutes.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// How often the same failure of a watch is logged.
const SAY_AGAIN: Duration = Duration::from_mins(10);

/// The listed namespaces that do not exist. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Absent(Arc<Mutex<BTreeSet<String>>>);

impl Absent {
    /// True if the namespace is known not to exist.
    #[must_use]
    pub fn contains(&self, namespace: &str) -> bool {
        self.names().contains(namespace)
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.names().iter().cloned().collect()
    }

    /// Notes, logs and shows in the metrics that a namespace does not exist.
    pub(super) fn note(&self, namespace: &str, metrics: &Metrics) {
        if self.names().insert(namespace.to_owned()) {
            metrics.namespace_missing(namespace, true);
            tracing::warn!(
                "namespace {namespace} does not exist: its policies are gone, the other namespaces go on. Create it, or remove it from --namespace"
            );
        }
    }

    fn forget(&self, namespace: &str, metrics: &Metrics) {
        if self.names().remove(namespace) {
            metrics.namespace_missing(namespace, false);
            tracing::info!("namespace {namespace} exists again");
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True only if the API server says that the namespace does not exist: whoever may not ask knows nothing.
pub(super) async fn is_missing(client: &Client, metrics: &Metrics, namespace: &str) -> bool {
    let api: Api<Namespace> = Api::all(client.clone());
    let get = api.get_metadata(namespace);
    let answer = timed::kubernetes(metrics, "get_namespace", namespace, get).await;
    match answer {
        Err(kube::Error::Api(status)) => {
            let named = status.details.as_ref().map(|about| about.name.as_str());
            status.code == 404 && status.reason == "NotFound" && named == Some(namespace)
        }
        Ok(_) | Err(_) => false,
    }
}

/// Hears why watches of one scope fail: counts and logs it, and finds out whether their namespace is gone. Ends with the scope.
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
            context.rivals.keep(|at| at.namespace != *namespace);
            until_it_exists(namespace, &client, &context).await;
            // What failed meanwhile is explained.
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
        tokio::time::sleep(LOOK_AGAIN).await;
        if !is_missing(client, metrics, namespace).await {
            context.absent.forget(namespace, metrics);
        }
    }
}
