//! Why a call needs a human, and what it could cost.

pub use crate::api::proposal::LosesData;

/// Why a call is not safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Why {
    /// The source is not the one of which something is known.
    #[error("nothing is known of the source just now")]
    SourceUnknown,
    /// Nothing is known of the table, or of one of several.
    #[error("not enough is known of the table just now")]
    TableUnknown,
    /// Cancel: no live look proved that the run hangs.
    #[error("no live look proved that the run still hangs")]
    RunMayBeAlive,
    /// Reload: no live look proved that nothing runs and syncing is on.
    #[error("no live look proved that nothing runs and syncing is on")]
    SomethingMayRun,
    /// An earlier call may have armed a reset.
    #[error("an earlier call may have made the next run wipe the table")]
    NextRunMayWipe,
    /// Nobody can tell whether one did.
    #[error("it is not known whether the next run wipes the table")]
    NextRunUnknown,
    /// Resync.
    #[error("it wipes the table and imports it anew")]
    WipesTable,
    /// Delete data.
    #[error("it deletes the table's data")]
    DeletesData,
    /// PATCH of `sync_type`.
    #[error("another sync type can make PostHog import the table anew")]
    ChangesSyncType,
    /// PATCH of `incremental_field`.
    #[error("another incremental field can make PostHog import the table anew")]
    ChangesIncrementalField,
    /// PATCH of `primary_key_columns`.
    #[error("another primary key changes how rows are merged")]
    ChangesPrimaryKey,
    /// `should_sync: true` of a table that syncs by webhook or change data capture.
    #[error("switching on a table that syncs by webhook or change data capture wipes it")]
    SwitchingOnWipes,
    /// `should_sync: true` of a table of which the sync type is not known, or that nobody has set up.
    #[error("it is not known how the table is synced")]
    SyncTypeUnknown,
    /// `should_sync: true` of a table that a person may have switched off.
    #[error("nobody saw PostHog switch the table off: a person may have done it")]
    NotDisabledByPostHog,
    /// PATCH of a source that says more than who asks.
    #[error("it changes more of the source than its credentials")]
    MoreThanCredentials,
    /// Refresh of the list of tables.
    #[error("it switches off every table that the source does not show at that moment, for good")]
    SwitchesOffWhatIsHidden,
    /// Create webhook, and there may be one.
    #[error("the webhook may exist: another one would be made beside it")]
    WebhookMayExist,
    /// Create webhook, and nobody needs it.
    #[error("no table of the source uses webhook sync")]
    NoTableUsesWebhook,
    /// Webhook inputs, and there may be none to take them.
    #[error("the webhook may not exist")]
    WebhookMayNotExist,
    /// Delete webhook.
    #[error("what the vendor sends meanwhile is lost")]
    StopsWebhook,
    /// Repair of change data capture.
    #[error("it imports every captured table anew")]
    ImportsCapturedTablesAnew,
}

impl Why {
    /// Whether the call can lose data.
    #[must_use]
    pub const fn loses_data(self) -> LosesData {
        match self {
            // What it switches off keeps its rows.
            Self::SwitchesOffWhatIsHidden
            | Self::RunMayBeAlive
            | Self::SomethingMayRun
            | Self::NotDisabledByPostHog
            | Self::WebhookMayExist
            | Self::NoTableUsesWebhook
            | Self::WebhookMayNotExist => LosesData::No,
            Self::SourceUnknown
            | Self::TableUnknown
            | Self::NextRunMayWipe
            | Self::NextRunUnknown
            | Self::ChangesIncrementalField
            | Self::ChangesPrimaryKey
            | Self::SyncTypeUnknown
            | Self::MoreThanCredentials
            | Self::StopsWebhook => LosesData::Maybe,
            Self::WipesTable
            | Self::DeletesData
            | Self::ChangesSyncType
            | Self::SwitchingOnWipes
            | Self::ImportsCapturedTablesAnew => LosesData::Yes,
        }
    }
}
