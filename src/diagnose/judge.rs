//! The verdict on each table. The rules lean to "not stuck": cancelling a healthy run is the worst that could happen.

use jiff::Timestamp;

use super::{
    causes::Cause,
    failure::{Failure, failure},
    freshness,
    known::Known,
    not_configured::is_not_configured,
    running,
    source_facts::SourceFacts,
    switched_off,
    verdict::Verdict,
    webhooks,
};
use crate::{
    api::proposal::{Phase, ProposedAction},
    observe::{Newest, RunProbe, Seen},
    posthog::{
        lax::Lax,
        redact,
        wire::{Job, JobStatus, Schema, SchemaStatus, Source},
    },
};

fn cannot_tell(reason: impl Into<String>) -> Verdict {
    Verdict::Unknown {
        reason: reason.into(),
    }
}

/// The verdict on one table.
pub(super) fn verdict(
    known: &Known<'_>,
    of: &SourceFacts<'_>,
    schema: &Schema,
    seen: Option<&Seen>,
) -> Verdict {
    let by_status = by_status(known, of, schema, seen);
    let verdict = freshness::judge(known, (of.source, schema), seen, by_status);
    // What cannot be judged is not healthy, whatever its status says.
    let says_enough = verdict == Verdict::Billing || !freshness::may_hide_silence(&verdict);
    match why_unknown(known, of.source, schema).filter(|_| !says_enough) {
        Some(reason) => Verdict::Unknown { reason },
        None => verdict,
    }
}

/// Why it is unknown whether data arrives in a table, though its own row is clear.
fn why_unknown(known: &Known<'_>, source: &Source, schema: &Schema) -> Option<String> {
    if source.is_accessed_oddly() {
        return Some("the access_method of its source is unknown to this version of the operator, so it is unknown when a sync is due".to_owned());
    }
    let by_webhook = schema.is_on() && schema.syncs_by("webhook");
    let why = by_webhook.then(|| webhooks::why_unknown(known, source))??;
    Some(webhooks::unknown_table(&why))
}

fn by_status(
    known: &Known<'_>,
    of: &SourceFacts<'_>,
    schema: &Schema,
    seen: Option<&Seen>,
) -> Verdict {
    let status = schema.status();
    match &schema.should_sync {
        Lax::Is(true) => {}
        Lax::Is(false) => return disabled(known, of, schema, status, seen),
        Lax::Missing | Lax::Null | Lax::Odd => {
            return cannot_tell("PostHog does not show whether syncing is switched on");
        }
    }
    match status {
        SchemaStatus::Never => Verdict::Pending,
        SchemaStatus::Billing => Verdict::Billing,
        SchemaStatus::Paused => Verdict::Paused,
        SchemaStatus::Unknown => {
            let shown = schema.status.get().map_or_else(
                || "without a value".to_owned(),
                |s| format!("{:?}", redact::text(s, 40)),
            );
            cannot_tell(format!(
                "its status {shown} is unknown to this version of the operator"
            ))
        }
        SchemaStatus::Completed
            if schema.last_synced_at != Lax::Null && schema.synced_at(known.now).is_none() =>
        {
            cannot_tell(
                "its status is Completed, but the time of its last sync is unreadable or in the future",
            )
        }
        SchemaStatus::Completed => Verdict::Healthy,
        SchemaStatus::Failed => failed(known, of, schema, seen),
        SchemaStatus::Running => match running::verdict(known, of.source, schema, seen) {
            Verdict::Running => failing_still(known, of, schema, seen),
            other => other,
        },
    }
}

fn disabled(
    known: &Known<'_>,
    of: &SourceFacts<'_>,
    schema: &Schema,
    status: SchemaStatus,
    seen: Option<&Seen>,
) -> Verdict {
    if is_not_configured(schema) {
        return Verdict::NotConfigured;
    }
    let has_text = schema
        .latest_error
        .get()
        .is_some_and(|text| !text.trim().is_empty());
    if status != SchemaStatus::Failed || !has_text {
        return Verdict::Disabled {
            after: None,
            by_posthog: None,
        };
    }
    let failed_at = seen.and_then(Seen::failed_at);
    let failure = failure(known, of, schema, failed_at);
    let by_person = switched_off::by_person(of, schema, &failure, seen).is_some();
    if by_person || Cause::of(failure.cause).is_note() {
        return Verdict::Disabled {
            after: None,
            by_posthog: None,
        };
    }
    let by_posthog = seen_disabled(known, schema, &failure, failed_at);
    Verdict::Disabled {
        after: Some(failure),
        by_posthog,
    }
}

