//! An approved proposal is in progress, or approval is required first.

use super::{Ask, Hold};
use crate::{
    api::{proposal::Proposal, status::Call},
    decide::{
        ownership::{is_carried_out, is_in_flight},
        plan::{Basis, OfIncident},
    },
};

/// Why a table whose next run may wipe it is not reloaded.
const MAY_WIPE: &str =
    "an earlier call may make the next run wipe the table: a reload needs approval";

/// Another action is in progress on the same table or source; or the next run may wipe the table.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let subject = ask.subject;
    let in_progress = match ask.basis {
        Basis::Incident(_) => other_proposal(ask, |row| {
            row.target.meets(&subject.source_id, &subject.schema_id)
        }),
        // What is done to one of its tables does not touch the webhook.
        Basis::Source(_) => other_proposal(ask, |row| {
            row.target.schema_id.is_empty() && row.target.source_id == subject.source_id
        }),
        Basis::Proposal(own) => incident(ask).or_else(|| {
            other_proposal(ask, |row| {
                row.id != own.id && row.target.meets(&subject.source_id, &subject.schema_id)
            })
        }),
    };
    let why = in_progress.or_else(|| match ask.basis {
        Basis::Incident(basis) => may_wipe(ask, basis),
        Basis::Source(_) | Basis::Proposal(_) => None,
    });
    why.map(Hold::for_now)
}

fn other_proposal(ask: &Ask<'_>, touches: impl Fn(&Proposal) -> bool) -> Option<String> {
    let mut others = ask.known.proposals.iter();
    let other = others.find(|row| is_carried_out(row) && touches(row))?;
    Some(format!("proposal {} is in progress", other.id))
}

fn incident(ask: &Ask<'_>) -> Option<String> {
    let subject = ask.subject;
    let mut incidents = ask.plan.incidents.iter();
    let touched = incidents.find(|incident| {
        is_in_flight(incident)
            && (incident.schema_id == subject.schema_id
                || subject.is_source() && incident.source_id == subject.source_id)
    })?;
    Some(format!("an incident of {} is in progress", touched.schema))
}

/// A cancel leads to a reload: it is held before it starts, but not once it has started.
fn may_wipe(ask: &Ask<'_>, basis: &OfIncident) -> Option<String> {
    let reloads = ask.starts || basis.call != Call::Cancel;
    let may_wipe = ask.may_wipe.contains_key(&basis.incident.schema_id);
    (reloads && may_wipe).then(|| MAY_WIPE.to_owned())
}
