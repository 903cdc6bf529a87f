//! Follows policies: calls something with them now and whenever one changes.

use std::{collections::BTreeMap, ops::ControlFlow, pin::pin, time::Duration};

use futures::StreamExt as _;
use kube::{
    ResourceExt,
    runtime::{WatchStreamExt as _, watcher},
};

use super::{PluginError, cluster::Cluster, select::Selection};
use crate::{api::WarehouseSyncPolicy, cli::print_error, controller::timed};

/// Calls `take` with the selected policies now, after each change, and every `tick`; until it ends this.
pub(super) async fn follow<A>(
    cluster: &Cluster,
    of: &Selection,
    tick: Option<Duration>,
    mut take: impl FnMut(&[WarehouseSyncPolicy]) -> Result<ControlFlow<A>, PluginError>,
) -> Result<A, PluginError> {
    let mut wanted = watcher::Config::default();
    if let Some(name) = &of.name {
        // Fails now if there is no such policy.
        cluster.policy(name).await?;
        wanted = wanted.fields(&format!("metadata.name={name}"));
    }
    if let Some(labels) = &of.selector {
        wanted = wanted.labels(labels);
    }
    let changes = watcher(cluster.scope(of.all_namespaces), wanted).default_backoff();
    let mut changes = pin!(changes);
    let mut known = Known::default();
    loop {
        let next = tokio::time::timeout(tick.unwrap_or(Duration::MAX), changes.next());
        match next.await {
            // Nothing has changed for a while.
            Err(_) => {}
            Ok(Some(Ok(event))) => known.take(event),
            Ok(Some(Err(error))) => {
                refused(error)?;
                continue;
            }
            Ok(None) => return Err(PluginError::refused("the watch of policies ended")),
        }
        if known.complete {
            let policies: Vec<WarehouseSyncPolicy> = known.policies.values().cloned().collect();
            if let ControlFlow::Break(end) = take(&policies)? {
                return Ok(end);
            }
        }
    }
}

/// What the watch has shown so far.
#[derive(Default)]
struct Known {
    policies: BTreeMap<(String, String), WarehouseSyncPolicy>,
    /// False until the first list, and any later one, has been read to its end.
    complete: bool,
}

impl Known {
    fn take(&mut self, event: watcher::Event<WarehouseSyncPolicy>) {
        let key = |policy: &WarehouseSyncPolicy| {
            (policy.namespace().unwrap_or_default(), policy.name_any())
        };
        match event {
            watcher::Event::Init => *self = Self::default(),
            watcher::Event::InitApply(policy) | watcher::Event::Apply(policy) => {
                self.policies.insert(key(&policy), policy);
            }
            watcher::Event::InitDone => self.complete = true,
            watcher::Event::Delete(policy) => {
                self.policies.remove(&key(&policy));
            }
        }
    }
}

/// Ends the command if the API server refuses the watch; reports another error, after which the watch is retried.
fn refused(error: watcher::Error) -> Result<(), PluginError> {
    match error {
        watcher::Error::InitialListFailed(source) | watcher::Error::WatchStartFailed(source)
            if matches!(&source, kube::Error::Api(status) if matches!(status.code, 401 | 403)) =>
        {
            Err(PluginError::kubernetes("watch policies")(source))
        }
        other => {
            print_error(&format!("retrying: {}", timed::reason(&other)));
            Ok(())
        }
    }
}
