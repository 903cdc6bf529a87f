//! All that a verdict is based on.

use jiff::Timestamp;

use crate::{
    api::{Timings, ValidatedPolicy, proposal::Proposal, status::State, validated::Health},
    observe::Snapshot,
    posthog::wire::{Schema, Source},
};

/// All that a verdict is based on.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The policy.
    pub policy: &'a ValidatedPolicy,
    /// What was observed.
    pub snapshot: &'a Snapshot,
    /// What is remembered of earlier passes.
    pub state: &'a State,
    /// What was proposed before.
    pub proposals: &'a [Proposal],
    /// The fixed durations.
    pub timings: &'a Timings,
    /// The time.
    pub now: Timestamp,
}

impl<'a> Known<'a> {
    /// The desired health of a table.
    #[must_use]
    pub fn health(&self, source: &Source, schema: &Schema) -> &'a Health {
        desired_health(self.policy, source, schema)
    }
}

/// The desired health of a table, before there is anything else to base a verdict on.
#[must_use]
pub fn desired_health<'a>(
    policy: &'a ValidatedPolicy,
    source: &Source,
    schema: &Schema,
) -> &'a Health {
    let (kind, prefix) = (source.type_name(), source.prefix_name());
    policy.health(kind, prefix, &source.id, &schema.name)
}
