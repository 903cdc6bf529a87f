//! The rows, one for each cause, in the order of the enum.

use super::{
    cause::{
        Advice, Asks, Cause, ClearedBy, Doubt, FixedBy, Helps, Origin, Proposes, Reload, Remedy,
        Scope,
    },
    rules,
};
use crate::api::status::{Action, RootCause, Severity};

impl Cause {
    /// The row of a cause.
    #[must_use]
    pub const fn of(cause: RootCause) -> &'static Self {
        match cause {
            RootCause::CredentialsInvalid => &CREDENTIALS_INVALID,
            RootCause::PermissionDenied => &PERMISSION_DENIED,
            RootCause::IntegrationMissing => &INTEGRATION_MISSING,
            RootCause::SshTunnel => &SSH_TUNNEL,
            RootCause::NetworkUnreachable => &NETWORK_UNREACHABLE,
            RootCause::TlsFailure => &TLS_FAILURE,
            RootCause::PrimaryKeyMissing => &PRIMARY_KEY_MISSING,
            RootCause::PrimaryKeyDuplicate => &PRIMARY_KEY_DUPLICATE,
            RootCause::SchemaDrift => &SCHEMA_DRIFT,
            RootCause::TableMissing => &TABLE_MISSING,
            RootCause::SourceObjectMissing => &SOURCE_OBJECT_MISSING,
            RootCause::CdcBroken => &CDC_BROKEN,
            RootCause::CdcSlotLost => &CDC_SLOT_LOST,
            RootCause::BillingLimit => &BILLING_LIMIT,
            RootCause::VendorQuota => &VENDOR_QUOTA,
            RootCause::WebhookBroken => &WEBHOOK_BROKEN,
            RootCause::RateLimited => &RATE_LIMITED,
            RootCause::Transient => &TRANSIENT,
            RootCause::PlatformInternal => &PLATFORM_INTERNAL,
            RootCause::PlatformOutage => &PLATFORM_OUTAGE,
            RootCause::DataTypeMismatch => &DATA_TYPE_MISMATCH,
            RootCause::SourceConfig => &SOURCE_CONFIG,
            RootCause::SourceTimeout => &SOURCE_TIMEOUT,
            RootCause::OperatorAction => &OPERATOR_ACTION,
            RootCause::Stuck => &STUCK,
            RootCause::Stale => &STALE,
            RootCause::RowLoss => &ROW_LOSS,
            RootCause::DataCheckFailed => &DATA_CHECK_FAILED,
            RootCause::Requested => &REQUESTED,
            RootCause::NotConfigured => &NOT_CONFIGURED,
            RootCause::NotVisible => &NOT_VISIBLE,
            RootCause::Unknown => &UNKNOWN,
        }
    }
}

const CREDENTIALS_INVALID: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Siblings,
    asks: Asks::Nothing,
    scope: Scope::Connection,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Safe(Action::ApplyCredentials),
    helps: Helps::Always,
    reload: Reload::AfterRenewal,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice {
        with_operator: "Rotate the password or key at the source and put the new one into the mapped Secret, from which the operator takes it; without a Secret, into the source in PostHog.",
        by_hand: "Put a user name, password or key that the source accepts into the source's settings in PostHog, and switch the tables on again that PostHog switched off.",
    },
};

const PERMISSION_DENIED: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Grant PostHog's user or key the right to read this table at the source. Tables that still sync prove that the login itself works.",
    ),
};

const INTEGRATION_MISSING: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Connection,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Reconnect the account in the source's settings in PostHog, as a person who may grant access. Do not delete the source: its tables would go with it.",
    ),
};

const SSH_TUNNEL: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Connection,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Check the bastion: that it runs, that its host, port, user and key are right in the source, and that it lets PostHog's addresses in.",
    ),
};

const NETWORK_UNREACHABLE: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Connection,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Check host and port in the source, that the server runs, and that its firewall or allowlist lets PostHog's addresses in.",
    ),
};

const TLS_FAILURE: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Connection,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Check the certificate of the source and whether it demands or refuses encryption, and set the source in PostHog accordingly.",
    ),
};

const PRIMARY_KEY_MISSING: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::TableAndSource,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::RepairConfig),
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::FirstOrOtherKey,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::FirstKey,
    advice: Advice::same(
        "Add a primary key to the table at the source, set one in the table's sync settings in PostHog, or change the table to full refresh.",
    ),
};

const PRIMARY_KEY_DUPLICATE: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::TableAndSource,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::DeleteData),
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::OtherKey,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Key,
    advice: Advice {
        with_operator: "Find columns that together are unique, and declare them as the primary key in the policy's overrides. Changing the key needs the synced table to be deleted first, which the operator proposes and never does unasked.",
        by_hand: "Find columns that together are unique, and set them as the primary key in the table's sync settings in PostHog. For that the synced data has to be deleted and fetched anew: look first whether the source still has all of it.",
    },
};

