//! Facts that must be certain for any call.

use super::{Ask, Hold};
use crate::{
    api::status::{Call, Incident},
    decide::{
        orders::reload::failed_last,
        plan::{Basis, OfIncident},
        safety::NotWarehouse,
    },
    diagnose::{Cause, Known, Verdict, causes::Reload, cdc},
    posthog::wire::Source,
};

/// A required fact is uncertain or false.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let (known, subject) = (ask.known, ask.subject);
    let mut sources = known.snapshot.sources.iter();
    let Some(source) = sources.find(|source| source.id == subject.source_id) else {
        return Some(not_listed(ask));
    };
    if let Some(why) = known.snapshot.instance.why_only_observed() {
        return Some(Hold::for_now(why));
    }
    if !source.is_warehouse() {
        return Some(Hold::for_good(NotWarehouse.to_string()));
    }
    let is_listed = |id: &str| source.schemas.iter().any(|schema| schema.id == id);
    if !subject.is_source() && !is_listed(&subject.schema_id) {
        return Some(not_listed(ask));
    }
    match ask.basis {
        Basis::Incident(basis) => of_incident(ask, basis).map(Hold::for_now),
        Basis::Source(_) => None,
        Basis::Proposal(_) => not_selected(ask, source),
    }
}

/// What `PostHog` no longer lists is held for as long as that is remembered: a key with fewer rights sees fewer tables.
fn not_listed(ask: &Ask<'_>) -> Hold {
    let subject = ask.subject;
    if !matches!(ask.basis, Basis::Proposal(_)) {
        let what = if subject.is_source() {
            "source"
        } else {
            "table"
        };
        return Hold::for_now(format!("PostHog does not currently list the {what}"));
    }
    let mut missing = ask.known.snapshot.changes.missing.values();
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

fn not_selected(ask: &Ask<'_>, source: &Source) -> Option<Hold> {
    let (selector, subject) = (&ask.known.policy.selector, ask.subject);
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

fn of_incident(ask: &Ask<'_>, basis: &OfIncident) -> Option<&'static str> {
    let incident = &basis.incident;
    let judged = ask.diagnosis.of(&incident.schema_id);
    match basis.call {
        Call::Cancel if basis.hanging.is_none() => Some("the run is no longer judged dead"),
        Call::Cancel if judged.is_none() => Some("the policy does not select this table"),
        Call::Enable
            if !judged.is_some_and(|judged| Verdict::is_disabled_by_posthog(&judged.verdict)) =>
        {
            Some("PostHog was not observed switching the table off: a person may have done it")
        }
        Call::Reload
            if ask.starts
                && Cause::of(incident.cause).reload == Reload::AfterCheck
                && !has_its_prerequisites(ask.known, incident) =>
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
