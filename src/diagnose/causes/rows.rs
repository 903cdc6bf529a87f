//! The rows, one for each cause, in the order of the enum.

use super::{
    cause::{
        Advice, AppliesTo, Cause, ClearedBy, FixedBy, Origin, Proposes, Reads, Reload, Remedy,
        Scope, StrongerSignal,
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
    doubt: StrongerSignal::Siblings,
    reads: Reads::Nothing,
    scope: Scope::Connection,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Safe(Action::ApplyCredentials),
    helps: AppliesTo::Always,
    reload: Reload::AfterRotation,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice {
        with_operator: "Rotate the password or key at the source and write the new one to the Secret that spec.credentials names; the operator sends it to PostHog. Without such a Secret, enter it in the source's settings in PostHog.",
        by_hand: "Enter a user name, password or key that the source accepts in the source's settings in PostHog, and switch on the tables that PostHog switched off.",
    },
};

const PERMISSION_DENIED: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Grant PostHog's user or key read access to this table at the source. If other tables still sync, the login itself works.",
    ),
};

const INTEGRATION_MISSING: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Connection,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Reconnect the account in the source's settings in PostHog, as a user who may grant access. Do not delete the source: that deletes its tables, too.",
    ),
};

const SSH_TUNNEL: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Connection,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Check that the bastion runs, that its host, port, user and key are correct in the source's settings, and that it allows PostHog's addresses.",
    ),
};

const NETWORK_UNREACHABLE: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Connection,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Check host and port in the source's settings, that the server runs, and that its firewall or allowlist allows PostHog's addresses.",
    ),
};

const TLS_FAILURE: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Connection,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Check the source's certificate and whether it requires or refuses encryption, and configure the source in PostHog accordingly.",
    ),
};

const PRIMARY_KEY_MISSING: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::TableAndSource,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::RepairConfig),
    helps: AppliesTo::Always,
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
    doubt: StrongerSignal::Nothing,
    reads: Reads::TableAndSource,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::DeleteData),
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::OtherKey,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Key,
    advice: Advice {
        with_operator: "Find columns that are unique together, and declare them as the primary key in the policy's overrides. Changing the key requires deleting the synced data first; the operator proposes that and never does it without approval.",
        by_hand: "Find columns that are unique together, and set them as the primary key in the table's sync settings in PostHog. That requires deleting and reimporting the synced data: first check that the source still has all of it.",
    },
};

const SCHEMA_DRIFT: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::TableAndSource,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::RepairConfig),
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::OtherField,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "Compare the table's incremental field and row filter with its columns at the source, and choose columns that exist. No data needs to be deleted for that.",
    ),
};

const TABLE_MISSING: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::RefreshSchemas),
    // PostHog knows already what it was seen to switch off.
    helps: AppliesTo::ExceptFor(rules::NOT_SHOWN),
    reload: Reload::Never,
    proposes: Proposes::RefreshSchemas,
    cleared_by: ClearedBy::Tables,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "If the table was renamed, refresh the list of tables in PostHog and configure the new one; if it was dropped, switch its sync off. A refresh keeps stored rows and switches off tables that the source does not show.",
    ),
};

const SOURCE_OBJECT_MISSING: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Source,
    reads: Reads::TableAndSource,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::RepairConfig),
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::OpenUntilAsked,
    cleared_by: ClearedBy::Tables,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Check that the table exists at the source and that PostHog's user can read it, then that its incremental field exists. The operator probes the columns to find out which one is missing.",
        by_hand: "Check that the table exists at the source and that PostHog's user can read it, then that its incremental field exists. Configure the sync with the columns that exist.",
    },
};

const CDC_BROKEN: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Capture,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Safe(Action::Reload),
    // A slot that lags is read by the next run anyway.
    helps: AppliesTo::ExceptFor(rules::LAG),
    reload: Reload::AfterCheck,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::CdcCheck,
    advice: Advice {
        with_operator: "Run PostHog's check of the CDC prerequisites, and fix what it lists at the source: wal_level, publication, slots, rights. The operator reloads the table once the check passes.",
        by_hand: "Run PostHog's check of the CDC prerequisites, and fix what it lists at the source: wal_level, publication, slots, rights. Once the check passes, reload the table in PostHog.",
    },
};

