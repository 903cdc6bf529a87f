//! What the operator says of a project, healthy look-alikes first: a false alarm is worse than a late one.

use jiff::SignedDuration;
use posthog_simulator::{SchemaSpec, Simulator};
use warehouse_sync_operator::api::{
    WarehouseSyncPolicyStatus,
    status::{Confidence, Finding, RootCause, Severity},
};

use crate::{faults::Faults, world::World};

pub const OBSERVE: &str = "interval: 5m";

/// A project of one Postgres source with these tables, watched for a while.
pub fn watched(schemas: &str) -> WarehouseSyncPolicyStatus {
    of(
        &format!("sources: [{{type: Postgres, prefix: prod, schemas: [{schemas}]}}]"),
        OBSERVE,
    )
}

pub fn of(scenario: &str, spec: &str) -> WarehouseSyncPolicyStatus {
    let mut world = World::new(scenario, spec, Faults::default());
    world.run_for(SignedDuration::from_mins(20));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
    world.status()
}

/// Cause and severity of each finding, with the table's name.
pub fn found(status: &WarehouseSyncPolicyStatus) -> Vec<(&str, RootCause, Severity)> {
    status
        .findings
        .iter()
        .map(|finding| (finding.schema.as_str(), finding.cause, finding.severity))
        .collect()
}

pub fn is_quiet(status: &WarehouseSyncPolicyStatus) {
    assert!(status.findings.is_empty(), "{:#?}", status.findings);
}

pub fn only(status: &WarehouseSyncPolicyStatus) -> &Finding {
    assert_eq!(status.findings.len(), 1, "{:#?}", status.findings);
    &status.findings[0]
}

pub fn simulator<A>(world: &World, change: impl FnOnce(&mut Simulator) -> A) -> A {
    change(&mut world.simulator.lock().unwrap())
}

pub fn change(world: &World, id: &str, change: impl FnOnce(&mut SchemaSpec)) {
    simulator(world, |posthog| posthog.change_schema(id, change).unwrap());
}

// --- Stale though Completed ---------------------------------------------------------------------------------------

#[test]
fn tables_within_two_of_their_own_intervals_are_fresh() {
    is_quiet(&watched(
        "{name: a, frequency: 6hour, last_synced_ago: 11h}, {name: b, frequency: 7day, last_synced_ago: 13d}, \
         {name: c, frequency: 30day, last_synced_ago: 59d}",
    ));
}

#[test]
fn a_run_that_found_nothing_new_counts_as_a_sync() {
    // `last_synced_at` did not move, but a run completed an hour ago.
    is_quiet(&watched(
        "{name: a, frequency: 6hour, last_synced_ago: 50h, jobs: [{started_ago: 50h, took: 1m, status: Completed, rows: 9}, \
         {started_ago: 1h, took: 1m, status: Completed, rows: 0}]}",
    ));
}

#[test]
fn a_table_that_is_never_scheduled_is_not_stale_nor_one_that_synced_lately_whatever_its_interval() {
    is_quiet(&watched(
        "{name: a, frequency: 6hour, raw: {sync_frequency: never}, last_synced_ago: 90d}, \
         {name: b, frequency: 6hour, raw: {sync_frequency: fortnight}, last_synced_ago: 11h}, \
         {name: c, frequency: 6hour, raw: {sync_frequency: null}, last_synced_ago: 11h}",
    ));
}

#[test]
fn a_table_that_was_just_given_a_shorter_interval_has_time_for_its_first_run() {
    let scenario = "sources: [{schemas: [{name: a, frequency: 30day, last_synced_ago: 20d}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_mins(10));
    let id = world.schema_id("a");
    change(&world, &id, |schema| {
        schema.frequency = Some("24hour".to_owned());
    });
    world.run_for(SignedDuration::from_hours(23));
    is_quiet(&world.status());
    world.run_for(SignedDuration::from_hours(2));
    assert_eq!(only(&world.status()).cause, RootCause::Stale);
}

#[test]
fn a_schedule_that_silently_stopped_is_a_warning_and_then_an_error() {
    let scenario = "sources: [{schemas: [{name: a, frequency: 1hour, last_synced_ago: 90m}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_mins(20));
    is_quiet(&world.status());
    world.run_for(SignedDuration::from_hours(1));
    let status = world.status();
    assert_eq!(found(&status), [("a", RootCause::Stale, Severity::Warning)]);
    world.run_for(SignedDuration::from_hours(3));
    let status = world.status();
    assert_eq!(found(&status), [("a", RootCause::Stale, Severity::Error)]);
    assert_eq!(status.summary.unwrap().schemas.stale, 1);
}

