//! Why something is not as desired, how bad it is, and how sure the operator is.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage as _, VariantArray as _};

/// Why something is not as desired. A closed list: each cause has a row in every table that is kept by cause.
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
    /// The source knows who asks and does not allow it.
    PermissionDenied,
    /// The account that was connected in PostHog has gone or was revoked.
    IntegrationMissing,
    /// The SSH tunnel to the source cannot be set up.
    SshTunnel,
    /// The source cannot be reached: name, route, firewall, allowlist.
    NetworkUnreachable,
    /// An encrypted connection to the source cannot be set up.
    TlsFailure,
    /// The table has no primary key to sync incrementally on.
    PrimaryKeyMissing,
    /// The table's primary key is not unique.
    PrimaryKeyDuplicate,
    /// A column that the sync depends on has gone or was renamed.
    SchemaDrift,
    /// The table has gone from the source or was renamed.
    TableMissing,
    /// A table or a column has gone from the source; not known which.
    SourceObjectMissing,
    /// Change data capture cannot go on: publication, settings or stream.
    CdcBroken,
    /// The replication slot was lost, and with it the place in the log.
    CdcSlotLost,
    /// PostHog's billing limit was reached. Not a technical failure.
    BillingLimit,
    /// A quota, plan or bill at the vendor holds the source back.
    VendorQuota,
    /// The webhook channel does not deliver.
    WebhookBroken,
    /// The source asks to be called less often.
    RateLimited,
    /// A passing trouble of the source: trying again is the cure.
    Transient,
    /// A passing trouble inside PostHog.
    PlatformInternal,
    /// Many sources turned bad at once: PostHog itself is the likely cause.
    PlatformOutage,
    /// A value or a column's type does not fit what is stored.
    DataTypeMismatch,
    /// The source or its connection is set up in a way that cannot work.
    SourceConfig,
    /// The source cut a query off because it took too long.
    SourceTimeout,
    /// Somebody stopped the run in PostHog. Not a failure.
    OperatorAction,
    /// A run in Running that makes no progress, or a table that says Running without a run.
    Stuck,
    /// No sync has completed for several of the table's own intervals.
    Stale,
    /// Rows were lost in a resync.
    RowLoss,
    /// A data check of the policy did not hold.
    DataCheckFailed,
    /// A person asked for an action.
    Requested,
    /// A new table that nobody has set up. Information.
    NotConfigured,
    /// The table has left PostHog's list; the key may no longer see it.
    NotVisible,
    /// Not known, or not to be told from what PostHog says.
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

/// How bad a finding is. Ordered: the worst is the smallest.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
)]
pub enum Severity {
    /// Data is not arriving.
    Error,
    /// Somebody should look.
    Warning,
    /// Good to know.
    Info,
}

/// How sure the operator is of a finding's cause.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Rests on a structured signal.
    High,
    /// Rests on a text or on one sign of several.
    Medium,
    /// A guess, or no cause at all.
    Low,
}
