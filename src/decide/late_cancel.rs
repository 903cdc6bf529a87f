//! `PostHog` may handle a cancel late, and then stops the run that is in progress by then.

use jiff::{SignedDuration, Timestamp};

use crate::posthog::wire::Job;

/// True if a run began or ended so soon after a cancel was sent that the cancel probably stopped it.
#[must_use]
pub fn is_near(job: &Job, sent: Timestamp, settle: SignedDuration) -> bool {
    let times = [job.created_at.get(), job.finished_at.get()];
    times.into_iter().flatten().any(|at| {
        let later = at.duration_since(sent);
        !later.is_negative() && later <= settle
    })
}
