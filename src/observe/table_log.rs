//! What the log of a table shows of its newest run: when somebody last worked on the table, and how far the run is.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::words::{DatedLine, UnknownLines, Words};
use crate::posthog::{
    Client, PostHogError, Transport,
    client::{LOG_LINES, LogFilter},
    instance::{UnfamiliarKind, family},
    lax::Lax,
    run_log::{EXTRACTION_MARKER, Line, Refusal, V3_MARKER, is_of_v3, read, rows_added},
    wire::{Job, LogLine, LogPage},
};

/// A page of this many lines, or of a multiple, may have been cut by a limit of the instance's own, lower than the one in the request.
const USUAL_LIMIT: usize = 50;

/// Lines reach the log late and not in order: this much is read again.
const LATE_LINES: SignedDuration = SignedDuration::from_mins(10);

/// Of a run that has been silent for so long, the whole log is read each time: a line that reached the log hours late may say that the
/// run is further than it seems.
const QUIET: SignedDuration = SignedDuration::from_hours(1);

/// How far a run is, as far as its log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunPhase {
    /// It reads from the source. The v2 pipeline does nothing else until its end.
    Extracting,
    /// It has read everything, and the loader has not started.
    Queued,
    /// The loader works on its batches.
    Loading,
    /// Everything is loaded; the table is being finished.
    PostLoad,
    /// Its log does not say.
    Unknown,
}

impl RunPhase {
    /// The phase, in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Extracting => "extracting",
            Self::Queued => "queued for the loader",
            Self::Loading => "loading",
            Self::PostLoad => "finishing the table",
            Self::Unknown => "in an unknown phase",
        }
    }
}

/// The log of a table since its newest run began, all runs of the table included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableLog {
    /// The newest run, by its id in the log.
    run_id: String,
    /// The newest line that was read; what is older need not be read again.
    read_to: Option<Timestamp>,
    /// The newest line of work on the table, and when it was written, by `PostHog`'s clock.
    pub worked: Option<(Timestamp, Line)>,
    /// The newest line of the run itself that marks how far its extraction is.
    marker: Option<(Timestamp, Line)>,
    /// When the run itself last wrote that an attempt of its extraction ends: the line that says how may be lost.
    ending: Option<Timestamp>,
    /// The newest line of the run itself by the loader.
    loaded: Option<(Timestamp, Line)>,
    /// Whether the run itself wrote any line.
    pub has_own_lines: bool,
    /// Whether the log has a line that only the v3 pipeline writes.
    pub is_v3: bool,
    /// The lines of the run itself that this version does not know.
    unknown: UnknownLines,
    /// When `PostHog` last found a run of the table alive, as it refused another start.
    pub vouched_at: Option<Timestamp>,
    /// When `PostHog` last could not tell, as it refused another start.
    pub doubted_at: Option<Timestamp>,
    /// Whether the lines of the run add up to its rows, as they were when its log was read from its begin: then its rows have not moved since the
    /// newest line, even while nothing watched it.
    pub accounts_for_all_rows: bool,
}

impl TableLog {
    /// A log of which nothing is known but its newest line of work.
    #[must_use]
    pub fn with_line(worked: Option<(Timestamp, Line)>) -> Self {
        Self {
            worked,
            has_own_lines: worked.is_some(),
            ..Self::default()
        }
    }

    /// Reads what is new in the log of the table since `before` was read of the same run.
    pub async fn read<T: Transport>(
        client: &Client<T>,
        schema_id: &str,
        run: (&Job, Timestamp),
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let (job, began) = run;
        let run_id = job.workflow_run_id.get().cloned().unwrap_or_default();
        let known = before.filter(|log| log.run_id == run_id);
        let mut log = known.cloned().unwrap_or_else(|| Self {
            run_id,
            ..Self::default()
        });
        let is_quiet = |(at, _): &(Timestamp, Line)| client.now().duration_since(*at).abs() > QUIET;
        let from = match log.worked.as_ref() {
            Some(worked) if !is_quiet(worked) => log.read_to.unwrap_or(began),
            Some(_) | None => began,
        };
        let from = from.checked_sub(LATE_LINES).ok();
        let page = client
            .logs(
                schema_id,
                LogFilter {
                    after: from,
                    ..LogFilter::default()
                },
            )
            .await
            .map_err(|error| error.to_string())?;
        note_unfamiliar(client, &page);
        // The newest known line is read again.
        if page.results.is_empty() && log.read_to.is_some() {
            return Err("the log is empty, but had lines before".to_owned());
        }
        let is_full = log.add(&page, Some(began))?;
        let rows = job.rows_synced.get().copied().unwrap_or(0);
        log.accounts_for_all_rows = known.is_none() && !is_full && log.adds_up_to(rows, &page);
        if is_full && !log.run_id.is_empty() {
            // The lines that mark its phase may be hidden behind thousands of others.
            let markers = markers(client, schema_id, &log.run_id).await;
            for page in markers.map_err(|error| error.to_string())? {
                log.add(&page, None)?;
            }
        }
        Ok(log)
    }

