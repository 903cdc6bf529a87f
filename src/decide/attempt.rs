//! What a verdict lets begin: an incident at its first step, and the call that it begins with.

use jiff::{SignedDuration, Timestamp};

use super::{
    credentials,
    guards::{Blocked, Guard, backoff},
};
use crate::{
    api::{
        policy::Switch,
        status::{Call, Incident, RootCause, Severity, Step},
    },
    diagnose::{
        Cause, Judged, Known, Verdict,
        mended::{Fix, SwitchedOff},
    },
    observe::{Look, Newest, Seen},
    posthog::{
        redact,
        wire::{JobStatus, Schema, SchemaStatus},
    },
};

/// How long a table that is synced in full is not reloaded again for being stale: each time costs all its rows.
const IN_FULL_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// The incident of a table, at its first step, and the call that it begins with; none if its verdict asks for no call.
#[must_use]
pub fn first(known: &Known<'_>, judged: &Judged) -> Option<(Incident, Call)> {
    let reload = |cause, baseline| (cause, Step::Reloading, Call::Reload, None, baseline);
    let (cause, step, call, job_id, baseline_job_id) = match &judged.verdict {
        Verdict::StuckJob { job_id, .. } => (
            RootCause::Stuck,
            Step::Cancelling,
            Call::Cancel,
            Some(job_id.clone()),
            Some(job_id.clone()),
        ),
        // There is nothing to cancel, and a reload cannot kill a run.
        Verdict::StuckWithoutJob { newest_job_id, .. } => {
            reload(RootCause::Stuck, newest_job_id.clone())
        }
        // A run in progress after a failure is the reload already.
        Verdict::Failing { failure, .. }
            if is_reloaded(failure.cause) && judged.status == SchemaStatus::Failed =>
        {
            reload(failure.cause, ended_job(known, judged)?)
        }
        Verdict::Stale {
            severity: Severity::Error,
            ..
        } => reload(RootCause::Stale, ended_job(known, judged)?),
        Verdict::Failing { failure, .. }
            if failure.cause == RootCause::CredentialsInvalid
                && judged.status == SchemaStatus::Failed
                && were_renewed(known, judged) =>
        {
            reload(failure.cause, ended_job(known, judged)?)
        }
        Verdict::Disabled {
            after: Some(failure),
            by_posthog: Some(_),
        } if is_mended_for_good(known, judged) => {
            let baseline = ended_job(known, judged)?;
            (failure.cause, Step::Enabling, Call::Enable, None, baseline)
        }
        _ => return None,
    };
    let deadline = (call != Call::Reload).then_some(known.timings.wait_terminal);
    let incident = Incident {
        schema_id: judged.schema_id.clone(),
        schema: redact::one_line(&judged.schema, 160),
        source: judged.source.clone(),
        source_id: judged.source_id.clone(),
        cause,
        step,
        attempt: 1,
        job_id,
        baseline_job_id,
        new_job_id: None,
        opened_at: known.now,
        step_since: known.now,
        deadline: deadline.and_then(|wait| known.now.checked_add(wait).ok()),
        healthy_since: None,
        sends: Vec::new(),
        message: why(&judged.verdict),
    };
    Some((incident, call))
}

/// True for causes that a reload may mend.
#[must_use]
pub const fn is_reloaded(cause: RootCause) -> bool {
    Cause::of(cause).reload.is_retried()
}

/// True if what `PostHog` switched the table off for is proved to have gone, and switching it on costs no rows.
fn is_mended_for_good(known: &Known<'_>, judged: &Judged) -> bool {
    let row = known.snapshot.row(&judged.source_id, &judged.schema_id);
    let Some((source, schema)) = row.filter(|(_, schema)| !is_wiped_when_switched_on(schema))
    else {
        return false;
    };
    let failure = judged.verdict.failure();
    let rejected = failure.is_some_and(|failure| failure.cause == RootCause::CredentialsInvalid);
    let off = SwitchedOff::new(
        known.state,
        known.snapshot,
        (source, schema),
        &judged.verdict,
    );
    rejected && were_renewed(known, judged) || off.is_some_and(|off| off.fix() == Fix::Proved)
}

/// True for a table that `PostHog` imports from its beginning when it is switched on again.
#[must_use]
pub fn is_wiped_when_switched_on(schema: &Schema) -> bool {
    ["webhook", "cdc"].iter().any(|by| schema.syncs_by(by))
}

/// True if the source was given new credentials since the table's newest run began.
pub(super) fn were_renewed(known: &Known<'_>, judged: &Judged) -> bool {
    let seen = known.snapshot.seen(&judged.schema_id);
    let began = match seen.and_then(Seen::readable).map(Look::newest) {
        Some(Newest::Job(job, _)) => job.created_at.get().copied(),
        Some(Newest::None) => seen.map(|seen| seen.text_since),
        Some(Newest::Unclear(_)) | None => None,
    };
    began.is_some_and(|began| credentials::were_renewed(known, &judged.source_id, began))
}