#[test]
fn an_absolute_age_applies_to_any_interval() {
    let scenario = "sources: [{schemas: [{name: a, frequency: 7day, last_synced_ago: 30h}]}]";
    let status = of(scenario, "interval: 5m, health: {freshness: {maxAge: 26h}}");
    assert_eq!(found(&status), [("a", RootCause::Stale, Severity::Error)]);
}

// --- A source against its tables ----------------------------------------------------------------------------------

pub const WRONG_PASSWORD: &str = "The database rejected the username or password. Check the user and password configured for this source, then re-enable the sync.";

pub fn failed(name: &str, ago: &str, text: &str) -> String {
    format!(
        "{{name: {name}, status: Failed, last_synced_ago: 40h, last_run_ago: {ago}, latest_error: '{text}'}}"
    )
}

#[test]
fn one_cause_of_all_tables_is_one_finding_with_its_blast_radius() {
    let off =
        failed("c", "4h", WRONG_PASSWORD).replace("{name: c,", "{name: c, should_sync: false,");
    let status = watched(&format!(
        "{}, {}, {off}, {{name: d, should_sync: false, last_synced_ago: 90h}}, {{name: e, should_sync: false, sync_type: null}}",
        failed("a", "2h", WRONG_PASSWORD),
        failed("b", "3h", WRONG_PASSWORD),
    ));
    let finding = &status.findings[0];
    assert_eq!(
        (
            finding.schema.as_str(),
            finding.cause,
            finding.severity,
            finding.confidence
        ),
        (
            "",
            RootCause::CredentialsInvalid,
            Severity::Error,
            Confidence::High
        )
    );
    let affected = finding.affected.as_ref().unwrap();
    assert_eq!(
        (affected.count, affected.schemas.join(" ")),
        (3, "a b c".to_owned())
    );
    assert_eq!(
        status.findings.len(),
        2,
        "and one for information: {:#?}",
        status.findings
    );
}

#[test]
fn a_sibling_that_succeeded_since_proves_that_the_key_works() {
    let status = watched(&format!(
        "{}, {{name: b, last_synced_ago: 1h}}",
        failed(
            "a",
            "3h",
            "401 Client Error: Unauthorized for url: https://api.example.com/v1/a"
        )
    ));
    let finding = only(&status);
    assert_eq!(
        (finding.schema.as_str(), finding.cause),
        ("a", RootCause::PermissionDenied)
    );
    assert!(
        finding.evidence[0].contains("b synced after"),
        "{:?}",
        finding.evidence
    );
}

#[test]
fn one_403_among_healthy_siblings_concerns_one_table() {
    let text = "403 Client Error: Forbidden for url: https://api.stripe.com/v1/payouts";
    let status = watched(&format!(
        "{}, {{name: b, last_synced_ago: 9h}}",
        failed("a", "3h", text)
    ));
    let finding = only(&status);
    assert_eq!(
        (finding.schema.as_str(), finding.cause),
        ("a", RootCause::PermissionDenied)
    );
}

#[test]
fn a_403_of_every_table_is_a_dead_key() {
    let text =
        |path: &str| format!("403 Client Error: Forbidden for url: https://api.example.com/{path}");
    let status = watched(&format!(
        "{}, {}",
        failed("a", "2h", &text("a")),
        failed("b", "3h", &text("b"))
    ));
    let finding = only(&status);
    assert_eq!(
        (finding.schema.as_str(), finding.cause),
        ("", RootCause::CredentialsInvalid)
    );
    assert_eq!(finding.confidence, Confidence::Medium);
}

#[test]
fn different_causes_stay_with_their_tables() {
    let status = watched(&format!(
        "{}, {}",
        failed("a", "2h", WRONG_PASSWORD),
        failed("b", "3h", "relation \"b\" does not exist")
    ));
    assert_eq!(
        found(&status),
        [
            ("a", RootCause::CredentialsInvalid, Severity::Error),
            ("b", RootCause::TableMissing, Severity::Error)
        ]
    );
}

