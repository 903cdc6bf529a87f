//! What is proposed, and the settings for it.

use std::collections::{BTreeMap, HashSet};

use super::{key::Key, material::Seed};
use crate::{
    api::{proposal::Proposal, status::Suppressed},
    decide::{approval::answer::Rules, plan::NextStep},
};

/// What is proposed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposals {
    /// All proposals to keep, oldest first.
    pub rows: Vec<Proposal>,
    /// The next action of findings for which a proposal fits.
    pub said: BTreeMap<Key, NextStep>,
    /// Steps seen in this reconcile, for the history.
    pub notes: Vec<String>,
    /// What is not proposed again for a while.
    pub suppressed: Vec<Suppressed>,
    /// Requests that led to a proposal, by id of the table.
    pub requests: BTreeMap<String, String>,
}

/// Settings of the decision on proposals.
#[derive(Debug, Clone, Copy)]
pub struct ProposalSettings<'a> {
    /// Without it nothing new is proposed.
    pub seed: Option<&'a Seed>,
    /// Which approvals are valid.
    pub approvals: Rules,
    /// Executions that this process has started, by the ids of their intents.
    pub own_executions: &'a HashSet<String>,
}
