//! The control routes.

use posthog_simulator::Simulator;
use serde_json::json;

use crate::world::{control, get, jobs, row, send, with_schemas};

fn hung() -> Simulator {
    with_schemas("- {name: a, run: {started_ago: 9h, rows: 5, hangs: {}}}")
}

#[test]
fn time_can_be_moved() {
    let mut posthog = hung();
    let answer = control(&mut posthog, "POST", "advance", &json!({"by": "6h"}));
    assert_eq!(answer, (200, json!({"now": "2026-10-01T18:00:00Z"})));
    assert_eq!(
        control(&mut posthog, "POST", "advance", &json!({"by": "soon"})).0,
        400
    );
}

#[test]
fn requests_and_effects_can_be_read_and_control_is_not_logged() {
    let mut posthog = hung();
    let id = posthog.schema_id("a").unwrap();
    send(
        &mut posthog,
        "POST",
        &format!("external_data_schemas/{id}/cancel/"),
    );
    let requests = control(&mut posthog, "GET", "requests", &json!({})).1;
    assert_eq!(requests.as_array().unwrap().len(), 1);
    assert_eq!(requests[0]["method"], "POST");
    let effects = control(&mut posthog, "GET", "effects", &json!({})).1;
    assert_eq!(
        (&effects[0]["kind"], &effects[0]["schema"]),
        (&json!("cancelled"), &json!("a"))
    );
}

#[test]
fn faults_can_be_set_and_taken_away() {
    let mut posthog = hung();
    let fault = json!({"matches": {"method": "GET"}, "times": "forever", "kind": {"status": {"status": 503}}});
    assert_eq!(control(&mut posthog, "POST", "faults", &fault).0, 200);
    assert_eq!(
        send(&mut posthog, "GET", "external_data_sources/").status,
        503
    );
    control(&mut posthog, "DELETE", "faults", &json!({}));
    get(&mut posthog, "external_data_sources/");
    assert_eq!(
        control(&mut posthog, "POST", "faults", &json!({"kind": "explode"})).0,
        400
    );
}

#[test]
fn keys_can_be_changed_and_removed() {
    let mut posthog = hung();
    control(
        &mut posthog,
        "PUT",
        "keys",
        &json!({"token": "phx_demo", "scopes": ["external_data_source:read"]}),
    );
    let id = posthog.schema_id("a").unwrap();
    assert_eq!(
        send(
            &mut posthog,
            "POST",
            &format!("external_data_schemas/{id}/cancel/")
        )
        .status,
        403
    );
    assert_eq!(
        control(&mut posthog, "DELETE", "keys/phx_demo", &json!({})).1,
        json!({"removed": true})
    );
    assert_eq!(
        send(&mut posthog, "GET", "external_data_sources/").status,
        401
    );
}

#[test]
fn a_schema_can_be_changed_while_it_runs() {
    let mut posthog = hung();
    let change = json!({"run": {"completes": {"after": "5s", "rows": 20}}, "raw": {"label": "A"}, "log": "hello"});
    assert_eq!(control(&mut posthog, "POST", "schemas/a", &change).0, 200);
    control(&mut posthog, "POST", "advance", &json!({"by": "5s"}));
    assert_eq!(jobs(&mut posthog, "a")[0]["rows_synced"], 25);
    assert_eq!(row(&mut posthog, "a")["label"], "A");
    let start = json!({"next_runs": [{"hangs": {}}], "start": true});
    control(&mut posthog, "POST", "schemas/a", &start);
    control(&mut posthog, "POST", "advance", &json!({"by": "5s"}));
    assert_eq!(jobs(&mut posthog, "a").len(), 2);
    assert_eq!(
        control(&mut posthog, "POST", "schemas/nope", &json!({})).0,
        400
    );
}

#[test]
fn the_whole_state_can_be_read() {
    let mut posthog = hung();
    let state = control(&mut posthog, "GET", "state", &json!({})).1;
    assert_eq!(state["schemas"][0]["jobs"][0]["status"], "Running");
    assert_eq!(state["schemas"][0]["run_in_flight"], true);
}
