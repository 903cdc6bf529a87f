//! How much a status can hold.

use super::{Hold, OrderContext};
use crate::{
    api::status::{MAX_INCIDENTS, MAX_SOURCES},
    decide::plan::Basis,
};

/// A full list of incidents or sources.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let plan = context.plan;
    match context.basis {
        Basis::Incident(_) => {
            let all = plan.incidents.len() + plan.incident_orders().count();
            (all >= MAX_INCIDENTS)
                .then(|| Hold::for_now(format!("status.incidents is full ({MAX_INCIDENTS})")))
        }
        Basis::Source(_) => {
            let id = &context.subject.source_id;
            let is_new = !plan.sources.iter().any(|state| state.id == *id);
            let all = plan.sources.len() + plan.source_orders();
            (is_new && all >= MAX_SOURCES)
                .then(|| Hold::for_now(format!("status.state.sources is full ({MAX_SOURCES})")))
        }
        Basis::Proposal(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::status::{Call, SourceState, Step},
        decide::{
            guards::fixture::{Situation, incident, of_incident, of_proposal, of_source},
            plan::Kind,
        },
    };

    fn source(id: &str) -> SourceState {
        SourceState {
            id: id.into(),
            ..SourceState::default()
        }
    }

    #[test]
    fn nothing_starts_that_a_full_status_could_not_remember() {
        for (kind, less, started, is_known, held) in [
            (Kind::Reload, 1, 0, false, false),
            (Kind::Reload, 1, 1, false, true),
            (Kind::Reload, 0, 0, false, true),
            (Kind::Webhook, 1, 0, false, false),
            (Kind::Webhook, 1, 1, false, true),
            (Kind::Webhook, 0, 0, false, true),
            (Kind::Webhook, 0, 0, true, false),
            (Kind::Approved, 0, 0, false, false),
        ] {
            let order = match kind {
                Kind::Reload => of_incident(kind, Call::Reload),
                Kind::Approved => of_proposal("a1"),
                _ => of_source(kind),
            };
            let mut situation = Situation::new(order.clone());
            let plan = &mut situation.plan;
            plan.incidents = vec![incident("b1", Step::Escalated); MAX_INCIDENTS - less];
            plan.sources = vec![source("other"); MAX_SOURCES - less];
            plan.orders = vec![order; started];
            if is_known {
                plan.sources[0] = source("s1");
            }
            let hold = situation.ask(check);
            assert_eq!(hold.is_some(), held, "{kind:?} {less} {started}: {hold:?}");
        }
    }
}
