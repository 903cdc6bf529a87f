//! What changed from one list to the next. Some of it shows only in passing: who switched a table off, that a table has left
//! the list, that a schedule was changed.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::status::{Missing, RowsFell, SchemaState, SourceOn, State, WentOff},
    posthog::{
        lax::Lax,
        redact,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// In how many polls a table must be missing before it counts as gone from sight.
pub const MISSING_POLLS: i64 = 3;

/// How long a missing table is spoken of.
const MISSING_LASTS: SignedDuration = SignedDuration::from_hours(24);

/// How long a changed schedule is remembered: longer than the longest interval.
const SCHEDULE_LASTS: SignedDuration = SignedDuration::from_hours(31 * 24);

/// Most missing tables that are remembered.
const MAX_MISSING: usize = 1_000;

/// How long a loss of rows is reported.
const FALL_LASTS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// True for a fall of rows to less than a half.
#[must_use]
pub const fn is_less_than_half(after: i64, before: i64) -> bool {
    after.saturating_mul(2) < before
}

/// What was seen to change, by id of the table.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// When a table was last switched on or given another interval: its next run may be a whole interval away.
    pub rescheduled: HashMap<String, Timestamp>,
    /// Tables that are on and of which no sync is known, and since when they have been seen so.
    pub waiting: HashMap<String, Timestamp>,
    /// Tables that were switched off between two polls while `PostHog` called them Failed.
    pub switched_off: HashMap<String, BetweenPolls>,
    /// Tables whose rows fell to less than a half from one list to the next, until they are back.
    pub rows_fell: HashMap<String, RowsFell>,
    /// Tables that were switched off, by source and poll, as long as they are off.
    pub went_off: Vec<WentOff>,
    /// Tables that have left the list.
    pub missing: BTreeMap<String, Missing>,
}

/// Between two polls further apart than this, a person may have switched a table off as well as `PostHog`.
const WATCHED: SignedDuration = SignedDuration::from_mins(15);

/// Between which polls a table was switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BetweenPolls {
    /// The poll that saw it on.
    pub after: Timestamp,
    /// The poll that saw it off.
    pub by: Timestamp,
}

impl Changes {
    /// Records a list read at `now`; `before` is the last one that could be read, and when.
    pub fn note(
        &mut self,
        before: Option<(&[Source], Timestamp)>,
        after: &[Source],
        now: Timestamp,
    ) {
        let rows: HashMap<&str, &Schema> = after
            .iter()
            .flat_map(|source| &source.schemas)
            .map(|schema| (schema.id.as_str(), schema))
            .collect();
        self.rescheduled
            .retain(|_, at| now.duration_since(*at) < SCHEDULE_LASTS);
        self.switched_off.retain(|id, _| {
            rows.get(id.as_str())
                .is_some_and(|row| row.should_sync == Lax::Is(false))
        });
        self.keep_those_off(&rows);
        self.keep_fallen(&rows, now);
        self.note_waiting(&rows, now);
        self.count_missing(&rows, now);
        let Some((before, then)) = before else { return };
        for source in before {
            self.note_off(source, &rows, then, now);
            for old in &source.schemas {
                match rows.get(old.id.as_str()) {
                    Some(new) => self.compare(old, new, then, now),
                    None => self.miss(source, old, now),
                }
            }
        }
    }

    /// Takes over from a status what a process before this one saw, as far as `sources` does not say otherwise.
    pub fn recall(&mut self, state: &State, sources: &[Source], now: Timestamp) {
        for SchemaState {
            id,
            rescheduled,
            waiting,
            rows_fell,
            ..
        } in &state.schemas
        {
            if let Some(at) = rescheduled {
                self.rescheduled.entry(id.clone()).or_insert(*at);
            }
            if let Some(fell) = rows_fell {
                self.rows_fell
                    .entry(id.clone())
                    .or_insert_with(|| fell.clone());
            }
            // Only of a table that still waits.
            if let (Some(since), Some(at)) = (self.waiting.get_mut(id), waiting) {
                *since = (*since).min(*at);
            }
        }
        self.recall_off(state, sources, now);
        let new: Vec<&Missing> = state
            .missing
            .iter()
            .filter(|gone| !self.missing.contains_key(&gone.schema_id))
            .filter(|gone| now.duration_since(gone.since) < MISSING_LASTS)
            .collect();
        if new.is_empty() {
            return;
        }
        let listed: HashSet<&str> = sources
            .iter()
            .flat_map(|source| &source.schemas)
            .map(|schema| schema.id.as_str())
            .collect();
        for gone in new {
            if !listed.contains(gone.schema_id.as_str()) {
                self.missing.insert(gone.schema_id.clone(), gone.clone());
            }
        }
    }

