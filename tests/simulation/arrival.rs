//! Data that no longer arrives is reported, for any status of the table (I15). Healthy look-alikes first.

use jiff::SignedDuration;
use posthog_simulator::Status;
use warehouse_sync_operator::api::{
    conditions::HEALTHY,
    status::{RootCause, Severity},
};

use crate::{
    diagnosis::{OBSERVE, change, found, is_quiet, of, only, simulator, watched},
    faults::Faults,
    scenarios::ENFORCE,
    world::World,
};

/// What PostHog leaves in the place of an error though nothing failed.
const NOTES: [&str; 5] = [
    "Sync cancelled by user",
    "Cancelled",
    "Sync got stuck and was reset by PostHog",
    "Sync stopped because syncing was turned off",
    "A previous sync run did not shut down cleanly and was still marked as running. PostHog cleaned it up so syncing can continue. No action is needed.",
];

/// An hourly table whose last success is that old, and whose newest run ended with a note half an hour later.
fn noted(ago: &str, run_ago: &str, note: &str) -> String {
    format!(
        "{{name: a, frequency: 1hour, status: Failed, last_synced_ago: {ago}, last_run_ago: {run_ago}, latest_error: '{note}'}}"
    )
}

// --- Healthy look-alikes -------------------------------------------------------------------------------------------

#[test]
fn a_note_after_a_recent_success_is_information() {
    for note in NOTES {
        let status = watched(&noted("80m", "20m", note));
        let finding = only(&status);
        assert_eq!(finding.severity, Severity::Info, "{note}: {finding:?}");
        let healthy = status.condition(HEALTHY).unwrap();
        assert_eq!(
            (healthy.status.as_str(), healthy.reason.as_str()),
            ("True", "HealthyWithWarnings"),
            "{healthy:?}"
        );
        assert!(healthy.message.contains("0/1"), "{healthy:?}");
    }
}

#[test]
fn a_first_run_that_takes_longer_than_the_interval_is_not_late() {
    is_quiet(&watched(
        "{name: a, frequency: 1hour, run: {started_ago: 9h, rows: 9, progresses: {rows_per_second: 1}}}",
    ));
}

#[test]
fn a_table_that_is_switched_off_or_only_queried_is_never_late() {
    is_quiet(&of(
        "sources: [{schemas: [{name: a, should_sync: false, last_synced_ago: 90d}, {name: on, last_synced_ago: 1h}]}, \
         {access_method: direct, schemas: [{name: b, last_synced_ago: 90d}]}]",
        OBSERVE,
    ));
}

#[test]
fn a_new_table_has_two_intervals_for_its_first_run() {
    let scenario = "sources: [{schemas: [{name: a, frequency: 24hour}, {name: b, last_synced_ago: 1h, frequency: 30day}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_hours(47));
    is_quiet(&world.status());
}

#[test]
fn a_billing_limit_that_still_holds_is_no_stale_table() {
    let status = watched(
        "{name: a, frequency: 1hour, status: BillingLimitTooLow, last_synced_ago: 9d, last_run_ago: 20m}, \
         {name: b, frequency: 1hour, last_synced_ago: 10m}",
    );
    assert_eq!(
        found(&status),
        [("a", RootCause::BillingLimit, Severity::Warning)]
    );
}

// --- Silence -------------------------------------------------------------------------------------------------------

#[test]
fn a_table_that_has_been_silent_since_a_note_is_stale() {
    for note in NOTES {
        let status = watched(&noted("31d", "30d", note));
        let finding = only(&status);
        assert_eq!(
            (finding.cause, finding.severity),
            (RootCause::Stale, Severity::Error),
            "{note}"
        );
        let start = &note[..20.min(note.len())];
        assert!(finding.message.contains(start), "{finding:?}");
        assert_eq!(status.condition(HEALTHY).unwrap().status, "False");
        assert_eq!(status.summary.as_ref().unwrap().schemas.stale, 1);
    }
}

#[test]
fn what_somebody_stopped_is_not_started_again_and_what_posthog_reset_is_reloaded_once() {
    for (note, reloads) in [(NOTES[0], 0), (NOTES[1], 0), (NOTES[3], 0), (NOTES[2], 1)] {
        let scenario = format!("sources: [{{schemas: [{}]}}]", noted("31d", "30d", note));
        let mut world = World::new(&scenario, ENFORCE, Faults::default());
        world.run_for(SignedDuration::from_mins(40));
        assert_eq!(world.count("reload"), reloads, "{note}");
        assert_eq!(world.status().findings.is_empty(), reloads == 1, "{note}");
    }
}

#[test]
fn runs_that_end_with_a_note_again_and_again_have_failed() {
    let job = |ago: u32| {
        format!(
            "{{started_ago: {ago}m, status: Failed, error: '{}'}}",
            NOTES[2]
        )
    };
    let of_runs = |ago: &[u32]| {
        let jobs: Vec<String> = ago.iter().map(|ago| job(*ago)).collect();
        watched(&format!(
            "{{name: a, frequency: 24hour, status: Failed, latest_error: '{}', last_synced_ago: 3h, \
             jobs: [{}, {{started_ago: 3h, status: Completed, rows: 5}}]}}",
            NOTES[2],
            jobs.join(", ")
        ))
    };
    assert_eq!(only(&of_runs(&[30, 60])).severity, Severity::Info);
    let status = of_runs(&[30, 60, 90]);
    assert_eq!(
        found(&status),
        [("a", RootCause::PlatformInternal, Severity::Error)]
    );
}

