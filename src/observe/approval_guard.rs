//! Whether the admission policies that make an annotation an approval are in place. Without them anybody who may edit a policy could
//! write one.

use crate::api::status::GuardPart;

/// What is known of the guard right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalGuard {
    /// Why it is not in place, and what to do; none if it is.
    pub broken: Option<String>,
    /// The admission policies and bindings that were found, as remembered between reconciles: another uid or generation means that the guard may have
    /// been absent in between.
    pub parts: Vec<GuardPart>,
}

impl ApprovalGuard {
    /// One that is not in place.
    #[must_use]
    pub fn broken(why: impl Into<String>) -> Self {
        Self {
            broken: Some(why.into()),
            parts: Vec::new(),
        }
    }

    /// True if it is in place.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.broken.is_none()
    }
}
