//! `spec.mode`.

use super::{Ask, Hold};
use crate::api::policy::Mode;

/// Observe sends nothing.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    (ask.known.policy.mode == Mode::Observe).then(|| Hold::for_good("spec.mode is Observe"))
}
