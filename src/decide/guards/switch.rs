//! The switches of `spec.remediation`.

use super::{Ask, Hold};
use crate::{
    api::policy::{Proposing, Switch},
    decide::plan::{Basis, Kind},
};

/// A switch that is Off.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let policy = ask.known.policy;
    let (switch, field) = match ask.kind {
        Kind::Stuck => (policy.cancel_stuck, "cancelStuck"),
        Kind::Reload => (policy.reload_transient, "reloadTransient"),
        Kind::StaleReload => (policy.reload_stale, "reloadStale"),
        Kind::RenewedReload | Kind::Credentials => (policy.apply_credentials, "applyCredentials"),
        Kind::Enable => (policy.reenable_after_fix, "reenableAfterFix"),
        Kind::Webhook | Kind::WebhookInputs => (policy.register_webhook, "registerWebhook"),
        Kind::Approved => return proposing(ask),
    };
    (switch == Switch::Off).then(|| is_off(field))
}

fn proposing(ask: &Ask<'_>) -> Option<Hold> {
    let Basis::Proposal(proposal) = ask.basis else {
        return None;
    };
    let action = proposal.action;
    (ask.known.policy.proposing.of(action) == Proposing::Off).then(|| is_off(action.field()))
}

fn is_off(field: &str) -> Hold {
    Hold::for_good(format!("spec.remediation.{field} is Off"))
}
