//! What an answer proves, for how long, and what a restart must not forget.

use jiff::SignedDuration;
use posthog_simulator::{Fault, FaultKind, Matches, Times};
use warehouse_sync_operator::api::status::{RootCause, Severity};

use crate::{
    diagnosis::{
        CHECKS, GONE, OBSERVE, SYNCED, WRONG_PASSWORD, change, data, failed, found, is_quiet, of,
        only, simulator, watched,
    },
    faults::Faults,
    world::World,
};

fn world(scenario: &str, spec: &str) -> World {
    let mut world = World::new(scenario, spec, Faults::default());
    world.run_for(SignedDuration::from_mins(20));
    world
}

/// Every request whose path has `part` is answered with `status` from now on.
fn answers(world: &World, part: &str, status: u16) {
    simulator(world, |posthog| {
        posthog.add_fault(Fault {
            matches: Matches {
                method: None,
                path_contains: Some(part.to_owned()),
            },
            skip: 0,
            times: Times::Forever,
            kind: FaultKind::Status {
                status,
                body: None,
                headers: std::collections::BTreeMap::new(),
                after_effect: false,
            },
        });
    });
}

fn requests(world: &World, method: &str, part: &str) -> usize {
    simulator(world, |posthog| posthog.count(method, part))
}

// --- What is worked out once -----------------------------------------------------------------------------------------

#[test]
fn each_error_text_is_read_once_in_a_poll() {
    let source = |prefix: &str, text: &str| {
        let off =
            failed("off", "4h", text).replace("{name: off,", "{name: off, should_sync: false,");
        format!(
            "{{type: Postgres, prefix: {prefix}, schemas: [{}, {}, {off}]}}",
            failed("a", "2h", text),
            failed("b", "3h", text),
        )
    };
    // An outage, tables that are off, a text that says too little and so leads to a probe: everything that reads texts.
    let scenario = format!(
        "sources: [{}, {}, {}]",
        source("x", WRONG_PASSWORD),
        source(
            "y",
            "connection to server at \"db\", port 5432 failed: Connection refused"
        ),
        source("z", "Gremlins in the warehouse"),
    );
    let mut world = world(&scenario, "mode: Enforce, interval: 5m");
    assert!(
        world
            .status()
            .findings
            .iter()
            .any(|finding| finding.cause == RootCause::PlatformOutage)
    );
    for _ in 0..3 {
        simulator(&world, |posthog| {
            posthog.advance(SignedDuration::from_mins(5));
        });
        world.reconcile();
        assert_eq!(world.texts_read(), 3);
    }
}

// --- An answer belongs to the error for which it was read -----------------------------------------------------------------

#[test]
fn what_was_found_of_one_error_says_nothing_of_the_next() {
    let scenario = format!(
        "sources: [{{schemas: [{}, {{name: z, frequency: 30day, last_synced_ago: 1h}}]}}]",
        failed("a", "2h", "Gremlins in the warehouse").replace(
            "{name: a,",
            "{name: a, frequency: 30day, raw: {incremental_sync_blocked: duplicate_primary_key},"
        )
    );
    let mut world = world(&scenario, OBSERVE);
    assert_eq!(only(&world.status()).cause, RootCause::PrimaryKeyDuplicate);
    let id = world.schema_id("a");
    change(&world, &id, |schema| {
        schema.raw.remove("incremental_sync_blocked");
        schema.raw.insert(
            "latest_error".to_owned(),
            "connection to server at \"db\", port 5432 failed: Connection refused".into(),
        );
    });
    world.run_for(SignedDuration::from_mins(20));
    assert_eq!(only(&world.status()).cause, RootCause::NetworkUnreachable);
}

#[test]
fn a_good_answer_outlives_a_silence_and_says_of_when_it_is() {
    let scenario = "sources: [{type: Stripe, webhook: {supports_webhooks: true, exists: false}, schemas: [{name: Charge, sync_type: webhook, frequency: 30day, last_synced_ago: 1h}]}]";
    let mut world = world(scenario, OBSERVE);
    assert_eq!(only(&world.status()).cause, RootCause::WebhookBroken);
    answers(&world, "/webhook_info/", 503);
    world.run_for(SignedDuration::from_hours(3));
    let status = world.status();
    let finding = only(&status);
    assert_eq!(finding.cause, RootCause::WebhookBroken);
    assert!(
        finding.evidence[0].contains("as of 2026-10-01T00:00:00Z"),
        "{:?}",
        finding.evidence
    );
    // Once, and then after 1 h, 10, 20, 40 and 80 minutes.
    assert_eq!(requests(&world, "GET", "/webhook_info/"), 5);
}

