//! From a proposal that waits to calls that may be sent: which annotations are approvals, what must hold right before the
//! first call, and what comes after each.
//!
//! [`Approved`] is the only way from a proposal to a permit. It is made in two places of this folder: by the [`gate`], for the
//! first call, and by [`progress`], for each that follows it.

pub mod answer;
pub mod gate;
pub mod guard;
pub mod poison;
pub mod progress;
mod proof;

pub use answer::{Answer, Rules};
pub use progress::{Case, Next, next};

use crate::{
    api::proposal::{ExecutedStep, Material, Proposal},
    posthog::write::Write,
};

/// One step of a proposal that a person has approved: good for one call. Its field is private, so that nothing outside this
/// folder can make one.
#[derive(Debug, PartialEq, Eq)]
pub struct Approved(Write);

impl Approved {
    /// Uses it up for its call.
    pub(super) fn into_call(self) -> Write {
        self.0
    }
}

/// The call of step `place` of what was approved, as the material says it; none if this version cannot say it.
fn step(material: &Material, place: usize) -> Option<Approved> {
    super::proposal::steps::write(material, material.steps.get(place)?).map(Approved)
}

/// The steps that were begun.
fn begun(proposal: &Proposal) -> &[ExecutedStep] {
    proposal
        .execution
        .as_ref()
        .map_or(&[], |execution| &execution.steps)
}
