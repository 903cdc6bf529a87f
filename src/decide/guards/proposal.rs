//! An approved proposal is in progress, approval is required first, or a person has denied it.

use super::{Hold, OrderContext};
use crate::{
    api::{
        proposal::{Phase, Proposal, ProposedAction},
        status::Call,
    },
    decide::{
        ownership::{is_carried_out, is_in_flight},
        plan::{Basis, OfIncident},
    },
};

/// Why a table whose next run may wipe it is not reloaded.
const MAY_WIPE: &str =
    "an earlier call may make the next run wipe the table: a reload needs approval";

/// Another action is in progress on the same table or source; or the next run may wipe the table; or a person has denied the same.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let subject = context.subject;
    let in_progress = match context.basis {
        Basis::Incident(_) => other_proposal(context, |row| {
            row.target.meets(&subject.source_id, &subject.schema_id)
        }),
        // What is done to one of its tables does not touch the webhook.
        Basis::Source(_) => other_proposal(context, |row| {
            row.target.schema_id.is_empty() && row.target.source_id == subject.source_id
        }),
        Basis::Proposal(own) => incident(context).or_else(|| {
            other_proposal(context, |row| {
                row.id != own.id && row.target.meets(&subject.source_id, &subject.schema_id)
            })
        }),
    };
    let why = in_progress.or_else(|| match context.basis {
        Basis::Incident(basis) => may_wipe(context, basis).or_else(|| denied(context, basis)),
        Basis::Source(_) | Basis::Proposal(_) => None,
    });
    why.map(Hold::for_now)
}

fn other_proposal(
    context: &OrderContext<'_>,
    touches: impl Fn(&Proposal) -> bool,
) -> Option<String> {
    let mut others = context.known.proposals.iter();
    let other = others.find(|row| is_carried_out(row) && touches(row))?;
    Some(format!("proposal {} is in progress", other.id))
}

fn incident(context: &OrderContext<'_>) -> Option<String> {
    let subject = context.subject;
    let mut incidents = context.plan.incidents.iter();
    let touched = incidents.find(|incident| {
        is_in_flight(incident)
            && (incident.schema_id == subject.schema_id
                || subject.is_source() && incident.source_id == subject.source_id)
    })?;
    Some(format!("an incident of {} is in progress", touched.schema))
}

/// A cancel leads to a reload: it is held before it starts, but not once it has started.
fn may_wipe(context: &OrderContext<'_>, basis: &OfIncident) -> Option<String> {
    let reloads = context.starts || basis.call != Call::Cancel;
    let may_wipe = context.may_wipe.contains_key(&basis.incident.schema_id);
    (reloads && may_wipe).then(|| MAY_WIPE.to_owned())
}

/// What a person has denied is not done without asking either, once it would need no approval: until the finding has cleared.
fn denied(context: &OrderContext<'_>, basis: &OfIncident) -> Option<String> {
    let action = match basis.call {
        Call::Cancel if context.starts => ProposedAction::Cancel,
        Call::Reload => ProposedAction::Reload,
        // What was denied for a source was about other tables: those that nobody saw being switched off.
        Call::Cancel | Call::Enable => return None,
    };
    let incident = &basis.incident;
    let mut rows = context.known.state.suppressed.iter();
    let denied = rows.any(|row| {
        row.phase == Phase::Denied
            && row.action == action
            && row.source_id == incident.source_id
            && row.schema_id.as_ref() == Some(&incident.schema_id)
            && row.cause == incident.cause
    });
    denied.then(|| format!("a person denied {} for this finding", action.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::status::{Incident, RootCause, Step, Suppressed},
        decide::{
            guards::fixture::{
                Situation, incident, now, of_incident, of_proposal, of_source, proposal,
            },
            plan::{Kind, Order},
        },
    };

    fn said(situation: &Situation) -> Option<String> {
        situation.ask(check).map(|hold| hold.why)
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
    fn what_a_person_denied_for_a_table_is_not_done_for_the_same_cause_by_itself() {
        use {Phase::Denied, Phase::Executed, RootCause::Transient};
        let cancel = (ProposedAction::Cancel, Transient, Denied, "a1");
        let reload = (ProposedAction::Reload, Transient, Denied, "a1");
        let said_of = |what| Some(format!("a person denied {what} for this finding"));
        for (call, starts, (action, cause, phase, table), expected) in [
            (Call::Cancel, true, cancel, said_of("Cancel")),
            (Call::Cancel, false, cancel, None),
            (Call::Reload, true, reload, said_of("Reload")),
            (Call::Reload, false, reload, said_of("Reload")),
            (Call::Reload, true, cancel, None),
            (Call::Enable, true, reload, None),
            (
                Call::Reload,
                true,
                (reload.0, RootCause::Stale, Denied, "a1"),
                None,
            ),
            (
                Call::Reload,
                true,
                (reload.0, Transient, Executed, "a1"),
                None,
            ),
            (
                Call::Reload,
                true,
                (reload.0, Transient, Denied, "b1"),
                None,
            ),
        ] {
            let order = of_incident(Kind::Reload, call);
            let mut situation = Situation::new(Order { starts, ..order });
            situation.incident().incident.cause = Transient;
            situation.state.suppressed = vec![Suppressed {
                source_id: "s1".into(),
                schema_id: Some(table.into()),
                action,
                cause,
                phase,
                since: now(),
                job: None,
            }];
            let what =
                format!("{call:?} {starts} after {phase:?} {action:?} of {table} for {cause:?}");
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