// --- Many sources at once -----------------------------------------------------------------------------------------

pub fn sources_failing(times: &[&str], healthy: usize) -> String {
    let bad = times.iter().enumerate().map(|(n, ago)| {
        format!(
            "{{type: Postgres, prefix: bad{n}, schemas: [{}]}}",
            failed(&format!("t{n}"), ago, WRONG_PASSWORD)
        )
    });
    let good = (0..healthy).map(|n| {
        format!("{{type: Stripe, prefix: good{n}, schemas: [{{name: g{n}, last_synced_ago: 1h}}]}}")
    });
    format!(
        "sources: [{}]",
        bad.chain(good).collect::<Vec<_>>().join(", ")
    )
}

#[test]
fn sources_that_failed_at_different_times_are_no_outage() {
    let status = of(&sources_failing(&["2h", "3h", "4h", "5h"], 0), OBSERVE);
    assert_eq!(status.findings.len(), 4);
    assert!(
        status
            .findings
            .iter()
            .all(|finding| finding.cause == RootCause::CredentialsInvalid)
    );
}

#[test]
fn a_minority_of_sources_is_no_outage() {
    let status = of(&sources_failing(&["2h", "2h", "2h"], 4), OBSERVE);
    assert_eq!(status.findings.len(), 3);
    assert!(
        status
            .findings
            .iter()
            .all(|finding| finding.cause == RootCause::CredentialsInvalid)
    );
}

#[test]
fn most_sources_within_minutes_are_an_outage_and_no_advice_says_to_rotate_a_password() {
    let status = of(&sources_failing(&["120m", "123m", "127m"], 2), OBSERVE);
    let finding = only(&status);
    assert_eq!(
        (finding.source.as_str(), finding.cause),
        ("PostHog", RootCause::PlatformOutage)
    );
    assert_eq!(finding.affected.as_ref().unwrap().count, 3);
    assert!(finding.action.is_none(), "{:?}", finding.action);
}

#[test]
fn tables_that_fail_for_reasons_of_their_own_are_no_outage() {
    let source = |n: i32, text: &str| {
        format!(
            "{{type: Postgres, prefix: p{n}, schemas: [{}]}}",
            failed(&format!("t{n}"), "2h", text)
        )
    };
    let scenario = format!(
        "sources: [{}, {}, {}]",
        source(1, "relation \"x\" does not exist"),
        source(2, "column \"x\" does not exist"),
        source(3, "The primary keys for this table are not unique")
    );
    assert_eq!(of(&scenario, OBSERVE).findings.len(), 3);
}

// --- Who switched it off? -----------------------------------------------------------------------------------------

#[test]
fn a_table_that_posthog_switches_off_before_our_eyes_is_remembered_across_a_restart() {
    let scenario = format!(
        "sources: [{{schemas: [{{name: a, last_synced_ago: 1h, next_runs: [{{fails: {{after: 2m, rows: 0, error: 'x', friendly: '{WRONG_PASSWORD}', non_retryable: true}}}}]}}]}}]"
    );
    let mut world = World::new(&scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_mins(10));
    let id = world.schema_id("a");
    simulator(&world, |posthog| posthog.start_run(&id).unwrap());
    world.run_for(SignedDuration::from_mins(20));
    let seen = only(&world.status()).clone();
    assert_eq!(
        (seen.cause, seen.severity),
        (RootCause::CredentialsInvalid, Severity::Error)
    );
    assert!(
        seen.message.contains("PostHog switched syncing off"),
        "{}",
        seen.message
    );
    world.restart();
    world.run_for(SignedDuration::from_mins(20));
    assert_eq!(only(&world.status()).message, seen.message);
}

#[test]
fn a_person_who_switches_off_a_failing_table_is_not_mistaken_for_posthog() {
    let scenario = format!(
        "sources: [{{schemas: [{}, {{name: b, frequency: 30day, last_synced_ago: 1h}}]}}]",
        failed("a", "2h", WRONG_PASSWORD)
    );
    let mut world = World::new(&scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_mins(10));
    let id = world.schema_id("a");
    simulator(&world, |posthog| {
        posthog.set_should_sync(&id, false).unwrap();
    });
    world.run_for(SignedDuration::from_mins(20));
    let status = world.status();
    let finding = only(&status);
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::OperatorAction, Severity::Info)
    );
    assert!(
        finding.message.contains("A person switched syncing off"),
        "{finding:?}"
    );
    world.restart();
    world.run_for(SignedDuration::from_hours(25));
    is_quiet(&world.status());
}

