//! Denials are recorded before anything else is done or read, so that they last even if the reconcile fails or the annotation is removed.

use jiff::Timestamp;

use super::{note, suppressed};
use crate::{
    api::{
        WarehouseSyncPolicyStatus,
        answers::Answers,
        proposal::{Phase, Proposal},
    },
    decide::words::approval as words,
    posthog::redact,
};

/// Ends every denied proposal that waits for an answer or for its execution; returns notes for the history.
///
/// It needs nothing but the object: a denial can do no harm, so it is valid even while the admission policies are not in effect.
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

/// Ends a proposal by a denial.
pub(super) fn deny(proposal: &mut Proposal, reason: &str) {
    proposal.phase = Phase::Denied;
    proposal.message = redact::one_line(&words::denied(reason), 300);
}