const CDC_SLOT_LOST: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Capture,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::RepairCdc),
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::RepairCdc,
    cleared_by: ClearedBy::Slot,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Wait two sync intervals: PostHog recreates the slot by itself. If it does not, use Resume in the source's settings in PostHog. If that does not help either, approve the proposal RepairCdc, which imports the tables again from the beginning.",
        by_hand: "Wait two sync intervals: PostHog recreates the slot by itself. If it does not, use Resume in the source's settings in PostHog. If that does not help either, repair change data capture in PostHog: this imports the tables again from the beginning.",
    },
};

const BILLING_LIMIT: Cause = Cause {
    severity: Severity::Warning,
    origin: Origin::Error,
    // Only the status shows it: a text may be old, or be about the vendor's bill.
    doubt: StrongerSignal::Status,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Raise the billing limit in PostHog, or switch off less important tables. Retries do not help, so the operator does not retry.",
        by_hand: "Raise the billing limit in PostHog, or switch off less important tables. Retries do not help.",
    },
};

const VENDOR_QUOTA: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Settings,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "Pay the bill, upgrade the plan or wait for the next period at the source's vendor. This is not about PostHog's billing.",
    ),
};

const WEBHOOK_BROKEN: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Safe(Action::RegisterWebhook),
    helps: AppliesTo::OnlyFor(&[
        rules::NOT_REGISTERED,
        rules::GONE_AT_VENDOR,
        rules::INPUT_MISSING,
    ]),
    reload: Reload::Never,
    proposes: Proposes::ReregisterWebhook,
    cleared_by: ClearedBy::Webhook,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Check at the vendor that the webhook exists, is enabled and delivers, and that PostHog has its current signing secret.",
        by_hand: "Check at the vendor that the webhook exists, is enabled and delivers. If not, register it again in PostHog, on the source's Webhook tab.",
    },
};

const RATE_LIMITED: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: true,
    remedy: Remedy::Safe(Action::Reload),
    helps: AppliesTo::Always,
    reload: Reload::AfterBackOff,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "The operator backs off and reloads the table. If this repeats, sync less often, spread the tables of this source over the day, or raise the limit at the vendor.",
        by_hand: "Wait for the next scheduled run, or reload the table in PostHog later. If this repeats, sync less often, spread the tables of this source over the day, or raise the limit at the vendor.",
    },
};

const TRANSIENT: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: true,
    remedy: Remedy::Safe(Action::Reload),
    helps: AppliesTo::Always,
    reload: Reload::AfterBackOff,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "The operator backs off and reloads the table. If this repeats, check the health of the source.",
        by_hand: "Wait for the next scheduled run, or reload the table in PostHog. If it fails again, check the health of the source.",
    },
};

const PLATFORM_INTERNAL: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: true,
    remedy: Remedy::Safe(Action::Reload),
    helps: AppliesTo::Always,
    reload: Reload::AfterBackOff,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "The error is inside PostHog: the operator backs off and reloads the table. If it lasts for hours, contact PostHog's support with the job id.",
        by_hand: "The error is inside PostHog: reload the table in PostHog later. If it lasts for hours, contact PostHog's support with the job id.",
    },
};

const PLATFORM_OUTAGE: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Observation,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Wait and do not change credentials: many sources started failing at once, so PostHog is the likely cause. Check its status page. The operator holds its actions, and later reloads one table to see whether PostHog has recovered.",
        by_hand: "Wait and do not change credentials: many sources started failing at once, so PostHog is the likely cause. Check its status page; after the outage, reload one table to see whether it works.",
    },
};

const DATA_TYPE_MISMATCH: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Table,
    scope: Scope::Settings,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::Resync),
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Resync,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Fix the value or the column's type at the source. If the new type is intended, approve a resync, which reimports the table.",
        by_hand: "Fix the value or the column's type at the source. If the new type is intended, resync the table in PostHog, which reimports it: first check that the source still has all of its rows.",
    },
};

