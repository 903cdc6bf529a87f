//! `PATCH`: what it refuses, and what it sets off.

use posthog_simulator::{EffectKind, Request, Simulator};
use serde_json::json;

use crate::world::{detail, jobs, patch, post, row, secs, send_raw, with, with_schemas};

fn patch_source(posthog: &mut Simulator, body: &serde_json::Value) -> posthog_simulator::Response {
    let source = posthog.source_id("Postgres").unwrap();
    let path = format!("/api/projects/12345/external_data_sources/{source}/");
    send_raw(
        posthog,
        &Request::new("PATCH", &path, "phx_demo").with_json(body),
    )
}

#[test]
fn turning_a_table_off_tears_its_run_down_a_little_later() {
    let mut posthog =
        with_schemas("- {name: a, run: {started_ago: 1h, progresses: {rows_per_second: 1}}}");
    assert_eq!(
        patch(&mut posthog, "a", &json!({"should_sync": false})).status,
        200
    );
    assert_eq!(jobs(&mut posthog, "a")[0]["status"], "Running");
    posthog.advance(secs(5));
    assert_eq!(
        jobs(&mut posthog, "a")[0]["latest_error"],
        "Sync stopped because syncing was turned off"
    );
}

#[test]
fn turning_a_table_on_does_not_start_a_run_and_clears_nothing() {
    let mut posthog =
        with_schemas("- {name: a, should_sync: false, status: Failed, latest_error: boom}");
    let answer = patch(&mut posthog, "a", &json!({"should_sync": true}));
    assert_eq!(
        (&answer.value()["status"], &answer.value()["latest_error"]),
        (&json!("Failed"), &json!("boom"))
    );
    posthog.advance(secs(60));
    assert_eq!(jobs(&mut posthog, "a").len(), 1);
    assert_eq!(posthog.effects_of(EffectKind::Enabled).len(), 1);
}

#[test]
fn turning_a_table_on_that_never_had_a_schedule_starts_a_run() {
    let mut posthog = with_schemas("- {name: a, should_sync: false}");
    patch(&mut posthog, "a", &json!({"should_sync": true}));
    posthog.advance(secs(1));
    assert_eq!(jobs(&mut posthog, "a").len(), 1);
}

#[test]
fn turning_a_webhook_table_on_again_wipes_it() {
    let mut posthog = with_schemas(
        "- {name: a, sync_type: webhook, should_sync: false, last_synced_ago: 1h, rows: 70}",
    );
    patch(&mut posthog, "a", &json!({"should_sync": true}));
    posthog.advance(secs(1));
    assert_eq!(row(&mut posthog, "a")["table"]["row_count"], 0);
    assert_eq!(posthog.effects_of(EffectKind::TableWiped).len(), 1);
}

#[test]
fn a_table_that_was_never_set_up_cannot_be_turned_on() {
    let mut posthog = with_schemas("- {name: a, sync_type: null, should_sync: false}");
    let answer = patch(&mut posthog, "a", &json!({"should_sync": true}));
    assert_eq!(
        (answer.status, detail(&answer).as_str()),
        (400, "Sync type must be set up first before enabling schema")
    );
}

#[test]
fn a_key_that_has_merged_rows_cannot_be_changed_before_the_data_is_deleted() {
    let mut posthog = with_schemas("- {name: a, rows: 70}");
    let change = json!({"primary_key_columns": ["id", "tenant"]});
    let answer = patch(&mut posthog, "a", &change);
    assert_eq!(
        (answer.status, &answer.value()["attr"]),
        (400, &json!(null))
    );
    assert!(
        detail(&answer).starts_with("Primary key cannot be changed after data has been synced.")
    );
    let id = posthog.schema_id("a").unwrap();
    crate::world::send(
        &mut posthog,
        "DELETE",
        &format!("external_data_schemas/{id}/delete_data/"),
    );
    assert_eq!(
        patch(&mut posthog, "a", &change).value()["primary_key_columns"],
        json!(["id", "tenant"])
    );
}

