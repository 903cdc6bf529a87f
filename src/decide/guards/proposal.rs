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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{
            proposal::Phase,
            status::{Incident, Step},
        },
        decide::{
            guards::fixture::{
                Situation, incident, now, of_incident, of_proposal, of_source, proposal,
            },
            plan::{Kind, Order},
        },
    };

    fn said(situation: &Situation) -> Option<String> {
        situation.ask(asks).map(|hold| hold.why)
    }

    #[test]
    fn nothing_is_done_beside_what_a_person_approved_for_the_same_table_or_source() {
        let reload = || of_incident(Kind::Reload, Call::Reload);
        let webhook = || of_source(Kind::Webhook);
        for (order, other, held) in [
            (reload(), ("other", "s1", "a1"), true),
            (reload(), ("other", "s1", "b1"), false),
            (reload(), ("other", "s1", ""), true),
            (reload(), ("other", "s2", ""), false),
            (webhook(), ("other", "s1", ""), true),
            (webhook(), ("other", "s1", "a1"), false),
            (webhook(), ("other", "s2", ""), false),
            (of_proposal("a1"), ("other", "s1", "a1"), true),
            (of_proposal("a1"), ("other", "s1", "b1"), false),
            (of_proposal("a1"), ("own", "s1", "a1"), false),
            (of_proposal(""), ("other", "s1", "b1"), true),
        ] {
            let what = format!("{:?} beside {other:?}", order.subject);
            let mut situation = Situation::new(order);
            let (id, source_id, schema_id) = other;
            for phase in [
                Phase::Approved,
                Phase::Executing,
                Phase::Verifying,
                Phase::Executed,
            ] {
                let mut other = proposal(id, schema_id, phase);
                other.target.source_id = source_id.into();
                situation.proposals = vec![other];
                let started = matches!(phase, Phase::Executing | Phase::Verifying);
                let expected = (held && started).then_some("proposal other is in progress");
                assert_eq!(said(&situation).as_deref(), expected, "{what} {phase:?}");
            }
        }
    }

    #[test]
    fn no_approved_action_starts_beside_an_incident_of_the_same_table_or_source() {
        for (order, other, step, held) in [
            (of_proposal("a1"), ("s1", "a1"), Step::Settle, true),
            (of_proposal("a1"), ("s1", "a1"), Step::Escalated, false),
            (of_proposal("a1"), ("s1", "b1"), Step::Settle, false),
            (of_proposal(""), ("s1", "b1"), Step::Settle, true),
            (of_proposal(""), ("s2", "a2"), Step::Settle, false),
            (of_source(Kind::Webhook), ("s1", "a1"), Step::Settle, false),
        ] {
            let what = format!("{:?} beside {other:?} {step:?}", order.subject);
            let mut situation = Situation::new(order);
            let (source_id, schema_id) = other;
            situation.plan.incidents = vec![Incident {
                source_id: source_id.into(),
                ..incident(schema_id, step)
            }];
            let expected = held.then(|| format!("an incident of {schema_id} is in progress"));
            assert_eq!(said(&situation), expected, "{what}");
        }
    }

    #[test]
    fn a_table_that_the_next_run_may_wipe_is_not_reloaded_nor_cancelled_for_a_reload() {
        for (call, starts, of, held) in [
            (Call::Reload, true, "a1", true),
            (Call::Reload, false, "a1", true),
            (Call::Cancel, true, "a1", true),
            (Call::Cancel, false, "a1", false),
            (Call::Reload, true, "b1", false),
        ] {
            let order = of_incident(Kind::Reload, call);
            let mut situation = Situation::new(Order { starts, ..order });
            situation.may_wipe = [(of.to_owned(), now())].into();
            let expected = held.then_some(MAY_WIPE);
            assert_eq!(
                said(&situation).as_deref(),
                expected,
                "{call:?} {starts} {of}"
            );
        }
    }
}
