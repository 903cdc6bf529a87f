//! What the operator says and does about tables, over hours of virtual time. Healthy look-alikes first.

use jiff::SignedDuration;
use posthog_simulator::EffectKind;
use warehouse_sync_operator::{
    api::{
        conditions::{HEALTHY, READY},
        status::{RootCause, Severity, Step},
    },
    observe::OtherPolicy,
};

use crate::{
    faults::Faults,
    other_policies::younger,
    scenarios::{ENFORCE, HEARTBEAT, PHANTOM, STUCK},
    world::World,
};

fn world(schema: &str, spec: &str) -> World {
    let scenario = format!("sources: [{{type: Postgres, prefix: prod, schemas: [{schema}]}}]");
    World::new(&scenario, spec, Faults::default())
}

/// The same beside a table whose runs go on completing.
fn world_with_heartbeat(schema: &str, spec: &str) -> World {
    world(&format!("{schema}, {HEARTBEAT}"), spec)
}

/// Runs for a long time and asserts that nothing was sent and nothing called stuck.
fn is_never_stuck(schema: &str) {
    let mut world = world_with_heartbeat(schema, ENFORCE);
    for _ in 0..36 {
        world.run_for(SignedDuration::from_mins(40));
        let status = world.status();
        assert!(
            status
                .findings
                .iter()
                .all(|finding| finding.cause != RootCause::Stuck),
            "{:?}",
            status.findings
        );
    }
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
}

#[test]
fn a_daily_sync_that_just_started_is_not_stuck() {
    is_never_stuck(
        "{name: t, frequency: 24hour, last_synced_ago: 24h, run: {started_ago: 1m, completes: {after: 4h, rows: 9}}}",
    );
}

#[test]
fn a_first_sync_that_just_started_is_not_stuck() {
    is_never_stuck(
        "{name: t, run: {started_ago: 1m, progresses: {rows_per_second: 1, finishes_after: 20h}}}",
    );
}

#[test]
fn a_nine_hour_run_whose_rows_still_move_is_not_stuck() {
    is_never_stuck(
        "{name: t, last_synced_ago: 33h, run: {started_ago: 9h, rows: 5, progresses: {rows_per_second: 1, log_every: 9999h}}}",
    );
}

#[test]
fn a_nine_hour_run_that_only_logs_is_not_stuck() {
    is_never_stuck(
        "{name: t, last_synced_ago: 33h, run: {started_ago: 9h, rows: 5, logs_only: {log_every: 5h}}}",
    );
}

#[test]
fn a_run_whose_log_cannot_be_read_is_not_cancelled() {
    let scenario = STUCK.replacen("sources:", "faults: [{matches: {path_contains: /logs/}, times: forever, kind: {status: {status: 500}}}]\nsources:", 1);
    let mut world = World::new(&scenario, ENFORCE, Faults::default());
    world.run_for(SignedDuration::from_hours(30));
    assert_eq!(world.count("cancel"), 0);
    let status = world.status();
    assert_eq!(status.findings[0].cause, RootCause::Unknown);
    assert!(
        status.findings[0].message.contains("500"),
        "{}",
        status.findings[0].message
    );
    assert_eq!(status.condition(HEALTHY).unwrap().status, "Unknown");
}

/// What was read half a minute ago may have changed since: a cancel would hit the run that is newest then.
#[test]
fn nothing_is_cancelled_on_reads_that_took_too_long() {
    let scenario = STUCK.replacen("sources:", "faults: [{matches: {path_contains: /logs/}, times: forever, kind: {delay: {by: 25s}}}]\nsources:", 1);
    let mut world = World::new(&scenario, ENFORCE, Faults::default());
    world.run_for(SignedDuration::from_hours(30));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
    let next = &world.status().findings[0].next_action;
    assert!(next.contains("too long ago"), "{next}");
    world.simulator.lock().unwrap().clear_faults();
    world.run_for(SignedDuration::from_mins(30));
    assert_eq!(world.count("cancel"), 1);
}

/// By the operator's clock, hours have passed between two looks.
#[test]
fn a_run_is_not_stuck_because_the_operators_clock_was_set_ahead() {
    let mut world = world_with_heartbeat(
        "{name: t, last_synced_ago: 33h, run: {started_ago: 9h, rows: 5, logs_only: {log_every: 5h}}}",
        ENFORCE,
    );
    world.run_for(SignedDuration::from_mins(40));
    world.faults.set_clock_ahead(SignedDuration::from_hours(12));
    world.run_for(SignedDuration::from_mins(40));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
    let said = &world.status().findings[0].message;
    assert!(said.contains("the clocks disagree"), "{said}");
    world.faults.set_clock_ahead(SignedDuration::ZERO);
    world.run_for(SignedDuration::from_hours(20));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
}

