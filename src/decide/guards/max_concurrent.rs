//! `limits.maxConcurrent`.

use super::{Hold, OrderContext};
use crate::{
    api::status::{Incident, Step},
    decide::ownership::is_in_flight,
};

/// Too many incidents at a time. An incident counts until its new job has been seen.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let most = context.known.policy.limits.max_concurrent;
    let in_progress = context
        .others()
        .filter(|other| waits_for_a_job(other))
        .count();
    (in_progress >= most).then(|| {
        Hold::for_now(format!(
            "spec.remediation.limits.maxConcurrent: {in_progress} of {most} incidents are in progress"
        ))
    })
}

const fn waits_for_a_job(incident: &Incident) -> bool {
    is_in_flight(incident) && !matches!(incident.step, Step::WaitSuccess | Step::BackOff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::status::Call,
        decide::{
            guards::fixture::{Situation, incident, of_incident},
            plan::Kind,
        },
    };

    #[test]
    fn an_incident_counts_from_its_start_until_its_new_job_was_seen() {
        for &step in Step::ALL {
            let counts = match step {
                Step::Enabling
                | Step::Cancelling
                | Step::WaitTerminal
                | Step::Settle
                | Step::Reloading
                | Step::WaitNewJob => true,
                Step::WaitSuccess | Step::BackOff | Step::Recovered | Step::Escalated => false,
            };
            let mut situation = Situation::new(of_incident(Kind::Reload, Call::Reload));
            situation.plan.incidents = vec![incident("b1", step)];
            situation.policy.limits.max_concurrent = 2;
            assert_eq!(situation.ask(check), None, "{step:?}");
            situation.policy.limits.max_concurrent = 1;
            let expected = counts.then(|| {
                Hold::for_now(
                    "spec.remediation.limits.maxConcurrent: 1 of 1 incidents are in progress",
                )
            });
            assert_eq!(situation.ask(check), expected, "{step:?}");
        }
    }
}
