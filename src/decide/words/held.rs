//! Why an order is held, as far as more than one file says it. Each other reason is beside its guard, in `guards/`.

use std::fmt::Display;

pub(crate) const SWITCHED_OFF_UNSEEN: &str =
    "PostHog was not observed switching the table off: a person may have done it";
pub(crate) const NO_WINDOW: &str = "spec.remediation.windows: no Allow window is open";

pub(crate) fn deny_window(until: impl Display) -> String {
    format!("spec.remediation.windows: a Deny window is open until {until}")
}

/// `policy`: its name, unless it is in another namespace. `what`: a table or a source.
pub(crate) fn owned(policy: Option<&str>, acts: bool, what: &str) -> String {
    let who = policy.map_or_else(
        || "a policy in another namespace".to_owned(),
        |name| format!("policy {name}"),
    );
    let does = if acts { "is acting on" } else { "owns" };
    format!("{who} {does} this {what}")
}
