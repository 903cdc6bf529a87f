//! A run of the v3 pipeline as a scenario plans it: a producer that extracts, and a loader that works off a queue.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::period;

/// Where a run of v3 is. The API shows none of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The lock is taken and the job's row written.
    Starting,
    /// The table is partitioned again before the extraction: no lines, no rows.
    Repartitioning,
    /// The source is read. Only now do rows move.
    Extracting,
    /// Extraction is over, and the loader has not picked up a batch yet.
    Queued,
    /// The loader works off the batches.
    Loading,
    /// The last batch is loaded: compaction, registration.
    PostLoad,
    /// All work is done, and the job's end is about to be written.
    Ending,
}

/// A run of v3. Every duration begins where the previous one ended, and the first with the job's row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct V3Plan {
    /// From the job's row to the extraction.
    #[serde(deserialize_with = "period::deserialize")]
    pub start: SignedDuration,
    /// How long a repartition takes before the extraction.
    #[serde(deserialize_with = "period::deserialize")]
    pub repartition: SignedDuration,
    /// Attempts to extract that end before the last one.
    pub attempts: Vec<Attempt>,
    /// How long the last attempt extracts.
    #[serde(deserialize_with = "period::deserialize")]
    pub extract: SignedDuration,
    /// The rows of the whole run.
    pub rows: u64,
    /// How many batches they come in; `rows_synced` moves once for each. With none, nothing is extracted.
    pub batches: u32,
    /// A page of the source that takes its time.
    pub slow_page: Option<SlowPage>,
    /// The last attempt fails instead of ending well.
    pub fails: Option<ExtractionFailure>,
    /// How long after the end of the extraction the loader picks up the first batch. Without it, the loader takes each
    /// batch as soon as it is there, while the extraction goes on.
    #[serde(deserialize_with = "period::option::deserialize")]
    pub queue: Option<SignedDuration>,
    /// How long the loader works on a batch. There is no sign of life during that time.
    #[serde(deserialize_with = "period::deserialize")]
    pub load_per_batch: SignedDuration,
    /// A batch that the loader cannot load.
    pub load_fails: Option<LoadFailure>,
    /// The loader's lines about this run are lost.
    pub silent: bool,
    /// How long compaction and registration take. Halfway, `last_synced_at` becomes the job's start.
    #[serde(deserialize_with = "period::deserialize")]
    pub post_load: SignedDuration,
    /// Where it dies.
    pub dies: Option<Death>,
}

impl Default for V3Plan {
    fn default() -> Self {
        Self {
            start: SignedDuration::from_secs(5),
            repartition: SignedDuration::ZERO,
            attempts: Vec::new(),
            extract: SignedDuration::from_mins(1),
            rows: 100,
            batches: 1,
            slow_page: None,
            fails: None,
            queue: None,
            load_per_batch: SignedDuration::from_secs(10),
            load_fails: None,
            silent: false,
            post_load: SignedDuration::from_secs(10),
            dies: None,
        }
    }
}

/// An attempt to extract that another one follows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attempt {
    /// How long it extracts.
    #[serde(deserialize_with = "period::deserialize")]
    pub takes: SignedDuration,
    /// How many of the run's batches it reads.
    pub batches: u32,
    /// How long until the next attempt.
    #[serde(deserialize_with = "period::deserialize")]
    pub wait: SignedDuration,
    /// The next attempt goes on where this one ended. Otherwise `rows_synced` falls back to 0.
    pub resumes: bool,
    /// It does not fail: its worker is shut down, and the next attempt runs on another one.
    pub handoff: bool,
}

impl Default for Attempt {
    fn default() -> Self {
        Self {
            takes: SignedDuration::from_mins(1),
            batches: 0,
            wait: SignedDuration::from_secs(30),
            resumes: false,
            handoff: false,
        }
    }
}

/// A stretch of the last attempt without a row and without a line, although the run is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowPage {
    /// How long after the attempt's begin.
    #[serde(deserialize_with = "period::deserialize")]
    pub after: SignedDuration,
    /// How long it takes, beside `extract`.
    #[serde(rename = "for", deserialize_with = "period::deserialize")]
    pub lasts: SignedDuration,
}

/// How an extraction fails for good.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractionFailure {
    /// The job's `latest_error`.
    pub error: String,
    /// What the schema's `latest_error` says instead, where PostHog has a friendly text.
    #[serde(default)]
    pub friendly: Option<String>,
    /// PostHog then disables the schema.
    #[serde(default)]
    pub non_retryable: bool,
}

/// A batch that fails in the loader.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadFailure {
    /// Which batch, from 1.
    pub batch: u32,
    /// How often. From 3 on, the loader gives up, and PostHog makes the job Failed a few minutes later.
    #[serde(default = "give_up")]
    pub times: u32,
    /// The job's `latest_error` then.
    pub error: String,
}

/// Tries after which the loader gives up a batch.
pub(crate) const MOST_TRIES: u32 = 3;

fn give_up() -> u32 {
    MOST_TRIES
}

/// A run that stops for good, with its job left Running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Death {
    /// The phase in which it dies.
    pub phase: Phase,
    /// How long after the begin of that phase. A run that is already past it dies too.
    #[serde(default, deserialize_with = "period::deserialize")]
    pub after: SignedDuration,
    /// What happens to its workflow, if it dies before the end of the extraction.
    #[serde(default)]
    pub workflow: DeadWorkflow,
}

/// What Temporal has of a run whose extraction died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadWorkflow {
    /// It stays open: no start gets through until somebody cancels it.
    #[default]
    Wedged,
    /// It has ended: the next start takes over.
    Gone,
}

impl V3Plan {
    /// How far into its life, counted from the job's row, it dies. None if that depends on the loader.
    pub(crate) fn dies_while_extracting(&self) -> Option<SignedDuration> {
        let death = self.dies?;
        let begin = match death.phase {
            Phase::Starting => SignedDuration::ZERO,
            Phase::Repartitioning => self.start,
            Phase::Extracting => self.start + self.repartition,
            Phase::Queued | Phase::Loading | Phase::PostLoad | Phase::Ending => return None,
        };
        Some(begin + death.after)
    }

    /// How long after the begin of `phase` it dies, if it dies there.
    pub(crate) fn dies_in(&self, phase: Phase) -> Option<SignedDuration> {
        let death = self.dies.filter(|death| death.phase == phase)?;
        Some(death.after)
    }
}
