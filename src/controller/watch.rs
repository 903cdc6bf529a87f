//! Watches of policies and Secrets, lean in memory, and what they trigger.

use std::iter;

use futures::{Stream, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Predicate, PredicateConfig, WatchStreamExt, predicates,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, InitialListStrategy, watcher},
    },
};

use super::{backoff::WatchBackoff, kubernetes::Watched};
use crate::api::{
    WarehouseSyncPolicy, WarehouseSyncPolicyStatus, names::USE_LABEL, policy::Credentials,
    status::State, validated::PolicyRef,
};

/// How many objects are in memory at a time of a first list that is not streamed.
const PAGE: u32 = 100;

/// Of watches whose first list is given so.
pub fn config(lists: &InitialListStrategy) -> watcher::Config {
    watcher::Config {
        initial_list_strategy: lists.clone(),
        ..watcher::Config::default().page_size(PAGE)
    }
}

/// Policies, as triggers of reconciles: a change of spec or annotations, not of status or labels. `told` hears every event, after the
/// store has.
pub fn policies(
    api: Api<Watched>,
    config: watcher::Config,
    writer: Writer<Watched>,
    told: impl Fn(&watcher::Event<Watched>) + Send + 'static,
) -> impl Stream<Item = watcher::Result<Watched>> + Send {
    watcher(api, config)
        .backoff(WatchBackoff::default())
        .modify(strip)
        .reflect(writer)
        .inspect_ok(told)
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::annotations),
            PredicateConfig::default(),
        )
}

/// Labelled Secrets, without their data, at every change; `listed` is told of every complete list.
pub fn secrets(
    api: Api<PartialObjectMeta<Secret>>,
    config: watcher::Config,
    writer: Writer<PartialObjectMeta<Secret>>,
    listed: impl Fn() + Send + 'static,
) -> impl Stream<Item = watcher::Result<PartialObjectMeta<Secret>>> + Send {
    watcher(api, config.labels(USE_LABEL))
        .backoff(WatchBackoff::default())
        .modify(|secret| {
            secret.managed_fields_mut().clear();
            secret.annotations_mut().clear();
        })
        .reflect(writer)
        .inspect_ok(move |event| {
            if matches!(event, watcher::Event::InitDone) {
                listed();
            }
        })
        .touched_objects()
        .predicate_filter(predicates::resource_version, PredicateConfig::default())
}

/// Keeps of a policy what other policies must know of it: 10,000 of them must fit into little memory.
fn strip(policy: &mut Watched) {
    let Ok(policy) = &mut policy.0 else { return };
    policy.metadata.managed_fields = None;
    if let Some(status) = policy.status.take() {
        policy.status = Some(WarehouseSyncPolicyStatus {
            incidents: status.incidents,
            state: State {
                format: status.state.format,
                sends: status.state.sends,
                ..State::default()
            },
            ..Default::default()
        });
    }
}

/// Where a watched policy is.
pub fn at(policy: &Watched) -> PolicyRef {
    PolicyRef {
        namespace: policy.namespace().unwrap_or_default(),
        name: policy.name_any(),
    }
}

/// The policies whose API key, credentials of sources or receivers are in `secret`.
pub fn users_of(
    secret: &PartialObjectMeta<Secret>,
    policies: &Store<Watched>,
) -> Vec<ObjectRef<Watched>> {
    let namespace = secret.namespace();
    let name = secret.name_any();
    let names = |policy: &WarehouseSyncPolicy| {
        let entries = policy.spec.credentials.iter();
        let mut inputs = entries.flat_map(Credentials::inputs);
        let receivers = policy.spec.notifications.iter();
        let mut receivers =
            receivers.flat_map(|one| iter::once(&one.secret_ref).chain(&one.hmac_secret_ref));
        policy.spec.posthog.api_key_secret_ref.name == name
            || inputs.any(|input| input.secret_ref.name == name)
            || receivers.any(|at| at.name == name)
    };
    let uses = |policy: &WarehouseSyncPolicy| policy.namespace() == namespace && names(policy);
    let policies = policies.state();
    policies
        .iter()
        .filter(|policy| policy.0.as_ref().is_ok_and(uses))
        .map(|policy| ObjectRef::from_obj(&**policy))
        .collect()
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
