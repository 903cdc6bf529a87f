//! Tables that are switched off without a word. Healthy look-alikes first.

use jiff::SignedDuration;
use warehouse_sync_operator::api::{
    WarehouseSyncPolicyStatus,
    conditions::HEALTHY,
    status::{RootCause, Severity},
};

use crate::{
    diagnosis::{OBSERVE, change, found, is_quiet, only, simulator},
    faults::Faults,
    scenarios::ENFORCE,
    world::World,
};

/// A source of four tables of two million rows each, watched for a while.
fn four(spec: &str) -> World {
    let tables = ["a", "b", "c", "d"].map(|name| {
        format!("{{name: {name}, frequency: 24hour, last_synced_ago: 1h, rows: 2000000}}")
    });
    let scenario = format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{}]}}]",
        tables.join(", ")
    );
    let mut world = World::new(&scenario, spec, Faults::default());
    world.run_for(SignedDuration::from_mins(10));
    is_quiet(&world.status());
    world
}

/// The source shows these tables no more, and PostHog's discovery notices.
fn vanish(world: &World, names: &[&str]) {
    for name in names {
        change(world, &world.schema_id(name), |schema| {
            schema.table_gone = true;
        });
    }
    discover(world);
}

fn discover(world: &World) {
    simulator(world, |posthog| {
        let source = posthog.source_id("prod").unwrap();
        posthog.discover(&source).unwrap();
    });
}

fn switch_off(world: &World, names: &[&str]) {
    for name in names {
        let id = world.schema_id(name);
        simulator(world, |posthog| {
            posthog.set_should_sync(&id, false).unwrap();
        });
    }
}

fn affected(status: &WarehouseSyncPolicyStatus) -> Vec<String> {
    only(status).affected.as_ref().unwrap().schemas.clone()
}

const MINUTES: SignedDuration = SignedDuration::from_mins(15);

#[test]
fn a_discovery_that_finds_everything_is_nothing() {
    let mut world = four(OBSERVE);
    discover(&world);
    world.run_for(MINUTES);
    is_quiet(&world.status());
}

#[test]
fn tables_that_a_person_switches_off_are_information_for_a_day_and_never_switched_on() {
    let mut world = four(ENFORCE);
    switch_off(&world, &["a", "b"]);
    world.run_for(MINUTES);
    let status = world.status();
    let finding = only(&status);
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::OperatorAction, Severity::Info)
    );
    assert_eq!(affected(&status), ["a", "b"]);
    assert!(status.proposals.is_empty());
    world.restart();
    world.run_for(SignedDuration::from_hours(12));
    assert_eq!(only(&world.status()).cause, RootCause::OperatorAction);
    assert!(world.status().proposals.is_empty());
}

#[test]
fn tables_that_are_switched_on_again_are_forgotten() {
    let mut world = four(OBSERVE);
    vanish(&world, &["a"]);
    world.run_for(MINUTES);
    assert_eq!(world.status().findings.len(), 1);
    let id = world.schema_id("a");
    change(&world, &id, |schema| schema.table_gone = false);
    simulator(&world, |posthog| {
        posthog.set_should_sync(&id, true).unwrap();
    });
    world.run_for(MINUTES);
    is_quiet(&world.status());
    assert!(world.status().state.went_off.is_empty());
}

#[test]
fn what_the_source_no_longer_shows_is_a_warning_with_names_rows_and_time() {
    let mut world = four(OBSERVE);
    vanish(&world, &["a", "b"]);
    world.run_for(MINUTES);
    let status = world.status();
    let finding = only(&status);
    assert_eq!(
        (finding.cause, finding.severity, finding.rule.as_str()),
        (RootCause::TableMissing, Severity::Warning, "list/not-shown")
    );
    assert_eq!(affected(&status), ["a", "b"]);
    for said in [
        "2 tables",
        "4000000 rows",
        "between 2026-10-01T00:",
        "does not show",
    ] {
        assert!(
            finding.message.contains(said),
            "{said}: {}",
            finding.message
        );
    }
    assert!(status.proposals.is_empty(), "{:?}", status.proposals);
    world.run_for(SignedDuration::from_hours(30));
    assert_eq!(only(&world.status()).severity, Severity::Warning);
}

#[test]
fn all_tables_of_a_source_at_once_are_an_error_for_any_actor() {
    let all = ["a", "b", "c", "d"];
    let mut gone = four(OBSERVE);
    vanish(&gone, &all);
    let mut off = four(OBSERVE);
    switch_off(&off, &all);
    for (world, cause) in [
        (&mut gone, RootCause::TableMissing),
        (&mut off, RootCause::OperatorAction),
    ] {
        world.run_for(MINUTES);
        let status = world.status();
        let finding = only(&status);
        assert_eq!((finding.cause, finding.severity), (cause, Severity::Error));
        assert!(finding.message.contains("8000000 rows"), "{finding:?}");
        assert_eq!(affected(&status).len(), 4);
        assert_eq!(status.condition(HEALTHY).unwrap().status, "False");
        assert_eq!(status.summary.as_ref().unwrap().sources.healthy, 0);
    }
}

#[test]
fn what_was_switched_off_while_the_operator_was_not_running_is_noticed() {
    for after_restart in [false, true] {
        let mut world = four(OBSERVE);
        vanish(&world, &["a", "b", "c", "d"]);
        if after_restart {
            world.restart();
        }
        world.run_for(MINUTES);
        world.restart();
        world.run_for(MINUTES);
        let status = world.status();
        let finding = only(&status);
        assert_eq!(
            (finding.cause, finding.severity),
            (RootCause::TableMissing, Severity::Error),
            "{finding:#?}"
        );
    }
}

#[test]
fn the_only_table_of_a_source_is_all_of_them_if_the_source_does_not_show_it() {
    let scenario = "sources: [{prefix: prod, schemas: [{name: a, last_synced_ago: 1h, rows: 5}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(MINUTES);
    vanish(&world, &["a"]);
    world.run_for(MINUTES);
    assert_eq!(
        found(&world.status()),
        [("a", RootCause::TableMissing, Severity::Error)]
    );
}

#[test]
fn without_an_answer_of_the_source_the_actor_is_unknown() {
    let mut world = four(OBSERVE);
    vanish(&world, &["a"]);
    simulator(&world, |posthog| {
        let source = posthog.source_id("prod").unwrap();
        let error = Some("Could not connect to the source.");
        posthog.set_source_probe_error(&source, error).unwrap();
    });
    world.run_for(MINUTES);
    assert_eq!(
        found(&world.status()),
        [("a", RootCause::Unknown, Severity::Warning)]
    );
}

#[test]
fn a_table_that_is_listed_again_stays_off_and_that_is_reported() {
    let mut world = four(ENFORCE);
    vanish(&world, &["a"]);
    world.run_for(MINUTES);
    world.restart();
    change(&world, &world.schema_id("a"), |schema| {
        schema.table_gone = false;
    });
    world.run_for(SignedDuration::from_hours(7));
    let status = world.status();
    let finding = only(&status);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.message.contains("but does now"), "{finding:?}");
}

#[test]
fn a_failed_table_whose_status_discovery_changed_is_reported() {
    let scenario = "sources: [{prefix: prod, schemas: [{name: b, last_synced_ago: 1h}, \
                    {name: a, should_sync: false, status: Completed, latest_error: boom, last_synced_ago: 90d, table_gone: true, rows: 7}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(MINUTES);
    assert_eq!(
        found(&world.status()),
        [("a", RootCause::TableMissing, Severity::Warning)]
    );
}
