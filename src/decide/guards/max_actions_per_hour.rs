//! `limits.maxActionsPerHour`.

use super::{
    Hold, OrderContext,
    budget::{exceeds, planned},
};

/// Too many calls of this policy in the last hour.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let field = "spec.remediation.limits.maxActionsPerHour";
    let most = context.known.policy.limits.max_actions_per_hour;
    let why = exceeds(
        field,
        &context.plan.sends,
        planned(context),
        most,
        context.known.now,
    )?;
    Some(Hold::for_now(why))
}
