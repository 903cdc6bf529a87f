//! Answers to probes of single tables and sources, kept so that no probe is repeated without need.
//! What is to be asked, `diagnose` says.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use jiff::Timestamp;

use super::Deliveries;
use crate::{
    api::validated::DataRule,
    posthog::{
        PostHogError,
        lax::Lax,
        probe::{
            CdcCheck, CdcPrerequisites, CdcStatus, IncrementalFields, SchemaDetail, WebhookInfo,
        },
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
    /// What the log of the webhook of a source says, by the ids of the source and of `PostHog`'s function. Needs the scope
    /// `query:read`.
    Deliveries(String, String),
    /// Change data capture of a source.
    Cdc(String),
    /// What a source lacks for change data capture, and what of it is to be checked. Needs the write scope.
    Prerequisites(String, CdcCheck),
    /// The data of a table. Needs the scope `query:read`.
    Data(DataProbe),
}

impl Probe {
    /// What it is about.
    #[must_use]
    pub fn about(&self) -> ProbeTarget<'_> {
        match self {
            Self::Detail(id) | Self::Fields(id) => ProbeTarget::Schema(id),
            Self::Data(probe) => ProbeTarget::Schema(&probe.schema_id),
            Self::Webhook(id)
            | Self::Deliveries(id, _)
            | Self::Cdc(id)
            | Self::Prerequisites(id, _) => ProbeTarget::Source(id),
        }
    }
}

/// A table or a source, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeTarget<'a> {
    /// This source.
    Source(&'a str),
    /// This table.
    Schema(&'a str),
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
    /// When it was last asked: later than `at` if that brought no answer.
    pub asked: Timestamp,
    /// How many times it was read without a good answer since the last one.
    pub in_vain: u32,
}

impl<A> Probed<A> {
    /// An answer given at `at`, after the one `before`. A good answer is kept if the new one only says that `PostHog` or the customer's source could
    /// not answer.
    #[must_use]
    pub fn new(at: Timestamp, answer: Result<A, PostHogError>, before: Option<Self>) -> Self {
        let in_vain = match &answer {
            Ok(_) => 0,
            Err(_) => before.as_ref().map_or(0, |before| before.in_vain) + 1,
        };
        let refused = matches!(
            &answer,
            Err(PostHogError::Refused {
                status: 400..=499,
                ..
            })
        );
        match before {
            Some(good) if good.answer.is_ok() && answer.is_err() && !refused => Self {
                asked: at,
                in_vain,
                ..good
            },
            _ => Self {
                at,
                answer,
                asked: at,
                in_vain,
            },
        }
    }
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

/// The result of a query about data: it may also not be possible, for the reason given.
#[derive(Debug, Clone)]
pub struct DataAnswer {
    /// Start of the sync whose data was checked.
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
    /// Deliveries to webhooks, by id of the source.
    pub deliveries: HashMap<String, Probed<Deliveries>>,
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
    /// Records how change data capture of a source stands.
    pub fn note_cdc(
        &mut self,
        source_id: String,
        at: Timestamp,
        answer: Result<CdcStatus, PostHogError>,
    ) -> bool {
        if let Ok(status) = &answer {
            if status.slot_exists == Lax::Is(false) {
                self.slot_lost_since.entry(source_id.clone()).or_insert(at);
            } else {
                self.slot_lost_since.remove(&source_id);
            }
        }
        note(&mut self.cdc, source_id, at, answer)
    }

    /// Forgets what is about sources and tables that are no longer listed, and what explained failures of tables that are not
    /// `failed` any more, unless their data is checked.
    pub fn retain(
        &mut self,
        sources: &HashSet<&str>,
        schemas: &HashSet<&str>,
        failed: &HashSet<&str>,
    ) {
        let Self {
            details,
            fields,
            webhooks,
            deliveries,
            cdc,
            slot_lost_since,
            prerequisites,
            data,
        } = self;
        let checked: HashSet<&str> = data.keys().map(|probe| probe.schema_id.as_str()).collect();
        details.retain(|id, _| failed.contains(id.as_str()) || checked.contains(id.as_str()));
        fields.retain(|id, _| failed.contains(id.as_str()));
        webhooks.retain(|id, _| sources.contains(id.as_str()));
        deliveries.retain(|id, _| sources.contains(id.as_str()));
        cdc.retain(|id, _| sources.contains(id.as_str()));
        slot_lost_since.retain(|id, _| sources.contains(id.as_str()));
        prerequisites.retain(|id, _| sources.contains(id.as_str()));
        data.retain(|probe, _| schemas.contains(probe.schema_id.as_str()));
    }
}

/// Records an answer; false if there was none. A question that was held back was not asked.
pub(super) fn note<K: Eq + Hash, A>(
    answers: &mut HashMap<K, Probed<A>>,
    key: K,
    at: Timestamp,
    answer: Result<A, PostHogError>,
) -> bool {
    if matches!(
        answer,
        Err(PostHogError::Waiting { .. } | PostHogError::OverShare { .. })
    ) {
        return false;
    }
    let answered = matches!(
        answer,
        Ok(_)
            | Err(PostHogError::Refused {
                status: 400..=499,
                ..
            })
    );
    let before = answers.remove(&key);
    answers.insert(key, Probed::new(at, answer, before));
    answered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn error(status: u16) -> PostHogError {
        PostHogError::Refused {
            call: "x",
            status,
            detail: String::new(),
        }
    }

    #[test]
    fn a_good_answer_outlives_silence_and_not_a_refusal() {
        let good = Probed::new(at(1), Ok(5), None);
        let kept = Probed::new(at(2), Err(error(503)), Some(good.clone()));
        assert_eq!((kept.at, kept.asked, kept.in_vain), (at(1), at(2), 1));
        assert!(kept.answer.is_ok());
        let kept = Probed::new(at(3), Err(error(503)), Some(kept));
        assert_eq!((kept.at, kept.in_vain), (at(1), 2));
        let refused = Probed::new(at(4), Err(error(400)), Some(kept));
        assert!(refused.answer.is_err() && refused.at == at(4));
        let again = Probed::new(at(5), Ok(6), Some(refused));
        assert_eq!((again.at, again.in_vain, again.answer), (at(5), 0, Ok(6)));
    }
}
