//! How a policy is, from its conditions. What is not known to be healthy is Unknown, never Healthy.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::api::{
    WarehouseSyncPolicy,
    conditions::{HEALTHY, READY, Reason, STALLED},
    status::WarehouseSyncPolicyStatus,
};

/// How old `lastCheckedAt` may be, in addition to three polls: it is updated once an hour.
const REPORTS: SignedDuration = SignedDuration::from_mins(65);
/// What a poll takes if `spec.interval` cannot be read: its default.
const INTERVAL: SignedDuration = SignedDuration::from_mins(2);

/// How a policy is. Ordered: the worst is the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum OverallHealth {
    /// The policy does not work until a person changes something.
    Stalled,
    /// A finding of severity Error.
    Unhealthy,
    /// Not known.
    Unknown,
    /// No errors, but not every table is known to be healthy.
    Warnings,
    /// Every selected table is as healthy as expected.
    Healthy,
}

/// How a policy is, and why.
#[derive(Debug, Serialize)]
pub struct PolicyHealth<'a> {
    pub standing: OverallHealth,
    /// Since when; none if that is not known.
    pub since: Option<Timestamp>,
    /// The reason of the condition that shows it; empty if none does.
    pub reason: &'a str,
    /// Why, in a sentence.
    pub message: &'a str,
}

impl<'a> PolicyHealth<'a> {
    /// How `policy` is at `now`.
    pub(super) fn of(policy: &'a WarehouseSyncPolicy, now: Timestamp) -> Self {
        let seen = |status: &&WarehouseSyncPolicyStatus| {
            status
                .observed_generation
                .is_some_and(|generation| generation >= 0)
        };
        let Some(status) = policy.status.as_ref().filter(seen) else {
            return unknown(
                "No operator has reported on this policy: `kubectl wsp doctor` shows whether one is running",
            );
        };
        if let Some(stalled) = by(status, STALLED, "True", OverallHealth::Stalled) {
            return stalled;
        }
        if policy.metadata.generation > status.observed_generation {
            return unknown("The operator has not processed the last change of the spec yet");
        }
        let unread = by(status, READY, "False", OverallHealth::Unknown);
        if let Some(unread) =
            unread.or_else(|| by(status, READY, "Unknown", OverallHealth::Unknown))
        {
            return unread;
        }
        if is_silent(policy, status, now) {
            return unknown(
                "The operator has stopped reporting, so all of this may be outdated: `kubectl wsp doctor` shows whether it is running",
            );
        }
        reported(status)
    }
}

/// As the condition `Healthy` reports it.
fn reported(status: &WarehouseSyncPolicyStatus) -> PolicyHealth<'_> {
    let warns = |health: &PolicyHealth<'_>| health.reason != Reason::AllHealthy.as_str();
    by(status, HEALTHY, "False", OverallHealth::Unhealthy)
        .or_else(|| by(status, HEALTHY, "True", OverallHealth::Warnings).filter(warns))
        .or_else(|| by(status, HEALTHY, "True", OverallHealth::Healthy))
        .or_else(|| by(status, HEALTHY, "Unknown", OverallHealth::Unknown))
        .unwrap_or_else(|| unknown("The operator has not reported the health of the tables yet"))
}

/// What this condition shows, if it has this status.
fn by<'a>(
    status: &'a WarehouseSyncPolicyStatus,
    type_: &str,
    is: &str,
    standing: OverallHealth,
) -> Option<PolicyHealth<'a>> {
    let condition = status.condition(type_)?;
    (condition.status == is).then(|| PolicyHealth {
        standing,
        since: Some(condition.last_transition_time.0),
        reason: &condition.reason,
        message: &condition.message,
    })
}

const fn unknown(message: &str) -> PolicyHealth<'_> {
    PolicyHealth {
        standing: OverallHealth::Unknown,
        since: None,
        reason: "",
        message,
    }
}

/// True if the operator has not reported for longer than it may.
fn is_silent(
    policy: &WarehouseSyncPolicy,
    status: &WarehouseSyncPolicyStatus,
    now: Timestamp,
) -> bool {
    let interval = policy.spec.interval.read("interval").unwrap_or(INTERVAL);
    let most = REPORTS.saturating_add(interval.saturating_mul(3));
    status
        .last_checked_at
        .is_none_or(|at| now.duration_since(at) > most)
}