#[test]
fn a_table_whose_runs_cannot_be_read_is_judged_by_its_row() {
    let scenario = format!(
        "sources: [{{schemas: [{}, {{name: z, frequency: 30day, last_synced_ago: 1h}}]}}]",
        failed("a", "2h", "relation \"a\" does not exist")
    );
    let mut world = World::new(&scenario, OBSERVE, Faults::default());
    answers(&world, "/jobs", 500);
    world.run_for(SignedDuration::from_mins(40));
    let status = world.status();
    let finding = only(&status);
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::TableMissing, Severity::Error)
    );
    assert!(
        finding
            .evidence
            .iter()
            .any(|fact| fact.contains("are unknown")),
        "{:?}",
        finding.evidence
    );
}

#[test]
fn a_stale_table_stays_stale_while_its_runs_cannot_be_read() {
    let scenario = "sources: [{schemas: [{name: a, frequency: 1hour, last_synced_ago: 50h}]}]";
    let mut world = world(scenario, OBSERVE);
    assert_eq!(only(&world.status()).cause, RootCause::Stale);
    answers(&world, "/jobs", 500);
    world.run_for(SignedDuration::from_hours(3));
    assert_eq!(only(&world.status()).cause, RootCause::Stale);
}

#[test]
fn what_may_have_happened_since_the_last_read_is_no_evidence_against_a_table() {
    // Its last run ended 11 h ago, which is within two intervals. Once they are over, its runs are read again before it is called stale.
    let scenario = "sources: [{schemas: [{name: a, frequency: 6hour, last_synced_ago: 50h, jobs: [{started_ago: 11h, took: 1m, status: Completed, rows: 0}]}]}]";
    let mut world = world(scenario, OBSERVE);
    let reads = |world: &World| requests(world, "GET", "/jobs/");
    world.run_for(SignedDuration::from_mins(40));
    is_quiet(&world.status());
    let before = reads(&world);
    world.run_for(SignedDuration::from_mins(40));
    assert_eq!(only(&world.status()).cause, RootCause::Stale);
    assert!(reads(&world) > before);
}

// --- Who is to blame ----------------------------------------------------------------------------------------------

#[test]
fn a_password_that_a_sibling_proves_good_is_still_a_matter_of_the_password() {
    let status = watched(&format!(
        "{}, {{name: b, last_synced_ago: 1h}}",
        failed("a", "3h", WRONG_PASSWORD)
    ));
    let finding = only(&status);
    assert_eq!(finding.cause, RootCause::CredentialsInvalid);
    assert!(
        finding.evidence[0].contains("b synced after"),
        "{:?}",
        finding.evidence
    );
}

#[test]
fn a_right_that_every_table_lacks_is_no_dead_key() {
    let text = |name: &str| format!("permission denied for table {name}");
    let status = watched(&format!(
        "{}, {}",
        failed("a", "2h", &text("a")),
        failed("b", "3h", &text("b"))
    ));
    assert_eq!(
        found(&status),
        [
            ("a", RootCause::PermissionDenied, Severity::Error),
            ("b", RootCause::PermissionDenied, Severity::Error)
        ]
    );
}

#[test]
fn a_table_that_tries_again_keeps_the_cause_that_its_siblings_gave_it() {
    let text = "401 Client Error: Unauthorized for url: https://api.example.com/v1/a";
    let jobs = "jobs: [{started_ago: 3h, took: 1m, status: Failed, rows: 0, error: x}, {started_ago: 4h, took: 1m, status: Failed, rows: 0, error: x}]";
    let status = watched(&format!(
        "{{name: a, status: Running, latest_error: '{text}', last_synced_ago: 40h, {jobs}, run: {{started_ago: 1m, progresses: {{rows_per_second: 1}}}}}}, {{name: b, last_synced_ago: 1h}}"
    ));
    assert_eq!(only(&status).cause, RootCause::PermissionDenied);
}

#[test]
fn an_outage_shows_although_each_source_has_tried_again_at_its_own_time() {
    let source = |n: i64| {
        let last = 20 + 7 * n;
        format!(
            "{{type: Postgres, prefix: p{n}, schemas: [{{name: t{n}, status: Failed, last_synced_ago: 9h, latest_error: '{WRONG_PASSWORD}', jobs: [\
             {{started_ago: {last}m, took: 1m, status: Failed, rows: 0, error: x}}, \
             {{started_ago: 3h, took: 1m, status: Failed, rows: 0, error: x}}, {{started_ago: 9h, took: 1m, status: Completed, rows: 1}}]}}]}}"
        )
    };
    let scenario = format!("sources: [{}, {}, {}]", source(1), source(4), source(9));
    assert_eq!(
        only(&of(&scenario, OBSERVE)).cause,
        RootCause::PlatformOutage
    );
}