#[test]
fn a_healthy_table_that_a_person_switches_off_is_information_for_a_day() {
    let mut world = World::new(
        "sources: [{schemas: [{name: a, last_synced_ago: 1h}]}]",
        OBSERVE,
        Faults::default(),
    );
    world.run_for(SignedDuration::from_mins(10));
    let id = world.schema_id("a");
    simulator(&world, |posthog| {
        posthog.set_should_sync(&id, false).unwrap();
    });
    world.run_for(SignedDuration::from_mins(20));
    let status = world.status();
    assert_eq!(
        found(&status),
        [("a", RootCause::OperatorAction, Severity::Info)]
    );
    world.run_for(SignedDuration::from_hours(24));
    is_quiet(&world.status());
}

#[test]
fn what_known_texts_suggest_is_evidence_and_the_cause_stays_unknown() {
    let status = watched(&failed(
        "a",
        "2h",
        "The tenancy you entered has been paused by its owner",
    ));
    let finding = only(&status);
    assert_eq!(finding.cause, RootCause::Unknown);
    let evidence = finding.evidence.join("; ");
    let guess = "reads like known texts of the cause SourceConfig";
    assert!(evidence.contains(guess), "{evidence}");
}

// --- Billing, by status only --------------------------------------------------------------------------------------

#[test]
fn billing_is_known_by_status_and_never_by_text() {
    let stale_text = "relation \"old\" does not exist";
    let billing = "Your account will hit your Data Warehouse billing limits syncing t with 9 rows";
    let status = watched(&format!(
        "{{name: a, status: BillingLimitReached, last_synced_ago: 9h, latest_error: '{stale_text}'}}, \
         {{name: b, status: BillingLimitTooLow, last_synced_ago: 9h}}, \
         {{name: d, last_synced_ago: 1h, latest_error: '{billing}'}}, {}, {}",
        failed("e", "2h", "relation \"billing_events\" does not exist"),
        failed("f", "2h", billing),
    ));
    assert_eq!(
        found(&status),
        [
            ("e", RootCause::TableMissing, Severity::Error),
            ("f", RootCause::Unknown, Severity::Error),
            ("a", RootCause::BillingLimit, Severity::Warning),
            ("b", RootCause::BillingLimit, Severity::Warning),
        ]
    );
    assert!(
        !status.findings[2].message.contains("relation"),
        "an old text is not shown as the reason"
    );
}

#[test]
fn a_billing_limit_names_the_tables_that_cost_the_most() {
    let status = watched(
        "{name: limited, status: BillingLimitReached, last_synced_ago: 9h}, \
         {name: big, sync_type: full_refresh, frequency: 24hour, last_synced_ago: 1h, rows: 9000}, \
         {name: often, sync_type: full_refresh, frequency: 1hour, last_synced_ago: 10m, rows: 1000}, \
         {name: small, sync_type: full_refresh, frequency: 24hour, last_synced_ago: 1h, rows: 10}, \
         {name: least, sync_type: full_refresh, frequency: 24hour, last_synced_ago: 1h, rows: 1}, \
         {name: new_rows_only, last_synced_ago: 1h, rows: 100000}",
    );
    let evidence = only(&status).evidence.join("; ");
    assert!(
        evidence.contains(
            "Postgres prod often (1000 rows every 60 minutes), Postgres prod big (9000 rows every 24 hours), Postgres prod small (10"
        ),
        "{evidence}"
    );
    assert!(
        !evidence.contains("least") && !evidence.contains("new_rows_only"),
        "{evidence}"
    );
}

// --- Webhooks -----------------------------------------------------------------------------------------------------

pub fn webhook(info: &str) -> WarehouseSyncPolicyStatus {
    let scenario = format!(
        "sources: [{{type: Stripe, prefix: pay, webhook: {info}, schemas: [{{name: Charge, sync_type: webhook, last_synced_ago: 1h, rows: 9}}]}}]"
    );
    of(&scenario, OBSERVE)
}

