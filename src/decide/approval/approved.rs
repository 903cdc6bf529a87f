//! The only way from a proposal to a permit.

use crate::posthog::write::Write;

/// One step of a proposal that a person has approved: good for one call. Its field is private, and only this folder creates one: in
/// [`super::progress`], for each call of a proposal whose approval is in status.
#[derive(Debug, PartialEq, Eq)]
pub struct Approved(Write);

impl Approved {
    /// The right to send a step.
    pub(super) const fn new(call: Write) -> Self {
        Self(call)
    }

    /// Uses it up for its call.
    pub(in crate::decide) fn into_call(self) -> Write {
        self.0
    }
}
