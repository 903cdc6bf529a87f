//! Runs that hang: they are cancelled, then their tables are reloaded.

use super::incident::Begins;
use crate::{
    api::status::{Call, Incident, RootCause, Step},
    decide::gate::Hanging,
    diagnose::{Judged, Known, Verdict},
};

/// Whether a stuck table needs a call.
#[must_use]
pub fn begins(judged: &Judged) -> Option<Begins> {
    match &judged.verdict {
        Verdict::StuckJob { job_id, .. } => Some(Begins {
            cause: RootCause::Stuck,
            step: Step::Cancelling,
            call: Call::Cancel,
            job_id: Some(job_id.clone()),
            baseline_job_id: Some(job_id.clone()),
        }),
        // There is nothing to cancel, and a reload cannot kill a run.
        Verdict::StuckWithoutJob { newest_job_id, .. } => {
            Some(Begins::reload(RootCause::Stuck, newest_job_id.clone()))
        }
        _ => None,
    }
}

/// How far the incident's run was when it was judged stuck.
#[must_use]
pub fn hanging(known: &Known<'_>, incident: &Incident) -> Option<Hanging> {
    let seen = known.snapshot.seen(&incident.schema_id);
    let seen = seen.filter(|seen| seen.frozen)?;
    let mark = seen
        .mark
        .as_ref()
        .filter(|mark| mark.running && mark.job_id == incident.job_id)?;
    Some(Hanging {
        job_id: mark.job_id.clone()?,
        rows: mark.rows,
        log_at: mark.log_at,
    })
}