const SCHEMA_DRIFT: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::TableAndSource,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::RepairConfig),
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::OtherField,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "Compare the table's incremental field and row filter with its columns at the source, and choose one that exists. No data needs to be wiped for that.",
    ),
};

const TABLE_MISSING: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::RefreshSchemas),
    // PostHog knows already what it was seen to switch off.
    helps: Helps::ExceptFor(rules::NOT_SHOWN),
    reload: Reload::Never,
    proposes: Proposes::RefreshSchemas,
    cleared_by: ClearedBy::Tables,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "If the table was renamed, refresh the list of tables in PostHog and set up the new one; if it was dropped, switch its sync off. A refresh keeps stored rows and switches off what the source does not show.",
    ),
};

const SOURCE_OBJECT_MISSING: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Source,
    asks: Asks::TableAndSource,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::RepairConfig),
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::OpenUntilAsked,
    cleared_by: ClearedBy::Tables,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Look whether the table still exists at the source and PostHog's user can see it, then whether its incremental field does. The operator probes the columns to tell which it is.",
        by_hand: "Look whether the table still exists at the source and PostHog's user can see it, then whether its incremental field does. Set the sync up again with what exists.",
    },
};

const CDC_BROKEN: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Capture,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Safe(Action::Reload),
    // A slot that lags is read by the next run anyway.
    helps: Helps::ExceptFor(rules::LAG),
    reload: Reload::AfterCheck,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::CdcCheck,
    advice: Advice {
        with_operator: "Run PostHog's check of the prerequisites of change data capture, and repair what it lists at the source: wal_level, publication, slots, rights. The operator reloads when the check is good.",
        by_hand: "Run PostHog's check of the prerequisites of change data capture, and repair what it lists at the source: wal_level, publication, slots, rights. When the check is good, reload the table in PostHog.",
    },
};

const CDC_SLOT_LOST: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Capture,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::RepairCdc),
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::RepairCdc,
    cleared_by: ClearedBy::Slot,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "Wait two sync intervals: PostHog recreates the slot by itself. After that use Resume in PostHog's settings, and repair change data capture only if Resume does not help, since that starts the tables over.",
    ),
};

const BILLING_LIMIT: Cause = Cause {
    severity: Severity::Warning,
    origin: Origin::Error,
    // Only the status tells of it: a text may be old, or speak of the vendor's bill.
    doubt: Doubt::Status,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Raise the billing limit in PostHog or switch off tables that are worth less. Retrying changes nothing, so the operator does not.",
        by_hand: "Raise the billing limit in PostHog or switch off tables that are worth less. Trying again changes nothing.",
    },
};

const VENDOR_QUOTA: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Settings,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "Settle the bill, raise the plan or wait for the next period at the vendor of the source. PostHog's own billing has nothing to do with it.",
    ),
};

const WEBHOOK_BROKEN: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Safe(Action::RegisterWebhook),
    helps: Helps::OnlyFor(&[
        rules::NOT_REGISTERED,
        rules::GONE_AT_VENDOR,
        rules::INPUT_MISSING,
    ]),
    reload: Reload::Never,
    proposes: Proposes::ReregisterWebhook,
    cleared_by: ClearedBy::Webhook,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Look at the webhook at the vendor: whether it exists, is enabled and delivers, and whether the signing secret in PostHog is its present one.",
        by_hand: "Look at the webhook at the vendor: whether it exists, is enabled and delivers. If not, register it again in PostHog, on the source's Webhook tab.",
    },
};

const RATE_LIMITED: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: true,
    remedy: Remedy::Safe(Action::Reload),
    helps: Helps::Always,
    reload: Reload::AfterBackOff,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Nothing at once: the operator reloads after a pause. If it repeats, sync less often, spread the tables of this source over the day, or raise the limit at the vendor.",
        by_hand: "Wait for the next scheduled run, or reload the table in PostHog after a pause. If it repeats, sync less often, spread the tables of this source over the day, or raise the limit at the vendor.",
    },
};

const TRANSIENT: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: true,
    remedy: Remedy::Safe(Action::Reload),
    helps: Helps::Always,
    reload: Reload::AfterBackOff,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Nothing at once: the operator reloads after a pause. If it repeats, look at the health of the source.",
        by_hand: "Wait for the next scheduled run, or reload the table in PostHog. If it fails again, look at the health of the source.",
    },
};

const PLATFORM_INTERNAL: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: true,
    remedy: Remedy::Safe(Action::Reload),
    helps: Helps::Always,
    reload: Reload::AfterBackOff,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Nothing at once: the trouble is inside PostHog, and the operator reloads after a pause. If it lasts for hours, ask PostHog's support with the id of the job.",
        by_hand: "Reload the table in PostHog after a pause: the trouble is inside PostHog. If it lasts for hours, ask PostHog's support with the id of the job.",
    },
};

