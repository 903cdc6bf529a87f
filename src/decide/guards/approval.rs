//! What a person approved may have been denied since, and no approval counts while its guard does not stand.

use super::{Ask, Hold};
use crate::decide::{
    approval::answer::{Reply, answer, unguarded},
    plan::Basis,
};

/// No approval counts, or this one was denied before anything was begun.
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
        Reply::No(reason) => Some(format!("it was denied: {reason}")),
        // The annotation may be gone by now: status remembers.
        Reply::None | Reply::Yes(_) | Reply::Inert(_) => None,
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
    fn a_denial_holds_the_first_step_and_a_guard_that_does_not_stand_each() {
        let broken = "ApprovalGuardActive is False: it was removed";
        for (stands, denied, starts, expected) in [
            (true, "none", true, None),
            (true, "own", true, Some("it was denied: not today")),
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
