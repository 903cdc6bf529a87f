//! Facts that must be certain for any call.

use super::{Hold, OrderContext};
use crate::{
    api::status::{Call, Incident},
    decide::{
        orders::reload::failed_last,
        plan::{Basis, OfIncident},
        safety::NotWarehouse,
        words::held,
    },
    diagnose::{Cause, Known, Verdict, causes::Reload, cdc},
    posthog::wire::Source,
};

/// A required fact is uncertain or false.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let (known, subject) = (context.known, context.subject);
    let mut sources = known.snapshot.sources.iter();
    let Some(source) = sources.find(|source| source.id == subject.source_id) else {
        return Some(not_listed(context));
    };
    if let Some(why) = known.snapshot.instance.why_only_observed() {
        return Some(Hold::for_now(why));
    }
    if !source.is_warehouse() {
        return Some(Hold::for_good(NotWarehouse.to_string()));
    }
    let is_listed = |id: &str| known.snapshot.row(&source.id, id).is_some();
    if !subject.is_source() && !is_listed(&subject.schema_id) {
        return Some(not_listed(context));
    }
    match context.basis {
        Basis::Incident(basis) => of_incident(context, basis).map(Hold::for_now),
        Basis::Source(_) => None,
        Basis::Proposal(_) => not_selected(context, source),
    }
}

/// What `PostHog` no longer lists is held for as long as that is remembered: a key with fewer rights sees fewer tables.
fn not_listed(context: &OrderContext<'_>) -> Hold {
    let subject = context.subject;
    if !matches!(context.basis, Basis::Proposal(_)) {
        let what = if subject.is_source() {
            "source"
        } else {
            "table"
        };
        return Hold::for_now(format!("PostHog does not currently list the {what}"));
    }
    let mut missing = context.known.snapshot.changes.missing.values();
    let remembered = missing.any(|gone| {
        if subject.is_source() {
            gone.source_id == subject.source_id
        } else {
            gone.schema_id == subject.schema_id
        }
    });
    if remembered {
        Hold::for_now("PostHog does not currently list it")
    } else {
        Hold::for_good("PostHog no longer lists it")
    }
}

fn not_selected(context: &OrderContext<'_>, source: &Source) -> Option<Hold> {
    let (selector, subject) = (&context.known.policy.selector, context.subject);
    let selects_source =
        selector.selects_source(source.type_name(), source.prefix_name(), &source.id);
    let mut tables = source.schemas.iter();
    let selects = tables.any(|schema| {
        (subject.is_source() || schema.id == subject.schema_id)
            && selects_source
            && selector.selects_schema(&schema.name)
    });
    let what = if subject.is_source() {
        "source"
    } else {
        "table"
    };
    (!selects).then(|| Hold::for_good(format!("the policy does not select this {what}")))
}