#[test]
fn an_outage_is_judged_by_all_sources_although_the_policy_selects_one() {
    let source = |n: i64| {
        format!(
            "{{type: Postgres, prefix: p{n}, schemas: [{}]}}",
            failed(&format!("t{n}"), "2h", WRONG_PASSWORD)
        )
    };
    let scenario = format!("sources: [{}, {}, {}]", source(1), source(2), source(3));
    let one = "interval: 5m, selector: {sources: {prefixes: [p2]}}";
    let status = of(&scenario, one);
    let finding = only(&status);
    assert_eq!(finding.cause, RootCause::PlatformOutage);
    assert_eq!(
        finding.affected.as_ref().unwrap().schemas,
        ["Postgres p2 t2"],
        "only what it selects"
    );
    let healthy = "{type: Postgres, prefix: p2, schemas: [{name: t2, last_synced_ago: 1h}]}";
    let scenario = format!(
        "sources: [{}, {healthy}, {}, {}]",
        source(1),
        source(3),
        source(4)
    );
    is_quiet(&of(&scenario, one));
}

// --- What a restart must not forget -------------------------------------------------------------------------------

#[test]
fn a_changed_schedule_is_remembered_across_a_restart() {
    let scenario = "sources: [{schemas: [{name: a, frequency: 30day, last_synced_ago: 20d}]}]";
    let mut world = world(scenario, OBSERVE);
    let id = world.schema_id("a");
    change(&world, &id, |schema| {
        schema.frequency = Some("24hour".to_owned());
    });
    world.run_for(SignedDuration::from_mins(10));
    world.restart();
    world.run_for(SignedDuration::from_hours(23));
    is_quiet(&world.status());
    world.run_for(SignedDuration::from_hours(2));
    assert_eq!(only(&world.status()).cause, RootCause::Stale);
    assert!(world.status().state.schemas.is_empty());
}

#[test]
fn a_lost_slot_does_not_get_more_time_by_a_restart() {
    let scenario = "schedule: true\nsources: [{type: Postgres, prefix: prod, cdc: {slot_exists: false}, schemas: [{name: t, sync_type: cdc, frequency: 1hour, rows: 5, last_synced_ago: 30m}]}]";
    let mut world = world(scenario, OBSERVE);
    world.run_for(SignedDuration::from_mins(80));
    world.restart();
    world.run_for(SignedDuration::from_mins(10));
    assert_eq!(only(&world.status()).severity, Severity::Warning);
    world.run_for(SignedDuration::from_mins(60));
    assert_eq!(only(&world.status()).severity, Severity::Error);
    let id = simulator(&world, |posthog| posthog.source_id("prod").unwrap());
    simulator(&world, |posthog| {
        posthog
            .change_source(&id, |source| {
                source.cdc.as_mut().unwrap().slot_exists = true;
            })
            .unwrap();
    });
    world.run_for(SignedDuration::from_mins(70));
    is_quiet(&world.status());
    assert!(world.status().state.lost_slots.is_empty());
}

// --- What costs something is asked only with reason -----------------------------------------------------------------

#[test]
fn a_table_without_a_schedule_is_never_stale() {
    let max_age = "interval: 5m, health: {freshness: {maxAge: 26h}}";
    is_quiet(&of(
        "sources: [{schemas: [{name: a, frequency: 6hour, raw: {sync_frequency: never}, last_synced_ago: 90d}]}, \
         {access_method: direct, prefix: d, schemas: [{name: b, frequency: 6hour, last_synced_ago: 90d}]}]",
        max_age,
    ));
}

#[test]
fn change_data_capture_that_no_table_uses_is_not_probed() {
    let world = world(
        &format!(
            "sources: [{{type: Postgres, prefix: prod, cdc: {{slot_exists: false}}, schemas: [{{name: t, sync_type: cdc, should_sync: false, status: Failed, latest_error: x, {SYNCED}}}]}}]"
        ),
        OBSERVE,
    );
    assert_eq!(requests(&world, "GET", "/cdc_status/"), 0);
    assert_eq!(only(&world.status()).severity, Severity::Warning);
}

