//! `limits.maxConcurrent`.

use super::{Ask, Hold};
use crate::{
    api::status::{Incident, Step},
    decide::ownership::is_in_flight,
};

/// Too many incidents at a time. An incident counts until its new job has been seen.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let most = ask.known.policy.limits.max_concurrent;
    let in_progress = ask.others().filter(|other| waits_for_a_job(other)).count();
    (in_progress >= most).then(|| {
        Hold::for_now(format!(
            "spec.remediation.limits.maxConcurrent: {in_progress} of {most} incidents are in progress"
        ))
    })
}

const fn waits_for_a_job(incident: &Incident) -> bool {
    is_in_flight(incident) && !matches!(incident.step, Step::WaitSuccess | Step::BackOff)
}
