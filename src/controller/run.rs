//! The long-running operator: clients, watches of each scope, the runner of reconciles, health, shutdown.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{oneshot, watch as signal},
    task::JoinHandle,
};

use super::{
    ProcessHealth, Reconciler,
    absent::Absent,
    clock::{clock, draw_seed},
    context::Context,
    kubernetes::Cluster,
    leadership::{Campaign, Election, Leadership},
    notifier::Notifier,
    other_policies::OtherPolicies,
    queue::Queue,
    runner,
    scope::{self, Scope},
    secrets::ApiKeys,
    startup::{self, ClusterClients, StartError},
    stop::{fan_out, past_grace, stopped_now},
    timed::{self, Counted},
};
use crate::{
    api::Timings,
    decide::approval,
    execute::{Ledger, notification_sender::HttpNotificationSender},
    observe::{Observer, observer::MostTables},
    posthog::{authorities::Authorities, guard::HostList, http::HttpTransport, quota::Share},
    report::{
        DecisionLog, Metrics,
        notifications::{Outbox, outbox::Pace},
    },
};

/// How long the release of the Lease may take after that. Together they are less than the 150 s that a pod is given.
const RELEASE: Duration = Duration::from_secs(5);

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Options {
    /// Namespaces to watch; empty means all.
    pub namespaces: Vec<String>,
    /// Hosts that may get an API key.
    pub hosts: HostList,
    /// Hosts that may be sent notifications.
    pub notify_hosts: HostList,
    /// How fast notifications are sent.
    pub notify_pace: Pace,
    /// Certificate authorities that are trusted in addition to those of the machine.
    pub authorities: Authorities,
    /// Calls that may be sent to one project in an hour.
    pub max_actions_per_hour: usize,
    /// How much of each API key's limits may be used.
    pub quota_share: Share,
    /// How many tables are kept in memory.
    pub most_tables: MostTables,
    /// Which approvals are accepted.
    pub approvals: approval::Rules,
    /// The Lease by which replicas agree on who leads.
    pub election: Election,
    /// The fixed durations.
    pub timings: Timings,
}

