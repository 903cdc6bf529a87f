//! Does a run move? Compares two reads of it.

use compact_str::CompactString;
use jiff::{SignedDuration, Timestamp};

use super::{Log, Newest, RunProbe, Streak};
use crate::{
    api::status::Mark,
    posthog::{
        lax::Lax,
        wire::{JobStatus, Schema},
    },
};

/// Why nothing is known about a run whose log was not read.
pub const LOG_NOT_READ: &str = "the log was not read";

/// The part of a list row whose change means that something happened to the table.
type RowPrint = (Lax<CompactString>, Lax<Timestamp>, Lax<String>, Lax<bool>);

/// What is known of a table beyond its row in the list.
#[derive(Debug, Clone)]
pub struct Seen {
    print: RowPrint,
    /// Since when its row is unchanged, as far as this process saw.
    pub row_since: Timestamp,
    /// True while its row looks as it did in the first list that this process read: it may have looked so for long before.
    pub from_first_list: bool,
    /// Since when its error text has been as it is, as far as this process saw.
    pub text_since: Timestamp,
    /// The last probe.
    pub run_probe: Option<RunProbe>,
    /// The last probe whose runs could be read, if the newest could not.
    readable: Option<RunProbe>,
    /// How far its run was when it was last seen to move.
    pub mark: Option<Mark>,
    /// True if two looks, the last of them `run_probe`, found no movement since the mark.
    pub frozen: bool,
    /// Why the last probe does not show whether the run moves.
    pub unclear: Option<String>,
    /// The failures in a row that the last readable look found.
    pub streak: Option<Streak>,
}

impl Seen {
    /// A table whose row was first seen at `now`.
    #[must_use]
    pub fn first(schema: &Schema, now: Timestamp) -> Self {
        Self {
            print: print(schema),
            row_since: now,
            from_first_list: false,
            text_since: now,
            run_probe: None,
            readable: None,
            mark: None,
            frozen: false,
            unclear: None,
            streak: None,
        }
    }

    /// A table of which there is no row in the list at `now`.
    #[must_use]
    pub const fn without_row(now: Timestamp) -> Self {
        let print = (Lax::Missing, Lax::Missing, Lax::Missing, Lax::Missing);
        Self {
            print,
            row_since: now,
            from_first_list: false,
            text_since: now,
            run_probe: None,
            readable: None,
            mark: None,
            frozen: false,
            unclear: None,
            streak: None,
        }
    }

    /// Records the row at a later poll. A changed row invalidates the last read, but not the mark: the mark is about a job, and valid as long as that
    /// job is the newest.
    pub fn row(&mut self, schema: &Schema, now: Timestamp) {
        let print = print(schema);
        if print.2 != self.print.2 {
            self.text_since = now;
        }
        if print != self.print {
            self.print = print;
            self.row_since = now;
            self.from_first_list = false;
            self.run_probe = None;
            self.readable = None;
            self.frozen = false;
            // A success clears the error; a run in progress leaves it.
            let error_stays = schema
                .latest_error
                .get()
                .is_some_and(|text| !text.is_empty());
            self.streak = self.streak.take().filter(|_| error_stays);
            // A mark without a run begins when the table said Running; an earlier one says nothing about the current state.
            self.mark = self.mark.take().filter(|mark| mark.running);
        }
    }

    /// Records a read.
    pub fn record_probe(&mut self, run_probe: RunProbe) {
        let (mark, frozen, unclear) = advance(self.mark.take(), &run_probe, self.row_since);
        (self.mark, self.frozen, self.unclear) = (mark, frozen, unclear);
        let is_readable = |run_probe: &RunProbe| !matches!(run_probe.newest(), Newest::Unclear(_));
        if is_readable(&run_probe) {
            self.streak = run_probe.streak();
            self.readable = None;
        } else if self.run_probe.as_ref().is_some_and(is_readable) {
            self.readable = self.run_probe.take();
        }
        self.run_probe = Some(run_probe);
    }

