//! Lines in words that this version does not know. Another version of `PostHog` may mark the end of an extraction in such a line, and
//! then the run waits for the loader, healthy. So an unknown line hides how far its run is, unless it is known to be a detail: one
//! after which the same attempt of a run extracted on. Another attempt explains nothing: the first may have ended in that line.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::posthog::{
    instance::family,
    run_log::{Line, is_of_v3, read},
};

/// Most kinds of unknown lines that are told apart in one log.
const MOST_KINDS: usize = 64;

/// A line of a run, as it is read here: when it was written, and its text.
pub type DatedLine<'a> = (Timestamp, &'a str);

/// The lines of a run that this version does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnknownLines {
    /// Each kind, by how it begins: when it was first and last written.
    kinds: BTreeMap<String, (Timestamp, Timestamp)>,
    /// Kinds of lines after which an attempt of the run extracted on.
    details: BTreeSet<String>,
    /// When its newest attempt began.
    attempt: Option<Timestamp>,
    /// The newest known line of the run's extraction.
    pub extracting: Option<Timestamp>,
}

impl UnknownLines {
    /// Takes in lines of the run, oldest first. Some of them may have been read before.
    pub fn take<'a>(&mut self, lines: impl Iterator<Item = DatedLine<'a>>) {
        let mut before = BTreeSet::new();
        for (at, text) in lines {
            let line = read(text);
            if line == Line::Unknown {
                let kind = family(text);
                if self.kinds.len() < MOST_KINDS || self.kinds.contains_key(&kind) {
                    let (first, last) = self.kinds.entry(kind.clone()).or_insert((at, at));
                    (*first, *last) = (at.min(*first), at.max(*last));
                } else {
                    // Too many to tell apart: whatever they are, they are no known detail.
                    let last = self.kinds.entry(String::new()).or_insert((at, at));
                    last.1 = at.max(last.1);
                }
                before.insert(kind);
            } else if line.is_extraction() {
                self.extracting = self.extracting.max(Some(at));
                if line.begins_an_attempt() {
                    self.attempt = self.attempt.max(Some(at));
                    before.clear();
                    continue;
                }
                let in_attempt = |time: Timestamp| Some(time) > self.attempt && time < at;
                let kinds = self.kinds.iter();
                let earlier =
                    kinds.filter(|(_, (first, last))| in_attempt(*first) || in_attempt(*last));
                self.details.extend(earlier.map(|(kind, _)| kind.clone()));
                self.details.append(&mut before);
            }
        }
    }

    /// How the first line begins that was written after the run was last seen to extract, and may mark the end of that; none if there is none.
    #[must_use]
    pub fn unexplained(&self, words: &Words) -> Option<&str> {
        let is_detail = |kind: &String| {
            let is_known = self.details.contains(kind) || words.details.contains(kind);
            is_telling(kind) && is_known && !words.endings.contains(kind)
        };
        let kinds = self.kinds.iter();
        let open =
            kinds.filter(|(kind, (_, last))| Some(*last) >= self.extracting && !is_detail(kind));
        // What was never seen to be a detail says most.
        let first = open.min_by_key(|(kind, (first, _))| (self.details.contains(*kind), *first));
        first.map(|(kind, _)| kind.as_str())
    }
}

/// False for lines that begin with a value: they have nothing in common.
fn is_telling(kind: &str) -> bool {
    kind.chars().any(char::is_alphabetic)
}

/// The pipeline of a completed run, as known words show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipeline {
    /// It went from extracting straight to finishing its table, without a line of the v3 pipeline or of an unknown kind in between.
    V2,
    /// It marked begin and end of its extraction as the v3 pipeline does.
    V3,
    /// The same, but it found no rows: it does not show how the extraction of a run with rows ends.
    V3WithoutRows,
    /// Its log has lost its beginning, or is in the words of another version.
    Unknown,
}

/// What the log of a completed run shows of the words in which it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedLog {
    /// The pipeline of the run.
    pub pipeline: Pipeline,
    /// The unknown kinds of lines that it wrote only while it extracted.
    pub details: BTreeSet<String>,
    /// The unknown kinds of lines that it wrote after it had extracted.
    pub endings: BTreeSet<String>,
}

