//! What an order does, and why: its line in the log and in `status.nextAction`, also while a guard holds it.

use crate::api::{
    proposal::ProposedAction,
    status::{Call, Incident},
};

pub(crate) const APPROVED: &str = "approved, and its finding still holds";
pub(crate) const FROM_SECRET: &str = "spec.credentials maps this Secret to the source";
pub(crate) const NO_WEBHOOK: &str = "the source has no working webhook";
pub(crate) const CREDENTIALS_RENEWED: &str =
    "its run failed with credentials that have been renewed since";

/// The call of an incident.
pub(crate) fn of_incident(call: Call, incident: &Incident) -> String {
    let title = &incident.schema;
    match call {
        Call::Cancel => format!(
            "cancel the run of {title} ({}), then reload the table",
            incident.job_id.as_deref().unwrap_or("?")
        ),
        Call::Reload => format!("reload {title}"),
        Call::Enable => {
            format!("switch {title} on again, which PostHog switched off, then reload the table")
        }
    }
}

pub(crate) fn step(call: &str, action: ProposedAction, title: &str) -> String {
    format!("send {call} of {} for {title}", action.as_str())
}

pub(crate) fn credentials(from: &str, title: &str) -> String {
    format!("send {from} to PostHog as the credentials of {title}")
}

pub(crate) fn webhook_inputs(from: &str, title: &str) -> String {
    format!("send {from} to PostHog as the webhook inputs of {title}")
}

pub(crate) fn webhook(title: &str) -> String {
    format!("register the webhook of {title}")
}

pub(crate) fn may_be_transient(cause: &str) -> String {
    format!("its run failed with a cause that may be transient ({cause})")
}

pub(crate) fn fixed_since(cause: &str) -> String {
    format!("PostHog switched it off after a failure ({cause}) that has been fixed since")
}
