//! `PendingApproval` and `ApprovalGuardActive`.

use super::{ConditionFact, Truth};
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
            Truth::False,
            Reason::NothingToApprove,
            "Nothing waits for approval".to_owned(),
        ),
        count => (
            Truth::True,
            Reason::ProposalsWait,
            format!(
                "{count} wait for approval: see status.proposals, each with its approveCommand"
            ),
        ),
    };
    ConditionFact::new(PENDING_APPROVAL, truth, reason, message)
}

/// Whether the admission policies stand. `unguarded` is true if approvals count all the same.
#[must_use]
pub fn guarding(guard: &ApprovalGuard, unguarded: bool) -> ConditionFact {
    let (truth, reason, message) = match &guard.broken {
        None => (
            Truth::True,
            Reason::GuardActive,
            "Only who may approve can approve".to_owned(),
        ),
        Some(why) if unguarded => (
            Truth::False,
            Reason::GuardNotRequired,
            format!(
                "Whoever may edit this policy can approve (--allow-unguarded-approvals); {why}"
            ),
        ),
        Some(why) => (
            Truth::False,
            Reason::GuardBroken,
            format!("No approval counts until then; {why}"),
        ),
    };
    ConditionFact::new(APPROVAL_GUARD_ACTIVE, truth, reason, message)
}

/// Nothing is known of the admission policies yet.
#[must_use]
pub fn not_looked_at() -> ConditionFact {
    let message = "It was not looked at yet";
    ConditionFact::new(
        APPROVAL_GUARD_ACTIVE,
        Truth::Unknown,
        Reason::NotObserved,
        message,
    )
}