/// What the log of a completed run shows, oldest line first.
#[must_use]
pub fn of_completed(lines: &[DatedLine<'_>]) -> CompletedLog {
    let read: Vec<Line> = lines.iter().map(|(_, text)| read(text)).collect();
    let (pipeline, end) = if lines.iter().any(|(_, text)| is_of_v3(text)) {
        end_of_v3(&read)
    } else {
        (Pipeline::V2, end_of_v2(&read))
    };
    let kinds = |lines: &[DatedLine<'_>]| -> BTreeSet<String> {
        let unknown = lines
            .iter()
            .filter(|(_, text)| self::read(text) == Line::Unknown);
        unknown.map(|(_, text)| family(text)).collect()
    };
    let Some(end) = end else {
        let last = read.iter().rposition(|line| line.is_extraction());
        return CompletedLog {
            pipeline: Pipeline::Unknown,
            details: BTreeSet::new(),
            endings: kinds(&lines[last.unwrap_or(0)..]),
        };
    };
    let endings = kinds(&lines[end..]);
    let mut unknown = UnknownLines::default();
    unknown.take(lines[..end].iter().copied());
    CompletedLog {
        pipeline,
        details: unknown.details.difference(&endings).cloned().collect(),
        endings,
    }
}

/// Where a run of the v3 pipeline stopped extracting, if it marked begin and end of that.
fn end_of_v3(lines: &[Line]) -> (Pipeline, Option<usize>) {
    let is_end = |line: &Line| matches!(line, Line::ExtractionComplete | Line::NothingExtracted);
    let end = lines.iter().rposition(is_end);
    let end = end.filter(|_| lines.contains(&Line::ExtractionStarted));
    let has_rows = end.is_some_and(|end| lines[end] == Line::ExtractionComplete);
    let pipeline = if has_rows {
        Pipeline::V3
    } else {
        Pipeline::V3WithoutRows
    };
    (pipeline, end)
}

/// Where a run without a loader stopped extracting, if all that follows until it finished its table is known.
fn end_of_v2(lines: &[Line]) -> Option<usize> {
    let end = lines.iter().rposition(|line| line.is_extraction())?;
    let mut rest = lines[end..].iter();
    let next = rest.find(|line| matches!(line, Line::PostLoad | Line::Unknown))?;
    (*next == Line::PostLoad).then_some(end)
}

/// What completed runs show of the words in which this `PostHog` writes its logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// Whether runs are those of the v2 pipeline.
    pub v2: bool,
    /// Kinds of unknown lines that were written only while a run extracted.
    pub details: BTreeSet<String>,
    /// Kinds of unknown lines that a run wrote after it had extracted.
    pub endings: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTING: &str = "V3 Pipeline: Extraction starting";
    const BATCH: &str = "batch_inserted_to_postgres_queue";
    const COMPLETE: &str = "V3 Pipeline: Extraction complete";

    fn said<'a>(lines: &[&'a str]) -> Vec<DatedLine<'a>> {
        let at =
            |index: usize| Timestamp::from_second(1_760_000_000 + i64::try_from(index).unwrap());
        let lines = lines.iter().enumerate();
        lines
            .map(|(index, text)| (at(index).unwrap(), *text))
            .collect()
    }

    #[test]
    fn an_unknown_line_is_a_detail_if_the_run_extracted_on_after_one_of_its_kind() {
        for (lines, unexplained) in [
            (
                vec![STARTING, "Fetched page 1", BATCH, "Fetched page 2"],
                None,
            ),
            (
                vec![STARTING, "Fetched page 1", BATCH, "import_ends"],
                Some("import_ends"),
            ),
            (vec![STARTING, BATCH, "import_ends"], Some("import_ends")),
            (
                vec!["import_begins", "rows 5", "import_ends"],
                Some("import_begins"),
            ),
            (vec![STARTING, "1/9 begins", BATCH, "9/9 ends"], Some("…")),
            (vec![STARTING, "1/9 begins", BATCH], None),
            (vec![], None),
        ] {
            let mut unknown = UnknownLines::default();
            for _ in 0..2 {
                unknown.take(said(&lines).into_iter());
            }
            assert_eq!(
                unknown.unexplained(&Words::default()),
                unexplained,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn lines_that_were_read_again_explain_nothing_that_came_after_them() {
        let lines = said(&[STARTING, BATCH, "import_ends"]);
        let mut unknown = UnknownLines::default();
        unknown.take(lines.iter().copied());
        unknown.take(lines[..2].iter().copied());
        assert_eq!(unknown.unexplained(&Words::default()), Some("import_ends"));
    }

    #[test]
    fn of_more_kinds_than_are_told_apart_none_is_a_detail() {
        let kinds: Vec<String> = (0..MOST_KINDS)
            .map(|n| format!("kind_{}", "x".repeat(n)))
            .collect();
        let mut lines: Vec<&str> = kinds.iter().map(String::as_str).collect();
        lines.extend([BATCH, "one_more"]);
        let mut unknown = UnknownLines::default();
        unknown.take(said(&lines).into_iter());
        assert!(unknown.unexplained(&Words::default()).is_some());
    }

    #[test]
    fn the_pipeline_of_a_completed_run_is_known_by_known_words_only() {
        let (heartbeat, rows) = (
            "Checking for heartbeat timeout reporting...",
            "Updating rows_synced with +5",
        );
        let finished = "Finished validating schema and updating table";
        for (lines, pipeline) in [
            (
                vec![STARTING, BATCH, COMPLETE, "batch_processed_ok"],
                Pipeline::V3,
            ),
            (
                vec![STARTING, "V3 Pipeline: No batches extracted"],
                Pipeline::V3WithoutRows,
            ),
            (
                vec![STARTING, BATCH, "import_ends", "batch_processed_ok"],
                Pipeline::Unknown,
            ),
            (vec![COMPLETE, "batch_processed_ok"], Pipeline::Unknown),
            (vec!["batch_processed_ok", finished], Pipeline::Unknown),
            (vec![heartbeat, rows, finished], Pipeline::V2),
            (
                vec![heartbeat, "Fetched page 1", rows, finished],
                Pipeline::V2,
            ),
            (vec![heartbeat, finished], Pipeline::V2),
            (
                vec![heartbeat, rows, "import_ends", finished],
                Pipeline::Unknown,
            ),
            (
                vec![heartbeat, rows, finished, "job_marked_completed"],
                Pipeline::Unknown,
            ),
            (vec![rows], Pipeline::Unknown),
            (vec![finished], Pipeline::Unknown),
            (vec!["Synced 5 rows"], Pipeline::Unknown),
            (vec![], Pipeline::Unknown),
        ] {
            assert_eq!(of_completed(&said(&lines)).pipeline, pipeline, "{lines:?}");
        }
    }

    #[test]
    fn only_what_was_not_written_after_the_extraction_too_is_a_detail_of_it() {
        let lines = [
            STARTING,
            "Fetched page 1",
            "phase_changed",
            BATCH,
            COMPLETE,
            "phase_changed",
        ];
        let shown = of_completed(&said(&lines));
        assert!(shown.details.iter().eq(["Fetched page"]), "{shown:?}");
        assert!(shown.endings.iter().eq(["phase_changed"]), "{shown:?}");
    }

    #[test]
    fn another_attempt_does_not_explain_in_which_words_the_one_before_ended() {
        let lines = [
            STARTING,
            BATCH,
            "attempt_over",
            STARTING,
            BATCH,
            "attempt_over",
        ];
        let mut unknown = UnknownLines::default();
        for _ in 0..2 {
            unknown.take(said(&lines).into_iter());
            assert_eq!(unknown.unexplained(&Words::default()), Some("attempt_over"));
        }
        let shown = of_completed(&said(&[&lines[..5], &[COMPLETE]].concat()));
        assert_eq!(shown.details, BTreeSet::new());
    }

    #[test]
    fn what_another_run_wrote_after_its_extraction_may_be_the_end_of_this_one() {
        let begins = [STARTING, "Stage 1 of 3", BATCH, "Stage 2 of 3"];
        let mut unknown = UnknownLines::default();
        unknown.take(said(&begins).into_iter());
        assert_eq!(unknown.unexplained(&Words::default()), None);
        for rest in [
            vec!["batch_processed_ok", "Stage 3 of 3"],
            vec![COMPLETE, "batch_processed_ok", "Stage 3 of 3"],
        ] {
            let shown = of_completed(&said(&[&begins[..], &rest].concat()));
            let words = Words {
                details: shown.details,
                endings: shown.endings,
                ..Words::default()
            };
            assert_eq!(unknown.unexplained(&words), Some("Stage"), "{rest:?}");
        }
    }
}
