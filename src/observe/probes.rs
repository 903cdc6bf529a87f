//! Answers to closer questions about single tables and sources, kept so that a question is not asked twice without need.
//! What is to be asked, `diagnose` says.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::{
    api::validated::DataRule,
    posthog::{
        PostHogError,
        lax::Lax,
        probe::{CdcPrerequisites, CdcStatus, IncrementalFields, SchemaDetail, WebhookInfo},
    },
};

/// A question about a table or a source, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Probe {
    /// The table alone.
    Detail(String),
    /// The table as the customer's source has it. Needs the write scope.
    Fields(String),
    /// The webhook of a source.
    Webhook(String),
    /// Change data capture of a source.
    Cdc(String),
    /// What a source lacks for change data capture. Needs the write scope.
    Prerequisites(String),
    /// The data of a table. Needs the scope `query:read`.
    Data(DataProbe),
}

impl Probe {
    /// Id of the table that it is about, if it is about one.
    #[must_use]
    pub fn schema_id(&self) -> Option<&str> {
        match self {
            Self::Detail(id) | Self::Fields(id) => Some(id),
            Self::Data(probe) => Some(&probe.schema_id),
            Self::Webhook(_) | Self::Cdc(_) | Self::Prerequisites(_) => None,
        }
    }
}

/// A question about the data of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataProbe {
    /// Id of the table.
    pub schema_id: String,
    /// What must hold.
    pub rule: DataRule,
}

/// What was answered, and when.
#[derive(Debug, Clone)]
pub struct Probed<A> {
    /// When.
    pub at: Timestamp,
    /// The answer, or why there is none.
    pub answer: Result<A, PostHogError>,
}

/// What a query found in the data of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// How many keys occur more than once, and in how many rows.
    Duplicates {
        /// The keys.
        keys: i64,
        /// The rows.
        rows: i64,
    },
    /// The newest value of a column; none if the table is empty.
    Newest(Option<Timestamp>),
}

/// What came of a question about data: it may also not be possible, for the reason given.
#[derive(Debug, Clone)]
pub struct DataAnswer {
    /// Start of the sync whose data was looked at.
    pub synced_at: Option<Timestamp>,
    /// What was found, or why the check cannot be made.
    pub found: Result<Found, String>,
}

/// All answers that are known.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    /// Tables alone, by id.
    pub details: HashMap<String, Probed<SchemaDetail>>,
    /// Tables in the customer's source, by id.
    pub fields: HashMap<String, Probed<IncrementalFields>>,
    /// Webhooks, by id of the source.
    pub webhooks: HashMap<String, Probed<WebhookInfo>>,
    /// Change data capture, by id of the source.
    pub cdc: HashMap<String, Probed<CdcStatus>>,
    /// Since when change data capture of a source has lacked its slot, as far as this process saw.
    pub slot_lost_since: HashMap<String, Timestamp>,
    /// What change data capture lacks, by id of the source.
    pub prerequisites: HashMap<String, Probed<CdcPrerequisites>>,
    /// The data of tables.
    pub data: HashMap<DataProbe, Probed<DataAnswer>>,
}

impl Probes {
    /// Takes note of how change data capture of a source stands.
    pub fn note_cdc(&mut self, source_id: String, probed: Probed<CdcStatus>) {
        if let Ok(status) = &probed.answer {
            if status.slot_exists == Lax::Is(false) {
                let since = self.slot_lost_since.entry(source_id.clone());
                since.or_insert(probed.at);
            } else {
                self.slot_lost_since.remove(&source_id);
            }
        }
        self.cdc.insert(source_id, probed);
    }

    /// Forgets what is about tables and sources that are no longer listed.
    pub fn retain(&mut self, sources: &HashSet<&str>, schemas: &HashSet<&str>) {
        let Self {
            details,
            fields,
            webhooks,
            cdc,
            slot_lost_since,
            prerequisites,
            data,
        } = self;
        details.retain(|id, _| schemas.contains(id.as_str()));
        fields.retain(|id, _| schemas.contains(id.as_str()));
        webhooks.retain(|id, _| sources.contains(id.as_str()));
        cdc.retain(|id, _| sources.contains(id.as_str()));
        slot_lost_since.retain(|id, _| sources.contains(id.as_str()));
        prerequisites.retain(|id, _| sources.contains(id.as_str()));
        data.retain(|probe, _| schemas.contains(probe.schema_id.as_str()));
    }
}
