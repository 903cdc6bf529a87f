//! What else the operator repairs by itself, other than hanging runs, and what holds it.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use posthog_simulator::{Fault, FaultKind, Simulator};
use warehouse_sync_operator::api::status::{RootCause, Severity, Step};

use crate::{faults::Faults, fleet::Fleet, world::World};

const ENFORCE: &str = "mode: Enforce, interval: 1m";
const PASSING: &str = "server closed the connection unexpectedly";

fn world(scenario: &str, spec: &str) -> World {
    World::new(scenario, spec, Faults::default())
}

fn run(world: &mut World, minutes: i64) {
    world.run_for(SignedDuration::from_mins(minutes));
}

fn simulator<A>(world: &World, change: impl FnOnce(&mut Simulator) -> A) -> A {
    change(&mut world.simulator.lock().unwrap())
}

/// A table of a source of its own that failed `ago` with `text`; what its next runs do.
fn failed(name: &str, ago: &str, text: &str, then: &str) -> String {
    format!(
        "{{type: Postgres, prefix: p{name}, schemas: [{{name: {name}, status: Failed, frequency: 24hour, last_synced_ago: 30h, \
         last_run_ago: {ago}, latest_error: '{text}', then: {then}}}]}}"
    )
}

const WORKS: &str = "{completes: {after: 2m, rows: 5}}";
const FAILS: &str =
    "{fails: {after: 1m, rows: 0, error: 'server closed the connection unexpectedly'}}";

fn sources(sources: &[String]) -> String {
    format!("sources: [{}]", sources.join(", "))
}

/// A person annotates the policy.
fn reset(world: &World, token: &str) {
    world.cluster.edit(|policy| {
        let annotations = policy.metadata.annotations.get_or_insert_default();
        let key = "reconcile.warehousesync.dev/resetAt";
        annotations.insert(key.to_owned(), token.to_owned());
    });
}

/// What is said to hold the operator back, of the only finding.
fn held(world: &World) -> String {
    let status = world.status();
    let finding = status
        .findings
        .iter()
        .find(|finding| finding.next_action.contains("Held: "))
        .unwrap_or_else(|| panic!("{:#?}", status.findings));
    finding.next_action.clone()
}

// --- A: reload after a transient failure ----------------------------------------------------------------------------

#[test]
fn a_transient_failure_is_reloaded_once_after_a_pause_and_recovers() {
    let mut world = world(&sources(&[failed("a", "1m", PASSING, WORKS)]), ENFORCE);
    run(&mut world, 8);
    assert_eq!(world.count("reload"), 0, "the pause is ten minutes");
    assert!(held(&world).contains("limits.backoff: attempt 1 not before"));
    run(&mut world, 30);
    assert_eq!(world.count("reload"), 1);
    let status = world.status();
    assert!(status.findings.is_empty(), "{:#?}", status.findings);
    assert!(status.incidents.is_empty(), "{:#?}", status.incidents);
    assert!(
        status
            .history
            .iter()
            .any(|entry| entry.what.contains("completed")),
        "{:#?}",
        status.history
    );
}

#[test]
fn what_is_not_understood_or_needs_a_person_is_never_reloaded() {
    let mut world = world(
        &sources(&[
            failed("a", "1h", "Gremlins in the warehouse", WORKS),
            failed(
                "b",
                "2h",
                "password authentication failed for user \"x\"",
                WORKS,
            ),
            failed("c", "3h", "relation \"c\" does not exist", WORKS),
            failed("d", "4h", "Sync cancelled by user", WORKS),
        ]),
        ENFORCE,
    );
    run(&mut world, 120);
    assert_eq!((world.count("reload"), world.count("cancel")), (0, 0));
}

