//! Which of several policies acts on a table: one, always.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Blocked, Guard};
use crate::{
    api::{
        ValidatedPolicy,
        status::{Incident, Step},
        validated::PolicyRef,
    },
    observe::Rival,
    posthog::wire::Source,
};

/// Says which other policy owns the table, if one does.
///
/// The owner is who has an incident of the table in flight; else the oldest policy that may act and selects it (then the
/// smaller uid). A policy that may no longer act keeps an incident only until the deadline of its step.
#[must_use]
pub fn owned_by<'a>(
    policy: &ValidatedPolicy,
    own_in_flight: bool,
    rivals: &'a [Arc<Rival>],
    table: &Table<'_>,
    now: Timestamp,
) -> Option<&'a PolicyRef> {
    if let Some(rival) = rivals
        .iter()
        .find(|rival| holds(rival, table.schema_id, now))
    {
        // Both in flight cannot come about by itself; then the older one goes on.
        if !own_in_flight || older(rival, policy) {
            return Some(&rival.at);
        }
    }
    if own_in_flight {
        return None;
    }
    rivals
        .iter()
        .filter(|rival| rival.may_act && older(rival, policy))
        .find(|rival| {
            rival
                .selector
                .selects_source(table.source_type, table.prefix, table.source_id)
                && rival.selector.selects_schema(table.name)
        })
        .map(|rival| &rival.at)
}

/// Says which other policy owns the source, if one does: the oldest that may act and selects any of its tables.
#[must_use]
pub fn source_owned_by<'a>(
    policy: &ValidatedPolicy,
    rivals: &'a [Arc<Rival>],
    source: &Source,
    now: Timestamp,
) -> Option<&'a PolicyRef> {
    let (type_, prefix) = (source.type_name(), source.prefix_name());
    let selects = |rival: &Rival| {
        rival.selector.selects_source(type_, prefix, &source.id)
            && (source.schemas.iter()).any(|table| rival.selector.selects_schema(&table.name))
    };
    let acts = |rival: &Rival| (source.schemas.iter()).any(|table| holds(rival, &table.id, now));
    rivals
        .iter()
        .find(|rival| older(rival, policy) && (rival.may_act && selects(rival) || acts(rival)))
        .map(|rival| &rival.at)
}

/// Who owns it, as a sentence of this policy may name it: by name only within its own namespace.
#[must_use]
pub fn blocked_by(policy: &ValidatedPolicy, owner: &PolicyRef, what: &str) -> Blocked {
    let why = if owner.namespace == policy.at.namespace {
        format!("BlockedBy: policy {} owns this {what}", owner.name)
    } else {
        format!("BlockedBy: a policy in another namespace owns this {what}")
    };
    Guard::Owner.says(why)
}

/// What ownership is decided on.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    /// Type of its source.
    pub source_type: &'a str,
    /// Prefix of its source.
    pub prefix: &'a str,
    /// Id of its source.
    pub source_id: &'a str,
    /// Its id.
    pub schema_id: &'a str,
    /// Its name.
    pub name: &'a str,
}

fn holds(rival: &Rival, schema_id: &str, now: Timestamp) -> bool {
    rival.in_flight.iter().any(|(id, deadline)| {
        id == schema_id && (rival.may_act || deadline.is_some_and(|at| at > now))
    })
}

fn older(rival: &Rival, policy: &ValidatedPolicy) -> bool {
    (rival.created, &rival.uid) < (policy.created, &policy.uid)
}

/// True while an incident binds its table to its policy.
#[must_use]
pub const fn is_in_flight(incident: &Incident) -> bool {
    !matches!(incident.step, Step::Recovered | Step::Escalated)
}
