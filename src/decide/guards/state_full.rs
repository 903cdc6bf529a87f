//! How much a status can hold.

use super::{Ask, Hold};
use crate::{
    api::status::{MAX_INCIDENTS, MAX_SOURCES},
    decide::plan::Basis,
};

/// A full list of incidents or sources.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let plan = ask.plan;
    match ask.basis {
        Basis::Incident(_) => {
            let all = plan.incidents.len() + plan.incident_orders().count();
            (all >= MAX_INCIDENTS)
                .then(|| Hold::for_now(format!("status.incidents is full ({MAX_INCIDENTS})")))
        }
        Basis::Source(_) => {
            let id = &ask.subject.source_id;
            let is_new = !plan.sources.iter().any(|state| state.id == *id);
            let all = plan.sources.len() + plan.source_orders();
            (is_new && all >= MAX_SOURCES)
                .then(|| Hold::for_now(format!("status.state.sources is full ({MAX_SOURCES})")))
        }
        Basis::Proposal(_) => None,
    }
}
