//! `spec.health.freshness.export`: of which tables a metric says when they last succeeded.

use jiff::{SignedDuration, Timestamp};
use warehouse_sync_operator::api::{
    conditions::READY,
    health::HealthSpec,
    status::{RootCause, Severity},
};

use crate::{faults::Faults, scenarios::STUCK, world::World};

const EXPORT: &str = "health: {freshness: {export: true}}";

/// The exported tables, and when each last succeeded.
fn exported(world: &World) -> Vec<(String, Timestamp)> {
    let metrics = world.metrics();
    let rows = metrics.lines().filter_map(|line| {
        line.strip_prefix("warehouse_sync_table_last_success_timestamp_seconds{")
    });
    let mut tables: Vec<_> = rows
        .map(|row| {
            let (labels, seconds) = row.rsplit_once("} ").unwrap();
            #[allow(clippy::cast_possible_truncation, reason = "seconds of this century")]
            let at = Timestamp::from_second(seconds.parse::<f64>().unwrap() as i64).unwrap();
            (labels.to_owned(), at)
        })
        .collect();
    tables.sort();
    tables
}

fn ready(world: &World) -> String {
    world.status().condition(READY).unwrap().message.clone()
}

#[test]
fn the_last_success_of_each_table_is_exported_only_if_the_policy_says_so() {
    let mut world = World::new(STUCK, EXPORT, Faults::default());
    let begin = world.now();
    world.reconcile();
    let labels = |source: &str, schema: &str| {
        format!("namespace=\"n\",policy=\"p\",source=\"{source}\",schema=\"{schema}\"")
    };
    let ago = |hours| begin - SignedDuration::from_hours(hours);
    let tables = exported(&world);
    let of = |source: &str, schema: &str| {
        let wanted = labels(source, schema);
        let found = tables.iter().find(|(labels, _)| *labels == wanted);
        found.unwrap_or_else(|| panic!("{wanted}: {tables:?}")).1
    };
    // Its runs were read, because it is late: when the last one ended.
    let ended = ago(33) + SignedDuration::from_mins(1);
    assert_eq!(of("Postgres prod", "public.orders"), ended);
    assert_eq!(of("Postgres prod", "public.users"), ago(1));
    assert_eq!(of("Stripe", "charge"), ago(2));
    assert_eq!(tables.len(), 4);

    world
        .cluster
        .edit(|policy| policy.spec.health = HealthSpec::default());
    world.reconcile();
    assert_eq!(exported(&world), []);
    assert!(!ready(&world).contains("export"), "{}", ready(&world));
}

#[test]
fn a_table_that_is_switched_off_and_one_that_never_synced_have_no_time() {
    let off = "{name: off, last_synced_ago: 2h, should_sync: false}";
    let new = "{name: new}";
    let on = "{name: on, last_synced_ago: 2h}";
    let scenario = format!("sources: [{{type: Stripe, schemas: [{off}, {new}, {on}]}}]");
    let mut world = World::new(&scenario, EXPORT, Faults::default());
    world.reconcile();
    let tables = exported(&world);
    assert_eq!(tables.len(), 1, "{tables:?}");
    assert!(tables[0].0.ends_with("schema=\"on\""), "{tables:?}");
}

#[test]
fn above_a_thousand_tables_none_is_exported_and_the_condition_says_what_to_do() {
    let many = |count| {
        format!(
            "sources: [{{type: Stripe, schemas: [{{name: t, copies: {count}, last_synced_ago: 2h}}, {{name: more, last_synced_ago: 2h}}]}}]"
        )
    };
    let mut world = World::new(&many(999), EXPORT, Faults::default());
    world.reconcile();
    assert_eq!(exported(&world).len(), 1000);
    assert!(!ready(&world).contains("export"), "{}", ready(&world));

    let mut world = World::new(&many(1000), EXPORT, Faults::default());
    world.reconcile();
    assert_eq!(exported(&world), []);
    let said = ready(&world);
    for part in ["1001 tables", "at most 1000", "spec.overrides"] {
        assert!(said.contains(part), "{said}");
    }

    let only = "overrides: [{source: {type: Stripe}, schemas: [more], freshness: {export: true}}]";
    let mut world = World::new(&many(1000), only, Faults::default());
    world.reconcile();
    assert_eq!(exported(&world).len(), 1);
    assert!(!ready(&world).contains("not exported"), "{}", ready(&world));
}

#[test]
fn the_summary_counts_all_findings_by_cause_and_severity_also_those_that_are_not_shown() {
    let failing = "{name: t, copies: 60, last_synced_ago: 9h, status: Failed, last_run_ago: 1h, latest_error: 'password authentication failed'}";
    let scenario = format!("sources: [{{type: Stripe, schemas: [{failing}]}}]");
    let mut world = World::new(&scenario, "", Faults::default());
    world.reconcile();
    let status = world.status();
    let shown = i64::try_from(status.findings.len()).unwrap();
    let all = shown + status.findings_truncated.unwrap_or_default();
    let counts = status.summary.unwrap().findings;
    assert_eq!(counts.iter().map(|kind| kind.count).sum::<i64>(), all);
    assert!(
        counts
            .iter()
            .any(|kind| kind.severity == Severity::Error && kind.cause != RootCause::Unknown),
        "{counts:?}"
    );
}
