//! The calls that change a source: its settings, its list of tables, its webhook, its change data capture.

use posthog_simulator::{EffectKind, Request, Response, Simulator};
use serde_json::{Value, json};

use crate::world::{control, detail, get, mins, row, secs, send, send_raw, source_path, with};

fn call(posthog: &mut Simulator, method: &str, action: &str, body: &Value) -> Response {
    let path = source_path(posthog, "prod", action);
    let request = Request::new(method, &format!("/api/projects/12345/{path}"), "phx_demo");
    send_raw(posthog, &request.with_json(body))
}

fn patch_inputs(posthog: &mut Simulator, inputs: &Value) -> Response {
    call(posthog, "PATCH", "", &json!({ "job_inputs": inputs }))
}

fn message(answer: &Response) -> String {
    let value = answer.value();
    let text = value["message"].as_str().or(value["error"].as_str());
    text.unwrap_or_default().to_owned()
}

fn with_inputs(inputs: &str, accepts: &str) -> Simulator {
    with(&format!(
        "sources: [{{type: Postgres, prefix: prod, cdc: {{}}, job_inputs: {inputs}, accepts_inputs: {accepts}}}]"
    ))
}

#[test]
fn containers_are_merged_and_another_selection_takes_only_what_comes_with_it() {
    let stored = "{auth_method: {selection: api_key, account: one, secret_key: old}}";
    let both = "{auth_method: {selection: api_key, account: one, secret_key: new}}";
    let mut posthog = with_inputs(stored, both);
    let merged = patch_inputs(&mut posthog, &json!({"auth_method": {"secret_key": "new"}}));
    assert_eq!(merged.status, 200);
    let other = json!({"auth_method": {"selection": "oauth", "secret_key": "new"}});
    assert_eq!(
        patch_inputs(&mut posthog, &other).status,
        400,
        "the account was deleted"
    );
}

#[test]
fn an_empty_secret_keeps_the_stored_one_and_the_same_again_is_not_tried() {
    let mut posthog = with_inputs("{user: posthog}", "{password: right}");
    assert_eq!(
        patch_inputs(&mut posthog, &json!({"password": "right"})).status,
        200
    );
    let source = posthog.source_id("prod").unwrap();
    posthog
        .set_source_probe_error(&source, Some("Could not connect"))
        .unwrap();
    for same in [
        json!({"password": ""}),
        json!({"password": "right"}),
        json!({"user": "posthog"}),
    ] {
        assert_eq!(patch_inputs(&mut posthog, &same).status, 200, "{same}");
    }
    assert_eq!(posthog.effects_of(EffectKind::InputsChanged).len(), 1);
}

#[test]
fn inputs_of_change_data_capture_are_ignored_silently() {
    let mut posthog = with_inputs("{user: posthog}", "{}");
    let answer = patch_inputs(&mut posthog, &json!({"cdc_slot_name": "another"}));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.value()["job_inputs"]["cdc_slot_name"],
        "posthog_slot"
    );
}

#[test]
fn redirecting_a_connection_requires_its_secret_again() {
    let mut posthog = with_inputs("{host: a.example.com, user: posthog}", "{}");
    let moved = patch_inputs(&mut posthog, &json!({"host": "b.example.com"}));
    assert_eq!(
        (moved.status, detail(&moved).as_str()),
        (
            400,
            "Changing the connection host requires re-entering your credentials."
        )
    );
    let both = json!({"host": "b.example.com", "password": "p"});
    assert_eq!(patch_inputs(&mut posthog, &both).status, 200);
}

const TABLES: &str = "
sources:
  - type: Postgres
    prefix: prod
    new_tables: [fresh]
    schemas:
      - {name: gone, table_gone: true, last_synced_ago: 1h, rows: 70}
      - {name: off, should_sync: false, status: Failed, rows: 7}
      - {name: unset, sync_type: null, should_sync: false}
";

#[test]
fn a_refresh_switches_off_what_vanished_and_lists_what_is_new() {
    let mut posthog = with(TABLES);
    let answer = call(&mut posthog, "POST", "refresh_schemas/", &json!({}));
    assert_eq!(
        (answer.status, answer.value()),
        (
            200,
            json!({"added": 1, "deleted": 0, "auto_enabled": 0, "total_tables_seen": 4})
        )
    );
    let gone = row(&mut posthog, "gone");
    assert_eq!(
        (
            &gone["should_sync"],
            &gone["status"],
            &gone["table"]["row_count"]
        ),
        (&json!(false), &json!("Completed"), &json!(70))
    );
    let fresh = row(&mut posthog, "fresh");
    assert_eq!(
        (&fresh["should_sync"], &fresh["sync_type"]),
        (&json!(false), &json!(null))
    );
    assert_eq!(posthog.effects_of(EffectKind::SchemaDeleted).len(), 0);
}

