//! A person's no, taken note of before anything else is done or read: whatever fails afterwards, and whatever becomes of the annotation.

use jiff::Timestamp;

use super::{note, suppressed};
use crate::{
    api::{
        WarehouseSyncPolicyStatus,
        answers::Answers,
        proposal::{Phase, Proposal},
    },
    posthog::redact,
};

/// Ends every proposal that waits, for an answer or for its execution, and was denied; returns what is to be said of it.
///
/// It needs nothing but the object: a no can do no harm, so it counts also while the guard does not stand.
#[must_use]
pub fn latch_denials(
    answers: &Answers,
    status: &mut WarehouseSyncPolicyStatus,
    now: Timestamp,
) -> Vec<String> {
    let mut notes = Vec::new();
    for proposal in &mut status.proposals {
        if !matches!(proposal.phase, Phase::AwaitingApproval | Phase::Approved) {
            continue;
        }
        let Some(reason) = answers.denial(&proposal.id) else {
            continue;
        };
        deny(proposal, reason);
        notes.push(note(proposal));
        if let Some(row) = suppressed::of(proposal, now) {
            suppressed::remember(&mut status.state.suppressed, row);
        }
    }
    notes
}

/// Ends a proposal by a no.
pub(super) fn deny(proposal: &mut Proposal, reason: &str) {
    proposal.phase = Phase::Denied;
    proposal.message = redact::one_line(&format!("denied: {reason}"), 300);
}