#[test]
fn observe_suspend_and_off_name_what_they_hold_back_and_send_nothing() {
    for (spec, says) in [
        ("mode: Observe, interval: 1m", "spec.mode is Observe"),
        (
            "mode: Enforce, suspend: true, interval: 1m",
            "spec.suspend is true",
        ),
        (
            "mode: Enforce, interval: 1m, remediation: {reloadTransient: 'Off'}",
            "spec.remediation.reloadTransient is Off",
        ),
    ] {
        let mut world = world(&sources(&[failed("a", "1h", PASSING, WORKS)]), spec);
        run(&mut world, 60);
        assert_eq!(world.count("reload"), 0, "{spec}");
        assert!(held(&world).contains(says), "{}", held(&world));
    }
}

#[test]
fn attempts_are_counted_across_restarts_back_off_and_escalate() {
    let mut world = world(&sources(&[failed("a", "1h", PASSING, FAILS)]), ENFORCE);
    run(&mut world, 5);
    assert_eq!(world.count("reload"), 1);
    // Failed after a minute; the second attempt after 20 minutes more, the third after 40.
    run(&mut world, 10);
    world.restart();
    assert_eq!(world.status().incidents[0].step, Step::BackOff);
    assert!(
        held(&world).contains("attempt 2 not before"),
        "{}",
        held(&world)
    );
    run(&mut world, 15);
    assert_eq!(world.count("reload"), 2);
    world.restart();
    run(&mut world, 30);
    assert_eq!(world.count("reload"), 2);
    run(&mut world, 20);
    assert_eq!(world.count("reload"), 3);
    run(&mut world, 24 * 60);
    assert_eq!(world.count("reload"), 3, "three attempts, then a person");
    let status = world.status();
    assert_eq!(status.incidents[0].step, Step::Escalated);
    let finding = &status.findings[0];
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::Transient, Severity::Error)
    );
    assert!(
        finding.next_action.starts_with("Action required"),
        "{}",
        finding.next_action
    );
}

#[test]
fn a_table_that_fails_for_another_reason_after_the_reload_is_that_reasons() {
    let other = "{fails: {after: 1m, rows: 0, error: 'relation \"a\" does not exist'}}";
    let mut world = world(&sources(&[failed("a", "1h", PASSING, other)]), ENFORCE);
    run(&mut world, 120);
    assert_eq!(world.count("reload"), 1);
    let status = world.status();
    assert!(status.incidents.is_empty(), "{:#?}", status.incidents);
    assert_eq!(status.findings[0].cause, RootCause::TableMissing);
}

#[test]
fn a_run_that_posthog_started_itself_is_not_doubled() {
    let mut world = world(&sources(&[failed("a", "1m", PASSING, WORKS)]), ENFORCE);
    run(&mut world, 8);
    let id = world.schema_id("a");
    simulator(&world, |posthog| posthog.start_run(&id).unwrap());
    run(&mut world, 60);
    assert_eq!(world.count("reload"), 0);
    assert!(world.status().findings.is_empty());
}

// --- Stale --------------------------------------------------------------------------------------------------------

#[test]
fn a_stale_table_is_reloaded_once_and_a_full_one_at_most_once_a_day() {
    let scenario = "sources: [{schemas: [{name: a, sync_type: full_refresh, frequency: 1hour, last_synced_ago: 9h}]}]";
    let mut world = world(scenario, ENFORCE);
    run(&mut world, 20);
    assert_eq!(world.count("reload"), 1);
    assert!(world.status().findings.is_empty());
    // The schedule is still dead: stale again after four intervals.
    run(&mut world, 10 * 60);
    assert_eq!(world.count("reload"), 1);
    assert!(
        held(&world).contains("at most once a day"),
        "{}",
        held(&world)
    );
    run(&mut world, 15 * 60);
    assert_eq!(world.count("reload"), 2);
}

#[test]
fn a_warning_of_staleness_is_no_reason_to_reload() {
    let scenario = "sources: [{schemas: [{name: a, frequency: 24hour, last_synced_ago: 50h}]}]";
    let mut world = world(scenario, ENFORCE);
    run(&mut world, 120);
    assert_eq!(world.count("reload"), 0);
    assert_eq!(world.status().findings[0].severity, Severity::Warning);
}

