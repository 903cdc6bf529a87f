//! A stuck run, step by step: cancel → wait for its end → settle → reload → wait for a new job → wait for its success.
//!
//! ```text
//! Cancelling → WaitTerminal → Settle → Reloading → WaitNewJob → WaitSuccess → Recovered
//!      │            │           │         ↑    │       │        ↓    │
//!      │            │           │         └────┼───────┼──── BackOff │
//!      └────────────┴───────────┴──────────────┴───────┴─────────────┴─→ Escalated, or closed
//! ```
//! A new job that our own late cancel hit leads back to Settle, once. A table that `PostHog` switched off begins at Enabling, which leads to
//! Reloading. One that says Running without a job begins at Reloading, and so does one that failed for a transient reason or is stale. Jobs are
//! evidence, answers are not: an answer only says what to read next. Each step is a function of the incident, the reads for it, and the time.

use jiff::{SignedDuration, Timestamp};

use super::{
    late_cancel::is_near, ownership::is_in_flight, table::forbids_reload, words::incident as words,
};
use crate::{
    api::{
        Timings,
        status::{Call, Fate, Incident, Send, Step},
    },
    diagnose::{Cause, causes::Reload},
    observe::{Newest, RunProbe},
    posthog::wire::{Job, JobStatus, Schema, SchemaStatus},
};

/// How long the operator waits after a deadline for a table that cannot be read.
const UNSEEN: SignedDuration = SignedDuration::from_hours(24);

/// What follows from the facts about an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing to do now.
    Wait,
    /// Send this call, unless a guard or the gate holds it.
    Send(Call),
    /// The incident is over, for this reason, and leaves the list.
    Close(String),
}

/// The facts by which an incident is advanced.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What this reconcile read about the table's runs.
    pub run_probe: Option<&'a RunProbe>,
    /// The table's row in the list; absent if it vanished from it.
    pub row: Option<&'a Schema>,
    /// The fixed durations.
    pub timings: &'a Timings,
    /// Now.
    pub now: Timestamp,
}

/// Moves an incident as far as the facts allow, and says what comes next.
pub fn advance(incident: &mut Incident, facts: &Facts<'_>) -> Next {
    // Each turn either stays or moves to a later step, and back only once, so this ends.
    loop {
        let before = incident.step;
        let next = step(incident, facts);
        if next != Next::Wait || incident.step == before {
            return next;
        }
    }
}

fn step(incident: &mut Incident, facts: &Facts<'_>) -> Next {
    match incident.step {
        Step::Enabling => enabling(incident, facts),
        Step::Cancelling => cancelling(incident, facts),
        Step::WaitTerminal => wait_terminal(incident, facts),
        Step::Settle => settle(incident, facts),
        Step::Reloading => reloading(incident, facts),
        Step::WaitNewJob => wait_new_job(incident, facts),
        Step::WaitSuccess => wait_success(incident, facts),
        Step::BackOff => back_off(incident, facts),
        Step::Recovered | Step::Escalated => Next::Wait,
    }
}

/// Moves to `step`, which ends at `deadline`.
fn go(
    incident: &mut Incident,
    step: Step,
    deadline: Option<Timestamp>,
    now: Timestamp,
    message: String,
) {
    incident.step = step;
    incident.step_since = now;
    incident.deadline = deadline;
    incident.message = message;
    if !is_in_flight(incident) {
        // Rows stay small. The cancel stays: it says which job must never be cancelled again.
        incident.sends.retain(|send| send.call == Call::Cancel);
    }
}

fn escalate(incident: &mut Incident, now: Timestamp, message: String) {
    go(incident, Step::Escalated, None, now, message);
}

fn after(from: Timestamp, wait: SignedDuration) -> Option<Timestamp> {
    from.checked_add(wait).ok()
}

