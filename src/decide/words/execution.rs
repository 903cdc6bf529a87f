//! How the execution of an approved proposal stands: `status.proposals[].message`.

use crate::{
    api::proposal::{Execution, Proposal, ProposedCall},
    posthog::wire::JobStatus,
};

pub(crate) const NOT_IN_STATUS: &str = "status does not say what was sent";
pub(crate) const UNKNOWN_CALL: &str = "this version of the operator cannot send this call";
pub(crate) const CANCEL_NOT_SEEN: &str =
    "the cancelled run has not ended, or its table's log is not quiet";
pub(crate) const WAITS_FOR_TABLE: &str = "waiting for the table to be readable";
pub(crate) const ARRIVAL_UNKNOWN: &str = "whether the last call arrived is unknown";
pub(crate) const NO_EFFECT_YET: &str = "no effect is visible yet";
pub(crate) const TABLE_NOT_READ: &str = super::closed::TABLE_NOT_READ;

pub(crate) fn may_be_own_run(job: &str) -> String {
    format!(
        "it may have been sent before the operator was restarted, and the status restored from a backup since: run {job} began after the approval, and not by \
         the table's schedule"
    )
}

pub(crate) fn effect_not_seen(place: usize) -> String {
    format!(
        "step {} was accepted, but its effect does not show",
        place + 1
    )
}

pub(crate) fn in_progress(job: &str) -> String {
    format!("run {job} is in progress")
}

pub(crate) fn run_has_status(job: &str, status: JobStatus) -> String {
    format!("run {job} has status {status:?}")
}

pub(crate) fn run_failed(job: &str) -> String {
    format!("run {job} failed")
}

pub(crate) fn waits_for_proof(why: &str) -> String {
    format!("{why}; waiting for proof")
}

pub(crate) fn proof_not_read(why: &str) -> String {
    format!("waiting for proof: {why}")
}

pub(crate) fn done(job: Option<&str>, rows: Option<(i64, i64)>) -> String {
    let by = job.map_or_else(String::new, |job| format!(" by run {job}"));
    let rows = rows.map_or_else(String::new, |(before, after)| {
        format!("; {before} rows before, {after} after")
    });
    format!("done{by}{rows}")
}

pub(crate) fn done_as_answered(detail: &str) -> String {
    format!("done: {detail}")
}

pub(crate) fn refused(detail: &str) -> String {
    format!("PostHog refused it: {detail}")
}

pub(crate) fn not_sent(detail: &str) -> String {
    format!("not sent; trying again: {detail}")
}

pub(crate) fn never_sent(tries: u32, detail: &str) -> String {
    format!("could not be sent in {tries} tries: {detail}")
}

pub(crate) fn may_take_effect(detail: &str) -> String {
    format!(
        "PostHog answered with an error, but the call may still take effect, now or with the next run: {detail}"
    )
}

pub(crate) fn arrival_unknown(detail: &str) -> String {
    format!("whether it arrived is unknown; waiting for proof: {detail}")
}

pub(crate) fn webhook_lacks(detail: &str) -> String {
    format!(
        "the tables still sync in full, because the new webhook is not complete ({detail}): set the inputs in PostHog, then set the tables back to webhook there"
    )
}

/// A sentence, and which steps were done before.
pub(crate) fn with_steps_done(proposal: &Proposal, why: String, done: usize) -> String {
    match proposal.steps.get(..done) {
        Some(steps) if !steps.is_empty() => {
            format!("{why}. Steps done: {}", steps.join(", then "))
        }
        _ => why,
    }
}

/// What a person has to do after an approved cancel if nothing more happens.
pub(crate) fn left_to_do(execution: &Execution) -> String {
    match execution.steps.last() {
        Some(step) if step.call == ProposedCall::Reload => format!(
            "no new run appeared after the reload, which was sent {}: the cancelled run may still block the table in PostHog. \
             Ask PostHog support to end it, then reload the table in PostHog",
            times(step.tries)
        ),
        _ => "the cancelled run is not confirmed to have ended with its table's log quiet, so the table was not reloaded. \
              Check it in PostHog, and reload it there once no run is in progress"
            .to_owned(),
    }
}

fn times(tries: u32) -> String {
    match tries {
        0 | 1 => "once".to_owned(),
        2 => "twice".to_owned(),
        tries => format!("{tries} times"),
    }
}
