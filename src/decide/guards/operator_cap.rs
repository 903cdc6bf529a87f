//! The operator's `--max-actions-per-hour`. `execute/spending.rs` repeats the count right before each call, including calls that are not
//! in statuses yet.

use jiff::Timestamp;

use super::{
    Hold, OrderContext,
    budget::{exceeds, planned},
};

/// Too many calls to the project in the last hour, by all policies together.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let other_policies = context.known.snapshot.other_policies.iter();
    let all: Vec<Timestamp> = other_policies
        .flat_map(|other_policy| &other_policy.sends)
        .chain(&context.plan.sends)
        .copied()
        .collect();
    let cap = "--max-actions-per-hour, for all policies of the project";
    let most = context.limits.max_actions_per_hour;
    let why = exceeds(cap, &all, planned(context), most, context.known.now)?;
    Some(Hold::for_now(why))
}