#[test]
fn a_webhook_that_works_or_of_which_nothing_is_known_is_no_trouble() {
    for info in [
        "{supports_webhooks: true, exists: true, hog_function: {enabled: true}, external_status: {exists: true, status: enabled, error: null}, missing_events: []}",
        "{supports_webhooks: true, exists: true, hog_function: {enabled: true}, external_status: null, missing_events: []}",
    ] {
        is_quiet(&webhook(info));
    }
}

#[test]
fn a_webhook_switched_off_at_the_vendor_shows_behind_a_green_status() {
    let status = webhook(
        "{supports_webhooks: true, exists: true, hog_function: {enabled: true}, external_status: {exists: true, status: disabled, error: null}, missing_events: []}",
    );
    let finding = only(&status);
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::WebhookBroken, Severity::Error)
    );
    assert_eq!(finding.affected.as_ref().unwrap().schemas, ["Charge"]);
}

#[test]
fn webhooks_are_probed_once_an_hour_and_only_where_a_table_uses_one() {
    let scenario = "sources: [{type: Stripe, webhook: {supports_webhooks: true, exists: true}, schemas: [{name: Charge, sync_type: webhook, frequency: 30day, last_synced_ago: 1h}]}, \
        {type: Stripe, webhook: {supports_webhooks: true, exists: false}, schemas: [{name: Other, frequency: 30day, last_synced_ago: 1h}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_mins(5 * 60 - 10));
    assert_eq!(
        simulator(&world, |posthog| posthog.count("GET", "/webhook_info/")),
        5
    );
    is_quiet(&world.status());
}

// --- Tables that leave the list -----------------------------------------------------------------------------------

#[test]
fn a_table_that_leaves_the_list_is_unknown_then_not_visible_then_forgotten() {
    let scenario = "sources: [{schemas: [{name: a, frequency: 30day, last_synced_ago: 1h}, {name: b, frequency: 30day, last_synced_ago: 1h}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_mins(10));
    let id = world.schema_id("a");
    change(&world, &id, |schema| schema.invisible = true);
    world.run_for(SignedDuration::from_mins(6));
    assert_eq!(
        found(&world.status()),
        [("a", RootCause::Unknown, Severity::Info)]
    );
    world.run_for(SignedDuration::from_mins(15));
    assert_eq!(
        found(&world.status()),
        [("a", RootCause::NotVisible, Severity::Info)]
    );
    world.restart();
    world.run_for(SignedDuration::from_mins(15));
    assert_eq!(
        found(&world.status()),
        [("a", RootCause::NotVisible, Severity::Info)],
        "it survives a restart"
    );
    world.run_for(SignedDuration::from_hours(25));
    is_quiet(&world.status());
    assert!(world.status().state.missing.is_empty());
}

#[test]
fn a_table_that_is_listed_again_is_as_if_it_had_always_been() {
    let scenario =
        "sources: [{schemas: [{name: a, last_synced_ago: 1h}, {name: b, last_synced_ago: 1h}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_mins(10));
    let id = world.schema_id("a");
    change(&world, &id, |schema| schema.invisible = true);
    world.run_for(SignedDuration::from_mins(30));
    change(&world, &id, |schema| schema.invisible = false);
    world.run_for(SignedDuration::from_mins(10));
    is_quiet(&world.status());
}

// --- Probes resolve what a text leaves open -----------------------------------------------------------------------

pub const GONE: &str = "Something this sync depends on (a table, column, or other object) no longer exists in your source database. Check the source and re-enable the sync.";

#[test]
fn a_missing_table_and_a_missing_column_are_distinguished_by_reading_the_source() {
    let tables = |extra: &str| {
        format!(
            "{}, {{name: z, last_synced_ago: 1h}}",
            failed("a", "2h", GONE).replace("{name: a,", &format!("{{name: a, {extra},"))
        )
    };
    let status = watched(&tables("table_gone: true"));
    assert_eq!(
        (only(&status).cause, only(&status).confidence),
        (RootCause::TableMissing, Confidence::High)
    );
    let status = watched(&tables(
        "incremental_field: gone, incremental_fields: {incremental_fields: [], available_columns: [{field: id}]}",
    ));
    assert_eq!(
        (only(&status).cause, only(&status).confidence),
        (RootCause::SchemaDrift, Confidence::High)
    );
    let status = watched(&tables("probe_error: \"Could not connect to the source\""));
    assert_eq!(
        only(&status).cause,
        RootCause::SourceObjectMissing,
        "the source did not answer: still open"
    );
}

