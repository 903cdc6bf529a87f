//! Runs of v3: phases, the queue, deaths, and what can be seen of them.

use posthog_simulator::{Phase, Simulator};
use serde_json::{Value, json};

use crate::world::{at, hours, jobs, logs, mins, post, row, secs, with, with_schemas};

/// Messages of a table, oldest first.
pub(crate) fn messages(posthog: &mut Simulator, schema: &str) -> Vec<String> {
    let lines = logs(posthog, schema, "limit=500");
    let text = |line: &Value| line["message"].as_str().unwrap().to_owned();
    lines.iter().rev().map(text).collect()
}

/// Status, rows and text of a table's jobs, newest first.
pub(crate) fn seen(posthog: &mut Simulator, schema: &str) -> Vec<(String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let jobs = jobs(posthog, schema);
    let seen = jobs.iter().map(|job| {
        let rows = job["rows_synced"].as_u64().unwrap();
        (text(&job["status"]), rows, text(&job["latest_error"]))
    });
    seen.collect()
}

pub(crate) fn phase(posthog: &Simulator, schema: &str) -> Option<Phase> {
    let id = posthog.schema_id(schema).unwrap();
    posthog.phase(&posthog.newest_job(&id).unwrap())
}

const RUN: &str = "- {name: orders, last_synced_ago: 9h, rows: 10, then: {pipeline: v3, start: 10s, extract: 2h, \
                   rows: 90, batches: 9, queue: 1h, load_per_batch: 1h, post_load: 20m}}";

#[test]
fn rows_move_while_a_run_extracts_and_not_again_until_it_ends() {
    let mut posthog = with_schemas(RUN);
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(12));
    assert_eq!(phase(&posthog, "orders"), Some(Phase::Extracting));
    posthog.advance(hours(1));
    assert_eq!(seen(&mut posthog, "orders")[0].1, 40);
    posthog.advance(hours(1));
    assert_eq!(phase(&posthog, "orders"), Some(Phase::Queued));
    let mut rows = Vec::new();
    for _ in 0..9 {
        posthog.advance(hours(1));
        rows.push(seen(&mut posthog, "orders")[0].clone());
    }
    let still = ("Running".to_owned(), 90, String::new());
    assert!(rows.iter().all(|row| *row == still), "{rows:?}");
    assert_eq!(phase(&posthog, "orders"), Some(Phase::Loading));
    posthog.advance(hours(2));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
    let row = row(&mut posthog, "orders");
    assert_eq!(row["table"]["row_count"], 100);
    assert_eq!(row["last_synced_at"], "2026-10-01T12:00:01Z");
}

