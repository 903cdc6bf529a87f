//! What the API server shows the caller of policies, kept up to date by a watch.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{TryStreamExt as _, pin_mut};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams},
};
use tokio::sync::watch;

use crate::{
    api::WarehouseSyncPolicy,
    cli::plugin::{
        PluginError,
        cluster::{Cluster, ClusterArgs},
    },
};

/// How long one watch takes, in seconds. Below the time after which a client gives an API server up that says nothing.
const WATCH: u32 = 20;
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// HTTP status: the credentials are not valid, or no longer.
const UNAUTHORIZED: u16 = 401;
/// HTTP status: the version from which to watch is too old.
const GONE: u16 = 410;

/// Namespace and name.
type Key = (String, String);

/// A policy as it was read, or why it could not be.
pub(super) type Read = Result<Box<WarehouseSyncPolicy>, String>;

/// What was seen last.
pub(super) struct Seen {
    /// All policies of the scope; none before the first list.
    pub policies: Option<BTreeMap<Key, Read>>,
    /// Why `policies` may be outdated, and since when.
    pub lost: Option<Lost>,
    /// Counts changes.
    pub version: u64,
}

/// The API server could not be read.
pub(super) struct Lost {
    pub since: Timestamp,
    pub why: String,
}

/// The cluster, as the caller sees it.
pub(super) struct Live {
    args: ClusterArgs,
    /// The watched namespace; none for all.
    scope: Option<String>,
    cluster: Mutex<Cluster>,
    seen: watch::Sender<Seen>,
}

impl Live {
    /// Nothing has been read yet.
    pub(super) fn new(args: ClusterArgs, cluster: Cluster, scope: Option<String>) -> Arc<Self> {
        let seen = Seen {
            policies: None,
            lost: None,
            version: 0,
        };
        Arc::new(Self {
            args,
            scope,
            cluster: Mutex::new(cluster),
            seen: watch::Sender::new(seen),
        })
    }

    /// What was seen last, and its changes.
    pub(super) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// The watched namespace; none for all.
    pub(super) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The cluster, for requests about objects of `namespace`.
    pub(super) fn cluster(&self, namespace: &str) -> Cluster {
        let cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        Cluster {
            namespace: namespace.to_owned(),
            ..cluster.clone()
        }
    }

    /// Reads and watches until the process ends.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let Err(error) = self.read_and_watch().await else {
                continue;
            };
            let expired = matches!(&error, kube::Error::Api(status) if status.code == UNAUTHORIZED);
            let place = self.scope.as_ref();
            let place = place.map_or("all namespaces".to_owned(), |name| {
                format!("namespace {name}")
            });
            let error = PluginError::kubernetes(format!("read the policies of {place}"))(error);
            self.lose(&if expired {
                format!("{error}: your credentials are not valid, or have expired. Log in to the cluster again; this page then continues by itself")
            } else {
                error.to_string()
            });
            // A new login writes the kubeconfig.
            if expired && let Ok(cluster) = self.args.connect().await {
                *self.cluster.lock().unwrap_or_else(PoisonError::into_inner) = cluster;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn lose(&self, why: &str) {
        self.seen.send_modify(|seen| {
            let since = seen
                .lost
                .as_ref()
                .map_or_else(Timestamp::now, |lost| lost.since);
            let why = why.to_owned();
            seen.lost = Some(Lost { since, why });
            seen.version += 1;
        });
    }

    /// Reads all policies, then follows their changes; returns when they must be read again.
    async fn read_and_watch(&self) -> Result<(), kube::Error> {
        let api = self.api();
        let listed = api.list(&ListParams::default()).await?;
        let mut version = listed.metadata.resource_version.unwrap_or_default();
        self.seen.send_modify(|seen| {
            seen.policies = Some(listed.items.into_iter().map(read).collect());
            seen.lost = None;
            seen.version += 1;
        });
        loop {
            let params = WatchParams::default().timeout(WATCH);
            let events = api.watch(&params, &version).await?;
            pin_mut!(events);
            while let Some(event) = events.try_next().await? {
                match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                        version = object.resource_version().unwrap_or_default();
                        self.change(|policies| policies.extend([read(object)]));
                    }
                    WatchEvent::Deleted(object) => {
                        version = object.resource_version().unwrap_or_default();
                        self.change(|policies| _ = policies.remove(&key(&object)));
                    }
                    WatchEvent::Bookmark(bookmark) => version = bookmark.metadata.resource_version,
                    WatchEvent::Error(status) if status.code == GONE => return Ok(()),
                    WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
                }
            }
        }
    }

    fn change(&self, by: impl FnOnce(&mut BTreeMap<Key, Read>)) {
        self.seen.send_modify(|seen| {
            by(seen.policies.get_or_insert_default());
            seen.version += 1;
        });
    }

    /// Without a type: a policy that cannot be read must not hide the others.
    fn api(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<WarehouseSyncPolicy>(&());
        // Without kube's silent retries: a person waits, and sees what is wrong.
        let client = self.cluster("").direct;
        match &self.scope {
            None => Api::all_with(client, &resource),
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        }
    }
}

fn key(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn read(mut object: DynamicObject) -> (Key, Read) {
    object.metadata.managed_fields = None;
    let policy = object.clone().try_parse::<WarehouseSyncPolicy>();
    let policy = policy.map(Box::new).map_err(|error| {
        format!("this policy cannot be read ({error}): the operator that wrote it may be newer or older than this plugin")
    });
    (key(&object), policy)
}
