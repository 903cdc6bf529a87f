//! What anybody sees who watches the policies: which are Ready, and since when a table is among the findings.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use tokio::task::JoinHandle;
use warehouse_sync_operator::api::WarehouseSyncPolicy;

#[derive(Debug, Default)]
struct Known {
    ready: HashMap<String, bool>,
    found: HashMap<String, Timestamp>,
}

/// A watch of all policies, until this is dropped.
pub struct Statuses {
    known: Arc<Mutex<Known>>,
    watch: JoinHandle<()>,
}

impl Statuses {
    pub fn watch(client: &Client) -> Self {
        let known: Arc<Mutex<Known>> = Arc::default();
        let copy = known.clone();
        let api: Api<WarehouseSyncPolicy> = Api::all(client.clone());
        let events = watcher(api, watcher::Config::default().streaming_lists())
            .default_backoff()
            .applied_objects()
            .inspect_err(|error| crate::say(&format!("the watch of statuses broke: {error}")));
        let watch = tokio::spawn(events.for_each(move |event| {
            if let Ok(policy) = event {
                note(&mut copy.lock().unwrap(), &policy);
            }
            std::future::ready(())
        }));
        Self { known, watch }
    }

    /// How many policies say that they are Ready.
    pub fn ready(&self) -> usize {
        self.known
            .lock()
            .unwrap()
            .ready
            .values()
            .filter(|ready| **ready)
            .count()
    }

    /// When a table was first seen among the findings.
    pub fn found(&self, schema_id: &str) -> Option<Timestamp> {
        self.known.lock().unwrap().found.get(schema_id).copied()
    }
}

impl Drop for Statuses {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn note(known: &mut Known, policy: &WarehouseSyncPolicy) {
    let Some(status) = &policy.status else { return };
    let now = Timestamp::now();
    let ready = status
        .condition("Ready")
        .is_some_and(|condition| condition.status == "True");
    known.ready.insert(policy.uid().unwrap_or_default(), ready);
    for finding in &status.findings {
        known
            .found
            .entry(finding.subject_id().to_owned())
            .or_insert(now);
    }
}
