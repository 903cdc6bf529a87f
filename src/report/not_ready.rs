//! Why `PostHog` could not be read.

use crate::api::conditions::Reason;

/// Why a poll failed: a reason for the conditions, and a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// The reason.
    pub reason: Reason,
    /// The sentence.
    pub message: String,
}