fn of_incident(context: &OrderContext<'_>, basis: &OfIncident) -> Option<&'static str> {
    let incident = &basis.incident;
    let judged = context.diagnosis.of(&incident.schema_id);
    match basis.call {
        Call::Cancel if basis.hanging.is_none() => Some("the run is no longer judged dead"),
        Call::Cancel if judged.is_none() => Some("the policy does not select this table"),
        Call::Enable
            if !judged.is_some_and(|judged| Verdict::is_disabled_by_posthog(&judged.verdict)) =>
        {
            Some(held::SWITCHED_OFF_UNSEEN)
        }
        Call::Reload
            if context.starts
                && Cause::of(incident.cause).reload == Reload::AfterCheck
                && !has_its_prerequisites(context.known, incident) =>
        {
            Some(
                "change data capture is not confirmed fixed: PostHog's prerequisite check has not passed since the failure",
            )
        }
        Call::Cancel | Call::Enable | Call::Reload => None,
    }
}

/// True if `PostHog` found change data capture in order after the last failure.
fn has_its_prerequisites(known: &Known<'_>, incident: &Incident) -> bool {
    let since = failed_last(known, incident);
    since.is_some_and(|since| cdc::is_prepared_since(known.snapshot, &incident.source_id, since))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        api::status::{Missing, RootCause},
        decide::{
            gate::StuckRun,
            guards::fixture::{Situation, ago, of_incident, of_proposal, of_source, policy},
            plan::{Kind, Order},
        },
        diagnose::Judged,
        observe::{RunPhase, Seen, Words, probes::Probed},
        posthog::{PostHogError, probe::CdcPrerequisites, wire::SchemaStatus},
    };

    fn said(situation: &Situation) -> Option<String> {
        situation.ask(check).map(|hold| hold.why)
    }

    fn reload() -> Order {
        of_incident(Kind::Reload, Call::Reload)
    }

    #[test]
    fn what_is_listed_and_selected_of_a_warehouse_source_is_not_held() {
        for order in [
            reload(),
            of_source(Kind::Webhook),
            of_proposal("a1"),
            of_proposal(""),
        ] {
            let mut situation = Situation::new(order);
            assert_eq!(said(&situation), None, "{:?}", situation.order);
            situation.list(|sources| sources[0].access_method = sources[0].prefix.clone());
            let hold = situation.ask(check).unwrap();
            assert_eq!((hold.why, hold.lasts), (NotWarehouse.to_string(), true));
        }
    }

    #[test]
    fn what_has_left_the_list_is_held_and_a_proposal_for_as_long_as_that_is_remembered() {
        let gone = |source_id: &str, schema_id: &str| Missing {
            schema_id: schema_id.into(),
            schema: "t".into(),
            source_id: source_id.into(),
            source: "s".into(),
            since: ago(5),
            polls: 1,
        };
        let now = "PostHog does not currently list it";
        let for_good = "PostHog no longer lists it";
        for (order, missing, expected) in [
            (
                reload(),
                gone("s1", "a1"),
                "PostHog does not currently list the table",
            ),
            (
                of_source(Kind::Webhook),
                gone("s1", "a1"),
                "PostHog does not currently list the source",
            ),
            (of_proposal("a1"), gone("s1", "a1"), now),
            (of_proposal("a1"), gone("s1", "b1"), for_good),
            (of_proposal(""), gone("s1", "b1"), now),
            (of_proposal(""), gone("s2", "a2"), for_good),
        ] {
            let what = format!("{:?} without {missing:?}", order.subject);
            let mut situation = Situation::new(order);
            let is_source = situation.order.subject.is_source();
            situation.list(|sources| {
                if is_source {
                    sources.remove(0);
                } else {
                    sources[0].schemas.remove(0);
                }
            });
            situation.snapshot.changes.missing = [(missing.schema_id.clone(), missing)].into();
            let hold = situation.ask(check).unwrap();
            assert_eq!(
                (&*hold.why, hold.lasts),
                (expected, expected == for_good),
                "{what}"
            );
        }
    }

    #[test]
    fn a_proposal_is_held_for_good_once_the_policy_does_not_select_what_it_is_about() {
        for (schema_id, selector, selected) in [
            (
                "a1",
                "sources: {prefixes: [prod]}, schemas: {include: [a1]}",
                true,
            ),
            ("a1", "schemas: {include: [b1]}", false),
            ("a1", "sources: {prefixes: [other]}", false),
            (
                "",
                "sources: {prefixes: [prod]}, schemas: {include: [b1]}",
                true,
            ),
            ("", "schemas: {include: [c1]}", false),
            ("", "sources: {prefixes: [other]}", false),
        ] {
            let mut situation = Situation::new(of_proposal(schema_id));
            situation.policy = policy("{}", &format!("selector: {{{selector}}}"));
            let what = if schema_id.is_empty() {
                "source"
            } else {
                "table"
            };
            let expected = (!selected)
                .then(|| Hold::for_good(format!("the policy does not select this {what}")));
            assert_eq!(situation.ask(check), expected, "{schema_id} of {selector}");
        }
    }

    fn judged(verdict: Verdict) -> Judged {
        Judged {
            source: "Postgres prod".into(),
            source_id: "s1".into(),
            schema_id: "a1".into(),
            schema: "a1".into(),
            status: SchemaStatus::Failed,
            verdict,
            evidence: Vec::new(),
        }
    }

    #[test]
    fn a_run_is_cancelled_only_if_it_hangs_and_a_table_switched_on_only_if_posthog_switched_it_off()
    {
        let off = |by_posthog| Verdict::Disabled {
            after: None,
            by_posthog,
        };
        let hanging = StuckRun {
            job_id: "j".into(),
            rows: None,
            log_at: None,
            phase: RunPhase::Extracting,
            words: Words::default(),
            canary: None,
        };
        let not_off = "PostHog was not observed switching the table off: a person may have done it";
        for (call, hanging, verdict, expected) in [
            (
                Call::Cancel,
                None,
                Some(Verdict::Running),
                Some("the run is no longer judged dead"),
            ),
            (
                Call::Cancel,
                Some(hanging.clone()),
                None,
                Some("the policy does not select this table"),
            ),
            (Call::Cancel, Some(hanging), Some(Verdict::Running), None),
            (Call::Enable, None, None, Some(not_off)),
            (Call::Enable, None, Some(Verdict::Running), Some(not_off)),
            (Call::Enable, None, Some(off(None)), Some(not_off)),
            (Call::Enable, None, Some(off(Some(ago(5)))), None),
            (Call::Reload, None, None, None),
        ] {
            let mut situation = Situation::new(of_incident(Kind::Stuck, call));
            situation.diagnosis.judged = verdict.clone().map(judged).into_iter().collect();
            situation.incident().hanging = hanging;
            assert_eq!(
                said(&situation).as_deref(),
                expected,
                "{call:?} of {verdict:?}"
            );
        }
    }

    #[test]
    fn a_broken_capture_is_reloaded_only_after_a_good_check_since_it_failed() {
        let check = |valid| {
            Ok(CdcPrerequisites {
                valid,
                errors: Vec::new(),
            })
        };
        let lost = || {
            Err(PostHogError::NoAnswer {
                call: "check",
                host: "h".into(),
                reason: "cut".into(),
            })
        };
        let (broken, passing) = (RootCause::CdcBroken, RootCause::Transient);
        for (cause, starts, probed, may) in [
            (broken, true, None, false),
            (broken, true, Some((9, check(true))), true),
            (broken, true, Some((10, check(true))), false),
            (broken, true, Some((11, check(true))), false),
            (broken, true, Some((9, check(false))), false),
            (broken, true, Some((9, lost())), false),
            (broken, false, None, true),
            (passing, true, None, true),
        ] {
            let what = format!("{cause:?} {starts} {probed:?}");
            let mut situation = Situation::new(Order { starts, ..reload() });
            situation.incident().incident.cause = cause;
            let failed = Arc::new(Seen::without_row(ago(10)));
            situation.snapshot.runs.insert("a1".into(), failed);
            let probed = probed.map(|(minutes, answer)| Probed::new(ago(minutes), answer, None));
            let probed = probed.map(|probed| ("s1".to_owned(), probed));
            situation.snapshot.probes.prerequisites = probed.into_iter().collect();
            let held = said(&situation);
            assert_eq!(held.is_none(), may, "{what}: {held:?}");
        }
    }
}
