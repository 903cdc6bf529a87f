//! What is watched together: the policies and labelled Secrets of a namespace, or all.

use std::sync::Arc;

use futures::{StreamExt, future};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        reflector::{self, Store, store::Writer},
        watcher,
    },
};
use tokio::sync::{mpsc as failures, watch as signal};

use super::{
    ProcessHealth, context::Context, health::in_namespace, policies::Policies,
    startup::ClusterClients, stop::stopped_now, timed, watch, watch_failures, watched::Watched,
};

/// What is watched together: a namespace, or everything.
pub(super) struct Scope {
    pub(super) policies: Arc<Policies>,
    pub(super) secrets: Store<PartialObjectMeta<Secret>>,
    secrets_writer: Writer<PartialObjectMeta<Secret>>,
}

impl Scope {
    pub(super) fn new(namespace: Option<String>) -> Self {
        let (secrets, secrets_writer) = reflector::store();
        Self {
            policies: Arc::new(Policies::new(namespace)),
            secrets,
            secrets_writer,
        }
    }

    /// The first lists of this scope, as readiness names them.
    pub(super) fn lists(&self) -> [String; 2] {
        let scope = in_namespace(self.policies.namespace.as_deref());
        [
            format!("the first list of policies {scope}"),
            format!("the first list of labelled Secrets {scope}"),
        ]
    }
}

/// Watches one scope until it is stopped, and triggers reconciles of what changes.
pub(super) fn follow(
    scope: Scope,
    clients: &ClusterClients,
    context: Arc<Context>,
    health: ProcessHealth,
    stopped: signal::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    let [policies_list, secrets_list] = scope.lists();
    let Scope {
        policies,
        secrets: _,
        secrets_writer,
    } = scope;
    let namespace = policies.namespace.as_deref();
    // One pending check is enough.
    let (failed, failures) = failures::channel(1);
    let minded = watch_failures::mind(
        policies.namespace.clone(),
        clients.calls.clone(),
        context.clone(),
        failures,
    );
    let config = watch::config(&clients.lists);
    let policies_api = watch::api(&clients.watches, namespace);
    let policy_events = watch::policies(policies_api, config.clone());
    let secrets_api = watch::api(&clients.watches, namespace);
    let secrets_health = health.clone();
    let secret_events = watch::secrets(secrets_api, config, secrets_writer, move |event| {
        secrets_health.heard(event, &secrets_list);
    });
    let fails = {
        let context = context.clone();
        move |error: watcher::Error| {
            context.reconciler.metrics.watch_failures.inc();
            if !timed::has_expired(&error) {
                let _ = failed.try_send(timed::reason(&error));
            }
        }
    };
    async move {
        let hear = policy_events.for_each(|event| {
            match event {
                Ok(event) => {
                    health.heard(&event, &policies_list);
                    hear(event, &policies, &context);
                }
                Err(error) => fails(error),
            }
            future::ready(())
        });
        let users = secret_events.for_each(|secret| {
            match secret {
                Ok(secret) => trigger_users(&secret, &policies, &context),
                Err(error) => fails(error),
            }
            future::ready(())
        });
        tokio::select! {
            () = hear => {}
            () = users => {}
            () = minded => {}
            () = stopped_now(stopped) => {}
        }
    }
}

/// What an event of the watch of policies changes, and whether a reconcile is due: not after a change of status or labels.
fn hear(event: watcher::Event<Watched>, policies: &Policies, context: &Context) {
    match event {
        watcher::Event::Init => policies.begin_list(),
        watcher::Event::InitApply(policy) => {
            policies.list(&policy.at);
            note(&policy, policies, context);
        }
        watcher::Event::Apply(policy) => note(&policy, policies, context),
        watcher::Event::Delete(policy) => {
            policies.forget(&policy.at);
            context.forget(&policy.at);
        }
        watcher::Event::InitDone => {
            for gone in policies.end_list() {
                context.forget(&gone);
            }
        }
    }
}

fn note(policy: &Watched, policies: &Policies, context: &Context) {
    context.other_policies.note(policy);
    if policies.note(policy) {
        context.queue.trigger(&policy.at);
    }
}

fn trigger_users(secret: &PartialObjectMeta<Secret>, policies: &Policies, context: &Context) {
    let namespace = secret.namespace().unwrap_or_default();
    for at in policies.users_of(&namespace, &secret.name_any()) {
        context.queue.trigger(&at);
    }
}