fn cancelling(incident: &mut Incident, facts: &Facts<'_>) -> Next {
    let Some(cancel) = last(incident, Call::Cancel) else {
        return Next::Send(Call::Cancel);
    };
    let deadline = after(facts.now, facts.timings.wait_terminal);
    let job = incident.job_id.clone().unwrap_or_default();
    match (cancel.fate, cancel.http_status) {
        // Certainly not sent: as if it had not been tried, but only until the deadline.
        (Some(Fate::NotSent), _) if incident.deadline.is_some_and(|at| at <= facts.now) => {
            return Next::Close(words::cancel_not_sent(&job, &cancel.detail));
        }
        (Some(Fate::NotSent), _) => return Next::Send(Call::Cancel),
        (Some(Fate::Refused), Some(403)) => {
            let message = words::cancel_forbidden(&job, &cancel.detail);
            escalate(incident, facts.now, message);
        }
        // The list shows the table all the same: whatever PostHog means, the run must not be cancelled a second time.
        (Some(Fate::Refused), Some(404)) if facts.row.is_some() => {
            escalate(incident, facts.now, words::cancel_answered_404(&job));
        }
        (Some(Fate::Refused), Some(404)) => {
            return Next::Close(words::TABLE_UNKNOWN.to_owned());
        }
        (Some(Fate::Accepted | Fate::Refused | Fate::Unknown) | None, _) => {
            let message = if found_nothing(cancel) {
                words::nothing_to_cancel(&job)
            } else {
                words::waits_for_end(&job)
            };
            go(incident, Step::WaitTerminal, deadline, facts.now, message);
        }
    }
    Next::Wait
}

/// Sent once. The list shows whether the table is on; the answer does not.
fn enabling(incident: &mut Incident, facts: &Facts<'_>) -> Next {
    let is_on = facts.row.is_some_and(Schema::is_on);
    if is_on {
        let message = words::SWITCHED_ON.to_owned();
        go(incident, Step::Reloading, None, facts.now, message);
        return Next::Wait;
    }
    let is_late = incident.deadline.is_some_and(|at| at <= facts.now);
    match last(incident, Call::Enable).map(|send| (send.fate, send.detail.clone())) {
        Some((Some(Fate::NotSent), detail)) if is_late => {
            return Next::Close(words::not_switched_on(&detail));
        }
        None | Some((Some(Fate::NotSent), _)) => return Next::Send(Call::Enable),
        Some((Some(Fate::Refused), detail)) => {
            escalate(incident, facts.now, words::switch_on_refused(&detail));
        }
        Some(_) if is_late => {
            let message = words::NOT_CONFIRMED_ON.to_owned();
            escalate(incident, facts.now, message);
        }
        Some(_) => {}
    }
    Next::Wait
}

fn wait_terminal(incident: &mut Incident, facts: &Facts<'_>) -> Next {
    let id = incident.job_id.clone().unwrap_or_default();
    let status = facts
        .run_probe
        .and_then(|run_probe| run_probe.job(&id))
        .map(Job::status);
    match status {
        Some(JobStatus::Completed) => {
            recovered(incident, facts.now, words::completed_by_itself(&id));
        }
        Some(JobStatus::Billing) => {
            return Next::Close(words::held_back_by_billing(&id));
        }
        Some(JobStatus::Failed) if found_new_job(incident, facts) => {}
        Some(JobStatus::Failed) => {
            let deadline = after(facts.now, facts.timings.settle);
            go(
                incident,
                Step::Settle,
                deadline,
                facts.now,
                words::ended(&id),
            );
        }
        Some(JobStatus::Running | JobStatus::Unknown) | None => {
            if is_overdue(incident, facts) {
                let message = words::not_confirmed_ended(&id, last(incident, Call::Cancel));
                escalate(incident, facts.now, message);
            }
        }
    }
    Next::Wait
}

/// True if the deadline has passed and the state of the runs is known. If it is unknown, the operator waits another day.
fn is_overdue(incident: &Incident, facts: &Facts<'_>) -> bool {
    let can_tell = facts
        .run_probe
        .is_some_and(|run_probe| !matches!(run_probe.newest(), Newest::Unclear(_)));
    let patience = if can_tell {
        SignedDuration::ZERO
    } else {
        UNSEEN
    };
    incident
        .deadline
        .is_some_and(|at| facts.now.duration_since(at) >= patience)
}

fn settle(incident: &mut Incident, facts: &Facts<'_>) -> Next {
    if found_new_job(incident, facts) || incident.deadline.is_some_and(|at| at > facts.now) {
        return Next::Wait;
    }
    // A reload may end what PostHog loads.
    let rested = (facts.run_probe).map_or(Err(words::NOT_READ), |run_probe| {
        run_probe.has_rested(facts.timings, facts.now)
    });
    let why_not = match rested {
        Ok(true) => {
            let message = words::NOTHING_RUNS.to_owned();
            go(incident, Step::Reloading, None, facts.now, message);
            return Next::Wait;
        }
        Ok(false) => words::STILL_AT_WORK.to_owned(),
        Err(reason) => words::quiet_unknown(reason),
    };
    if facts.now.duration_since(incident.step_since) >= facts.timings.wait_new_job {
        escalate(incident, facts.now, words::not_reloaded(&why_not));
    } else {
        incident.message = words::reloads_once_quiet(&why_not);
    }
    Next::Wait
}

