//! Watched namespaces that do not exist. They are empty, so nothing waits for them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

use super::timed;
use crate::report::Metrics;

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
                "namespace {namespace} does not exist: its policies are no longer watched; the other namespaces still are. Create it, or remove it from --namespace"
            );
        }
    }

    pub(super) fn forget(&self, namespace: &str, metrics: &Metrics) {
        if self.names().remove(namespace) {
            metrics.namespace_missing(namespace, false);
            tracing::info!("namespace {namespace} exists again");
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True only if the API server says that the namespace does not exist. Without the right to read it, the answer is unknown.
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
