//! Lists: pages, order, search, and the list of jobs that is cut off.

use serde_json::json;

use crate::world::{get, mins, send, with, with_schemas};

const THREE: &str = "sources: [{prefix: a}, {type: Stripe, prefix: b}, {prefix: c}]";

#[test]
fn sources_are_newest_first() {
    let mut posthog = with(THREE);
    let page = get(&mut posthog, "external_data_sources/");
    let prefixes: Vec<_> = page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["prefix"].clone())
        .collect();
    assert_eq!(prefixes, [json!("c"), json!("b"), json!("a")]);
    assert_eq!(
        (&page["count"], &page["next"], &page["previous"]),
        (&json!(3), &json!(null), &json!(null))
    );
}

#[test]
fn next_is_an_absolute_address() {
    let mut posthog = with(THREE);
    posthog.set_base_url("http://127.0.0.1:9/");
    let first = get(&mut posthog, "external_data_sources/?limit=2");
    assert_eq!(
        first["next"],
        "http://127.0.0.1:9/api/projects/12345/external_data_sources/?limit=2&offset=2"
    );
    let second = get(&mut posthog, "external_data_sources/?limit=2&offset=2");
    assert_eq!(second["results"].as_array().unwrap().len(), 1);
    assert_eq!(
        second["previous"],
        "http://127.0.0.1:9/api/projects/12345/external_data_sources/?limit=2"
    );
}

#[test]
fn an_offset_beyond_the_end_is_an_empty_page() {
    let mut posthog = with(THREE);
    let page = get(&mut posthog, "external_data_sources/?offset=50");
    assert_eq!((&page["count"], &page["results"]), (&json!(3), &json!([])));
}

#[test]
fn search_covers_type_and_prefix() {
    let mut posthog = with(THREE);
    assert_eq!(
        get(&mut posthog, "external_data_sources/?search=stri")["count"],
        1
    );
    assert_eq!(
        get(&mut posthog, "external_data_sources/?search=c")["results"][0]["prefix"],
        "c"
    );
}

#[test]
fn the_nested_schemas_of_a_source_are_trimmed_and_in_order_of_name() {
    let mut posthog = with_schemas("- {name: b}\n- {name: a, rows: 5}");
    let page = get(&mut posthog, "external_data_sources/");
    let schemas = page["results"][0]["schemas"].as_array().unwrap();
    assert_eq!(
        (&schemas[0]["name"], &schemas[1]["name"]),
        (&json!("a"), &json!("b"))
    );
    let mut fields: Vec<_> = schemas[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "id",
            "label",
            "last_synced_at",
            "latest_error",
            "name",
            "should_sync",
            "status",
            "sync_frequency",
            "sync_type",
            "table",
        ]
    );
    assert_eq!(schemas[0]["table"].as_object().unwrap().len(), 3);
}

#[test]
fn rows_in_the_list_of_schemas_do_not_say_their_source() {
    let mut posthog = with_schemas("- {name: a}\n- {name: b}");
    let page = get(&mut posthog, "external_data_schemas/");
    assert_eq!(
        (&page["results"][0]["name"], &page["results"][0]["source"]),
        (&json!("b"), &json!(null))
    );
    let id = posthog.schema_id("a").unwrap();
    let source = posthog.source_id("prod").unwrap();
    assert_eq!(
        get(&mut posthog, &format!("external_data_schemas/{id}/"))["source"]["id"],
        json!(source)
    );
}

#[test]
fn a_source_by_itself_has_full_schemas() {
    let mut posthog = with_schemas("- {name: a}");
    let source = posthog.source_id("prod").unwrap();
    let row = get(&mut posthog, &format!("external_data_sources/{source}/"));
    assert_eq!(row["schemas"][0]["primary_key_columns"], json!(["id"]));
}

#[test]
fn sync_type_config_is_never_shown() {
    let mut posthog = with_schemas("- {name: a}");
    let source = posthog.source_id("prod").unwrap();
    let row = get(&mut posthog, &format!("external_data_sources/{source}/"));
    assert!(!row.to_string().contains("sync_type_config"));
}

#[test]
fn a_schema_that_the_keys_owner_may_not_see_is_missing_and_404() {
    let mut posthog = with_schemas("- {name: a}\n- {name: secret, invisible: true}");
    assert_eq!(get(&mut posthog, "external_data_schemas/")["count"], 1);
    let id = posthog.schema_id("secret").unwrap();
    assert_eq!(
        send(&mut posthog, "GET", &format!("external_data_schemas/{id}/")).status,
        404
    );
}

#[test]
fn the_jobs_of_a_busy_table_push_those_of_the_others_out() {
    let mut posthog = with(
        "schedule: true\nsources: [{schemas: [{name: quiet, frequency: 30day, last_synced_ago: 1h}, {name: busy, frequency: 5min}]}]",
    );
    posthog.advance(mins(5 * 60));
    let source = posthog.source_id("Postgres").unwrap();
    let all = get(
        &mut posthog,
        &format!("external_data_sources/{source}/jobs/"),
    );
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 50);
    assert!(all.iter().all(|job| job["schema"]["name"] == "busy"));
    assert!(
        all.windows(2)
            .all(|pair| pair[0]["created_at"].as_str() > pair[1]["created_at"].as_str())
    );
    let quiet = get(
        &mut posthog,
        &format!("external_data_sources/{source}/jobs/?schemas=quiet"),
    );
    assert_eq!(quiet.as_array().unwrap().len(), 1);
}

#[test]
fn jobs_can_be_narrowed_by_several_names_and_by_time() {
    let mut posthog = with_schemas(
        "- {name: a, last_synced_ago: 1h}\n- {name: b, last_synced_ago: 2h}\n- {name: c, last_synced_ago: 3h}",
    );
    let source = posthog.source_id("prod").unwrap();
    let path = |query: &str| format!("external_data_sources/{source}/jobs/?{query}");
    assert_eq!(
        get(&mut posthog, &path("schemas=a&schemas=b"))
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        get(
            &mut posthog,
            &path("after=2026-10-01T09:30:00Z&before=2026-10-01T10:30:00Z")
        )
        .as_array()
        .unwrap()
        .len(),
        1
    );
    let answer = send(&mut posthog, "GET", &path("after=yesterday"));
    assert_eq!(
        answer.value()["detail"],
        "after and before must be ISO 8601 timestamps."
    );
    assert_eq!(answer.value()["type"], "validation_error");
}
