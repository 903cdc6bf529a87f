//! What changed from one list to the next. Some of it shows only in passing: who switched a table off, that a table has left
//! the list, that a schedule was changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::status::{AboutRows, Missing, RowsFell, SchemaState, SourceOn, State, WentOff},
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

/// Whether a table is among the listed ids; of one that left while nobody watched only the end of its id is known.
fn is_listed<'a>(gone: &Missing, mut ids: impl Iterator<Item = &'a str>) -> bool {
    if gone.schema.is_empty() {
        ids.any(|id| SourceOn::short(id) == gone.schema_id)
    } else {
        ids.any(|id| id == gone.schema_id)
    }
}

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
    /// What rows said last of which the newest list says less, or which it lacks.
    held: HashMap<String, Held>,
}

/// A row as it was last clear.
#[derive(Debug, Clone)]
struct Held {
    source_id: String,
    row: Schema,
}

/// A row that says less than before, and its last values; none if it says as much.
fn completed(new: &Schema, old: &Schema) -> Option<Schema> {
    let switch = new.should_sync.get().is_none() && old.should_sync.get().is_some();
    let interval = !new.shows_interval() && old.shows_interval();
    let rows = new.table.is_some() && new.rows().is_none() && old.rows().is_some();
    (switch || interval || rows).then(|| {
        let of = |lost: bool| if lost { old } else { new };
        Schema {
            should_sync: of(switch).should_sync.clone(),
            sync_frequency: of(interval).sync_frequency.clone(),
            table: of(rows).table.clone(),
            ..new.clone()
        }
    })
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
        self.count_missing(&rows, now);
        for source in before.iter().flat_map(|(before, _)| *before) {
            let gone = |old: &&Schema| !rows.contains_key(old.id.as_str());
            for old in source.schemas.iter().filter(gone) {
                self.miss(source, old, now);
            }
        }
        self.rescheduled
            .retain(|_, at| now.duration_since(*at).abs() < SCHEDULE_LASTS);
        self.switched_off
            .retain(|id, _| rows.get(id.as_str()).is_some_and(|row| !row.is_on()));
        self.keep_those_off(&rows);
        self.keep_fallen(&rows, now);
        self.note_waiting(&rows, now);
        if let Some((before, then)) = before {
            self.compare_lists(before, &rows, then, now);
        }
    }

    /// Compares each row with its last values: a field that cannot be read in one list, or a table that is missing from it, must not
    /// hide a change.
    fn compare_lists(
        &mut self,
        before: &[Source],
        rows: &HashMap<&str, &Schema>,
        then: Timestamp,
        now: Timestamp,
    ) {
        let held = std::mem::take(&mut self.held);
        let known = |old: &'_ Schema| held.get(old.id.as_str()).map(|held| &held.row);
        let listed: Vec<(&str, &Schema)> = before
            .iter()
            .flat_map(|source| source.schemas.iter().map(|old| (source.id.as_str(), old)))
            .map(|(source_id, old)| (source_id, known(old).unwrap_or(old)))
            .collect();
        let ids: HashSet<&str> = if held.is_empty() {
            HashSet::new()
        } else {
            listed.iter().map(|(_, old)| old.id.as_str()).collect()
        };
        let away = held
            .values()
            .filter(|held| !ids.contains(held.row.id.as_str()));
        let away = away.map(|held| (held.source_id.as_str(), &held.row));
        let mut off: BTreeMap<&str, (Vec<String>, bool)> = BTreeMap::new();
        for (source_id, old) in listed.into_iter().chain(away) {
            let Some(new) = rows.get(old.id.as_str()) else {
                if self.missing.contains_key(old.id.as_str()) {
                    self.hold(source_id, old.clone());
                }
                continue;
            };
            let completed = completed(new, old);
            let new = completed.as_ref().unwrap_or(new);
            self.compare(old, new, then, now);
            let (ids, is_any_on) = off.entry(source_id).or_default();
            *is_any_on |= new.is_on();
            if old.is_on() && new.is_off() {
                ids.push(old.id.to_string());
            }
            if let Some(row) = completed {
                self.hold(source_id, row);
            }
        }
        for (source_id, (ids, is_any_on)) in off {
            self.add_off(source_id, ids, Some(then), !is_any_on, now);
        }
    }

    fn hold(&mut self, source_id: &str, row: Schema) {
        let source_id = source_id.to_owned();
        self.held
            .insert(row.id.to_string(), Held { source_id, row });
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
            let lasts = |fell: &&RowsFell| now.duration_since(fell.at) < FALL_LASTS;
            if let Some(fell) = rows_fell.as_ref().filter(lasts) {
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
        let rows = || sources.iter().flat_map(|source| &source.schemas);
        for gone in new {
            if !is_listed(gone, rows().map(|schema| schema.id.as_str())) {
                self.missing.insert(gone.schema_id.clone(), gone.clone());
            }
        }
    }

    /// Takes over from a status which tables were on, and with how many rows: what a new process knows about the time in which nobody
    /// watched. Once for each policy; from then on the lists are compared.
    pub fn recall_on(&mut self, state: &State, sources: &[Source], now: Timestamp) {
        let missing: HashSet<String> = self.missing.keys().cloned().collect();
        let is_missing = |id: &str| missing.iter().any(|gone| SourceOn::short(gone) == id);
        for on in &state.on {
            let source = sources.iter().find(|source| source.id == on.source_id);
            let mut left: BTreeMap<&str, Option<i64>> = on.each().collect();
            for row in source.into_iter().flat_map(|source| &source.schemas) {
                if let Some(Some(about)) = left.remove(SourceOn::short(&row.id)) {
                    self.note_rows(row, AboutRows::at_least(about), now);
                }
            }
            for id in left.into_keys().filter(|id| !is_missing(id)) {
                let title = source.map_or_else(|| on.source.clone(), Source::title);
                self.add_missing(id, String::new(), (&on.source_id, &title), now);
            }
        }
    }

    fn compare(&mut self, old: &Schema, new: &Schema, then: Timestamp, now: Timestamp) {
        let switched =
            |from, to| old.should_sync == Lax::Is(from) && new.should_sync == Lax::Is(to);
        self.compare_rows(old, new, now);
        if switched(false, true) || old.sync_frequency != new.sync_frequency {
            self.rescheduled.insert(new.id.to_string(), now);
        }
        let watched = now.duration_since(then) <= WATCHED;
        if watched && switched(true, false) && new.status() == SchemaStatus::Failed {
            let when = BetweenPolls {
                after: then,
                by: now,
            };
            self.switched_off.insert(new.id.to_string(), when);
        }
    }

    fn compare_rows(&mut self, old: &Schema, new: &Schema, now: Timestamp) {
        if let Some(before) = old.rows() {
            self.note_rows(new, before, now);
        }
    }

    /// A table that syncs by change data capture or webhook may shrink because its source deletes rows.
    fn note_rows(&mut self, new: &Schema, before: i64, now: Timestamp) {
        let Some(after) = new.rows() else {
            return;
        };
        let shrinks = ["cdc", "webhook"].iter().any(|by| new.syncs_by(by));
        if !shrinks && is_less_than_half(after, before) {
            let fell = RowsFell { before, at: now };
            self.rows_fell.entry(new.id.to_string()).or_insert(fell);
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
            lacked: String::new(),
            schema_ids: ids,
        });
    }

    /// Forgets those that are on again, or no longer listed. One that does not show it for now, or is missing, stays.
    fn keep_those_off(&mut self, rows: &HashMap<&str, &Schema>) {
        let missing = &self.missing;
        let may_be_off = |id: &String| {
            let row = rows.get(id.as_str());
            row.map_or_else(|| missing.contains_key(id), |row| !row.is_on())
        };
        for record in &mut self.went_off {
            record.schema_ids.retain(may_be_off);
        }
        self.went_off.retain(|record| !record.schema_ids.is_empty());
    }

    /// What a status remembers to have been switched off, and what it remembers to have been on and is off now.
    fn recall_off(&mut self, state: &State, sources: &[Source], now: Timestamp) {
        for old in &state.went_off {
            let is_same = |own: &&mut WentOff| own.source_id == old.source_id && own.by == old.by;
            if let Some(own) = self.went_off.iter_mut().find(is_same) {
                own.gone |= old.gone;
                let both = own.lacked.split_ascii_whitespace();
                let both: BTreeSet<&str> =
                    both.chain(old.lacked.split_ascii_whitespace()).collect();
                own.lacked = both.into_iter().collect::<Vec<_>>().join(" ");
                continue;
            }
            let known = self.ids_off();
            let is_new = |id: &&String| !known.contains(id.as_str());
            let ids = old.schema_ids.iter().filter(is_new).cloned().collect();
            let old = WentOff {
                schema_ids: ids,
                ..old.clone()
            };
            self.went_off.push(old);
        }
        let known = self.ids_off();
        let mut found = Vec::new();
        for on in &state.on {
            let Some(source) = sources.iter().find(|source| source.id == on.source_id) else {
                continue;
            };
            let off = source
                .schemas
                .iter()
                .filter(|row| row.is_off() && !known.contains(row.id.as_str()));
            let mut off = off.peekable();
            // At nearly every poll: no need to read what was on.
            if off.peek().is_none() {
                continue;
            }
            let is_on = |row: &Schema| row.is_on();
            let all = !source.schemas.iter().any(is_on);
            let was_on: HashSet<&str> = on.tables.split(' ').collect();
            let off = off.filter(|row| was_on.contains(SourceOn::short(&row.id)));
            let off: Vec<String> = off.map(|row| row.id.to_string()).collect();
            found.push((source, off, all));
        }
        for (source, off, all) in found {
            self.add_off(&source.id, off, None, all, now);
        }
        if !state.went_off.is_empty() {
            let rows = sources.iter().flat_map(|source| &source.schemas);
            let rows = rows.map(|row| (row.id.as_str(), row)).collect();
            self.keep_those_off(&rows);
        }
    }

    /// Ids of the tables that were seen to be switched off.
    fn ids_off(&self) -> HashSet<&str> {
        let ids = self.went_off.iter().flat_map(|record| &record.schema_ids);
        ids.map(String::as_str).collect()
    }

    fn note_waiting(&mut self, rows: &HashMap<&str, &Schema>, now: Timestamp) {
        let waits = |row: &Schema| row.is_on() && row.synced_at(now).is_none();
        self.waiting
            .retain(|id, _| rows.get(id.as_str()).is_some_and(|row| waits(row)));
        for row in rows.values().filter(|row| waits(row)) {
            let since = self.waiting.entry(row.id.to_string()).or_insert(now);
            // A clock that was set back by years must not leave a table that waits from then on.
            *since = now.min(*since);
        }
    }

    fn count_missing(&mut self, rows: &HashMap<&str, &Schema>, now: Timestamp) {
        let is_any_unnamed = self.missing.values().any(|gone| gone.schema.is_empty());
        let ends = rows.keys().filter(|_| is_any_unnamed);
        let ends: HashSet<&str> = ends.map(|id| SourceOn::short(id)).collect();
        self.missing.retain(|id, gone| {
            gone.polls = (gone.polls + 1).min(MISSING_POLLS);
            let is_listed = if gone.schema.is_empty() {
                ends.contains(id.as_str())
            } else {
                rows.contains_key(id.as_str())
            };
            !is_listed && now.duration_since(gone.since) < MISSING_LASTS
        });
    }

    fn miss(&mut self, source: &Source, schema: &Schema, now: Timestamp) {
        let name = redact::one_line(&schema.name, 160);
        self.add_missing(&schema.id, name, (&source.id, &source.title()), now);
    }

    fn add_missing(
        &mut self,
        id: &str,
        schema: String,
        (source_id, title): (&str, &str),
        now: Timestamp,
    ) {
        if self.missing.len() >= MAX_MISSING {
            return;
        }
        let gone = Missing {
            schema_id: id.to_owned(),
            schema,
            source_id: source_id.to_owned(),
            source: redact::one_line(title, 80),
            since: now,
            polls: 1,
        };
        self.missing.entry(id.to_owned()).or_insert(gone);
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
