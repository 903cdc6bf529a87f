//! Drawings of the runs of sources: a lane for each table, a bar for each run, and gaps where a run was due.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::{project::Read, report::minute, runs::SourceRuns};
use crate::{
    api::status::Finding,
    diagnose::words::{in_words, plural},
    observe::{Newest, RunProbe},
    posthog::{
        redact,
        wire::{Job, JobStatus, Schema, Source},
    },
};

/// Of a time without a run.
const GAP: &str = "no run, although one was due";

/// Most tables in the drawing of a source.
const LANES: usize = 60;
/// Most runs of a source that are listed as text.
const RUNS: usize = 300;
/// Longest name of a table beside its lane, in characters.
const LABEL: usize = 30;
/// Longest text, in characters.
const TEXT: usize = 300;
/// Where the lanes begin, after the names.
const LEFT: f64 = 200.0;
/// Height of the labels above the lanes.
const TOP: usize = 20;
/// Height of a lane.
const LANE: usize = 18;
/// A shorter bar would not be visible.
const NARROWEST: f64 = 2.0;
/// A shorter delay is no gap.
const SHORTEST_GAP: SignedDuration = SignedDuration::from_mins(10);

/// The drawing of one source. Every text is on one line, without control characters.
pub(super) struct Drawing {
    pub source: String,
    /// What is missing.
    pub notes: Vec<String>,
    pub height: usize,
    pub ticks: Vec<Tick>,
    pub lanes: Vec<Lane>,
    /// The same as text, newest first.
    pub runs: Vec<Run>,
    /// How many runs are not in `runs`.
    pub hidden_runs: usize,
}

/// A mark on the axis of time.
pub(super) struct Tick {
    pub x: String,
    pub label: String,
}

/// A table.
pub(super) struct Lane {
    pub name: String,
    /// The name, shortened to fit.
    pub label: String,
    pub y: usize,
    pub text_y: usize,
    pub bars: Vec<Bar>,
}

/// A run or a gap.
#[derive(Clone)]
pub(super) struct Bar {
    pub class: &'static str,
    pub x: String,
    pub width: String,
    pub title: String,
}

/// A run or a gap, as text.
pub(super) struct Run {
    at: Timestamp,
    pub table: String,
    pub began: String,
    pub took: String,
    pub rows: String,
    pub ended: &'static str,
    pub error: String,
}

impl Drawing {
    /// Width of the drawing; its unit is that of the heights.
    pub const WIDTH: usize = 1_200;
    /// Height of a bar.
    pub const BAR: usize = 12;
    /// What the bars mean.
    pub const LEGEND: [(&'static str, &'static str); 8] = [
        ("completed", "completed"),
        ("failed", "failed"),
        ("running", "still running"),
        ("stopped", "stopped by a person or the operator"),
        ("billing", "stopped by billing"),
        ("unknown", "unknown status"),
        ("gap", GAP),
        ("unread", "runs not read"),
    ];
}

/// A drawing for each source of which runs were read.
pub(super) fn drawings(read: &Read, findings: &[Finding], days: i64) -> Vec<Drawing> {
    let period = SignedDuration::from_hours(24 * days);
    let from = read.at.checked_sub(period).unwrap_or(read.at);
    let axis = Axis { from, to: read.at };
    let bad: HashSet<&str> = findings.iter().map(|one| one.schema_id.as_str()).collect();
    let sources: HashMap<&str, &Source> = read
        .snapshot
        .selected_sources()
        .map(|source| (source.id.as_str(), source))
        .collect();
    let mut runs: Vec<&SourceRuns> = read.runs.iter().collect();
    // Sources with findings first.
    runs.sort_by_key(|runs| !findings.iter().any(|one| one.source_id == runs.source_id));
    let drawn = runs.into_iter().filter_map(|runs| {
        let source = sources.get(runs.source_id.as_str())?;
        Some(draw(read, source, runs, &bad, &axis))
    });
    drawn.collect()
}