/// When `PostHog` was seen to switch a table off. Only `PostHog` switches off in the moment in which a run fails for a reason that it does not retry;
/// a person who switches off a failing table does it at another time.
fn seen_disabled(
    known: &Known<'_>,
    schema: &Schema,
    failure: &Failure,
    failed_at: Option<Timestamp>,
) -> Option<Timestamp> {
    let remembered = known
        .state
        .schemas
        .iter()
        .find(|state| state.id == schema.id)
        .and_then(|state| state.disabled_seen);
    if remembered.is_some() {
        return remembered;
    }
    let off = known
        .snapshot
        .changes
        .switched_off
        .get(schema.id.as_str())?;
    let fresh = failed_at? > off.after && failed_at? <= off.by;
    let run_probe = known.snapshot.seen(&schema.id)?.readable()?;
    let stopped = matches!(run_probe.newest(), Newest::Job(job, _) if job.was_stopped());
    (fresh && !stopped && !Cause::of(failure.cause).retried_by_posthog).then_some(off.by)
}

/// A table that failed again and again is not well because it tries once more. One failure may have been chance.
fn failing_still(
    known: &Known<'_>,
    of: &SourceFacts<'_>,
    schema: &Schema,
    seen: Option<&Seen>,
) -> Verdict {
    let streak = seen
        .and_then(|seen| seen.streak)
        .filter(|streak| streak.count >= 2);
    let Some(streak) = streak else {
        return Verdict::Running;
    };
    let failure = failure(known, of, schema, Some(streak.last));
    let note = Cause::of(failure.cause).is_note();
    let short =
        known.now.duration_since(streak.since) < known.health(of.source, schema).failing_for;
    if note || short || failure.text.is_none() {
        return Verdict::Running;
    }
    Verdict::Failing {
        since: streak.since,
        failure,
    }
}

fn failed(
    known: &Known<'_>,
    of: &SourceFacts<'_>,
    schema: &Schema,
    seen: Option<&Seen>,
) -> Verdict {
    let Some(seen) = seen else {
        return Verdict::JustFailed;
    };
    let job = match seen.readable().map(RunProbe::newest) {
        Some(Newest::Job(job, _)) => Some(job),
        // The list says enough to report it: that it failed, and why.
        Some(Newest::Unclear(_) | Newest::None) | None => None,
    };
    // The list is older than the read of the runs: a new run has started.
    if job.is_some_and(|job| job.status() == JobStatus::Running) {
        return Verdict::Running;
    }
    let failed_at = seen.failed_at();
    let streak = seen.streak.map(|streak| streak.since);
    // A time to come is another clock's.
    let since = streak.or(failed_at).filter(|at| *at <= known.now);
    let since = since.unwrap_or(seen.row_since);
    if known.now.duration_since(since) < known.health(of.source, schema).failing_for {
        return Verdict::JustFailed;
    }
    let failure = failure(known, of, schema, failed_at);
    let failure = if job.is_some_and(|job| was_cancelled_in_vain(known, schema, job)) {
        failure.of_cancel_in_vain()
    } else {
        failure
    };
    Verdict::Failing { since, failure }
}

/// True for a run that was cancelled by an approved proposal, whose reload brought no other.
fn was_cancelled_in_vain(known: &Known<'_>, schema: &Schema, job: &Job) -> bool {
    let mut proposals = known.proposals.iter();
    proposals.any(|proposal| {
        let cancelled = proposal.material.steps.first();
        proposal.action == ProposedAction::Cancel
            && proposal.phase == Phase::OutcomeUnknown
            && proposal.target.schema_id == schema.id
            && cancelled.is_some_and(|step| step.job_id.as_ref() == Some(&job.id))
    })
}
