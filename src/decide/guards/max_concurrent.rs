//! `limits.maxConcurrent`.

use super::{Ask, Hold};
use crate::{
    api::status::{Incident, Step},
    decide::ownership::is_in_flight,
};

/// So many incidents at a time; one counts until its new job has been seen.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let most = ask.known.policy.limits.max_concurrent;
    let under_way = ask.others().filter(|other| waits_for_a_job(other)).count();
    (under_way >= most).then(|| {
        Hold::for_now(format!(
            "spec.remediation.limits.maxConcurrent: {under_way} of {most} incidents are under way"
        ))
    })
}

const fn waits_for_a_job(incident: &Incident) -> bool {
    is_in_flight(incident) && !matches!(incident.step, Step::WaitSuccess | Step::BackOff)
}
