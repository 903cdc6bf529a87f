//! Which action fits a cause. Total: each cause has a row, also those for which nothing can be done but by a person.

use crate::api::status::{Action, RootCause};

/// What can be done about a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Safe: may be done without asking.
    Safe(Action),
    /// Could cost data, or changes what a person configured: needs approval.
    NeedsApproval(Action),
    /// Only a person can help, or nothing is to be done.
    Nothing,
}

impl Remedy {
    /// The action, if there is one.
    #[must_use]
    pub const fn action(self) -> Option<Action> {
        match self {
            Self::Safe(action) | Self::NeedsApproval(action) => Some(action),
            Self::Nothing => None,
        }
    }
}

/// The remedy for what `rule` found to have `cause`. Some findings have the cause that an action mends, but not in the form in
/// which it would.
#[must_use]
pub fn remedy_for(cause: RootCause, rule: &str) -> Remedy {
    let registers = ["webhook/not-registered", "webhook/gone-at-vendor"];
    match cause {
        RootCause::WebhookBroken if !registers.contains(&rule) => Remedy::Nothing,
        // A slot that lags is read by the next run anyway.
        RootCause::CdcBroken if rule.starts_with("cdc/lag") => Remedy::Nothing,
        cause => remedy(cause),
    }
}

/// The remedy for a cause.
#[must_use]
pub const fn remedy(cause: RootCause) -> Remedy {
    match cause {
        RootCause::Stuck => Remedy::Safe(Action::CancelAndReload),
        RootCause::Transient
        | RootCause::RateLimited
        | RootCause::PlatformInternal
        | RootCause::Stale
        | RootCause::CdcBroken => Remedy::Safe(Action::Reload),
        RootCause::CredentialsInvalid => Remedy::Safe(Action::ApplyCredentials),
        RootCause::WebhookBroken => Remedy::Safe(Action::RegisterWebhook),
        RootCause::TableMissing => Remedy::NeedsApproval(Action::RefreshSchemas),
        RootCause::SchemaDrift | RootCause::SourceObjectMissing | RootCause::PrimaryKeyMissing => {
            Remedy::NeedsApproval(Action::RepairConfig)
        }
        RootCause::DataTypeMismatch | RootCause::DataCheckFailed | RootCause::Requested => {
            Remedy::NeedsApproval(Action::Resync)
        }
        RootCause::PrimaryKeyDuplicate => Remedy::NeedsApproval(Action::DeleteData),
        RootCause::CdcSlotLost => Remedy::NeedsApproval(Action::RepairCdc),
        RootCause::PermissionDenied
        | RootCause::IntegrationMissing
        | RootCause::SshTunnel
        | RootCause::NetworkUnreachable
        | RootCause::TlsFailure
        | RootCause::BillingLimit
        | RootCause::VendorQuota
        | RootCause::PlatformOutage
        | RootCause::SourceConfig
        | RootCause::SourceTimeout
        | RootCause::OperatorAction
        | RootCause::RowLoss
        | RootCause::NotConfigured
        | RootCause::NotVisible
        | RootCause::Unknown => Remedy::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_named_only_where_it_would_help() {
        let registers = Remedy::Safe(Action::RegisterWebhook);
        let reload = Remedy::Safe(Action::Reload);
        for (cause, rule, expected) in [
            (
                RootCause::WebhookBroken,
                "webhook/not-registered",
                registers,
            ),
            (
                RootCause::WebhookBroken,
                "webhook/gone-at-vendor",
                registers,
            ),
            (
                RootCause::WebhookBroken,
                "webhook/disabled-at-vendor",
                Remedy::Nothing,
            ),
            (RootCause::CdcBroken, "cdc/publication-gone", reload),
            (RootCause::CdcBroken, "cdc/lag-critical", Remedy::Nothing),
        ] {
            assert_eq!(remedy_for(cause, rule), expected, "{rule}");
        }
    }
}
