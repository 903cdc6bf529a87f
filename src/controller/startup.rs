//! Before anything runs: the clients, and a check that the cluster is reachable and has the CRD.

use std::time::Duration;

use axum::http::Uri;
use kube::{
    Api, Client, Config,
    api::{ListParams, WatchParams},
    runtime::watcher::InitialListStrategy,
};

use super::{ProcessHealth, absent, health::in_namespace, timed, watch};
use crate::{api::WarehouseSyncPolicy, posthog::proxy, report::Metrics};

/// Connecting to the API server takes this long at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A watch that is silent for longer than this is broken: the API server ends an idle one after less than 300 s.
const WATCH_TIMEOUT: Duration = Duration::from_secs(330);
/// How often the check is repeated while it fails.
const CHECK_AGAIN: Duration = Duration::from_secs(2);

/// Why the operator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No kubeconfig and no service account.
    #[error(
        "no cluster is configured: {0}. Set KUBECONFIG to a kubeconfig file (or have one at ~/.kube/config), or run in a pod with a service account"
    )]
    NoCluster(String),
    /// The clients could not be made.
    #[error(
        "the Kubernetes client could not be made: {0}. Check the certificates and the credentials in the kubeconfig"
    )]
    Client(String),
    /// TLS towards `PostHog` could not be set up.
    #[error(
        "the HTTP client could not be made: {0}. Check that the machine has CA certificates, or name a file of them with --ca-file"
    )]
    Http(String),
    /// A vital task ended by itself.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

/// A client for calls and one for watches, which are silent for long by nature.
pub struct ClusterClients {
    /// For calls.
    pub calls: Client,
    /// For watches.
    pub watches: Client,
    /// The namespace of the pod, or of the kubeconfig.
    pub namespace: String,
    /// The API server's address, and the proxy on the way to it.
    pub api_server: String,
    /// How watches read their first list.
    pub lists: InitialListStrategy,
}

/// Makes the clients from the kubeconfig or the pod's service account.
pub async fn clients() -> Result<ClusterClients, StartError> {
    let mut config = Config::infer()
        .await
        .map_err(|e| StartError::NoCluster(timed::reason(&e)))?;
    mind_exceptions(&mut config);
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(timed::KUBERNETES_DEADLINE);
    // kube repeats 429 and 5xx up to 15 times without a word; our own loops repeat, visibly.
    config.default_retry = false;
    config.reset_reader_on_write = true;
    let with = |read_timeout| {
        let mut config = config.clone();
        config.read_timeout = Some(read_timeout);
        Client::try_from(config).map_err(|e| StartError::Client(timed::reason(&e)))
    };
    Ok(ClusterClients {
        calls: with(timed::KUBERNETES_DEADLINE)?,
        watches: with(WATCH_TIMEOUT)?,
        namespace: config.default_namespace.clone(),
        api_server: api_server(&config),
        lists: InitialListStrategy::StreamingList,
    })
}

/// The API server as messages name it; without the password that the address of a proxy may hold.
fn api_server(config: &Config) -> String {
    let address = |url: &Uri| {
        let scheme = url.scheme_str().unwrap_or("https");
        let port = url
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        format!("{scheme}://{}{port}", url.host().unwrap_or_default())
    };
    let server = format!("the API server at {}", address(&config.cluster_url));
    match &config.proxy_url {
        Some(proxy) => format!("{server}, through the proxy {},", address(proxy)),
        None => server,
    }
}

/// Reaches the API server straight if `NO_PROXY` names it. kube asks `NO_PROXY` about the proxy instead. It matters only with a
/// kubeconfig: in a pod kube uses no proxy.
pub fn mind_exceptions(config: &mut Config) {
    if proxy::is_exempt(&config.cluster_url.to_string()) {
        config.proxy_url = None;
    }
}

/// Waits, visibly, until the API server answers and knows our resource in every namespace that is watched and exists. Returns how it gives first
/// lists.
pub async fn wait_for_cluster(
    clients: &ClusterClients,
    metrics: &Metrics,
    namespaces: &[Option<String>],
    health: &ProcessHealth,
) -> InitialListStrategy {
    let client = &clients.calls;
    let mut logged = String::new();
    for namespace in namespaces {
        let api: Api<WarehouseSyncPolicy> = watch::api(client, namespace.as_deref());
        loop {
            if let Some(namespace) = namespace
                && absent::is_missing(client, metrics, namespace).await
            {
                health.absent.note(namespace, metrics);
                break;
            }
            // Only metadata: a policy that cannot be read must not look like a missing resource.
            let one = ListParams::default().limit(1);
            let list = api.list_metadata(&one);
            let name = namespace.as_deref().unwrap_or("in all namespaces");
            let Err(error) = timed::kubernetes(metrics, "list_policies", name, list).await else {
                break;
            };
            let missing = what_is_missing(&error, namespace.as_deref(), &clients.api_server);
            if missing != logged {
                tracing::warn!("{missing}; retrying");
                logged.clone_from(&missing);
            }
            health.pending(&[missing]);
            tokio::time::sleep(CHECK_AGAIN).await;
        }
    }
    if !logged.is_empty() {
        tracing::info!("the API server is reachable and has the CRD");
    }
    let mut namespaces = namespaces.iter().map(Option::as_deref);
    let first = namespaces.find(|one| !one.is_some_and(|one| health.absent.contains(one)));
    match first {
        Some(first) => first_lists(client, metrics, first).await,
        // No namespace to try it in; this works everywhere.
        None => InitialListStrategy::ListWatch,
    }
}

/// Streamed lists take the least memory, but by default Kubernetes 1.30, 1.31 and 1.33 refuse them (feature gate `WatchList`).
async fn first_lists(
    client: &Client,
    metrics: &Metrics,
    namespace: Option<&str>,
) -> InitialListStrategy {
    let api: Api<WarehouseSyncPolicy> = watch::api(client, namespace);
    let params = WatchParams::streaming_lists().timeout(1);
    loop {
        let streamed = api.watch_metadata(&params, "0");
        match timed::kubernetes(metrics, "watch_policies", "", streamed).await {
            Err(kube::Error::Api(status)) if status.code == 422 => {
                return InitialListStrategy::ListWatch;
            }
            // The watches will report other refusals.
            Ok(_) | Err(kube::Error::Api(_)) => return InitialListStrategy::StreamingList,
            Err(_) => tokio::time::sleep(CHECK_AGAIN).await,
        }
    }
}

fn what_is_missing(error: &kube::Error, namespace: Option<&str>, server: &str) -> String {
    let scope = in_namespace(namespace);
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            "the CustomResourceDefinition warehousesyncpolicies.warehousesync.dev is not installed: run `warehouse-sync-operator crd | kubectl apply -f -`".to_owned()
        }
        kube::Error::Api(status) if status.code == 401 => {
            format!("{server} does not accept the operator's credentials (401)")
        }
        kube::Error::Api(status) if status.code == 403 => {
            format!("the operator may not list warehousesyncpolicies {scope} (403): bind its role, or name the namespaces that it may see with --namespace")
        }
        other => format!("{server} does not answer: {}", timed::reason(other)),
    }
}
