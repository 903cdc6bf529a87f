//! The long-running operator: clients, watches, one controller for each scope, health, shutdown.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, channel::mpsc, future, stream::FuturesUnordered};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Resource,
    core::PartialObjectMeta,
    runtime::{
        Controller,
        controller::{self, Action},
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use tokio::{
    sync::{oneshot, watch as signal},
    task::JoinHandle,
};

use super::{
    Health, Reconciler,
    backoff::TriggerBackoff,
    kubernetes::Cluster,
    leadership::{Campaign, Election, Leadership},
    postman::Postman,
    rivals::Rivals,
    secrets::ApiKeys,
    startup::{self, Clients, StartError},
    timed::{self, Counted},
    watch,
    watched::{self, Watched},
};
use crate::{
    api::{Timings, validated::PolicyRef},
    decide::{approval, proposal::Seed},
    execute::{Ledger, courier::HttpCourier},
    observe::Observer,
    posthog::{
        authorities::Authorities, client::Clock, guard::HostList, http::HttpTransport, quota::Share,
    },
    report::{
        KubernetesError, Metrics, Story, events,
        metrics::Outcome,
        notifications::{Outbox, outbox::Pace},
    },
};

/// Reconciles at a time. Many, because one that waits for a slow PostHog must not hold up the others; not more, because each takes
/// some 30 KiB, and at the start all are due.
const CONCURRENT: u16 = 500;
/// After the first failure of a pass, and at most.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(1);
/// How soon a policy is looked at again while not all policies are known.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How soon a policy that was left alone is looked at again, and that is said again.
const LEFT_ALONE: Duration = Duration::from_mins(10);
/// How long a reconcile that is under way may take to end after a signal: a call to `PostHog` may last 130 s.
const GRACE: Duration = Duration::from_secs(140);
/// How long the release of the Lease may take after that. Together they are less than the 150 s that a pod is given.
const RELEASE: Duration = Duration::from_secs(5);

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Options {
    /// Namespaces to watch; empty means all.
    pub namespaces: Vec<String>,
    /// Hosts that may get an API key.
    pub hosts: HostList,
    /// Hosts that may be told when a person is needed.
    pub notify_hosts: HostList,
    /// How fast they are told.
    pub notify_pace: Pace,
    /// Certificate authorities that are trusted besides those of the machine.
    pub authorities: Authorities,
    /// Calls that may be sent to one project in an hour.
    pub max_actions_per_hour: usize,
    /// How much of each API key's limits may be used.
    pub quota_share: Share,
    /// Which approvals count.
    pub approvals: approval::Rules,
    /// The Lease by which replicas agree on who leads.
    pub election: Election,
    /// The fixed durations.
    pub timings: Timings,
}

type Real = Reconciler<Counted<HttpTransport>, Cluster>;
type Tell = mpsc::UnboundedSender<ObjectRef<Watched>>;

struct Context {
    reconciler: Real,
    /// Where to send a trigger for a policy: by namespace, or one for all.
    tell: HashMap<Option<String>, Tell>,
    leadership: Leadership,
    /// The stores of the watches.
    policies: Vec<Store<Watched>>,
    /// What they tell of policies to others of the same project.
    rivals: Rivals,
    /// Failures in a row, of policies whose last pass failed.
    failures: Mutex<HashMap<PolicyRef, u32>>,
}

/// What is watched together: a namespace, or everything.
struct Scope {
    namespace: Option<String>,
    policies: Store<Watched>,
    policies_writer: Writer<Watched>,
    secrets: Store<PartialObjectMeta<Secret>>,
    secrets_writer: Writer<PartialObjectMeta<Secret>>,
    told: mpsc::UnboundedReceiver<ObjectRef<Watched>>,
    tell: Tell,
}

impl Scope {
    fn new(namespace: Option<String>) -> Self {
        let (policies, policies_writer) = reflector::store();
        let (secrets, secrets_writer) = reflector::store();
        let (tell, told) = mpsc::unbounded();
        Self {
            namespace,
            policies,
            policies_writer,
            secrets,
            secrets_writer,
            told,
            tell,
        }
    }

    /// The first lists of this scope, as readiness names them.
    fn lists(&self) -> [String; 2] {
        let scope = self.namespace.as_ref().map_or_else(
            || "in all namespaces".to_owned(),
            |namespace| format!("in namespace {namespace}"),
        );
        [
            format!("the first list of policies {scope}"),
            format!("the first list of labelled Secrets {scope}"),
        ]
    }
}

/// Runs until `stop` resolves, then lets what is under way end.
pub async fn run(
    options: Options,
    health: Health,
    metrics: Metrics,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), StartError> {
    let stopped = fan_out(stop);
    let http = HttpTransport::new(options.hosts.clone(), &options.authorities)
        .map_err(|error| StartError::Http(timed::reason(&error)))?;
    let mut clients = startup::clients().await?;
    let namespaces: Vec<Option<String>> = if options.namespaces.is_empty() {
        vec![None]
    } else {
        options.namespaces.iter().cloned().map(Some).collect()
    };
    let pending = |what| health.pending(&[what]);
    clients.lists = tokio::select! {
        lists = startup::wait_for_cluster(&clients, &metrics, &namespaces, pending) => lists,
        () = stopped_now(stopped.clone()) => return Ok(()),
    };
    let scopes: Vec<Scope> = namespaces.into_iter().map(Scope::new).collect();
    // Not before the cluster is as it should be: whoever leads must be able to work.
    let (campaign, leadership) = Campaign::new(
        &clients.calls,
        &clients.namespace,
        &options.election,
        health.clone(),
        metrics.clone(),
    );
    let context = context(&options, http, &clients, &scopes, metrics, leadership);
    let policies = scopes.iter().map(|scope| scope.policies.clone()).collect();
    let follower = tokio::spawn(follow_leadership(context.clone(), policies));
    let (finished, told) = oneshot::channel();
    let mut campaign = tokio::spawn(campaign.run(stopped.clone(), told));
    let postman = tokio::spawn(postman(&options, &context)?.run());
    let controllers = start_controllers(scopes, &clients, &context, &health, &stopped);
    tokio::select! {
        result = all_ended(controllers, &stopped) => result?,
        _ = &mut campaign => return Err(StartError::Ended("the campaign for the Lease")),
        _ = follower => return Err(StartError::Ended("what follows leadership")),
        _ = postman => return Err(StartError::Ended("what sends notifications")),
        nothing_runs = past_grace(stopped.clone(), &health) => if !nothing_runs {
            // The Lease runs out by itself, when what did not end can do no more.
            return Ok(());
        },
    }
    // It fails only if the campaign is over.
    let _ = finished.send(());
    if tokio::time::timeout(RELEASE, campaign).await.is_err() {
        tracing::warn!("the Lease could not be released in time and runs out by itself");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Watches every scope, and reconciles what is in it.
fn start_controllers(
    scopes: Vec<Scope>,
    clients: &Clients,
    context: &Arc<Context>,
    health: &Health,
    stopped: &signal::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let lists: Vec<String> = scopes.iter().flat_map(Scope::lists).collect();
    health.pending(&lists);
    scopes
        .into_iter()
        .map(|scope| {
            let (context, health) = (context.clone(), health.clone());
            tokio::spawn(control(scope, clients, context, health, stopped.clone()))
        })
        .collect()
}

/// Whenever leadership is won, every policy is looked at. What this process remembers of PostHog is old by then, and statuses
/// know more; a standby remembers nothing, and its gauges are empty.
async fn follow_leadership(context: Arc<Context>, policies: Vec<Store<Watched>>) {
    let mut leadership = context.leadership.clone();
    while leadership.changed().await {
        for policy in policies.iter().flat_map(Store::state) {
            let at = watched::at(&*policy);
            context.reconciler.forget(&at);
            if context.leads() {
                context.tell(&at);
            }
        }
    }
}

/// The clock of the system. Milliseconds are what people can read, and more than any decision needs.
#[must_use]
pub fn clock() -> Clock {
    Arc::new(|| {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    })
}

fn context(
    options: &Options,
    http: HttpTransport,
    clients: &Clients,
    scopes: &[Scope],
    metrics: Metrics,
    leadership: Leadership,
) -> Arc<Context> {
    let secrets = scopes.iter().map(|scope| scope.secrets.clone()).collect();
    let policies = scopes.iter().map(|scope| scope.policies.clone()).collect();
    let rivals = Rivals::default();
    let api_keys = ApiKeys::new(clients.calls.clone(), metrics.clone(), secrets);
    let leads = leadership.clone();
    let clock = clock();
    Arc::new(Context {
        reconciler: Reconciler {
            seed: Arc::new(draw_seed),
            max_actions_per_hour: options.max_actions_per_hour,
            approvals: options.approvals,
            observer: Observer::new(Counted::new(http, metrics.clone()), clock.clone())
                .sharing(options.quota_share)
                .through(metrics.gates.clone()),
            kubernetes: Arc::new(Cluster::new(
                clients.calls.clone(),
                metrics.clone(),
                api_keys,
                rivals.clone(),
            )),
            hosts: options.hosts.clone(),
            notify_hosts: options.notify_hosts.clone(),
            outbox: Outbox::default(),
            timings: options.timings,
            ledger: Ledger::default(),
            leads: Arc::new(move |deadline| leads.leads(deadline)),
            metrics,
            story: Story::default(),
            clock,
        },
        failures: Mutex::default(),
        leadership,
        policies,
        rivals,
        tell: scopes
            .iter()
            .map(|scope| (scope.namespace.clone(), scope.tell.clone()))
            .collect(),
    })
}

/// Who sends what the reconciles leave in the outbox.
fn postman(options: &Options, context: &Arc<Context>) -> Result<Postman<HttpCourier>, StartError> {
    let courier = HttpCourier::new(options.notify_hosts.clone(), &options.authorities)
        .map_err(|e| StartError::Http(e.to_string()))?;
    let Reconciler {
        outbox,
        leads,
        clock,
        metrics,
        ..
    } = &context.reconciler;
    let told = context.clone();
    Ok(Postman {
        courier,
        outbox: outbox.clone(),
        pace: options.notify_pace,
        leads: leads.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        tell: Arc::new(move |at| told.tell(at)),
    })
}

/// One controller over one scope, until it is stopped.
fn control(
    scope: Scope,
    clients: &Clients,
    context: Arc<Context>,
    health: Health,
    stopped: signal::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    let [policies_listed, secrets_listed] = scope.lists();
    let Scope {
        namespace,
        policies,
        policies_writer,
        secrets: _,
        secrets_writer,
        told,
        tell: _,
    } = scope;
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
    Controller::for_stream(policy_events, policies)
        .watches_stream(secret_events, move |secret| {
            watch::users_of(&secret, &users)
        })
        .reconcile_on(told)
        .with_config(controller::Config::default().concurrency(CONCURRENT))
        .trigger_backoff(TriggerBackoff)
        .graceful_shutdown_on(stopped_now(stopped))
        .run(reconcile, on_error, context)
        .for_each(|result| {
            // Errors of reconciles are logged where they occur; here are those of watches.
            if let Err(
                error @ (controller::Error::QueueError(_) | controller::Error::RunnerError(_)),
            ) = result
            {
                tracing::warn!(
                    "a watch broke and is started anew: {}",
                    timed::reason(&error)
                );
            }
            future::ready(())
        })
}

/// What a watch of policies tells besides whom to look at.
fn hear(
    context: &Arc<Context>,
    policies: &Store<Watched>,
    health: &Health,
    listed: String,
    namespace: Option<&str>,
) -> impl Fn(&watcher::Event<Watched>) + Send + use<> {
    let (context, policies, health) = (context.clone(), policies.clone(), health.clone());
    let namespace = namespace.map(str::to_owned);
    move |event| {
        let rivals = &context.rivals;
        match event {
            watcher::Event::Init => {}
            watcher::Event::Apply(policy) | watcher::Event::InitApply(policy) => {
                rivals.note(policy);
            }
            watcher::Event::Delete(policy) => {
                let gone = watched::at(policy);
                rivals.forget(&gone);
                context.reconciler.forget(&gone);
            }
            watcher::Event::InitDone => {
                let is_here =
                    |at: &PolicyRef| namespace.as_ref().is_none_or(|here| *here == at.namespace);
                rivals.keep(|at| !is_here(at) || knows(&policies, at));
                health.done(&listed);
            }
        }
    }
}

/// True if the watch knows the policy.
fn knows(policies: &Store<Watched>, at: &PolicyRef) -> bool {
    let object = ObjectRef::new(&at.name).within(&at.namespace);
    policies.get(&object).is_some()
}

async fn reconcile(policy: Arc<Watched>, context: Arc<Context>) -> Result<Action, KubernetesError> {
    // A standby does nothing. When it leads, every policy is triggered.
    if !context.leads() {
        return Ok(Action::await_change());
    }
    if !context.knows_all() {
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    let at = watched::at(&*policy);
    if let Some(why) = &policy.unreadable {
        return Err(context.not_understood(&policy, why).await);
    }
    let begun = Instant::now();
    // Boxed: all that a pass may wait for adds up.
    let done = Box::pin(context.reconciler.reconcile(&at)).await;
    context.reconciler.metrics.reconcile_took(begun.elapsed());
    // It may have gone, or become another's, after the pass has looked: then it must leave nothing behind.
    if context.is_gone(&at) || !context.leads() {
        context.reconciler.forget(&at);
    }
    let done = done?;
    for other in done.tell {
        context.tell(&other);
    }
    context.succeeded(&at);
    context.count(done.outcome);
    Ok(done.again_in.map_or_else(Action::await_change, |wait| {
        Action::requeue(jittered(wait.unsigned_abs(), &at))
    }))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn on_error(policy: Arc<Watched>, error: &KubernetesError, context: Arc<Context>) -> Action {
    let at = watched::at(&*policy);
    match error {
        // Somebody changed the object while it was looked at: look again, at what it is now.
        KubernetesError::Conflict(_) => {
            context.count(Outcome::Conflict);
            tracing::debug!(policy = %at, "{error}");
            Action::requeue(jittered(Duration::from_millis(200), &at))
        }
        KubernetesError::Gone(_) => {
            context.count(Outcome::Gone);
            Action::await_change()
        }
        KubernetesError::NotLeading(_) => {
            context.count(Outcome::NotLeading);
            tracing::info!(policy = %at, "{error}");
            Action::await_change()
        }
        KubernetesError::NotUnderstood { .. } => {
            context.count(Outcome::NotUnderstood);
            tracing::error!(policy = %at, "{error}");
            Action::requeue(jittered(LEFT_ALONE, &at))
        }
        KubernetesError::Failed { .. } => {
            context.count(Outcome::Failed);
            let wait = context.back_off(&at);
            tracing::warn!(policy = %at, "{error}; trying again in {} s", wait.as_secs());
            Action::requeue(jittered(wait, &at))
        }
    }
}

impl Context {
    /// True if this process leads.
    fn leads(&self) -> bool {
        self.leadership.leads(Duration::ZERO).is_some()
    }

    /// True if every first list is there. Before, a policy of another namespace may own a table, and nobody here knows of it.
    fn knows_all(&self) -> bool {
        let is_ready = |store: &Store<Watched>| store.wait_until_ready().now_or_never().is_some();
        self.policies.iter().all(is_ready)
    }

    /// True if no watch knows the policy any more.
    fn is_gone(&self, at: &PolicyRef) -> bool {
        !self.policies.iter().any(|store| knows(store, at))
    }

    /// Says on a policy that it cannot be read: a newer operator may have written values into its status that this one does not know.
    async fn not_understood(&self, policy: &Watched, error: &str) -> KubernetesError {
        let at = watched::at(policy);
        let why = format!(
            "the policy is left alone because this operator cannot read it; a newer one has perhaps written it: {error}"
        );
        self.reconciler.forget(&at);
        let notice = events::left_alone(&why);
        let about = policy.object_ref(&());
        self.reconciler
            .kubernetes
            .publish_about(&about, notice)
            .await;
        KubernetesError::NotUnderstood { at, why }
    }

    /// How long a policy waits after another failure in a row: 2 s, doubling, to 1 min.
    fn back_off(&self, at: &PolicyRef) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(at.clone()).or_insert(0);
        *count += 1;
        FIRST_RETRY
            .saturating_mul(1 << (*count - 1).min(5))
            .min(LAST_RETRY)
    }

    /// A pass that went through ends a row of failures.
    fn succeeded(&self, at: &PolicyRef) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(at);
    }

    fn count(&self, outcome: Outcome) {
        self.reconciler.metrics.reconciled(outcome);
    }

    /// Triggers a reconcile of another policy.
    fn tell(&self, other: &PolicyRef) {
        let to = self
            .tell
            .get(&None)
            .or_else(|| self.tell.get(&Some(other.namespace.clone())));
        if let Some(to) = to {
            // It fails only at shutdown.
            let _ = to.unbounded_send(ObjectRef::new(&other.name).within(&other.namespace));
        }
    }
}

/// Up to 5 % earlier, by the policy's name, so that policies that were made together do not poll together for ever.
fn jittered(wait: Duration, at: &PolicyRef) -> Duration {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    at.hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 50).unwrap_or(0);
    wait.saturating_sub(wait * share / 1_000)
}

/// Waits for every controller; one that ends before it was told to would leave its policies to nobody.
async fn all_ended(
    controllers: Vec<JoinHandle<()>>,
    stopped: &signal::Receiver<bool>,
) -> Result<(), StartError> {
    let mut running: FuturesUnordered<_> = controllers.into_iter().collect();
    while running.next().await.is_some() {
        if !*stopped.borrow() {
            return Err(StartError::Ended("a controller"));
        }
    }
    Ok(())
}

/// Turns one signal into one that many can wait for.
fn fan_out(stop: impl Future<Output = ()> + Send + 'static) -> signal::Receiver<bool> {
    let (sender, receiver) = signal::channel(false);
    tokio::spawn(async move {
        stop.await;
        tracing::info!("stopping: what is under way is brought to an end");
        // Kept alive until the process ends: a dropped sender would look like a signal.
        let _ = sender.send(true);
        sender.closed().await;
    });
    receiver
}

async fn stopped_now(mut stopped: signal::Receiver<bool>) {
    // An error means that the sender is gone, with the runtime.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// After a signal: the grace for what is under way. A controller that has not listed its policies never ends by itself, but
/// has begun nothing either: if that is so of all, there is nothing to wait for, and this is true.
async fn past_grace(stopped: signal::Receiver<bool>, health: &Health) -> bool {
    stopped_now(stopped).await;
    if !health.has_begun() {
        return true;
    }
    tokio::time::sleep(GRACE).await;
    tracing::warn!(
        "a reconcile did not end within {} s; stopping without it",
        GRACE.as_secs()
    );
    false
}

fn draw_seed() -> Option<Seed> {
    let mut seed = Seed::default();
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut seed).ok()?;
    Some(seed)
}
