//! What happens to proposals when the admission policies are in effect again: in between, anyone may have written anything.

use crate::{
    api::{proposal::Phase, status::GuardPart},
    decide::words::approval as words,
    observe::ApprovalGuard,
};

/// What is remembered of the admission policies: nothing while they are not in effect, so that their return is a change, too.
#[must_use]
pub fn remembered(guard: &ApprovalGuard) -> Vec<GuardPart> {
    if guard.is_active() {
        guard.parts.clone()
    } else {
        Vec::new()
    }
}

/// True if the admission policies are in effect but not the previous ones: in between, they may have been absent or different.
#[must_use]
pub fn is_another(before: &[GuardPart], guard: &ApprovalGuard) -> bool {
    guard.is_active() && guard.parts != before
}

/// What a proposal becomes then. `ours`: this process has started its execution, and so knows that it was approved.
#[must_use]
pub fn after_absence(phase: Phase, ours: bool) -> Option<(Phase, &'static str)> {
    match phase {
        Phase::AwaitingApproval | Phase::Approved => {
            Some((Phase::Superseded, words::PROPOSED_BEFORE))
        }
        Phase::Executing | Phase::Verifying if !ours => {
            Some((Phase::OutcomeUnknown, words::STATUS_UNPROTECTED))
        }
        _ => None,
    }
}
