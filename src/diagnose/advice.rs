//! What a human should do next, for each cause.

use crate::api::status::RootCause;

/// One or two plain sentences: what to do, or what the operator does by itself.
pub const fn advice(cause: RootCause) -> &'static str {
    match cause {
        RootCause::CredentialsInvalid => {
            "Rotate the password or key at the source and put the new one into the mapped Secret, from which the operator takes it; without a Secret, into the source in PostHog."
        }
        RootCause::PermissionDenied => {
            "Grant PostHog's user or key the right to read this table at the source. Tables that still sync prove that the login itself works."
        }
        RootCause::IntegrationMissing => {
            "Reconnect the account in the source's settings in PostHog, as a person who may grant access. Do not delete the source: its tables would go with it."
        }
        RootCause::SshTunnel => {
            "Check the bastion: that it runs, that its host, port, user and key are right in the source, and that it lets PostHog's addresses in."
        }
        RootCause::NetworkUnreachable => {
            "Check host and port in the source, that the server runs, and that its firewall or allowlist lets PostHog's addresses in."
        }
        RootCause::TlsFailure => {
            "Check the certificate of the source and whether it demands or refuses encryption, and set the source in PostHog accordingly."
        }
        RootCause::PrimaryKeyMissing => {
            "Add a primary key to the table at the source, set one in the table's sync settings in PostHog, or change the table to full refresh."
        }
        RootCause::PrimaryKeyDuplicate => {
            "Find columns that together are unique, and declare them as the primary key in the policy's overrides. Changing the key needs the synced table to be deleted first, which the operator proposes and never does unasked."
        }
        RootCause::SchemaDrift => {
            "Compare the table's incremental field and row filter with its columns at the source, and choose one that exists. No data needs to be wiped for that."
        }
        RootCause::TableMissing => {
            "If the table was renamed, refresh the list of tables in PostHog and set up the new one; if it was dropped, switch its sync off."
        }
        RootCause::SourceObjectMissing => {
            "Look whether the table still exists at the source and PostHog's user can see it, then whether its incremental field does. The operator probes the columns to tell which it is."
        }
        RootCause::CdcBroken => {
            "Run PostHog's check of the prerequisites of change data capture, and repair what it lists at the source: wal_level, publication, slots, rights. The operator reloads when the check is good."
        }
        RootCause::CdcSlotLost => {
            "Wait two sync intervals: PostHog recreates the slot by itself. After that use Resume in PostHog's settings, and repair change data capture only if Resume does not help, since that starts the tables over."
        }
        RootCause::BillingLimit => {
            "Raise the billing limit in PostHog or switch off tables that are worth less. Retrying changes nothing, so the operator does not."
        }
        RootCause::VendorQuota => {
            "Settle the bill, raise the plan or wait for the next period at the vendor of the source. PostHog's own billing has nothing to do with it."
        }
        RootCause::WebhookBroken => {
            "Look at the webhook at the vendor: whether it exists, is enabled and delivers, and whether the signing secret in PostHog is its present one."
        }
        RootCause::RateLimited => {
            "Nothing at once: the operator reloads after a pause. If it repeats, sync less often, spread the tables of this source over the day, or raise the limit at the vendor."
        }
        RootCause::Transient => {
            "Nothing at once: the operator reloads after a pause. If it repeats, look at the health of the source."
        }
        RootCause::PlatformInternal => {
            "Nothing at once: the trouble is inside PostHog, and the operator reloads after a pause. If it lasts for hours, ask PostHog's support with the id of the job."
        }
        RootCause::PlatformOutage => {
            "Wait, and change no credentials: many sources turned bad at once, so the trouble is PostHog's. Look at its status page; the operator holds its actions back and tries one source after a while."
        }
        RootCause::DataTypeMismatch => {
            "Put the value or the column's type right at the source. If the new type is meant to stay, approve a resync, which fetches the table anew."
        }
        RootCause::SourceConfig => {
            "Read the error's text and change the setting that it names, at the source or in the source's settings in PostHog: database, project, account, mode or resources."
        }
        RootCause::SourceTimeout => {
            "Raise the time limit for PostHog's queries at the source, index the incremental field, sync fewer columns, or read from a replica."
        }
        RootCause::OperatorAction => "Nothing to do: this is a note and no failure.",
        RootCause::Stuck => {
            "Nothing at once: the operator cancels the run once it is sure that nothing moves, and reloads. Resync is not needed for that."
        }
        RootCause::Stale => {
            "Nothing at once: the operator reloads once. If the table stays stale, look whether its schedule in PostHog still runs, by switching its sync off and on."
        }
        RootCause::RowLoss => {
            "Compare the number of rows with the source before anything else is synced. If rows are gone at the source too, it is no fault of the sync; otherwise keep the policy suspended and ask for a resync."
        }
        RootCause::DataCheckFailed => {
            "Look at the rows that the check found. If they are right at the source, approve the proposed resync; if they are wrong there too, repair them there first."
        }
        RootCause::Requested => {
            "Look at the proposal that your request led to, what it costs above all, and approve it or withdraw the request."
        }
        RootCause::NotConfigured => {
            "Decide whether this new table should sync. If so, set up its sync in PostHog; if not, leave it, or exclude it from the policy."
        }
        RootCause::NotVisible => {
            "Look whether the table was deleted in PostHog or whether the API key lost access to its project. Nothing is done with what cannot be seen."
        }
        RootCause::Unknown => {
            "Read the error's text and the log of the run in PostHog. The operator does nothing about what it does not understand."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_plain_advice() {
        let mut seen = std::collections::HashSet::new();
        for &cause in RootCause::ALL {
            let advice = advice(cause);
            assert!(advice.ends_with('.') && !advice.contains('!'), "{cause:?}");
            assert!(seen.insert(advice), "{cause:?} repeats another's advice");
        }
    }
}
