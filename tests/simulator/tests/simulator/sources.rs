//! The control route of sources: trouble that comes over all tables at once, and goes.

use posthog_simulator::{EffectKind, Simulator};
use serde_json::{Value, json};

use crate::world::{control, get, jobs, post, row, secs, send, with};

const REJECTED: &str = "The database rejected the username or password. Check the user and password configured for this source, then re-enable the sync.";

fn shop() -> Simulator {
    with(
        "sources: [{type: Postgres, prefix: prod, schemas: [{name: a, last_synced_ago: 1h, rows: 9}, {name: b, last_synced_ago: 1h}, \
         {name: off, should_sync: false}]}, {type: Stripe, prefix: pay, schemas: [{name: Charge, last_synced_ago: 1h}]}]",
    )
}

fn change(posthog: &mut Simulator, source: &str, change: &Value) -> (u16, Value) {
    control(posthog, "POST", &format!("sources/{source}"), change)
}

#[test]
fn a_source_goes_bad_for_all_its_tables_at_once() {
    let mut posthog = shop();
    let bad = json!({
        "probe_error": "Invalid credentials",
        "then": {"fails": {"after": "5s", "error": "password authentication failed for user \"posthog\"", "friendly": REJECTED, "non_retryable": true}},
        "start": true,
    });
    let id = posthog.source_id("prod").unwrap();
    assert_eq!(
        change(&mut posthog, "prod", &bad),
        (200, json!({"id": id, "schemas": 3}))
    );
    posthog.advance(secs(10));
    for schema in ["a", "b"] {
        let row = row(&mut posthog, schema);
        assert_eq!(
            (&row["status"], &row["should_sync"], &row["latest_error"]),
            (&json!("Failed"), &json!(false), &json!(REJECTED))
        );
        assert_eq!(jobs(&mut posthog, schema).len(), 2);
        assert_eq!(post(&mut posthog, schema, "incremental_fields").status, 400);
    }
    assert_eq!(posthog.effects_of(EffectKind::AutoDisabled).len(), 2);
    assert!(
        jobs(&mut posthog, "off").is_empty(),
        "only enabled tables run"
    );
    assert_eq!(row(&mut posthog, "Charge")["status"], "Completed");
}

#[test]
fn a_source_that_failed_once_recovers() {
    let mut posthog = shop();
    let id = posthog.source_id("prod").unwrap();
    let bad = json!({"next_runs": [{"fails": {"after": "5s", "error": "boom"}}], "start": true, "probe_error": "boom"});
    change(&mut posthog, &id, &bad);
    posthog.advance(secs(10));
    assert_eq!(row(&mut posthog, "a")["status"], "Failed");
    change(
        &mut posthog,
        &id,
        &json!({"start": true, "probe_error": ""}),
    );
    posthog.advance(secs(10));
    assert_eq!(row(&mut posthog, "b")["status"], "Completed");
    assert_eq!(post(&mut posthog, "b", "incremental_fields").status, 200);
}

#[test]
fn any_change_of_a_schema_can_be_made_to_all_of_a_source() {
    let mut posthog = shop();
    let all =
        json!({"schemas": {"status": "Failed", "latest_error": "boom", "should_sync": false}});
    change(&mut posthog, "prod", &all);
    for schema in ["a", "b", "off"] {
        let row = row(&mut posthog, schema);
        assert_eq!(
            (&row["status"], &row["should_sync"]),
            (&json!("Failed"), &json!(false))
        );
    }
}

#[test]
fn what_a_source_shows_can_be_changed() {
    let mut posthog = shop();
    let shown = json!({"job_inputs": {"host": "db2.example.com"}, "raw": {"description": "moved"}, "stored_status": "Error"});
    change(&mut posthog, "prod", &shown);
    let page = get(&mut posthog, "external_data_sources/?search=prod");
    let row = &page["results"][0];
    assert_eq!(
        (&row["job_inputs"]["host"], &row["description"]),
        (&json!("db2.example.com"), &json!("moved"))
    );
    change(
        &mut posthog,
        "prod",
        &json!({"schemas": {"status": null, "latest_error": ""}}),
    );
    assert_eq!(
        get(&mut posthog, "external_data_sources/?search=prod")["results"][0]["status"],
        "Error"
    );
}

