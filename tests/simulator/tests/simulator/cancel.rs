//! Cancel: what it answers, and what it does.

use posthog_simulator::{EffectKind, Status};

use crate::world::{detail, hours, jobs, post, row, secs, with_schemas};

const HUNG: &str =
    "- {name: orders, last_synced_ago: 15h, run: {started_ago: 9h, rows: 5000, hangs: {}}}";

fn hung(on_cancel: &str) -> posthog_simulator::Simulator {
    with_schemas(&format!(
        "- {{name: orders, last_synced_ago: 15h, run: {{started_ago: 9h, rows: 5000, hangs: {{}}, on_cancel: {on_cancel}}}}}"
    ))
}

#[test]
fn a_cancelled_run_is_failed_and_there_is_no_status_cancelled() {
    let mut posthog = with_schemas(HUNG);
    let answer = post(&mut posthog, "orders", "cancel");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let job = &jobs(&mut posthog, "orders")[0];
    assert_eq!(job["status"], "Failed");
    assert_eq!(job["latest_error"], "Sync cancelled by user");
    assert_eq!(job["rows_synced"], 5000);
    assert_eq!(row(&mut posthog, "orders")["status"], "Failed");
    assert_eq!(
        row(&mut posthog, "orders")["latest_error"],
        "Sync cancelled by user"
    );
    assert_eq!(posthog.cancels_of(job["id"].as_str().unwrap()), 1);
}

#[test]
fn a_second_cancel_finds_nothing_to_cancel() {
    let mut posthog = with_schemas(HUNG);
    post(&mut posthog, "orders", "cancel");
    let again = post(&mut posthog, "orders", "cancel");
    assert_eq!(
        (again.status, detail(&again).as_str()),
        (400, "No running sync to cancel.")
    );
    assert_eq!(
        again.value().get("code"),
        None,
        "a hand-made body has no code"
    );
    assert_eq!(posthog.effects_of(EffectKind::Cancelled).len(), 1);
}

#[test]
fn cancel_hits_the_newest_job() {
    let mut posthog = with_schemas(HUNG);
    let id = posthog.schema_id("orders").unwrap();
    let seen = posthog.newest_job(&id).unwrap();
    post(&mut posthog, "orders", "cancel");
    posthog.advance(secs(30));
    posthog
        .set_next_runs(&id, [posthog_simulator::RunPlan::progresses(10)])
        .unwrap();
    posthog.start_run(&id).unwrap();
    posthog.advance(secs(5));
    post(&mut posthog, "orders", "cancel");
    assert_eq!(posthog.cancels_of(&seen), 1);
    assert_eq!(posthog.cancels_of(&posthog.newest_job(&id).unwrap()), 1);
}

#[test]
fn a_phantom_run_is_healed_by_cancel_with_200() {
    let mut posthog = with_schemas("- {name: orders, last_synced_ago: 15h, phantom: true}");
    assert_eq!(row(&mut posthog, "orders")["status"], "Running");
    let answer = post(&mut posthog, "orders", "cancel");
    assert_eq!(answer.status, 200);
    assert_eq!(
        detail(&answer),
        "No sync was running. The sync status has been updated."
    );
    assert_eq!(row(&mut posthog, "orders")["status"], "Completed");
}

#[test]
fn a_phantom_run_without_any_job_is_healed_to_failed() {
    let mut posthog = with_schemas("- {name: orders, phantom: true}");
    post(&mut posthog, "orders", "cancel");
    assert_eq!(row(&mut posthog, "orders")["status"], "Failed");
}

#[test]
fn a_schema_that_does_not_run_cannot_be_cancelled() {
    let mut posthog = with_schemas("- {name: orders, last_synced_ago: 1h}");
    assert_eq!(post(&mut posthog, "orders", "cancel").status, 400);
}

#[test]
fn a_workflow_may_survive_its_cancel_and_swallow_every_reload() {
    let mut posthog = hung("workflow_survives");
    assert_eq!(post(&mut posthog, "orders", "cancel").status, 200);
    posthog.advance(hours(5));
    assert_eq!(post(&mut posthog, "orders", "reload").status, 200);
    posthog.advance(hours(5));
    assert_eq!(row(&mut posthog, "orders")["status"], "Running");
    assert_eq!(
        jobs(&mut posthog, "orders").len(),
        2,
        "no new job beside the success and the cancelled one"
    );
    assert_eq!(posthog.effects_of(EffectKind::TriggerDropped).len(), 1);
    let id = posthog.schema_id("orders").unwrap();
    posthog.end_workflow(&id).unwrap();
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(10));
    assert_eq!(posthog.reloads_that_started(&id).len(), 1);
}

#[test]
fn a_job_may_stay_running_although_its_cancel_was_answered_200() {
    let mut posthog = hung("job_survives");
    assert_eq!(post(&mut posthog, "orders", "cancel").status, 200);
    assert_eq!(jobs(&mut posthog, "orders")[0]["status"], "Running");
    assert_eq!(posthog.effects_of(EffectKind::Cancelled).len(), 0);
    assert_eq!(posthog.effects_of(EffectKind::CancelIgnored).len(), 1);
}

#[test]
fn a_run_may_finish_just_before_its_cancel() {
    let mut posthog = hung("already_finished");
    let answer = post(&mut posthog, "orders", "cancel");
    assert_eq!(
        (answer.status, detail(&answer).as_str()),
        (400, "The sync already finished.")
    );
    assert_eq!(jobs(&mut posthog, "orders")[0]["status"], "Completed");
}

#[test]
fn a_cancel_may_be_refused() {
    let mut posthog = hung("refused");
    let answer = post(&mut posthog, "orders", "cancel");
    assert_eq!(
        (answer.status, detail(&answer).as_str()),
        (400, "Could not cancel the running sync. Please try again.")
    );
    assert_eq!(jobs(&mut posthog, "orders")[0]["status"], "Running");
}

#[test]
fn a_cancel_does_not_count_as_a_failed_run() {
    let mut posthog = with_schemas(
        "- {name: orders, failed_in_a_row: 4, status: Failed, run: {started_ago: 9h, hangs: {}}}",
    );
    let id = posthog.schema_id("orders").unwrap();
    post(&mut posthog, "orders", "cancel");
    posthog.advance(secs(30));
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(2));
    assert_eq!(posthog.reloads_that_started(&id).len(), 1);
    assert_eq!(posthog.status(&id), Some(Status::Running));
}
