//! What a guard evaluates: an order and everything that is known.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    api::status::Incident,
    decide::{
        approval::answer::Rules,
        plan::{Basis, Kind, Order, Plan, Subject},
    },
    diagnose::{Diagnosis, Known},
};

/// What the operator's command line says.
#[derive(Debug, Clone, Copy)]
pub struct OperatorLimits {
    /// The operator's own cap of calls to the project in an hour.
    pub max_actions_per_hour: usize,
    /// Which approvals are valid.
    pub approvals: Rules,
}

/// An order, and everything by which guards judge it.
#[derive(Debug, Clone, Copy)]
pub struct OrderContext<'a> {
    /// All that is known.
    pub known: &'a Known<'a>,
    /// What is wrong.
    pub diagnosis: &'a Diagnosis,
    /// What else is planned.
    pub plan: &'a Plan,
    /// What the operator's command line says.
    pub limits: OperatorLimits,
    /// The tables whose next run may wipe their data, by id.
    pub may_wipe: &'a BTreeMap<String, Timestamp>,
    /// The kind of the order.
    pub kind: Kind,
    /// What it is about.
    pub subject: &'a Subject,
    /// What it was decided on.
    pub basis: &'a Basis,
    /// Whether it starts something.
    pub starts: bool,
}

impl<'a> OrderContext<'a> {
    /// The same of another order.
    #[must_use]
    pub const fn of(self, order: &'a Order) -> Self {
        Self {
            kind: order.kind,
            subject: &order.subject,
            basis: &order.basis,
            starts: order.starts,
            ..self
        }
    }

    /// All incidents but the one of this table, those that are about to be opened included.
    pub fn others(self) -> impl Iterator<Item = &'a Incident> {
        let started = self.plan.incident_orders().map(|basis| &basis.incident);
        let open = self.plan.incidents.iter();
        open.filter(move |old| {
            let mut new = self.plan.incident_orders();
            !new.any(|new| new.incident.schema_id == old.schema_id)
        })
        .chain(started)
        .filter(move |other| other.schema_id != self.subject.schema_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::status::{Call, Step},
        decide::guards::fixture::{Situation, incident, of_incident, of_source},
    };

    #[test]
    fn the_same_of_another_order_is_about_that_order() {
        let other = Order {
            starts: false,
            ..of_source(Kind::Webhook)
        };
        Situation::new(of_incident(Kind::Reload, Call::Reload)).ask(|context| {
            let asked = context.of(&other);
            assert_eq!((asked.kind, asked.starts), (Kind::Webhook, false));
            assert_eq!((asked.subject, asked.basis), (&other.subject, &other.basis));
        });
    }

    #[test]
    fn the_others_are_all_incidents_of_other_tables_as_they_are_about_to_be() {
        let mut situation = Situation::new(of_incident(Kind::Reload, Call::Reload));
        let open = ["a1", "b1", "c1"].map(|id| incident(id, Step::BackOff));
        situation.plan.incidents = open.into();
        for id in ["c1", "d1"] {
            let mut order = of_incident(Kind::Reload, Call::Reload);
            if let Basis::Incident(basis) = &mut order.basis {
                basis.incident.schema_id = id.to_owned();
            }
            situation.plan.orders.push(order);
        }
        situation.ask(|context| {
            let others = context
                .others()
                .map(|other| (&*other.schema_id, other.step));
            let expected = [
                ("b1", Step::BackOff),
                ("c1", Step::Reloading),
                ("d1", Step::Reloading),
            ];
            assert_eq!(others.collect::<Vec<_>>(), expected);
        });
    }
}
