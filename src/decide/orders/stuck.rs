//! Runs that hang: they are cancelled, then their tables are reloaded.

use super::incident::Begins;
use crate::{
    api::status::{Call, RootCause, Step},
    diagnose::{Judged, Verdict},
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
