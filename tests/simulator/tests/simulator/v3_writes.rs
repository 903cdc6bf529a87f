//! Cancel and reload where runs of v3 are, and what starts find.

use jiff::SignedDuration;
use posthog_simulator::{
    EffectKind, Fault, FaultKind, Harm, Phase, RunPlan, Simulator, V3Plan, Violation,
};
use serde_json::json;

use crate::v3::{messages, phase, seen};
use crate::world::{detail, hours, jobs, logs, mins, post, row, secs, with, with_schemas};

const TAKEN_OVER: &str = "A previous sync run did not shut down cleanly and was still marked as running. PostHog \
                          cleaned it up so syncing can continue. No action is needed.";
const CANCELLED: &str = "Sync cancelled by user";

/// Two runs of one table: the older loads for hours, the newer waits behind it.
const TWO: &str = "- name: orders\n  earlier_runs: [{pipeline: v3, started_ago: 5h, start: 0s, extract: 1h, rows: 90, batches: 9, load_per_batch: 90m}]\n  \
                   run: {pipeline: v3, started_ago: 2h, start: 0s, extract: 1m, load_per_batch: 1m}";

/// One run of a table that loads batches of an hour each.
const LOADS: &str = "- {name: orders, run: {pipeline: v3, started_ago: 3h, start: 0s, extract: 1h, rows: 90, batches: 9, queue: 0s, load_per_batch: 1h}, then: {pipeline: v3}}";

fn harms(posthog: &mut Simulator) -> Vec<(Harm, Option<Phase>)> {
    let taken = posthog.take_violations();
    let both = |violation: &Violation| (violation.harm, violation.phase);
    taken.iter().map(both).collect()
}

fn last(posthog: &mut Simulator) -> String {
    messages(posthog, "orders").pop().unwrap()
}

#[test]
fn a_cancel_hits_the_run_that_waits_and_leaves_the_one_that_loads() {
    let mut posthog = with_schemas(TWO);
    assert_eq!(phase(&posthog, "orders"), Some(Phase::Queued));
    assert_eq!(post(&mut posthog, "orders", "cancel").status, 200);
    let jobs = seen(&mut posthog, "orders");
    assert_eq!(jobs[0], ("Failed".into(), 100, CANCELLED.into()));
    assert_eq!(jobs[1].0, "Running");
    assert_eq!(
        harms(&mut posthog),
        [(Harm::RunCancelled, Some(Phase::Queued))]
    );
    let again = post(&mut posthog, "orders", "cancel");
    assert_eq!(again.status, 400, "{}", detail(&again));
    posthog.advance(hours(12));
    let jobs = seen(&mut posthog, "orders");
    assert_eq!(jobs[0].2, CANCELLED, "its batches are dropped");
    assert_eq!(jobs[1].0, "Completed");
    let said = messages(&mut posthog, "orders");
    assert!(said.contains(&"skipping_batch_for_dead_job".to_owned()));
}

#[test]
fn a_cancelled_run_that_loads_finishes_its_batch_and_drops_the_others() {
    let mut posthog = with_schemas(LOADS);
    post(&mut posthog, "orders", "cancel");
    posthog.advance(mins(90));
    let said = messages(&mut posthog, "orders");
    let ends = said
        .iter()
        .rev()
        .take_while(|line| *line == "skipping_batch_for_dead_job");
    assert_eq!(ends.count(), 6, "three are loaded: {said:?}");
    assert_eq!(seen(&mut posthog, "orders")[0].2, CANCELLED);
    assert_eq!(row(&mut posthog, "orders")["table"], json!(null));
    assert_eq!(
        harms(&mut posthog),
        [(Harm::RunCancelled, Some(Phase::Loading))]
    );
}

#[test]
fn a_reload_right_after_a_cancel_gets_no_lock_while_the_loader_has_the_batch() {
    let mut posthog = with_schemas(LOADS);
    posthog.advance(mins(20));
    post(&mut posthog, "orders", "cancel");
    posthog.take_violations();
    posthog.advance(mins(3));
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(2));
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
    assert_eq!(row(&mut posthog, "orders")["status"], "Running", "painted");
    assert_eq!(last(&mut posthog), "v3_pipeline_lock_acquire_result");
    posthog.advance(hours(1));
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
    assert!(posthog.violations().is_empty());
}

