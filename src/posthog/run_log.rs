//! What the lines of a table's log say about its runs.
//!
//! `PostHog` tells the phase of a run nowhere but here. The texts are data: a new version of `PostHog` is a new row of [`LINES`].
//! A line that no row knows is [`Line::Unknown`]: somebody wrote it, so it counts as work, and it says nothing of a phase.

/// What a line of the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Line {
    /// A run began, or an attempt of its extraction is about to.
    Start,
    /// An attempt of the extraction began or resumed.
    ExtractionStarted,
    /// An attempt of the extraction failed; another may follow.
    ExtractionFailed,
    /// The extraction is over: the loader has the rest to do.
    ExtractionComplete,
    /// The extraction is over and found nothing: `PostHog` completes the run within minutes.
    NothingExtracted,
    /// The extraction works.
    Extracting,
    /// An attempt of the extraction ends: after this the run waits for the loader, or for another attempt.
    Finalizing,
    /// An attempt of the extraction is over, well or not. No work.
    CleaningUp,
    /// The loader works on the run's batches.
    Loading,
    /// The loader gave up the run: `PostHog` ends it within minutes.
    LoadGivenUp,
    /// All batches are loaded; the table is being finished.
    PostLoad,
    /// A detail of a run's work, in any phase.
    Detail,
    /// Housekeeping beside a run: neither work nor a phase.
    Housekeeping,
    /// A start was refused because another run of the table holds the lock. Written by the start, not by the run.
    StartRefused(Refusal),
    /// Nothing that this version knows.
    Unknown,
}

/// What `PostHog` found when it refused a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Batches of the run wait and its loader made progress within six hours: the run is alive.
    RunIsAlive,
    /// `PostHog` could not tell either.
    Ambiguous,
    /// Another run is there; nothing was said of its health.
    Busy,
    /// `PostHog` ends the old run itself.
    TakesOver,
}

impl Line {
    /// True if the line shows that somebody worked on a run of the table when it was written.
    #[must_use]
    pub const fn is_work(self) -> bool {
        match self {
            Self::Start
            | Self::ExtractionStarted
            | Self::ExtractionFailed
            | Self::ExtractionComplete
            | Self::NothingExtracted
            | Self::Extracting
            | Self::Finalizing
            | Self::Loading
            | Self::LoadGivenUp
            | Self::PostLoad
            | Self::Detail
            | Self::Unknown => true,
            Self::CleaningUp | Self::Housekeeping | Self::StartRefused(_) => false,
        }
    }

    /// True if the line is one of those that `PostHog` writes whenever a run moves: nothing moved after the newest of them.
    #[must_use]
    pub const fn is_written_with_each_move(self) -> bool {
        match self {
            Self::ExtractionStarted
            | Self::ExtractionFailed
            | Self::ExtractionComplete
            | Self::NothingExtracted
            | Self::Extracting
            | Self::Finalizing
            | Self::Loading
            | Self::LoadGivenUp
            | Self::PostLoad => true,
            Self::Start
            | Self::CleaningUp
            | Self::Detail
            | Self::Housekeeping
            | Self::StartRefused(_)
            | Self::Unknown => false,
        }
    }

    /// True if the line shows that the extraction of its run goes on after it.
    #[must_use]
    pub const fn is_extraction(self) -> bool {
        match self {
            Self::Start | Self::ExtractionStarted | Self::Extracting => true,
            Self::ExtractionFailed
            | Self::ExtractionComplete
            | Self::NothingExtracted
            | Self::Finalizing
            | Self::CleaningUp
            | Self::Loading
            | Self::LoadGivenUp
            | Self::PostLoad
            | Self::Detail
            | Self::Housekeeping
            | Self::StartRefused(_)
            | Self::Unknown => false,
        }
    }

    /// True if the line marks how far the extraction of its run is.
    #[must_use]
    pub const fn is_extraction_marker(self) -> bool {
        match self {
            Self::ExtractionStarted
            | Self::ExtractionFailed
            | Self::ExtractionComplete
            | Self::NothingExtracted => true,
            Self::Start
            | Self::Extracting
            | Self::Finalizing
            | Self::Loading
            | Self::LoadGivenUp
            | Self::PostLoad
            | Self::CleaningUp
            | Self::Detail
            | Self::Housekeeping
            | Self::StartRefused(_)
            | Self::Unknown => false,
        }
    }
}

