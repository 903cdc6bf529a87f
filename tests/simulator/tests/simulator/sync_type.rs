//! `PATCH` of how a table is synced: what is refused, what reimports everything, and which reset stays pending after a 400.

use posthog_simulator::{EffectKind, Simulator};
use serde_json::{Value, json};

use crate::world::{detail, jobs, patch, post, row, secs, with, with_schemas};

fn with_cdc(schema: &str) -> Simulator {
    with(&format!(
        "sources: [{{type: Postgres, prefix: prod, cdc: {{}}, schemas: [{{name: a, last_synced_ago: 1h, rows: 70, {schema}}}]}}]"
    ))
}

fn with_webhooks(schema: &str) -> Simulator {
    with(&format!(
        "sources: [{{type: Stripe, webhook: {{supports_webhooks: true}}, schemas: [{{name: a, last_synced_ago: 1h, rows: 70, {schema}}}]}}]"
    ))
}

fn id(posthog: &Simulator) -> String {
    posthog.schema_id("a").unwrap()
}

fn has_pending_reset(posthog: &Simulator) -> bool {
    posthog.reset_pending(&id(posthog))
}

fn refused(posthog: &mut Simulator, change: &Value) -> String {
    let answer = patch(posthog, "a", change);
    assert_eq!(answer.status, 400, "{}", answer.value());
    detail(&answer)
}

#[test]
fn from_incremental_to_full_refresh_and_back_nothing_is_lost_before_the_next_run() {
    let mut posthog = with_schemas("- {name: a, last_synced_ago: 1h, rows: 70}");
    for sync_type in ["full_refresh", "incremental"] {
        let answer = patch(&mut posthog, "a", &json!({"sync_type": sync_type}));
        assert_eq!(answer.value()["sync_type"], sync_type);
    }
    assert!(!has_pending_reset(&posthog));
    assert_eq!(posthog.position(&id(&posthog)), Some(70));
}

#[test]
fn back_to_webhook_sets_the_webhook_up_and_wipes_the_table() {
    let mut posthog = with_webhooks("sync_type: webhook");
    patch(&mut posthog, "a", &json!({"sync_type": "full_refresh"}));
    assert!(!has_pending_reset(&posthog));
    patch(&mut posthog, "a", &json!({"sync_type": "webhook"}));
    assert_eq!(posthog.effects_of(EffectKind::WebhookCreated).len(), 1);
    posthog.advance(secs(1));
    assert_eq!(row(&mut posthog, "a")["table"]["row_count"], 0);
}

#[test]
fn webhook_sync_is_refused_where_no_webhook_can_be_set_up() {
    let mut posthog = with_schemas("- {name: a}");
    let to_webhook = json!({"sync_type": "webhook"});
    assert!(refused(&mut posthog, &to_webhook).starts_with("Failed to set up webhook"));
    let mut posthog = with_webhooks("sync_type: full_refresh");
    let source = posthog.source_id("Stripe").unwrap();
    posthog
        .set_source_probe_error(&source, Some("no permission"))
        .unwrap();
    assert_eq!(
        refused(&mut posthog, &to_webhook),
        "Failed to register webhook: no permission"
    );
}

#[test]
fn a_table_that_only_webhooks_fill_takes_no_other_type() {
    let mut posthog = with_webhooks("sync_type: webhook, incremental_fields: {webhook_only: true}");
    assert_eq!(
        refused(&mut posthog, &json!({"sync_type": "full_refresh"})),
        "a can only be synced via webhooks — pick the Webhook sync method."
    );
}

#[test]
fn change_data_capture_and_xmin_need_what_they_need() {
    let cdc = json!({"sync_type": "cdc"});
    assert_eq!(
        refused(&mut with_webhooks("sync_type: full_refresh"), &cdc),
        "CDC is not supported for Stripe sources."
    );
    assert_eq!(
        refused(
            &mut with_webhooks("sync_type: full_refresh"),
            &json!({"sync_type": "xmin"})
        ),
        "xmin replication is only available for Postgres sources."
    );
    assert_eq!(
        refused(&mut with_schemas("- {name: a}"), &cdc),
        "CDC is not enabled for this team"
    );
    let keyless = refused(&mut with_cdc("primary_key_columns: null"), &cdc);
    assert!(keyless.starts_with("CDC requires a primary key on table 'a'"));
}

#[test]
fn every_type_but_webhook_is_checked_against_the_source() {
    let mut posthog = with_schemas("- {name: a, probe_error: Could not connect}");
    assert_eq!(
        refused(&mut posthog, &json!({"sync_type": "full_refresh"})),
        "Could not connect"
    );
    let mut keyless =
        with_schemas("- {name: a, sync_type: full_refresh, primary_key_columns: null}");
    let text = refused(&mut keyless, &json!({"sync_type": "incremental"}));
    assert!(text.starts_with("'a' has no primary key to sync incrementally on."));
}

#[test]
fn crossing_xmin_and_going_to_change_data_capture_reimport_everything() {
    for (from, to) in [
        ("incremental", "xmin"),
        ("xmin", "full_refresh"),
        ("append", "cdc"),
    ] {
        let mut posthog = with_cdc(&format!("sync_type: {from}"));
        patch(&mut posthog, "a", &json!({"sync_type": to}));
        assert!(has_pending_reset(&posthog), "{from} to {to}");
    }
}

