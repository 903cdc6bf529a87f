//! A PostHog of August 2025, and one of today that lacks a single thing.

use serde_json::json;

use crate::world::{detail, get, patch, post, send, with};

fn old(key: &str) -> posthog_simulator::Simulator {
    with(&format!(
        "instance: {{api: old}}\nkeys: [{{token: phx_demo, {key}}}]\n\
         sources: [{{type: Postgres, schemas: [{{name: orders, last_synced_ago: 1h, run: {{started_ago: 1h, completes: {{after: 1m, rows: 5}}}}}}, \
         {{name: items, last_synced_ago: 1h, probe_error: Invalid credentials}}]}}]"
    ))
}

#[test]
fn a_key_with_scopes_is_refused_and_one_without_is_let_in() {
    let mut posthog = old("scopes: ['*']");
    let answer = send(&mut posthog, "GET", "external_data_sources/");
    assert_eq!(answer.status, 403);
    assert_eq!(
        detail(&answer),
        "This action does not support Personal API Key access"
    );
    let mut posthog = old("legacy: true");
    get(&mut posthog, "external_data_sources/");
}

#[test]
fn neither_the_access_method_nor_the_end_of_a_run_is_shown_and_the_filter_is_ignored() {
    let mut posthog = old("legacy: true");
    let list = get(&mut posthog, "external_data_sources/");
    let source = &list["results"][0];
    assert_eq!(source.get("access_method"), None);
    let id = source["id"].as_str().unwrap();
    let jobs = get(
        &mut posthog,
        &format!("external_data_sources/{id}/jobs/?schemas=items"),
    );
    let jobs = jobs.as_array().unwrap();
    assert!(jobs.iter().any(|job| job["schema"]["name"] == "orders"));
    assert!(jobs.iter().all(|job| job.get("finished_at").is_none()));
}

#[test]
fn there_is_no_cancel_and_a_source_that_cannot_be_read_is_a_500() {
    let mut posthog = old("legacy: true");
    let answer = post(&mut posthog, "orders", "cancel");
    assert_eq!(
        (answer.status, detail(&answer)),
        (404, "Endpoint not found.".to_owned())
    );
    assert_eq!(
        post(&mut posthog, "items", "incremental_fields").status,
        500
    );
}

#[test]
fn a_patch_without_the_sync_type_sets_it_to_null_and_answers_200() {
    let on = json!({"should_sync": true});
    let mut posthog = old("legacy: true");
    let answer = patch(&mut posthog, "orders", &on);
    assert_eq!(
        (answer.status, &answer.value()["sync_type"]),
        (200, &json!(null))
    );
    let mut posthog = with("sources: [{type: Postgres, schemas: [{name: orders}]}]");
    let answer = patch(&mut posthog, "orders", &on);
    assert_ne!(answer.value()["sync_type"], json!(null));
}

#[test]
fn a_new_one_may_lack_a_single_thing() {
    let mut posthog = with(
        "instance: {api: {lacks: [cancel]}}\nsources: [{type: Postgres, schemas: [{name: orders}]}]",
    );
    assert_eq!(post(&mut posthog, "orders", "cancel").status, 404);
    assert_eq!(
        send(&mut posthog, "GET", "external_data_sources/").value()["results"][0]["access_method"],
        "warehouse"
    );
}