#[test]
fn a_run_without_a_workflow_id_cannot_be_cancelled() {
    let mut posthog =
        with_schemas("- {name: orders, run: {pipeline: v3, extract: 9h, has_workflow_id: false}}");
    let answer = post(&mut posthog, "orders", "cancel");
    assert_eq!(
        (answer.status, detail(&answer).as_str()),
        (400, "No running sync to cancel.")
    );
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Running");
}

#[test]
fn a_cancel_of_an_extracting_run_ends_its_workflow_a_little_later() {
    let mut posthog = with_schemas(
        "- {name: orders, run: {pipeline: v3, extract: 9h, rows: 900, batches: 900, dies: {phase: extracting, after: 30s}}, then: {pipeline: v3}}",
    );
    post(&mut posthog, "orders", "cancel");
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(1));
    assert_eq!(
        jobs(&mut posthog, "orders").len(),
        1,
        "the workflow is not over"
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(10));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
    assert!(posthog.violations().is_empty(), "it was dead");
}

#[test]
fn a_cancel_that_posthog_gets_to_late_hits_the_run_after_the_one_that_was_meant() {
    let mut posthog = with_schemas(
        "- {name: orders, last_synced_ago: 15h, run: {pipeline: v3, started_ago: 14h, extract: 20h, dies: {phase: extracting, workflow: gone}}, then: {pipeline: v3, extract: 1h}}",
    );
    let by = SignedDuration::from_secs(50);
    posthog.add_fault(Fault::once(
        "POST",
        "/cancel/",
        FaultKind::HandledLate { by },
    ));
    let id = posthog.schema_id("orders").unwrap();
    let path = format!("/api/projects/12345/external_data_schemas/{id}/cancel/");
    let request = posthog_simulator::Request::new("POST", &path, "phx_demo");
    let outcome = posthog.handle(&request);
    assert!(outcome.response().is_none(), "nobody waits for so long");
    posthog.start_run(&id).unwrap();
    posthog.advance(secs(40));
    let before = seen(&mut posthog, "orders");
    assert_eq!(
        (before[0].0.as_str(), before[1].2.as_str()),
        ("Running", TAKEN_OVER)
    );
    posthog.advance(secs(20));
    let job = &jobs(&mut posthog, "orders")[0];
    assert_eq!(job["latest_error"], CANCELLED);
    assert_eq!(job["finished_at"], "2026-10-01T12:00:50Z");
    assert_eq!(
        harms(&mut posthog),
        [(Harm::RunCancelled, Some(Phase::Extracting))]
    );
    assert_eq!(posthog.effects_of(EffectKind::Cancelled).len(), 1);
}

#[test]
fn a_cancel_that_posthog_gets_to_late_may_find_nothing_to_cancel() {
    let mut posthog =
        with_schemas("- {name: orders, run: {pipeline: v3, extract: 10s, started_ago: 0s}}");
    let by = SignedDuration::from_mins(5);
    posthog.add_fault(Fault::once(
        "POST",
        "/cancel/",
        FaultKind::HandledLate { by },
    ));
    let id = posthog.schema_id("orders").unwrap();
    let path = format!("/api/projects/12345/external_data_schemas/{id}/cancel/");
    posthog.handle(&posthog_simulator::Request::new("POST", &path, "phx_demo"));
    posthog.advance(mins(10));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
    assert!(posthog.violations().is_empty());
}

#[test]
fn a_start_finds_the_lock_of_a_loading_run_and_makes_no_job() {
    let mut posthog = with_schemas(LOADS);
    let before = logs(&mut posthog, "orders", "limit=500").len();
    assert_eq!(post(&mut posthog, "orders", "reload").status, 200);
    posthog.advance(secs(5));
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
    assert_eq!(row(&mut posthog, "orders")["status"], "Running");
    let lines = logs(&mut posthog, "orders", "limit=500");
    assert_eq!(lines.len(), before + 2);
    assert_eq!(lines[0]["message"], "v3_pipeline_lock_acquire_result");
    assert_eq!(lines[1]["message"], "v3_pipeline_lock_takeover_skipped");
    let run = &jobs(&mut posthog, "orders")[0]["workflow_run_id"];
    assert_ne!(lines[1]["instance_id"], *run, "of a start that has no job");
    assert_eq!(posthog.effects_of(EffectKind::TriggerDeferred).len(), 1);
    posthog.advance(hours(12));
    assert_eq!(row(&mut posthog, "orders")["status"], "Completed");
    assert!(posthog.violations().is_empty());
}

