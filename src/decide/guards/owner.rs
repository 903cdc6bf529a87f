//! Which of several policies acts.

use super::{Hold, OrderContext};
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
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let mut sources = context.known.snapshot.sources.iter();
    let source = sources.find(|source| source.id == context.subject.source_id)?;
    let of_another = if context.subject.is_source() {
        source_owner(context, source).map(|owner| hold(context, owner, "source"))
    } else {
        table_owner(context, source).map(|owner| hold(context, owner, "table"))
    };
    match context.basis {
        Basis::Incident(basis) => of_another.or_else(|| cancelled_before(context, basis)),
        Basis::Source(_) | Basis::Proposal(_) => of_another,
    }
}

fn hold(context: &OrderContext<'_>, owner: Owner<'_>, what: &str) -> Hold {
    Hold {
        why: said_of(owner, &context.known.policy.at.namespace, what),
        lasts: owner.lasts,
    }
}

fn source_owner<'a>(context: &OrderContext<'a>, source: &Source) -> Option<Owner<'a>> {
    let known = context.known;
    let own = matches!(context.basis, Basis::Proposal(_)) && is_carried_out_on(context);
    source_owned_by(
        known.policy,
        own,
        &known.snapshot.other_policies,
        source,
        known.now,
    )
}

fn table_owner<'a>(context: &OrderContext<'a>, source: &Source) -> Option<Owner<'a>> {
    let known = context.known;
    let (_, schema) = (known.snapshot).row(&source.id, &context.subject.schema_id)?;
    let table = NamedTable {
        source_type: source.type_name(),
        prefix: source.prefix_name(),
        source_id: &source.id,
        schema_id: &schema.id,
        name: &schema.name,
    };
    let own = match context.basis {
        Basis::Incident(basis) => !basis.incident.sends.is_empty(),
        Basis::Source(_) => false,
        Basis::Proposal(_) => {
            let mut incidents = context.plan.incidents.iter();
            incidents.any(|incident| incident.schema_id == schema.id && is_in_flight(incident))
                || is_carried_out_on(context)
        }
    };
    owned_by(
        known.policy,
        own,
        &known.snapshot.other_policies,
        &table,
        known.now,
    )
}

/// Whether this policy is executing a proposal for the table, or for the source as a whole.
fn is_carried_out_on(context: &OrderContext<'_>) -> bool {
    let mut proposals = context
        .known
        .proposals
        .iter()
        .filter(|row| is_carried_out(row));
    proposals.any(|row| row.subject_id() == context.subject.id())
}