#[test]
fn a_vanished_table_that_failed_is_painted_and_one_that_was_never_synced_is_deleted() {
    let gone = TABLES.replace(
        "name: off,",
        "name: off, table_gone: true, latest_error: boom,",
    );
    let mut posthog = with(&gone.replace("name: unset,", "name: unset, table_gone: true,"));
    let answer = call(&mut posthog, "POST", "refresh_schemas/", &json!({}));
    assert_eq!(answer.value()["deleted"], 1);
    assert_eq!(posthog.schema_id("unset"), None);
    let off = row(&mut posthog, "off");
    assert_eq!(
        (&off["status"], &off["latest_error"]),
        (&json!("Completed"), &json!("boom"))
    );
}

#[test]
fn a_refresh_that_does_not_reach_the_source_changes_nothing() {
    let mut posthog = with(TABLES);
    let error = json!({"probe_error": "Could not connect to the source."});
    control(&mut posthog, "POST", "sources/prod", &error);
    let answer = call(&mut posthog, "POST", "refresh_schemas/", &json!({}));
    assert_eq!(
        (answer.status, message(&answer).as_str()),
        (400, "Could not connect to the source.")
    );
    assert_eq!(row(&mut posthog, "gone")["should_sync"], true);
}

#[test]
fn the_reload_of_a_direct_source_is_a_refresh() {
    let mut posthog =
        with(&TABLES.replace("prefix: prod", "prefix: prod\n    access_method: direct"));
    call(&mut posthog, "POST", "reload/", &json!({}));
    assert_eq!(row(&mut posthog, "gone")["should_sync"], false);
}

#[test]
fn a_bulk_update_is_refused_as_a_whole_while_anything_in_it_is_wrong() {
    let mut posthog = with(TABLES);
    let entries = |posthog: &Simulator, names: &[&str]| {
        let ids = names.iter().map(|name| posthog.schema_id(name).unwrap());
        let entries: Vec<Value> = ids
            .map(|id| json!({"id": id, "should_sync": true}))
            .collect();
        json!({ "schemas": entries })
    };
    let wrong = entries(&posthog, &["off", "unset"]);
    let answer = call(&mut posthog, "PATCH", "bulk_update_schemas/", &wrong);
    assert_eq!(answer.status, 400);
    assert_eq!(row(&mut posthog, "off")["should_sync"], false);
    let right = entries(&posthog, &["off"]);
    let answer = call(&mut posthog, "PATCH", "bulk_update_schemas/", &right);
    assert_eq!(
        (answer.status, &answer.value()[0]["should_sync"]),
        (200, &json!(true))
    );
    let unknown = json!({"schemas": [{"id": "elsewhere"}]});
    assert_eq!(
        call(&mut posthog, "PATCH", "bulk_update_schemas/", &unknown).status,
        404
    );
    assert_eq!(
        call(&mut posthog, "POST", "bulk_update_schemas/", &right).status,
        403
    );
}

#[test]
fn what_fails_while_it_is_written_leaves_the_others_of_a_bulk_update_written() {
    let mut posthog = with(
        "sources: [{type: Postgres, prefix: prod, schemas: [{id: t1, name: a, should_sync: false, trigger_fails: true}, {id: t2, name: b, should_sync: false}]}]",
    );
    let both =
        json!({"schemas": [{"id": "t1", "should_sync": true}, {"id": "t2", "should_sync": true}]});
    let answer = call(&mut posthog, "PATCH", "bulk_update_schemas/", &both);
    assert_eq!(
        (answer.status, &answer.value()["code"]),
        (400, &json!("bulk_schema_save_failed"))
    );
    assert_eq!(posthog.should_sync("t2"), Some(true));
}

const WEBHOOK: &str = "
sources:
  - type: Stripe
    prefix: prod
    webhook: {supports_webhooks: true, exists: true, inputs: {}}
    schemas: [{name: Charge, sync_type: webhook}]
";

#[test]
fn inputs_of_a_webhook_are_taken_and_only_their_presence_is_shown() {
    let mut posthog = with(WEBHOOK);
    let action = "update_webhook_inputs/";
    for (body, error) in [
        (json!({}), "No inputs provided"),
        (
            json!({"inputs": {"other": "x"}}),
            "Invalid input keys: other",
        ),
    ] {
        let answer = call(&mut posthog, "POST", action, &body);
        assert_eq!((answer.status, message(&answer).as_str()), (400, error));
        assert_eq!(answer.value()["success"], false);
    }
    let inputs = json!({"inputs": {"signing_secret": "whsec_new"}});
    let answer = call(&mut posthog, "POST", action, &inputs);
    assert_eq!(
        (answer.status, answer.value()),
        (200, json!({"success": true}))
    );
    let path = source_path(&posthog, "prod", "webhook_info/");
    let info = get(&mut posthog, &path);
    assert_eq!(info["inputs"], json!({"signing_secret": {"secret": true}}));
}

#[test]
fn inputs_are_stored_even_where_the_answer_says_that_they_failed() {
    let mut posthog = with(WEBHOOK);
    control(
        &mut posthog,
        "POST",
        "sources/prod",
        &json!({"probe_error": "vendor away"}),
    );
    let inputs = json!({"inputs": {"signing_secret": "whsec_new"}});
    let answer = call(&mut posthog, "POST", "update_webhook_inputs/", &inputs);
    assert_eq!(
        answer.value(),
        json!({"success": false, "error": "vendor away"})
    );
    assert_eq!(
        posthog.effects_of(EffectKind::WebhookInputsChanged).len(),
        1
    );
}

