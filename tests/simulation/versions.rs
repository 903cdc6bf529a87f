//! What a PostHog shows, by its version: a new one first, then one of August 2025, then new ones that lack a single thing.

use jiff::SignedDuration;
use warehouse_sync_operator::api::{
    conditions::{HEALTHY, READY},
    status::RootCause,
};

use crate::{
    faults::Faults,
    scenarios::{ENFORCE, HEARTBEAT, STUCK},
    world::World,
};

/// A key from before there were scopes.
const LEGACY: &str = "keys: [{token: phx_demo, legacy: true}]\n";

fn with_api(api: &str, scenario: &str) -> World {
    let scenario = format!("instance: {{api: {api}}}\n{scenario}");
    World::new(&scenario, ENFORCE, Faults::default())
}

fn ready(world: &World) -> String {
    world.status().condition(READY).unwrap().message.clone()
}

/// Calls that could change something.
fn writes(world: &World) -> usize {
    let simulator = world.simulator.lock().unwrap();
    let reads = ["/incremental_fields/", "/query/", "_for_source/"];
    let requests = simulator.requests().iter();
    requests
        .filter(|request| request.method != "GET")
        .filter(|request| !reads.iter().any(|read| request.path.ends_with(read)))
        .count()
}

#[test]
fn of_a_posthog_of_today_nothing_is_said() {
    let mut world = with_api("new", STUCK);
    world.run_until_cancelled(1);
    let said = ready(&world);
    assert!(!said.contains("Of this PostHog"), "{said}");
    let metrics = world.metrics();
    for feature in [
        "scoped_keys",
        "access_method",
        "cancel",
        "run_times",
        "run_filter",
    ] {
        let line =
            format!("warehouse_sync_posthog_features{{feature=\"{feature}\",shown=\"yes\"}} 1");
        assert!(metrics.contains(&line), "{feature}");
    }
}

#[test]
fn whether_runs_can_be_cancelled_is_checked_once_a_day_while_one_is_in_progress() {
    let long = "{name: t, last_synced_ago: 9h, run: {started_ago: 1m, progresses: {rows_per_second: 1, finishes_after: 90h}}}";
    let mut world = with_api("new", &format!("sources: [{{schemas: [{long}]}}]"));
    world.run_for(SignedDuration::from_hours(23));
    let asked = |world: &World| {
        let simulator = world.simulator.lock().unwrap();
        simulator.count("GET", "/cancel/")
    };
    assert_eq!(asked(&world), 1);
    world.run_for(SignedDuration::from_hours(2));
    assert_eq!(asked(&world), 2);
    assert_eq!(world.count("cancel"), 0);
}

#[test]
fn an_old_posthog_that_refuses_scoped_keys_is_named_as_such() {
    let mut world = with_api("old", STUCK);
    world.run_for(SignedDuration::from_hours(1));
    let status = world.status();
    let ready = status.condition(READY).unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("False", "KeyRejected")
    );
    assert!(
        ready.message.contains("August 2025") && ready.message.contains("Upgrade PostHog"),
        "{}",
        ready.message
    );
    assert_eq!(status.condition(HEALTHY).unwrap().status, "Unknown");
    assert_eq!(writes(&world), 0);
}