    fn compare(&mut self, old: &Schema, new: &Schema, then: Timestamp, now: Timestamp) {
        let switched =
            |from, to| old.should_sync == Lax::Is(from) && new.should_sync == Lax::Is(to);
        self.compare_rows(old, new, now);
        if switched(false, true) || old.sync_frequency != new.sync_frequency {
            self.rescheduled.insert(new.id.clone(), now);
        }
        let watched = now.duration_since(then) <= WATCHED;
        if watched && switched(true, false) && new.status() == SchemaStatus::Failed {
            let when = BetweenPolls {
                after: then,
                by: now,
            };
            self.switched_off.insert(new.id.clone(), when);
        }
    }

    /// A table that syncs by change data capture or webhook may shrink because its source deletes rows.
    fn compare_rows(&mut self, old: &Schema, new: &Schema, now: Timestamp) {
        let (Some(before), Some(after)) = (old.rows(), new.rows()) else {
            return;
        };
        let shrinks = ["cdc", "webhook"].iter().any(|by| new.syncs_by(by));
        if !shrinks && is_less_than_half(after, before) {
            let fell = RowsFell { before, at: now };
            self.rows_fell.entry(new.id.clone()).or_insert(fell);
        }
    }

    /// Forgets falls of rows that are back, or of long ago.
    fn keep_fallen(&mut self, rows: &HashMap<&str, &Schema>, now: Timestamp) {
        self.rows_fell.retain(|id, fell| {
            let rows = rows.get(id.as_str()).and_then(|row| row.rows());
            now.duration_since(fell.at) < FALL_LASTS
                && rows.is_none_or(|rows| is_less_than_half(rows, fell.before))
        });
    }

    /// Records the tables of a source that were on in the list before and are off now.
    fn note_off(
        &mut self,
        before: &Source,
        rows: &HashMap<&str, &Schema>,
        then: Timestamp,
        now: Timestamp,
    ) {
        let is_on = |row: &Schema| row.should_sync == Lax::Is(true);
        let now_of = |old: &Schema| rows.get(old.id.as_str()).copied();
        let were_on = before.schemas.iter().filter(|old| is_on(old));
        let off: Vec<String> = were_on
            .filter(|old| now_of(old).is_some_and(|row| row.should_sync == Lax::Is(false)))
            .map(|old| old.id.clone())
            .collect();
        let all = !before.schemas.iter().filter_map(now_of).any(is_on);
        self.add_off(&before.id, off, Some(then), all, now);
    }

    fn add_off(
        &mut self,
        source_id: &str,
        ids: Vec<String>,
        after: Option<Timestamp>,
        all: bool,
        by: Timestamp,
    ) {
        if ids.is_empty() {
            return;
        }
        self.went_off.push(WentOff {
            source_id: source_id.to_owned(),
            after,
            by,
            count: i64::try_from(ids.len()).unwrap_or(i64::MAX),
            all,
            gone: false,
            schema_ids: ids,
        });
    }

    /// Forgets those that are on again, or no longer listed.
    fn keep_those_off(&mut self, rows: &HashMap<&str, &Schema>) {
        let is_off = |id: &String| {
            let row = rows.get(id.as_str());
            row.is_some_and(|row| row.should_sync == Lax::Is(false))
        };
        for record in &mut self.went_off {
            record.schema_ids.retain(is_off);
        }
        self.went_off.retain(|record| !record.schema_ids.is_empty());
    }

    /// What a status remembers to have been switched off, and what it remembers to have been on and is off now.
    fn recall_off(&mut self, state: &State, sources: &[Source], now: Timestamp) {
        for old in &state.went_off {
            let is_same = |own: &&mut WentOff| own.source_id == old.source_id && own.by == old.by;
            if let Some(own) = self.went_off.iter_mut().find(is_same) {
                own.gone |= old.gone;
                continue;
            }
            let is_known = |id: &&String| !self.knows_off(id);
            let ids = old.schema_ids.iter().filter(is_known).cloned().collect();
            let old = WentOff {
                schema_ids: ids,
                ..old.clone()
            };
            self.went_off.push(old);
        }
        for on in &state.on {
            let Some(source) = sources.iter().find(|source| source.id == on.source_id) else {
                continue;
            };
            let off = source
                .schemas
                .iter()
                .filter(|row| row.should_sync == Lax::Is(false) && !self.knows_off(&row.id));
            let mut off = off.peekable();
            // At nearly every poll: no need to read what was on.
            if off.peek().is_none() {
                continue;
            }
            let is_on = |row: &Schema| row.should_sync == Lax::Is(true);
            let all = !source.schemas.iter().any(is_on);
            let was_on: HashSet<&str> = on.tables.split(' ').collect();
            let off = off.filter(|row| was_on.contains(SourceOn::short(&row.id)));
            let off = off.map(|row| row.id.clone()).collect();
            self.add_off(&source.id, off, None, all, now);
        }
        if !state.went_off.is_empty() {
            let rows = sources.iter().flat_map(|source| &source.schemas);
            let rows = rows.map(|row| (row.id.as_str(), row)).collect();
            self.keep_those_off(&rows);
        }
    }

