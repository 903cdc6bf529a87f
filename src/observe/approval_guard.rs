//! Whether the admission policies stand that make an annotation an approval. Without them anybody who may edit a policy could
//! write one.

use crate::api::status::GuardPart;

/// What is known of the guard right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalGuard {
    /// Why it does not stand, with what to do; none if it does.
    pub broken: Option<String>,
    /// The admission policies and bindings that were found, as they are remembered from one pass to the next: another uid or
    /// generation means that the guard may have been away in between.
    pub parts: Vec<GuardPart>,
}

impl ApprovalGuard {
    /// One that does not stand.
    #[must_use]
    pub fn broken(why: impl Into<String>) -> Self {
        Self {
            broken: Some(why.into()),
            parts: Vec::new(),
        }
    }

    /// True if it stands.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.broken.is_none()
    }
}