#[test]
fn the_first_key_of_a_table_may_be_set() {
    let mut posthog = with_schemas("- {name: a, rows: 70, primary_key_columns: null}");
    assert_eq!(
        patch(&mut posthog, "a", &json!({"primary_key_columns": ["id"]})).status,
        200
    );
}

#[test]
fn an_incremental_field_that_the_table_does_not_know_imports_everything_again() {
    let mut posthog = with_schemas("- {name: a, rows: 70}");
    let id = posthog.schema_id("a").unwrap();
    patch(&mut posthog, "a", &json!({"incremental_field": "nonsense"}));
    assert!(posthog.reset_pending(&id));
}

#[test]
fn never_is_no_frequency() {
    let mut posthog = with_schemas("- {name: a}");
    assert_eq!(
        patch(&mut posthog, "a", &json!({"sync_frequency": "never"})).status,
        400
    );
    assert_eq!(
        patch(&mut posthog, "a", &json!({"sync_frequency": "1min"})).status,
        400
    );
    assert_eq!(
        patch(&mut posthog, "a", &json!({"sync_frequency": "12hour"})).value()["sync_frequency"],
        "12hour"
    );
}

#[test]
fn the_status_cannot_be_written() {
    let mut posthog = with_schemas("- {name: a, status: Failed, latest_error: boom}");
    let answer = patch(
        &mut posthog,
        "a",
        &json!({"status": "Completed", "latest_error": null}),
    );
    assert_eq!(
        (answer.status, &answer.value()["latest_error"]),
        (200, &json!("boom"))
    );
}

#[test]
fn a_body_that_is_no_json_is_a_parse_error() {
    let mut posthog = with_schemas("- {name: a}");
    let id = posthog.schema_id("a").unwrap();
    let mut request = Request::new(
        "PATCH",
        &format!("/api/projects/12345/external_data_schemas/{id}/"),
        "phx_demo",
    );
    request.body = b"{".to_vec();
    assert_eq!(
        send_raw(&mut posthog, &request).value()["code"],
        "parse_error"
    );
}

#[test]
fn new_credentials_neither_reload_nor_enable_anything() {
    let mut posthog = with(include_str!("../../scenarios/credentials.yaml"));
    let wrong = patch_source(&mut posthog, &json!({"job_inputs": {"password": "guess"}}));
    assert_eq!(
        (wrong.status, detail(&wrong).as_str()),
        (400, "Invalid credentials")
    );
    assert_eq!(
        post(&mut posthog, "public.orders", "incremental_fields").status,
        400
    );
    let right = patch_source(
        &mut posthog,
        &json!({"job_inputs": {"password": "rotated"}}),
    );
    assert_eq!(right.status, 200);
    assert!(
        !right.value().to_string().contains("rotated"),
        "secrets are not shown"
    );
    posthog.advance(secs(60));
    assert_eq!(row(&mut posthog, "public.orders")["should_sync"], false);
    assert_eq!(jobs(&mut posthog, "public.orders").len(), 2);
    assert_eq!(
        post(&mut posthog, "public.orders", "incremental_fields").status,
        200
    );
}

#[test]
fn a_webhook_may_fail_to_be_made_with_200() {
    let scenario =
        "sources: [{type: Stripe, webhook: {supports_webhooks: true}, probe_error: no permission}]";
    let mut posthog = with(scenario);
    let source = posthog.source_id("Stripe").unwrap();
    let answer = crate::world::send(
        &mut posthog,
        "POST",
        &format!("external_data_sources/{source}/create_webhook/"),
    );
    assert_eq!(
        (answer.status, &answer.value()["success"]),
        (200, &json!(false))
    );
    posthog.set_source_probe_error(&source, None).unwrap();
    crate::world::send(
        &mut posthog,
        "POST",
        &format!("external_data_sources/{source}/create_webhook/"),
    );
    let info = crate::world::get(
        &mut posthog,
        &format!("external_data_sources/{source}/webhook_info/"),
    );
    assert_eq!(info["external_status"]["status"], "enabled");
}