#[test]
fn leaving_change_data_capture_forgets_the_place_in_the_log() {
    let mut posthog = with_cdc("sync_type: cdc");
    patch(&mut posthog, "a", &json!({"sync_type": "full_refresh"}));
    assert_eq!(posthog.position(&id(&posthog)), None);
    assert!(!has_pending_reset(&posthog));
}

#[test]
fn a_table_mode_that_fills_one_table_more_reimports_everything() {
    for (from, to, anew) in [
        ("consolidated", "both", true),
        ("cdc_only", "consolidated", true),
        ("both", "consolidated", false),
        ("consolidated", "consolidated", false),
    ] {
        let mut posthog = with_cdc(&format!("sync_type: cdc, cdc_table_mode: {from}"));
        let answer = patch(&mut posthog, "a", &json!({"cdc_table_mode": to}));
        assert_eq!(answer.value()["cdc_table_mode"], to);
        assert_eq!(has_pending_reset(&posthog), anew, "{from} to {to}");
        assert_eq!(posthog.position(&id(&posthog)).is_none(), anew);
    }
}

#[test]
fn a_paused_table_blocks_changes_that_reimport_everything_and_no_reset_is_pending() {
    let mut posthog = with(
        "sources: [{type: Postgres, cdc: {}, schemas: [{name: a, sync_type: cdc, rows: 70, last_synced_ago: 1h}, {name: b, status: Paused}]}]",
    );
    let answer = patch(&mut posthog, "a", &json!({"cdc_table_mode": "both"}));
    assert_eq!(answer.status, 400);
    let text = answer.value()["message"].to_string();
    assert!(text.contains("Monthly sync limit reached"));
    assert!(!has_pending_reset(&posthog));
}

#[test]
fn a_table_mode_says_nothing_to_other_types() {
    let text = refused(
        &mut with_schemas("- {name: a}"),
        &json!({"cdc_table_mode": "both"}),
    );
    assert!(text.starts_with("cdc_table_mode cannot be applied to a schema with sync type"));
}

#[test]
fn a_change_that_is_answered_400_may_still_leave_a_reset_pending() {
    let mut posthog = with_cdc("sync_type: cdc, should_sync: false, trigger_fails: true");
    assert_eq!(
        refused(&mut posthog, &json!({"should_sync": true})),
        "Couldn't start the sync. Try again in a few minutes."
    );
    assert!(has_pending_reset(&posthog));
    assert_eq!(posthog.should_sync(&id(&posthog)), Some(true));
}

#[test]
fn a_webhook_table_that_no_run_ever_filled_is_wiped_when_it_is_turned_on() {
    let mut posthog =
        with_schemas("- {name: a, sync_type: webhook, should_sync: false, rows: 70, jobs: []}");
    patch(&mut posthog, "a", &json!({"should_sync": true}));
    posthog.advance(secs(1));
    assert_eq!(row(&mut posthog, "a")["table"]["row_count"], 0);
}

#[test]
fn the_same_incremental_field_again_starts_a_run_while_it_has_no_value() {
    let again = json!({"incremental_field": "updated_at"});
    let mut posthog = with_schemas("- {name: a}");
    patch(&mut posthog, "a", &again);
    posthog.advance(secs(10));
    assert_eq!(jobs(&mut posthog, "a").len(), 1);
    patch(&mut posthog, "a", &again);
    posthog.advance(secs(10));
    assert_eq!(jobs(&mut posthog, "a").len(), 1, "now it has one");
}

#[test]
fn a_key_of_no_column_is_refused_where_the_columns_are_known() {
    let mut posthog = with_schemas("- {name: a, primary_key_columns: null, columns: [{name: id}]}");
    assert_eq!(
        refused(&mut posthog, &json!({"primary_key_columns": ["uid"]})),
        "'a' has no column named uid to merge on."
    );
}

#[test]
fn a_position_is_lost_with_the_data_and_not_by_a_reload() {
    let mut posthog = with_schemas("- {name: a, last_synced_ago: 1h, rows: 70}");
    let id = id(&posthog);
    post(&mut posthog, "a", "reload");
    posthog.advance(secs(10));
    assert_eq!(posthog.position(&id), Some(170));
    crate::world::send(
        &mut posthog,
        "DELETE",
        &format!("external_data_schemas/{id}/delete_data/"),
    );
    assert_eq!(posthog.position(&id), None);
    assert_eq!(posthog.effects_of(EffectKind::PositionLost).len(), 1);
}

#[test]
fn a_resync_forgets_the_place_in_the_log_at_once_and_an_incremental_value_with_its_run() {
    let mut posthog = with_cdc("sync_type: cdc");
    post(&mut posthog, "a", "resync");
    assert_eq!(posthog.position(&id(&posthog)), None);
    let mut posthog = with_schemas("- {name: a, last_synced_ago: 1h, rows: 70}");
    post(&mut posthog, "a", "resync");
    assert_eq!(posthog.position(&id(&posthog)), Some(70));
    posthog.advance(secs(1));
    assert_eq!(posthog.position(&id(&posthog)), None);
}
