//! The scenario files that are shipped, and what a scenario may not say.

use jiff::SignedDuration;
use posthog_simulator::{Behaviour, Clock, Error, OnCancel, Scenario, Simulator};

use serde_json::json;

use crate::v3::{messages, seen};
use crate::world::{START, at, get, hours, jobs, logs, mins, post, row, secs, source_path, with};

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
    assert!(seen >= 12);
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
    let run_probes = [
        ("public.orders", "Invalid credentials"),
        ("table_gone", "Schema with name table_gone not found"),
        (
            "ambiguous_table_gone",
            "Schema with name ambiguous_table_gone not found",
        ),
    ];
    for (name, text) in run_probes {
        let live_read = post(&mut posthog, name, "incremental_fields");
        assert_eq!(live_read.value()["message"], text, "{name}");
    }
    let live_read = post(&mut posthog, "ambiguous_column_gone", "incremental_fields");
    assert_eq!(live_read.value()["incremental_fields"], json!([]));
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
fn past_jobs_can_be_listed_one_by_one() {
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

/// The names of the tables of a simulator's first source.
fn tables(posthog: &Simulator) -> Vec<String> {
    let lines = posthog.summary();
    let words = lines
        .iter()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let tables = words.filter(|words| words.first() == Some(&"schema"));
    tables.map(|words| words[2].to_owned()).collect()
}

#[test]
fn every_healthy_look_alike_completes_if_it_is_not_touched() {
    let mut posthog = with(include_str!("../../scenarios/healthy-look-alikes.yaml"));
    let tables = tables(&posthog);
    let all: Vec<String> = tables
        .iter()
        .map(|name| {
            posthog
                .newest_job(&posthog.schema_id(name).unwrap())
                .unwrap()
        })
        .collect();
    for (name, job) in tables
        .iter()
        .zip(&all)
        .filter(|(name, _)| *name != "canary")
    {
        assert!(posthog.run_is_alive(job), "{name}");
    }
    for hour in 0..60 {
        posthog.advance(hours(1));
        for (name, job) in tables.iter().zip(&all) {
            let newest = &jobs(&mut posthog, name)[0];
            let runs = newest["status"] == "Running";
            assert!(
                !runs || posthog.run_is_alive(newest["id"].as_str().unwrap()),
                "{name} {hour}"
            );
            assert!(
                runs || newest["status"] == "Completed",
                "{name} {hour}: {newest} of {job}"
            );
        }
    }
    for name in tables {
        assert_eq!(row(&mut posthog, &name)["status"], "Completed", "{name}");
    }
}

#[test]
fn the_healthy_look_alikes_are_silent_for_longer_than_an_hour() {
    let mut posthog = with(include_str!("../../scenarios/healthy-look-alikes.yaml"));
    for name in tables(&posthog).iter().filter(|name| *name != "canary") {
        let mut posthog = posthog.clone();
        let silent = (0..40).any(|_| {
            let runs = jobs(&mut posthog, name);
            let run = runs[0]["workflow_run_id"].as_str().unwrap().to_owned();
            let own = format!("instance_id={run}&limit=500");
            let before = (runs, logs(&mut posthog, name, &own));
            posthog.advance(mins(65));
            before.0[0]["status"] == "Running"
                && (jobs(&mut posthog, name), logs(&mut posthog, name, &own)) == before
        });
        assert!(
            silent
                || name == "fell_back_to_no_rows"
                || name == "was_handed_to_another_worker"
                || name == "is_not_billed",
            "{name}"
        );
    }
    posthog.advance(secs(1));
}

#[test]
fn the_newer_of_two_runs_waits_while_the_older_moves() {
    let mut posthog = with(include_str!(
        "../../scenarios/queued-behind-an-older-run.yaml"
    ));
    let before = seen(&mut posthog, "orders");
    assert_eq!((before[0].1, before[1].1), (7000, 1_570_000));
    posthog.advance(mins(70));
    let after = seen(&mut posthog, "orders");
    assert_eq!((after[0].1, after[1].1), (7000, 1_750_000));
    posthog.advance(hours(40));
    assert!(
        seen(&mut posthog, "orders")
            .iter()
            .all(|job| job.0 == "Completed")
    );
}

#[test]
fn a_full_refresh_loads_for_nine_hours_without_a_row_or_a_line() {
    let mut posthog = with(include_str!("../../scenarios/loads-for-nine-hours.yaml"));
    posthog.advance(hours(2) + mins(1));
    let before = (
        seen(&mut posthog, "orders"),
        messages(&mut posthog, "orders"),
    );
    assert_eq!(before.0[0].1, 9_000_000);
    posthog.advance(hours(8) + mins(58));
    assert_eq!(
        (
            seen(&mut posthog, "orders"),
            messages(&mut posthog, "orders")
        ),
        before
    );
    assert!(
        seen(&mut posthog, "customers").len() > 9,
        "the canary sings"
    );
    posthog.advance(mins(5));
    assert_eq!(seen(&mut posthog, "orders")[0].0, "Completed");
}

#[test]
fn a_late_cancel_hits_the_run_that_took_over() {
    let mut posthog = with(include_str!("../../scenarios/late-cancel.yaml"));
    let id = posthog.schema_id("orders").unwrap();
    let path = format!("/api/projects/12345/external_data_schemas/{id}/cancel/");
    posthog.handle(&posthog_simulator::Request::new("POST", &path, "phx_demo"));
    posthog.advance(secs(60));
    let jobs = jobs(&mut posthog, "orders");
    assert_eq!(jobs[0]["latest_error"], "Sync cancelled by user");
    assert!(at(jobs[0]["created_at"].as_str().unwrap()) > at(START));
    assert!(
        jobs[1]["latest_error"]
            .as_str()
            .unwrap()
            .starts_with("A previous sync run")
    );
    assert_eq!(posthog.take_violations().len(), 1);
}

#[test]
fn every_run_is_alive_while_the_loader_is_down_and_completes_afterwards() {
    let mut posthog = with(include_str!("../../scenarios/loader-down.yaml"));
    posthog.advance(hours(42));
    for name in tables(&posthog) {
        let id = posthog.schema_id(&name).unwrap();
        let job = posthog.newest_job(&id).unwrap();
        assert!(posthog.run_is_alive(&job), "{name}");
    }
    posthog.advance(hours(5));
    for name in tables(&posthog) {
        assert_eq!(row(&mut posthog, &name)["status"], "Completed", "{name}");
    }
}

#[test]
fn every_dead_run_is_dead_and_half_of_them_stay_running() {
    let mut posthog = with(include_str!("../../scenarios/dead-runs.yaml"));
    let dead: Vec<String> = tables(&posthog)
        .into_iter()
        .filter(|name| name != "canary")
        .collect();
    posthog.advance(hours(1));
    for name in &dead {
        let id = posthog.schema_id(name).unwrap();
        assert!(
            !posthog.run_is_alive(&posthog.newest_job(&id).unwrap()),
            "{name}"
        );
        assert_eq!(seen(&mut posthog, name)[0].0, "Running", "{name}");
    }
    posthog.advance(hours(100));
    for name in &dead {
        let swept = name == "queued" || name == "loading";
        let status = if swept { "Failed" } else { "Running" };
        assert_eq!(seen(&mut posthog, name)[0].0, status, "{name}");
    }
}
