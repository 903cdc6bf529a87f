//! How often a policy is reconciled, and what its polls are for.

use jiff::{SignedDuration, Timestamp};

use super::survey::is_verifying;
use crate::{
    api::{
        Timings, ValidatedPolicy, WarehouseSyncPolicyStatus,
        proposal::{Phase, Proposal},
        status::Incident,
    },
    posthog::quota::Purpose,
};

/// How old a list may be. A tenth less than the interval, so that a policy that comes a little early does not have to
/// wait for a whole interval more.
pub fn max_age(
    policy: &ValidatedPolicy,
    old: &WarehouseSyncPolicyStatus,
    timings: &Timings,
    now: Timestamp,
) -> SignedDuration {
    again_in(policy, &old.incidents, &old.proposals, timings, now) * 9 / 10
}

/// When to come back.
pub fn again_in(
    policy: &ValidatedPolicy,
    incidents: &[Incident],
    proposals: &[Proposal],
    timings: &Timings,
    now: Timestamp,
) -> SignedDuration {
    match purpose(policy, incidents, proposals, timings, now) {
        Purpose::Repair => policy.interval.min(timings.verify_every),
        Purpose::Poll | Purpose::Probe => policy.interval,
    }
}

/// What the polls of a policy are for. What is held back by the mode may be so for long; it is not worth a poll every few seconds.
pub fn purpose(
    policy: &ValidatedPolicy,
    incidents: &[Incident],
    proposals: &[Proposal],
    timings: &Timings,
    now: Timestamp,
) -> Purpose {
    let verifies = incidents
        .iter()
        .any(|incident| is_verifying(incident, timings, now))
        || proposals
            .iter()
            .any(|proposal| awaits_proof(proposal, timings, now));
    if policy.may_act() && verifies {
        Purpose::Repair
    } else {
        Purpose::Poll
    }
}

/// True for a proposal of which something is to be seen soon.
fn awaits_proof(proposal: &Proposal, timings: &Timings, now: Timestamp) -> bool {
    let (Phase::Executing | Phase::Verifying, Some(execution)) =
        (proposal.phase, &proposal.execution)
    else {
        return false;
    };
    let last = execution.steps.last();
    let is_soon = last
        .is_none_or(|step| now.duration_since(step.started_at) < timings.effect_visible_within());
    // A run at work may last for days.
    is_soon && execution.observed_job.is_none()
}