// --- Guards -------------------------------------------------------------------------------------------------------

#[test]
fn the_budget_of_an_hour_holds_across_a_restart() {
    let many: Vec<String> = (0..6)
        .map(|n| failed(&format!("t{n}"), &format!("{}h", 2 + n), PASSING, WORKS))
        .collect();
    let spec = "mode: Enforce, interval: 1m, remediation: {limits: {maxActionsPerHour: 2, maxConcurrent: 50}}";
    let mut world = world(&sources(&many), spec);
    run(&mut world, 20);
    assert_eq!(world.count("reload"), 2);
    assert!(
        held(&world).contains("maxActionsPerHour"),
        "{}",
        held(&world)
    );
    world.restart();
    run(&mut world, 30);
    assert_eq!(world.count("reload"), 2);
    run(&mut world, 30);
    assert_eq!(world.count("reload"), 4);
}

#[test]
fn a_closed_window_holds_the_start_and_not_what_was_started() {
    // The simulated day begins at 2026-10-01T00:00:00Z, a Thursday.
    let spec = "mode: Enforce, interval: 1m, remediation: {windows: [{kind: Deny, schedule: '0 0 * * *', duration: 2h, timeZone: UTC}]}";
    let mut world = world(&sources(&[failed("a", "1h", PASSING, WORKS)]), spec);
    run(&mut world, 110);
    assert_eq!(world.count("reload"), 0);
    assert!(
        held(&world).contains("a Deny window is open until 2026-10-01T02:00:00Z"),
        "{}",
        held(&world)
    );
    run(&mut world, 20);
    assert_eq!(world.count("reload"), 1);
}

#[test]
fn the_breaker_allows_one_trial_after_the_cool_down() {
    let many: Vec<String> = (0..4)
        .map(|n| failed(&format!("t{n}"), "20m", PASSING, FAILS))
        .collect();
    let mut world = world(&sources(&many), ENFORCE);
    run(&mut world, 25);
    assert_eq!(world.count("reload"), 0);
    let status = world.status();
    assert_eq!(status.findings[0].cause, RootCause::PlatformOutage);
    assert!(status.state.breaker.is_some());
    world.restart();
    run(&mut world, 10);
    assert_eq!(world.count("reload"), 1, "one trial");
    run(&mut world, 20);
    assert_eq!(world.count("reload"), 1, "it failed too");
}

#[test]
fn the_breaker_closes_when_the_sources_recover() {
    let many: Vec<String> = (0..4)
        .map(|n| failed(&format!("t{n}"), "20m", PASSING, WORKS))
        .collect();
    let mut world = world(&sources(&many), ENFORCE);
    run(&mut world, 5 * 60);
    let status = world.status();
    assert!(status.findings.is_empty(), "{:#?}", status.findings);
    assert!(status.state.breaker.is_none());
    assert_eq!(world.count("reload"), 4);
}

/// Four projects with a source each, all of which failed a minute ago, and a policy on each.
fn four_projects(specs: [&str; 4]) -> Fleet {
    let source = |n: i64| {
        let failed = failed(&format!("t{n}"), "1m", PASSING, FAILS);
        failed.replacen('{', &format!("{{project: {}, ", 12345 + n), 1)
    };
    let all: Vec<String> = (0..4).map(source).collect();
    let project = |number| 12345 + i64::try_from(number).unwrap();
    Fleet::with(&sources(&all), &specs, project, false)
}