#[test]
fn a_source_is_read_once_for_a_failure() {
    let scenario = format!(
        "sources: [{{schemas: [{}, {{name: z, frequency: 30day, last_synced_ago: 1h}}]}}]",
        failed("a", "2h", GONE)
    );
    let mut world = World::new(&scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_hours(5));
    assert_eq!(
        simulator(&world, |posthog| posthog
            .count("POST", "/incremental_fields/")),
        1
    );
}

#[test]
fn a_key_that_may_not_write_leaves_the_question_open_and_says_so() {
    let scenario = format!(
        "keys: [{{token: phx_demo, scopes: ['external_data_source:read']}}]\nsources: [{{schemas: [{}, {{name: z, last_synced_ago: 1h}}]}}]",
        failed("a", "2h", GONE)
    );
    let status = of(&scenario, OBSERVE);
    let finding = only(&status);
    assert_eq!(finding.cause, RootCause::SourceObjectMissing);
    assert!(
        finding
            .evidence
            .iter()
            .any(|fact| fact.contains("external_data_source:write")),
        "{:?}",
        finding.evidence
    );
}

#[test]
fn a_structured_signal_outranks_an_unknown_text() {
    let status = watched(&format!(
        "{}, {{name: z, last_synced_ago: 1h}}",
        failed("a", "2h", "Gremlins in the warehouse").replace(
            "{name: a,",
            "{name: a, raw: {incremental_sync_blocked: duplicate_primary_key},"
        )
    ));
    assert_eq!(
        (only(&status).cause, only(&status).confidence),
        (RootCause::PrimaryKeyDuplicate, Confidence::High)
    );
}

// --- Change data capture --------------------------------------------------------------------------------------------

pub fn cdc(cdc: &str, table: &str) -> WarehouseSyncPolicyStatus {
    of(
        &format!(
            "sources: [{{type: Postgres, prefix: prod, cdc: {cdc}, schemas: [{{name: t, sync_type: cdc, frequency: 1hour, rows: 5, {table}}}]}}]"
        ),
        OBSERVE,
    )
}

pub const SYNCED: &str = "last_synced_ago: 30m";

#[test]
fn a_slot_that_keeps_up_and_a_database_that_cannot_be_read_are_no_problem() {
    is_quiet(&cdc("{enabled: true, lag_bytes: 1000000}", SYNCED));
    is_quiet(&cdc("{enabled: true, unreachable: 'timed out'}", SYNCED));
    is_quiet(&cdc(
        "{enabled: true, raw: {slot_exists: null, lag_bytes: null, publication_exists: perhaps}}",
        SYNCED,
    ));
}

#[test]
fn lag_is_a_warning_before_posthog_drops_the_slot() {
    let gib = 1024_i64 * 1024 * 1024;
    let status = cdc(
        &format!(
            "{{enabled: true, lag_critical_threshold_mb: 10240, lag_bytes: {}}}",
            6 * gib
        ),
        SYNCED,
    );
    let finding = only(&status);
    assert_eq!(
        (finding.cause, finding.severity, finding.schema.as_str()),
        (RootCause::CdcBroken, Severity::Warning, "")
    );
    assert!(finding.message.contains("6144 MB"), "{}", finding.message);
    let status = cdc(
        &format!(
            "{{enabled: true, lag_critical_threshold_mb: 10240, lag_bytes: {}}}",
            10 * gib
        ),
        SYNCED,
    );
    assert_eq!(only(&status).severity, Severity::Error);
}

#[test]
fn what_the_database_lacks_is_listed() {
    let status = cdc(
        "{enabled: true, publication_exists: false, errors: [\"Publication 'p' does not exist\"]}",
        SYNCED,
    );
    let finding = only(&status);
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::CdcBroken, Severity::Error)
    );
    assert!(
        finding
            .evidence
            .iter()
            .any(|fact| fact.contains("Publication 'p' does not exist")),
        "{:?}",
        finding.evidence
    );
}

