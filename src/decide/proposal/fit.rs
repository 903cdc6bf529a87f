//! What fits a finding.

use super::draft::Draft;
use crate::api::proposal::ProposedAction;

/// What fits a finding.
#[derive(Debug)]
pub struct Wanted {
    /// The action, as far as it is known.
    pub action: ProposedAction,
    /// Whether it can be proposed.
    pub fit: Fit,
}

/// Whether an action can be proposed.
#[derive(Debug)]
pub enum Fit {
    /// It can.
    Draft(Box<Draft>),
    /// Not known yet, for this reason: existing proposals stay.
    Open(&'static str),
    /// It cannot: what a person has to do instead, as a sentence.
    Nothing(String),
}

impl Fit {
    /// It can.
    #[must_use]
    pub fn draft(draft: Draft) -> Self {
        Self::Draft(Box::new(draft))
    }
}