const PLATFORM_OUTAGE: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Observation,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Wait, and change no credentials: many sources turned bad at once, so the trouble is PostHog's. Look at its status page; the operator holds its actions back and tries one source after a while.",
        by_hand: "Wait, and change no credentials: many sources turned bad at once, so the trouble is PostHog's. Look at its status page; when it is over, reload one table to see whether it works again.",
    },
};

const DATA_TYPE_MISMATCH: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Table,
    scope: Scope::Settings,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::Resync),
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Resync,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Put the value or the column's type right at the source. If the new type is meant to stay, approve a resync, which fetches the table anew.",
        by_hand: "Put the value or the column's type right at the source. If the new type is meant to stay, resync the table in PostHog, which fetches it anew: look first whether the source still has all of its rows.",
    },
};

const SOURCE_CONFIG: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Settings,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Read the error's text and change the setting that it names, at the source or in the source's settings in PostHog: database, project, account, mode or resources.",
    ),
};

const SOURCE_TIMEOUT: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "Raise the time limit for PostHog's queries at the source, index the incremental field, sync fewer columns, or read from a replica.",
    ),
};

const OPERATOR_ACTION: Cause = Cause {
    severity: Severity::Info,
    origin: Origin::Note,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: true,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same("Nothing to do: this is a note and no failure."),
};

const STUCK: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Observation,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Safe(Action::CancelAndReload),
    helps: Helps::ExceptFor(rules::SILENT),
    reload: Reload::Hung,
    proposes: Proposes::Cancel,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Nothing at once: the operator cancels the run once it is sure that nothing moves, and reloads. Resync is not needed for that.",
        by_hand: "Look at the run again after some hours. If neither its rows nor its log have moved, cancel it in PostHog, wait three minutes, and reload the table; a resync is not needed for that.",
    },
};

const STALE: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Observation,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Safe(Action::Reload),
    helps: Helps::OnlyFor(&[rules::NONE_COMPLETED]),
    reload: Reload::Stale,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Nothing at once: the operator reloads once. If the table stays stale, look whether its schedule in PostHog still runs, by switching its sync off and on.",
        by_hand: "Reload the table in PostHog once. If it stays stale, look whether its schedule still runs, by switching its sync off and on.",
    },
};

const ROW_LOSS: Cause = Cause {
    severity: Severity::Warning,
    origin: Origin::Observation,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Compare the number of rows with the source before anything else is synced. If rows are gone at the source too, it is no fault of the sync; otherwise keep the policy suspended and ask for a resync.",
        by_hand: "Compare the number of rows with the source before anything else is synced. If rows are gone at the source too, it is no fault of the sync; otherwise resync the table in PostHog.",
    },
};

const DATA_CHECK_FAILED: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Data,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::Resync),
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Resync,
    cleared_by: ClearedBy::DataChecks,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Look at the rows that the check found. If they are right at the source, approve the proposed resync; if they are wrong there too, repair them there first.",
        by_hand: "Look at the rows that the check found. If they are right at the source, resync the table in PostHog; if they are wrong there too, repair them there first.",
    },
};

const REQUESTED: Cause = Cause {
    severity: Severity::Info,
    origin: Origin::Request,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::Resync),
    helps: Helps::ExceptFor(rules::NOT_UNDERSTOOD),
    reload: Reload::Never,
    proposes: Proposes::AsRequested,
    cleared_by: ClearedBy::Nothing,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Look at the proposal that your request led to, what it costs above all, and approve it or withdraw the request.",
        by_hand: "Look at what was asked for, and what it costs above all.",
    },
};

const NOT_CONFIGURED: Cause = Cause {
    severity: Severity::Info,
    origin: Origin::Observation,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Decide whether this new table should sync. If so, set up its sync in PostHog; if not, leave it, or exclude it from the policy.",
        by_hand: "Decide whether this new table should sync. If so, set up its sync in PostHog; if not, leave it as it is.",
    },
};

const NOT_VISIBLE: Cause = Cause {
    severity: Severity::Info,
    origin: Origin::Observation,
    doubt: Doubt::Nothing,
    asks: Asks::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "Look whether the table was deleted in PostHog or whether the API key lost access to its project. Nothing is done with what cannot be seen.",
    ),
};

const UNKNOWN: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: Doubt::Table,
    asks: Asks::Table,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: true,
    remedy: Remedy::Nothing,
    helps: Helps::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::SourceUnlessSeen,
    advice: Advice {
        with_operator: "Read the error's text and the log of the run in PostHog. The operator does nothing about what it does not understand.",
        by_hand: "Read the error's text, and the log of the run in PostHog.",
    },
};
