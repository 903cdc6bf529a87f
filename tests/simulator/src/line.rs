//! The messages that PostHog's runs write, word for word, as far as they are known.

use jiff::Timestamp;

/// A line of a run's log.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    pub(crate) level: Level,
    pub(crate) message: String,
}

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

/// What an attempt to extract begins with.
pub(crate) const ATTEMPT_STARTS: [&str; 3] = [
    "Checking for heartbeat timeout reporting...",
    "Running import_data_activity",
    "V3 Pipeline: Extraction starting",
];
pub(crate) const RESUMES: &str =
    "V3 Pipeline: Resumable source detected - attempting to resume previous import";
pub(crate) const RESUMES_INCREMENTAL: &str =
    "V3 Pipeline: Continuing the incremental import after its last queued batch";
pub(crate) const BATCH_INSERTED: &str = "batch_inserted_to_postgres_queue";
pub(crate) const ATTEMPT_FAILED: &str = "V3 Pipeline: Extraction failed";
pub(crate) const CLEANING_UP: &str = "V3 Pipeline: Cleaning up resources";
pub(crate) const FINALIZING: &str = "V3 Pipeline: Finalizing extraction";
pub(crate) const EXTRACTED: &str = "V3 Pipeline: Extraction complete";
pub(crate) const NO_BATCHES: &str = "V3 Pipeline: No batches extracted, skipping finalization";

/// A batch that the loader takes up, until it falls silent over the write.
pub(crate) const BATCH_BEGINS: [&str; 4] = [
    "batch_picked_up",
    "message_received",
    "parquet_file_read",
    "writing_to_delta_lake",
];
pub(crate) const WRITES_SCD2: &str = "writing_scd2_to_delta_lake";
pub(crate) const BATCH_WRITTEN: [&str; 2] =
    ["deltalite write: committed", "batch_written_to_delta_lake"];
pub(crate) const BATCH_DONE: &str = "batch_processed_ok";
pub(crate) const BATCH_RETRIED: &str = "batch_failed_will_retry";
pub(crate) const BATCH_GIVEN_UP: &str = "batch_failed_no_retries_left";
pub(crate) const BATCH_DROPPED: &str = "skipping_batch_for_dead_job";
pub(crate) const POST_LOAD_BEGINS: [&str; 2] = [
    "final_batch_received",
    "Triggering compaction and vacuuming on delta table",
];
pub(crate) const REGISTERS: [&str; 3] = [
    "Updating last synced at timestamp on schema",
    "Setting initial_sync_complete on schema",
    "Validating schema and updating table",
];
pub(crate) const REGISTERED: &str = "Finished validating schema and updating table";
pub(crate) const JOB_DONE: &str = "job_marked_completed";
pub(crate) const JOB_WAS_OVER: &str = "job_completion_suppressed_terminal_status";
pub(crate) const AFTER_THE_END: [&str; 3] = [
    "staged_cursor_promoted",
    "post_import_workflow_started",
    "post_load_operations_complete",
];

pub(crate) const LOCK_RESULT: &str = "v3_pipeline_lock_acquire_result";
pub(crate) const LOCK_IS_HELD: &str = "v3_pipeline_lock_takeover_skipped";
pub(crate) const LOCK_UNCLEAR: &str = "v3_pipeline_lock_takeover_ambiguous";
pub(crate) const LOCK_TAKEN: &str = "v3_pipeline_lock_taking_over";
pub(crate) const STALE_ENDED: &str = "v3_pipeline_stale_running_job_finalized";

pub(crate) const QUEUE_RUN_SKIPPED: &str =
    "Skipping queue run: another run of this schema is running";
pub(crate) const QUEUE_RUN_SKIPPED_REPARTITION: &str =
    "Skipping queue run: a repartition holds this schema's import";
pub(crate) const QUEUE_RUN_HANDED: &str = "Queue run handed to the loader";
pub(crate) const QUEUE_RUN_RETRIED: &str = "Queue run failed, will retry";
pub(crate) const QUEUE_RUN_REQUEUED: &str = "Queue run stopped by a shutdown, requeued";
pub(crate) const QUEUE_RUN_CANCELLED: &str = "Queue run stopped: the run was cancelled";
