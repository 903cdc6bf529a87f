//! What is proposed, and what that rests on beside what is known.

use std::collections::{BTreeMap, HashSet};

use super::{key::Key, material::Seed};
use crate::{
    api::{proposal::Proposal, status::Suppressed},
    decide::{approval::answer::Rules, plan::Said},
};

/// What is proposed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposals {
    /// All proposals to keep, oldest first.
    pub rows: Vec<Proposal>,
    /// What to say of findings that a proposal would mend.
    pub said: BTreeMap<Key, Said>,
    /// Steps seen in this pass, for the history.
    pub notes: Vec<String>,
    /// What is not proposed again for a while.
    pub suppressed: Vec<Suppressed>,
    /// Requests that led to a proposal, by id of the table.
    pub requests: BTreeMap<String, String>,
}

/// What a decision on proposals rests on beside what is known.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Without it nothing new is proposed.
    pub seed: Option<&'a Seed>,
    /// Which approvals count.
    pub approvals: Rules,
    /// Executions that this process has begun, by the ids of their intents.
    pub own_executions: &'a HashSet<String>,
}