/// No job is cancelled twice, by any policy.
fn cancelled_before(context: &OrderContext<'_>, basis: &OfIncident) -> Option<Hold> {
    let job = basis.incident.job_id.as_ref()?;
    let mut other_policies = context.known.snapshot.other_policies.iter();
    let already = basis.call == Call::Cancel
        && other_policies.any(|other_policy| other_policy.cancelled.contains(job));
    already.then(|| {
        Hold::for_now(format!(
            "not cancelled again: another policy cancelled run {job} before"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{
            proposal::Phase,
            status::{Fate, Step},
        },
        decide::{
            guards::fixture::{
                Situation, incident, of_incident, of_proposal, of_source, other_policy, proposal,
                sent,
            },
            plan::{Kind, Order},
        },
        observe::OtherPolicy,
    };

    const OLDER: &str = "2025-01-01T00:00:00Z";
    const YOUNGER: &str = "2026-06-01T00:00:00Z";

    /// Another policy, with something in flight on these tables and sources.
    fn other(created: &str, in_flight: &[&str]) -> OtherPolicy {
        OtherPolicy {
            in_flight: in_flight
                .iter()
                .map(|id| ((*id).to_owned(), None))
                .collect(),
            ..other_policy(created)
        }
    }

    fn beside(order: Order, other_policy: OtherPolicy) -> Situation {
        let mut situation = Situation::new(order);
        situation.snapshot.other_policies = vec![other_policy.into()];
        situation
    }

    fn reload() -> Order {
        of_incident(Kind::Reload, Call::Reload)
    }

    #[test]
    fn the_oldest_policy_acts_unless_another_has_something_in_progress_there() {
        let sources = || of_source(Kind::Webhook);
        for (order, other_policy, expected) in [
            (reload(), other(YOUNGER, &[]), None),
            (reload(), other(YOUNGER, &["b1"]), None),
            (
                reload(),
                other(YOUNGER, &["a1"]),
                Some(("is acting on this table", false)),
            ),
            (
                reload(),
                other(YOUNGER, &["s1"]),
                Some(("is acting on this table", false)),
            ),
            (reload(), other(OLDER, &[]), Some(("owns this table", true))),
            (
                reload(),
                other(OLDER, &["a1"]),
                Some(("is acting on this table", true)),
            ),
            (sources(), other(YOUNGER, &[]), None),
            (
                sources(),
                other(YOUNGER, &["b1"]),
                Some(("is acting on this source", false)),
            ),
            (sources(), other(YOUNGER, &["a2"]), None),
            (
                sources(),
                other(OLDER, &[]),
                Some(("owns this source", true)),
            ),
            (
                of_proposal("a1"),
                other(OLDER, &[]),
                Some(("owns this table", true)),
            ),
            (
                of_proposal(""),
                other(OLDER, &[]),
                Some(("owns this source", true)),
            ),
        ] {
            let what = format!("{:?} beside {other_policy:?}", order.subject);
            let expected = expected.map(|(why, lasts)| Hold {
                why: format!("policy other {why}"),
                lasts,
            });
            assert_eq!(beside(order, other_policy).ask(check), expected, "{what}");
        }
    }

    #[test]
    fn what_this_policy_has_started_continues_although_an_older_one_selects_it() {
        let is_held = |situation: Situation| situation.ask(check).is_some();
        for (in_flight, sends, held) in [
            (&[][..], vec![], true),
            (&[], vec![sent(Call::Cancel, Some(Fate::Accepted))], false),
            (
                &["a1"],
                vec![sent(Call::Cancel, Some(Fate::Accepted))],
                true,
            ),
        ] {
            let mut situation = beside(reload(), other(OLDER, in_flight));
            situation.incident().incident.sends = sends;
            assert_eq!(is_held(situation), held, "an incident, {in_flight:?}");
        }
        for (of, started, step, held) in [
            ("a1", "a1", Step::Settle, false),
            ("a1", "a1", Step::Escalated, true),
            ("a1", "b1", Step::Settle, true),
        ] {
            let mut situation = beside(of_proposal(of), other(OLDER, &[]));
            situation.plan.incidents = vec![incident(started, step)];
            assert_eq!(
                is_held(situation),
                held,
                "an incident of {started} at {step:?}"
            );
        }
        for (order, started, phase, held) in [
            (of_proposal("a1"), "a1", Phase::Executing, false),
            (of_proposal("a1"), "a1", Phase::Approved, true),
            (of_proposal("a1"), "b1", Phase::Executing, true),
            (of_proposal(""), "", Phase::Executing, false),
            (of_proposal(""), "", Phase::Approved, true),
            (of_proposal(""), "b1", Phase::Executing, true),
            (of_source(Kind::Webhook), "", Phase::Executing, true),
        ] {
            let what = format!(
                "{:?} beside a proposal of {started:?}, {phase:?}",
                order.subject
            );
            let mut situation = beside(order, other(OLDER, &[]));
            situation.proposals = vec![proposal("own", started, phase)];
            assert_eq!(is_held(situation), held, "{what}");
        }
    }

    #[test]
    fn a_job_that_another_policy_has_cancelled_is_not_cancelled_again() {
        let why = "not cancelled again: another policy cancelled run j before";
        for (call, job, expected) in [
            (Call::Cancel, Some("j"), Some(why)),
            (Call::Cancel, Some("k"), None),
            (Call::Cancel, None, None),
            (Call::Reload, Some("j"), None),
        ] {
            let cancelled = vec!["i".to_owned(), "j".to_owned()];
            let order = of_incident(Kind::Stuck, call);
            let mut situation = beside(
                order,
                OtherPolicy {
                    cancelled,
                    ..other_policy(YOUNGER)
                },
            );
            situation.incident().incident.job_id = job.map(str::to_owned);
            let held = situation.ask(check).map(|hold| hold.why);
            assert_eq!(held.as_deref(), expected, "{call:?} of {job:?}");
        }
    }
}
