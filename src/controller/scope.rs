//! What is watched together, and the controller over it.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, channel::mpsc, future};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    core::PartialObjectMeta,
    runtime::{
        Controller, controller,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use tokio::sync::{mpsc as failures, watch as signal};

use super::{
    ProcessHealth,
    backoff::TriggerBackoff,
    context::{Context, Trigger, knows},
    for_others,
    health::in_namespace,
    startup::ClusterClients,
    stop::stopped_now,
    timed,
    turn::{on_error, reconcile},
    watch, watch_failures,
    watched::Watched,
};
use crate::api::validated::PolicyRef;

/// Reconciles at a time. Many, because one that waits for a slow PostHog must not hold up the others; not more, because each takes
/// some 30 KiB, and at the start all are due.
const CONCURRENT: u16 = 500;

/// What is watched together: a namespace, or everything.
pub(super) struct Scope {
    pub(super) namespace: Option<String>,
    pub(super) policies: Store<Watched>,
    policies_writer: Writer<Watched>,
    pub(super) secrets: Store<PartialObjectMeta<Secret>>,
    secrets_writer: Writer<PartialObjectMeta<Secret>>,
    triggered: mpsc::UnboundedReceiver<ObjectRef<Watched>>,
    pub(super) trigger: Trigger,
}

impl Scope {
    pub(super) fn new(namespace: Option<String>) -> Self {
        let (policies, policies_writer) = reflector::store();
        let (secrets, secrets_writer) = reflector::store();
        let (trigger, triggered) = mpsc::unbounded();
        Self {
            namespace,
            policies,
            policies_writer,
            secrets,
            secrets_writer,
            triggered,
            trigger,
        }
    }

    /// The first lists of this scope, as readiness names them.
    pub(super) fn lists(&self) -> [String; 2] {
        let scope = in_namespace(self.namespace.as_deref());
        [
            format!("the first list of policies {scope}"),
            format!("the first list of labelled Secrets {scope}"),
        ]
    }
}

/// One controller over one scope, until it is stopped. Before it has listed its policies, it has started nothing; and kube's controller waits for
/// that list before it ends.
pub(super) fn control(
    scope: Scope,
    clients: &ClusterClients,
    context: Arc<Context>,
    health: ProcessHealth,
    stopped: signal::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    let [policies_listed, secrets_listed] = scope.lists();
    let Scope {
        namespace,
        policies,
        policies_writer,
        secrets: _,
        secrets_writer,
        triggered,
        trigger: _,
    } = scope;
    let (failed, failures) = failures::channel(1);
    let minded = watch_failures::mind(
        namespace.clone(),
        clients.calls.clone(),
        context.clone(),
        failures,
    );
    let metrics = context.reconciler.metrics.clone();
    let listed = policies.clone();
    let unlisted = {
        let stopped = stopped.clone();
        async move {
            stopped_now(stopped).await;
            if listed.wait_until_ready().now_or_never().is_some() {
                future::pending::<()>().await;
            }
        }
    };
    let namespace = namespace.as_deref();
    let heard = hear(&context, &policies, &health, policies_listed, namespace);
    let config = watch::config(&clients.lists);
    let policies_api = watch::api(&clients.watches, namespace);
    let policy_events = watch::policies(policies_api, config.clone(), policies_writer, heard);
    let secrets_api = watch::api(&clients.watches, namespace);
    let secret_events = watch::secrets(secrets_api, config, secrets_writer, move || {
        health.done(&secrets_listed);
    });
    let users = policies.clone();
    let controller = Controller::for_stream(policy_events, policies)
        .watches_stream(secret_events, move |secret| {
            watch::users_of(&secret, &users)
        })
        .reconcile_on(triggered)
        .with_config(controller::Config::default().concurrency(CONCURRENT))
        .trigger_backoff(TriggerBackoff)
        .graceful_shutdown_on(stopped_now(stopped))
        .run(reconcile, on_error, context)
        .for_each(move |result| {
            // Errors of reconciles are logged where they occur; here are those of watches.
            if let Err(
                error @ (controller::Error::QueueError(_) | controller::Error::RunnerError(_)),
            ) = result
            {
                metrics.watch_failures.inc();
                // One pending check is enough.
                let _ = failed.try_send(timed::reason(&error));
            }
            future::ready(())
        });
    async move {
        tokio::select! {
            () = controller => {}
            () = unlisted => {}
            // It ends after the controller has, whose failures it hears.
            () = minded => {}
        }
    }
}

/// What a watch of policies updates, apart from triggering reconciles.
fn hear(
    context: &Arc<Context>,
    policies: &Store<Watched>,
    health: &ProcessHealth,
    listed: String,
    namespace: Option<&str>,
) -> impl Fn(&watcher::Event<Watched>) + Send + use<> {
    let (context, policies, health) = (context.clone(), policies.clone(), health.clone());
    let namespace = namespace.map(str::to_owned);
    move |event| {
        let other_policies = &context.other_policies;
        match event {
            watcher::Event::Init => {}
            watcher::Event::Apply(policy) | watcher::Event::InitApply(policy) => {
                other_policies.note(policy);
            }
            watcher::Event::Delete(policy) => {
                let gone = for_others::at(policy);
                other_policies.forget(&gone);
                context.reconciler.forget(&gone);
            }
            watcher::Event::InitDone => {
                let is_here =
                    |at: &PolicyRef| namespace.as_ref().is_none_or(|here| *here == at.namespace);
                other_policies.keep(|at| !is_here(at) || knows(&policies, at));
                health.done(&listed);
            }
        }
    }
}