/// The text that all markers of the v3 pipeline's extraction begin with: what to search a long log for.
pub const V3_MARKER: &str = "V3 Pipeline";

/// The text that those begin with that say how far the extraction is: two or three for each attempt.
pub const EXTRACTION_MARKER: &str = "V3 Pipeline: Extraction";

/// What the line begins with that says how many rows were added to those of the run.
const ROWS_ADDED: &str = "Updating rows_synced with +";

/// A row of the table of messages.
#[derive(Debug)]
pub struct Row {
    /// How the message begins. Key and value pairs that follow it are lost on the way to the log.
    pub begins: &'static str,
    /// What it says.
    pub line: Line,
    /// Where it is written.
    pub source: Writer,
}

/// Where `PostHog` writes a message.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    /// File of `PostHog`'s repository and the version in which it was read.
    pub file: &'static str,
    /// Whether only the v3 pipeline writes it.
    pub is_v3: bool,
}

const fn row(begins: &'static str, line: Line, source: Writer) -> Row {
    Row {
        begins,
        line,
        source,
    }
}

const fn shared(file: &'static str) -> Writer {
    Writer { file, is_v3: false }
}

const fn v3(file: &'static str) -> Writer {
    Writer { file, is_v3: true }
}

const JOB: Writer = shared("temporal/data_imports/external_data_job.py@00c583e1");
const V2: Writer = shared("pipelines/pipeline_v2/pipeline.py@0170783a");
const EXTRACT: Writer = shared("pipelines/common/extract.py@0170783a");
const AFTER_LOAD: Writer = shared("pipelines/common/load.py@00eecda8");
const SYNC: Writer = shared("pipelines/pipeline_sync.py@01134c9a");
const V3: Writer = v3("pipelines/pipeline_v3/pipeline.py@02232ebc");
const QUEUE: Writer = v3("pipelines/pipeline_v3/postgres_queue/producer.py@088406fd");
const LOAD: Writer = v3("pipelines/pipeline_v3/load/processor.py@02232ebc");
const CONSUMER: Writer = v3("pipelines/pipeline_v3/batch_consumer.py@00965fa8");
const LOCK: Writer = v3("workflow_activities/acquire_v3_lock.py@0619cc54");
const QUEUE_RUN: Writer = v3("queue_runs/extract_handler.py@13e35263");

