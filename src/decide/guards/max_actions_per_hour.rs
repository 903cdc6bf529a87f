//! `limits.maxActionsPerHour`.

use super::{
    Ask, Hold,
    budget::{exceeds, planned},
};

/// Too many calls of this policy in the last hour.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let field = "spec.remediation.limits.maxActionsPerHour";
    let most = ask.known.policy.limits.max_actions_per_hour;
    let why = exceeds(field, &ask.plan.sends, planned(ask), most, ask.known.now)?;
    Some(Hold::for_now(why))
}