#[test]
fn a_run_writes_the_lines_of_its_phases_and_none_while_it_waits_or_loads_a_batch() {
    let mut posthog = with_schemas(
        "- {name: orders, then: {pipeline: v3, start: 10s, extract: 1h, rows: 5, batches: 2, queue: 2h, load_per_batch: 1h, post_load: 20m}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(1));
    let source = posthog.source_id("prod").unwrap();
    let lines = |posthog: &mut Simulator| messages(posthog, "orders");
    let start = [
        "v3_pipeline_lock_acquire_result".to_owned(),
        format!("Created external data job for external data source {source}"),
    ];
    assert_eq!(lines(&mut posthog), start);
    posthog.advance(hours(2));
    let extracted = lines(&mut posthog);
    assert_eq!(
        extracted[2..],
        [
            "Checking for heartbeat timeout reporting...",
            "Running import_data_activity",
            "V3 Pipeline: Extraction starting",
            "Updating rows_synced with +2",
            "batch_inserted_to_postgres_queue",
            "Updating rows_synced with +3",
            "V3 Pipeline: Finalizing extraction",
            "batch_inserted_to_postgres_queue",
            "V3 Pipeline: Extraction complete",
            "V3 Pipeline: Cleaning up resources",
        ]
    );
    posthog.advance(mins(55));
    assert_eq!(lines(&mut posthog).len(), extracted.len(), "it waits");
    posthog.advance(mins(10));
    let picked = lines(&mut posthog);
    let begins = [
        "batch_picked_up",
        "message_received",
        "parquet_file_read",
        "writing_to_delta_lake",
    ];
    assert_eq!(picked[extracted.len()..], begins);
    posthog.advance(mins(50));
    assert_eq!(lines(&mut posthog).len(), picked.len(), "it loads a batch");
    posthog.advance(mins(10));
    let loaded = lines(&mut posthog);
    let written = ["deltalite write: committed", "batch_written_to_delta_lake"];
    assert_eq!(loaded[picked.len()..picked.len() + 2], written);
    assert_eq!(loaded[picked.len() + 2], "batch_processed_ok");
    assert_eq!(loaded[picked.len() + 3..], begins);
    posthog.advance(hours(3));
    assert_eq!(
        lines(&mut posthog)[loaded.len()..],
        [
            "deltalite write: committed",
            "batch_written_to_delta_lake",
            "final_batch_received",
            "Triggering compaction and vacuuming on delta table",
            "Preparing S3 files - total parquet files: 2",
            "Updating last synced at timestamp on schema",
            "Setting initial_sync_complete on schema",
            "Validating schema and updating table",
            "Finished validating schema and updating table",
            "job_marked_completed",
            "staged_cursor_promoted",
            "post_import_workflow_started",
            "post_load_operations_complete",
            "batch_processed_ok",
        ]
    );
}

#[test]
fn every_line_of_a_run_has_its_instance_and_its_own_time() {
    let mut posthog = with_schemas(RUN);
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(14));
    let run = jobs(&mut posthog, "orders")[0]["workflow_run_id"].clone();
    let lines = logs(&mut posthog, "orders", "limit=500");
    let own: Vec<&Value> = lines
        .iter()
        .filter(|line| line["instance_id"] == run)
        .collect();
    assert_eq!(own.len(), lines.len() - 3, "the past job has three");
    let times: Vec<_> = own
        .iter()
        .map(|line| at(line["timestamp"].as_str().unwrap()))
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] > pair[1]));
    let query = format!("limit=500&instance_id={}", run.as_str().unwrap());
    assert_eq!(logs(&mut posthog, "orders", &query).len(), own.len());
}

