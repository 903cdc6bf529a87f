//! Stuck runs: they are cancelled, then their tables are reloaded.

use super::incident::IncidentStart;
use crate::{
    api::{
        policy::CancelStuck,
        status::{Call, RootCause, Step},
    },
    diagnose::{Judged, Known, Verdict, stuck::Silence},
};

/// Whether a stuck table needs a call.
#[must_use]
pub fn begins(known: &Known<'_>, judged: &Judged) -> Option<IncidentStart> {
    match &judged.verdict {
        Verdict::StuckJob(_) if is_for_a_person(known, &judged.schema_id) => None,
        Verdict::StuckJob(Silence { job_id, .. }) => Some(IncidentStart {
            cause: RootCause::Stuck,
            step: Step::Cancelling,
            call: Call::Cancel,
            job_id: Some(job_id.clone()),
            baseline_job_id: Some(job_id.clone()),
        }),
        // There is nothing to cancel, and a reload cannot kill a run.
        Verdict::StuckWithoutJob { newest_job_id, .. } => Some(IncidentStart::reload(
            RootCause::Stuck,
            newest_job_id.clone(),
        )),
        _ => None,
    }
}

/// Whether a dead run of this table is cancelled only with approval: the policy says so, or one was cancelled since the table was last
/// healthy. If the next run dies at the same point, another cancel fixes nothing.
#[must_use]
pub fn is_for_a_person(known: &Known<'_>, schema_id: &str) -> bool {
    let mut states = known.state.schemas.iter();
    let cancelled = states.any(|state| state.id == schema_id && state.cancelled.is_some());
    cancelled || known.policy.cancel_stuck == CancelStuck::Propose
}