#[test]
fn a_start_while_a_run_extracts_is_skipped_without_a_line() {
    let mut posthog = with_schemas("- {name: orders, run: {pipeline: v3, extract: 9h}}");
    let before = messages(&mut posthog, "orders");
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    assert_eq!(messages(&mut posthog, "orders"), before);
    assert_eq!(posthog.effects_of(EffectKind::TriggerDropped).len(), 1);
    assert!(posthog.violations().is_empty());
}

#[test]
fn posthog_may_not_know_who_holds_the_lock() {
    let mut posthog = with_schemas(LOADS);
    posthog.change_instance(|instance| instance.takeover_ambiguous = true);
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(5));
    let said = messages(&mut posthog, "orders");
    let ends = [
        "v3_pipeline_lock_takeover_ambiguous",
        "v3_pipeline_lock_acquire_result",
    ];
    assert_eq!(said[said.len() - 2..], ends);
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
}

#[test]
fn a_reload_ends_a_healthy_run_that_the_loader_has_not_picked_up_for_six_hours() {
    let scenario = "instance: {loader_down: [{after: 0s, for: 30h}]}\nsources: [{type: Postgres, schemas: [{name: orders, run: {pipeline: v3, started_ago: 1m, start: 0s, extract: 10m, rows: 70}, then: {pipeline: v3, extract: 10m, rows: 5}}]}]";
    let mut posthog = with(scenario);
    posthog.advance(hours(5));
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    assert_eq!(last(&mut posthog), "v3_pipeline_lock_acquire_result");
    assert!(posthog.violations().is_empty());
    posthog.advance(hours(2));
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    let jobs = seen(&mut posthog, "orders");
    assert_eq!(jobs[1], ("Failed".into(), 70, TAKEN_OVER.into()));
    assert_eq!(
        harms(&mut posthog),
        [(Harm::RunFailedByReload, Some(Phase::Queued))]
    );
    posthog.advance(hours(30));
    let jobs = seen(&mut posthog, "orders");
    assert_eq!(jobs[1].0, "Completed", "the loader still finishes it");
    assert_eq!(jobs[0].0, "Completed");
}

#[test]
fn a_workflow_that_ends_without_its_clean_up_leaves_a_dead_run() {
    let mut posthog = with_schemas(
        "- {name: orders, run: {pipeline: v3, extract: 9h, started_ago: 1h}, then: {pipeline: v3}}",
    );
    let id = posthog.schema_id("orders").unwrap();
    posthog.end_workflow(&id).unwrap();
    posthog.advance(hours(20));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Running");
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    let jobs = seen(&mut posthog, "orders");
    assert_eq!(
        (jobs[0].0.as_str(), jobs[1].2.as_str()),
        ("Completed", TAKEN_OVER)
    );
    assert!(posthog.violations().is_empty());
}

#[test]
fn the_schedule_takes_it_over_and_that_is_no_violation() {
    let mut posthog = with(
        "schedule: true\ninstance: {loader_down: [{after: 0s, for: 30h}]}\nsources: [{type: Postgres, schemas: [{name: orders, frequency: 12hour, run: {pipeline: v3, started_ago: 1m, start: 0s, extract: 10m, rows: 70}, then: {pipeline: v3}}]}]",
    );
    posthog.advance(hours(12) + mins(5));
    assert_eq!(seen(&mut posthog, "orders")[1].2, TAKEN_OVER);
    assert!(posthog.violations().is_empty());
}

#[test]
fn a_reload_on_top_of_a_run_whose_lock_was_lost_extracts_beside_it() {
    let mut posthog = with_schemas(LOADS);
    let id = posthog.schema_id("orders").unwrap();
    posthog.lose_lock(&id).unwrap();
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(1));
    assert_eq!(jobs(&mut posthog, "orders").len(), 2);
    assert_eq!(
        harms(&mut posthog),
        [(Harm::RunStartedBeside, Some(Phase::Loading))]
    );
}

#[test]
fn without_the_lock_a_reload_extracts_on_top_of_a_run_that_loads() {
    let mut posthog = with_schemas(LOADS);
    posthog.change_instance(|instance| instance.lock = false);
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(1));
    let jobs = seen(&mut posthog, "orders");
    assert_eq!(jobs.len(), 2);
    assert!(jobs.iter().all(|job| job.0 == "Running"));
    assert_eq!(
        harms(&mut posthog),
        [(Harm::RunStartedBeside, Some(Phase::Loading))]
    );
    assert!(
        !messages(&mut posthog, "orders").contains(&"v3_pipeline_lock_acquire_result".to_owned())
    );
}