/// The newest job, if it is known to have ended as the verdict says; `Some(None)` if there is none.
#[expect(
    clippy::option_option,
    reason = "not known, known that there is none, known"
)]
fn ended_job(known: &Known<'_>, judged: &Judged) -> Option<Option<String>> {
    let wanted = if judged.status == SchemaStatus::Failed {
        JobStatus::Failed
    } else {
        JobStatus::Completed
    };
    match known.snapshot.seen(&judged.schema_id)?.readable()?.newest() {
        Newest::Job(job, _) if job.status() == wanted => Some(Some(job.id.clone())),
        Newest::None => Some(None),
        Newest::Job(..) | Newest::Unclear(_) => None,
    }
}

fn why(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Failing { failure, .. } if failure.cause == RootCause::CredentialsInvalid => {
            "its run failed because of credentials that have been renewed since".to_owned()
        }
        Verdict::Failing { failure, .. } => format!(
            "its run failed for a reason that may have passed ({})",
            failure.cause.as_str()
        ),
        Verdict::Disabled {
            after: Some(failure),
            ..
        } => format!(
            "PostHog switched it off after a failure ({}) that has been mended since",
            failure.cause.as_str()
        ),
        Verdict::Stale { since, .. } => format!("no run has completed since {since}"),
        stuck => stuck.why_stuck().unwrap_or_default(),
    }
}

/// What holds back attempt number `attempt` at what `incident` is about: its switch, its own conditions, its time.
#[must_use]
pub fn holds(known: &Known<'_>, incident: &Incident, attempt: i64) -> Option<Blocked> {
    let policy = known.policy;
    let (switch, field) = match incident.cause {
        _ if incident.step == Step::Enabling => (policy.reenable_after_fix, "reenableAfterFix"),
        RootCause::CredentialsInvalid => (policy.apply_credentials, "applyCredentials"),
        RootCause::Stuck => (policy.cancel_stuck.switch(), "cancelStuck"),
        RootCause::Stale => (policy.reload_stale, "reloadStale"),
        _ => (policy.reload_transient, "reloadTransient"),
    };
    if switch == Switch::Off {
        return Some(Guard::Switch.says(format!("spec.remediation.{field} is Off")));
    }
    match incident.cause {
        _ if incident.step == Step::Enabling => None,
        RootCause::Stuck | RootCause::CredentialsInvalid => None,
        RootCause::Stale => in_full_lately(known, incident),
        RootCause::CdcBroken if !is_mended(known, incident) => Some(Guard::Facts.says(
            "change data capture is not known to be mended: PostHog's check of its prerequisites does not say so",
        )),
        _ => too_soon(known, incident, attempt),
    }
}

fn too_soon(known: &Known<'_>, incident: &Incident, attempt: i64) -> Option<Blocked> {
    let due = failed_last(known, incident)?
        .checked_add(backoff::wait(&known.policy.limits.backoff, attempt))
        .ok()?;
    (known.now < due).then(|| {
        let due = Timestamp::from_second(due.as_second()).unwrap_or(due);
        Guard::Backoff.says(format!(
            "spec.remediation.limits.backoff: attempt {attempt} at {due}"
        ))
    })
}

/// When the run failed, by `PostHog`'s clock; else when that was first seen.
fn failed_last(known: &Known<'_>, incident: &Incident) -> Option<Timestamp> {
    let seen = known.snapshot.seen(&incident.schema_id)?;
    let ended = seen.streak.map(|streak| streak.last);
    Some(
        ended
            .filter(|at| *at <= known.now)
            .unwrap_or(seen.row_since),
    )
}

fn is_mended(known: &Known<'_>, incident: &Incident) -> bool {
    let probed = known.snapshot.probes.prerequisites.get(&incident.source_id);
    let since = failed_last(known, incident);
    probed.is_some_and(|probed| {
        let valid = probed.answer.as_ref().is_ok_and(|check| check.valid);
        valid && since.is_some_and(|since| probed.at > since)
    })
}

fn in_full_lately(known: &Known<'_>, incident: &Incident) -> Option<Blocked> {
    let (_, schema) = known
        .snapshot
        .row(&incident.source_id, &incident.schema_id)?;
    let mut states = known.state.schemas.iter();
    let at = states
        .find(|state| state.id == incident.schema_id)?
        .reloaded_in_full?;
    (costs_all_rows(schema) && known.now.duration_since(at) < IN_FULL_EVERY).then(|| {
        Guard::Backoff.says(format!(
            "it was reloaded in full at {at}: at most once a day, because that costs all its rows"
        ))
    })
}

/// True for a table that is read anew with each run.
#[must_use]
pub fn costs_all_rows(schema: &Schema) -> bool {
    schema.syncs_by("full_refresh")
}

/// The times of full reloads that are still worth remembering.
#[must_use]
pub fn still_counts(reloaded_in_full: Timestamp, now: Timestamp) -> bool {
    now.duration_since(reloaded_in_full) < IN_FULL_EVERY
}
