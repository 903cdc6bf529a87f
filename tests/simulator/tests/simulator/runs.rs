//! Runs: what rows, logs and statuses do while time passes.

use posthog_simulator::{EffectKind, RunPlan, Trigger};
use serde_json::json;

use crate::world::{at, hours, jobs, logs, mins, post, row, secs, with, with_schemas};

#[test]
fn a_hung_run_has_neither_new_rows_nor_new_log_lines() {
    let mut posthog =
        with_schemas("- {name: orders, run: {started_ago: 9h, rows: 5000, hangs: {}}}");
    let before = (
        jobs(&mut posthog, "orders"),
        logs(&mut posthog, "orders", ""),
    );
    posthog.advance(hours(3));
    assert_eq!(
        (
            jobs(&mut posthog, "orders"),
            logs(&mut posthog, "orders", "")
        ),
        before
    );
    assert_eq!(before.1.len(), 1);
}

#[test]
fn a_run_may_work_for_a_while_and_then_hang() {
    let mut posthog =
        with_schemas("- {name: orders, next_runs: [{hangs: {after: 10m, rows: 6000}}]}");
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(1));
    posthog.advance(mins(5));
    assert_eq!(jobs(&mut posthog, "orders")[0]["rows_synced"], 3000);
    posthog.advance(hours(5));
    assert_eq!(jobs(&mut posthog, "orders")[0]["rows_synced"], 6000);
    let newest = &logs(&mut posthog, "orders", "limit=1")[0];
    assert_eq!(newest["timestamp"], "2026-10-01T12:09:31Z");
}

#[test]
fn a_load_phase_writes_log_lines_without_new_rows() {
    let mut posthog = with_schemas(
        "- {name: orders, run: {started_ago: 9h, rows: 5000, logs_only: {log_every: 1m}}}",
    );
    let before = logs(&mut posthog, "orders", "").len();
    posthog.advance(mins(10));
    assert_eq!(jobs(&mut posthog, "orders")[0]["rows_synced"], 5000);
    assert!(logs(&mut posthog, "orders", "").len() > before + 8);
}

#[test]
fn last_synced_at_is_the_start_of_the_last_success_and_not_its_end() {
    let mut posthog =
        with_schemas("- {name: orders, next_runs: [{completes: {after: 2h, rows: 7}}]}");
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(3));
    let job = &jobs(&mut posthog, "orders")[0];
    assert_eq!(
        (&job["created_at"], &job["finished_at"]),
        (
            &json!("2026-10-01T12:00:01Z"),
            &json!("2026-10-01T14:00:01Z")
        )
    );
    assert_eq!(
        row(&mut posthog, "orders")["last_synced_at"],
        "2026-10-01T12:00:01Z"
    );
}

#[test]
fn a_success_clears_the_error_and_a_reload_does_not() {
    let mut posthog = with_schemas("- {name: orders, status: Failed, latest_error: boom}");
    post(&mut posthog, "orders", "reload");
    assert_eq!(row(&mut posthog, "orders")["latest_error"], "boom");
    posthog.advance(secs(10));
    assert_eq!(row(&mut posthog, "orders")["latest_error"], json!(null));
}

#[test]
fn a_failure_that_a_retry_cannot_fix_disables_the_schema_with_a_friendly_text() {
    let mut posthog = with_schemas(
        "- name: orders\n  last_synced_ago: 9h\n  then: {fails: {after: 5s, error: 'password authentication failed', \
         friendly: The database rejected the username or password., non_retryable: true}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(10));
    let row = row(&mut posthog, "orders");
    assert_eq!(
        (&row["should_sync"], &row["status"]),
        (&json!(false), &json!("Failed"))
    );
    assert_eq!(
        row["latest_error"],
        "The database rejected the username or password."
    );
    assert_eq!(
        jobs(&mut posthog, "orders")[0]["latest_error"],
        "password authentication failed"
    );
    assert_eq!(posthog.effects_of(EffectKind::AutoDisabled).len(), 1);
}

#[test]
fn a_run_at_the_billing_limit_keeps_the_old_error_text() {
    let mut posthog = with_schemas(
        "- {name: orders, status: Failed, latest_error: boom, then: {billing_limit: {after: 5s}}}",
    );
    assert_eq!(post(&mut posthog, "orders", "reload").status, 200);
    posthog.advance(secs(10));
    let row = row(&mut posthog, "orders");
    assert_eq!(
        (&row["status"], &row["latest_error"]),
        (&json!("Billing limits"), &json!("boom"))
    );
}

#[test]
fn posthogs_own_sweep_may_end_a_hung_run() {
    let mut posthog = with_schemas("- {name: orders, next_runs: [{hangs: {swept_after: 6h}}]}");
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(7));
    let job = &jobs(&mut posthog, "orders")[0];
    assert_eq!(
        (&job["status"], &job["latest_error"]),
        (
            &json!("Failed"),
            &json!("Sync got stuck and was reset by PostHog")
        )
    );
}