#[test]
fn a_reload_in_the_start_up_window_of_a_run_that_temporal_does_not_see_runs_beside_it() {
    let mut posthog = with_schemas(
        "- {name: orders, run: {pipeline: v3, started_ago: 10s, start: 1m, extract: 1h, outside_schedule: true}, then: {pipeline: v3}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(5));
    assert_eq!(jobs(&mut posthog, "orders").len(), 2);
    assert_eq!(
        harms(&mut posthog),
        [(Harm::RunStartedBeside, Some(Phase::Starting))]
    );
}

#[test]
fn a_reload_beside_a_run_that_temporal_does_not_see_gets_no_lock_once_it_extracts() {
    let mut posthog = with_schemas(
        "- {name: orders, run: {pipeline: v3, started_ago: 10m, start: 1m, extract: 1h, outside_schedule: true}, then: {pipeline: v3}}",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(5));
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
    assert_eq!(last(&mut posthog), "v3_pipeline_lock_acquire_result");
    assert!(posthog.violations().is_empty());
}

#[test]
fn a_cancelled_run_holds_its_lock_until_the_loader_has_dropped_its_batches() {
    let mut posthog = with_schemas(
        "- {name: orders, run: {pipeline: v3, started_ago: 1h, start: 0s, extract: 2h, rows: 90, batches: 9, load_per_batch: 1h}, then: {pipeline: v3}}",
    );
    posthog.stop_loader();
    post(&mut posthog, "orders", "cancel");
    posthog.take_violations();
    posthog.advance(mins(5));
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
    posthog.start_loader();
    posthog.advance(secs(10));
    assert_eq!(last(&mut posthog), "skipping_batch_for_dead_job");
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
}

#[test]
fn a_cancel_of_the_newer_of_two_rows_leaves_the_lock_to_the_other() {
    let mut posthog = with_schemas(
        "- {name: orders, sync_type: cdc, cdc_table_mode: both, run: {pipeline: v3, started_ago: 1h, start: 0s, extract: 5m, load_per_batch: 2h}, then: {pipeline: v3}}",
    );
    post(&mut posthog, "orders", "cancel");
    posthog.take_violations();
    let rows = jobs(&mut posthog, "orders");
    assert_eq!(
        (&rows[0]["status"], &rows[1]["status"]),
        (&json!("Failed"), &json!("Running"))
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    assert_eq!(
        jobs(&mut posthog, "orders").len(),
        2,
        "the other row's run has the lock"
    );
    assert!(posthog.violations().is_empty());
}

#[test]
fn any_running_row_keeps_a_queue_run_out_forever() {
    let mut posthog = with(
        "instance: {queue_runs: true}\nsources: [{type: Postgres, schemas: [{name: orders, earlier_runs: [{started_ago: 30h, hangs: {}}], then: {pipeline: v3}}]}]",
    );
    let id = posthog.schema_id("orders").unwrap();
    for day in 0..3 {
        posthog.start_run(&id).unwrap();
        posthog.advance(hours(24));
        let said = messages(&mut posthog, "orders");
        assert_eq!(
            said.last().unwrap(),
            "Skipping queue run: another run of this schema is running"
        );
        assert_eq!(jobs(&mut posthog, "orders").len(), 1, "day {day}");
    }
}

#[test]
fn a_queue_run_logs_that_the_loader_took_it() {
    let mut posthog = with(
        "instance: {queue_runs: true}\nsources: [{type: Postgres, schemas: [{name: orders, then: {pipeline: v3, repartition: 1h, extract: 1m, outside_schedule: true}}]}]",
    );
    let id = posthog.schema_id("orders").unwrap();
    posthog.start_run(&id).unwrap();
    posthog.advance(mins(10));
    posthog.start_run(&id).unwrap();
    posthog.advance(mins(1));
    assert_eq!(
        last(&mut posthog),
        "Skipping queue run: a repartition holds this schema's import"
    );
    posthog.advance(hours(2));
    let said = messages(&mut posthog, "orders");
    assert!(said.contains(&"Queue run handed to the loader".to_owned()));
    assert!(!said.contains(&"v3_pipeline_lock_acquire_result".to_owned()));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
}

#[test]
fn queue_runs_have_words_of_their_own_for_attempts_and_cancels() {
    let mut posthog = with(
        "instance: {queue_runs: true}\nsources: [{type: Postgres, schemas: [{name: orders, run: {pipeline: v3, started_ago: 1h, start: 0s, \
         attempts: [{takes: 10m}, {takes: 10m, handoff: true}], extract: 9h}}]}]",
    );
    let said = messages(&mut posthog, "orders");
    assert!(said.contains(&"Queue run failed, will retry".to_owned()));
    assert!(said.contains(&"Queue run stopped by a shutdown, requeued".to_owned()));
    post(&mut posthog, "orders", "cancel");
    posthog.take_violations();
    assert_eq!(
        last(&mut posthog),
        "Queue run stopped: the run was cancelled"
    );
}

#[test]
fn the_next_start_cleans_up_a_row_that_says_running_with_nothing_behind_it() {
    let mut posthog = with_schemas(
        "- {name: orders, earlier_runs: [{started_ago: 9h, rows: 3, hangs: {}}], jobs: [{started_ago: 5h}], then: {pipeline: v3}}",
    );
    let before = seen(&mut posthog, "orders");
    assert_eq!(
        (before[0].0.as_str(), before[1].0.as_str()),
        ("Completed", "Running")
    );
    let answer = post(&mut posthog, "orders", "cancel");
    assert_eq!(answer.status, 400, "a cancel does not reach it");
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(5));
    assert_eq!(
        seen(&mut posthog, "orders")[2],
        ("Failed".into(), 3, TAKEN_OVER.into())
    );
}

#[test]
fn a_resync_over_a_run_that_loads_cancels_it() {
    let mut posthog = with_schemas(LOADS);
    assert_eq!(post(&mut posthog, "orders", "resync").status, 200);
    assert_eq!(
        harms(&mut posthog),
        [(Harm::RunCancelled, Some(Phase::Loading))]
    );
    let jobs = seen(&mut posthog, "orders");
    assert_eq!(jobs[0].0, "Failed");
    let id = posthog.schema_id("orders").unwrap();
    assert!(posthog.reset_pending(&id));
}

#[test]
fn switching_a_table_off_stops_all_of_its_runs() {
    let mut posthog = with_schemas(TWO);
    let id = posthog.schema_id("orders").unwrap();
    posthog.set_should_sync(&id, false).unwrap();
    posthog.advance(mins(5));
    let text = "Sync stopped because syncing was turned off";
    assert!(seen(&mut posthog, "orders").iter().all(|job| job.2 == text));
}

#[test]
fn a_cancel_of_a_run_that_has_died_or_hangs_does_no_harm() {
    let dead = [
        "{pipeline: v3, started_ago: 9h, extract: 20h, dies: {phase: extracting, after: 1h}}",
        "{pipeline: v3, started_ago: 3h, extract: 1h, queue: 0s, load_per_batch: 5h, dies: {phase: loading, after: 1h}}",
        "{pipeline: v3, started_ago: 65m, start: 0s, extract: 1h, load_per_batch: 1s, load_fails: {batch: 1, error: boom}}",
        "{started_ago: 9h, hangs: {}}",
        "{started_ago: 9h, progresses: {rows_per_second: 1}, on_cancel: job_survives}",
    ];
    for (number, run) in dead.into_iter().enumerate() {
        let mut posthog = with_schemas(&format!("- {{name: orders, run: {run}}}"));
        assert_eq!(seen(&mut posthog, "orders")[0].0, "Running", "{run}");
        assert_eq!(post(&mut posthog, "orders", "cancel").status, 200, "{run}");
        let alive = number == dead.len() - 1;
        assert_eq!(harms(&mut posthog).len(), usize::from(alive), "{run}");
    }
}

#[test]
fn a_plan_can_be_written_in_rust() {
    let mut posthog = with_schemas("- {name: orders}");
    let id = posthog.schema_id("orders").unwrap();
    let plan = V3Plan {
        extract: hours(2),
        rows: 9_000,
        batches: 9,
        ..V3Plan::default()
    };
    posthog.set_next_runs(&id, [RunPlan::from(plan)]).unwrap();
    posthog.start_run(&id).unwrap();
    posthog.advance(hours(1));
    assert_eq!(seen(&mut posthog, "orders")[0].1, 4_000);
}