#[test]
fn an_old_posthog_with_a_legacy_key_is_judged_as_far_as_it_shows_and_never_written_to() {
    let scenario = format!(
        "{LEGACY}sources:\n  - type: Postgres\n    prefix: prod\n    schemas:\n      \
         - {{name: stale, frequency: 1hour, last_synced_ago: 744h, rows: 10}}\n      \
         - {{name: hangs, last_synced_ago: 33h, rows: 1000, run: {{started_ago: 9h, rows: 500, hangs: {{}}}}}}\n      \
         - {{name: failed, frequency: 30day, status: Failed, latest_error: 'FATAL: password authentication failed for user \"x\"', last_synced_ago: 40h}}\n      \
         - {HEARTBEAT}"
    );
    let mut world = with_api("old", &scenario);
    world.run_for(SignedDuration::from_hours(30));
    let status = world.status();
    let causes: Vec<RootCause> = status
        .findings
        .iter()
        .map(|finding| finding.cause)
        .collect();
    assert!(causes.contains(&RootCause::Stale), "{causes:?}");
    assert!(
        causes.contains(&RootCause::CredentialsInvalid),
        "{causes:?}"
    );
    assert!(
        !causes.contains(&RootCause::Stuck),
        "no run proves that it is dead: {causes:?}"
    );
    assert_eq!(status.condition(HEALTHY).unwrap().status, "False");
    assert_eq!(writes(&world), 0);
    let said = ready(&world);
    for part in ["access_method", "finished_at", "cannot be cancelled"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        world
            .metrics()
            .contains("warehouse_sync_posthog_features{feature=\"cancel\",shown=\"no\"} 1")
    );
}

#[test]
fn a_posthog_that_lacks_a_single_thing_of_today_is_only_observed() {
    for (lacks, said) in [
        ("cancel", "cannot be cancelled"),
        ("finished_at", "finished_at"),
        ("jobs_filter", "filter by table"),
        ("access_method", "access_method"),
    ] {
        let mut world = with_api(&format!("{{lacks: [{lacks}]}}"), STUCK);
        world.run_for(SignedDuration::from_hours(14));
        assert_eq!(writes(&world), 0, "{lacks}");
        assert!(ready(&world).contains(said), "{lacks}: {}", ready(&world));
        let status = world.status();
        assert_ne!(status.condition(HEALTHY).unwrap().status, "True", "{lacks}");
    }
}

/// Fifty newer runs of another table hide the one in progress: it must not count as gone.
#[test]
fn a_run_that_the_list_does_not_show_is_not_taken_for_none() {
    let busy = "{name: busy, frequency: 5min, last_synced_ago: 4m, rows: 5, schedule: true, then: {completes: {after: 1s, rows: 5}}}";
    let slow = "{name: slow, last_synced_ago: 33h, run: {started_ago: 1m, progresses: {rows_per_second: 1, finishes_after: 60h}}}";
    let mut world = with_api(
        "{lacks: [jobs_filter]}",
        &format!("sources: [{{schemas: [{slow}, {busy}]}}]"),
    );
    world.run_for(SignedDuration::from_hours(20));
    assert_eq!(writes(&world), 0);
    let status = world.status();
    let causes: Vec<RootCause> = status
        .findings
        .iter()
        .map(|finding| finding.cause)
        .collect();
    assert_eq!(causes, [RootCause::Unknown], "{:?}", status.findings);
    assert!(status.findings[0].message.contains("ignores the filter"));
}

/// PostHog switched a table off, a person fixed the source: the first change of the table shows that this PostHog loses sync types.
#[test]
fn a_change_that_lost_the_sync_type_is_recognised_and_never_repeated() {
    let mut world = with_api(
        "{lacks: [patch_keeps_sync_type]}",
        "sources: [{type: Postgres, prefix: prod, probe_error: 'Could not connect', schemas: [{name: a, frequency: 30day, \
         last_synced_ago: 5h, rows: 10, run: {started_ago: 10s, fails: {after: 20s, rows: 0, non_retryable: true, \
         error: 'could not translate host name \"db\" to address'}}, then: {completes: {after: 1m, rows: 5}}}]}]",
    );
    world.run_for(SignedDuration::from_mins(90));
    {
        let mut simulator = world.simulator.lock().unwrap();
        let id = simulator.source_id("prod").unwrap();
        simulator.set_source_probe_error(&id, None).unwrap();
    }
    world.run_for(SignedDuration::from_hours(24));
    let changes = || {
        let simulator = world.simulator.lock().unwrap();
        let requests = simulator.requests().iter();
        requests.filter(|request| request.method == "PATCH").count()
    };
    assert_eq!(changes(), 1);
    assert!(
        ready(&world).contains("sync type to null"),
        "{}",
        ready(&world)
    );
    let reported = format!("{:?}", world.status().incidents);
    assert!(reported.contains("set the sync type to null"), "{reported}");
}

