//! `spec.remediation.windows`: when something may be started.

use super::{Hold, OrderContext};
use crate::decide::windows::closed;

/// The time is outside the windows.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    closed(&context.known.policy.windows, context.known.now).map(Hold::for_now)
}
