//! `status.nextAction`: what the operator waits for, or what is held.

use crate::{
    api::status::{Incident, NextAction, Step},
    decide::{Plan, ownership::is_in_flight},
};

pub(super) fn next_action(plan: &Plan) -> Option<NextAction> {
    if let Some(order) = plan.orders.first() {
        return Some(NextAction {
            what: order.what.clone(),
            when: None,
            blocked_by: None,
        });
    }
    let in_progress = |incident: &&Incident| is_in_flight(incident);
    if let Some(incident) = plan
        .incidents
        .iter()
        .filter(in_progress)
        .min_by_key(|incident| (incident.step == Step::WaitSuccess, incident.opened_at))
    {
        let held = plan
            .held
            .iter()
            .find(|held| held.schema_id == incident.schema_id);
        return Some(NextAction {
            what: format!("{}: {}", incident.schema, incident.message),
            when: incident.deadline,
            blocked_by: held.map(|held| held.blocked_by.clone()),
        });
    }
    if let Some(held) = plan.held.first() {
        return Some(NextAction {
            what: held.what.clone(),
            when: None,
            blocked_by: Some(held.blocked_by.clone()),
        });
    }
    let proposal = plan.proposals.iter().find(|one| one.is_open())?;
    Some(NextAction {
        what: proposal.steps.join(", then "),
        when: None,
        blocked_by: Some(format!("approval of {}", proposal.id)),
    })
}
