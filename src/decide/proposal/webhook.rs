//! A webhook that the vendor has disabled: only a new one can replace it, for which every table that syncs by it must change to another
//! sync type and back. That wipes them, so it is an alternative to the vendor's dashboard, and only where PostHog can read each of them
//! in another way.

use super::{
    draft::Draft,
    fit::{Fit, Wanted},
    steps::{MAX_TABLES, call, in_order},
};
use crate::{
    api::{
        proposal::{ProposedAction, ProposedCall, ProposedStep},
        status::Severity,
    },
    diagnose::{
        Cause, Known, Problem,
        causes::{Proposes, rules},
    },
    posthog::{
        lax::Lax,
        wire::{Schema, Source},
    },
};

/// True for the problem that another webhook fixes.
pub fn is_off_at_vendor(problem: &Problem) -> bool {
    Cause::of(problem.cause).proposes == Proposes::ReregisterWebhook
        && problem.rule == rules::DISABLED_AT_VENDOR
        && problem.severity == Severity::Error
}

/// The tables of a source that sync by its webhook, also those that are switched off: all of them keep it from being removed.
pub fn tables(source: &Source) -> impl Iterator<Item = &Schema> {
    let tables = source.schemas.iter();
    tables.filter(|schema| schema.syncs_by("webhook"))
}

/// Another webhook, as a proposal; none where that is not possible, or not known to be.
pub fn reregister(known: &Known<'_>, problem: &Problem, source: &Source) -> Option<Wanted> {
    if may_go_without(known, source) != Some(true) {
        return None;
    }
    let action = ProposedAction::ReregisterWebhook;
    let ids = in_order(tables(source).map(|schema| schema.id.to_string()));
    let rows = tables(source)
        .map(|schema| schema.table.as_ref()?.row_count.get().copied())
        .sum();
    let planned = (action, steps(&ids));
    let draft = Draft::of_source(known.policy, problem, source, planned, rows);
    let fit = Fit::draft(draft);
    Some(Wanted { action, fit })
}

/// Whether all of its tables can be read in full instead; none if that is not known.
fn may_go_without(known: &Known<'_>, source: &Source) -> Option<bool> {
    let selector = &known.policy.selector;
    let mut all = tables(source);
    let info = known.snapshot.probes.webhooks.get(&source.id);
    let info = info.and_then(|probed| probed.answer.as_ref().ok());
    if info.is_some_and(|info| info.creation_is_blocked().is_some()) {
        return Some(false);
    }
    if tables(source).count() > MAX_TABLES
        || all.any(|schema| !selector.selects_schema(&schema.name))
    {
        return Some(false);
    }
    let mut may = true;
    for schema in tables(source) {
        let probed = known.snapshot.probes.fields.get(schema.id.as_str())?;
        let fields = probed.answer.as_ref().ok()?;
        may &=
            fields.webhook_only == Lax::Is(false) && fields.full_refresh_available == Lax::Is(true);
    }
    Some(may)
}

fn steps(ids: &[String]) -> Vec<ProposedStep> {
    let sync_by = |how: &str| ProposedStep {
        sync_type: Some(how.to_owned()),
        schema_ids: ids.to_vec(),
        ..call(ProposedCall::PatchTables)
    };
    vec![
        sync_by("full_refresh"),
        call(ProposedCall::DeleteWebhook),
        call(ProposedCall::CreateWebhook),
        sync_by("webhook"),
    ]
}
