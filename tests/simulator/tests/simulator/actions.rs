//! Resync, `delete_data`, `incremental_fields`.

use posthog_simulator::{EffectKind, RunPlan};
use serde_json::json;

use crate::world::{detail, jobs, mins, post, row, secs, send, with, with_schemas};

#[test]
fn a_resync_wipes_the_table_when_its_run_starts_and_not_before() {
    let mut posthog = with_schemas("- {name: orders, last_synced_ago: 1h, rows: 500}");
    assert_eq!(post(&mut posthog, "orders", "resync").status, 200);
    assert_eq!(row(&mut posthog, "orders")["table"]["row_count"], 500);
    posthog.advance(secs(1));
    assert_eq!(row(&mut posthog, "orders")["table"]["row_count"], 0);
    posthog.advance(secs(10));
    assert_eq!(row(&mut posthog, "orders")["table"]["row_count"], 100);
    assert_eq!(posthog.effects_of(EffectKind::TableWiped).len(), 1);
}

#[test]
fn a_resync_that_is_answered_400_leaves_a_reset_pending_and_the_next_run_wipes_the_table() {
    let mut posthog =
        with_schemas("- {name: orders, last_synced_ago: 1h, rows: 500, trigger_fails: true}");
    let id = posthog.schema_id("orders").unwrap();
    let answer = post(&mut posthog, "orders", "resync");
    assert_eq!(
        (answer.status, detail(&answer).as_str()),
        (400, "Couldn't start the sync. Try again in a few minutes.")
    );
    assert!(posthog.reset_pending(&id));
    assert!(
        !row(&mut posthog, "orders").to_string().contains("reset"),
        "the API does not show it"
    );
    posthog
        .change_schema(&id, |schema| schema.trigger_fails = false)
        .unwrap();
    post(&mut posthog, "orders", "reload");
    posthog.advance(secs(1));
    assert_eq!(posthog.effects_of(EffectKind::TableWiped).len(), 1);
}

#[test]
fn a_resync_leaves_no_reset_pending_when_a_paused_schema_blocks_it() {
    let mut posthog = with_schemas("- {name: orders, rows: 5}\n- {name: legacy, status: Paused}");
    let id = posthog.schema_id("orders").unwrap();
    assert_eq!(post(&mut posthog, "orders", "resync").status, 400);
    assert!(!posthog.reset_pending(&id));
}

#[test]
fn a_resync_cancels_the_run_in_flight_and_starts_its_own() {
    let mut posthog = with_schemas(
        "- {name: orders, rows: 500, run: {started_ago: 1h, progresses: {rows_per_second: 1}}}",
    );
    post(&mut posthog, "orders", "resync");
    assert_eq!(jobs(&mut posthog, "orders")[0]["status"], "Failed");
    posthog.advance(mins(1));
    assert_eq!(jobs(&mut posthog, "orders").len(), 2);
    assert_eq!(row(&mut posthog, "orders")["table"]["row_count"], 100);
}

#[test]
fn a_resync_behind_a_surviving_workflow_stays_pending() {
    let mut posthog = with_schemas(
        "- {name: orders, rows: 500, run: {started_ago: 9h, hangs: {}, on_cancel: workflow_survives}}",
    );
    let id = posthog.schema_id("orders").unwrap();
    post(&mut posthog, "orders", "cancel");
    assert_eq!(post(&mut posthog, "orders", "resync").status, 200);
    posthog.advance(mins(90));
    assert!(posthog.reset_pending(&id));
    assert_eq!(row(&mut posthog, "orders")["table"]["row_count"], 500);
}

#[test]
fn a_table_that_only_webhooks_fill_survives_a_resync() {
    let mut posthog = with_schemas(
        "- {name: Discount, sync_type: webhook, rows: 500, incremental_fields: {webhook_only: true}}",
    );
    post(&mut posthog, "Discount", "resync");
    posthog.advance(secs(10));
    assert_eq!(row(&mut posthog, "Discount")["table"]["row_count"], 600);
}

#[test]
fn delete_data_is_a_delete_answered_200_that_keeps_the_error_and_starts_nothing() {
    let mut posthog = with_schemas(
        "- {name: orders, status: Failed, latest_error: boom, last_synced_ago: 9h, rows: 500}",
    );
    let id = posthog.schema_id("orders").unwrap();
    assert_eq!(post(&mut posthog, "orders", "delete_data").status, 403);
    let answer = send(
        &mut posthog,
        "DELETE",
        &format!("external_data_schemas/{id}/delete_data/"),
    );
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    posthog.advance(mins(5));
    let after = row(&mut posthog, "orders");
    assert_eq!(
        (&after["table"], &after["status"], &after["last_synced_at"]),
        (&json!(null), &json!(null), &json!(null))
    );
    assert_eq!(
        (&after["latest_error"], &after["should_sync"]),
        (&json!("boom"), &json!(true))
    );
    assert_eq!(posthog.effects_of(EffectKind::RunStarted).len(), 0);
}

#[test]
fn delete_data_without_a_table_does_nothing() {
    let mut posthog = with_schemas("- {name: orders, status: Failed, latest_error: boom}");
    let id = posthog.schema_id("orders").unwrap();
    assert_eq!(
        send(
            &mut posthog,
            "DELETE",
            &format!("external_data_schemas/{id}/delete_data/")
        )
        .status,
        200
    );
    assert_eq!(row(&mut posthog, "orders")["status"], "Failed");
}

#[test]
fn incremental_fields_lists_what_the_table_offers() {
    let mut posthog =
        with_schemas("- {name: orders, incremental_fields: {detected_primary_keys: [order_id]}}");
    let answer = post(&mut posthog, "orders", "incremental_fields").value();
    assert_eq!(answer["incremental_fields"][0]["field"], "updated_at");
    assert_eq!(answer["detected_primary_keys"], json!(["order_id"]));
}

#[test]
fn incremental_fields_reports_a_table_that_is_missing_at_the_source() {
    let mut posthog = with_schemas("- {name: orders, table_gone: true}");
    let answer = post(&mut posthog, "orders", "incremental_fields");
    assert_eq!(
        (answer.status, answer.value()),
        (400, json!({"message": "Schema with name orders not found"}))
    );
}

#[test]
fn incremental_fields_of_every_table_reports_bad_credentials() {
    let mut posthog = with(
        "sources: [{probe_error: Invalid credentials, schemas: [{name: a}, {name: b, table_gone: true}]}]",
    );
    for schema in ["a", "b"] {
        let answer = post(&mut posthog, schema, "incremental_fields");
        assert_eq!(
            (answer.status, answer.value()),
            (400, json!({"message": "Invalid credentials"}))
        );
    }
}

#[test]
fn what_a_run_does_can_be_changed_while_it_runs() {
    let mut posthog = with_schemas(
        "- {name: orders, run: {started_ago: 1h, rows: 100, progresses: {rows_per_second: 1}}}",
    );
    let id = posthog.schema_id("orders").unwrap();
    posthog.advance(secs(50));
    posthog.change_run(&id, RunPlan::hangs()).unwrap();
    posthog.advance(mins(50));
    assert_eq!(jobs(&mut posthog, "orders")[0]["rows_synced"], 150);
}
