//! Causes of findings, how severe they are, and how certain.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage as _, VariantArray as _};

/// The root cause of a finding. A closed list: each cause has a row in every table that lists causes.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::EnumMessage,
)]
pub enum RootCause {
    /// The source rejects the user name, password, key or token.
    CredentialsInvalid,
    /// The source accepts the credentials, but denies access.
    PermissionDenied,
    /// The account that was connected in PostHog was removed or revoked.
    IntegrationMissing,
    /// The SSH tunnel to the source cannot be established.
    SshTunnel,
    /// The source cannot be reached: DNS name, route, firewall or allowlist.
    NetworkUnreachable,
    /// A TLS connection to the source cannot be established.
    TlsFailure,
    /// The table has no primary key, which incremental sync needs.
    PrimaryKeyMissing,
    /// The table's primary key is not unique.
    PrimaryKeyDuplicate,
    /// A column that the sync depends on was removed or renamed.
    SchemaDrift,
    /// The table was removed from the source or renamed.
    TableMissing,
    /// A table or a column was removed from the source; it is not known which.
    SourceObjectMissing,
    /// Change data capture cannot continue: publication, settings or stream.
    CdcBroken,
    /// The replication slot was lost, and with it the position in the database's log.
    CdcSlotLost,
    /// PostHog's billing limit was reached. Not a technical failure.
    BillingLimit,
    /// A quota, plan or unpaid bill at the vendor blocks the source.
    VendorQuota,
    /// The webhook does not deliver.
    WebhookBroken,
    /// The source rate limits PostHog.
    RateLimited,
    /// A transient error of the source: a retry fixes it.
    Transient,
    /// A transient error inside PostHog.
    PlatformInternal,
    /// Many sources failed, or many runs fell silent, at once: PostHog itself is the likely cause.
    PlatformOutage,
    /// A value or a column's type does not fit what is stored.
    DataTypeMismatch,
    /// The configuration of the source or its connection cannot work.
    SourceConfig,
    /// The source cancelled a query because it took too long.
    SourceTimeout,
    /// A person stopped the run or the table's sync in PostHog. Not a failure.
    OperatorAction,
    /// A run in status Running without progress, or a table in status Running without a run.
    Stuck,
    /// No run has completed for several of the table's own intervals, or for `freshness.maxAge`.
    Stale,
    /// Rows were lost in a sync or a resync.
    RowLoss,
    /// A data check of the policy failed.
    DataCheckFailed,
    /// A person requested an action.
    Requested,
    /// A new table that has not been configured. Information.
    NotConfigured,
    /// The table is no longer in PostHog's list; the API key may have lost access to it.
    NotVisible,
    /// Not known, or PostHog's data does not show it.
    Unknown,
}

impl RootCause {
    /// What it means, in a sentence; the same as `kubectl explain` shows.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        let sentence = self.get_documentation().unwrap_or_default();
        sentence.trim_end_matches('.')
    }

    /// Its name, as status and metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Every cause.
    pub const ALL: &'static [Self] = Self::VARIANTS;
}

/// How severe a finding is. Ordered: the most severe is the smallest.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
)]
pub enum Severity {
    /// Data is not arriving.
    Error,
    /// Someone should look at it.
    Warning,
    /// Good to know.
    Info,
}

/// How certain a finding's cause is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Based on a structured signal.
    High,
    /// Based on a text or on one of several signs.
    Medium,
    /// A guess, or no cause at all.
    Low,
}