/// The messages that are known, in any order: no text begins with another row's text and means something else, but for longer
/// rows, which win.
pub const LINES: &[Row] = &[
    // The run may still wait for a worker: no extraction yet.
    row("Created external data job", Line::Detail, JOB),
    row("Checking for heartbeat timeout reporting", Line::Start, JOB),
    row("Running import_data_activity", Line::Start, JOB),
    row(
        "V3 Pipeline: Extraction starting",
        Line::ExtractionStarted,
        V3,
    ),
    row(
        "V3 Pipeline: Resumable source detected",
        Line::ExtractionStarted,
        V3,
    ),
    row(
        "V3 Pipeline: Continuing the incremental import",
        Line::ExtractionStarted,
        V3,
    ),
    row("V3 Pipeline: Extraction failed", Line::ExtractionFailed, V3),
    row(
        "V3 Pipeline: Extraction complete",
        Line::ExtractionComplete,
        V3,
    ),
    row("V3 Pipeline: Finalizing extraction", Line::Finalizing, V3),
    row(
        "V3 Pipeline: No batches extracted",
        Line::NothingExtracted,
        V3,
    ),
    row("V3 Pipeline: Cleaning up resources", Line::CleaningUp, V3),
    // Of the end of an attempt, well or not.
    row("V3 Pipeline: Failed to", Line::Finalizing, V3),
    row("V3 Pipeline: Dropped non-enabled columns", Line::Detail, V3),
    row("V3 Pipeline: Updating incremental_field", Line::Detail, V3),
    row("V3 Pipeline: Sort mode is", Line::Detail, V3),
    row("V3 Pipeline: Setting initial_sync", Line::Detail, V3),
    row("batch_inserted_to_postgres_queue", Line::Extracting, QUEUE),
    row("Updating rows_synced with", Line::Extracting, EXTRACT),
    row("Updating incremental_field", Line::Detail, EXTRACT),
    row("Sort mode is", Line::Detail, EXTRACT),
    row("Resumable source detected", Line::Start, V2),
    row("Dropped non-enabled columns", Line::Detail, V2),
    row("Source supports partial data loading", Line::Detail, V2),
    row("Cleaning up delta table helper", Line::CleaningUp, V2),
    row(
        "Queue run handed to the loader",
        Line::ExtractionComplete,
        QUEUE_RUN,
    ),
    row(
        "Queue run failed, will retry",
        Line::ExtractionFailed,
        QUEUE_RUN,
    ),
    row(
        "Queue run stopped by a shutdown, requeued",
        Line::ExtractionFailed,
        QUEUE_RUN,
    ),
    row(
        "Queue run stopped: the run was cancelled",
        Line::Housekeeping,
        QUEUE_RUN,
    ),
    row("batch_picked_up", Line::Loading, CONSUMER),
    row("batch_set_picked_up", Line::Loading, CONSUMER),
    row("message_received", Line::Loading, LOAD),
    row("parquet_file_read", Line::Loading, LOAD),
    row("writing_to_delta_lake", Line::Loading, LOAD),
    row("writing_scd2_to_delta_lake", Line::Loading, LOAD),
    row("deltalite write: committed", Line::Detail, AFTER_LOAD),
    row("batch_written_to_delta_lake", Line::Loading, LOAD),
    row("batch_processed_ok", Line::Loading, CONSUMER),
    row("batch_set_processed_ok", Line::Loading, CONSUMER),
    row("batch_failed_will_retry", Line::Loading, CONSUMER),
    row("batch_already_processed", Line::Loading, CONSUMER),
    row("batch_heartbeat_lease_lost", Line::Loading, CONSUMER),
    row("batch_failed_no_retries_left", Line::LoadGivenUp, CONSUMER),
    row("batch_failed_non_retryable", Line::LoadGivenUp, CONSUMER),
    row("batch_max_retries_exceeded", Line::LoadGivenUp, CONSUMER),
    row("skipping_batch_for_dead_job", Line::LoadGivenUp, CONSUMER),
    row("final_batch_received", Line::PostLoad, LOAD),
    row("Triggering compaction and vacuuming", Line::PostLoad, SYNC),
    row("Preparing S3 files", Line::PostLoad, SYNC),
    row("Updating last synced at timestamp", Line::PostLoad, SYNC),
    row("Setting initial_sync_complete", Line::PostLoad, SYNC),
    row("Validating schema and updating table", Line::PostLoad, SYNC),
    row(
        "Finished validating schema and updating table",
        Line::PostLoad,
        SYNC,
    ),
    row(
        "Running threshold-based delta maintenance",
        Line::PostLoad,
        AFTER_LOAD,
    ),
    row("Delta maintenance", Line::PostLoad, AFTER_LOAD),
    row("Compaction", Line::PostLoad, AFTER_LOAD),
    row("No deltalake table", Line::PostLoad, AFTER_LOAD),
    row(
        "Registering CDC companion table",
        Line::PostLoad,
        AFTER_LOAD,
    ),
    row(
        "Finished registering CDC companion table",
        Line::PostLoad,
        AFTER_LOAD,
    ),
    row("cdc_seed_check", Line::PostLoad, AFTER_LOAD),
    row("Seeding CDC companion table", Line::PostLoad, AFTER_LOAD),
    row(
        "Finished seeding CDC companion table",
        Line::PostLoad,
        AFTER_LOAD,
    ),
    row("Notifying revenue analytics", Line::PostLoad, AFTER_LOAD),
    row(
        "Syncing revenue analytics views",
        Line::PostLoad,
        AFTER_LOAD,
    ),
    row(
        "Syncing engineering analytics views",
        Line::PostLoad,
        AFTER_LOAD,
    ),
    row("job_marked_completed", Line::PostLoad, LOAD),
    row(
        "job_completion_suppressed_terminal_status",
        Line::PostLoad,
        LOAD,
    ),
    row("staged_cursor_promoted", Line::PostLoad, LOAD),
    row("post_import_workflow_started", Line::PostLoad, LOAD),
    row("post_load_operations_complete", Line::PostLoad, LOAD),
    row("External data job failed", Line::Housekeeping, JOB),
    row("Updated external data job with", Line::Housekeeping, JOB),
    row(
        "v3_pipeline_lock_acquire_result",
        Line::StartRefused(Refusal::Busy),
        LOCK,
    ),
    row(
        "v3_pipeline_lock_takeover_skipped",
        Line::StartRefused(Refusal::RunIsAlive),
        LOCK,
    ),
    row(
        "v3_pipeline_lock_takeover_ambiguous",
        Line::StartRefused(Refusal::Ambiguous),
        LOCK,
    ),
    row(
        "v3_pipeline_lock_describe_failed",
        Line::StartRefused(Refusal::Ambiguous),
        LOCK,
    ),
    row(
        "v3_pipeline_lock_taking_over",
        Line::StartRefused(Refusal::TakesOver),
        LOCK,
    ),
    row(
        "v3_pipeline_stale_running_job_finalized",
        Line::StartRefused(Refusal::TakesOver),
        LOCK,
    ),
    row(
        "V3 pipeline lock not acquired, skipping",
        Line::StartRefused(Refusal::Busy),
        LOCK,
    ),
    row(
        "Run deferred because this sync keeps failing",
        Line::StartRefused(Refusal::Busy),
        JOB,
    ),
    row(
        "Skipping queue run",
        Line::StartRefused(Refusal::Busy),
        QUEUE_RUN,
    ),
    row("Repartition scheduling skipped", Line::Housekeeping, JOB),
];

