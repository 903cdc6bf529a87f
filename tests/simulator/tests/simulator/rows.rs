//! What rows say, and where PostHog rewrites it.

use serde_json::{Value, json};

use crate::world::{get, jobs, row, with_schemas};

fn source_row(schemas: &str) -> Value {
    let mut posthog = with_schemas(schemas);
    get(&mut posthog, "external_data_sources/")["results"][0].clone()
}

#[test]
fn billing_statuses_are_spelled_differently_in_schemas_and_jobs() {
    let mut posthog = with_schemas(
        "- {name: a, status: BillingLimitReached}\n- {name: b, status: BillingLimitTooLow}",
    );
    assert_eq!(row(&mut posthog, "a")["status"], "Billing limits");
    assert_eq!(row(&mut posthog, "b")["status"], "Billing limits too low");
    assert_eq!(jobs(&mut posthog, "a")[0]["status"], "Billing limits");
    assert_eq!(
        jobs(&mut posthog, "b")[0]["status"],
        "Billing limit too low"
    );
}

#[test]
fn one_failed_table_makes_the_source_failed() {
    let row = source_row(
        "- {name: a, last_synced_ago: 1h}\n- {name: b, status: Failed, latest_error: boom}",
    );
    assert_eq!(
        (&row["status"], &row["latest_error"]),
        (&json!("Failed"), &json!("boom"))
    );
}

#[test]
fn a_source_whose_failed_table_was_disabled_looks_completed_and_has_an_error() {
    let row = source_row(
        "- {name: a, last_synced_ago: 1h}\n- {name: b, should_sync: false, status: Failed, latest_error: boom}",
    );
    assert_eq!(
        (&row["status"], &row["latest_error"]),
        (&json!("Completed"), &json!("boom"))
    );
}

#[test]
fn the_error_of_a_source_is_that_of_its_first_table_by_name() {
    let row = source_row(
        "- {name: z, status: Failed, latest_error: last}\n- {name: b, latest_error: first}",
    );
    assert_eq!(row["latest_error"], "first");
}

#[test]
fn the_stored_status_shows_only_when_no_table_has_anything_to_say() {
    let row = source_row("- {name: a, should_sync: false, last_synced_ago: 1h, status: Failed}");
    assert_eq!(row["status"], "Completed");
}

#[test]
fn paused_does_not_follow_should_sync() {
    let mut posthog = with_schemas("- {name: a, should_sync: false, last_synced_ago: 1h}");
    assert_eq!(row(&mut posthog, "a")["status"], "Completed");
}

#[test]
fn a_table_that_never_ran_has_nulls() {
    let mut posthog = with_schemas("- {name: a}");
    let row = row(&mut posthog, "a");
    assert_eq!(
        (
            &row["status"],
            &row["last_synced_at"],
            &row["table"],
            &row["latest_error"]
        ),
        (&Value::Null, &Value::Null, &Value::Null, &Value::Null)
    );
}

#[test]
fn primary_key_trouble_is_derived_from_the_last_error() {
    let mut posthog = with_schemas(
        "- {name: a, status: Failed, latest_error: 'The primary keys for this table are not unique. We got 2 duplicates'}\n\
         - {name: b, status: Failed, latest_error: Primary key required for incremental syncs}\n\
         - {name: c}",
    );
    assert_eq!(
        row(&mut posthog, "a")["incremental_sync_blocked"],
        "duplicate_primary_key"
    );
    assert_eq!(
        row(&mut posthog, "b")["incremental_sync_blocked"],
        "missing_primary_key"
    );
    assert_eq!(
        row(&mut posthog, "c")["incremental_sync_blocked"],
        Value::Null
    );
}

#[test]
fn odd_values_are_shown_as_given_and_only_where_the_field_is() {
    let mut posthog = with_schemas(
        "- {name: a, raw: {status: Odd, cdc_table_mode: both, brand_new: 1}, raw_remove: [label]}",
    );
    let nested = get(&mut posthog, "external_data_sources/")["results"][0]["schemas"][0].clone();
    assert_eq!(
        (&nested["status"], &nested["brand_new"]),
        (&json!("Odd"), &json!(1))
    );
    assert_eq!(
        (nested.get("cdc_table_mode"), nested.get("label")),
        (None, None)
    );
    assert_eq!(row(&mut posthog, "a")["cdc_table_mode"], "both");
}

#[test]
fn a_job_has_the_documented_fields() {
    let mut posthog = with_schemas(
        "- {name: a, run: {id: 0196f0aa-9999-7000-8000-000000000001, started_ago: 1h, rows: 51200}}",
    );
    let job = &jobs(&mut posthog, "a")[0];
    assert_eq!(job["id"], "0196f0aa-9999-7000-8000-000000000001");
    assert_eq!(
        (&job["rows_synced"], &job["finished_at"], &job["status"]),
        (&json!(51200), &json!(null), &json!("Running"))
    );
    assert_eq!(job.as_object().unwrap().len(), 12);
    assert_eq!(job["schema"].as_object().unwrap().len(), 6);
}
