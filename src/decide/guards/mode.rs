//! `spec.mode`.

use super::{Hold, OrderContext};
use crate::api::policy::Mode;

/// Observe sends nothing.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    (context.known.policy.mode == Mode::Observe).then(|| Hold::for_good("spec.mode is Observe"))
}
