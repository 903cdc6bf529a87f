//! The scenario files that are shipped, and what a scenario may not say.

use jiff::SignedDuration;
use posthog_simulator::{Behaviour, Clock, Error, OnCancel, Scenario, Simulator};

use serde_json::json;

use crate::world::{START, get, jobs, post, row, secs, source_path, with};

#[test]
fn every_shipped_scenario_can_be_loaded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let scenario = Scenario::from_yaml(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Simulator::from_scenario(&scenario, Clock::Manual(START.parse().unwrap())).unwrap();
        seen += 1;
    }
    assert!(seen >= 6);
}

#[test]
fn the_demo_has_one_hung_run_whose_successor_completes_in_five_seconds() {
    let mut posthog = with(include_str!("../../scenarios/demo.yaml"));
    let hung = &jobs(&mut posthog, "public.orders")[0];
    assert_eq!(
        (hung["status"].as_str(), hung["created_at"].as_str()),
        (Some("Running"), Some("2026-10-01T03:00:00Z"))
    );
    post(&mut posthog, "public.orders", "cancel");
    posthog.advance(secs(60));
    post(&mut posthog, "public.orders", "reload");
    posthog.advance(secs(6));
    assert_eq!(row(&mut posthog, "public.orders")["status"], "Completed");
    assert_eq!(
        row(&mut posthog, "public.orders")["table"]["row_count"],
        120_134
    );
}

#[test]
fn the_diagnosis_zoo_shows_what_it_says() {
    let mut posthog = with(include_str!("../../scenarios/diagnosis-zoo.yaml"));
    let schema =
        |posthog: &mut Simulator, name: &str, field: &str| row(posthog, name)[field].clone();
    for (name, field, shown) in [
        ("billing_limit", "status", json!("Billing limits")),
        (
            "billing_limit_too_low_with_an_old_text",
            "status",
            json!("Billing limits too low"),
        ),
        ("paused", "status", json!("Paused")),
        ("never_run", "status", json!(null)),
        ("unknown_status", "status", json!("Reticulating")),
        ("fine_not_configured", "sync_type", json!(null)),
        (
            "missing_primary_key",
            "incremental_sync_blocked",
            json!("missing_primary_key"),
        ),
        (
            "duplicate_primary_key",
            "incremental_sync_blocked",
            json!("duplicate_primary_key"),
        ),
    ] {
        assert_eq!(schema(&mut posthog, name, field), shown, "{name}");
    }
    let looks = [
        ("public.orders", "Invalid credentials"),
        ("table_gone", "Schema with name table_gone not found"),
        (
            "ambiguous_table_gone",
            "Schema with name ambiguous_table_gone not found",
        ),
    ];
    for (name, text) in looks {
        let look = post(&mut posthog, name, "incremental_fields");
        assert_eq!(look.value()["message"], text, "{name}");
    }
    let look = post(&mut posthog, "ambiguous_column_gone", "incremental_fields");
    assert_eq!(look.value()["incremental_fields"], json!([]));
    let payout = row(&mut posthog, "Payout");
    let page = get(&mut posthog, "external_data_sources/?search=one_forbidden");
    assert_eq!(
        (&payout["status"], &page["results"][0]["status"]),
        (&json!("Failed"), &json!("Completed"))
    );
    let path = source_path(&posthog, "cdc_slot_lost", "cdc_status/");
    assert_eq!(get(&mut posthog, &path)["slot_exists"], false);
    assert_eq!(post(&mut posthog, "fine_orders", "reload").status, 400);
}

#[test]
fn an_unknown_field_is_refused() {
    let wrong = [
        "nonsense: 1",
        "sources: [{schemas: [{name: a, raws: {}}]}]",
        "sources: [{schemas: [{name: a, run: {hang: {}}}]}]",
    ];
    for text in wrong {
        assert!(
            matches!(Scenario::from_yaml(text), Err(Error::Yaml(_))),
            "{text}"
        );
    }
}

#[test]
fn a_run_has_one_behaviour() {
    let text = "sources: [{schemas: [{name: a, then: {hangs: {}, completes: {after: 5s}}}]}]";
    assert!(
        Scenario::from_yaml(text)
            .unwrap_err()
            .to_string()
            .contains("one behaviour")
    );
}

#[test]
fn what_cannot_be_is_refused() {
    for text in [
        "sources: [{schemas: [{label: a}]}]",
        "sources: [{schemas: [{name: a, phantom: true, run: {}}]}]",
        "sources: [{schemas: [{name: a, data: {duplicates: {columns: [id], groups: 3, extra_rows: 2}}}]}]",
        "sources: [{schemas: [{name: a, data: {newest: {column: at}}}]}]",
        "sources: [{schemas: [{name: a, data: {newest: {column: at, at_ago: 1h, value: 1}}}]}]",
    ] {
        let scenario = Scenario::from_yaml(text).unwrap();
        let made = Simulator::from_scenario(&scenario, Clock::Manual(START.parse().unwrap()));
        assert!(matches!(made, Err(Error::Scenario(_))), "{text}");
    }
}

#[test]
fn lengths_of_time_may_be_days() {
    let scenario = Scenario::from_yaml("sources: [{created_ago: 30d, schemas: [{name: a, then: {hangs: {after: 1h 30m}, on_cancel: refused}}]}]").unwrap();
    assert_eq!(
        scenario.sources[0].created_ago,
        SignedDuration::from_hours(720)
    );
    let plan = &scenario.sources[0].schemas[0].then;
    assert_eq!(plan.on_cancel, OnCancel::Refused);
    assert!(
        matches!(plan.behaviour, Behaviour::Hangs { after, .. } if after == SignedDuration::from_mins(90))
    );
}

#[test]
fn past_jobs_can_be_told_one_by_one() {
    let mut posthog = with(
        "sources: [{schemas: [{name: a, jobs: [{started_ago: 1h, status: Failed, error: boom}, {started_ago: 5h, rows: 7}]}]}]",
    );
    let jobs = jobs(&mut posthog, "a");
    assert_eq!(
        (jobs[0]["status"].as_str(), jobs[1]["rows_synced"].as_u64()),
        (Some("Failed"), Some(7))
    );
    assert_eq!(
        row(&mut posthog, "a")["last_synced_at"],
        "2026-10-01T07:00:00Z"
    );
}
