//! Which tables have a metric that says when they last succeeded (`spec.health.freshness.export`), and since when.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    freshness::{is_scheduled, last_completed},
    known::Known,
    problem::NAME_CAP,
};
use crate::{
    observe::Seen,
    posthog::{
        redact,
        wire::{Schema, Source},
    },
};

/// Most tables of a policy: each is a series, in the operator's memory and in Prometheus.
pub const MAX_EXPORTED: usize = 1000;

/// When the last run of each table completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// By the names of source and table. Of two tables with the same names, the one that waits longer.
    Tables(BTreeMap<(String, String), Timestamp>),
    /// So many tables are selected that none is exported.
    TooMany(usize),
}

impl Default for Exported {
    fn default() -> Self {
        Self::Tables(BTreeMap::new())
    }
}

impl Exported {
    /// Why nothing is exported, and what to do; none if there is nothing to say.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        let Self::TooMany(count) = self else {
            return None;
        };
        Some(format!(
            "health.freshness.export selects {count} tables, and at most {MAX_EXPORTED} of a policy are exported, so none is: set \
             it in spec.overrides only for the tables that matter, or use several policies"
        ))
    }
}

/// What is exported of a project: tables that sync on a schedule. A table whose last success is unknown has no time.
pub(super) fn exported(known: &Known<'_>) -> Exported {
    let policy = known.policy;
    if !policy.exports() {
        return Exported::default();
    }
    let mut count = 0;
    let mut tables = BTreeMap::new();
    for (source, schema) in known.snapshot.selected() {
        if !is_scheduled(source, schema) || !known.health(source, schema).export {
            continue;
        }
        count += 1;
        if count > MAX_EXPORTED {
            tables.clear();
        } else if let Some(at) = last_success(known, schema) {
            tables
                .entry(names(source, schema))
                .and_modify(|other: &mut Timestamp| *other = at.min(*other))
                .or_insert(at);
        }
    }
    if count > MAX_EXPORTED {
        Exported::TooMany(count)
    } else {
        Exported::Tables(tables)
    }
}

/// As the findings name them.
fn names(source: &Source, schema: &Schema) -> (String, String) {
    (
        redact::one_line(&source.title(), 80),
        redact::one_line(&schema.name, NAME_CAP),
    )
}

/// As the list says, or the runs, where they were read.
fn last_success(known: &Known<'_>, schema: &Schema) -> Option<Timestamp> {
    let probe = known.snapshot.seen(&schema.id).and_then(Seen::readable);
    probe.map_or_else(
        || schema.synced_at(known.now),
        |probe| last_completed(schema, probe),
    )
}