    /// The log of a run that began then, if this page is all of it.
    pub fn of_page(run_id: &str, began: Timestamp, page: &LogPage) -> Result<Self, String> {
        let mut log = Self {
            run_id: run_id.to_owned(),
            ..Self::default()
        };
        log.add(page, Some(began))?;
        Ok(log)
    }

    /// Takes in the lines of a page; true if the page was full, so that older lines may be missing. Lines of other runs from
    /// before `began` say nothing.
    fn add(&mut self, page: &LogPage, began: Option<Timestamp>) -> Result<bool, String> {
        let mut times = Vec::with_capacity(page.results.len());
        for line in &page.results {
            let Lax::Is(at) = line.timestamp else {
                return Err("a log line has an unreadable time".to_owned());
            };
            times.push(at);
            if began.is_none_or(|began| at >= began || self.is_own(line)) {
                self.take(line, at);
            }
        }
        let newest = times.iter().max().copied();
        self.read_to = self.read_to.max(newest);
        let own = page.results.iter().filter(|line| self.is_own(line));
        let own = oldest_first(own);
        self.unknown.take(own.into_iter());
        let is_full = times.len() >= LOG_LINES;
        let may_be_cut = is_full || (!times.is_empty() && times.len().is_multiple_of(USUAL_LIMIT));
        // A full page hides lines. Were the oldest sent first, the newest would be among the hidden ones; and PostHog's `next`
        // does not tell, because it pages over what the limit has already cut.
        let is_newest_first = times.first().copied() == newest && times.last().copied() != newest;
        if (is_full && !is_newest_first) || (may_be_cut && times.first() < times.last()) {
            return Err("PostHog did not return the newest log line first".to_owned());
        }
        Ok(may_be_cut)
    }

    /// Whether the lines of the run in `page` add up to these rows, from its begin or from that of an attempt: one that does not resume begins at
    /// zero again.
    fn adds_up_to(&self, rows: i64, page: &LogPage) -> bool {
        let own = page.results.iter().filter(|line| self.is_own(line));
        let dated = own.filter_map(|line| Some((*line.timestamp.get()?, line.message.get()?)));
        let mut newest_first: Vec<(Timestamp, &String)> = dated.collect();
        newest_first.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let mut sum = 0_i64;
        for (_, message) in newest_first {
            sum = sum.saturating_add(rows_added(message).unwrap_or(0));
            let begins = matches!(read(message), Line::Start | Line::ExtractionStarted);
            if begins && sum == rows {
                return true;
            }
        }
        sum == rows && self.has_own_lines
    }

    fn is_own(&self, line: &LogLine) -> bool {
        !self.run_id.is_empty() && line.instance_id.get() == Some(&self.run_id)
    }

    fn take(&mut self, line: &LogLine, at: Timestamp) {
        // A line whose text cannot be read is still a sign of life.
        let said = line.message.get().map_or(Line::Unknown, |text| read(text));
        if said.is_work() {
            newer(&mut self.worked, at, said);
        }
        match said {
            Line::StartRefused(Refusal::RunIsAlive) => {
                self.vouched_at = self.vouched_at.max(Some(at));
            }
            Line::StartRefused(Refusal::Ambiguous) => {
                self.doubted_at = self.doubted_at.max(Some(at));
            }
            _ => {}
        }
        self.is_v3 |= line.message.get().is_some_and(|text| is_of_v3(text));
        if self.is_own(line) {
            self.has_own_lines = true;
            if said.is_extraction_marker() {
                newer(&mut self.marker, at, said);
            }
            if matches!(said, Line::Finalizing | Line::CleaningUp) {
                self.ending = self.ending.max(Some(at));
            }
            if matches!(said, Line::Loading | Line::LoadGivenUp | Line::PostLoad) {
                newer(&mut self.loaded, at, said);
            }
        }
    }

