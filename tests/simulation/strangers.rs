//! Another PostHog than the one that is known: fields that are missing, clocks that differ, lists that hide something. No run is
//! harmed because of it, and no table of which no data comes is called well.

use jiff::SignedDuration;
use warehouse_sync_operator::api::{WarehouseSyncPolicyStatus, conditions::HEALTHY};

use crate::{
    diagnosis::{OBSERVE, is_quiet, watched},
    faults::Faults,
    scenarios::{ENFORCE, HEARTBEAT},
    world::World,
};

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn of(schema: &str) -> String {
    format!("sources: [{{type: Postgres, prefix: prod, schemas: [{schema}, {HEARTBEAT}]}}]")
}

fn is_healthy(status: &WarehouseSyncPolicyStatus) -> bool {
    let healthy = status.condition(HEALTHY);
    healthy.is_some_and(|healthy| healthy.status == "True")
}

// --- Data that stops ------------------------------------------------------------------------------------------------

#[test]
fn a_last_sync_in_the_future_does_not_make_a_table_fresh() {
    for (status, raw) in [
        ("Completed", "raw: {last_synced_at: '2036-01-01T00:00:00Z'}"),
        (
            "Failed",
            "latest_error: Sync cancelled by user, raw: {last_synced_at: '2036-01-01T00:00:00Z'}",
        ),
    ] {
        let table = format!(
            "{{name: a, frequency: 1hour, status: {status}, last_synced_ago: 31d, last_run_ago: 30d, {raw}}}"
        );
        let mut world = World::new(&of(&table), OBSERVE, Faults::default());
        world.run_for(hours(5));
        assert!(
            !is_healthy(&world.status()),
            "{status}: {:#?}",
            world.status().findings
        );
    }
    is_quiet(&watched(
        "{name: a, frequency: 1hour, last_synced_ago: 10m, raw: {last_synced_at: '2026-10-01T00:04:00Z'}}",
    ));
}

#[test]
fn a_note_of_long_ago_hides_nothing_although_the_list_does_not_say_when_the_last_sync_was() {
    for odd in [
        "raw_remove: [last_synced_at]",
        "raw: {last_synced_at: yesterday}",
    ] {
        let table = format!(
            "{{name: a, frequency: 1hour, status: Failed, latest_error: Sync cancelled by user, last_synced_ago: 31d, last_run_ago: 30d, {odd}}}"
        );
        let mut world = World::new(&of(&table), OBSERVE, Faults::default());
        world.run_for(hours(5));
        assert!(
            !is_healthy(&world.status()),
            "{odd}: {:#?}",
            world.status().findings
        );
    }
}

#[test]
fn an_interval_in_the_words_of_another_version_is_an_interval() {
    for every in ["2hour", "45min", "3day", "1week"] {
        let table = |ago: &str| {
            format!(
                "{{name: a, frequency: 6hour, raw: {{sync_frequency: {every}}}, last_synced_ago: {ago}}}"
            )
        };
        let status = watched(&table("31d"));
        assert!(!is_healthy(&status), "{every}: {:#?}", status.findings);
        is_quiet(&watched(&table("30m")));
    }
}

/// The API server counts the bytes of an event's note, and refuses one that is too long.
#[test]
fn an_event_about_a_text_in_any_script_is_one_that_the_api_server_takes() {
    for letter in ["x", "ü", "注", "🚀"] {
        let (name, error) = (letter.repeat(110), letter.repeat(900));
        let table = format!(
            "{{name: {name}, frequency: 6hour, status: Failed, last_synced_ago: 9h, last_run_ago: 2h, latest_error: {error}}}"
        );
        let mut world = World::new(&of(&table), ENFORCE, Faults::default());
        world.run_for(hours(1));
        assert!(!world.cluster.events().is_empty());
    }
}

// --- Runs that live -------------------------------------------------------------------------------------------------

#[test]
fn a_table_that_has_synced_and_of_which_no_run_is_listed_is_not_reloaded() {
    let table = "{name: a, frequency: 6hour, last_synced_ago: 33h, rows: 5000, run: {pipeline: v3, started_ago: 10m, extract: 10h, rows: 5000}}";
    let fault = "faults: [{matches: {path_contains: /jobs/}, times: forever, kind: {status: {status: 200, body: []}}}]";
    let scenario = format!("{{{}, {fault}}}", of(table));
    let mut world = World::new(&scenario, ENFORCE, Faults::default());
    world.run_for(hours(6));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
}

#[test]
fn a_log_whose_clock_is_hours_behind_proves_no_silence() {
    let table = "{name: t, last_synced_ago: 33h, run: {started_ago: 9h, rows: 5, logs_only: {log_every: 30m}}}";
    let scenario = format!("{{instance: {{log_clock_ahead: -8h}}, {}}}", of(table));
    let spec = format!("{ENFORCE}, health: {{stuck: {{noProgressFor: 6h}}}}");
    let mut world = World::new(&scenario, &spec, Faults::default());
    world.run_for(hours(12));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
    world.restart();
    world.run_for(hours(12));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
}