fn draw(
    read: &Read,
    source: &Source,
    runs: &SourceRuns,
    bad: &HashSet<&str>,
    axis: &Axis,
) -> Drawing {
    let mut tables: Vec<Table<'_>> = source
        .schemas
        .iter()
        .filter(|schema| read.policy.selector.selects_schema(&schema.name))
        .map(|schema| Table::new(schema, runs, read))
        .filter(|table| !table.spans.is_empty())
        .collect();
    tables.sort_by_key(|table| {
        let Schema { id, name, .. } = table.schema;
        (!bad.contains(id.as_str()), name)
    });
    let mut notes = Vec::new();
    if let Some(missing) = &runs.missing {
        notes.push(clean(&format!(
            "Runs before {} are not known: {}.",
            minute(runs.since),
            missing.trim_end_matches('.')
        )));
    } else if tables.is_empty() {
        notes.push("No runs in this period.".to_owned());
    }
    if let Some(hidden) = tables.len().checked_sub(LANES).filter(|more| *more > 0) {
        notes.push(format!(
            "{} more have no lane here.",
            plural(hidden, "table")
        ));
    }
    let mut list: Vec<Run> = tables.iter().flat_map(|table| table.list(axis)).collect();
    list.sort_by_key(|run| std::cmp::Reverse(run.at));
    let hidden_runs = list.len().saturating_sub(RUNS);
    list.truncate(RUNS);
    tables.truncate(LANES);
    let unread = axis.bar("unread", axis.from, runs.since, "Runs not read".to_owned());
    let is_cut = runs.missing.is_some();
    let lanes = tables.iter().enumerate().map(|(place, table)| {
        let mut lane = table.lane(place, axis);
        if is_cut {
            lane.bars.push(unread.clone());
        }
        lane
    });
    Drawing {
        source: clean(&source.title()),
        notes,
        height: TOP + LANE * tables.len() + 4,
        ticks: axis.ticks(),
        lanes: lanes.collect(),
        runs: list,
        hidden_runs,
    }
}

/// A text on one line, without control characters.
fn clean(text: &str) -> String {
    redact::one_line(text, TEXT)
}

/// The period of a drawing.
struct Axis {
    from: Timestamp,
    to: Timestamp,
}

impl Axis {
    fn x(&self, at: Timestamp) -> f64 {
        let of = |length: SignedDuration| length.as_secs_f64();
        let all = of(self.to.duration_since(self.from)).max(1.0);
        let share = (of(at.duration_since(self.from)) / all).clamp(0.0, 1.0);
        let width = f64::from(u16::try_from(Drawing::WIDTH).unwrap_or(u16::MAX));
        LEFT + share * (width - LEFT)
    }

    fn bar(&self, class: &'static str, from: Timestamp, to: Timestamp, title: String) -> Bar {
        let x = self.x(from);
        Bar {
            class,
            x: format!("{x:.1}"),
            width: format!("{:.1}", (self.x(to) - x).max(NARROWEST)),
            title,
        }
    }

    /// The beginning of each day.
    fn ticks(&self) -> Vec<Tick> {
        const DAY: i64 = 24 * 60 * 60;
        let first = self.from.as_second().div_euclid(DAY) + 1;
        let last = self.to.as_second().div_euclid(DAY);
        let days = (first..=last).filter_map(|day| Timestamp::from_second(day * DAY).ok());
        days.map(|at| Tick {
            x: format!("{:.1}", self.x(at)),
            label: at.strftime("%m-%d").to_string(),
        })
        .collect()
    }
}

/// A table with its runs and gaps.
struct Table<'a> {
    schema: &'a Schema,
    /// Runs, then gaps.
    spans: Vec<Span<'a>>,
}

/// A run or a gap.
enum Span<'a> {
    Run {
        job: &'a Job,
        from: Timestamp,
        to: Timestamp,
    },
    Gap {
        from: Timestamp,
        to: Timestamp,
    },
}