#[test]
fn a_lost_slot_is_a_warning_for_two_intervals_and_then_an_error() {
    let scenario = "schedule: true\nsources: [{type: Postgres, prefix: prod, cdc: {enabled: true, slot_exists: false}, schemas: [{name: t, sync_type: cdc, frequency: 1hour, rows: 5, last_synced_ago: 30m}]}]";
    let mut world = World::new(scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_mins(20));
    assert_eq!(
        (only(&world.status()).cause, only(&world.status()).severity),
        (RootCause::CdcSlotLost, Severity::Warning)
    );
    world.run_for(SignedDuration::from_hours(2));
    assert_eq!(only(&world.status()).severity, Severity::Error);
    let id = simulator(&world, |posthog| posthog.source_id("prod").unwrap());
    simulator(&world, |posthog| {
        posthog
            .change_source(&id, |source| source.cdc = None)
            .unwrap();
    });
}

#[test]
fn a_table_that_says_that_its_slot_is_missing_is_trusted_at_once() {
    let status = cdc(
        "{enabled: true, slot_exists: false}",
        "last_synced_ago: 9h, status: Failed, last_run_ago: 2h, latest_error: 'The replication slot no longer exists on the source database. Use Repair CDC.'",
    );
    assert!(
        status
            .findings
            .iter()
            .all(|finding| (finding.cause, finding.severity)
                == (RootCause::CdcSlotLost, Severity::Error)),
        "{:#?}",
        status.findings
    );
}

// --- Data checks ----------------------------------------------------------------------------------------------------

pub const CHECKS: &str = "interval: 5m, health: {dataChecks: [{source: {prefix: prod}, schema: t, uniqueKey: [id]}, {source: {type: postgres}, schema: t, newestRow: {column: at, maxAge: 26h}}]}";

pub fn data(data: &str) -> String {
    format!(
        "schedule: true\nkeys: [{{token: phx_demo, scopes: ['external_data_source:read', 'query:read']}}]\nsources: [{{type: Postgres, prefix: prod, schemas: [{{name: t, frequency: 1hour, last_synced_ago: 50m, rows: 5, columns: [{{name: id}}, {{name: at}}], data: {data}}}]}}]"
    )
}

#[test]
fn data_that_passes_is_not_reported_and_is_checked_once_for_each_sync() {
    let mut world = World::new(
        &data("{newest: {column: at, behind_sync: 10m}}"),
        CHECKS,
        Faults::default(),
    );
    world.run_for(SignedDuration::from_mins(5 * 60));
    is_quiet(&world.status());
    let queries = simulator(&world, |posthog| posthog.count("POST", "/query/"));
    assert!(
        (8..=12).contains(&queries),
        "two checks, five or six syncs: {queries}"
    );
}

#[test]
fn duplicate_keys_and_old_rows_are_reported_with_counts_and_times() {
    let status = of(
        &data(
            "{duplicates: {columns: [id], groups: 3, extra_rows: 4}, newest: {column: at, at_ago: 50h}}",
        ),
        CHECKS,
    );
    assert_eq!(
        found(&status),
        [
            ("t", RootCause::DataCheckFailed, Severity::Error),
            ("t", RootCause::DataCheckFailed, Severity::Error)
        ]
    );
    assert!(
        status
            .findings
            .iter()
            .any(|finding| finding.message.contains("3 keys of (id)")
                && finding.message.contains("7 rows")),
        "{:#?}",
        status.findings
    );
}

#[test]
fn a_check_that_cannot_be_made_is_information_that_says_why() {
    let no_scope = data("{}").replace(", 'query:read'", "");
    for (scenario, spec, says) in [
        (no_scope, CHECKS, "query:read"),
        (
            data("{}"),
            "interval: 5m, health: {dataChecks: [{source: {prefix: prod}, schema: t, uniqueKey: [gone]}]}",
            "no column",
        ),
    ] {
        let status = of(&scenario, spec);
        assert!(!status.findings.is_empty());
        for finding in &status.findings {
            assert_eq!(
                (finding.cause, finding.severity),
                (RootCause::Unknown, Severity::Info)
            );
            assert!(
                finding.message.contains(says) || finding.advice.contains(says),
                "{finding:?}"
            );
        }
    }
}

#[test]
fn a_check_that_names_no_table_is_a_warning() {
    let spec = "interval: 5m, health: {dataChecks: [{source: {prefix: other}, schema: t, uniqueKey: [id]}]}";
    let status = of(&data("{}"), spec);
    assert_eq!(only(&status).severity, Severity::Warning);
    assert!(
        only(&status).message.contains("dataChecks[0]"),
        "{}",
        only(&status).message
    );
}

