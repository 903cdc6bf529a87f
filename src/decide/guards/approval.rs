//! An approved proposal may have been denied since, and approvals are ignored while the admission policies are not in effect.

use super::{Ask, Hold};
use crate::decide::{
    approval::answer::{ApprovalAnswer, answer, unguarded},
    plan::Basis,
};

/// Approvals are ignored, or this proposal was denied before anything was started.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let unguarded = unguarded(&ask.known.snapshot.approval_guard, ask.limits.approvals);
    let why = unguarded.or_else(|| denied(ask).filter(|_| ask.starts));
    why.map(Hold::for_now)
}

/// A denial that came after the approval was seen.
fn denied(ask: &Ask<'_>) -> Option<String> {
    let Basis::Proposal(proposal) = ask.basis else {
        return None;
    };
    let mut proposals = ask.known.proposals.iter();
    let proposal = proposals.find(|row| row.id == proposal.id)?;
    let (known, rules) = (ask.known, ask.limits.approvals);
    let guard = &known.snapshot.approval_guard;
    match answer(known.policy, guard, rules, proposal, known.now) {
        ApprovalAnswer::Denied(reason) => Some(format!("denied: {reason}")),
        // The annotation may have been removed: status remembers the approval.
        ApprovalAnswer::None | ApprovalAnswer::Approved(_) | ApprovalAnswer::Ignored(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::proposal::Phase,
        decide::guards::fixture::{Situation, of_proposal, policy, proposal},
        observe::ApprovalGuard,
    };

    #[test]
    fn a_denial_holds_the_first_step_and_missing_admission_policies_each() {
        let broken = "ApprovalGuardActive is False: it was removed";
        for (stands, denied, starts, expected) in [
            (true, "none", true, None),
            (true, "own", true, Some("denied: not today")),
            (true, "own", false, None),
            (true, "other", true, None),
            (false, "none", true, Some(broken)),
            (false, "none", false, Some(broken)),
        ] {
            let mut situation = Situation::new(of_proposal("a1"));
            let denial = format!("{{deny.warehousesync.dev/{denied}: not today}}");
            situation.policy = policy(&denial, "");
            situation.proposals = ["other", "own"]
                .map(|id| proposal(id, "a1", Phase::Approved))
                .into();
            if !stands {
                situation.snapshot.approval_guard = ApprovalGuard::broken("it was removed");
            }
            situation.order.starts = starts;
            let held = situation.ask(asks).map(|hold| hold.why);
            assert_eq!(held.as_deref(), expected, "{denied} {starts}");
        }
    }
}
