//! Tables that a reload may help: they failed with a transient cause, are stale, or had their credentials renewed.

use jiff::Timestamp;

use super::{incident::IncidentStart, rotated::were_rotated};
use crate::{
    api::status::{Incident, RootCause, Severity},
    diagnose::{Cause, Judged, Known, Verdict, causes::Reload},
    observe::Newest,
    posthog::wire::{JobStatus, SchemaStatus},
};

/// Whether a table needs a reload.
#[must_use]
pub fn begins(known: &Known<'_>, judged: &Judged) -> Option<IncidentStart> {
    match &judged.verdict {
        // A run in progress after a failure is the reload already.
        Verdict::Failing { failure, .. } if judged.status == SchemaStatus::Failed => {
            let helps = match Cause::of(failure.cause).reload {
                Reload::AfterBackOff | Reload::AfterCheck => true,
                Reload::AfterRotation => were_rotated(known, judged),
                Reload::Never | Reload::AfterCancel | Reload::Stale => false,
            };
            if !helps {
                return None;
            }
            Some(IncidentStart::reload(
                failure.cause,
                ended_job(known, judged)?,
            ))
        }
        Verdict::Stale(late) if late.severity == Severity::Error && late.may_be_reloaded() => Some(
            IncidentStart::reload(RootCause::Stale, ended_job(known, judged)?),
        ),
        _ => None,
    }
}

/// The newest job, if it is known to have ended as the verdict says; `Some(None)` if there is none.
#[expect(
    clippy::option_option,
    reason = "not known, known that there is none, known"
)]
pub(super) fn ended_job(known: &Known<'_>, judged: &Judged) -> Option<Option<String>> {
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

/// When the run failed, by `PostHog`'s clock; else when that was first seen.
#[must_use]
pub fn failed_last(known: &Known<'_>, incident: &Incident) -> Option<Timestamp> {
    let seen = known.snapshot.seen(&incident.schema_id)?;
    let ended = seen.streak.map(|streak| streak.last);
    Some(
        ended
            .filter(|at| *at <= known.now)
            .unwrap_or(seen.row_since),
    )
}
