//! `spec.suspend`, and deletion.

use super::{Ask, Hold};

/// A policy that is suspended or being deleted sends nothing. Until it is resumed it owns nothing either.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    ask.known.policy.stopped.map(Hold::for_now)
}
