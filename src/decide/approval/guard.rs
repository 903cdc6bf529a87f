//! What becomes of proposals when the guard of approvals comes back: what was written while it was away may be anybody's.

use crate::{
    api::{proposal::Phase, status::GuardPart},
    observe::ApprovalGuard,
};

/// What is to be remembered of the guard: nothing while it does not stand, so that coming back is a change, too.
#[must_use]
pub fn remembered(guard: &ApprovalGuard) -> Vec<GuardPart> {
    if guard.is_active() {
        guard.parts.clone()
    } else {
        Vec::new()
    }
}

/// True if the guard stands and is not the one of before: it may have been away, or other than it is, in between.
#[must_use]
pub fn is_another(before: &[GuardPart], guard: &ApprovalGuard) -> bool {
    guard.is_active() && guard.parts != before
}

/// What a proposal becomes then. `ours`: this process has begun its execution, and so knows that it was approved.
#[must_use]
pub fn after_absence(phase: Phase, ours: bool) -> Option<(Phase, &'static str)> {
    match phase {
        Phase::AwaitingApproval | Phase::Approved => Some((
            Phase::Superseded,
            "the guard of approvals is not the one under which this was proposed: approvals written meanwhile do not count",
        )),
        Phase::Executing | Phase::Verifying if !ours => Some((
            Phase::OutcomeUnknown,
            "the guard of approvals was away, and this process did not begin the execution: what status says of it may be anybody's",
        )),
        _ => None,
    }
}