fn reloading(incident: &mut Incident, facts: &Facts<'_>) -> Next {
    if found_new_job(incident, facts) {
        return Next::Wait;
    }
    if let Some(reason) = not_to_be_reloaded(incident, facts.row) {
        return Next::Close(reason);
    }
    let Some(reload) = last(incident, Call::Reload).cloned() else {
        return Next::Send(Call::Reload);
    };
    match reload.fate {
        Some(Fate::NotSent) => return Next::Send(Call::Reload),
        Some(Fate::Refused) if is_final(&reload) => {
            escalate(incident, facts.now, words::reload_refused(&reload.detail));
        }
        Some(Fate::Accepted | Fate::Refused | Fate::Unknown) | None => {
            let deadline = after(reload.started_at, facts.timings.wait_new_job);
            go(
                incident,
                Step::WaitNewJob,
                deadline,
                facts.now,
                words::WAITS_FOR_RUN.to_owned(),
            );
        }
    }
    Next::Wait
}

fn wait_new_job(incident: &mut Incident, facts: &Facts<'_>) -> Next {
    if found_new_job(incident, facts) {
        return Next::Wait;
    }
    if let Some(reload) = last(incident, Call::Reload)
        .filter(|send| send.fate == Some(Fate::Refused) && is_final(send))
    {
        let message = words::reload_refused(&reload.detail);
        escalate(incident, facts.now, message);
        return Next::Wait;
    }
    if is_overdue(incident, facts) {
        let message = if incident.job_id.is_some() {
            words::NO_RUN_AFTER_CANCEL
        } else {
            words::NO_RUN
        };
        escalate(incident, facts.now, message.to_owned());
        return Next::Wait;
    }
    if let Some(reason) = not_to_be_reloaded(incident, facts.row) {
        return Next::Close(reason);
    }
    if reload_is_due(incident, facts) {
        Next::Send(Call::Reload)
    } else {
        Next::Wait
    }
}

/// A reload that was answered but started no job is sent again at fixed times; one of unknown fate at most once more.
fn reload_is_due(incident: &Incident, facts: &Facts<'_>) -> bool {
    let left: Vec<&Send> = incident
        .sends
        .iter()
        .filter(|send| send.call == Call::Reload && send.fate != Some(Fate::NotSent))
        .collect();
    let Some(first) = left.first() else {
        return true;
    };
    let uncertain = left
        .iter()
        .any(|send| matches!(send.fate, Some(Fate::Unknown) | None));
    let most = if uncertain {
        1
    } else {
        facts.timings.reload_again.len()
    };
    facts.timings.reload_again[..most]
        .get(left.len() - 1)
        .is_some_and(|wait| facts.now.duration_since(first.started_at) >= *wait)
}

fn wait_success(incident: &mut Incident, facts: &Facts<'_>) -> Next {
    let Some(Newest::Job(job, _)) = facts.run_probe.map(RunProbe::newest) else {
        return Next::Wait;
    };
    if Some(&job.id) == incident.baseline_job_id.as_ref() {
        // The new job is no longer listed, the old one is: nothing to conclude.
        return Next::Wait;
    }
    incident.new_job_id = Some(job.id.clone());
    match job.status() {
        JobStatus::Running | JobStatus::Unknown => {}
        JobStatus::Completed => {
            recovered(incident, facts.now, words::new_run_completed(&job.id));
        }
        JobStatus::Billing => {
            return Next::Close(words::new_run_held_back(&job.id));
        }
        JobStatus::Failed => {
            if job.was_stopped() && probably_hit(incident, job, facts.timings) {
                reload_after_own_cancel(incident, job, facts);
                return Next::Wait;
            }
            if job.was_stopped() {
                return Next::Close(words::new_run_stopped(&job.id));
            }
            let text = job.latest_error.get().map(String::as_str);
            let message = words::new_run_failed(&job.id, text);
            if !Cause::of(incident.cause).reload.is_retried() {
                return Next::Close(message);
            }
            go(incident, Step::BackOff, None, facts.now, message);
        }
    }
    Next::Wait
}