fn row_of(message: &str) -> Option<&'static Row> {
    let message = message.trim_start();
    LINES
        .iter()
        .filter(|row| message.starts_with(row.begins))
        .max_by_key(|row| row.begins.len())
}

/// What `message` says.
#[must_use]
pub fn read(message: &str) -> Line {
    row_of(message).map_or(Line::Unknown, |row| row.line)
}

/// True for a message that only the v3 pipeline writes.
#[must_use]
pub fn is_of_v3(message: &str) -> bool {
    row_of(message).is_some_and(|row| row.source.is_v3)
}

/// The rows that a line says were added to those of the run.
#[must_use]
pub fn rows_added(message: &str) -> Option<i64> {
    let rest = message.trim_start().strip_prefix(ROWS_ADDED)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_read_by_its_own_row_also_with_what_follows() {
        for row in LINES {
            for rest in ["", " batch_index=4", "…"] {
                assert_eq!(
                    read(&format!("{}{rest}", row.begins)),
                    row.line,
                    "{}",
                    row.begins
                );
            }
            let file = row.source.file;
            assert!(file.contains('@'), "{} has no version", row.begins);
        }
    }

    #[test]
    fn a_message_that_no_row_knows_is_work_of_an_unknown_phase() {
        for message in ["Processing chunk 7", "", "v4_pipeline_phase_changed"] {
            assert_eq!(read(message), Line::Unknown, "{message}");
        }
        assert!(Line::Unknown.is_work() && !Line::Unknown.is_extraction_marker());
    }

    #[test]
    fn only_the_line_that_counts_rows_says_how_many_were_added() {
        for (message, rows) in [
            ("Updating rows_synced with +120", Some(120)),
            ("Updating rows_synced with +0 batch_index=3", Some(0)),
            ("Updating rows_synced with +", None),
            ("Updating rows_synced", None),
            ("batch_inserted_to_postgres_queue +7", None),
        ] {
            assert_eq!(rows_added(message), rows, "{message}");
        }
    }

    #[test]
    fn what_a_refused_start_writes_is_no_sign_of_life_of_the_run() {
        assert!(!read("v3_pipeline_lock_takeover_skipped").is_work());
        assert!(!read("Skipping queue run: another run of this schema is running").is_work());
        assert!(
            !read("External data job failed for external data schema x with error: y").is_work()
        );
        assert!(read("batch_picked_up").is_work());
    }
}