/// A clock that is set right proves no more than it did before.
#[test]
fn a_run_is_not_stuck_because_the_operators_clock_was_behind_and_was_set_right() {
    // It has no log, whose lines would tell.
    let mut world = world_with_heartbeat(
        "{name: t, last_synced_ago: 33h, run: {started_ago: 9h, rows: 5, hangs: {}}}",
        ENFORCE,
    );
    world
        .faults
        .set_clock_ahead(SignedDuration::from_hours(-12));
    world.run_for(SignedDuration::from_mins(40));
    world.faults.set_clock_ahead(SignedDuration::ZERO);
    world.run_for(SignedDuration::from_hours(10));
    assert_eq!(
        world.count("cancel"),
        0,
        "it has not been watched for twelve hours"
    );
    world.run_for(SignedDuration::from_hours(4));
    assert_eq!(world.count("cancel"), 1);
}

/// Between the beginning of a reconcile and its calls, another policy may have started something.
#[test]
fn nothing_is_sent_beside_what_another_policy_has_started_during_the_reconcile() {
    let mut world = World::new(STUCK, "mode: Observe, interval: 5m", Faults::default());
    world.run_for(SignedDuration::from_hours(14));
    assert_eq!(world.status().findings[0].cause, RootCause::Stuck);
    world
        .cluster
        .edit(|policy| policy.spec.mode = warehouse_sync_operator::api::policy::Mode::Enforce);
    let in_flight = vec![(world.schema_id("public.orders"), None)];
    world
        .cluster
        .set_other_policies_after_a_read(vec![OtherPolicy {
            in_flight,
            ..younger()
        }]);
    world.reconcile();
    assert_eq!(world.count("cancel"), 0);
    let next = &world.status().findings[0].next_action;
    assert!(next.contains("is acting on"), "{next}");
    world.cluster.set_other_policies(vec![younger()]);
    world.run_for(SignedDuration::from_mins(30));
    assert_eq!(world.count("cancel"), 1);
}

#[test]
fn a_run_that_moves_between_the_verdict_and_the_cancel_is_not_cancelled() {
    // The run hangs for hours, then wakes up; the operator's poll before that has found it stuck in Observe.
    let mut world = World::new(STUCK, "mode: Observe, interval: 5m", Faults::default());
    world.run_for(SignedDuration::from_hours(14));
    assert_eq!(world.status().findings[0].cause, RootCause::Stuck);
    let id = world.schema_id("public.orders");
    world
        .simulator
        .lock()
        .unwrap()
        .write_log(&id, "still here")
        .unwrap();
    world
        .cluster
        .edit(|policy| policy.spec.mode = warehouse_sync_operator::api::policy::Mode::Enforce);
    world.run_for(SignedDuration::from_mins(30));
    assert_eq!(world.count("cancel"), 0);
    assert!(
        world
            .status()
            .findings
            .iter()
            .all(|finding| finding.cause != RootCause::Stuck)
    );
}

#[test]
fn what_was_seen_survives_a_restart_at_every_poll() {
    let mut world = World::new(STUCK, ENFORCE, Faults::default());
    // Two looks are needed before anything is remembered; from then on, a restart costs nothing.
    world.run_for(SignedDuration::from_hours(2));
    assert_eq!(world.status().state.schemas.len(), 1);
    let since = world.status().state.schemas[0]
        .marks
        .as_ref()
        .unwrap()
        .since;
    for _ in 0..36 {
        world.restart();
        world.run_for(SignedDuration::from_mins(20));
    }
    assert_eq!(world.count("cancel"), 1);
    let opened = world
        .simulator
        .lock()
        .unwrap()
        .effects_of(EffectKind::Cancelled)
        .first()
        .unwrap()
        .at;
    assert!(
        opened.duration_since(since) < SignedDuration::from_hours(13),
        "found {}",
        opened.duration_since(since)
    );
}

#[test]
fn observe_says_what_it_would_do_and_sends_nothing() {
    let mut world = World::new(STUCK, "interval: 5m", Faults::default());
    world.run_for(SignedDuration::from_hours(14));
    assert_eq!(world.simulator.lock().unwrap().count("POST", "/"), 0);
    let status = world.status();
    let finding = &status.findings[0];
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::Stuck, Severity::Error)
    );
    assert!(
        finding.next_action.starts_with("Held: cancel") && finding.next_action.contains("Observe"),
        "{}",
        finding.next_action
    );
    assert!(status.incidents.is_empty());
    assert_eq!(status.condition(HEALTHY).unwrap().status, "False");
    assert_eq!(status.summary.unwrap().healthy_of, "3/4");
}

