//! Full rows of schemas: in the list of schemas, by themselves, and within a source by itself.

use serde_json::{Value, json};

use crate::world::{control, get, post, row, source_path, with, with_schemas};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

const FIELDS: [&str; 31] = [
    "api_version",
    "api_version_deprecation",
    "available_columns",
    "cdc_table_mode",
    "description",
    "enabled_columns",
    "full_refresh_interval_days",
    "full_refresh_time_of_day",
    "id",
    "incremental",
    "incremental_field",
    "incremental_field_lookback_seconds",
    "incremental_field_type",
    "incremental_sync_blocked",
    "label",
    "last_synced_at",
    "latest_error",
    "name",
    "next_full_refresh_at",
    "primary_key_columns",
    "row_filter_columns",
    "row_filters",
    "should_sync",
    "source",
    "source_column_metadata_available",
    "status",
    "sync_frequency",
    "sync_time_of_day",
    "sync_type",
    "table",
    "user_access_level",
];

#[test]
fn full_rows_have_every_field_in_every_answer() {
    let mut posthog = with_schemas("- {name: public.orders, last_synced_ago: 1h, rows: 5}");
    let alone = row(&mut posthog, "public.orders");
    let listed = get(&mut posthog, "external_data_schemas/")["results"][0].clone();
    let path = source_path(&posthog, "prod", "");
    let nested = get(&mut posthog, &path)["schemas"][0].clone();
    for row in [&alone, &listed, &nested] {
        assert_eq!(keys(row), FIELDS);
        assert_eq!(row["table"]["hogql_name"], "postgres.prod.orders");
    }
    assert_eq!(
        (&listed["source"], &nested["source"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(
        keys(&alone["source"]),
        [
            "access_method",
            "api_version",
            "id",
            "requires_exact_column_metadata",
            "source_type",
            "supported_api_versions",
            "supports_column_selection",
            "supports_row_filters",
            "user_access_level",
        ]
    );
}

#[test]
fn the_columns_of_a_table_are_its_key_its_incremental_field_and_those_of_which_something_is_said() {
    let mut posthog = with_schemas(
        "- {name: a, rows: 5, primary_key_columns: [id, tenant], data: {newest: {column: created_at, at_ago: 1h}, duplicates: {columns: [id, email], groups: 1}}}",
    );
    let row = row(&mut posthog, "a");
    assert_eq!(
        row["table"]["columns"],
        json!([
            {"name": "id", "type": "integer"},
            {"name": "tenant", "type": "integer"},
            {"name": "updated_at", "type": "datetime"},
            {"name": "created_at", "type": "datetime"},
            {"name": "email", "type": "string"},
        ])
    );
    assert_eq!(
        row["available_columns"][0],
        json!({"name": "id", "data_type": "integer", "is_nullable": false})
    );
}

#[test]
fn columns_can_be_named() {
    let mut posthog = with_schemas(
        "- {name: a, rows: 5, columns: [{name: key, type: integer}, {name: note, nullable: true}]}",
    );
    let row = row(&mut posthog, "a");
    assert_eq!(
        row["table"]["columns"],
        json!([{"name": "key", "type": "integer"}, {"name": "note", "type": "string"}])
    );
    assert_eq!(
        post(&mut posthog, "a", "incremental_fields").value()["available_columns"][1],
        json!({"field": "note", "label": "note", "type": "string", "nullable": true})
    );
}

#[test]
fn only_sync_types_with_an_incremental_field_show_one() {
    for (sync_type, field) in [
        ("incremental", json!("updated_at")),
        ("append", json!("updated_at")),
        ("webhook", json!("updated_at")),
        ("full_refresh", json!(null)),
        ("cdc", json!(null)),
    ] {
        let mut posthog = with_schemas(&format!("- {{name: a, sync_type: {sync_type}}}"));
        assert_eq!(
            row(&mut posthog, "a")["incremental_field"],
            field,
            "{sync_type}"
        );
    }
}

#[test]
fn a_table_that_was_never_set_up_has_nulls_for_its_settings() {
    let mut posthog = with_schemas("- {name: a, sync_type: null, should_sync: false}");
    let row = row(&mut posthog, "a");
    for field in [
        "sync_type",
        "status",
        "incremental_field",
        "incremental_field_type",
        "primary_key_columns",
        "last_synced_at",
        "table",
    ] {
        assert_eq!(row[field], json!(null), "{field}");
    }
    assert_eq!(row["should_sync"], false);
}

#[test]
fn a_text_about_the_primary_key_blocks_incremental_syncs() {
    for (text, blocked) in [
        (
            "Primary key required for incremental syncs",
            json!("missing_primary_key"),
        ),
        (
            "This table needs a primary key to sync incrementally, but none is set. Choose a primary key for the table in its sync settings.",
            json!("missing_primary_key"),
        ),
        (
            "The primary keys for this table are not unique",
            json!("duplicate_primary_key"),
        ),
        (
            "The primary key set for this table isn't unique, so incremental syncing can't reliably match rows to update.",
            json!("duplicate_primary_key"),
        ),
        (
            "permission denied for table primary_key_required",
            json!(null),
        ),
    ] {
        let mut posthog = with(&format!(
            "sources: [{{schemas: [{{name: a, status: Failed, latest_error: \"{text}\"}}]}}]"
        ));
        assert_eq!(
            row(&mut posthog, "a")["incremental_sync_blocked"],
            blocked,
            "{text}"
        );
    }
}

#[test]
fn what_is_derived_from_a_text_follows_the_text_that_is_shown() {
    let mut posthog = with_schemas("- {name: a, last_synced_ago: 1h}");
    let raw = json!({"raw": {"status": "Failed", "latest_error": "Primary key required for incremental syncs"}});
    control(&mut posthog, "POST", "schemas/a", &raw);
    let row = row(&mut posthog, "a");
    assert_eq!(
        (&row["status"], &row["incremental_sync_blocked"]),
        (&json!("Failed"), &json!("missing_primary_key"))
    );
    let source = get(&mut posthog, "external_data_sources/")["results"][0].clone();
    assert_eq!(source["latest_error"], row["latest_error"]);
}

#[test]
fn frequencies_are_shown_as_they_are_stored() {
    for (stored, shown) in [
        ("1min", json!("1min")),
        ("never", json!("never")),
        ("fortnight", json!("fortnight")),
        ("null", json!(null)),
    ] {
        let mut posthog = with_schemas(&format!("- {{name: a, frequency: {stored}}}"));
        assert_eq!(row(&mut posthog, "a")["sync_frequency"], shown);
    }
    let mut posthog = with_schemas("- {name: a}");
    control(
        &mut posthog,
        "POST",
        "schemas/a",
        &json!({"frequency": null}),
    );
    assert_eq!(row(&mut posthog, "a")["sync_frequency"], json!(null));
}

#[test]
fn a_live_read_of_a_table_has_every_field_and_each_can_be_set() {
    let mut posthog = with_schemas(
        "- {name: a}\n- {name: b, incremental_fields: {webhook_only: true, supports_webhooks: true, detected_primary_keys: null, available_columns: []}}",
    );
    let answer = post(&mut posthog, "a", "incremental_fields");
    assert_eq!(
        answer.value(),
        json!({
            "incremental_fields": [{"label": "updated_at", "type": "timestamp", "field": "updated_at", "field_type": "timestamp", "nullable": false, "is_indexed": true}],
            "incremental_available": true,
            "append_available": true,
            "cdc_available": null,
            "xmin_available": false,
            "full_refresh_available": true,
            "supports_webhooks": false,
            "webhook_only": false,
            "available_columns": [
                {"field": "id", "label": "id", "type": "integer", "nullable": false},
                {"field": "updated_at", "label": "updated_at", "type": "datetime", "nullable": false},
            ],
            "detected_primary_keys": ["id"],
            "primary_key_detection_supported": true,
        })
    );
    let reported = post(&mut posthog, "b", "incremental_fields").value();
    assert_eq!(
        (
            &reported["webhook_only"],
            &reported["detected_primary_keys"],
            &reported["available_columns"]
        ),
        (&json!(true), &json!(null), &json!([]))
    );
}