#[test]
fn the_breaker_counts_the_sources_of_all_policies_on_the_host_and_each_by_its_own_numbers() {
    let patient = "mode: Enforce, interval: 1m, remediation: {limits: {breaker: {minSources: 5}}}";
    let mut fleet = four_projects([ENFORCE, ENFORCE, ENFORCE, patient]);
    fleet.run_for(SignedDuration::from_mins(25));
    for number in 0..3 {
        let status = fleet.status(number);
        let why = status.state.breaker.unwrap().why;
        assert!(why.starts_with("4 of 4 sources have failed since"), "{why}");
        let finding = &status.findings[0];
        assert_eq!(finding.cause, RootCause::PlatformOutage);
        let shown = serde_json::to_string(finding).unwrap();
        for other in (0..4).filter(|other| *other != number) {
            assert!(!shown.contains(&format!("t{other}")), "{shown}");
        }
    }
    assert!(
        fleet.status(3).state.breaker.is_none(),
        "five are more than four"
    );
    let reloads = |fleet: &Fleet| fleet.simulator.lock().unwrap().count("POST", "/reload/");
    assert_eq!(reloads(&fleet), 1, "only that of the patient one");
    fleet.run_for(SignedDuration::from_mins(20));
    let tried = (0..3).filter(|number| {
        let breaker = fleet.status(*number).state.breaker;
        breaker.is_some_and(|breaker| breaker.trial_at.is_some())
    });
    assert_eq!(tried.count(), 3, "each has a trial of its own");
}

#[test]
fn a_person_can_reset_attempts_once_for_each_token() {
    let mut world = world(&sources(&[failed("a", "1h", PASSING, FAILS)]), ENFORCE);
    run(&mut world, 4 * 60);
    assert_eq!(world.count("reload"), 3);
    assert_eq!(world.status().incidents[0].step, Step::Escalated);
    reset(&world, "2026-10-01");
    run(&mut world, 10);
    assert_eq!(world.count("reload"), 4);
    run(&mut world, 24 * 60);
    assert_eq!(world.count("reload"), 6, "three attempts more, and no more");
    assert_eq!(
        world.status().state.reset_handled.as_deref(),
        Some("2026-10-01")
    );
}

#[test]
fn a_token_lets_the_breaker_try_one_at_once() {
    let many: Vec<String> = (0..4)
        .map(|n| failed(&format!("t{n}"), "20m", PASSING, FAILS))
        .collect();
    let mut world = world(&sources(&many), ENFORCE);
    run(&mut world, 5);
    assert_eq!(world.count("reload"), 0);
    reset(&world, "now");
    run(&mut world, 10);
    assert_eq!(world.count("reload"), 1);
}

#[test]
fn a_person_can_request_a_poll_once_for_each_token_and_nothing_else_changes() {
    let mut world = world(
        &sources(&[failed("a", "1h", PASSING, FAILS)]),
        "interval: 12h",
    );
    let polls = |world: &World| {
        let simulator = world.simulator.lock().unwrap();
        let lists = simulator.requests().iter();
        lists
            .filter(|request| request.path.ends_with("/external_data_sources/"))
            .count()
    };
    world.reconcile();
    // An object that changes for another reason is no reason to poll.
    world.reconcile();
    assert_eq!(polls(&world), 1);
    let before = world.status();
    let ask = |world: &World, token: &str| {
        world.cluster.edit(|policy| {
            let annotations = policy.metadata.annotations.get_or_insert_default();
            let key = "reconcile.warehousesync.dev/requestedAt";
            annotations.insert(key.to_owned(), token.to_owned());
        });
    };
    for (token, expected) in [("1", 2), ("2", 3), ("2", 3)] {
        ask(&world, token);
        world.reconcile();
        world.reconcile();
        assert_eq!(polls(&world), expected, "{token}");
        let handled = world.status().state.poll_handled;
        assert_eq!(handled.as_deref(), Some(token));
    }
    // A new process has to read the list once for itself.
    world.restart();
    world.reconcile();
    world.reconcile();
    assert_eq!(polls(&world), 4);
    let after = world.status();
    assert_eq!(after.incidents, before.incidents);
    assert_eq!(after.findings, before.findings);
}

