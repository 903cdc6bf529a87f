//! `spec.remediation.windows`: when something may be started.

use super::{Ask, Hold};
use crate::decide::windows::closed;

/// The time is outside the windows.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    closed(&ask.known.policy.windows, ask.known.now).map(Hold::for_now)
}
