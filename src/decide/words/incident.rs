//! How an incident stands, and why it was closed: `status.incidents[].message`, and the history.

use std::fmt::Display;

use crate::{
    api::status::{Fate, Send},
    diagnose::words::plural,
    posthog::redact,
};

pub(crate) const WAITS_FOR_RUN: &str = "waiting for a new run";
pub(crate) const SWITCHED_ON: &str = "switched on; reloading";
pub(crate) const NOT_CONFIRMED_ON: &str = "not confirmed to be on; switch it on in PostHog";
pub(crate) const NOTHING_RUNS: &str = "no run is in progress; reloading";
pub(crate) const NOT_READ: &str = "it was not read";
pub(crate) const STILL_AT_WORK: &str =
    "PostHog is still working on the table although the cancelled run has ended";
pub(crate) const NO_RUN: &str =
    "no run appeared after the reload: check the table in PostHog, or ask PostHog support";
pub(crate) const NO_RUN_AFTER_CANCEL: &str = "no new run appeared after the reload: the cancelled run may still block the table in PostHog. \
     Ask PostHog support to end it, then reload the table";
pub(crate) const COMPLETED_SINCE: &str = "the table has completed since";
pub(crate) const COMPLETED: &str = "the table has completed; no reload needed";
pub(crate) const TABLE_UNKNOWN: &str = "PostHog no longer knows the table";
pub(crate) const NOT_LISTED: &str = "PostHog no longer lists the table";
pub(crate) const NO_LONGER_STUCK: &str = "the run is no longer stuck; not cancelled";
pub(crate) const HEALTHY_AGAIN: &str = "healthy again";
pub(crate) const RESET: &str = "incident closed: reset by a person";
pub(crate) const OFF: &str = "syncing was switched off";
pub(crate) const BILLING: &str = "billing holds the table back";
pub(crate) const OFF_NOT_RELOADED: &str = "syncing was switched off; not reloaded";
pub(crate) const BILLING_NOT_RELOADED: &str = "billing holds the table back; not reloaded";
pub(crate) const OTHER_REASON: &str = "a later run failed for another reason";

pub(crate) fn cancel_not_sent(job: &str, why: &str) -> String {
    format!("the cancel of run {job} could not be sent: {why}")
}

pub(crate) fn cancel_forbidden(job: &str, why: &str) -> String {
    format!(
        "PostHog refused to cancel run {job}: {why}. Give the key's user editor access to the table"
    )
}

pub(crate) fn cancel_answered_404(job: &str) -> String {
    format!(
        "PostHog answered the cancel of run {job} with 404, although it lists the table. It is not cancelled again: check it in PostHog"
    )
}

pub(crate) fn nothing_to_cancel(job: &str) -> String {
    format!("PostHog found no running sync to cancel; waiting for the state of run {job}")
}

pub(crate) fn waits_for_end(job: &str) -> String {
    format!("waiting for run {job} to end")
}

pub(crate) fn not_switched_on(why: &str) -> String {
    format!("could not be switched on: {why}")
}

pub(crate) fn switch_on_refused(why: &str) -> String {
    format!("PostHog refused to switch it on: {why}")
}

pub(crate) fn completed_by_itself(job: &str) -> String {
    format!("run {job} completed by itself; no reload needed")
}

pub(crate) fn held_back_by_billing(job: &str) -> String {
    format!("run {job} was held back by billing")
}

pub(crate) fn ended(job: &str) -> String {
    format!("run {job} has ended; reloading after a pause")
}

pub(crate) fn not_confirmed_ended(job: &str, cancel: Option<&Send>) -> String {
    format!(
        "run {job} is not confirmed to have ended: {}. It is not cancelled again: check it in PostHog, or ask PostHog support to end it",
        became_of(cancel)
    )
}

/// Why a run may still be in progress after the time for its end has passed.
fn became_of(cancel: Option<&Send>) -> String {
    let said = cancel
        .map(|send| send.detail.as_str())
        .filter(|said| !said.is_empty());
    let said = said.map_or_else(String::new, |said| format!(" ({said})"));
    match cancel.and_then(|send| send.fate) {
        Some(Fate::Accepted) => format!("PostHog accepted the cancel, but it had no effect{said}"),
        Some(Fate::Refused) => format!("PostHog refused to cancel it{said}"),
        Some(Fate::Unknown | Fate::NotSent) => format!("whether the cancel arrived is unknown{said}"),
        None => "the operator was interrupted while it sent the cancel, and whether that arrived is unknown".to_owned(),
    }
}

pub(crate) fn quiet_unknown(why: &str) -> String {
    format!(
        "whether PostHog still works on the table after the cancelled run has ended is unknown: {why}"
    )
}

pub(crate) fn not_reloaded(why: &str) -> String {
    format!("{why}. Not reloaded: check the table in PostHog")
}

pub(crate) fn reloads_once_quiet(why: &str) -> String {
    format!("{why}; reloading once it is quiet")
}

pub(crate) fn reload_refused(why: &str) -> String {
    format!("PostHog refused the reload: {why}. Fix this in PostHog, then reload the table there")
}

pub(crate) fn new_run(job: &str) -> String {
    format!("new run {job} has started; waiting for it to complete")
}

pub(crate) fn new_run_completed(job: &str) -> String {
    format!("new run {job} completed")
}

pub(crate) fn new_run_held_back(job: &str) -> String {
    format!("new run {job} was held back by billing")
}

pub(crate) fn new_run_stopped(job: &str) -> String {
    format!("new run {job} was stopped in PostHog by someone else; not reloaded")
}

pub(crate) fn new_run_failed(job: &str, text: Option<&str>) -> String {
    let text = text.map_or_else(String::new, |text| format!(": {}", redact::text(text, 160)));
    format!("new run {job} failed{text}")
}

/// Of a run that the operator's own cancel probably hit: of an incident, and of an approved cancel.
pub(crate) fn late_cancel(run: impl Display) -> String {
    format!(
        "{run} was cancelled, probably by the operator's own cancel, which PostHog handled late; reloading after a pause"
    )
}

pub(crate) fn failed_too(job: Option<&str>, else_what: &str) -> String {
    job.map_or_else(
        || else_what.to_owned(),
        |job| format!("run {job} is stuck too"),
    )
}

pub(crate) fn after_attempts(what: &str, attempts: i64) -> String {
    let attempts = plural(attempts, "attempt");
    format!("{what}, after {attempts}: check the source")
}

pub(crate) fn closed(why: &str) -> String {
    format!("{why}; incident closed")
}
