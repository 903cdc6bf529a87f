//! An approved proposal may have been denied since, its approval may no longer be enough, and approvals are ignored while the admission
//! policies are not in effect.

use super::{Hold, OrderContext};
use crate::{
    api::proposal::Proposal,
    decide::{
        approval::answer::{ApprovalAnswer, answer, unguarded},
        plan::Basis,
        words::approval as words,
    },
};

/// Approvals are ignored, or this proposal was denied before anything was started.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let unguarded = unguarded(
        &context.known.snapshot.approval_guard,
        context.limits.approvals,
    );
    let why = unguarded.or_else(|| {
        denied(context)
            .or_else(|| unverified(context))
            .filter(|_| context.starts)
    });
    why.map(Hold::for_now)
}

/// An approval that was recorded before the operator required verified ones.
fn unverified(context: &OrderContext<'_>) -> Option<String> {
    let approval = approved(context)?.approval.as_ref()?;
    let refused = context.limits.approvals.require_verified && !approval.verified;
    refused.then(|| {
        format!(
            "the operator runs with --require-verified-approvals, and the approval by {:?} is not verified",
            approval.by
        )
    })
}

fn approved<'a>(context: &OrderContext<'a>) -> Option<&'a Proposal> {
    let Basis::Proposal(basis) = context.basis else {
        return None;
    };
    let mut proposals = context.known.proposals.iter();
    proposals.find(|row| row.id == basis.id)
}

/// A denial that came after the approval was seen.
fn denied(context: &OrderContext<'_>) -> Option<String> {
    let proposal = approved(context)?;
    let (known, rules) = (context.known, context.limits.approvals);
    let guard = &known.snapshot.approval_guard;
    match answer(known.policy, guard, rules, proposal, known.now) {
        ApprovalAnswer::Denied(reason) => Some(words::denied(&reason)),
        // The annotation may have been removed: status remembers the approval.
        ApprovalAnswer::None | ApprovalAnswer::Approved(_) | ApprovalAnswer::Ignored(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::proposal::{ApprovalSeen, Phase},
        decide::guards::fixture::{Situation, now, of_proposal, policy, proposal},
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
            let held = situation.ask(check).map(|hold| hold.why);
            assert_eq!(held.as_deref(), expected, "{denied} {starts}");
        }
    }

    #[test]
    fn an_approval_of_before_is_not_enough_once_verified_ones_are_required() {
        for (required, verified, starts, held) in [
            (true, false, true, true),
            (true, false, false, false),
            (true, true, true, false),
            (false, false, true, false),
        ] {
            let mut situation = Situation::new(of_proposal("a1"));
            let mut own = proposal("own", "a1", Phase::Approved);
            own.approval = Some(ApprovalSeen {
                by: "on-behalf:anna".into(),
                verified,
                observed_at: now(),
            });
            situation.proposals = vec![own];
            situation.order.starts = starts;
            situation.limits.approvals.require_verified = required;
            let said = situation.ask(check).map(|hold| hold.why);
            let is_held =
                said.is_some_and(|why| why.contains("\"on-behalf:anna\" is not verified"));
            assert_eq!(is_held, held, "{required} {verified} {starts}");
        }
    }
}
