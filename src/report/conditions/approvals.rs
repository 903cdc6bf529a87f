//! `PendingApproval` and `ApprovalGuardActive`.

use super::{ConditionFact, ConditionStatus};
use crate::{
    api::{
        conditions::{APPROVAL_GUARD_ACTIVE, PENDING_APPROVAL, Reason},
        proposal::Proposal,
    },
    observe::ApprovalGuard,
};

/// Whether a proposal waits for a person.
#[must_use]
pub fn pending(proposals: &[Proposal]) -> ConditionFact {
    let (truth, reason, message) = match proposals.iter().filter(|one| one.is_open()).count() {
        0 => (
            ConditionStatus::False,
            Reason::NothingToApprove,
            "No proposal waits for approval".to_owned(),
        ),
        count => (
            ConditionStatus::True,
            Reason::ProposalsWait,
            format!(
                "Proposals that wait for approval: {count}. See approveCommand in .status.proposals"
            ),
        ),
    };
    ConditionFact::new(PENDING_APPROVAL, truth, reason, message)
}

/// Whether the admission policies are in effect. `unguarded` is true if approvals are accepted without them.
#[must_use]
pub fn guarding(guard: &ApprovalGuard, unguarded: bool) -> ConditionFact {
    let (truth, reason, message) = match &guard.broken {
        None => (
            ConditionStatus::True,
            Reason::GuardActive,
            "The admission policies are in effect: only approvers can approve".to_owned(),
        ),
        Some(why) if unguarded => (
            ConditionStatus::False,
            Reason::GuardNotRequired,
            format!(
                "Anyone who may edit this policy can approve (--allow-unguarded-approvals): {why}"
            ),
        ),
        Some(why) => (
            ConditionStatus::False,
            Reason::GuardBroken,
            format!("Approvals are ignored until this is fixed: {why}"),
        ),
    };
    ConditionFact::new(APPROVAL_GUARD_ACTIVE, truth, reason, message)
}

/// The admission policies have not been checked yet.
#[must_use]
pub fn not_checked() -> ConditionFact {
    let message = "The admission policies have not been checked yet";
    ConditionFact::new(
        APPROVAL_GUARD_ACTIVE,
        ConditionStatus::Unknown,
        Reason::NotObserved,
        message,
    )
}