    /// The last read since the row changed whose runs are known; else the last read. A read that fails does not undo what was known.
    #[must_use]
    pub fn readable(&self) -> Option<&RunProbe> {
        self.readable.as_ref().or(self.run_probe.as_ref())
    }

    /// When the newest run failed, if that is known.
    #[must_use]
    pub fn failed_at(&self) -> Option<Timestamp> {
        match self.readable()?.newest() {
            Newest::Job(job, _) if job.status() == JobStatus::Failed => {
                job.finished_at.get().copied()
            }
            Newest::Job(..) | Newest::None | Newest::Unclear(_) => None,
        }
    }
}

fn print(schema: &Schema) -> RowPrint {
    (
        schema.status.clone(),
        schema.last_synced_at.clone(),
        schema.latest_error.clone(),
        schema.should_sync.clone(),
    )
}

/// The mark after `run_probe`, whether nothing moved since it, and why that is unknown.
fn advance(
    mark: Option<Mark>,
    run_probe: &RunProbe,
    watched_since: Timestamp,
) -> (Option<Mark>, bool, Option<String>) {
    let fresh = match sighting(mark.as_ref(), run_probe, watched_since) {
        Ok(fresh) => fresh,
        Err(unclear) => return (mark, false, Some(unclear)),
    };
    match mark {
        // A clock that was set back by hours must not leave a mark from the future: it would never grow old.
        Some(old)
            if same_place(&old, &fresh)
                && old.since.duration_since(fresh.since) < SignedDuration::from_hours(1) =>
        {
            (Some(old), true, None)
        }
        _ => (Some(fresh), false, None),
    }
}

/// The current place of the table, as a new mark; or why that is unknown. A value that has disappeared is no evidence.
fn sighting(
    before: Option<&Mark>,
    run_probe: &RunProbe,
    watched_since: Timestamp,
) -> Result<Mark, String> {
    let nothing = Mark {
        job_id: None,
        running: false,
        rows: None,
        log_at: None,
        since: run_probe.at,
    };
    let job = match run_probe.newest() {
        Newest::Unclear(reason) => return Err(reason.to_owned()),
        Newest::None if before.is_some_and(|mark| mark.job_id.is_some()) => {
            return Err("PostHog no longer lists the table's run".to_owned());
        }
        Newest::None => return Ok(nothing),
        Newest::Job(job, _) => job,
    };
    let ended = Mark {
        job_id: Some(job.id.clone()),
        ..nothing
    };
    match job.status() {
        JobStatus::Unknown => return Err(format!("job {} has an unknown status", job.id)),
        JobStatus::Completed | JobStatus::Failed | JobStatus::Billing => return Ok(ended),
        JobStatus::Running => {}
    }
    let rows = rows(run_probe)?;
    match &run_probe.log {
        Log::Read(_) => {}
        Log::NotRead => return Err(LOG_NOT_READ.to_owned()),
        Log::Unreadable(reason) => return Err(reason.clone()),
    }
    let log_at = run_probe.worked_at();
    let had_lines = before.is_some_and(|mark| mark.job_id == ended.job_id && mark.log_at.is_some());
    if log_at.is_none() && had_lines {
        return Err(format!(
            "the log of job {} is empty, but had lines before",
            job.id
        ));
    }
    if log_at.is_none() && rows.is_none() {
        return Err(format!("job {} has neither a row count nor a log", job.id));
    }
    let since = unmoved_since(before, run_probe, (&job.id, rows, log_at), watched_since);
    Ok(Mark {
        running: true,
        rows,
        log_at,
        since,
        ..ended
    })
}

