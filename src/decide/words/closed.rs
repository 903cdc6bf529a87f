//! Why a gate is closed right before a call: what the live reads show, or what they could not show.

use std::fmt::Display;

use crate::posthog::wire::SchemaStatus;

pub(crate) const NO_RUN_LISTED: &str = "PostHog no longer lists a run";
pub(crate) const ANOTHER_RUN: &str = "another run of the table has not ended";
pub(crate) const START_REFUSED: &str = "PostHog refused another start because of this run";
pub(crate) const LOG_NOT_READ: &str = "its log was not read";
pub(crate) const LOG_NOT_QUIET: &str = "the table's log is not quiet yet";
pub(crate) const NOT_ON: &str = "syncing is not switched on";
pub(crate) const RUNS_NOT_READ: &str = "its runs could not be read";
pub(crate) const SOURCE_NOT_READ: &str = "the source could not be read";
pub(crate) const TABLE_NOT_READ: &str = "the table could not be read";
pub(crate) const ID_DIFFERS: &str = "its id does not match its material";
pub(crate) const TARGET_CHANGED: &str = "the action or its target has changed";
pub(crate) const FINDING_GONE: &str = "the finding does not currently hold";
pub(crate) const FACTS_TOO_OLD: &str = "its facts were read too long ago and may have changed";
pub(crate) const STATUS_IS_OLDER: &str = "its first call was sent before, and the status is older than that: it may have been restored from a backup";
pub(crate) const PROPOSAL_GONE: &str = "the proposal no longer exists";
pub(crate) const PROGRESS_UNKNOWN: &str = "how far the run had got is unknown";

pub(crate) fn runs_unknown(why: impl Display) -> String {
    format!("its runs are unknown: {why}")
}

pub(crate) fn runs_of_unknown(table: &str, why: impl Display) -> String {
    format!("the runs of {table} are unknown: {why}")
}

pub(crate) fn rows_unknown(job: &str) -> String {
    format!("the rows synced by run {job} are unknown")
}

pub(crate) fn log_unreadable(why: impl Display) -> String {
    format!("its log cannot be read: {why}")
}

pub(crate) fn quiet_unknown(why: impl Display) -> String {
    format!("whether its log is quiet is unknown: {why}")
}

pub(crate) fn target_not_read(why: impl Display) -> String {
    format!("its target could not be read: {why}")
}

pub(crate) fn newest_is(job: &str) -> String {
    format!("the newest run is now {job}")
}

pub(crate) fn started(job: &str) -> String {
    format!("run {job} has started")
}

pub(crate) fn ended(job: &str) -> String {
    format!("run {job} has ended")
}

pub(crate) fn not_ended(job: &str) -> String {
    format!("run {job} has not ended")
}

pub(crate) fn older_not_ended(job: &str) -> String {
    format!("older run {job} has not ended")
}

pub(crate) fn not_ended_of(job: &str, table: &str) -> String {
    format!("run {job} of {table} has not ended")
}

pub(crate) fn is_running(table: &str) -> String {
    format!("{table} is Running")
}

pub(crate) fn loaded(job: &str) -> String {
    format!("run {job} has loaded everything")
}

pub(crate) fn phase_is(job: &str, phase: &str) -> String {
    format!("run {job} is now {phase}")
}

pub(crate) fn progresses(job: &str) -> String {
    format!("run {job} is making progress again")
}

pub(crate) fn logs_again(job: &str) -> String {
    format!("run {job} is logging again")
}

pub(crate) fn status_is(status: SchemaStatus) -> String {
    format!("its status is now {status:?}")
}

pub(crate) fn run_due(at: impl Display) -> String {
    format!("a scheduled run is due at about {at}")
}

pub(crate) fn canary_not_listed(table: &str) -> String {
    format!("the canary, a completed run of {table}, is currently not listed")
}
