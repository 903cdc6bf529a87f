//! Several cases of the runbook together on the real API server: safe actions are taken once, actions that could
//! lose data are only proposed, and work for a person is reported. F is in `main_job`, B with its Secret in
//! `credentials`.

use std::collections::BTreeSet;

use warehouse_sync_operator::api::{WarehouseSyncPolicyStatus, status::RootCause};

use crate::support::Env;

/// One source for each case. They failed hours apart, so that this is not an outage.
const LETTERS: &str = r#"
sources:
  - type: Postgres
    prefix: a
    schemas: [{name: passing, status: Failed, frequency: 30day, last_synced_ago: 30h, last_run_ago: 1h, latest_error: 'server closed the connection unexpectedly', then: {completes: {after: 1s, rows: 9}}}]
  - type: Postgres
    prefix: c
    schemas:
      - {name: drifted, status: Failed, frequency: 30day, last_synced_ago: 40h, last_run_ago: 3h, rows: 7, latest_error: 'column "updated_at" does not exist', incremental_fields: {incremental_fields: [{field: modified_at, field_type: timestamp}], available_columns: [{field: id}]}}
      - {name: keyless, status: Failed, frequency: 30day, last_synced_ago: 40h, last_run_ago: 4h, rows: 7, latest_error: 'Primary key required for incremental syncs', primary_key_columns: null, incremental_fields: {detected_primary_keys: [id]}}
      - {name: well, frequency: 30day, last_synced_ago: 1h}
  - type: Postgres
    prefix: c2
    schemas:
      - {name: gone, status: Failed, frequency: 30day, last_synced_ago: 40h, last_run_ago: 5h, rows: 7, latest_error: 'relation "gone" does not exist', table_gone: true}
      - {name: well, frequency: 30day, last_synced_ago: 1h}
  - type: Postgres
    prefix: d
    schemas:
      - {name: typed, status: Failed, frequency: 30day, last_synced_ago: 40h, last_run_ago: 6h, rows: 7, latest_error: 'Source column type changed: amount was int64 and is now string'}
      - {name: well, frequency: 30day, last_synced_ago: 1h}
  - type: Postgres
    prefix: g
    schemas:
      - {name: twice, status: Failed, frequency: 30day, last_synced_ago: 40h, last_run_ago: 7h, rows: 7, latest_error: 'The primary keys for this table are not unique', primary_key_columns: [id], incremental_fields: {detected_primary_keys: [a, b], available_columns: [{field: a}, {field: b}]}}
      - {name: well, frequency: 30day, last_synced_ago: 1h}
  - type: Hubspot
    prefix: h
    schemas: [{name: unpaid, status: BillingLimitReached, frequency: 30day, last_synced_ago: 40h, rows: 7}]
  - type: Stripe
    prefix: i
    webhook: {supports_webhooks: true, exists: false}
    schemas: [{name: Charge, sync_type: webhook, frequency: 30day, last_synced_ago: 1h, rows: 7}]
  - type: Postgres
    prefix: stale
    schemas: [{name: silent, frequency: 1hour, last_synced_ago: 90h, rows: 7, then: {completes: {after: 1s, rows: 9}}}]
"#;

fn proposed(status: &WarehouseSyncPolicyStatus) -> BTreeSet<String> {
    let rows = status.proposals.iter();
    rows.map(|row| format!("{} {}", &row.id[..2], row.title()))
        .collect()
}

#[test]
fn each_case_of_the_runbook_ends_as_expected_and_nothing_is_destroyed() {
    let env = Env::new(LETTERS);
    let _operator = env.operator();
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    let expected: BTreeSet<String> = [
        "cf drifted",
        "cf keyless",
        "dd twice",
        "rf Postgres c2",
        "rs typed",
    ]
    .map(str::to_owned)
    .into();
    let done = |status: &WarehouseSyncPolicyStatus| {
        let posthog = env.posthog.simulator();
        proposed(status) == expected
            && posthog.count("POST", "/reload/") == 2
            && posthog.count("POST", "/create_webhook/") == 1
            && status.incidents.is_empty()
    };
    let status = env.wait_for("p", "the end of each case", done);
    let unpaid = status
        .findings
        .iter()
        .find(|f| f.cause == RootCause::BillingLimit);
    assert!(
        unpaid.is_some_and(|finding| finding.action.is_none()),
        "{:#?}",
        status.findings
    );
    assert_eq!(status.summary.as_ref().unwrap().pending_approval, 5);
    let posthog = env.posthog.simulator();
    for (method, path) in [
        ("POST", "/resync/"),
        ("DELETE", "/"),
        ("PATCH", "/"),
        ("POST", "/refresh_schemas/"),
        ("POST", "/repair_cdc/"),
        ("POST", "/cancel/"),
    ] {
        assert_eq!(posthog.count(method, path), 0, "{method} {path}");
    }
}