impl<'a> Table<'a> {
    fn new(schema: &'a Schema, runs: &'a SourceRuns, read: &'a Read) -> Self {
        let is_own = |job: &&Job| job.schema.as_ref().is_some_and(|of| of.id == schema.id);
        let mut jobs: Vec<&Job> = runs.jobs.iter().filter(is_own).collect();
        // A running job may be older than the period.
        let run_probe = read
            .snapshot
            .seen(&schema.id)
            .and_then(|seen| seen.run_probe.as_ref());
        if let Some(Newest::Job(job, _)) = run_probe.map(RunProbe::newest)
            && !job.has_ended()
            && jobs.iter().all(|known| known.id != job.id)
        {
            jobs.push(job);
        }
        let mut spans: Vec<(&Job, Timestamp, Timestamp)> = jobs
            .into_iter()
            .filter_map(|job| {
                let from = *job.created_at.get()?;
                let ended = job.finished_at.get().copied();
                let to = ended.unwrap_or(if job.has_ended() { from } else { read.at });
                Some((job, from, to.max(from)))
            })
            .collect();
        spans.sort_by_key(|(_, from, _)| *from);
        let times: Vec<_> = spans.iter().map(|(_, from, to)| (*from, *to)).collect();
        let gaps = gaps(schema, &times, runs.since, read.at);
        let runs = spans
            .into_iter()
            .map(|(job, from, to)| Span::Run { job, from, to });
        let gaps = gaps.into_iter().map(|(from, to)| Span::Gap { from, to });
        Self {
            schema,
            spans: runs.chain(gaps).collect(),
        }
    }

    fn lane(&self, place: usize, axis: &Axis) -> Lane {
        let y = TOP + place * LANE;
        let name = clean(&self.schema.name);
        let bars = self.spans.iter().map(|span| match span {
            Span::Run { job, from, to } => {
                let title = format!("{name}: {}", title(job, *from, *to));
                axis.bar(outcome(job).0, *from, *to, clean(&title))
            }
            Span::Gap { from, to } => {
                let title = format!("{name}: {}", gap_title(*from, *to));
                axis.bar("gap", *from, *to, clean(&title))
            }
        });
        Lane {
            label: redact::one_line(&self.schema.name, LABEL),
            y,
            text_y: y + Drawing::BAR - 2,
            bars: bars.collect(),
            name,
        }
    }

    fn list(&self, axis: &Axis) -> impl Iterator<Item = Run> {
        let table = clean(&self.schema.name);
        self.spans.iter().map(move |span| match span {
            Span::Run { job, from, to } => Run {
                at: *from,
                table: table.clone(),
                began: minute(*from),
                took: took(job, *from, *to),
                rows: job
                    .rows_synced
                    .get()
                    .map_or_else(String::new, i64::to_string),
                ended: outcome(job).1,
                error: redact::text(job.latest_error.get().map_or("", String::as_str), TEXT),
            },
            Span::Gap { from, to } => Run {
                at: *from,
                table: table.clone(),
                began: minute(*from),
                took: in_words(to.min(&axis.to).duration_since(*from)),
                rows: String::new(),
                ended: GAP,
                error: String::new(),
            },
        })
    }
}

/// Times in which a run was due, but none began: between runs, after the last one, or, without any, since the last sync. The
/// interval is that of today. Tables without a known interval, and those whose rows are pushed, have none.
fn gaps(
    schema: &Schema,
    runs: &[(Timestamp, Timestamp)],
    since: Timestamp,
    now: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let pushed = schema.syncs_by("webhook") || schema.syncs_by("cdc");
    let is_on = schema.is_on();
    let Some(interval) = schema.frequency().filter(|_| is_on && !pushed) else {
        return Vec::new();
    };
    let slack = SHORTEST_GAP.max(interval / 2);
    let due_after = |(from, to): (Timestamp, Timestamp)| {
        from.checked_add(interval).map_or(to, |due| due.max(to))
    };
    let mut gaps = Vec::new();
    let mut add = |due: Timestamp, next: Timestamp| {
        if next.duration_since(due) > slack {
            gaps.push((due, next));
        }
    };
    for pair in runs.windows(2) {
        if let [before, (next, _)] = pair {
            add(due_after(*before), *next);
        }
    }
    match (runs.last(), schema.synced_at(now)) {
        (Some(last), _) => add(due_after(*last), now),
        (None, Some(synced)) => add(due_after((synced, synced)).max(since), now),
        (None, None) => {}
    }
    gaps
}