#[test]
fn suspend_stops_an_incident_between_cancel_and_reload_and_resume_continues_it() {
    let mut world = World::new(STUCK, ENFORCE, Faults::default());
    world.run_until_cancelled(1);
    world.cluster.edit(|policy| policy.spec.suspend = true);
    world.run_for(SignedDuration::from_hours(2));
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 0));
    assert_eq!(world.status().incidents[0].step, Step::Reloading);
    world.cluster.edit(|policy| policy.spec.suspend = false);
    world.run_for(SignedDuration::from_hours(1));
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 1));
    assert!(world.status().incidents.is_empty());
}

#[test]
fn cancel_stuck_off_reports_only() {
    let mut world = World::new(
        STUCK,
        "mode: Enforce, interval: 5m, remediation: {cancelStuck: Off}",
        Faults::default(),
    );
    world.run_for(SignedDuration::from_hours(14));
    assert_eq!(world.count("cancel"), 0);
    assert!(
        world.status().findings[0]
            .next_action
            .contains("cancelStuck"),
        "{}",
        world.status().findings[0].next_action
    );
}

#[test]
fn a_direct_source_is_never_written_to() {
    for access in ["direct", "teleport"] {
        let scenario = STUCK.replacen(
            "prefix: prod",
            &format!("prefix: prod\n    access_method: {access}"),
            1,
        );
        let mut world = World::new(&scenario, ENFORCE, Faults::default());
        world.run_for(SignedDuration::from_hours(14));
        assert_eq!(world.count("cancel"), 0, "{access}");
        assert!(
            world.status().findings[0]
                .next_action
                .contains("access_method")
        );
    }
}

#[test]
fn a_table_is_not_phantom_before_a_deferred_start_could_have_happened() {
    let mut world = World::new(PHANTOM, ENFORCE, Faults::default());
    world.run_for(SignedDuration::from_mins(74));
    assert_eq!(world.count("reload"), 0);
    world.run_for(SignedDuration::from_hours(2));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 1));
}

#[test]
fn a_failed_run_is_a_finding_after_five_minutes_with_its_text_redacted() {
    let mut world = world(
        "{name: t, last_synced_ago: 9h, status: Failed, last_run_ago: 1m, latest_error: 'connect postgres://u:hunter2@db failed'}",
        "interval: 1m",
    );
    world.run_for(SignedDuration::from_mins(1));
    assert!(world.status().findings.is_empty(), "not yet");
    world.run_for(SignedDuration::from_mins(10));
    let finding = world.status().findings[0].clone();
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::Unknown, Severity::Error)
    );
    assert!(
        !serde_json::to_string(&world.status())
            .unwrap()
            .contains("hunter2")
    );
}

#[test]
fn a_run_that_a_person_cancelled_is_information_and_is_not_reloaded() {
    let mut world = world(
        "{name: t, last_synced_ago: 9h, status: Failed, latest_error: 'Sync cancelled by user'}",
        ENFORCE,
    );
    world.run_for(SignedDuration::from_hours(2));
    let status = world.status();
    assert_eq!(
        (status.findings[0].cause, status.findings[0].severity),
        (RootCause::OperatorAction, Severity::Info)
    );
    assert_eq!(world.count("reload"), 0);
    assert_eq!(status.condition(HEALTHY).unwrap().status, "True");
}

#[test]
fn a_table_that_was_switched_off_is_counted_and_only_reported_if_it_had_failed() {
    let mut world = world(
        "{name: a, should_sync: false, last_synced_ago: 9h}, {name: b, should_sync: false, status: Failed, latest_error: 'no such host'}",
        "interval: 5m",
    );
    world.run_for(SignedDuration::from_mins(10));
    let status = world.status();
    assert_eq!(status.summary.as_ref().unwrap().schemas.disabled, 2);
    assert_eq!(
        status
            .findings
            .iter()
            .map(|f| (f.schema.as_str(), f.severity))
            .collect::<Vec<_>>(),
        [("b", Severity::Warning)]
    );
}