    /// How a line of the run begins that this version does not know and that may mark the end of its extraction; none if there is none.
    #[must_use]
    pub fn unexplained(&self, words: &Words) -> Option<&str> {
        self.unknown.unexplained(words)
    }

    /// Whether the run marks the phases of its extraction, as the v3 pipeline does.
    #[must_use]
    pub const fn marks_phases(&self) -> bool {
        self.marker.is_some()
    }

    /// How far the run is.
    #[must_use]
    pub fn phase(&self, words: &Words) -> RunPhase {
        match self.marker {
            Some((began, Line::ExtractionStarted)) => {
                let is_over = self.ending.is_some_and(|at| at >= began);
                if is_over || self.unexplained(words).is_some() {
                    RunPhase::Unknown
                } else {
                    RunPhase::Extracting
                }
            }
            Some((_, Line::ExtractionComplete)) => match self.loaded {
                Some((_, Line::PostLoad)) => RunPhase::PostLoad,
                Some(_) => RunPhase::Loading,
                None => RunPhase::Queued,
            },
            // Between two attempts, or ended without rows.
            Some(_) => RunPhase::Unknown,
            None => self.phase_of_v2(words),
        }
    }

    /// A run of the v2 pipeline marks no phase: only completed runs show that none does. It extracts until it finishes its table.
    fn phase_of_v2(&self, words: &Words) -> RunPhase {
        let Some(extracting) = self.unknown.extracting else {
            return RunPhase::Unknown;
        };
        let is_over = self.ending.is_some_and(|at| at >= extracting);
        if !words.v2 || self.is_v3 || is_over || self.unexplained(words).is_some() {
            return RunPhase::Unknown;
        }
        match self.loaded {
            Some((at, _)) if at > extracting => RunPhase::PostLoad,
            Some(_) | None => RunPhase::Extracting,
        }
    }
}

/// The lines of a run that mark its phases. Of a run with hundreds of batches even these fill a page: then those of its extraction alone.
pub(super) async fn markers<T: Transport>(
    client: &Client<T>,
    schema_id: &str,
    run_id: &str,
) -> Result<Vec<LogPage>, PostHogError> {
    let search = async |text| {
        let filter = LogFilter {
            run_id: Some(run_id),
            search: Some(text),
            after: None,
        };
        client.logs(schema_id, filter).await
    };
    let mut pages = vec![search(V3_MARKER).await?];
    if pages[0].results.len() >= LOG_LINES {
        pages.push(search(EXTRACTION_MARKER).await?);
    }
    Ok(pages)
}

/// The lines whose time and text can be read, oldest first. Of lines with the same time the one that `PostHog` sent first is the newer;
/// a line without a text is one that nobody knows.
pub(super) fn oldest_first<'a>(lines: impl Iterator<Item = &'a LogLine>) -> Vec<DatedLine<'a>> {
    let text = |line: &'a LogLine| line.message.get().map_or("", String::as_str);
    let mut said: Vec<DatedLine<'a>> = lines
        .filter_map(|line| Some((*line.timestamp.get()?, text(line))))
        .collect();
    said.reverse();
    said.sort_by_key(|(at, _)| *at);
    said
}

/// Records lines that this version does not know.
pub(super) fn note_unfamiliar<T>(client: &Client<T>, page: &LogPage) {
    let messages = page.results.iter().filter_map(|line| line.message.get());
    let unknown = messages.filter(|text| read(text) == Line::Unknown);
    let families: BTreeSet<String> = unknown.map(|text| family(text)).collect();
    client.noted().note(|instance| {
        for family in &families {
            instance.meets(UnfamiliarKind::LogLine, family);
        }
    });
}