#[test]
fn a_requested_poll_that_failed_is_made_when_it_can_be() {
    let mut world = world(
        &sources(&[failed("a", "1h", PASSING, FAILS)]),
        "interval: 12h",
    );
    world.reconcile();
    let kind = FaultKind::Status {
        status: 503,
        body: None,
        headers: BTreeMap::new(),
        after_effect: false,
    };
    let away = Fault::once("GET", "external_data_sources", kind);
    simulator(&world, |posthog| posthog.add_fault(away));
    world.cluster.edit(|policy| {
        let annotations = policy.metadata.annotations.get_or_insert_default();
        let key = "reconcile.warehousesync.dev/requestedAt";
        annotations.insert(key.to_owned(), "now".to_owned());
    });
    let wait = world.reconcile();
    assert_eq!(world.status().state.poll_handled, None);
    simulator(&world, |posthog| posthog.advance(wait));
    world.reconcile();
    assert_eq!(world.status().state.poll_handled.as_deref(), Some("now"));
}

#[test]
fn policies_that_start_in_the_same_second_do_not_exceed_the_operators_cap() {
    let tables = [
        failed("a", "2h", PASSING, WORKS),
        failed("b", "4h", PASSING, WORKS),
        failed("c", "6h", PASSING, WORKS),
    ];
    let only = |table| format!("{ENFORCE}, selector: {{schemas: {{include: [{table}]}}}}");
    let specs = [only("a"), only("b"), only("c")];
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    for lag in [false, true] {
        let mut fleet = Fleet::with(&sources(&tables), &specs, |_| 12345, lag);
        fleet.set_cap(2);
        fleet.run_for(SignedDuration::from_mins(55));
        let reloads = |fleet: &Fleet| fleet.simulator.lock().unwrap().count("POST", "/reload/");
        assert_eq!(reloads(&fleet), 2, "{lag}");
        let held = (0..3).filter_map(|number| fleet.status(number).next_action?.blocked_by);
        let held: Vec<String> = held.collect();
        assert!(
            held.len() == 1 && held[0].contains("--max-actions-per-hour, for all policies"),
            "{held:?}"
        );
        fleet.run_for(SignedDuration::from_mins(30));
        assert_eq!(reloads(&fleet), 3, "{lag}");
    }
}

// --- Guards in pairs ----------------------------------------------------------------------------------------------

#[test]
fn two_guards_hold_until_the_last_of_them_lets_go() {
    let window = "windows: [{kind: Deny, schedule: '0 0 * * *', duration: 1h, timeZone: UTC}]";
    // The window ends after an hour; the pause of two hours and the budget of the hour do not.
    let pause = format!(
        "mode: Enforce, interval: 1m, remediation: {{{window}, limits: {{backoff: {{initial: 2h}}}}}}"
    );
    let mut held_by_pause = world(&sources(&[failed("a", "1m", PASSING, WORKS)]), &pause);
    run(&mut held_by_pause, 110);
    assert_eq!(held_by_pause.count("reload"), 0);
    assert!(held(&held_by_pause).contains("limits.backoff"));
    run(&mut held_by_pause, 20);
    assert_eq!(held_by_pause.count("reload"), 1);

    let budget = format!(
        "mode: Enforce, interval: 1m, remediation: {{{window}, limits: {{maxActionsPerHour: 1, maxConcurrent: 1}}}}"
    );
    let two = [
        failed("a", "2h", PASSING, WORKS),
        failed("b", "4h", PASSING, WORKS),
    ];
    let mut held_by_budget = world(&sources(&two), &budget);
    run(&mut held_by_budget, 115);
    assert_eq!(
        held_by_budget.count("reload"),
        1,
        "one in the hour after the window"
    );
    run(&mut held_by_budget, 15);
    assert_eq!(held_by_budget.count("reload"), 2);
}