#[test]
fn inputs_need_a_webhook_to_go_to() {
    let mut posthog = with(&WEBHOOK.replace("exists: true", "exists: false"));
    let inputs = json!({"inputs": {"signing_secret": "whsec_new"}});
    let answer = call(&mut posthog, "POST", "update_webhook_inputs/", &inputs);
    assert_eq!(
        message(&answer),
        "No webhook function found for this source. Create a webhook first."
    );
    let odd = json!({"inputs": {"other": 1}});
    let answer = call(&mut posthog, "POST", "create_webhook/", &odd);
    assert_eq!(
        (answer.status, message(&answer).as_str()),
        (400, "Invalid webhook inputs")
    );
}

#[test]
fn a_webhook_cannot_be_deleted_while_a_table_needs_it() {
    let mut posthog = with(WEBHOOK);
    let answer = call(&mut posthog, "POST", "delete_webhook/", &json!({}));
    assert_eq!(answer.status, 400);
    assert!(
        message(&answer)
            .starts_with("Cannot delete webhook while tables are using webhook sync: Charge.")
    );
    crate::world::patch(
        &mut posthog,
        "Charge",
        &json!({"sync_type": "full_refresh"}),
    );
    let answer = call(&mut posthog, "POST", "delete_webhook/", &json!({}));
    assert_eq!(
        answer.value(),
        json!({"success": true, "external_deleted": true, "error": null})
    );
    let path = source_path(&posthog, "prod", "webhook_info/");
    assert_eq!(get(&mut posthog, &path)["exists"], false);
}

fn with_lost_slot() -> Simulator {
    with(
        "sources: [{type: Postgres, prefix: prod, cdc: {slot_exists: false}, schemas: [
          {name: a, sync_type: cdc, cdc_broken: true, status: Failed, last_synced_ago: 9h, rows: 70}, {name: b, rows: 7}]}]",
    )
}

#[test]
fn a_repair_of_change_data_capture_reimports_every_captured_table() {
    let mut posthog = with_lost_slot();
    let answer = call(&mut posthog, "POST", "repair_cdc/", &json!({}));
    assert_eq!(
        (answer.status, answer.value()),
        (200, json!({"success": true, "schemas_reset": 1}))
    );
    posthog.advance(secs(1));
    assert_eq!(row(&mut posthog, "a")["table"]["row_count"], 0);
    assert_eq!(row(&mut posthog, "b")["table"]["row_count"], 7);
    assert_eq!(posthog.effects_of(EffectKind::RunStarted).len(), 1);
    let path = source_path(&posthog, "prod", "cdc_status/");
    assert_eq!(get(&mut posthog, &path)["slot_exists"], true);
}

#[test]
fn a_second_repair_within_five_minutes_is_409_and_one_of_a_healthy_capture_is_400() {
    let mut posthog = with_lost_slot();
    call(&mut posthog, "POST", "repair_cdc/", &json!({}));
    posthog.advance(mins(4));
    assert_eq!(
        call(&mut posthog, "POST", "repair_cdc/", &json!({})).status,
        409
    );
    posthog.advance(mins(1));
    assert_eq!(
        call(&mut posthog, "POST", "repair_cdc/", &json!({})).status,
        400
    );
    assert_eq!(posthog.effects_of(EffectKind::CdcRepaired).len(), 1);
}

#[test]
fn a_repair_that_the_database_refuses_has_reset_the_tables_and_others_have_not() {
    for (cdc, text, resets) in [
        (
            "{slot_exists: false, repair_fails: must be superuser}",
            "Could not repair CDC: must be superuser",
            1,
        ),
        (
            "{slot_exists: false, unreachable: timeout expired}",
            "Could not connect to source to repair CDC: timeout expired",
            1,
        ),
        ("{}", "CDC looks healthy on this source", 0),
        ("{enabled: false}", "CDC is not enabled on this source.", 0),
    ] {
        let mut posthog = with(&format!(
            "sources: [{{type: Postgres, prefix: prod, cdc: {cdc}, schemas: [{{name: a, sync_type: cdc, last_synced_ago: 9h, rows: 70}}]}}]"
        ));
        let answer = call(&mut posthog, "POST", "repair_cdc/", &json!({}));
        let said = answer.value()["message"].as_str().unwrap().to_owned();
        assert_eq!(
            (answer.status, said.starts_with(text)),
            (400, true),
            "{said}"
        );
        assert_eq!(
            posthog.effects_of(EffectKind::ResetArmed).len(),
            resets,
            "{cdc}"
        );
        assert!(posthog.effects_of(EffectKind::CdcRepaired).is_empty());
    }
}

#[test]
fn the_repair_that_destroys_nothing_is_not_for_keys() {
    let mut posthog = with_lost_slot();
    let path = source_path(&posthog, "prod", "resume_cdc/");
    let answer = send(&mut posthog, "POST", &path);
    assert_eq!(
        (answer.status, detail(&answer).as_str()),
        (403, "This action does not support personal API key access")
    );
}