/// Keeps the newer of two findings; of two with the same time the one that `PostHog` sent first, which is the newer.
fn newer<A>(kept: &mut Option<(Timestamp, A)>, at: Timestamp, found: A) {
    if kept.as_ref().is_none_or(|(before, _)| at > *before) {
        *kept = Some((at, found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: usize) -> Timestamp {
        Timestamp::from_second(1_760_000_000 + i64::try_from(minute).unwrap() * 60).unwrap()
    }

    fn page(lines: &[(usize, &str, &str)]) -> LogPage {
        let mut rows: Vec<_> = lines.to_vec();
        rows.sort_by_key(|(minute, ..)| std::cmp::Reverse(*minute));
        let rows: Vec<_> = rows
            .iter()
            .map(|(minute, run, message)| {
                serde_json::json!({"timestamp": at(*minute), "instance_id": run, "message": message})
            })
            .collect();
        serde_json::from_value(serde_json::json!({ "results": rows })).unwrap()
    }

    fn log(lines: &[(usize, &str, &str)]) -> TableLog {
        TableLog::of_page("r2", at(10), &page(lines)).unwrap()
    }

    fn v2() -> Words {
        Words {
            v2: true,
            ..Words::default()
        }
    }

    const STARTING: &str = "V3 Pipeline: Extraction starting";
    const COMPLETE: &str = "V3 Pipeline: Extraction complete";

    #[test]
    fn the_newest_marker_of_the_run_says_its_phase() {
        let start = (10, "r2", STARTING);
        for (lines, phase) in [
            (vec![start], RunPhase::Extracting),
            (
                vec![start, (11, "r2", "batch_processed_ok")],
                RunPhase::Extracting,
            ),
            (
                vec![start, (12, "r2", "V3 Pipeline: Extraction failed")],
                RunPhase::Unknown,
            ),
            (
                vec![
                    start,
                    (12, "r2", "V3 Pipeline: Extraction failed"),
                    (13, "r2", STARTING),
                ],
                RunPhase::Extracting,
            ),
            (vec![start, (12, "r2", COMPLETE)], RunPhase::Queued),
            (
                vec![start, (12, "r2", COMPLETE), (13, "r1", "batch_picked_up")],
                RunPhase::Queued,
            ),
            (
                vec![start, (12, "r2", COMPLETE), (13, "r2", "batch_picked_up")],
                RunPhase::Loading,
            ),
            (
                vec![
                    start,
                    (12, "r2", COMPLETE),
                    (13, "r2", "final_batch_received"),
                ],
                RunPhase::PostLoad,
            ),
            (vec![(12, "r1", COMPLETE)], RunPhase::Unknown),
            // The line of its end was lost; those around it were not.
            (
                vec![start, (12, "r2", "V3 Pipeline: Finalizing extraction")],
                RunPhase::Unknown,
            ),
            (
                vec![start, (12, "r2", "V3 Pipeline: Cleaning up resources")],
                RunPhase::Unknown,
            ),
            (
                vec![
                    start,
                    (12, "r2", "V3 Pipeline: Cleaning up resources"),
                    (13, "r2", STARTING),
                ],
                RunPhase::Extracting,
            ),
            // What marked its phase is older than the log is kept.
            (
                vec![(12, "r2", "batch_inserted_to_postgres_queue")],
                RunPhase::Unknown,
            ),
            (vec![], RunPhase::Unknown),
        ] {
            assert_eq!(log(&lines).phase(&Words::default()), phase, "{lines:?}");
        }
    }

    #[test]
    fn a_run_of_v2_extracts_until_it_finishes_its_table_or_writes_what_nobody_knows() {
        let (began, rows) = (
            (10, "r2", "Checking for heartbeat timeout reporting..."),
            (11, "r2", "Updating rows_synced with +5"),
        );
        for (last, phase) in [
            ("Updating rows_synced with +7", RunPhase::Extracting),
            (
                "Triggering compaction and vacuuming on delta table",
                RunPhase::PostLoad,
            ),
            ("Cleaning up delta table helper", RunPhase::Unknown),
            ("import_ends", RunPhase::Unknown),
            ("job_marked_completed", RunPhase::Unknown),
        ] {
            let lines = [began, rows, (12, "r2", last)];
            assert_eq!(log(&lines).phase(&v2()), phase, "{last}");
        }
    }

    #[test]
    fn an_unknown_line_after_the_last_of_the_extraction_hides_whether_it_has_ended() {
        let lines = [(10, "r2", STARTING), (11, "r2", "Fetched page 1")];
        assert_eq!(log(&lines).phase(&Words::default()), RunPhase::Unknown);
        let known = Words {
            v2: false,
            details: ["Fetched page".to_owned()].into(),
        };
        assert_eq!(log(&lines).phase(&known), RunPhase::Extracting);
        let of_another_run = [lines[0], (11, "r1", "import_ends")];
        assert_eq!(
            log(&of_another_run).phase(&Words::default()),
            RunPhase::Extracting
        );
    }

    #[test]
    fn a_run_without_markers_extracts_only_where_no_run_has_any() {
        let lines = [
            (10, "r2", "Synced 5 rows"),
            (11, "r2", "Updating rows_synced with +5"),
        ];
        assert_eq!(log(&lines).phase(&v2()), RunPhase::Extracting);
        assert_eq!(log(&lines).phase(&Words::default()), RunPhase::Unknown);
        let with_markers = [lines[0], lines[1], (12, "r1", COMPLETE)];
        assert_eq!(log(&with_markers).phase(&v2()), RunPhase::Unknown);
        assert_eq!(
            log(&[]).phase(&v2()),
            RunPhase::Unknown,
            "an empty log proves nothing"
        );
    }

    #[test]
    fn work_on_any_run_of_the_table_counts_and_refused_starts_do_not() {
        let seen = log(&[
            (20, "r2", STARTING),
            (30, "r1", "batch_processed_ok"),
            (40, "r3", "v3_pipeline_lock_takeover_skipped"),
            (41, "r3", "v3_pipeline_lock_acquire_result"),
        ]);
        assert_eq!(seen.worked.map(|(at, _)| at), Some(at(30)));
        assert_eq!((seen.vouched_at, seen.doubted_at), (Some(at(40)), None));
    }

    #[test]
    fn the_lines_of_a_run_add_up_to_its_rows_from_its_begin_or_from_that_of_an_attempt() {
        let (add_5, add_7) = (
            "Updating rows_synced with +5",
            "Updating rows_synced with +7",
        );
        let first = vec![(10, "r2", STARTING), (11, "r2", add_5), (12, "r2", add_7)];
        let again = [&first[..], &[(20, "r2", STARTING), (21, "r2", add_5)]].concat();
        let of_another = vec![(10, "r2", STARTING), (12, "r1", add_5)];
        for (lines, rows, adds_up) in [
            (&first, 12, true),
            (&first, 13, false),
            (&first, 0, false),
            (&again, 5, true),
            (&again, 17, true),
            (&again, 12, false),
            (&of_another, 0, true),
            (&of_another, 5, false),
            (&vec![], 0, false),
        ] {
            let adds = log(lines).adds_up_to(rows, &page(lines));
            assert_eq!(adds, adds_up, "{lines:?} and {rows} rows");
        }
    }

    #[test]
    fn lines_that_were_read_before_change_nothing() {
        let lines = [
            (10, "r2", STARTING),
            (12, "r2", COMPLETE),
            (13, "r2", "batch_picked_up"),
        ];
        let mut twice = log(&lines);
        twice.add(&page(&lines[1..]), Some(at(10))).unwrap();
        assert_eq!(twice, log(&lines));
    }

    #[test]
    fn a_page_that_another_limit_may_have_cut_is_not_trusted_oldest_line_first() {
        for limit in [50, 100, 250] {
            let rising: Vec<_> = (0..limit).map(|minute| (minute, "r2", "x")).collect();
            let mut cut = page(&rising);
            assert_eq!(TableLog::default().add(&cut, None), Ok(true));
            cut.results.reverse();
            assert!(TableLog::default().add(&cut, None).is_err(), "{limit}");
        }
    }

    #[test]
    fn a_page_that_may_hide_the_newest_line_is_not_trusted() {
        let mut rising: Vec<_> = (0..LOG_LINES).map(|minute| (minute, "r2", "x")).collect();
        let newest_first = page(&rising);
        let mut log = TableLog::default();
        assert_eq!(log.add(&newest_first, None), Ok(true));
        assert_eq!(log.worked.map(|(at, _)| at), Some(at(LOG_LINES - 1)));
        let mut oldest_first = page(&rising);
        oldest_first.results.reverse();
        assert!(TableLog::default().add(&oldest_first, None).is_err());
        rising.pop();
        let mut short = page(&rising);
        short.results.reverse();
        assert_eq!(TableLog::default().add(&short, None), Ok(false));
        let odd = serde_json::from_str(r#"{"results":[{"timestamp":"yesterday"}]}"#).unwrap();
        assert!(TableLog::default().add(&odd, None).is_err());
    }
}