// --- Overrides ----------------------------------------------------------------------------------------------------

#[test]
fn the_first_override_that_matches_a_table_is_its_health() {
    let scenario = "sources: [{type: Postgres, prefix: prod, schemas: [\
        {name: public.slow, frequency: 1hour, last_synced_ago: 9h}, {name: public.fast, frequency: 1hour, last_synced_ago: 9h}]}]";
    let spec = "interval: 1m, overrides: [\
        {source: {prefix: prod}, schemas: ['public.s*'], freshness: {warnAfterIntervals: 100, errorAfterIntervals: 200}}, \
        {source: {prefix: prod}, schemas: ['*'], freshness: {warnAfterIntervals: 3, errorAfterIntervals: 20}}]";
    let mut world = world(scenario, spec);
    run(&mut world, 20);
    let status = world.status();
    let reported: Vec<_> = status
        .findings
        .iter()
        .map(|finding| (finding.schema.as_str(), finding.severity))
        .collect();
    assert_eq!(reported, [("public.fast", Severity::Warning)]);
}

/// One table for each of this many sources, hourly, each of which runs `apart` minutes after the previous one; all work until now.
fn one_after_the_other(count: usize, text: &str) -> String {
    let source = |n: usize| {
        let ago = n * 60 / count + 1;
        format!(
            "{{type: Postgres, prefix: s{n}, schemas: [{{name: t{n}, frequency: 1hour, last_synced_ago: {ago}m, rows: 5, schedule: true, \
             then: {{fails: {{after: 1m, rows: 0, error: '{text}'}}}}}}]}}"
        )
    };
    sources(&(0..count).map(source).collect::<Vec<_>>())
}

/// How many findings are about whole PostHog, and how many are about tables.
fn outage_and_others(world: &World) -> (usize, usize) {
    let status = world.status();
    let outages = status.findings.iter();
    let outages = outages.filter(|one| one.cause == RootCause::PlatformOutage);
    let outages = outages.count();
    (outages, status.findings.len() - outages)
}

#[test]
fn an_outage_that_sources_notice_one_after_the_other_is_one_and_is_held() {
    let mut world = world(&one_after_the_other(12, PASSING), ENFORCE);
    run(&mut world, 75);
    assert_eq!(outage_and_others(&world), (1, 0), "{:#?}", world.status());
    let (reloads, opened) = (world.count("reload"), world.status().state.breaker);
    assert!(
        reloads <= 5,
        "{reloads} reloads before half of the sources were bad"
    );
    let opened = opened.unwrap().open_since;
    run(&mut world, 240);
    assert_eq!(outage_and_others(&world), (1, 0));
    // One trial in half an hour.
    assert!(
        world.count("reload") <= reloads + 9,
        "{}",
        world.count("reload")
    );
    assert_eq!(world.status().state.breaker.unwrap().open_since, opened);
    // It is over, and the sources recover one after the other, too.
    for n in 0..12 {
        let id = world.schema_id(&format!("t{n}"));
        simulator(&world, |posthog| {
            let works = |schema: &mut posthog_simulator::SchemaSpec| {
                schema.then =
                    posthog_simulator::RunPlan::completes(SignedDuration::from_mins(1), 5);
            };
            posthog.change_schema(&id, works).unwrap();
        });
    }
    for _ in 0..8 {
        run(&mut world, 15);
        let (outages, others) = outage_and_others(&world);
        assert!(
            outages == 1 || others <= 3,
            "{:#?}",
            world.status().findings
        );
    }
    run(&mut world, 60);
    assert_eq!(
        outage_and_others(&world),
        (0, 0),
        "{:#?}",
        world.status().findings
    );
    assert!(world.status().state.breaker.is_none());
}

