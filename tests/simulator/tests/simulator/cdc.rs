//! Change data capture of a source: `cdc_status`, the check of prerequisites, and what `job_inputs` show.

use posthog_simulator::{Request, Response, Simulator};
use serde_json::{Value, json};

use crate::world::{control, get, send, send_raw, source_path, with};

fn with_cdc(cdc: &str) -> Simulator {
    with(&format!(
        "sources: [{{type: Postgres, prefix: prod, job_inputs: {{host: db.example.com}}, cdc: {cdc}, \
         schemas: [{{name: public.orders, sync_type: cdc}}, {{name: public.users}}]}}]"
    ))
}

fn status(posthog: &mut Simulator) -> Value {
    let path = source_path(posthog, "prod", "cdc_status/");
    get(posthog, &path)
}

fn check(posthog: &mut Simulator, body: &Value) -> Response {
    let path = source_path(posthog, "prod", "check_cdc_prerequisites_for_source/");
    let path = format!("/api/projects/12345/{path}");
    send_raw(
        posthog,
        &Request::new("POST", &path, "phx_demo").with_json(body),
    )
}

#[test]
fn the_status_of_a_healthy_capture_has_every_field() {
    let mut posthog = with_cdc("{lag_bytes: 4096}");
    assert_eq!(
        status(&mut posthog),
        json!({
            "enabled": true,
            "management_mode": "posthog",
            "slot_name": "posthog_slot",
            "publication_name": "posthog_pub",
            "lag_warning_threshold_mb": 1024,
            "lag_critical_threshold_mb": 10240,
            "schedule_paused": false,
            "slot_exists": true,
            "publication_exists": true,
            "lag_bytes": 4096,
            "published_tables": ["public.orders"],
        })
    );
}

#[test]
fn a_source_without_capture_says_only_that() {
    let off = json!({"enabled": false});
    assert_eq!(status(&mut with_cdc("null")), off);
    assert_eq!(status(&mut with_cdc("{enabled: false}")), off);
}

#[test]
fn a_lost_slot_has_no_lag() {
    let status = status(&mut with_cdc("{slot_exists: false, lag_bytes: 4096}"));
    assert_eq!(
        (&status["slot_exists"], &status["lag_bytes"]),
        (&json!(false), &json!(null))
    );
}

#[test]
fn a_database_that_cannot_be_reached_is_400_in_the_message_shape() {
    let mut posthog = with_cdc("{unreachable: connection timeout expired}");
    let path = source_path(&posthog, "prod", "cdc_status/");
    let answer = send(&mut posthog, "GET", &path);
    assert_eq!(
        (answer.status, answer.value()),
        (
            400,
            json!({"message": "Could not connect to source to read CDC status: connection timeout expired"})
        )
    );
    let answer = check(&mut posthog, &json!({}));
    assert_eq!(
        (answer.status, answer.value()),
        (
            400,
            json!({"message": "Could not connect to source to check prerequisites: connection timeout expired"})
        )
    );
}

#[test]
fn a_source_whose_every_live_read_fails_cannot_be_reached_for_capture_either() {
    let mut posthog = with_cdc("{}");
    let id = posthog.source_id("prod").unwrap();
    posthog
        .set_source_probe_error(&id, Some("Invalid credentials"))
        .unwrap();
    assert_eq!(check(&mut posthog, &json!({})).status, 400);
}

#[test]
fn the_check_names_what_is_missing_and_works_without_capture() {
    let mut posthog = with_cdc("null");
    assert_eq!(
        check(&mut posthog, &json!({})).value(),
        json!({"valid": true, "errors": []})
    );
    let missing = "wal_level must be set to 'logical' (currently 'replica')";
    let mut posthog = with_cdc(&format!("{{enabled: false, errors: [\"{missing}\"]}}"));
    assert_eq!(
        check(
            &mut posthog,
            &json!({"cdc_management_mode": "self_managed"})
        )
        .value(),
        json!({"valid": false, "errors": [missing]})
    );
}

#[test]
fn the_check_knows_two_modes() {
    let answer = check(
        &mut with_cdc("{}"),
        &json!({"cdc_management_mode": "nobody"}),
    );
    assert_eq!(
        (answer.status, answer.value()),
        (
            400,
            json!({"message": "cdc_management_mode must be 'posthog' or 'self_managed'."})
        )
    );
}

