//! What the failures of all tables of a source depend on. It is found out once for each source: thousands of tables may fail at once.

use std::cell::OnceCell;

use jiff::Timestamp;

use super::{reachable, went_off::Records};
use crate::{
    observe::Snapshot,
    posthog::wire::{Schema, SchemaStatus, Source},
};

/// A source, and what the failures of all its tables depend on.
#[derive(Debug)]
pub struct SourceFacts<'a> {
    /// The source.
    pub source: &'a Source,
    snapshot: &'a Snapshot,
    reached: OnceCell<Option<Timestamp>>,
    newest_success: OnceCell<Option<(Timestamp, &'a Schema)>>,
    went_off: OnceCell<Records<'a>>,
}

impl<'a> SourceFacts<'a> {
    /// Of this source.
    #[must_use]
    pub const fn new(snapshot: &'a Snapshot, source: &'a Source) -> Self {
        Self {
            source,
            snapshot,
            reached: OnceCell::new(),
            newest_success: OnceCell::new(),
            went_off: OnceCell::new(),
        }
    }

    /// When `PostHog` last got into the source; none if it was not asked, or was turned away since.
    pub fn reached(&self) -> Option<Timestamp> {
        let find = || reachable::at(self.snapshot, self.source);
        *self.reached.get_or_init(find)
    }

    /// The table that is on and synced last, and when.
    pub fn newest_success(&self) -> Option<(Timestamp, &'a Schema)> {
        let find = || {
            let tables = self.source.schemas.iter();
            tables
                .filter(|table| table.status() == SchemaStatus::Completed && table.is_on())
                .filter_map(|table| Some((*table.last_synced_at.get()?, table)))
                .max_by_key(|(at, _)| *at)
        };
        *self.newest_success.get_or_init(find)
    }

    /// When its tables were seen to be switched off.
    pub(super) fn went_off(&self) -> &Records<'a> {
        let find = || Records::new(self.snapshot, &self.source.id);
        self.went_off.get_or_init(find)
    }
}
