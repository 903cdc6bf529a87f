//! Reload: 200 says little.

use posthog_simulator::{EffectKind, Status, Trigger};

use crate::world::{detail, hours, jobs, mins, post, row, secs, send, with, with_schemas};

#[test]
fn a_job_appears_a_moment_after_the_reload_and_not_with_it() {
    let mut posthog = with_schemas("- {name: orders, last_synced_ago: 15h, rows: 10}");
    let answer = post(&mut posthog, "orders", "reload");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(row(&mut posthog, "orders")["status"], "Running");
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
    posthog.advance(secs(1));
    assert_eq!(jobs(&mut posthog, "orders")[0]["status"], "Running");
    posthog.advance(secs(5));
    assert_eq!(jobs(&mut posthog, "orders")[0]["status"], "Completed");
    assert_eq!(row(&mut posthog, "orders")["table"]["row_count"], 110);
}

#[test]
fn a_reload_while_a_run_is_in_flight_is_dropped_and_answered_200() {
    let mut posthog =
        with_schemas("- {name: orders, run: {started_ago: 1h, progresses: {rows_per_second: 1}}}");
    assert_eq!(post(&mut posthog, "orders", "reload").status, 200);
    posthog.advance(mins(10));
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
    assert_eq!(posthog.effects_of(EffectKind::TriggerDropped).len(), 1);
}

#[test]
fn a_reload_right_after_a_cancel_is_dropped_and_paints_running() {
    let mut posthog = with_schemas("- {name: orders, run: {started_ago: 9h, hangs: {}}}");
    post(&mut posthog, "orders", "cancel");
    posthog.advance(secs(5));
    assert_eq!(post(&mut posthog, "orders", "reload").status, 200);
    posthog.advance(mins(30));
    assert_eq!(row(&mut posthog, "orders")["status"], "Running");
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
    assert_eq!(post(&mut posthog, "orders", "reload").status, 200);
    posthog.advance(secs(30));
    assert_eq!(jobs(&mut posthog, "orders")[0]["status"], "Completed");
}

#[test]
fn one_paused_schema_blocks_every_reload_of_its_project() {
    let mut posthog =
        with_schemas("- {name: orders, last_synced_ago: 1h}\n- {name: legacy, status: Paused}");
    let answer = post(&mut posthog, "orders", "reload");
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.value()["message"],
        "Monthly sync limit reached. Please increase your billing limit to resume syncing."
    );
    assert_eq!(answer.value().as_object().unwrap().len(), 1);
}

#[test]
fn a_schema_without_a_frequency_cannot_be_reloaded() {
    let mut posthog = with_schemas("- {name: orders, frequency: null}");
    let answer = post(&mut posthog, "orders", "reload");
    assert_eq!(
        (answer.status, answer.value()["type"].as_str()),
        (400, Some("validation_error"))
    );
    assert!(detail(&answer).starts_with("This table has no sync frequency"));
}

#[test]
fn a_start_that_temporal_refuses_is_400_and_paints_nothing() {
    let mut posthog = with_schemas("- {name: orders, last_synced_ago: 1h, trigger_fails: true}");
    let answer = post(&mut posthog, "orders", "reload");
    assert_eq!(
        (answer.status, detail(&answer).as_str()),
        (400, "Couldn't start the sync. Try again in a few minutes.")
    );
    assert_eq!(row(&mut posthog, "orders")["status"], "Completed");
}

#[test]
fn a_disabled_schema_is_still_reloaded_once() {
    let mut posthog = with_schemas("- {name: orders, should_sync: false, last_synced_ago: 1h}");
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(10));
    assert_eq!(jobs(&mut posthog, "orders").len(), 2);
    assert_eq!(row(&mut posthog, "orders")["should_sync"], false);
}

#[test]
fn after_five_failures_in_a_row_a_reload_is_answered_200_and_starts_nothing() {
    let mut posthog = with_schemas(
        "- name: orders\n  failed_in_a_row: 4\n  status: Failed\n  then: {fails: {after: 10s, error: boom}}",
    );
    let id = posthog.schema_id("orders").unwrap();
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(1));
    assert_eq!(
        posthog.reloads_that_started(&id).len(),
        1,
        "the fifth failure"
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(8));
    assert_eq!(posthog.reloads_that_started(&id).len(), 1);
    assert_eq!(
        posthog.status(&id),
        Some(Status::Running),
        "painted, with nothing behind it"
    );
    assert_eq!(posthog.effects_of(EffectKind::TriggerDeferred).len(), 1);
    posthog.advance(mins(2));
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(1));
    assert_eq!(
        posthog.reloads_that_started(&id).len(),
        2,
        "ten minutes after the failure"
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(15));
    assert_eq!(
        posthog.reloads_that_started(&id).len(),
        2,
        "the gap has doubled"
    );
}

#[test]
fn a_start_may_be_late() {
    let mut posthog = with_schemas(
        "- name: orders\n  last_synced_ago: 9h\n  next_runs: [{completes: {after: 5s, rows: 1}, starts_after: 40m}]",
    );
    post(&mut posthog, "orders", "reload");
    posthog.advance(mins(39));
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
    assert_eq!(post(&mut posthog, "orders", "reload").status, 200);
    posthog.advance(mins(2));
    assert_eq!(
        jobs(&mut posthog, "orders").len(),
        2,
        "the second reload was dropped"
    );
}

#[test]
fn a_start_may_never_come_and_does_not_block_the_next() {
    let mut posthog =
        with_schemas("- {name: orders, last_synced_ago: 9h, next_runs: [{never_starts: true}]}");
    post(&mut posthog, "orders", "reload");
    posthog.advance(hours(2));
    assert_eq!(row(&mut posthog, "orders")["status"], "Running");
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(10));
    assert_eq!(jobs(&mut posthog, "orders").len(), 2);
}

#[test]
fn a_reload_of_a_table_with_broken_cdc_does_nothing() {
    let mut posthog =
        with_schemas("- {name: orders, sync_type: cdc, cdc_broken: true, status: Failed}");
    assert_eq!(post(&mut posthog, "orders", "reload").status, 200);
    posthog.advance(hours(1));
    assert_eq!(row(&mut posthog, "orders")["status"], "Failed");
    assert_eq!(jobs(&mut posthog, "orders").len(), 1);
}

#[test]
fn a_reload_of_a_source_touches_only_what_is_enabled() {
    let mut posthog = with_schemas(
        "- {name: on, last_synced_ago: 9h}\n- {name: off, should_sync: false, status: Failed, latest_error: boom}",
    );
    let source = posthog.source_id("prod").unwrap();
    assert_eq!(
        send(
            &mut posthog,
            "POST",
            &format!("external_data_sources/{source}/reload/")
        )
        .status,
        200
    );
    posthog.advance(secs(3));
    let started = posthog.effects_of(EffectKind::RunStarted);
    assert_eq!(started.len(), 1);
    assert_eq!(
        (started[0].trigger, started[0].schema.as_deref()),
        (Some(Trigger::SourceReload), Some("on"))
    );
}

#[test]
fn paused_schemas_of_another_project_do_not_matter() {
    let mut posthog = with(
        "sources: [{type: Postgres, schemas: [{name: orders}]}, {type: Stripe, project: 7, schemas: [{name: Charge, status: Paused}]}]",
    );
    assert_eq!(post(&mut posthog, "orders", "reload").status, 200);
}
