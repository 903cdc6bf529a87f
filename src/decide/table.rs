//! What syncing a table costs, and what forbids to reload it.

use jiff::{SignedDuration, Timestamp};

use super::words::incident as words;
use crate::posthog::wire::{Schema, SchemaStatus};

/// How long a table that is synced in full is not reloaded again for being stale: each time costs all its rows.
pub const IN_FULL_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// True for a table that `PostHog` imports from its beginning when it is switched on again.
#[must_use]
pub fn is_wiped_when_switched_on(schema: &Schema) -> bool {
    ["webhook", "cdc"].iter().any(|by| schema.syncs_by(by))
}

/// True for a table that each run reads in full.
#[must_use]
pub fn costs_all_rows(schema: &Schema) -> bool {
    schema.syncs_by("full_refresh")
}

/// Why a table must not be reloaded for any reason, by its row in the list.
#[must_use]
pub fn forbids_reload(row: &Schema) -> Option<&'static str> {
    if row.is_off() {
        return Some(words::OFF_NOT_RELOADED);
    }
    (row.status() == SchemaStatus::Billing).then_some(words::BILLING_NOT_RELOADED)
}

/// The times of full reloads that are still worth remembering.
#[must_use]
pub fn still_counts(reloaded_in_full: Timestamp, now: Timestamp) -> bool {
    now.duration_since(reloaded_in_full) < IN_FULL_EVERY
}