#[test]
fn a_late_table_whose_run_moves_is_a_warning_that_says_so() {
    let status = watched(
        "{name: a, frequency: 6hour, last_synced_ago: 50h, run: {started_ago: 1h, progresses: {rows_per_second: 1}}}",
    );
    let finding = only(&status);
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::Stale, Severity::Warning)
    );
    assert!(
        finding.message.contains("A run has been in progress since"),
        "{finding:?}"
    );
}

#[test]
fn a_table_that_never_syncs_is_reported_though_the_operator_restarts() {
    let scenario = "sources: [{schemas: [{name: a, frequency: 24hour}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    for _ in 0..5 {
        world.run_for(SignedDuration::from_hours(10));
        world.restart();
    }
    world.run_for(SignedDuration::from_mins(10));
    let status = world.status();
    assert_eq!(found(&status), [("a", RootCause::Stale, Severity::Warning)]);
    world.run_for(SignedDuration::from_hours(50));
    assert_eq!(only(&world.status()).severity, Severity::Error);
    assert_eq!(world.count("reload"), 0);
}

#[test]
fn deleted_data_that_is_not_reimported_is_late() {
    let scenario =
        "sources: [{schemas: [{name: a, frequency: 1hour, last_synced_ago: 10m, rows: 9}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_mins(10));
    let id = world.schema_id("a");
    simulator(&world, |posthog| {
        posthog.set_status(&id, None, None).unwrap();
    });
    change(&world, &id, |schema| {
        schema.raw = serde_json::json!({"last_synced_at": null, "table": null})
            .as_object()
            .cloned()
            .unwrap();
    });
    world.run_for(SignedDuration::from_mins(130));
    assert_eq!(only(&world.status()).cause, RootCause::Stale);
}

#[test]
fn a_billing_status_that_others_have_left_behind_is_stale() {
    let status = watched(
        "{name: a, frequency: 1hour, status: BillingLimitReached, last_synced_ago: 31d, last_run_ago: 30d}, \
         {name: b, frequency: 1hour, last_synced_ago: 10m}",
    );
    assert_eq!(found(&status), [("a", RootCause::Stale, Severity::Error)]);
}

#[test]
fn a_table_that_says_running_without_a_run_is_a_warning_before_it_is_stuck() {
    let scenario =
        "sources: [{schemas: [{name: a, frequency: 5min, last_synced_ago: 6m, phantom: true}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_mins(15));
    assert_eq!(
        found(&world.status()),
        [("a", RootCause::Stale, Severity::Warning)]
    );
    world.run_for(SignedDuration::from_mins(90));
    assert_eq!(only(&world.status()).cause, RootCause::Stuck);
}

#[test]
fn a_stale_looking_table_whose_runs_cannot_be_read_is_not_called_healthy() {
    let scenario = "faults: [{matches: {path_contains: /jobs/}, times: forever, kind: {status: {status: 500}}}]\n\
                    sources: [{schemas: [{name: a, last_synced_ago: 50h}]}]";
    let status = of(scenario, OBSERVE);
    let finding = only(&status);
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::Unknown, Severity::Warning)
    );
    assert_eq!(status.condition(HEALTHY).unwrap().status, "Unknown");
}

// --- I15 -----------------------------------------------------------------------------------------------------------

/// A table of this interval that was healthy until now: then it says `status` with `text`, and no more data arrives.
fn stops((frequency, poll): (&str, &str), status: Option<Status>, text: Option<&str>) -> World {
    let scenario = format!(
        "sources: [{{schemas: [{{name: a, frequency: {frequency}, last_synced_ago: 1m, rows: 9}}]}}, \
         {{type: Stripe, schemas: [{{name: beat, frequency: 1hour, last_synced_ago: 31m, schedule: true}}]}}]"
    );
    let mut world = World::new(&scenario, &format!("interval: {poll}"), Faults::default());
    world.run_for(SignedDuration::from_secs(1));
    let id = world.schema_id("a");
    simulator(&world, |posthog| {
        posthog.set_status(&id, status, text).unwrap();
    });
    world
}

#[test]
fn data_that_no_longer_arrives_is_reported_within_two_intervals_and_a_poll_for_any_status() {
    let statuses = [
        None,
        Some(Status::Running),
        Some(Status::Completed),
        Some(Status::Failed),
        Some(Status::Paused),
        Some(Status::BillingLimitReached),
        Some(Status::BillingLimitTooLow),
    ];
    let texts = NOTES.map(Some).into_iter().chain([
        None,
        Some("password authentication failed for user \"posthog\""),
        Some("something unknown"),
    ]);
    let cases = statuses
        .into_iter()
        .flat_map(|status| texts.clone().map(move |text| (status, text)));
    for (place, (status, text)) in cases.enumerate() {
        let (every, minutes, poll) = [
            (("5min", "5m"), 5, 5),
            (("1hour", "5m"), 60, 5),
            (("24hour", "2h"), 24 * 60, 120),
            (("30day", "24h"), 30 * 24 * 60, 24 * 60),
        ][place % 4];
        let mut world = stops(every, status, text);
        if place % 3 == 0 {
            world.restart();
        }
        for time in [2 * minutes + poll + 1, 3 * minutes] {
            world.run_for(SignedDuration::from_mins(time));
            assert!(
                world.late_and_not_said().is_empty(),
                "{every:?} {status:?} {text:?}: {:#?}",
                world.status().findings
            );
        }
    }
}
