//! Which of several policies acts on a table: one, always.

use std::sync::Arc;

use jiff::Timestamp;

use super::words::held;
use crate::{
    api::{
        ValidatedPolicy,
        proposal::{Phase, Proposal},
        status::{Incident, Step},
        validated::PolicyRef,
    },
    observe::OtherPolicy,
    posthog::wire::Source,
};

/// Which other policy owns the table, if one does.
///
/// The owner is the policy that has something in flight on the table, or on its source; otherwise the oldest policy that may act, reads
/// the project itself and selects it (then the smaller uid). A policy that no longer does keeps what is in flight only until the
/// deadline of its step.
#[must_use]
pub fn owned_by<'a>(
    policy: &ValidatedPolicy,
    own_in_flight: bool,
    other_policies: &'a [Arc<OtherPolicy>],
    table: &NamedTable<'_>,
    now: Timestamp,
) -> Option<Owner<'a>> {
    let acts = |other_policy: &OtherPolicy| {
        holds(other_policy, table.schema_id, now) || holds(other_policy, table.source_id, now)
    };
    let selects = |other_policy: &OtherPolicy| {
        let (type_, prefix) = (table.source_type, table.prefix);
        other_policy
            .selector
            .selects_source(type_, prefix, table.source_id)
            && other_policy.selector.selects_schema(table.name)
    };
    owner(policy, own_in_flight, other_policies, acts, selects, now)
}

/// Which other policy owns the source, if one does: the one that has something in flight on it, or on any of its tables; otherwise the
/// oldest that may act, reads the project itself and selects any of its tables.
#[must_use]
pub fn source_owned_by<'a>(
    policy: &ValidatedPolicy,
    own_in_flight: bool,
    other_policies: &'a [Arc<OtherPolicy>],
    source: &Source,
    now: Timestamp,
) -> Option<Owner<'a>> {
    let (type_, prefix) = (source.type_name(), source.prefix_name());
    let acts = |other_policy: &OtherPolicy| {
        holds(other_policy, &source.id, now)
            || (source.schemas.iter()).any(|table| holds(other_policy, &table.id, now))
    };
    let selects = |other_policy: &OtherPolicy| {
        other_policy
            .selector
            .selects_source(type_, prefix, &source.id)
            && (source.schemas.iter())
                .any(|table| other_policy.selector.selects_schema(&table.name))
    };
    owner(policy, own_in_flight, other_policies, acts, selects, now)
}

fn owner<'a>(
    policy: &ValidatedPolicy,
    own_in_flight: bool,
    other_policies: &'a [Arc<OtherPolicy>],
    acts: impl Fn(&OtherPolicy) -> bool,
    selects: impl Fn(&OtherPolicy) -> bool,
    now: Timestamp,
) -> Option<Owner<'a>> {
    // Two policies in flight at once is not expected; if it happens, the older one continues.
    let acting = other_policies
        .iter()
        .find(|other_policy| acts(other_policy) && (!own_in_flight || older(other_policy, policy)));
    let oldest = || {
        let mut able = other_policies
            .iter()
            .filter(|other_policy| may_own(other_policy, now));
        able.find(|other_policy| older(other_policy, policy) && selects(other_policy))
    };
    match acting {
        Some(other_policy) => Some(Owner {
            at: &other_policy.at,
            acts: true,
            lasts: oldest().is_some(),
        }),
        None if own_in_flight => None,
        None => oldest().map(|other_policy| Owner {
            at: &other_policy.at,
            acts: false,
            lasts: true,
        }),
    }
}

/// Another policy that owns a table or a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The policy.
    pub at: &'a PolicyRef,
    /// True if it has something in flight there.
    pub acts: bool,
    /// True if it, or another, still owns the table or source after that.
    pub lasts: bool,
}

/// The owner, as a policy in `namespace` may see it: by name only within its own namespace.
#[must_use]
pub fn said_of(owner: Owner<'_>, namespace: &str, what: &str) -> String {
    let name = (*owner.at.namespace == *namespace).then_some(&*owner.at.name);
    held::owned(name, owner.acts, what)
}

/// What ownership is decided on.
#[derive(Debug, Clone, Copy)]
pub struct NamedTable<'a> {
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

fn holds(other_policy: &OtherPolicy, subject_id: &str, now: Timestamp) -> bool {
    other_policy.in_flight.iter().any(|(id, deadline)| {
        id == subject_id && (may_own(other_policy, now) || deadline.is_some_and(|at| at > now))
    })
}

/// A policy that has no key, or whose key is refused, must not keep others from tables that it cannot remediate itself.
fn may_own(other_policy: &OtherPolicy, now: Timestamp) -> bool {
    other_policy.may_act && other_policy.reads_until > now
}

fn older(other_policy: &OtherPolicy, policy: &ValidatedPolicy) -> bool {
    (other_policy.created, &*other_policy.uid) < (policy.created, policy.uid.as_str())
}

/// True while a proposal binds its table or source to its policy: from its first call to the proof of the last.
#[must_use]
pub const fn is_carried_out(proposal: &Proposal) -> bool {
    matches!(proposal.phase, Phase::Executing | Phase::Verifying)
}

/// True while an incident binds its table to its policy.
#[must_use]
pub const fn is_in_flight(incident: &Incident) -> bool {
    !matches!(incident.step, Step::Recovered | Step::Escalated)
}