const SOURCE_CONFIG: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Settings,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Source,
    advice: Advice::same(
        "Read the error text and change the setting that it names, at the source or in the source's settings in PostHog: database, project, account, mode or resources.",
    ),
};

const SOURCE_TIMEOUT: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
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
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: true,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "Nothing to do: a person stopped this in PostHog, or no action is needed.",
    ),
};

const STUCK: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Observation,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Safe(Action::CancelAndReload),
    helps: AppliesTo::ExceptFor(rules::SILENT),
    reload: Reload::AfterCancel,
    proposes: Proposes::Cancel,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "The operator cancels the run once it is sure that the run is dead, and reloads the table. No resync is needed.",
        by_hand: "Check the run again in some hours. If neither its rows nor its log have moved, cancel it in PostHog. Once it has ended and its log has been quiet for nine minutes, reload the table. No resync is needed.",
    },
};

const STALE: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Observation,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Safe(Action::Reload),
    helps: AppliesTo::OnlyFor(&[rules::NONE_COMPLETED]),
    reload: Reload::Stale,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "The operator reloads the table once. If it stays stale, switch its sync off and on in PostHog to restart its schedule.",
        by_hand: "Reload the table in PostHog once. If it stays stale, switch its sync off and on to restart its schedule.",
    },
};

const ROW_LOSS: Cause = Cause {
    severity: Severity::Warning,
    origin: Origin::Observation,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Compare the number of rows with the source. If the source lost the rows, too, the sync is correct. Otherwise request a resync (kubectl wsp request).",
        by_hand: "Compare the number of rows with the source. If the source lost the rows, too, the sync is correct. Otherwise resync the table in PostHog.",
    },
};

const DATA_CHECK_FAILED: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Data,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::Resync),
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Resync,
    cleared_by: ClearedBy::DataChecks,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Check the rows that the data check found. If they are correct at the source, approve the proposed resync; if they are wrong there, too, fix them there first.",
        by_hand: "Check the rows that the data check found. If they are correct at the source, resync the table in PostHog; if they are wrong there, too, fix them there first.",
    },
};

const REQUESTED: Cause = Cause {
    severity: Severity::Info,
    origin: Origin::Request,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::NeedsApproval(Action::Resync),
    helps: AppliesTo::ExceptFor(rules::NOT_UNDERSTOOD),
    reload: Reload::Never,
    proposes: Proposes::AsRequested,
    cleared_by: ClearedBy::Nothing,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Review the proposal that this request led to, above all its cost, and approve or deny it.",
        by_hand: "Review what was requested, above all its cost.",
    },
};

const NOT_CONFIGURED: Cause = Cause {
    severity: Severity::Info,
    origin: Origin::Observation,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice {
        with_operator: "Decide whether this new table should sync. If so, configure its sync in PostHog; if not, leave it, or exclude it from the policy.",
        by_hand: "Decide whether this new table should sync. If so, configure its sync in PostHog; if not, leave it as it is.",
    },
};

const NOT_VISIBLE: Cause = Cause {
    severity: Severity::Info,
    origin: Origin::Observation,
    doubt: StrongerSignal::Nothing,
    reads: Reads::Nothing,
    scope: Scope::Table,
    may_be_outage: false,
    retried_by_posthog: false,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::Nothing,
    advice: Advice::same(
        "Check whether the table was deleted in PostHog or the API key lost access to it. A table that is not visible is never acted on.",
    ),
};

const UNKNOWN: Cause = Cause {
    severity: Severity::Error,
    origin: Origin::Error,
    doubt: StrongerSignal::Table,
    reads: Reads::Table,
    scope: Scope::Table,
    may_be_outage: true,
    retried_by_posthog: true,
    remedy: Remedy::Nothing,
    helps: AppliesTo::Always,
    reload: Reload::Never,
    proposes: Proposes::Nothing,
    cleared_by: ClearedBy::Verdict,
    fixed_by: FixedBy::SourceUnlessSeen,
    advice: Advice {
        with_operator: "Read the error text and the run's log in PostHog. The operator does not act on an unknown cause.",
        by_hand: "Read the error text and the run's log in PostHog.",
    },
};
