//! The switches of `spec.remediation`.

use super::{Ask, Hold};
use crate::{
    api::policy::{Proposing, Switch},
    decide::plan::{Basis, Kind},
    diagnose::Cause,
};

/// A switch that is Off.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let policy = ask.known.policy;
    let (is_off, field) = match ask.basis {
        Basis::Proposal(basis) => {
            let proposing = policy.proposing.of(basis.action);
            (proposing == Proposing::Off, basis.action.field())
        }
        Basis::Incident(basis) if ask.kind != Kind::Enable => {
            let (switch, field) = Cause::of(basis.incident.cause).reload.switch(policy)?;
            (switch == Switch::Off, field)
        }
        Basis::Incident(_) => (policy.reenable_after_fix == Switch::Off, "reenableAfterFix"),
        Basis::Source(_) if ask.kind == Kind::Credentials => {
            (policy.apply_credentials == Switch::Off, "applyCredentials")
        }
        Basis::Source(_) => (policy.register_webhook == Switch::Off, "registerWebhook"),
    };
    is_off.then(|| Hold::for_good(format!("spec.remediation.{field} is Off")))
}