/// Since when a run has not moved: since the line that `PostHog` writes with each move, if that explains the last one; else no earlier than the read.
/// Rows may move without a line: where the lines of the run do not add up to its rows, time in which the table was not watched is not included.
fn unmoved_since(
    before: Option<&Mark>,
    run_probe: &RunProbe,
    (job_id, rows, log_at): (&str, Option<i64>, Option<Timestamp>),
    watched_since: Timestamp,
) -> Timestamp {
    let worked = run_probe.log.read().and_then(|log| log.worked);
    let line = worked.filter(|(at, line)| line.is_written_with_each_move() && Some(*at) == log_at);
    let rows_moved_silently = before.is_some_and(|mark| {
        mark.job_id.as_deref() == Some(job_id) && mark.rows != rows && mark.log_at == log_at
    });
    let accounts_for_all_rows = run_probe
        .log
        .read()
        .is_some_and(|log| log.accounts_for_all_rows);
    // A time of PostHog's means nothing by the operator's clock unless the two are known to agree.
    match line.filter(|_| run_probe.is_dated) {
        Some((at, _)) if !rows_moved_silently && accounts_for_all_rows => at.min(run_probe.at),
        Some((at, _)) if !rows_moved_silently => at.max(watched_since).min(run_probe.at),
        _ => run_probe.at,
    }
}

/// The rows that the runs in progress have synced so far, all together: the newest may wait behind an older one that moves. None
/// if none of them counts.
pub fn rows(run_probe: &RunProbe) -> Result<Option<i64>, String> {
    let mut all = None;
    for job in run_probe.running() {
        match &job.rows_synced {
            Lax::Is(rows) => all = Some(all.unwrap_or(0_i64).saturating_add(*rows)),
            Lax::Null => {}
            Lax::Missing | Lax::Odd => {
                return Err(format!("job {} has no row count", job.id));
            }
        }
    }
    Ok(all)
}

