//! The commands by which a person answers a proposal, ready to paste.
//!
//! They name a field manager: Flux takes what plain `kubectl annotate` has written for a change by hand, and removes it at its next apply.

use crate::api::{
    ValidatedPolicy,
    names::{APPROVE, DENY, PLUGIN_MANAGER},
};

/// Approves it. The person's own user name is the value: it says who approved, and the admission policy compares it.
pub fn approve(policy: &ValidatedPolicy, id: &str) -> String {
    let value = "\"$(kubectl auth whoami -o jsonpath='{.status.userInfo.username}')\"";
    annotate(policy, &format!("{APPROVE}{id}={value}"))
}

/// Denies it, for a reason that is still to be written.
pub fn deny(policy: &ValidatedPolicy, id: &str) -> String {
    annotate(policy, &format!("{DENY}{id}='the reason'"))
}

fn annotate(policy: &ValidatedPolicy, annotation: &str) -> String {
    format!(
        "kubectl annotate wsp {} -n {} --field-manager={PLUGIN_MANAGER} {annotation}",
        policy.at.name, policy.at.namespace
    )
}
