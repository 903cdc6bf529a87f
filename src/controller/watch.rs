//! Watches of policies and Secrets, lean in memory.

use futures::{Stream, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        PredicateConfig, WatchStreamExt, predicates,
        reflector::store::Writer,
        watcher::{self, watcher},
    },
};

use super::{backoff::WatchBackoff, watched::Watched};
use crate::api::names::USE_LABEL;

/// How many objects of a first list are in memory at a time.
const PAGE: u32 = 100;

/// Lists are read in pages, not streamed: it takes the API server less processor time, and every version can do it.
fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

/// Policies.
pub fn policies(
    api: Api<Watched>,
) -> impl Stream<Item = watcher::Result<watcher::Event<Watched>>> + Send {
    watcher(api, config()).backoff(WatchBackoff::default())
}

/// Labelled Secrets, without their data, at every change; `heard` is called for every event.
pub fn secrets(
    api: Api<PartialObjectMeta<Secret>>,
    writer: Writer<PartialObjectMeta<Secret>>,
    heard: impl Fn(&watcher::Event<PartialObjectMeta<Secret>>) + Send + 'static,
) -> impl Stream<Item = watcher::Result<PartialObjectMeta<Secret>>> + Send {
    watcher(api, config().labels(USE_LABEL))
        .backoff(WatchBackoff::default())
        .modify(|secret| {
            secret.managed_fields_mut().clear();
            secret.annotations_mut().clear();
        })
        .reflect(writer)
        .inspect_ok(heard)
        .touched_objects()
        .predicate_filter(predicates::resource_version, PredicateConfig::default())
}

/// One scope of watches: a namespace, or all.
pub fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    namespace.map_or_else(
        || Api::all(client.clone()),
        |namespace| Api::namespaced(client.clone(), namespace),
    )
}
