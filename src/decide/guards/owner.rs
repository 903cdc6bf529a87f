//! Which of several policies acts.

use super::{Ask, Hold};
use crate::{
    api::status::Call,
    decide::{
        ownership::{
            NamedTable, Owner, is_carried_out, is_in_flight, owned_by, said_of, source_owned_by,
        },
        plan::{Basis, OfIncident},
    },
    posthog::wire::Source,
};

/// Another policy owns the table or the source, or has already cancelled the run.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let mut sources = ask.known.snapshot.sources.iter();
    let source = sources.find(|source| source.id == ask.subject.source_id)?;
    let of_another = if ask.subject.is_source() {
        source_owner(ask, source).map(|owner| hold(ask, owner, "source"))
    } else {
        table_owner(ask, source).map(|owner| hold(ask, owner, "table"))
    };
    match ask.basis {
        Basis::Incident(basis) => of_another.or_else(|| cancelled_before(ask, basis)),
        Basis::Source(_) | Basis::Proposal(_) => of_another,
    }
}

fn hold(ask: &Ask<'_>, owner: Owner<'_>, what: &str) -> Hold {
    Hold {
        why: said_of(owner, &ask.known.policy.at.namespace, what),
        lasts: owner.lasts,
    }
}

fn source_owner<'a>(ask: &Ask<'a>, source: &Source) -> Option<Owner<'a>> {
    let known = ask.known;
    let own = matches!(ask.basis, Basis::Proposal(_)) && is_carried_out_on(ask);
    source_owned_by(known.policy, own, &known.snapshot.rivals, source, known.now)
}

fn table_owner<'a>(ask: &Ask<'a>, source: &Source) -> Option<Owner<'a>> {
    let known = ask.known;
    let mut tables = source.schemas.iter();
    let schema = tables.find(|schema| schema.id == ask.subject.schema_id)?;
    let table = NamedTable {
        source_type: source.type_name(),
        prefix: source.prefix_name(),
        source_id: &source.id,
        schema_id: &schema.id,
        name: &schema.name,
    };
    let own = match ask.basis {
        Basis::Incident(basis) => !basis.incident.sends.is_empty(),
        Basis::Source(_) => false,
        Basis::Proposal(_) => {
            let mut incidents = ask.plan.incidents.iter();
            incidents.any(|incident| incident.schema_id == schema.id && is_in_flight(incident))
                || is_carried_out_on(ask)
        }
    };
    owned_by(known.policy, own, &known.snapshot.rivals, &table, known.now)
}

/// Whether this policy is executing a proposal for the table, or for the source as a whole.
fn is_carried_out_on(ask: &Ask<'_>) -> bool {
    let mut proposals = ask.known.proposals.iter().filter(|row| is_carried_out(row));
    proposals.any(|row| row.subject_id() == ask.subject.id())
}

/// No job is cancelled twice, by any policy.
fn cancelled_before(ask: &Ask<'_>, basis: &OfIncident) -> Option<Hold> {
    let job = basis.incident.job_id.as_ref()?;
    let mut rivals = ask.known.snapshot.rivals.iter();
    let already = basis.call == Call::Cancel && rivals.any(|rival| rival.cancelled.contains(job));
    already.then(|| {
        Hold::for_now(format!(
            "not cancelled again: another policy cancelled run {job} before"
        ))
    })
}