    fn knows_off(&self, id: &str) -> bool {
        let mut records = self.went_off.iter();
        records.any(|record| record.schema_ids.iter().any(|own| own == id))
    }

    fn note_waiting(&mut self, rows: &HashMap<&str, &Schema>, now: Timestamp) {
        let waits = |row: &Schema| row.should_sync == Lax::Is(true) && row.synced_at(now).is_none();
        self.waiting
            .retain(|id, _| rows.get(id.as_str()).is_some_and(|row| waits(row)));
        for row in rows.values().filter(|row| waits(row)) {
            self.waiting.entry(row.id.clone()).or_insert(now);
        }
    }

    fn count_missing(&mut self, rows: &HashMap<&str, &Schema>, now: Timestamp) {
        self.missing.retain(|id, gone| {
            gone.polls = (gone.polls + 1).min(MISSING_POLLS);
            !rows.contains_key(id.as_str()) && now.duration_since(gone.since) < MISSING_LASTS
        });
    }

    fn miss(&mut self, source: &Source, schema: &Schema, now: Timestamp) {
        if self.missing.len() >= MAX_MISSING {
            return;
        }
        let gone = Missing {
            schema_id: schema.id.clone(),
            schema: redact::one_line(&schema.name, 160),
            source_id: source.id.clone(),
            source: redact::one_line(&source.title(), 80),
            since: now,
            polls: 1,
        };
        self.missing.entry(schema.id.clone()).or_insert(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(schemas: &str) -> Vec<Source> {
        serde_json::from_str(&format!(
            r#"[{{"id":"s1","source_type":"Postgres","schemas":[{schemas}]}}]"#
        ))
        .unwrap()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn a_table_that_left_counts_its_polls_and_is_forgotten_when_it_returns_or_after_a_day() {
        let (with, without) = (list(r#"{"id":"a","name":"t"}"#), list(""));
        let mut changes = Changes::default();
        changes.note(None, &with, at(0));
        changes.note(Some((&with, at(0))), &without, at(1));
        assert_eq!(changes.missing["a"].polls, 1);
        for minute in 2..9 {
            changes.note(Some((&without, at(minute - 1))), &without, at(minute));
        }
        assert_eq!(changes.missing["a"].polls, MISSING_POLLS);
        let remembered = State {
            missing: changes.missing.values().cloned().collect(),
            ..State::default()
        };
        changes.note(Some((&without, at(8))), &with, at(9));
        assert!(changes.missing.is_empty(), "it is back");
        changes.recall(&remembered, &with, at(10));
        assert!(
            changes.missing.is_empty(),
            "an old status does not make it go again"
        );
        changes.recall(&remembered, &without, at(10));
        changes.note(Some((&without, at(10))), &without, at(60 * 24 + 2));
        assert!(changes.missing.is_empty(), "a day has passed");
    }

    #[test]
    fn only_a_switch_that_was_seen_together_with_a_failure_counts() {
        let row = |on, status| {
            list(&format!(
                r#"{{"id":"a","name":"t","should_sync":{on},"status":"{status}"}}"#
            ))
        };
        let seen = |before: &[Source], after: &[Source]| {
            let mut changes = Changes::default();
            changes.note(Some((before, at(0))), after, at(1));
            changes.switched_off.contains_key("a")
        };
        assert!(seen(&row(true, "Running"), &row(false, "Failed")));
        assert!(!seen(&row(true, "Completed"), &row(false, "Completed")));
        assert!(!seen(&row(false, "Failed"), &row(false, "Failed")));
        let mut rarely = Changes::default();
        rarely.note(
            Some((&row(true, "Running"), at(0))),
            &row(false, "Failed"),
            at(30),
        );
        assert!(
            rarely.switched_off.is_empty(),
            "half an hour is time for a person"
        );
        let mut unseen = Changes::default();
        unseen.note(None, &row(false, "Failed"), at(1));
        assert!(unseen.switched_off.is_empty());
    }

    #[test]
    fn another_interval_and_a_switch_on_make_a_schedule_new() {
        let row = |on, every| {
            list(&format!(
                r#"{{"id":"a","name":"t","should_sync":{on},"sync_frequency":"{every}"}}"#
            ))
        };
        let mut changes = Changes::default();
        changes.note(
            Some((&row(true, "30day"), at(0))),
            &row(true, "5min"),
            at(1),
        );
        assert_eq!(changes.rescheduled["a"], at(1));
        changes.note(
            Some((&row(false, "5min"), at(1))),
            &row(true, "5min"),
            at(2),
        );
        assert_eq!(changes.rescheduled["a"], at(2));
        let mut next = Changes::default();
        let state = State {
            schemas: vec![SchemaState {
                rescheduled: Some(at(2)),
                ..SchemaState::of("a".to_owned())
            }],
            ..State::default()
        };
        next.recall(&state, &row(true, "5min"), at(3));
        assert_eq!(next.rescheduled["a"], at(2), "a restart forgets nothing");
    }
}
