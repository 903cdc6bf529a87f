//! Advice for a person who has only run a command: nobody cancels, reloads or proposes anything for them.

use crate::{api::status::RootCause, diagnose::advice::advice};

/// What a person should do. `said` is the advice that the operator would give, which stays where it is more precise than the
/// general one and leaves nothing to the operator.
pub(super) fn by_hand(cause: RootCause, said: &'static str) -> &'static str {
    let counts_on_operator = said.to_lowercase().contains("operator");
    if said == advice(cause) || counts_on_operator {
        general(cause)
    } else {
        said
    }
}

/// The general advice for a cause, without an operator that would do a part of it.
const fn general(cause: RootCause) -> &'static str {
    match cause {
        RootCause::CredentialsInvalid => {
            "Put a user name, password or key that the source accepts into the source's settings in PostHog, and switch the tables on again that PostHog switched off."
        }
        RootCause::PrimaryKeyDuplicate => {
            "Find columns that together are unique, and set them as the primary key in the table's sync settings in PostHog. For that the synced data has to be deleted and fetched anew: look first whether the source still has all of it."
        }
        RootCause::SourceObjectMissing => {
            "Look whether the table still exists at the source and PostHog's user can see it, then whether its incremental field does. Set the sync up again with what exists."
        }
        RootCause::CdcBroken => {
            "Run PostHog's check of the prerequisites of change data capture, and repair what it lists at the source: wal_level, publication, slots, rights. When the check is good, reload the table in PostHog."
        }
        RootCause::BillingLimit => {
            "Raise the billing limit in PostHog or switch off tables that are worth less. Trying again changes nothing."
        }
        RootCause::WebhookBroken => {
            "Look at the webhook at the vendor: whether it exists, is enabled and delivers. If not, register it again in PostHog, on the source's Webhook tab."
        }
        RootCause::RateLimited => {
            "Wait for the next scheduled run, or reload the table in PostHog after a pause. If it repeats, sync less often, spread the tables of this source over the day, or raise the limit at the vendor."
        }
        RootCause::Transient => {
            "Wait for the next scheduled run, or reload the table in PostHog. If it fails again, look at the health of the source."
        }
        RootCause::PlatformInternal => {
            "Reload the table in PostHog after a pause: the trouble is inside PostHog. If it lasts for hours, ask PostHog's support with the id of the job."
        }
        RootCause::PlatformOutage => {
            "Wait, and change no credentials: many sources turned bad at once, so the trouble is PostHog's. Look at its status page; when it is over, reload one table to see whether it works again."
        }
        RootCause::DataTypeMismatch => {
            "Put the value or the column's type right at the source. If the new type is meant to stay, resync the table in PostHog, which fetches it anew: look first whether the source still has all of its rows."
        }
        RootCause::Stuck => {
            "Look at the run again after some hours. If neither its rows nor its log have moved, cancel it in PostHog, wait three minutes, and reload the table; a resync is not needed for that."
        }
        RootCause::Stale => {
            "Reload the table in PostHog once. If it stays stale, look whether its schedule still runs, by switching its sync off and on."
        }
        RootCause::RowLoss => {
            "Compare the number of rows with the source before anything else is synced. If rows are gone at the source too, it is no fault of the sync; otherwise resync the table in PostHog."
        }
        RootCause::DataCheckFailed => {
            "Look at the rows that the check found. If they are right at the source, resync the table in PostHog; if they are wrong there too, repair them there first."
        }
        RootCause::Requested => "Look at what was asked for, and what it costs above all.",
        RootCause::NotConfigured => {
            "Decide whether this new table should sync. If so, set up its sync in PostHog; if not, leave it as it is."
        }
        RootCause::Unknown => "Read the error's text, and the log of the run in PostHog.",
        RootCause::PermissionDenied
        | RootCause::IntegrationMissing
        | RootCause::SshTunnel
        | RootCause::NetworkUnreachable
        | RootCause::TlsFailure
        | RootCause::PrimaryKeyMissing
        | RootCause::SchemaDrift
        | RootCause::TableMissing
        | RootCause::CdcSlotLost
        | RootCause::VendorQuota
        | RootCause::SourceConfig
        | RootCause::SourceTimeout
        | RootCause::OperatorAction
        | RootCause::NotVisible => advice(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::classify::RULES;

    #[test]
    fn no_advice_counts_on_an_operator_its_policy_or_its_proposals() {
        let of_rules = RULES.iter();
        let of_rules = of_rules.filter_map(|rule| Some((rule.cause, rule.advice.as_deref()?)));
        let general = RootCause::ALL
            .into_iter()
            .map(|cause| (cause, advice(cause)));
        for (cause, said) in general.chain(of_rules) {
            let shown = by_hand(cause, said);
            for word in [
                "operator",
                "the policy",
                "approve",
                "proposed",
                "proposal",
                "Secret",
            ] {
                assert!(!shown.contains(word), "{cause:?} speaks of {word}: {shown}");
            }
            assert!(shown.ends_with('.'), "{cause:?}");
        }
    }

    #[test]
    fn what_is_more_precise_and_counts_on_nobody_stays() {
        let precise = "Add the missing events to the webhook on the vendor's dashboard.";
        assert_eq!(by_hand(RootCause::WebhookBroken, precise), precise);
        let counting = "Look at the table. The operator does nothing about it.";
        assert_eq!(
            by_hand(RootCause::Unknown, counting),
            general(RootCause::Unknown)
        );
    }
}