#[test]
fn trouble_ahead_does_not_hide_a_table_that_has_failed() {
    let lag = 6_i64 * 1024 * 1024 * 1024;
    let status = of(
        &format!(
            "sources: [{{type: Postgres, prefix: prod, cdc: {{lag_bytes: {lag}}}, schemas: [{}]}}]",
            failed("t", "2h", "Publication \"posthog_pub\" does not exist")
                .replace("{name: t,", "{name: t, sync_type: cdc,")
        ),
        OBSERVE,
    );
    assert_eq!(
        found(&status),
        [
            ("t", RootCause::CdcBroken, Severity::Error),
            ("", RootCause::CdcBroken, Severity::Warning)
        ]
    );
}

#[test]
fn rows_grow_old_although_nothing_is_synced() {
    let scenario = data("{newest: {column: at, at_ago: 25h}}")
        .replace("schedule: true\n", "")
        .replace("frequency: 1hour", "frequency: 30day");
    let mut world = world(&scenario, CHECKS);
    is_quiet(&world.status());
    world.run_for(SignedDuration::from_hours(3));
    assert_eq!(only(&world.status()).cause, RootCause::DataCheckFailed);
}

#[test]
fn limits_of_queries_hold_back_nothing_else() {
    let mut world = World::new(&data("{}"), CHECKS, Faults::default());
    answers(&world, "/query/", 429);
    world.run_for(SignedDuration::from_mins(20));
    assert!(requests(&world, "POST", "/query/") >= 1);
    let status = world.status();
    assert_eq!(status.condition("Ready").unwrap().status, "True");
    is_quiet(&status);
}

/// The most queries that this version sends in an hour with one key are the operator's share of 120.
#[test]
fn queries_keep_to_the_share_of_120_an_hour() {
    use warehouse_sync_operator::posthog::{client::KeyGate, quota::Share};
    let gate = KeyGate::sharing(Share::percent(10));
    let hour = gate.usage(crate::world::start());
    let left = |window: &str| {
        let mut usage = hour.iter();
        usage
            .find(|usage| usage.limit == "queries" && usage.window == window)
            .map(|usage| usage.remaining)
    };
    assert_eq!((left("minute"), left("hour")), (Some(12), Some(12)));
}

/// PostHog does not say how long to wait where too many queries run at once.
#[test]
fn a_query_refused_without_a_time_is_repeated_after_a_minute_and_not_before() {
    let mut world = World::new(&data("{}"), CHECKS, Faults::default());
    let kind = FaultKind::Status {
        status: 429,
        body: Some(serde_json::json!({"detail": "Too many queries are running"})),
        headers: std::collections::BTreeMap::new(),
        after_effect: false,
    };
    simulator(&world, |posthog| {
        posthog.add_fault(Fault::once("POST", "/query/", kind));
    });
    world.run_for(SignedDuration::from_mins(20));
    let simulator = world.simulator.lock().unwrap();
    let asked: Vec<_> = simulator
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/query/"))
        .map(|request| request.at)
        .collect();
    assert!(asked.len() >= 2, "{asked:?}");
    assert!(asked[1].duration_since(asked[0]) >= SignedDuration::from_mins(1));
}

#[test]
fn a_source_that_is_missing_from_one_list_does_not_make_a_check_of_its_data_wrong() {
    let scenario = data("{}").replace(
        "sources: [",
        "sources: [{type: Stripe, schemas: [{name: z, frequency: 30day, last_synced_ago: 1h}]}, ",
    );
    let mut world = world(&scenario, CHECKS);
    let id = world.schema_id("t");
    change(&world, &id, |schema| schema.invisible = true);
    world.run_for(SignedDuration::from_mins(6));
    assert!(
        world
            .status()
            .findings
            .iter()
            .all(|finding| finding.severity == Severity::Info),
        "{:#?}",
        world.status().findings
    );
}

#[test]
fn a_missing_scope_is_checked_again() {
    let scenario = format!(
        "keys: [{{token: phx_demo, scopes: ['external_data_source:read']}}]\nsources: [{{schemas: [{}, {{name: z, frequency: 30day, last_synced_ago: 1h}}]}}]",
        failed("a", "2h", GONE)
    );
    let mut world = world(&scenario, OBSERVE);
    assert_eq!(requests(&world, "POST", "/incremental_fields/"), 1);
    world.run_for(SignedDuration::from_hours(2));
    assert!(requests(&world, "POST", "/incremental_fields/") >= 2);
}