/// The class and the name of how a run ended.
fn outcome(job: &Job) -> (&'static str, &'static str) {
    match job.status() {
        JobStatus::Completed => ("completed", "completed"),
        JobStatus::Failed if job.was_stopped() => ("stopped", "stopped"),
        JobStatus::Failed => ("failed", "failed"),
        JobStatus::Running => ("running", "still running"),
        JobStatus::Billing => ("billing", "stopped by billing"),
        JobStatus::Unknown => ("unknown", "unknown status"),
    }
}

fn title(job: &Job, from: Timestamp, to: Timestamp) -> String {
    let rows = job.rows_synced.get();
    let rows = rows.map_or_else(String::new, |rows| format!(", {}", plural(*rows, "row")));
    let error = job.latest_error.get().map_or("", |text| text.trim());
    let error = match error {
        "" => String::new(),
        error => format!(": {}", redact::text(error, TEXT)),
    };
    let (began, took) = (minute(from), took(job, from, to));
    format!(
        "{}, began {began}, took {took}{rows}{error}",
        outcome(job).1
    )
}

/// How long a run took, or has taken.
fn took(job: &Job, from: Timestamp, to: Timestamp) -> String {
    if job.has_ended() && job.finished_at.get().is_none() {
        return "unknown".to_owned();
    }
    in_words(to.duration_since(from))
}

fn gap_title(from: Timestamp, to: Timestamp) -> String {
    let length = in_words(to.duration_since(from));
    format!(
        "no run for {length} from {}, although one was due",
        minute(from)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_796_000_400 + minute * 60).unwrap()
    }

    /// A table that is synced every hour, last at a minute.
    fn hourly(synced: i64, sync_type: &str, on: bool) -> Schema {
        serde_json::from_value(json!({
            "id": "1", "name": "orders", "should_sync": on, "status": "Completed",
            "sync_type": sync_type, "sync_frequency": "1hour", "last_synced_at": at(synced).to_string(),
        }))
        .unwrap()
    }

    #[test]
    fn a_gap_begins_when_a_run_was_due_and_ends_when_one_began() {
        let of = |table: &Schema, runs: &[(i64, i64)], now| {
            let runs: Vec<_> = runs.iter().map(|(from, to)| (at(*from), at(*to))).collect();
            let gaps = gaps(table, &runs, at(0), at(now));
            let minute = |time: Timestamp| time.duration_since(at(0)).as_mins();
            gaps.into_iter()
                .map(|(from, to)| (minute(from), minute(to)))
                .collect::<Vec<_>>()
        };
        let table = hourly(0, "incremental", true);
        // On time, and late by less than half an interval.
        assert_eq!(of(&table, &[(0, 5), (60, 65), (145, 150)], 160), []);
        // One was left out, and the last was long ago.
        assert_eq!(
            of(&table, &[(0, 5), (180, 185)], 400),
            [(60, 180), (240, 400)]
        );
        // A run that takes longer than the interval delays the next.
        assert_eq!(of(&table, &[(0, 170), (180, 185)], 190), []);
        // Without a run in the period, it is due since the last sync.
        assert_eq!(of(&hourly(-500, "incremental", true), &[], 100), [(0, 100)]);
        for other in [hourly(0, "incremental", false), hourly(0, "webhook", true)] {
            assert_eq!(of(&other, &[(0, 5)], 400), []);
        }
    }

    #[test]
    fn bars_stay_within_the_drawing() {
        let axis = Axis {
            from: at(0),
            to: at(100),
        };
        let bar = |from, to| {
            let bar = axis.bar("completed", at(from), at(to), String::new());
            (bar.x, bar.width)
        };
        let own = |x: &str, width: &str| (x.to_owned(), width.to_owned());
        assert_eq!(bar(0, 100), own("200.0", "1000.0"));
        assert_eq!(bar(-50, 50), own("200.0", "500.0"));
        assert_eq!(bar(50, 50), own("700.0", "2.0"));
        assert_eq!(bar(90, 500), own("1100.0", "100.0"));
    }
}