#[test]
fn what_posthog_says_that_is_not_known_is_counted_and_named_and_bounded() {
    let odd: Vec<String> = (0..30)
        .map(|n| format!("{{name: t{n}, last_synced_ago: 1h, raw: {{status: Odd status {n}}}}}"))
        .collect();
    let mut world = with_api(
        "new",
        &format!(
            "sources: [{{access_method: teleport, schemas: [{{name: u, last_synced_ago: 1h, raw: {{sync_type: telepathy}}}}, {}]}}]",
            odd.join(", ")
        ),
    );
    world.run_for(SignedDuration::from_mins(30));
    let metrics = world.metrics();
    for (kind, count) in [
        ("table_status", 20),
        ("sync_type", 1),
        ("access_method", 1),
        ("run_status", 0),
    ] {
        let line = format!("warehouse_sync_posthog_unfamiliar{{kind=\"{kind}\"}} {count}");
        assert!(metrics.contains(&line), "{line}");
    }
    let said = ready(&world);
    assert!(
        said.contains("\"telepathy\"") && said.contains("and 17 more"),
        "{said}"
    );
    assert!(said.len() < 1_100);
    assert_ne!(world.status().condition(HEALTHY).unwrap().status, "True");
}

#[test]
fn a_table_of_a_source_whose_access_is_not_known_is_unknown_and_not_healthy() {
    let scenario = "sources: [{access_method: teleport, schemas: [{name: t, frequency: 1hour, last_synced_ago: 744h, rows: 5}]}]";
    let mut world = World::new(scenario, ENFORCE, Faults::default());
    world.run_for(SignedDuration::from_mins(30));
    let status = world.status();
    assert_eq!(status.condition(HEALTHY).unwrap().status, "Unknown");
    assert_eq!(status.summary.unwrap().schemas.unknown, 1);
}

#[test]
fn no_status_makes_a_table_well_of_a_source_whose_access_is_not_known() {
    for access in ["teleport", "Warehouse", "null", "''", "7"] {
        for table in [
            "status: Completed, last_synced_ago: 1h",
            "status: Completed, last_synced_ago: 90d",
            "last_synced_ago: 90d, run: {started_ago: 10m, rows: 5, progresses: {rows_per_second: 1}}",
            "last_synced_ago: 90d, phantom: true",
            "last_synced_ago: 90d, status: Failed, latest_error: Sync cancelled by user, last_run_ago: 20d",
            "last_synced_ago: 90d, status: Failed, latest_error: 'Sync got stuck and was reset by PostHog', last_run_ago: 20d",
            "frequency: 1hour",
        ] {
            let scenario = format!(
                "sources: [{{raw: {{access_method: {access}}}, schemas: [{{name: t, rows: 5, {table}}}]}}]"
            );
            let mut world = World::new(&scenario, ENFORCE, Faults::default());
            world.run_for(SignedDuration::from_mins(40));
            let status = world.status();
            assert_eq!(
                status.condition(HEALTHY).unwrap().status,
                "Unknown",
                "{access} {table}: {:#?}",
                status.findings
            );
            assert_eq!(writes(&world), 0);
        }
        // What failed, failed.
        let scenario = format!(
            "sources: [{{raw: {{access_method: {access}}}, schemas: [{{name: t, status: Failed, latest_error: 'password authentication failed for user \"x\"', last_synced_ago: 4h}}]}}]"
        );
        let mut world = World::new(&scenario, ENFORCE, Faults::default());
        world.run_for(SignedDuration::from_mins(40));
        assert_eq!(
            world.status().findings[0].cause,
            RootCause::CredentialsInvalid
        );
        assert_eq!(writes(&world), 0);
    }
}

