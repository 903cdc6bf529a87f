//! `spec.suspend`, and deletion.

use super::{Hold, OrderContext};

/// A policy that is suspended or being deleted sends nothing. Until it is resumed it owns nothing either.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    context.known.policy.stopped.map(Hold::for_now)
}
