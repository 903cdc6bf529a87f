//! How often a policy is reconciled, and what its polls are for.

use jiff::SignedDuration;

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
) -> SignedDuration {
    again_in(policy, &old.incidents, &old.proposals, timings) * 9 / 10
}

/// When to come back.
pub fn again_in(
    policy: &ValidatedPolicy,
    incidents: &[Incident],
    proposals: &[Proposal],
    timings: &Timings,
) -> SignedDuration {
    match purpose(policy, incidents, proposals) {
        Purpose::Repair => policy.interval.min(timings.verify_every),
        Purpose::Poll | Purpose::Probe => policy.interval,
    }
}

/// What the polls of a policy are for. What is held back by the mode may be so for long; it is not worth a poll every few seconds.
pub fn purpose(
    policy: &ValidatedPolicy,
    incidents: &[Incident],
    proposals: &[Proposal],
) -> Purpose {
    let verifies = incidents.iter().any(is_verifying) || proposals.iter().any(awaits_proof);
    if policy.may_act() && verifies {
        Purpose::Repair
    } else {
        Purpose::Poll
    }
}

/// True for a proposal of which something is to be seen soon.
fn awaits_proof(proposal: &Proposal) -> bool {
    match proposal.phase {
        Phase::Executing => true,
        // A run at work may last for days.
        Phase::Verifying => {
            (proposal.execution.as_ref()).is_some_and(|execution| execution.observed_job.is_none())
        }
        _ => false,
    }
}