#[test]
fn what_is_not_understood_is_reported_and_never_acted_on() {
    for raw in [
        "raw: {status: Dreaming}",
        "raw: {should_sync: maybe}",
        "raw_remove: [status]",
        "raw: {last_synced_at: yesterday}",
        "run: {started_ago: 9h, hangs: {}}, job_raw: {created_at: '2026-09-30T15:00:00'}",
        "run: {started_ago: 9h, hangs: {}}, job_raw: {status: Sleeping}",
        "run: {started_ago: 9h, hangs: {}}, job_raw: {rows_synced: many}",
        "run: {started_ago: 9h, hangs: {}}, job_raw: {created_at: '2099-01-01T00:00:00Z'}",
    ] {
        let mut world = world_with_heartbeat(
            &format!("{{name: t, last_synced_ago: 33h, {raw}}}"),
            ENFORCE,
        );
        world.run_for(SignedDuration::from_hours(20));
        let status = world.status();
        assert_eq!(
            (world.count("cancel"), world.count("reload")),
            (0, 0),
            "{raw}"
        );
        assert_eq!(
            status.findings.first().map(|f| f.cause),
            Some(RootCause::Unknown),
            "{raw}: {status:?}"
        );
        assert_eq!(
            status.condition(HEALTHY).unwrap().status,
            "Unknown",
            "{raw}"
        );
        assert_eq!(status.summary.unwrap().schemas.unknown, 1, "{raw}");
    }
}

#[test]
fn an_empty_list_where_there_were_sources_holds_everything() {
    let mut world = World::new(STUCK, ENFORCE, Faults::default());
    world.run_for(SignedDuration::from_mins(20));
    let before = world.status();
    let fault =
        "{matches: {path_contains: /external_data_sources/?}, times: forever, kind: empty_list}";
    world
        .simulator
        .lock()
        .unwrap()
        .add_fault(serde_saphyr::from_str(fault).unwrap());
    world.run_for(SignedDuration::from_hours(14));
    let status = world.status();
    assert_eq!(status.condition(READY).unwrap().reason, "SourcesVanished");
    assert_eq!(status.condition(HEALTHY).unwrap().status, "Unknown");
    assert_eq!(status.summary, before.summary);
    assert_eq!(world.count("cancel"), 0);
    world.simulator.lock().unwrap().clear_faults();
    world.run_for(SignedDuration::from_mins(20));
    assert_eq!(world.status().condition(READY).unwrap().status, "True");
}

#[test]
fn max_concurrent_holds_further_incidents_back_and_says_so() {
    let stuck = |name| {
        format!(
            "{{name: {name}, last_synced_ago: 33h, run: {{started_ago: 9h, hangs: {{}}, on_cancel: workflow_survives}}}}"
        )
    };
    let tables = [stuck("a"), stuck("b")].join(", ");
    let mut world = world_with_heartbeat(
        &tables,
        "mode: Enforce, interval: 5m, remediation: {limits: {maxConcurrent: 1}}",
    );
    world.run_until_cancelled(1);
    world.run_for(SignedDuration::from_mins(30));
    assert_eq!(world.count("cancel"), 1);
    let held = world
        .status()
        .findings
        .iter()
        .filter(|f| f.next_action.contains("maxConcurrent"))
        .count();
    assert_eq!(held, 1);
    world.run_for(SignedDuration::from_hours(5));
    assert_eq!(
        world.count("cancel"),
        2,
        "the second had its turn once the first was escalated"
    );
}

#[test]
fn a_run_that_hangs_again_after_its_cancel_is_left_to_a_person() {
    let scenario = STUCK.replace("hangs: {}}}", "hangs: {}}, then: {hangs: {}}}");
    let spec = "mode: Enforce, interval: 5m, remediation: {limits: {attemptsPerIncident: 2}}";
    let mut world = World::new(&scenario, spec, Faults::default());
    world.run_for(SignedDuration::from_hours(40));
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 1));
    let status = world.status();
    assert_eq!(status.findings[0].cause, RootCause::Stuck);
    let proposed: Vec<_> = status.proposals.iter().map(|p| p.id.as_str()).collect();
    assert!(
        matches!(proposed[..], [id] if id.starts_with("ca-")),
        "{proposed:?}"
    );
}

#[test]
fn a_healthy_project_costs_one_list_a_poll_and_no_write() {
    let mut world = world(
        "{name: a, last_synced_ago: 1h}, {name: b, last_synced_ago: 2h}",
        ENFORCE,
    );
    world.run_for(SignedDuration::from_mins(6));
    let effects = world.faults.effects().len();
    world.simulator.lock().unwrap().forget_requests();
    world.run_for(SignedDuration::from_mins(50));
    assert_eq!(world.faults.effects().len(), effects);
    let simulator = world.simulator.lock().unwrap();
    assert_eq!(simulator.requests().len(), 10, "{:?}", simulator.requests());
}
