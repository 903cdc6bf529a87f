//! Watches of policies and Secrets, lean in memory.

use futures::{Stream, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        PredicateConfig, WatchStreamExt, predicates,
        reflector::store::Writer,
        watcher::{self, InitialListStrategy, watcher},
    },
};

use super::{backoff::WatchBackoff, watched::Watched};
use crate::api::names::USE_LABEL;

/// How many objects are in memory at a time of a first list that is not streamed.
const PAGE: u32 = 100;

/// Of watches whose first list is given so.
pub fn config(lists: &InitialListStrategy) -> watcher::Config {
    watcher::Config {
        initial_list_strategy: lists.clone(),
        ..watcher::Config::default().page_size(PAGE)
    }
}

/// Policies.
pub fn policies(
    api: Api<Watched>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<watcher::Event<Watched>>> + Send {
    watcher(api, config).backoff(WatchBackoff::default())
}

/// Labelled Secrets, without their data, at every change; `heard` is called for every event.
pub fn secrets(
    api: Api<PartialObjectMeta<Secret>>,
    config: watcher::Config,
    writer: Writer<PartialObjectMeta<Secret>>,
    heard: impl Fn(&watcher::Event<PartialObjectMeta<Secret>>) + Send + 'static,
) -> impl Stream<Item = watcher::Result<PartialObjectMeta<Secret>>> + Send {
    watcher(api, config.labels(USE_LABEL))
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