#[test]
fn the_check_needs_the_write_scope_and_the_status_does_not() {
    let mut posthog = with_cdc("{}");
    posthog.put_key(posthog_simulator::KeySpec {
        scopes: vec!["external_data_source:read".to_owned()],
        ..posthog_simulator::KeySpec::default()
    });
    assert_eq!(check(&mut posthog, &json!({})).status, 403);
    assert_eq!(status(&mut posthog)["enabled"], true);
}

#[test]
fn other_sources_do_not_have_capture() {
    for source in [
        "{type: Stripe, prefix: prod}",
        "{type: Postgres, prefix: prod, access_method: direct}",
    ] {
        let mut posthog = with(&format!("sources: [{source}]"));
        let path = source_path(&posthog, "prod", "cdc_status/");
        let answer = send(&mut posthog, "GET", &path);
        assert_eq!(answer.status, 400);
        let text = answer.value()["message"].as_str().unwrap().to_owned();
        assert!(text.starts_with("CDC is not supported for source type: "));
        assert_eq!(check(&mut posthog, &json!({})).status, 400);
    }
}

#[test]
fn the_collection_route_is_not_simulated() {
    let mut posthog = with_cdc("{}");
    let path = "external_data_sources/check_cdc_prerequisites/";
    assert_eq!(send(&mut posthog, "POST", path).status, 501);
}

#[test]
fn job_inputs_show_capture_as_texts() {
    let mut posthog = with_cdc("{management_mode: self_managed, lag_critical_threshold_mb: 2048}");
    let row = get(&mut posthog, "external_data_sources/")["results"][0].clone();
    assert_eq!(
        row["job_inputs"],
        json!({
            "host": "db.example.com",
            "cdc_enabled": "True",
            "cdc_management_mode": "self_managed",
            "cdc_slot_name": "posthog_slot",
            "cdc_publication_name": "posthog_pub",
            "cdc_auto_drop_slot": "True",
            "cdc_lag_warning_threshold_mb": "1024",
            "cdc_lag_critical_threshold_mb": "2048",
            "cdc_consistent_point": "0/16B3748",
        })
    );
}

#[test]
fn capture_can_be_changed_while_the_simulator_runs() {
    let mut posthog = with_cdc("{slot_name: own}");
    let change = json!({"cdc": {"lag_bytes": 12_000_000_000_u64, "schedule_paused": true}});
    assert_eq!(
        control(&mut posthog, "POST", "sources/prod", &change).0,
        200
    );
    let status = status(&mut posthog);
    assert_eq!(
        (
            &status["lag_bytes"],
            &status["schedule_paused"],
            &status["slot_name"]
        ),
        (&json!(12_000_000_000_u64), &json!(true), &json!("own"))
    );
    let wrong = json!({"cdc": {"lag": 1}});
    assert_eq!(control(&mut posthog, "POST", "sources/prod", &wrong).0, 400);
    control(
        &mut posthog,
        "POST",
        "sources/prod",
        &json!({"cdc": {"raw": {"lag_bytes": "many"}}}),
    );
    assert_eq!(crate::cdc::status(&mut posthog)["lag_bytes"], "many");
    control(&mut posthog, "POST", "sources/prod", &json!({"cdc": null}));
    assert_eq!(crate::cdc::status(&mut posthog), json!({"enabled": false}));
}

#[test]
fn the_body_decides_what_is_checked() {
    let mut posthog = with_cdc(
        "{publication_exists: false, table_errors: [\"Table 'public.orders' has no primary key\"]}",
    );
    let valid =
        |posthog: &mut Simulator, body: Value| check(posthog, &body).value()["valid"].clone();
    assert_eq!(valid(&mut posthog, json!({})), json!(true));
    assert_eq!(valid(&mut posthog, json!({"tables": []})), json!(true));
    let named = json!({"tables": ["public.orders"]});
    assert_eq!(valid(&mut posthog, named), json!(false));
    let publication = |mode| json!({"cdc_management_mode": mode, "cdc_publication_name": "p"});
    assert_eq!(valid(&mut posthog, publication("posthog")), json!(true));
    assert_eq!(
        valid(&mut posthog, publication("self_managed")),
        json!(false)
    );
}

#[test]
fn slots_are_counted_whosever_they_are() {
    let mut posthog = with_cdc("{slots: [4, 4]}");
    let answer = check(&mut posthog, &json!({})).value();
    assert_eq!(answer["valid"], false);
    let text = answer["errors"][0].as_str().unwrap();
    assert!(text.starts_with("No replication slot capacity available (4/4 slots in use)"));
    assert_eq!(
        check(&mut with_cdc("{slots: [3, 4]}"), &json!({})).value()["valid"],
        true
    );
}