#[test]
fn schedules_start_runs_only_if_the_scenario_has_them() {
    let mut silent = with_schemas("- {name: orders, frequency: 1hour, last_synced_ago: 30m}");
    silent.advance(hours(10));
    assert_eq!(jobs(&mut silent, "orders").len(), 1);

    let mut posthog = with(
        "schedule: true\nsources: [{schemas: [{name: orders, frequency: 1hour, last_synced_ago: 30m}, {name: silent, last_synced_ago: 30m, schedule: false}]}]",
    );
    posthog.advance(hours(10));
    assert_eq!(jobs(&mut posthog, "orders").len(), 11);
    assert_eq!(jobs(&mut posthog, "silent").len(), 1);
    assert!(
        posthog
            .effects_of(EffectKind::RunStarted)
            .iter()
            .all(|run| run.trigger == Some(Trigger::Schedule))
    );
}

#[test]
fn the_same_calls_give_the_same_ids_however_time_is_cut_up() {
    let play = |steps: i64| {
        let mut posthog = with(
            "schedule: true\nsources: [{schemas: [{name: a, frequency: 5min}, {name: b, frequency: 15min}]}]",
        );
        for _ in 0..steps {
            posthog.advance(mins(60 / steps));
        }
        (jobs(&mut posthog, "a"), jobs(&mut posthog, "b"))
    };
    assert_eq!(play(1), play(60));
}

#[test]
fn time_set_back_undoes_nothing() {
    let mut posthog = with_schemas("- {name: orders}");
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    posthog.set_now(at("2026-10-01T11:00:00Z"));
    assert_eq!(jobs(&mut posthog, "orders")[0]["status"], "Completed");
}

#[test]
fn logs_are_newest_first_and_can_be_narrowed() {
    let mut posthog = with_schemas(
        "- {name: orders, last_synced_ago: 2h, run: {started_ago: 1h, progresses: {rows_per_second: 1, log_every: 1m}}}",
    );
    posthog.advance(mins(10));
    let all = logs(&mut posthog, "orders", "");
    assert!(
        all.windows(2)
            .all(|pair| pair[0]["timestamp"].as_str() >= pair[1]["timestamp"].as_str())
    );
    let run = jobs(&mut posthog, "orders")[0]["workflow_run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let of_run = logs(&mut posthog, "orders", &format!("instance_id={run}"));
    assert_eq!(of_run.len(), all.len() - 3);
    assert_eq!(
        logs(&mut posthog, "orders", "after=2026-10-01T12:08:30Z").len(),
        1
    );
    assert_eq!(logs(&mut posthog, "orders", "level=error,warning").len(), 0);
    assert_eq!(logs(&mut posthog, "orders", "search=HEARTBEAT").len(), 2);
}

#[test]
fn the_count_of_logs_is_that_within_the_limit_and_not_of_all() {
    let mut posthog = with_schemas(
        "- {name: orders, run: {started_ago: 1h, progresses: {rows_per_second: 1, log_every: 1m}}}",
    );
    posthog.advance(hours(3));
    let id = posthog.schema_id("orders").unwrap();
    let page = crate::world::get(
        &mut posthog,
        &format!("external_data_schemas/{id}/logs/?limit=5"),
    );
    assert_eq!((&page["count"], &page["next"]), (&json!(5), &json!(null)));
    let answer = crate::world::send(
        &mut posthog,
        "GET",
        &format!("external_data_schemas/{id}/logs/?limit=501"),
    );
    assert_eq!(
        (answer.status, &answer.value()["attr"]),
        (400, &json!("limit"))
    );
}

#[test]
fn a_log_line_can_be_written_between_two_reads() {
    let mut posthog = with_schemas("- {name: orders, run: {started_ago: 9h, hangs: {}}}");
    let id = posthog.schema_id("orders").unwrap();
    posthog.write_log(&id, "still here").unwrap();
    assert_eq!(
        logs(&mut posthog, "orders", "limit=1")[0]["message"],
        "still here"
    );
}

#[test]
fn a_long_log_stays_affordable() {
    let mut posthog = with_schemas(
        "- {name: orders, next_runs: [{progresses: {rows_per_second: 1, log_every: 1s}}]}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(24 * 60));
    assert_eq!(
        logs(&mut posthog, "orders", "limit=1")[0]["timestamp"],
        "2026-11-30T11:59:59Z"
    );
    let plan = RunPlan::completes(secs(1), 1);
    let id = posthog.schema_id("orders").unwrap();
    posthog.change_run(&id, plan).unwrap();
    posthog.advance(secs(2));
    assert_eq!(jobs(&mut posthog, "orders")[0]["status"], "Completed");
}

#[test]
fn the_next_run_cleans_up_after_a_workflow_that_died() {
    let mut posthog =
        with_schemas("- {name: orders, run: {started_ago: 9h, progresses: {rows_per_second: 1}}}");
    let id = posthog.schema_id("orders").unwrap();
    posthog.change_run(&id, RunPlan::hangs()).unwrap();
    posthog.end_workflow(&id).unwrap();
    posthog.advance(hours(1));
    assert_eq!(jobs(&mut posthog, "orders")[0]["status"], "Running");
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(2));
    let jobs = jobs(&mut posthog, "orders");
    assert_eq!(
        (&jobs[0]["status"], &jobs[1]["status"]),
        (&json!("Running"), &json!("Failed"))
    );
    assert!(
        jobs[1]["latest_error"]
            .as_str()
            .unwrap()
            .starts_with("A previous sync run did not shut down")
    );
}
