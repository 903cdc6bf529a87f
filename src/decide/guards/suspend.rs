//! `spec.suspend`.

use super::{Ask, Hold};

/// A policy that is suspended sends nothing. It owns nothing either, but only for as long.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    ask.known
        .policy
        .suspend
        .then(|| Hold::for_now("spec.suspend is true"))
}
