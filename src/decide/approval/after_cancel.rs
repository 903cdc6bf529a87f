//! What follows an approved cancel: the reload, which `PostHog` may accept and drop, and what remains to do if it starts no run.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        Timings,
        proposal::{Execution, Proposal, ProposedAction, ProposedCall},
        status::Fate,
    },
    decide::late_cancel::is_near,
    observe::RunProbe,
    posthog::wire::{Job, JobStatus},
};

/// True for a reload that started no run and is sent again, at the same times as in an incident.
#[must_use]
pub fn reload_is_due(proposal: &Proposal, timings: &Timings, now: Timestamp) -> bool {
    let Some(last) = proposal.started_steps().last() else {
        return false;
    };
    if proposal.action != ProposedAction::Cancel || last.call != ProposedCall::Reload {
        return false;
    }
    let [first, second] = timings.reload_again;
    let wait = match (last.fate, last.tries) {
        (Some(Fate::Accepted | Fate::Unknown) | None, 1) => first,
        (Some(Fate::Accepted), 2) => second - first,
        (Some(Fate::Accepted | Fate::Unknown | Fate::Refused | Fate::NotSent) | None, _) => {
            return false;
        }
    };
    now.duration_since(last.started_at) >= wait
}

/// True if the cancel was sent and its answer is unknown: the run itself shows whether it has ended.
#[must_use]
pub fn is_to_be_seen(proposal: &Proposal) -> bool {
    let last = proposal.started_steps().last();
    last.is_some_and(|step| {
        step.call == ProposedCall::Cancel && matches!(step.fate, Some(Fate::Unknown) | None)
    })
}

/// The run after the cancelled one, if it was stopped, probably by the operator's own cancel, which `PostHog` handled late.
#[must_use]
pub fn hit<'a>(
    execution: &Execution,
    run_probe: &'a RunProbe,
    settle: SignedDuration,
) -> Option<&'a Job> {
    let cancel = execution.steps.first()?;
    let job = run_probe
        .first_after(execution.job_before.as_deref())
        .ok()??;
    let ours = match cancel.fate {
        None | Some(Fate::Unknown) => true,
        Some(Fate::Accepted) => is_near(job, cancel.started_at, settle),
        Some(Fate::Refused | Fate::NotSent) => false,
    };
    (job.status() == JobStatus::Failed && job.was_stopped() && ours).then_some(job)
}
