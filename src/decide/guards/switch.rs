//! The switches of `spec.remediation`.

use super::{Hold, OrderContext};
use crate::{
    api::policy::{Proposing, Switch},
    decide::plan::{Basis, Kind},
    diagnose::Cause,
};

/// A switch that is Off.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let policy = context.known.policy;
    let (is_off, field) = match context.basis {
        Basis::Proposal(basis) => {
            let proposing = policy.proposing.of(basis.action);
            (proposing == Proposing::Off, basis.action.field())
        }
        Basis::Incident(basis) if context.kind != Kind::Enable => {
            let (switch, field) = Cause::of(basis.incident.cause).reload.switch(policy)?;
            (switch == Switch::Off, field)
        }
        Basis::Incident(_) => (policy.reenable_after_fix == Switch::Off, "reenableAfterFix"),
        Basis::Source(_) if context.kind == Kind::Credentials => {
            (policy.apply_credentials == Switch::Off, "applyCredentials")
        }
        Basis::Source(_) => (policy.register_webhook == Switch::Off, "registerWebhook"),
    };
    is_off.then(|| Hold::for_good(format!("spec.remediation.{field} is Off")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::status::{Call, RootCause},
        decide::guards::fixture::{Situation, of_incident, of_proposal, of_source, policy},
    };

    #[test]
    fn each_order_is_held_by_its_own_switch_and_by_no_other() {
        let fields = [
            "cancelStuck",
            "reloadTransient",
            "reloadStale",
            "applyCredentials",
            "reenableAfterFix",
            "registerWebhook",
            "resync",
            "deleteData",
        ];
        let incident = |kind, call, cause| {
            let mut situation = Situation::new(of_incident(kind, call));
            situation.incident().incident.cause = cause;
            situation.order
        };
        let (cancel, enable, reload) = (Call::Cancel, Call::Enable, Call::Reload);
        for (order, own) in [
            (
                incident(Kind::Stuck, cancel, RootCause::Stuck),
                "cancelStuck",
            ),
            (
                incident(Kind::Reload, reload, RootCause::Transient),
                "reloadTransient",
            ),
            (
                incident(Kind::Reload, reload, RootCause::CdcBroken),
                "reloadTransient",
            ),
            (
                incident(Kind::StaleReload, reload, RootCause::Stale),
                "reloadStale",
            ),
            (
                incident(Kind::RotationReload, reload, RootCause::CredentialsInvalid),
                "applyCredentials",
            ),
            (
                incident(Kind::Enable, enable, RootCause::CredentialsInvalid),
                "reenableAfterFix",
            ),
            (of_source(Kind::Credentials), "applyCredentials"),
            (of_source(Kind::Webhook), "registerWebhook"),
            (of_source(Kind::WebhookInputs), "registerWebhook"),
            (of_proposal("a1"), "resync"),
        ] {
            for field in fields {
                let mut situation = Situation::new(order.clone());
                situation.policy = policy("{}", &format!("remediation: {{{field}: 'Off'}}"));
                let expected = (field == own)
                    .then(|| Hold::for_good(format!("spec.remediation.{field} is Off")));
                assert_eq!(
                    situation.ask(check),
                    expected,
                    "{:?} and {field}",
                    order.kind
                );
            }
        }
    }
}
