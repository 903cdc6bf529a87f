//! What is known when a call is judged. Everything is unknown at first; only what was read is filled in.

use compact_str::CompactString;

use crate::{
    decide::gate::{NoRunInProgress, RunStillStuck},
    posthog::{
        lax::Lax,
        probe::WebhookInfo,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// A source that the operator never writes to, even with approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "PostHog does not import from this source (access_method is not \"warehouse\"): it is only observed"
)]
pub struct NotWarehouse;

/// What is known about a source and its tables.
#[derive(Debug)]
pub struct Evidence {
    source_id: String,
    tables: Vec<TableEvidence>,
    /// Whether `tables` holds all tables of the source.
    whole: bool,
    /// Its webhook.
    pub webhook: Webhook,
}

/// What is known about a table.
#[derive(Debug)]
pub struct TableEvidence {
    /// Id of the table.
    pub schema_id: String,
    /// How it is synced.
    pub sync_type: SyncType,
    /// Whether syncing is switched on; none if not known.
    pub should_sync: Option<bool>,
    /// What `PostHog` says of it.
    pub status: SchemaStatus,
    /// Whether `PostHog` was observed switching it off after a failure. It looks the same when a person does that.
    pub disabled_by_posthog: bool,
    /// What its next run does to the data.
    pub next_run: NextRun,
    /// What a live read found about its run.
    pub run: Run,
}

/// How a table is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncType {
    /// Read whole each time.
    FullRefresh,
    /// New and changed rows, merged by key.
    Incremental,
    /// New rows.
    Append,
    /// Pushed by the vendor.
    Webhook,
    /// Changes read from the database's log.
    Cdc,
    /// By the row version of Postgres.
    Xmin,
    /// Not set.
    NotSetUp,
    /// A value that this version does not know, or none.
    Unknown,
}

/// What the next run of a table does to its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NextRun {
    /// Not known.
    Unknown,
    /// What the sync type says.
    Ordinary,
    /// A call after which the next run may wipe the table got an error or an unknown answer, and no run has completed since.
    MayWipe,
}

/// What a live read found about a table's run.
#[derive(Debug)]
pub enum Run {
    /// Not read.
    NotProbed,
    /// It is still stuck.
    StillStuck(RunStillStuck),
    /// None runs, and syncing is on.
    Nothing(NoRunInProgress),
}

/// The state of the webhook of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Webhook {
    /// Not read, or the answer does not show it.
    Unknown,
    /// `PostHog` has none.
    NotRegistered,
    /// `PostHog` has one, and the vendor certainly has none.
    GoneAtVendor,
    /// `PostHog` has one.
    Registered,
}

impl Evidence {
    /// A whole source as it is listed. The caller adds what the list does not show, table by table.
    pub fn source(source: &Source) -> Result<Self, NotWarehouse> {
        Ok(Self {
            whole: true,
            tables: source.schemas.iter().map(TableEvidence::listed).collect(),
            ..Self::nothing(&source.id, source.is_warehouse())?
        })
    }

    /// One table of a source. `warehouse` is [`Source::is_warehouse`].
    pub fn one_table(
        source_id: &str,
        warehouse: bool,
        table: TableEvidence,
    ) -> Result<Self, NotWarehouse> {
        Ok(Self {
            tables: vec![table],
            ..Self::nothing(source_id, warehouse)?
        })
    }

    fn nothing(source_id: &str, warehouse: bool) -> Result<Self, NotWarehouse> {
        if !warehouse {
            return Err(NotWarehouse);
        }
        Ok(Self {
            source_id: source_id.to_owned(),
            tables: Vec::new(),
            whole: false,
            webhook: Webhook::Unknown,
        })
    }

    pub(super) fn source_id(&self) -> &str {
        &self.source_id
    }

    pub(super) fn table(&self, schema_id: &str) -> Option<&TableEvidence> {
        self.tables
            .iter()
            .find(|table| table.schema_id == schema_id)
    }

    /// What is known about a table, to fill in more.
    pub fn table_mut(&mut self, schema_id: &str) -> Option<&mut TableEvidence> {
        self.tables
            .iter_mut()
            .find(|table| table.schema_id == schema_id)
    }

    /// All tables; none if not all of them are known.
    pub(super) fn all_tables(&self) -> Option<&[TableEvidence]> {
        self.whole.then_some(&self.tables)
    }
}

impl TableEvidence {
    /// A table about which nothing is known.
    #[must_use]
    pub fn unknown(schema_id: &str) -> Self {
        Self {
            schema_id: schema_id.to_owned(),
            sync_type: SyncType::Unknown,
            should_sync: None,
            status: SchemaStatus::Unknown,
            disabled_by_posthog: false,
            next_run: NextRun::Unknown,
            run: Run::NotProbed,
        }
    }

    /// A table as it is listed.
    #[must_use]
    pub fn listed(row: &Schema) -> Self {
        Self {
            sync_type: SyncType::of(&row.sync_type),
            should_sync: row.should_sync.get().copied(),
            status: row.status(),
            ..Self::unknown(&row.id)
        }
    }
}

impl SyncType {
    fn of(said: &Lax<CompactString>) -> Self {
        match said {
            Lax::Null => Self::NotSetUp,
            Lax::Missing | Lax::Odd => Self::Unknown,
            Lax::Is(text) => match text.as_str() {
                "full_refresh" => Self::FullRefresh,
                "incremental" => Self::Incremental,
                "append" => Self::Append,
                "webhook" => Self::Webhook,
                "cdc" => Self::Cdc,
                "xmin" => Self::Xmin,
                _ => Self::Unknown,
            },
        }
    }
}

impl Webhook {
    /// From `PostHog`'s answer. If the vendor's side could not be read, nothing follows from that. Where `PostHog` can never create a
    /// webhook, that none exists means nothing.
    #[must_use]
    pub fn of(info: &WebhookInfo) -> Self {
        let gone = info.external_status.as_ref().is_some_and(|external| {
            external.exists == Lax::Is(false) && external.error == Lax::Null
        });
        let blocked = info.creation_is_blocked().is_some();
        match info.exists {
            Lax::Is(false) if blocked => Self::Unknown,
            Lax::Is(true) if gone && blocked => Self::Unknown,
            Lax::Is(false) => Self::NotRegistered,
            Lax::Is(true) if gone => Self::GoneAtVendor,
            Lax::Is(true) => Self::Registered,
            Lax::Missing | Lax::Null | Lax::Odd => Self::Unknown,
        }
    }
}