#[test]
fn a_change_that_cannot_be_is_refused() {
    let mut posthog = shop();
    for wrong in [
        json!({"nonsense": 1}),
        json!({"schemas": {"nonsense": 1}}),
        json!({"cdc": {"lag_bytes": []}, "raw": {"description": "changed"}}),
        json!({"schemas": {"data": {"newest": {"column": "a"}}}}),
    ] {
        assert_eq!(change(&mut posthog, "prod", &wrong).0, 400, "{wrong}");
    }
    assert_eq!(change(&mut posthog, "nope", &json!({})).0, 400);
    let page = get(&mut posthog, "external_data_sources/?search=prod");
    assert_eq!(
        page["results"][0]["description"],
        json!(null),
        "what is refused changes nothing"
    );
}

#[test]
fn a_table_vanishes_from_the_list_and_is_listed_again() {
    let mut posthog = shop();
    let id = posthog.schema_id("a").unwrap();
    let path = format!("external_data_schemas/{id}/");
    for (invisible, listed, status) in [(true, 2, 404), (false, 3, 200)] {
        control(
            &mut posthog,
            "POST",
            "schemas/a",
            &json!({ "invisible": invisible }),
        );
        let page = get(&mut posthog, "external_data_sources/?search=prod");
        assert_eq!(
            page["results"][0]["schemas"].as_array().unwrap().len(),
            listed
        );
        assert_eq!(send(&mut posthog, "GET", &path).status, status);
    }
}

#[test]
fn a_stored_status_is_seen_by_the_source_and_one_of_raw_only_in_the_row() {
    let mut posthog = shop();
    control(
        &mut posthog,
        "POST",
        "schemas/a",
        &json!({"raw": {"status": "Reticulating", "latest_error": "odd"}}),
    );
    assert_eq!(row(&mut posthog, "a")["status"], "Reticulating");
    let source = |posthog: &mut Simulator| {
        get(posthog, "external_data_sources/?search=prod")["results"][0]["status"].clone()
    };
    assert_eq!(source(&mut posthog), "Completed");
    control(
        &mut posthog,
        "POST",
        "schemas/a",
        &json!({"status": "BillingLimitReached"}),
    );
    assert_eq!(source(&mut posthog), "Billing limits");
}

#[test]
fn one_paused_table_blocks_reloads_until_it_is_another() {
    let mut posthog = shop();
    control(
        &mut posthog,
        "POST",
        "schemas/b",
        &json!({"status": "Paused"}),
    );
    let answer = post(&mut posthog, "a", "reload");
    assert_eq!(answer.status, 400);
    assert!(
        answer.value()["message"]
            .as_str()
            .unwrap()
            .starts_with("Monthly sync limit reached.")
    );
    control(
        &mut posthog,
        "POST",
        "schemas/b",
        &json!({"status": "Completed"}),
    );
    assert_eq!(post(&mut posthog, "a", "reload").status, 200);
}

#[test]
fn a_new_frequency_moves_the_schedule() {
    let mut posthog = with(
        "schedule: true\nsources: [{schemas: [{name: a, frequency: 24hour, last_synced_ago: 1h}]}]",
    );
    control(
        &mut posthog,
        "POST",
        "schemas/a",
        &json!({"frequency": "1hour"}),
    );
    posthog.advance(crate::world::mins(121));
    assert_eq!(posthog.effects_of(EffectKind::RunStarted).len(), 2);
}

#[test]
fn a_run_may_find_nothing_forever_after() {
    let mut posthog = shop();
    let then = json!({"then": {"completes": {"after": "5s", "rows": 0}}, "start": true});
    control(&mut posthog, "POST", "schemas/a", &then);
    posthog.advance(secs(10));
    assert_eq!(jobs(&mut posthog, "a")[0]["rows_synced"], 0);
    assert_eq!(row(&mut posthog, "a")["table"]["row_count"], 9);
}