/// Runs until `stop` resolves, then lets running reconciles end.
pub async fn run(
    options: Options,
    health: ProcessHealth,
    metrics: Metrics,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), StartError> {
    let stopped = fan_out(stop);
    let http = HttpTransport::new(options.hosts.clone(), &options.authorities, clock())
        .map_err(|error| StartError::Http(timed::reason(&error)))?;
    let mut clients = startup::clients().await?;
    let namespaces: Vec<Option<String>> = if options.namespaces.is_empty() {
        vec![None]
    } else {
        options.namespaces.iter().cloned().map(Some).collect()
    };
    clients.lists = tokio::select! {
        lists = startup::wait_for_cluster(&clients, &metrics, &namespaces, &health) => lists,
        () = stopped_now(stopped.clone()) => return Ok(()),
    };
    let scopes: Vec<Scope> = namespaces.into_iter().map(Scope::new).collect();
    // Only after the cluster was checked: a leader must be able to work.
    let (campaign, leadership) = Campaign::new(
        &clients.calls,
        &clients.namespace,
        &options.election,
        health.clone(),
        metrics.clone(),
    );
    let absent = health.absent.clone();
    let context = context(
        &options, http, &clients, &scopes, metrics, leadership, absent,
    );
    let follower = tokio::spawn(follow_leadership(context.clone()));
    let (finished, on_finish) = oneshot::channel();
    let mut campaign = tokio::spawn(campaign.run(stopped.clone(), on_finish));
    let notifier = tokio::spawn(notifier(&options, &context)?.run());
    let watches = start_watches(scopes, &clients, &context, &health, &stopped);
    let runner = tokio::spawn(runner::run(context, stopped.clone()));
    tokio::select! {
        result = all_ended(watches, runner, &stopped) => result?,
        _ = &mut campaign => return Err(StartError::Ended("leader election")),
        _ = follower => return Err(StartError::Ended("the task that follows leadership")),
        _ = notifier => return Err(StartError::Ended("the task that sends notifications")),
        // The Lease runs out by itself, when what did not end can do no more.
        () = past_grace(stopped.clone()) => return Ok(()),
    }
    // It fails only if the campaign is over.
    let _ = finished.send(());
    if tokio::time::timeout(RELEASE, campaign).await.is_err() {
        tracing::warn!("the Lease could not be released in time; it expires by itself");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Watches every scope.
fn start_watches(
    scopes: Vec<Scope>,
    clients: &ClusterClients,
    context: &Arc<Context>,
    health: &ProcessHealth,
    stopped: &signal::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let lists: Vec<String> = scopes.iter().flat_map(Scope::lists).collect();
    health.pending(&lists);
    scopes
        .into_iter()
        .map(|scope| {
            let (context, health) = (context.clone(), health.clone());
            tokio::spawn(scope::follow(
                scope,
                clients,
                context,
                health,
                stopped.clone(),
            ))
        })
        .collect()
}

/// When leadership is won, every policy is reconciled. What this process remembers of PostHog is old by then, and statuses
/// are newer; a standby remembers nothing, and its gauges are empty.
async fn follow_leadership(context: Arc<Context>) {
    let mut leadership = context.leadership.clone();
    while leadership.changed().await {
        for at in context.policies.iter().flat_map(|policies| policies.all()) {
            context.reconciler.forget(&at);
            if context.leads() {
                context.queue.trigger(&at);
            }
        }
    }
}

fn context(
    options: &Options,
    http: HttpTransport,
    clients: &ClusterClients,
    scopes: &[Scope],
    metrics: Metrics,
    leadership: Leadership,
    absent: Absent,
) -> Arc<Context> {
    let secrets = scopes.iter().map(|scope| scope.secrets.clone()).collect();
    let policies = scopes.iter().map(|scope| scope.policies.clone()).collect();
    let other_policies = OtherPolicies::default();
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
                .keeping(options.most_tables)
                .through(metrics.gates.clone()),
            kubernetes: Arc::new(Cluster::new(
                clients.calls.clone(),
                metrics.clone(),
                api_keys,
                other_policies.clone(),
                options.approvals.people,
            )),
            hosts: options.hosts.clone(),
            notify_hosts: options.notify_hosts.clone(),
            outbox: Outbox::default(),
            timings: options.timings,
            ledger: Ledger::default(),
            leads: Arc::new(move |deadline| leads.leads(deadline)),
            metrics,
            decision_log: DecisionLog::default(),
            clock,
        },
        failures: Mutex::default(),
        leadership,
        policies,
        absent,
        other_policies,
        queue: Queue::default(),
    })
}

/// The task that sends what reconciles put into the outbox.
fn notifier(
    options: &Options,
    context: &Arc<Context>,
) -> Result<Notifier<HttpNotificationSender>, StartError> {
    let Reconciler {
        outbox,
        leads,
        clock,
        metrics,
        ..
    } = &context.reconciler;
    let hosts = options.notify_hosts.clone();
    let sender = HttpNotificationSender::new(hosts, &options.authorities, clock.clone())
        .map_err(|e| StartError::Http(e.to_string()))?;
    let triggered = context.clone();
    Ok(Notifier {
        sender,
        outbox: outbox.clone(),
        pace: options.notify_pace,
        leads: leads.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        trigger: Arc::new(move |at| triggered.queue.trigger(at)),
    })
}

/// Waits for every watch, and for the reconciles that run; what one that ends too early was for would not be done.
async fn all_ended(
    watches: Vec<JoinHandle<()>>,
    runner: JoinHandle<()>,
    stopped: &signal::Receiver<bool>,
) -> Result<(), StartError> {
    let mut running: FuturesUnordered<_> = watches.into_iter().chain([runner]).collect();
    while running.next().await.is_some() {
        if !*stopped.borrow() {
            return Err(StartError::Ended("a watch, or the task that reconciles,"));
        }
    }
    Ok(())
}
