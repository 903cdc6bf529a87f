//! Tables that are switched off without a word. Healthy look-alikes first.

use jiff::SignedDuration;
use warehouse_sync_operator::api::{
    WarehouseSyncPolicyStatus,
    conditions::HEALTHY,
    proposal::ProposedAction,
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

// --- What a single list hides ------------------------------------------------------------------------------------------

/// What the row of a table says of whether it is on, whatever is so.
fn says(world: &World, name: &str, should_sync: Option<serde_json::Value>) {
    change(world, &world.schema_id(name), |schema| {
        schema.raw.clear();
        if let Some(odd) = should_sync {
            schema.raw.insert("should_sync".to_owned(), odd);
        }
    });
}

#[test]
fn a_switch_that_cannot_be_read_for_a_poll_or_two_is_nothing() {
    for restart in [false, true] {
        let mut world = four(OBSERVE);
        for odd in [serde_json::Value::Null, "on".into(), 1.into()] {
            says(&world, "a", Some(odd));
            world.run_for(SignedDuration::from_mins(5));
            assert_eq!(only(&world.status()).cause, RootCause::Unknown);
            if restart {
                world.restart();
            }
        }
        says(&world, "a", None);
        world.run_for(MINUTES);
        is_quiet(&world.status());
    }
}

#[test]
fn a_switch_that_cannot_be_read_for_a_poll_hides_no_switching_off() {
    for odd in [serde_json::Value::Null, "on".into(), 1.into()] {
        for restart in [false, true] {
            let mut world = four(OBSERVE);
            says(&world, "a", Some(odd.clone()));
            world.run_for(SignedDuration::from_mins(5));
            vanish(&world, &["a"]);
            world.run_for(SignedDuration::from_mins(5));
            if restart {
                world.restart();
            }
            says(&world, "a", None);
            world.run_for(MINUTES);
            let said = [("a", RootCause::TableMissing, Severity::Warning)];
            assert_eq!(found(&world.status()), said, "{odd} {restart}");
            // Nor is it forgotten by another such list.
            says(&world, "a", Some(odd.clone()));
            world.run_for(SignedDuration::from_mins(5));
            says(&world, "a", None);
            world.run_for(MINUTES);
            assert_eq!(found(&world.status()), said, "{odd} {restart}");
        }
    }
}

#[test]
fn a_table_that_is_missing_from_a_list_and_comes_back_off_is_told() {
    let mut world = four(OBSERVE);
    let id = world.schema_id("a");
    change(&world, &id, |schema| schema.invisible = true);
    world.run_for(SignedDuration::from_mins(5));
    vanish(&world, &["a"]);
    change(&world, &id, |schema| schema.invisible = false);
    world.run_for(MINUTES);
    assert_eq!(
        found(&world.status()),
        [("a", RootCause::TableMissing, Severity::Warning)]
    );
}

#[test]
fn a_table_that_was_missing_when_the_operator_restarted_and_comes_back_off_is_told() {
    let all = ["a", "b", "c", "d"];
    for (names, restarts, severity) in [
        (&all[..1], 1, Severity::Warning),
        (&all[..2], 3, Severity::Warning),
        (&all[..], 2, Severity::Error),
    ] {
        let mut world = four(OBSERVE);
        see(&world, names, false);
        for _ in 0..restarts {
            world.run_for(SignedDuration::from_mins(5));
            world.restart();
        }
        vanish(&world, names);
        see(&world, names, true);
        world.run_for(MINUTES);
        let status = world.status();
        let finding = only(&status);
        let said = (finding.cause, finding.severity);
        assert_eq!(said, (RootCause::TableMissing, severity), "{names:?}");
    }
}

#[test]
fn tables_that_are_switched_off_behind_an_empty_list_are_told() {
    for restart in [false, true] {
        let mut world = four(OBSERVE);
        let empty = "{matches: {method: GET, path_contains: /external_data_sources/}, times: forever, \
             kind: {status: {status: 200, body: {count: 0, next: null, previous: null, results: []}}}}";
        let fault = serde_saphyr::from_str(empty).unwrap();
        simulator(&world, |posthog| posthog.add_fault(fault));
        world.run_for(MINUTES);
        if restart {
            world.restart();
            world.run_for(MINUTES);
        }
        simulator(&world, posthog_simulator::Simulator::clear_faults);
        vanish(&world, &["a", "b"]);
        world.run_for(MINUTES);
        let status = world.status();
        let told = status
            .findings
            .iter()
            .find(|one| one.rule == "list/not-shown");
        assert!(told.is_some(), "{restart}: {:#?}", status.findings);
    }
}

#[test]
fn a_table_that_left_for_good_is_not_remembered_for_ever() {
    let mut world = four(OBSERVE);
    see(&world, &["a"], false);
    world.run_for(SignedDuration::from_hours(12));
    let count = |world: &World| world.status().state.on[0].tables.split(' ').count();
    assert_eq!(count(&world), 4);
    world.run_for(SignedDuration::from_hours(13));
    assert_eq!(count(&world), 3);
}

// --- While nobody watches ----------------------------------------------------------------------------------------------

fn see(world: &World, names: &[&str], visible: bool) {
    for name in names {
        change(world, &world.schema_id(name), |schema| {
            schema.invisible = !visible;
        });
    }
}

#[test]
fn tables_that_leave_the_list_while_the_operator_is_down_are_told() {
    let selecting = "interval: 5m, selector: {schemas: {include: [a, b, c, d]}}";
    for spec in [OBSERVE, selecting] {
        for names in [vec!["a"], vec!["a", "b"], vec!["a", "b", "c", "d"]] {
            let mut world = four(spec);
            see(&world, &names, false);
            world.restart();
            world.run_for(MINUTES);
            world.run_for(MINUTES);
            let status = world.status();
            let finding = only(&status);
            assert_eq!(
                (finding.cause, finding.severity),
                (RootCause::NotVisible, Severity::Info),
                "{finding:#?}"
            );
            assert_eq!(finding.source, "Postgres prod");
            if names.len() > 1 {
                assert_eq!(affected(&status).len(), names.len());
            }
        }
    }
}

#[test]
fn tables_that_left_while_the_operator_was_down_are_told_for_a_day_whatever_restarts() {
    let mut world = four("interval: 1h");
    see(&world, &["a"], false);
    world.restart();
    world.run_for(SignedDuration::from_hours(5));
    world.restart();
    world.run_for(SignedDuration::from_hours(12));
    assert_eq!(only(&world.status()).cause, RootCause::NotVisible);
    world.run_for(SignedDuration::from_hours(13));
    is_quiet(&world.status());
    world.restart();
    world.run_for(SignedDuration::from_hours(5));
    is_quiet(&world.status());
}

#[test]
fn tables_that_were_only_away_while_the_operator_was_down_are_forgotten_when_they_return() {
    let mut world = four(OBSERVE);
    see(&world, &["a", "b"], false);
    world.restart();
    world.run_for(MINUTES);
    see(&world, &["a", "b"], true);
    world.run_for(MINUTES);
    is_quiet(&world.status());
    assert!(world.status().state.missing.is_empty());
}

#[test]
fn a_restart_alone_misses_nothing() {
    let mut world = four(OBSERVE);
    for _ in 0..3 {
        world.restart();
        world.run_for(MINUTES);
        is_quiet(&world.status());
    }
}

fn set_rows(world: &World, name: &str, rows: u64) {
    let id = world.schema_id(name);
    simulator(world, |posthog| posthog.set_rows(&id, rows).unwrap());
}

#[test]
fn rows_that_grow_or_shrink_a_little_while_the_operator_is_down_are_nothing() {
    for rows in [2_000_000, 5_000_000, 1_200_000] {
        let mut world = four(OBSERVE);
        set_rows(&world, "a", rows);
        world.restart();
        world.run_for(MINUTES);
        is_quiet(&world.status());
    }
}

#[test]
fn rows_that_vanish_while_the_operator_is_down_are_told() {
    for rows in [0, 10, 400_000, 650_000] {
        let mut world = four(OBSERVE);
        set_rows(&world, "a", rows);
        world.restart();
        world.run_for(MINUTES);
        assert_eq!(
            found(&world.status()),
            [("a", RootCause::RowLoss, Severity::Warning)],
            "{rows}"
        );
        world.restart();
        world.run_for(SignedDuration::from_hours(2));
        assert_eq!(only(&world.status()).cause, RootCause::RowLoss);
        set_rows(&world, "a", 2_100_000);
        world.run_for(MINUTES);
        is_quiet(&world.status());
        world.restart();
        world.run_for(MINUTES);
        is_quiet(&world.status());
    }
}

#[test]
fn the_rows_of_a_table_that_grows_are_not_written_at_each_poll() {
    let mut world = four(OBSERVE);
    let before = world.status().state.on;
    for step in 1..20 {
        set_rows(&world, "a", 2_000_000 + step * 10_000);
        world.run_for(SignedDuration::from_mins(5));
    }
    assert_eq!(world.status().state.on, before);
    assert!(!before[0].rows.is_empty(), "{before:?}");
}

// --- Tables that the source shows again --------------------------------------------------------------------------------

fn reappear(world: &World, names: &[&str]) {
    for name in names {
        change(world, &world.schema_id(name), |schema| {
            schema.table_gone = false;
        });
    }
}

fn proposed(world: &World) -> Vec<Vec<String>> {
    let proposals = world.status().proposals;
    let proposals = proposals.iter().filter(|proposal| proposal.is_open());
    proposals
        .map(|proposal| {
            assert_eq!(proposal.action, ProposedAction::Reenable);
            proposal.material.steps[0].schema_ids.clone()
        })
        .collect()
}

#[test]
fn tables_that_the_source_shows_again_are_proposed_to_be_switched_on_and_no_others() {
    let mut world = four(ENFORCE);
    vanish(&world, &["a", "b"]);
    // In the same poll a person switches off another.
    switch_off(&world, &["d"]);
    world.run_for(MINUTES);
    assert!(proposed(&world).is_empty());
    world.restart();
    reappear(&world, &["a", "b"]);
    world.run_for(SignedDuration::from_hours(7));
    let mut ids = vec![world.schema_id("a"), world.schema_id("b")];
    ids.sort();
    assert_eq!(proposed(&world), [ids]);
    let status = world.status();
    assert!(
        status.findings[0].message.contains("but does now"),
        "{:?}",
        status.findings
    );
    assert_eq!(world.count("reload"), 0);
}

#[test]
fn tables_that_the_source_still_lacks_are_not_proposed() {
    let mut world = four(ENFORCE);
    vanish(&world, &["a", "b"]);
    world.run_for(SignedDuration::from_hours(13));
    assert!(proposed(&world).is_empty());
}

#[test]
fn tables_are_switched_on_once_a_person_approves() {
    let mut world = four(ENFORCE);
    vanish(&world, &["a"]);
    world.run_for(MINUTES);
    reappear(&world, &["a"]);
    world.run_for(SignedDuration::from_hours(7));
    let id = world.status().proposals[0].id.clone();
    let key = format!("approve.warehousesync.dev/{id}");
    world.cluster.annotate(&key, Some("anna"));
    world.run_for(SignedDuration::from_mins(30));
    let schema = world.schema_id("a");
    let on = simulator(&world, |posthog| posthog.should_sync(&schema));
    assert_eq!(on, Some(true), "{:#?}", world.status().proposals);
    is_quiet(&world.status());
}

#[test]
fn what_was_denied_is_not_proposed_again() {
    let mut world = four(ENFORCE);
    vanish(&world, &["a"]);
    world.run_for(MINUTES);
    reappear(&world, &["a"]);
    world.run_for(SignedDuration::from_hours(7));
    let id = world.status().proposals[0].id.clone();
    let key = format!("deny.warehousesync.dev/{id}");
    world.cluster.annotate(&key, Some("anna"));
    world.run_for(SignedDuration::from_hours(24));
    assert!(
        proposed(&world).is_empty(),
        "{:#?}",
        world.status().proposals
    );
    let schema = world.schema_id("a");
    let on = simulator(&world, |posthog| posthog.should_sync(&schema));
    assert_eq!(on, Some(false));
}