/// True if a new job that was stopped was probably stopped by the operator's own cancel: `PostHog` may handle a cancel late, and
/// then stops the job that runs at that time. True at most once per incident.
fn probably_hit(incident: &Incident, job: &Job, timings: &Timings) -> bool {
    let is_first = incident.job_id.is_some() && incident.job_id == incident.baseline_job_id;
    let Some(cancel) = last(incident, Call::Cancel).filter(|_| is_first) else {
        return false;
    };
    match cancel.fate {
        None | Some(Fate::Unknown) => true,
        Some(Fate::NotSent) => false,
        Some(Fate::Accepted | Fate::Refused) => {
            !found_nothing(cancel) && is_near(job, cancel.started_at, timings.settle)
        }
    }
}

/// The table is reloaded after a pause, as after the end of the intended job.
fn reload_after_own_cancel(incident: &mut Incident, job: &Job, facts: &Facts<'_>) {
    let message = words::late_cancel(format_args!("new run {}", job.id));
    incident.baseline_job_id = Some(job.id.clone());
    incident.new_job_id = None;
    incident.sends.retain(|send| send.call == Call::Cancel);
    let deadline = after(facts.now, facts.timings.settle);
    go(incident, Step::Settle, deadline, facts.now, message);
}

/// True if `PostHog` answered the cancel with "nothing is running".
fn found_nothing(cancel: &Send) -> bool {
    let said = cancel.detail.to_ascii_lowercase();
    ["no running sync", "already finished", "no sync was running"]
        .iter()
        .any(|text| said.contains(text))
}

/// Between two attempts: the table may recover by itself, or be switched off.
fn back_off(incident: &mut Incident, facts: &Facts<'_>) -> Next {
    let Some(row) = facts.row else {
        return Next::Wait;
    };
    if row.status() == SchemaStatus::Completed {
        recovered(incident, facts.now, words::COMPLETED_SINCE.to_owned());
        return Next::Wait;
    }
    not_to_be_reloaded(incident, Some(row)).map_or(Next::Wait, Next::Close)
}

fn recovered(incident: &mut Incident, now: Timestamp, message: String) {
    incident.healthy_since = None;
    go(incident, Step::Recovered, None, now, message);
}

/// If a newer job than the baseline is there, goes to `WaitSuccess`. The baseline must be listed too: without it an older
/// job could be taken for a new one.
fn found_new_job(incident: &mut Incident, facts: &Facts<'_>) -> bool {
    let Some(run_probe) = facts.run_probe else {
        return false;
    };
    let Newest::Job(job, _) = run_probe.newest() else {
        return false;
    };
    let baseline = incident.baseline_job_id.as_ref();
    if baseline.is_some_and(|id| *id == job.id || run_probe.job(id).is_none()) {
        return false;
    }
    incident.new_job_id = Some(job.id.clone());
    let message = words::new_run(&job.id);
    go(incident, Step::WaitSuccess, None, facts.now, message);
    true
}

/// Why the table must not be reloaded, by its row in the list.
fn not_to_be_reloaded(incident: &Incident, row: Option<&Schema>) -> Option<String> {
    let row = row?;
    if let Some(why) = forbids_reload(row) {
        return Some(why.to_owned());
    }
    match row.status() {
        // A stale table has had this status all the time.
        SchemaStatus::Completed if Cause::of(incident.cause).reload != Reload::Stale => {
            Some(words::COMPLETED.to_owned())
        }
        SchemaStatus::Completed
        | SchemaStatus::Never
        | SchemaStatus::Running
        | SchemaStatus::Failed
        | SchemaStatus::Paused
        | SchemaStatus::Billing
        | SchemaStatus::Unknown => None,
    }
}

/// True if the same reload would be refused again.
fn is_final(reload: &Send) -> bool {
    let text = reload.detail.to_ascii_lowercase();
    matches!(reload.http_status, Some(403 | 404))
        || text.contains("monthly sync limit")
        || text.contains("no sync frequency")
}

fn last(incident: &Incident, call: Call) -> Option<&Send> {
    incident.sends.iter().rev().find(|send| send.call == call)
}

/// Tracks how long a table has been healthy since its incident ended; true when the incident can be closed. `healthy`
/// is none while that is unknown.
pub fn healed(
    incident: &mut Incident,
    healthy: Option<bool>,
    healthy_for: SignedDuration,
    now: Timestamp,
) -> bool {
    if is_in_flight(incident) {
        return false;
    }
    match healthy {
        None => false,
        Some(false) => {
            incident.healthy_since = None;
            false
        }
        Some(true) => {
            let since = *incident.healthy_since.get_or_insert(now);
            now.duration_since(since) >= healthy_for
        }
    }
}

#[cfg(test)]
#[path = "incident_tests.rs"]
mod tests;
