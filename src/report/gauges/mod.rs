//! What is wrong now, over all policies, as gauges. Labels are from closed lists, except where a policy exports its tables.
//!
//! Each policy has its share here, and each scrape adds them up: a policy that was deleted, or that another replica handles,
//! has none.

mod exported;
mod process;
mod quota;
mod share;
mod total;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;

pub use share::PollResult;
use share::{PolicyShare, PollTimes};
use total::Totals;

use crate::{
    api::{WarehouseSyncPolicy, WarehouseSyncPolicyStatus, validated::PolicyRef},
    posthog::quota::Usage,
};

/// How much later than planned a poll may be before it counts as overdue, at least.
const LATE: SignedDuration = SignedDuration::from_mins(5);

/// By policy. Boxed, because a third of such a table is empty.
type Shares = HashMap<PolicyRef, Box<PolicyShare>>;

/// Gauges over policies. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    shares: Arc<Mutex<Shares>>,
}

impl Gauges {
    /// Replaces the share of a policy after a successful poll at `now`; the next is planned `again_in`.
    pub fn observed(
        &self,
        at: &PolicyRef,
        policy: &WarehouseSyncPolicy,
        status: &WarehouseSyncPolicyStatus,
        result: &PollResult<'_>,
        (now, again_in): (Timestamp, SignedDuration),
    ) {
        let polled = PollTimes {
            at: Some(now),
            overdue_at: overdue_at(now, again_in),
        };
        let share = PolicyShare::new(policy, status, polled).found(result);
        self.lock().insert(at.clone(), Box::new(share));
    }

    /// Updates the share of a policy after a failed poll: earlier findings are kept.
    pub fn poll_failed(
        &self,
        at: &PolicyRef,
        policy: &WarehouseSyncPolicy,
        status: &WarehouseSyncPolicyStatus,
        (now, again_in): (Timestamp, SignedDuration),
    ) {
        let mut shares = self.lock();
        let before = shares.remove(at);
        let polled = before.as_ref().map_or_else(
            || PollTimes {
                at: status.last_checked_at,
                overdue_at: overdue_at(now, again_in),
            },
            |before| before.polled,
        );
        let share =
            PolicyShare::new(policy, status, polled).found_before(before.map(|before| *before));
        shares.insert(at.clone(), Box::new(share));
    }

    /// Removes the share of a policy that was deleted, or that another replica now handles.
    pub fn forget(&self, at: &PolicyRef) {
        self.lock().remove(at);
    }

    /// All of it at `now`, with the names below `prefix`.
    #[must_use]
    pub fn registry(&self, prefix: &str, usage: &[Usage], now: Timestamp) -> Registry {
        let mut totals = Totals::default();
        let shares = self.lock();
        for share in shares.values() {
            totals.add(share, now);
        }
        let mut registry = Registry::with_prefix(prefix);
        totals.register(&mut registry);
        let tables = shares
            .iter()
            .filter_map(|(at, share)| Some((at, share.exported.as_deref()?)));
        exported::register(tables, &mut registry);
        quota::register(usage, &mut registry);
        registry
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub use process::registry as process;

fn overdue_at(now: Timestamp, again_in: SignedDuration) -> Option<Timestamp> {
    let patience = again_in.checked_add(again_in.max(LATE))?;
    now.checked_add(patience).ok()
}
