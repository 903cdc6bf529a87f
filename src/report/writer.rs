//! The one writer of status.
//!
//! Always the whole status, under one field manager, and only if the object is still the one that the status was computed
//! from. A field that is left out of an apply is removed, and a second writer or a partial body would lose incidents.

use jiff::{SignedDuration, Timestamp};

use super::{
    Kubernetes, KubernetesError, Metrics, decision_log,
    events::{self, Notice},
};
use crate::api::{
    WarehouseSyncPolicy, WarehouseSyncPolicyStatus, proposal::Proposal, validated::PolicyRef,
};

/// `lastCheckedAt` moves no more often than this, so that a steady poll writes nothing.
pub const CHECKED_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Largest status that is written, in bytes of JSON. The API server's own limit is far higher; this one keeps watches light.
pub const MAX_BYTES: usize = 240 * 1024;

/// Writes the status of one policy during one reconcile.
#[derive(Debug)]
pub struct StatusWriter<'a, K> {
    kubernetes: &'a K,
    metrics: &'a Metrics,
    policy: &'a WarehouseSyncPolicy,
    at: PolicyRef,
    resource_version: String,
    written: WarehouseSyncPolicyStatus,
    unpublished: Vec<Notice>,
}

impl<'a, K: Kubernetes> StatusWriter<'a, K> {
    /// A writer for `policy` as it was just read.
    pub fn new(
        kubernetes: &'a K,
        metrics: &'a Metrics,
        policy: &'a WarehouseSyncPolicy,
        at: PolicyRef,
    ) -> Self {
        let resource_version = policy.metadata.resource_version.clone().unwrap_or_default();
        Self {
            kubernetes,
            metrics,
            policy,
            at,
            resource_version,
            written: policy.status.clone().unwrap_or_default(),
            unpublished: Vec::new(),
        }
    }

    /// Where the policy is.
    #[must_use]
    pub const fn at(&self) -> &PolicyRef {
        &self.at
    }

    /// The status as the API server has it.
    #[must_use]
    pub const fn written(&self) -> &WarehouseSyncPolicyStatus {
        &self.written
    }

    /// Writes `next` if it says anything new. What changed is published by [`Self::publish`], because nothing may come
    /// between an intent and its call.
    pub async fn write(
        &mut self,
        mut next: WarehouseSyncPolicyStatus,
        now: Timestamp,
    ) -> Result<(), KubernetesError> {
        // The same again was small enough before.
        if !says_more(&self.written, &mut next, now) {
            return Ok(());
        }
        fit(&mut next);
        if !says_more(&self.written, &mut next, now) {
            return Ok(());
        }
        self.resource_version = self
            .kubernetes
            .apply_status(&self.at, &self.resource_version, &next)
            .await?;
        self.metrics.status_writes.inc();
        let notices = events::transitions(&self.written, &next);
        // Logged before the decisions that follow from it.
        for notice in &notices {
            decision_log::happened(&self.at, notice);
        }
        self.unpublished.extend(notices);
        self.written = next;
        Ok(())
    }

    /// Publishes what has changed since the last time.
    pub async fn publish(&mut self) {
        for notice in std::mem::take(&mut self.unpublished) {
            self.kubernetes.publish(self.policy, notice).await;
        }
    }
}

/// True if `next` must be written. Keeps the old `lastCheckedAt` in it until that is an hour old.
fn says_more(
    old: &WarehouseSyncPolicyStatus,
    next: &mut WarehouseSyncPolicyStatus,
    now: Timestamp,
) -> bool {
    let due = old.last_checked_at.is_none_or(|at| {
        let age = now.duration_since(at);
        age >= CHECKED_EVERY || age < SignedDuration::ZERO
    });
    let checked = next.last_checked_at;
    next.last_checked_at = old.last_checked_at;
    let changed = *next != *old;
    if changed || due {
        next.last_checked_at = checked.or(old.last_checked_at);
    }
    *next != *old
}

/// Drops findings from the end, the least severe, then ended proposals and evidence, until the status is small enough.
fn fit(status: &mut WarehouseSyncPolicyStatus) {
    let size = |status: &WarehouseSyncPolicyStatus| {
        serde_json::to_vec(status).map_or(0, |json| json.len())
    };
    while size(status) > MAX_BYTES && !status.findings.is_empty() {
        let keep = status.findings.len() / 2;
        let dropped = i64::try_from(status.findings.len() - keep).unwrap_or(i64::MAX);
        status.findings.truncate(keep);
        status.findings_truncated = Some(
            status
                .findings_truncated
                .unwrap_or(0)
                .saturating_add(dropped),
        );
    }
    // Ended ones are history.
    while size(status) > MAX_BYTES
        && let Some(over) = status.proposals.iter().position(Proposal::is_over)
    {
        status.proposals.remove(over);
    }
    if size(status) > MAX_BYTES {
        let rows = status.proposals.iter_mut();
        rows.for_each(|row| row.evidence.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i8) -> Timestamp {
        format!("2026-10-01T{hour:02}:00:00Z").parse().unwrap()
    }

    #[test]
    fn a_steady_poll_writes_only_once_an_hour() {
        let old = WarehouseSyncPolicyStatus {
            last_checked_at: Some(at(1)),
            ..Default::default()
        };
        let mut next = WarehouseSyncPolicyStatus {
            last_checked_at: Some(at(1) + SignedDuration::from_mins(59)),
            ..Default::default()
        };
        assert!(!says_more(
            &old,
            &mut next,
            at(1) + SignedDuration::from_mins(59)
        ));
        let mut next = WarehouseSyncPolicyStatus {
            last_checked_at: Some(at(2)),
            ..Default::default()
        };
        assert!(says_more(&old, &mut next, at(2)));
        assert_eq!(next.last_checked_at, Some(at(2)));
    }

    #[test]
    fn a_change_is_written_at_once() {
        let old = WarehouseSyncPolicyStatus {
            last_checked_at: Some(at(1)),
            ..Default::default()
        };
        let mut next = WarehouseSyncPolicyStatus {
            observed_generation: Some(2),
            last_checked_at: Some(at(1)),
            ..Default::default()
        };
        assert!(says_more(&old, &mut next, at(1)));
    }
}