/// True if nothing moved from one mark to the other. Log lines are compared with each other, never with the operator's
/// clock, so that a skew between the clocks cannot hide a line.
fn same_place(a: &Mark, b: &Mark) -> bool {
    let Mark {
        job_id,
        running,
        rows,
        log_at,
        since: _,
    } = a;
    *job_id == b.job_id && *running == b.running && *rows == b.rows && *log_at == b.log_at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{observe::TableLog, posthog::run_log::Line};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schema() -> Schema {
        serde_json::from_str(r#"{"id":"a1","name":"t","status":"Running"}"#).unwrap()
    }

    fn run_probe(when: &str, job: &str, rows: &str, log: Log) -> RunProbe {
        let json = format!(
            r#"[{{"id":"{job}","created_at":"2026-10-01T00:00:00Z","status":"Running","rows_synced":{rows},"schema":{{"id":"a1"}}}}]"#
        );
        RunProbe::new(
            at(when),
            "a1",
            Ok(serde_json::from_str(&json).unwrap()),
            log,
        )
    }

    fn log(line: Option<(&str, Line)>) -> Log {
        Log::from(TableLog::with_line(
            line.map(|(when, line)| (at(when), line)),
        ))
    }

    fn line(when: &str) -> Log {
        log(Some((when, Line::Unknown)))
    }

    const LATER: [&str; 4] = [
        "2026-10-01T01:00:00Z",
        "2026-10-01T02:00:00Z",
        "2026-10-01T03:00:00Z",
        "2026-10-01T04:00:00Z",
    ];

    #[test]
    fn a_run_is_frozen_only_when_neither_rows_nor_log_moved_between_two_reads() {
        let mut seen = Seen::first(&schema(), at(LATER[0]));
        seen.record_probe(run_probe(LATER[0], "j1", "5", line(LATER[0])));
        assert!(!seen.frozen, "one look says nothing");
        seen.record_probe(run_probe(LATER[1], "j1", "5", line(LATER[0])));
        assert!(seen.frozen);
        assert_eq!(seen.mark.as_ref().map(|m| m.since), Some(at(LATER[0])));
        seen.record_probe(run_probe(LATER[2], "j1", "5", line(LATER[2])));
        assert!(!seen.frozen, "a line of the log appeared");
        seen.record_probe(run_probe(LATER[3], "j1", "6", line(LATER[2])));
        assert!(!seen.frozen, "rows moved");
        assert_eq!(seen.mark.as_ref().map(|m| m.since), Some(at(LATER[3])));
    }

    #[test]
    fn a_run_is_unmoved_since_the_line_that_is_written_with_each_move() {
        let moved = |when| log(Some((when, Line::Extracting)));
        let mut seen = Seen::first(&schema(), at(LATER[0]));
        seen.record_probe(run_probe(LATER[1], "j1", "5", moved(LATER[0])));
        assert_eq!(seen.mark.as_ref().map(|m| m.since), Some(at(LATER[0])));
        let mut late = Seen::first(&schema(), at(LATER[1]));
        late.record_probe(run_probe(LATER[2], "j1", "5", moved(LATER[0])));
        assert_eq!(
            late.mark.as_ref().map(|m| m.since),
            Some(at(LATER[1])),
            "no longer than the operator has watched the table"
        );
        let accounted = |when| {
            let mut log = TableLog::with_line(Some((at(when), Line::Extracting)));
            log.accounts_for_all_rows = true;
            Log::from(log)
        };
        let mut late = Seen::first(&schema(), at(LATER[1]));
        late.record_probe(run_probe(LATER[2], "j1", "5", accounted(LATER[0])));
        let since = late.mark.map(|mark| mark.since);
        assert_eq!(
            since,
            Some(at(LATER[0])),
            "its log accounts for all its rows"
        );
        // Rows without a line: this instance does not write one with each move.
        seen.record_probe(run_probe(LATER[2], "j1", "6", moved(LATER[0])));
        assert_eq!(seen.mark.as_ref().map(|m| m.since), Some(at(LATER[2])));
    }

    #[test]
    fn rows_of_an_older_run_keep_the_newest_from_looking_frozen() {
        let both = |when: &str, rows: u32| {
            let json = format!(
                r#"[{{"id":"new","created_at":"2026-10-01T00:30:00Z","status":"Running","rows_synced":7,"schema":{{"id":"a1"}}}},
                    {{"id":"old","created_at":"2026-10-01T00:00:00Z","status":"Running","rows_synced":{rows},"schema":{{"id":"a1"}}}}]"#
            );
            RunProbe::new(
                at(when),
                "a1",
                Ok(serde_json::from_str(&json).unwrap()),
                line(LATER[0]),
            )
        };
        let mut seen = Seen::first(&schema(), at(LATER[0]));
        seen.record_probe(both(LATER[1], 5));
        seen.record_probe(both(LATER[2], 9));
        assert!(!seen.frozen);
        seen.record_probe(both(LATER[3], 9));
        assert!(seen.frozen);
    }

    #[test]
    fn another_job_starts_a_new_mark() {
        let mut seen = Seen::first(&schema(), at(LATER[0]));
        seen.record_probe(run_probe(LATER[0], "j1", "5", log(None)));
        seen.record_probe(run_probe(LATER[1], "j2", "5", log(None)));
        assert!(!seen.frozen);
        assert_eq!(seen.mark.and_then(|m| m.job_id).as_deref(), Some("j2"));
    }

    #[test]
    fn what_cannot_be_read_is_never_frozen_and_keeps_the_mark() {
        for (rows, log) in [
            ("5", Log::Unreadable("403".into())),
            (r#""many""#, line(LATER[0])),
            ("5", Log::NotRead),
        ] {
            let mut seen = Seen::first(&schema(), at(LATER[0]));
            seen.record_probe(run_probe(LATER[0], "j1", "5", line(LATER[0])));
            seen.record_probe(run_probe(LATER[1], "j1", rows, log));
            assert!(!seen.frozen && seen.unclear.is_some());
            seen.record_probe(run_probe(LATER[2], "j1", "5", line(LATER[0])));
            assert!(seen.frozen && seen.unclear.is_none());
            assert_eq!(seen.mark.map(|m| m.since), Some(at(LATER[0])));
        }
    }

    #[test]
    fn a_mark_from_the_future_is_replaced() {
        let mut seen = Seen::first(&schema(), at(LATER[0]));
        seen.record_probe(run_probe(LATER[3], "j1", "5", line(LATER[0])));
        seen.record_probe(run_probe(LATER[1], "j1", "5", line(LATER[0])));
        assert!(!seen.frozen);
        assert_eq!(seen.mark.map(|m| m.since), Some(at(LATER[1])));
    }
}