#[test]
fn a_few_sources_that_fail_one_after_the_other_are_no_outage() {
    let mut few = one_after_the_other(4, PASSING);
    let good = (0..6).map(|n| {
        format!(", {{type: Stripe, prefix: good{n}, schemas: [{{name: g{n}, frequency: 30day, last_synced_ago: 1h}}]}}")
    });
    few.truncate(few.len() - 1);
    few.extend(good);
    few.push(']');
    let mut world = world(&few, "interval: 1m");
    run(&mut world, 90);
    assert_eq!(outage_and_others(&world), (0, 4));
}

#[test]
fn attempts_keep_their_count_when_the_cause_changes() {
    let fails = |text: &str| format!("{{fails: {{after: 1m, rows: 0, error: '{text}'}}}}");
    let (passing, refused) = (
        fails(PASSING),
        fails("connection to server at 10.0.0.1, port 5432 failed: Connection refused"),
    );
    let next: Vec<String> = (0..20)
        .flat_map(|_| [passing.clone(), refused.clone()])
        .collect();
    let scenario = format!(
        "sources: [{{prefix: a, schemas: [{{name: a, frequency: 1hour, last_synced_ago: 10m, schedule: true, next_runs: [{}], then: {passing}}}]}}]",
        next.join(", ")
    );
    let mut world = world(&scenario, ENFORCE);
    run(&mut world, 60 * 13);
    assert!(
        world.count("reload") <= 3,
        "{} reloads",
        world.count("reload")
    );
    assert!(world.count("reload") >= 1);
    let status = world.status();
    assert_eq!(
        status.incidents[0].step,
        Step::Escalated,
        "{:#?}",
        status.incidents
    );
    world.restart();
    run(&mut world, 60 * 6);
    assert!(
        world.count("reload") <= 3,
        "{} reloads",
        world.count("reload")
    );
}

#[test]
fn attempts_are_forgotten_once_the_table_was_healthy_for_long_enough() {
    let fails = format!("{{fails: {{after: 1m, rows: 0, error: '{PASSING}'}}}}");
    let refused = "{fails: {after: 1m, rows: 0, error: 'connection to server at 10.0.0.1, port 5432 failed: Connection refused'}}";
    let scenario = format!(
        "sources: [{{prefix: a, schemas: [{{name: a, frequency: 1hour, last_synced_ago: 59m, schedule: true, \
         next_runs: [{fails}, {refused}], then: {WORKS}}}]}}]"
    );
    let mut world = world(&scenario, ENFORCE);
    run(&mut world, 50);
    let tried = |world: &World| {
        let states = world.status().state.schemas;
        states.iter().find_map(|state| state.tried.clone())
    };
    assert_eq!(
        tried(&world).map(|tried| tried.attempts),
        Some(1),
        "{:#?}",
        world.status()
    );
    run(&mut world, 60);
    assert_eq!(tried(&world), None);
}

#[test]
fn a_refresh_that_removes_more_than_half_of_the_rows_is_reported() {
    for (sync_type, rows, reported) in [
        ("full_refresh", 499, true),
        ("full_refresh", 500, false),
        ("full_refresh", 2000, false),
        ("incremental", 10, true),
        ("cdc", 10, false),
    ] {
        let scenario = format!(
            "sources: [{{prefix: a, schemas: [{{name: a, sync_type: {sync_type}, frequency: 1hour, last_synced_ago: 30m, rows: 1000}}]}}]"
        );
        let mut world = world(&scenario, "interval: 1m");
        run(&mut world, 5);
        let id = world.schema_id("a");
        simulator(&world, |posthog| posthog.set_rows(&id, rows).unwrap());
        run(&mut world, 5);
        world.restart();
        run(&mut world, 5);
        let findings = world.status().findings;
        let losses = findings
            .iter()
            .filter(|one| one.cause == RootCause::RowLoss);
        let losses: Vec<_> = losses.map(|one| one.severity).collect();
        assert_eq!(
            losses,
            [Severity::Warning][..usize::from(reported)],
            "{sync_type} {rows}"
        );
    }
}
