//! Why a call needs a human, and what it could cost.

pub use crate::api::proposal::LosesData;
use crate::decide::words::held;

/// Why a call is not safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Why {
    /// The source is not the one that was read.
    #[error("the state of the source is unknown")]
    SourceUnknown,
    /// Nothing is known about the table, or about one of several.
    #[error("not enough is known about the table")]
    TableUnknown,
    /// Cancel: no live read proved that the run is stuck.
    #[error("no live read proved that the run is still stuck")]
    RunMayBeAlive,
    /// Reload: no live read proved that no run is in progress and syncing is on.
    #[error("no live read proved that no run is in progress and syncing is on")]
    SomethingMayRun,
    /// An earlier call may make the next run wipe the table.
    #[error("an earlier call may make the next run wipe the table")]
    NextRunMayWipe,
    /// Whether one does is unknown.
    #[error("whether the next run wipes the table is unknown")]
    NextRunUnknown,
    /// Resync.
    #[error("it wipes the table and imports it again")]
    WipesTable,
    /// Delete data.
    #[error("it deletes the table's data")]
    DeletesData,
    /// PATCH of `sync_type`.
    #[error("another sync type can make PostHog import the table again")]
    ChangesSyncType,
    /// PATCH of `incremental_field`.
    #[error("another incremental field can make PostHog import the table again")]
    ChangesIncrementalField,
    /// PATCH of `primary_key_columns`.
    #[error("another primary key changes how rows are merged")]
    ChangesPrimaryKey,
    /// `should_sync: true` of a table that syncs by webhook or change data capture.
    #[error("switching on a table that syncs by webhook or change data capture wipes it")]
    SwitchingOnWipes,
    /// `should_sync: true` of a table whose sync type is unknown or not set.
    #[error("the sync type of the table is unknown")]
    SyncTypeUnknown,
    /// `should_sync: true` of a table that a person may have switched off.
    #[error("{}", held::SWITCHED_OFF_UNSEEN)]
    NotDisabledByPostHog,
    /// PATCH of a source that changes more than its credentials.
    #[error("it changes more of the source than its credentials")]
    MoreThanCredentials,
    /// Refresh of the list of tables.
    #[error("it switches off every table that the source does not show at that moment, for good")]
    SwitchesOffWhatIsHidden,
    /// Create webhook, and there may be one.
    #[error("the webhook may exist: a second one would be created")]
    WebhookMayExist,
    /// Create webhook, and no table needs it.
    #[error("no table of the source uses webhook sync")]
    NoTableUsesWebhook,
    /// Webhook inputs, and the webhook may not exist.
    #[error("the webhook may not exist")]
    WebhookMayNotExist,
    /// Delete webhook.
    #[error("what the vendor sends without a webhook is lost")]
    StopsWebhook,
    /// Repair of change data capture.
    #[error("it imports every captured table again")]
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