#[test]
fn what_the_logs_and_the_key_do_not_show_is_said_with_what_is_not_judged() {
    let waits = "{name: a, frequency: 30day, last_synced_ago: 40h, run: {pipeline: v3, started_ago: 0s, extract: 1h, rows: 40, queue: 60h}}";
    let canary = "{name: c, frequency: 1hour, schedule: true, last_synced_ago: 30m, then: {pipeline: v3, extract: 2m, rows: 20}}";
    let v2 = "{name: a, frequency: 30day, last_synced_ago: 40h, run: {started_ago: 0s, hangs: {after: 2h, rows: 4000}}}";
    let silent = |lines: &str, run: &str, canary: &str| {
        let instance = format!("{{stale_after: null, lines: {lines}}}");
        format!("instance: {instance}\nsources: [{{schemas: [{run}, {canary}]}}]")
    };
    let hook = "sources: [{type: Stripe, prefix: pay, webhook: {supports_webhooks: true, exists: true, external_status: {}}, \
                schemas: [{name: t, sync_type: webhook, last_synced_ago: 10m, frequency: 30day, rows: 9}]}]";
    for (scenario, hours, feature, shown, said) in [
        (silent("all", waits, canary), 13, "loader_lines", "yes", ""),
        (
            silent("no_loader", waits, canary),
            13,
            "loader_lines",
            "no",
            "loader writes no log lines",
        ),
        (silent("all", waits, canary), 13, "phase_markers", "yes", ""),
        (silent("all", v2, HEARTBEAT), 15, "phase_markers", "no", ""),
        (hook.to_owned(), 1, "queries", "no", "queries are refused"),
    ] {
        let mut world = World::new(&scenario, "interval: 5m", Faults::default());
        world.run_for(SignedDuration::from_hours(hours));
        let line =
            format!("warehouse_sync_posthog_features{{feature=\"{feature}\",shown=\"{shown}\"}} 1");
        assert!(world.metrics().contains(&line), "{line}");
        assert!(ready(&world).contains(said), "{feature}: {}", ready(&world));
    }
}

#[test]
fn each_kind_of_thing_that_is_not_known_is_counted_and_named() {
    let table = |rest: &str| {
        format!(
            "sources: [{{schemas: [{{name: t, frequency: 30day, last_synced_ago: 40h, rows: 5, {rest}}}]}}]"
        )
    };
    let hook = |fault: &str| {
        format!(
            "faults: [{{matches: {{path_contains: /webhook_info/}}, times: forever, kind: {fault}}}]\n\
             sources: [{{type: Stripe, prefix: pay, webhook: {{supports_webhooks: true, exists: true}}, \
             schemas: [{{name: t, sync_type: webhook, last_synced_ago: 10m, frequency: 30day, rows: 9}}]}}]"
        )
    };
    let odd = "run: {started_ago: 1m, progresses: {rows_per_second: 1, finishes_after: 90h}}, job_raw: {status: Loading}";
    for (kind, scenario, named) in [
        (
            "frequency",
            table("raw: {sync_frequency: fortnight}"),
            "fortnight",
        ),
        ("run_status", table(odd), "Loading"),
        (
            "error_shape",
            hook("{status: {status: 400, body: {oops: 1}}}"),
            "400",
        ),
        ("answer", hook("garbage200"), "read webhook"),
    ] {
        let mut world = World::new(&scenario, "interval: 5m", Faults::default());
        world.run_for(SignedDuration::from_hours(14));
        let line = format!("warehouse_sync_posthog_unfamiliar{{kind=\"{kind}\"}} 1");
        assert!(world.metrics().contains(&line), "{line}");
        let said = ready(&world);
        assert!(said.contains(named), "{kind}: {said}");
        assert_ne!(
            world.status().condition(HEALTHY).unwrap().status,
            "True",
            "{kind}"
        );
    }
}