// --- Again and again ------------------------------------------------------------------------------------------------

#[test]
fn a_table_that_fails_at_every_run_is_reported_although_each_failure_is_young() {
    let scenario = "schedule: true\nsources: [{schemas: [{name: a, frequency: 5min, last_synced_ago: 1m, then: {fails: {after: 2m, rows: 0, error: 'relation \"a\" does not exist'}}}]}]";
    let mut world = World::new(scenario, "interval: 1m", Faults::default());
    world.run_for(SignedDuration::from_mins(40));
    for _ in 0..20 {
        world.run_for(SignedDuration::from_mins(1));
        assert_eq!(
            found(&world.status()),
            [("a", RootCause::TableMissing, Severity::Error)],
            "at {}",
            world.now()
        );
    }
}

#[test]
fn one_failure_is_forgotten_when_the_next_run_begins() {
    let scenario = "schedule: true\nsources: [{schemas: [{name: a, frequency: 1hour, last_synced_ago: 59m, next_runs: [{fails: {after: 1m, rows: 0, error: 'relation \"a\" does not exist'}}, {progresses: {rows_per_second: 1, finishes_after: 50m}}]}]}]";
    let mut world = World::new(scenario, "interval: 1m", Faults::default());
    world.run_for(SignedDuration::from_mins(30));
    assert_eq!(
        found(&world.status()),
        [("a", RootCause::TableMissing, Severity::Error)]
    );
    world.run_for(SignedDuration::from_mins(40));
    // Only one fact remains: the run before the failure is already two intervals old.
    assert_eq!(
        found(&world.status()),
        [("a", RootCause::Stale, Severity::Warning)]
    );
}

// --- Odds and ends ------------------------------------------------------------------------------------------------

#[test]
fn tables_that_were_never_set_up_are_one_line_of_information() {
    let status = watched(
        "{name: a, last_synced_ago: 1h}, {name: b, should_sync: false, sync_type: null}, {name: c, should_sync: false, sync_type: null}",
    );
    let finding = only(&status);
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::NotConfigured, Severity::Info)
    );
    assert_eq!(finding.affected.as_ref().unwrap().schemas, ["b", "c"]);
}

#[test]
fn a_source_in_error_whose_tables_say_nothing_is_a_warning() {
    let status = of(
        "sources: [{type: Hubspot, stored_status: Error, schemas: []}, {type: Stripe, schemas: [{name: b, last_synced_ago: 1h}]}]",
        OBSERVE,
    );
    let finding = only(&status);
    assert_eq!(
        (finding.source.as_str(), finding.cause, finding.severity),
        ("Hubspot", RootCause::Unknown, Severity::Warning)
    );
}

#[test]
fn a_legacy_paused_table_is_a_warning_because_it_blocks_every_reload() {
    let status =
        watched("{name: a, status: Paused, last_synced_ago: 9h}, {name: b, last_synced_ago: 1h}");
    let finding = only(&status);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(
        finding.message.contains("refuses every reload"),
        "{}",
        finding.message
    );
}

#[test]
fn a_steady_project_with_every_kind_of_trouble_writes_nothing_new() {
    let scenario = format!(
        "sources: [{{schemas: [{}, {}, {{name: z, frequency: 1hour, last_synced_ago: 99h}}, {{name: y, should_sync: false, sync_type: null}}]}}, \
         {{type: Stripe, webhook: {{supports_webhooks: true, exists: false}}, schemas: [{{name: Charge, sync_type: webhook, frequency: 30day, last_synced_ago: 1h}}]}}]",
        failed("a", "2h", GONE),
        failed("b", "3h", "relation \"x\" does not exist"),
    );
    let mut world = World::new(&scenario, OBSERVE, Faults::default());
    world.run_for(SignedDuration::from_hours(1));
    let before = (world.cluster.version(), world.status().findings);
    world.run_for(SignedDuration::from_mins(50));
    let after = (world.cluster.version(), world.status().findings);
    assert_eq!(before.1, after.1);
    assert!(
        after.0 - before.0 <= 1,
        "one for the hourly time of the last check: {} writes",
        after.0 - before.0
    );
}
