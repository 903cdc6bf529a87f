//! Whether the finding of a proposal is certainly over. If that is unknown, it is not over: after a restart much is read
//! again, and a run in progress may fail again.

use super::{key::Key, reenable};
use crate::{
    api::status::RootCause,
    diagnose::{
        Cause, Diagnosis, Known, Verdict,
        causes::{ClearedBy, StrongerSignal},
        cdc, data_checks,
        failure::{Failure, read},
    },
    posthog::{probe::WebhookInfo, wire::SchemaStatus},
};

/// True if the finding that `key` is about has cleared.
pub fn has_cleared(known: &Known<'_>, diagnosis: &Diagnosis, key: &Key) -> bool {
    if is_away(known, key) {
        return false;
    }
    match (&key.schema_id, Cause::of(key.cause).cleared_by) {
        (None, ClearedBy::Webhook) => webhook_works(known, &key.source_id),
        (None, ClearedBy::Slot) => cdc::has_its_slot(known.snapshot, &key.source_id),
        (None, ClearedBy::Tables) => {
            no_table_is_missing(known, &key.source_id) && !is_any_off(known, &key.source_id)
        }
        (None, ClearedBy::Verdict | ClearedBy::DataChecks | ClearedBy::Nothing) => {
            !reenable::has_tables(known, diagnosis, &key.source_id)
        }
        // A request is made once; the proposal itself remains.
        (Some(_), ClearedBy::Nothing) => false,
        (Some(id), ClearedBy::DataChecks) => data_checks::are_made(known, id),
        (
            Some(id),
            ClearedBy::Verdict | ClearedBy::Webhook | ClearedBy::Slot | ClearedBy::Tables,
        ) => fails_no_more(known, diagnosis, id, key.cause),
    }
}

/// True while what the key is about, or a table of it, is not in `PostHog`'s list: that may be a matter of the API key.
fn is_away(known: &Known<'_>, key: &Key) -> bool {
    let mut missing = known.snapshot.changes.missing.values();
    let mut sources = known.snapshot.sources.iter();
    match &key.schema_id {
        Some(id) => known.snapshot.row(&key.source_id, id).is_none(),
        None => {
            sources.all(|source| source.id != key.source_id)
                || missing.any(|gone| gone.source_id == key.source_id)
        }
    }
}

fn webhook_works(known: &Known<'_>, source_id: &str) -> bool {
    let probed = known.snapshot.probes.webhooks.get(source_id);
    let info = probed.and_then(|probed| probed.answer.as_ref().ok());
    info.is_some_and(WebhookInfo::is_healthy)
}

/// The text of an error stays until a run completes, also while the next one is in progress.
fn no_table_is_missing(known: &Known<'_>, source_id: &str) -> bool {
    let tables = known.snapshot.selected();
    let mut of_source = tables.filter(|(source, _)| source.id == source_id);
    !of_source.any(|(source, schema)| {
        let has_completed = schema.status() == SchemaStatus::Completed;
        let cause = || read(known.snapshot, source, schema).1.cause;
        !has_completed && Cause::of(cause()).cleared_by == ClearedBy::Tables
    })
}

/// True while a table is still off that the source was found to lack.
fn is_any_off(known: &Known<'_>, source_id: &str) -> bool {
    let mut records = known.snapshot.changes.went_off.iter();
    records.any(|record| record.source_id == source_id && record.gone)
}

fn fails_no_more(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    schema_id: &str,
    cause: RootCause,
) -> bool {
    let Some(judged) = diagnosis.of(schema_id) else {
        return true;
    };
    match &judged.verdict {
        Verdict::Failing { failure, .. }
        | Verdict::Disabled {
            after: Some(failure),
            ..
        } => failure.cause != cause && !is_open(known, schema_id, failure),
        Verdict::Stale(late) => late.behind.may_be_reloaded(),
        Verdict::Healthy | Verdict::NotConfigured | Verdict::Disabled { after: None, .. } => true,
        Verdict::Pending
        | Verdict::Running
        | Verdict::StuckJob(_)
        | Verdict::Silent(_)
        | Verdict::StuckWithoutJob { .. }
        | Verdict::JustFailed
        | Verdict::Billing
        | Verdict::Paused
        | Verdict::CannotTell { .. } => false,
    }
}

/// True for a failure whose cause a probe may still determine.
fn is_open(known: &Known<'_>, schema_id: &str, failure: &Failure) -> bool {
    let snapshot = known.snapshot;
    match Cause::of(failure.cause).doubt {
        StrongerSignal::Table => snapshot.detail(schema_id).is_none(),
        StrongerSignal::Source => !matches!(snapshot.fields(schema_id), Some(Ok(_))),
        StrongerSignal::Nothing | StrongerSignal::Status | StrongerSignal::Siblings => false,
    }
}
