//! When the tables of a source were seen to be switched off.

use std::collections::HashMap;

use crate::{api::status::WentOff, observe::Snapshot, posthog::wire::Schema};

/// What was seen of tables of one source that were switched off.
#[derive(Debug)]
pub struct Records<'a> {
    /// The records, as they were made.
    pub all: Vec<&'a WentOff>,
    /// In which of them a table is, by its id.
    pub place_of: HashMap<&'a str, usize>,
}

impl<'a> Records<'a> {
    /// Of this source.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, source_id: &str) -> Self {
        let all = snapshot.changes.went_off.iter();
        let all: Vec<&WentOff> = all.filter(|one| one.source_id == source_id).collect();
        let tables = all.iter().enumerate().flat_map(|(place, record)| {
            let ids = record.schema_ids.iter();
            ids.map(move |id| (id.as_str(), place))
        });
        let place_of = tables.collect();
        Self { all, place_of }
    }

    /// The record that a table is in.
    #[must_use]
    pub fn of(&self, schema: &Schema) -> Option<&'a WentOff> {
        let place = self.place_of.get(schema.id.as_str())?;
        self.all.get(*place).copied()
    }
}