#[test]
fn last_synced_at_becomes_the_start_of_the_job_while_it_still_runs() {
    let mut posthog = with_schemas(
        "- {name: orders, last_synced_ago: 9h, then: {pipeline: v3, extract: 1h, load_per_batch: 1h, post_load: 2h}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(2) + mins(30));
    assert_eq!(phase(&posthog, "orders"), Some(Phase::PostLoad));
    assert_eq!(
        row(&mut posthog, "orders")["last_synced_at"],
        "2026-10-01T03:00:00Z"
    );
    posthog.advance(hours(1));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Running");
    assert_eq!(
        row(&mut posthog, "orders")["last_synced_at"],
        "2026-10-01T12:00:01Z"
    );
}

#[test]
fn a_retry_that_does_not_resume_falls_back_to_no_rows() {
    let mut posthog = with_schemas(
        "- {name: orders, then: {pipeline: v3, start: 0s, attempts: [{takes: 1h, batches: 3, wait: 10m}], extract: 1h, rows: 40, batches: 4}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(59));
    assert_eq!(seen(&mut posthog, "orders")[0].1, 30);
    posthog.advance(mins(13));
    assert_eq!(seen(&mut posthog, "orders")[0].1, 0);
    let lines = messages(&mut posthog, "orders");
    let markers: Vec<&String> = lines.iter().filter(|line| line.starts_with("V3")).collect();
    assert_eq!(
        markers,
        [
            "V3 Pipeline: Extraction starting",
            "V3 Pipeline: Extraction failed",
            "V3 Pipeline: Cleaning up resources",
            "V3 Pipeline: Extraction starting",
        ]
    );
    posthog.advance(hours(2));
    assert_eq!(
        seen(&mut posthog, "orders")[0],
        ("Completed".into(), 40, String::new())
    );
}

#[test]
fn an_attempt_that_resumes_keeps_its_rows_and_a_handoff_is_no_failure() {
    let mut posthog = with_schemas(
        "- {name: orders, sync_type: full_refresh, then: {pipeline: v3, start: 0s, attempts: [{takes: 1h, batches: 3, wait: 10m, resumes: true, handoff: true}], extract: 1h, rows: 40, batches: 4}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(72));
    assert_eq!(seen(&mut posthog, "orders")[0].1, 30);
    let lines = messages(&mut posthog, "orders");
    assert!(!lines.contains(&"V3 Pipeline: Extraction failed".to_owned()));
    let resumes = "V3 Pipeline: Resumable source detected - attempting to resume previous import";
    assert!(lines.contains(&resumes.to_owned()));
    posthog.advance(hours(2));
    assert_eq!(
        seen(&mut posthog, "orders")[0],
        ("Completed".into(), 40, String::new())
    );
    assert_eq!(row(&mut posthog, "orders")["table"]["row_count"], 40);
}

#[test]
fn a_slow_page_is_silent_and_alive() {
    let mut posthog = with_schemas(
        "- {name: orders, then: {pipeline: v3, start: 0s, extract: 4h, batches: 4, rows: 40, slow_page: {after: 150m, for: 20h}}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(3));
    let before = (
        seen(&mut posthog, "orders"),
        messages(&mut posthog, "orders"),
    );
    assert_eq!(before.0[0].1, 20);
    posthog.advance(hours(19));
    assert_eq!(
        (
            seen(&mut posthog, "orders"),
            messages(&mut posthog, "orders")
        ),
        before
    );
    let id = posthog.schema_id("orders").unwrap();
    assert!(posthog.run_is_alive(&posthog.newest_job(&id).unwrap()));
    posthog.advance(hours(3));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
}

#[test]
fn a_run_without_rows_is_completed_by_its_workflow() {
    let mut posthog = with_schemas(
        "- {name: orders, last_synced_ago: 9h, then: {pipeline: v3, extract: 1m, rows: 0, batches: 0}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
    let lines = messages(&mut posthog, "orders");
    let none = "V3 Pipeline: No batches extracted, skipping finalization".to_owned();
    assert!(lines.contains(&none));
    assert_eq!(
        row(&mut posthog, "orders")["last_synced_at"],
        "2026-10-01T03:00:00Z"
    );
}

#[test]
fn a_newer_run_waits_behind_an_older_one_and_writes_nothing_until_then() {
    let mut posthog = with_schemas(
        "- name: orders\n  earlier_runs: [{pipeline: v3, started_ago: 10h, extract: 20h, rows: 2000, batches: 20, load_per_batch: 90m}]\n  \
         run: {pipeline: v3, started_ago: 1h, start: 0s, extract: 5m, rows: 7, load_per_batch: 5m}",
    );
    let both = jobs(&mut posthog, "orders");
    let run = both[0]["workflow_run_id"].as_str().unwrap().to_owned();
    let own = format!("limit=500&instance_id={run}");
    let before = logs(&mut posthog, "orders", &own);
    for _ in 0..10 {
        posthog.advance(hours(1));
        assert_eq!(logs(&mut posthog, "orders", &own), before);
        assert_eq!(seen(&mut posthog, "orders")[0].1, 7);
    }
    assert_eq!(phase(&posthog, "orders"), Some(Phase::Queued));
    assert!(seen(&mut posthog, "orders")[1].1 >= 1900);
    posthog.advance(hours(30));
    assert!(
        seen(&mut posthog, "orders")
            .iter()
            .all(|job| job.0 == "Completed")
    );
}

#[test]
fn what_a_failed_run_has_staged_is_loaded_before_the_next_run_if_the_table_is_incremental() {
    let mut posthog = with_schemas(
        "- {name: orders, next_runs: [{pipeline: v3, start: 0s, extract: 1h, rows: 40, batches: 4, queue: 0s, load_per_batch: 1h, fails: {error: boom}}], then: {pipeline: v3, start: 0s, extract: 1m, load_per_batch: 5m}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(61));
    assert_eq!(
        seen(&mut posthog, "orders")[0],
        ("Failed".into(), 40, "boom".into())
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(90));
    assert_eq!(phase(&posthog, "orders"), Some(Phase::Queued));
    let jobs = jobs(&mut posthog, "orders");
    let newest = &logs(&mut posthog, "orders", "limit=1")[0];
    assert_eq!(
        newest["instance_id"], jobs[1]["workflow_run_id"],
        "the failed one drains"
    );
    posthog.advance(hours(2));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
    assert_eq!(seen(&mut posthog, "orders")[1].0, "Failed");
}

#[test]
fn what_a_failed_full_refresh_has_staged_is_dropped() {
    let mut posthog = with_schemas(
        "- {name: orders, sync_type: full_refresh, next_runs: [{pipeline: v3, start: 0s, extract: 1h, rows: 40, batches: 4, queue: 0s, load_per_batch: 1h, fails: {error: boom}}]}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(65));
    let lines = messages(&mut posthog, "orders");
    let dropped = lines
        .iter()
        .filter(|line| *line == "skipping_batch_for_dead_job");
    assert_eq!(dropped.count(), 3);
}

#[test]
fn a_batch_that_fails_is_tried_again_and_given_up_after_three_tries() {
    let plan = |times: u32| {
        format!(
            "- {{name: orders, then: {{pipeline: v3, start: 0s, extract: 1m, rows: 4, batches: 2, load_per_batch: 1m, load_fails: {{batch: 2, times: {times}, error: no space left}}}}}}"
        )
    };
    let mut posthog = with_schemas(&plan(2));
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(30));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
    let lines = messages(&mut posthog, "orders");
    let again = lines
        .iter()
        .filter(|line| *line == "batch_failed_will_retry");
    assert_eq!(again.count(), 2);

    let mut posthog = with_schemas(&plan(3));
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(7));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Running");
    let lines = messages(&mut posthog, "orders");
    assert_eq!(lines.last().unwrap(), "batch_failed_no_retries_left");
    posthog.advance(mins(5));
    assert_eq!(
        seen(&mut posthog, "orders")[0],
        ("Failed".into(), 4, "no space left".into())
    );
}

#[test]
fn the_loader_of_every_table_may_be_down_for_days_and_no_run_is_dead() {
    let mut posthog = with(
        "instance: {loader_down: [{after: 30m, for: 46h}]}\nsources: [{type: Postgres, schemas: [{name: a, copies: 3, then: {pipeline: v3, start: 0s, extract: 1h, rows: 9, batches: 3, load_per_batch: 10m}}]}]",
    );
    let names = ["a_0001", "a_0002", "a_0003"];
    for name in names {
        post(&mut posthog, name, "reload");
    }
    posthog.advance(hours(46));
    for name in names {
        assert_eq!(
            seen(&mut posthog, name)[0],
            ("Running".into(), 9, String::new())
        );
        let id = posthog.schema_id(name).unwrap();
        assert!(posthog.run_is_alive(&posthog.newest_job(&id).unwrap()));
    }
    posthog.advance(hours(2));
    for name in names {
        assert_eq!(seen(&mut posthog, name)[0].0, "Completed", "{name}");
    }
}

#[test]
fn a_batch_of_a_loader_that_goes_down_is_started_again() {
    let mut posthog = with_schemas(
        "- {name: orders, then: {pipeline: v3, start: 0s, extract: 1m, load_per_batch: 1h}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(30));
    posthog.stop_loader();
    posthog.advance(hours(3));
    posthog.start_loader();
    posthog.advance(mins(50));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Running");
    posthog.advance(mins(20));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
    let lines = messages(&mut posthog, "orders");
    let picked = lines.iter().filter(|line| *line == "batch_picked_up");
    assert_eq!(picked.count(), 2);
}

#[test]
fn a_run_that_died_while_extracting_says_nothing_more_and_stays_running() {
    let mut posthog = with_schemas(
        "- {name: orders, then: {pipeline: v3, start: 0s, extract: 4h, rows: 40, batches: 4, load_per_batch: 5m, dies: {phase: extracting, after: 150m}}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(3));
    let before = (
        seen(&mut posthog, "orders"),
        messages(&mut posthog, "orders"),
    );
    assert_eq!(before.0[0].1, 20);
    posthog.advance(hours(100));
    assert_eq!(
        (
            seen(&mut posthog, "orders"),
            messages(&mut posthog, "orders")
        ),
        before
    );
    let id = posthog.schema_id("orders").unwrap();
    assert!(!posthog.run_is_alive(&posthog.newest_job(&id).unwrap()));
}

#[test]
fn a_start_takes_over_from_a_dead_run_whose_workflow_has_ended_and_not_from_one_that_is_wedged() {
    for (workflow, taken_over) in [("gone", true), ("wedged", false)] {
        let mut posthog = with_schemas(&format!(
            "- {{name: orders, next_runs: [{{pipeline: v3, start: 0s, extract: 4h, rows: 40, batches: 4, load_per_batch: 5m, dies: {{phase: extracting, after: 150m, workflow: {workflow}}}}}], then: {{pipeline: v3}}}}"
        ));
        post(&mut posthog, "orders", "reload");
        posthog.advance(hours(5));
        post(&mut posthog, "orders", "reload");
        posthog.advance(mins(10));
        let jobs = seen(&mut posthog, "orders");
        assert_eq!(jobs.len(), if taken_over { 2 } else { 1 }, "{workflow}");
        if taken_over {
            assert!(
                jobs[1]
                    .2
                    .starts_with("A previous sync run did not shut down cleanly")
            );
            let lines = messages(&mut posthog, "orders");
            assert!(lines.contains(&"v3_pipeline_lock_taking_over".to_owned()));
            assert!(lines.contains(&"v3_pipeline_stale_running_job_finalized".to_owned()));
        }
        assert!(posthog.violations().is_empty());
    }
}

#[test]
fn the_sweep_ends_a_run_whose_batches_the_loader_has_not_touched_for_six_hours() {
    let mut posthog = with_schemas(
        "- {name: orders, then: {pipeline: v3, start: 0s, extract: 1h, load_per_batch: 1h, dies: {phase: loading, after: 30m}}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(6) + mins(55));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Running");
    posthog.advance(mins(10));
    let text = "run abandoned before completion (no loader progress; reconciled from queue)";
    assert_eq!(
        seen(&mut posthog, "orders")[0],
        ("Failed".into(), 100, text.into())
    );
}

#[test]
fn progress_anywhere_in_a_table_spares_its_other_runs_from_the_sweep() {
    let mut posthog = with_schemas(
        "- name: orders\n  earlier_runs: [{pipeline: v3, started_ago: 1h, start: 0s, extract: 30m, rows: 90, batches: 9, load_per_batch: 2h}]\n  \
         run: {pipeline: v3, started_ago: 20m, start: 0s, extract: 1m, load_per_batch: 1m}",
    );
    posthog.advance(hours(17));
    assert!(
        seen(&mut posthog, "orders")
            .iter()
            .all(|job| job.0 == "Running")
    );
    posthog.advance(hours(2));
    assert!(
        seen(&mut posthog, "orders")
            .iter()
            .all(|job| job.0 == "Completed")
    );
}

#[test]
fn a_run_that_the_loader_never_picks_up_is_swept_too() {
    let mut posthog =
        with_schemas("- {name: orders, then: {pipeline: v3, start: 0s, extract: 1h, queue: 30h}}");
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(6) + mins(55));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Running");
    posthog.advance(mins(10));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Failed");
}

#[test]
fn no_sweep_sees_a_run_that_has_nothing_left_in_the_queue() {
    let mut posthog = with_schemas(
        "- {name: orders, then: {pipeline: v3, start: 0s, extract: 1h, load_per_batch: 1m, dies: {phase: ending}}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(300));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Running");
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(10));
    let jobs = seen(&mut posthog, "orders");
    assert!(
        jobs[1]
            .2
            .starts_with("A previous sync run did not shut down cleanly")
    );
}

#[test]
fn rows_of_the_queue_are_thrown_away_after_a_week() {
    let mut posthog = with(
        "instance: {loader_down: [{after: 0s}]}\nsources: [{type: Postgres, schemas: [{name: orders, then: {pipeline: v3}}]}]",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(8 * 24));
    let text = "batches aged out of retention without being processed";
    assert_eq!(seen(&mut posthog, "orders")[0].2, text);
}

#[test]
fn an_instance_may_keep_the_loaders_lines_to_itself_or_all_of_them() {
    for (lines, loader, producer) in [
        ("all", true, true),
        ("no_loader", false, true),
        ("none", false, false),
    ] {
        let mut posthog = with(&format!(
            "instance: {{lines: {lines}}}\nsources: [{{type: Postgres, schemas: [{{name: orders, then: {{pipeline: v3}}}}]}}]"
        ));
        post(&mut posthog, "orders", "reload");
        posthog.advance(hours(1));
        let said = messages(&mut posthog, "orders");
        assert_eq!(
            said.contains(&"batch_processed_ok".to_owned()),
            loader,
            "{lines}"
        );
        assert_eq!(
            said.contains(&"V3 Pipeline: Extraction complete".to_owned()),
            producer,
            "{lines}"
        );
        assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
    }
}

#[test]
fn the_extraction_of_a_run_that_is_not_billed_has_another_id() {
    let mut posthog = with_schemas("- {name: orders, then: {pipeline: v3, billable: false}}");
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(1));
    assert_eq!(jobs(&mut posthog, "orders")[0]["billable"], false);
    let said = messages(&mut posthog, "orders");
    assert!(said.contains(&"batch_processed_ok".to_owned()));
    assert!(!said.iter().any(|line| line.starts_with("V3 Pipeline")));
}

#[test]
fn a_job_row_shows_what_the_run_is_for() {
    let mut posthog = with_schemas(
        "- {name: orders, run: {pipeline: v3, started_ago: 1m, extract: 9h, cdc_write_mode: incremental_merge, destination_ids: [d1, d2], has_workflow_id: false}}",
    );
    let job = &jobs(&mut posthog, "orders")[0];
    assert_eq!(job["cdc_write_mode"], "incremental_merge");
    assert_eq!(job["destination_ids"], json!(["d1", "d2"]));
    assert_eq!(job["workflow_run_id"], json!(null));
}

#[test]
fn a_sync_into_two_tables_makes_two_rows() {
    let mut posthog = with_schemas(
        "- {name: orders, sync_type: cdc, cdc_table_mode: both, rows: 5, then: {pipeline: v3, extract: 1h, rows: 10}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    let rows = jobs(&mut posthog, "orders");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["workflow_run_id"], rows[1]["workflow_run_id"]);
    let modes = [&rows[0]["cdc_write_mode"], &rows[1]["cdc_write_mode"]];
    assert_eq!(modes, [&json!("scd2_append"), &json!("incremental_merge")]);
    assert!(rows.iter().all(|job| job["status"] == "Running"));
    posthog.advance(hours(2));
    assert!(
        seen(&mut posthog, "orders")
            .iter()
            .all(|job| job.0 == "Completed")
    );
    assert_eq!(row(&mut posthog, "orders")["table"]["row_count"], 15);
    assert!(messages(&mut posthog, "orders").contains(&"writing_scd2_to_delta_lake".to_owned()));
}

#[test]
fn a_run_in_flight_is_where_its_plan_says() {
    let mut posthog = with_schemas(
        "- {name: orders, frequency: 24hour, earlier_runs: [{pipeline: v3, started_ago: 25h, rows: 50}], run: {pipeline: v3, started_ago: 5h, start: 0s, extract: 2h, rows: 90, batches: 3, queue: 1h, load_per_batch: 90m}}",
    );
    assert_eq!(phase(&posthog, "orders"), Some(Phase::Loading));
    let jobs = seen(&mut posthog, "orders");
    assert_eq!(jobs[0], ("Running".into(), 90, String::new()));
    assert_eq!(jobs[1], ("Completed".into(), 50, String::new()));
    let row = row(&mut posthog, "orders");
    assert_eq!(row["status"], "Running");
    assert_eq!(row["table"]["row_count"], 50);
    let newest = &logs(&mut posthog, "orders", "limit=1")[0];
    assert_eq!(newest["message"], "writing_to_delta_lake");
    assert!(newest["timestamp"].as_str().unwrap() < "2026-10-01T11:31");
    assert_eq!(posthog.now(), at("2026-10-01T12:00:00Z"));
}

#[test]
fn a_run_can_be_killed_in_any_phase() {
    for (passed, phase_then) in [
        (mins(1), Phase::Repartitioning),
        (mins(70), Phase::Extracting),
        (mins(190), Phase::Queued),
        (mins(250), Phase::Loading),
        (mins(310), Phase::PostLoad),
    ] {
        let mut posthog = with_schemas(
            "- {name: orders, then: {pipeline: v3, repartition: 1h, extract: 2h, queue: 1h, load_per_batch: 1h, post_load: 1h}}",
        );
        post(&mut posthog, "orders", "reload");
        posthog.advance(passed);
        assert_eq!(phase(&posthog, "orders"), Some(phase_then));
        let id = posthog.schema_id("orders").unwrap();
        let job = posthog.newest_job(&id).unwrap();
        assert!(posthog.run_is_alive(&job));
        posthog.kill_run(&id).unwrap();
        assert!(!posthog.run_is_alive(&job));
        let before = messages(&mut posthog, "orders");
        posthog.advance(hours(5));
        assert_eq!(messages(&mut posthog, "orders"), before, "{phase_then:?}");
        assert_eq!(
            seen(&mut posthog, "orders")[0].0,
            "Running",
            "{phase_then:?}"
        );
    }
}

#[test]
fn runs_of_v3_come_out_the_same_however_time_is_cut_up() {
    let play = |steps: i64| {
        let mut posthog = with(
            "schedule: true\ninstance: {loader_down: [{after: 3h, for: 8h}]}\nsources: [{type: Postgres, schemas: [\
             {name: a, frequency: 1hour, then: {pipeline: v3, extract: 20m, rows: 90, batches: 9, load_per_batch: 9m}}, \
             {name: b, frequency: 6hour, then: {pipeline: v3, extract: 2h, rows: 90, batches: 9, dies: {phase: loading, after: 70m}}}, \
             {name: c, frequency: 6hour, then: {pipeline: v3, extract: 2h, rows: 90, batches: 9, dies: {phase: extracting, after: 70m, workflow: gone}}}]}]",
        );
        for _ in 0..steps {
            posthog.advance(mins(48 * 60 / steps));
        }
        ["a", "b", "c"].map(|name| {
            (
                jobs(&mut posthog, name),
                logs(&mut posthog, name, "limit=500"),
            )
        })
    };
    let whole = play(1);
    assert!(whole.iter().all(|(jobs, _)| jobs.len() > 3));
    assert_eq!(whole, play(2880));
}

#[test]
fn the_clock_of_the_logs_may_differ_from_that_of_the_jobs() {
    let mut posthog = with(
        "instance: {log_clock_ahead: -90s}\nsources: [{type: Postgres, schemas: [{name: orders, run: {pipeline: v3, started_ago: 1m, extract: 9h}}]}]",
    );
    assert_eq!(
        jobs(&mut posthog, "orders")[0]["created_at"],
        "2026-10-01T11:59:00Z"
    );
    let first = logs(&mut posthog, "orders", "").pop().unwrap();
    assert_eq!(first["timestamp"], "2026-10-01T11:57:30Z");
}

#[test]
fn lines_are_dropped_after_ninety_days() {
    let mut posthog = with_schemas("- {name: orders, run: {pipeline: v3, started_ago: 1m}}");
    posthog.advance(hours(90 * 24 - 1));
    assert!(!messages(&mut posthog, "orders").is_empty());
    posthog.advance(hours(2));
    assert!(messages(&mut posthog, "orders").is_empty());
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
}

#[test]
fn a_long_log_is_read_five_hundred_lines_at_a_time() {
    let mut posthog = with_schemas(
        "- {name: orders, run: {pipeline: v3, started_ago: 1m, start: 0s, extract: 10h, rows: 900, batches: 300, load_per_batch: 1s}}",
    );
    posthog.advance(hours(11));
    let newest = logs(&mut posthog, "orders", "limit=500");
    assert_eq!(newest.len(), 500);
    let mut all = newest;
    loop {
        let oldest = all.last().unwrap()["timestamp"]
            .as_str()
            .unwrap()
            .to_owned();
        let next = logs(
            &mut posthog,
            "orders",
            &format!("limit=500&before={oldest}"),
        );
        if next.is_empty() {
            break;
        }
        all.extend(next);
    }
    let inserted = |line: &&Value| line["message"] == "batch_inserted_to_postgres_queue";
    assert_eq!(all.iter().filter(inserted).count(), 300);
    let first = all.last().unwrap()["timestamp"]
        .as_str()
        .unwrap()
        .to_owned();
    let later = logs(&mut posthog, "orders", &format!("limit=500&after={first}"));
    assert_eq!(later[0], all[0], "newest first also with `after`");
}
