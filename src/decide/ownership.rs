//! Which of several policies acts on a table: one, always.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    api::{
        ValidatedPolicy,
        proposal::{Phase, Proposal},
        status::{Incident, Step},
        validated::PolicyRef,
    },
    observe::Rival,
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
    rivals: &'a [Arc<Rival>],
    table: &NamedTable<'_>,
    now: Timestamp,
) -> Option<Owner<'a>> {
    let acts =
        |rival: &Rival| holds(rival, table.schema_id, now) || holds(rival, table.source_id, now);
    let selects = |rival: &Rival| {
        let (type_, prefix) = (table.source_type, table.prefix);
        rival
            .selector
            .selects_source(type_, prefix, table.source_id)
            && rival.selector.selects_schema(table.name)
    };
    owner(policy, own_in_flight, rivals, acts, selects, now)
}

/// Which other policy owns the source, if one does: the one that has something in flight on it, or on any of its tables; otherwise the
/// oldest that may act, reads the project itself and selects any of its tables.
#[must_use]
pub fn source_owned_by<'a>(
    policy: &ValidatedPolicy,
    own_in_flight: bool,
    rivals: &'a [Arc<Rival>],
    source: &Source,
    now: Timestamp,
) -> Option<Owner<'a>> {
    let (type_, prefix) = (source.type_name(), source.prefix_name());
    let acts = |rival: &Rival| {
        holds(rival, &source.id, now)
            || (source.schemas.iter()).any(|table| holds(rival, &table.id, now))
    };
    let selects = |rival: &Rival| {
        rival.selector.selects_source(type_, prefix, &source.id)
            && (source.schemas.iter()).any(|table| rival.selector.selects_schema(&table.name))
    };
    owner(policy, own_in_flight, rivals, acts, selects, now)
}

fn owner<'a>(
    policy: &ValidatedPolicy,
    own_in_flight: bool,
    rivals: &'a [Arc<Rival>],
    acts: impl Fn(&Rival) -> bool,
    selects: impl Fn(&Rival) -> bool,
    now: Timestamp,
) -> Option<Owner<'a>> {
    // Two policies in flight at once is not expected; if it happens, the older one continues.
    let acting = rivals
        .iter()
        .find(|rival| acts(rival) && (!own_in_flight || older(rival, policy)));
    let oldest = || {
        let mut able = rivals.iter().filter(|rival| may_own(rival, now));
        able.find(|rival| older(rival, policy) && selects(rival))
    };
    match acting {
        Some(rival) => Some(Owner {
            at: &rival.at,
            acts: true,
            lasts: oldest().is_some(),
        }),
        None if own_in_flight => None,
        None => oldest().map(|rival| Owner {
            at: &rival.at,
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
    let who = if owner.at.namespace == namespace {
        format!("policy {}", owner.at.name)
    } else {
        "a policy in another namespace".to_owned()
    };
    let does = if owner.acts { "is acting on" } else { "owns" };
    format!("{who} {does} this {what}")
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

fn holds(rival: &Rival, subject_id: &str, now: Timestamp) -> bool {
    rival.in_flight.iter().any(|(id, deadline)| {
        id == subject_id && (may_own(rival, now) || deadline.is_some_and(|at| at > now))
    })
}

/// A policy that has no key, or whose key is refused, must not keep others from tables that it cannot remediate itself.
fn may_own(rival: &Rival, now: Timestamp) -> bool {
    rival.may_act && rival.reads_until > now
}

fn older(rival: &Rival, policy: &ValidatedPolicy) -> bool {
    (rival.created, &rival.uid) < (policy.created, &policy.uid)
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
