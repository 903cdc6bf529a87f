//! Keys, scopes, projects, limits, routes.

use posthog_simulator::{KeySpec, Request};
use serde_json::json;

use crate::world::{detail, get, hours, post, secs, send, send_raw, with};

const ONE: &str = "sources: [{type: Postgres, schemas: [{name: orders, last_synced_ago: 1h}]}]";

fn with_key(key: &str) -> posthog_simulator::Simulator {
    with(&format!(
        "{ONE}\nother_projects: [7]\nkeys: [{{token: phx_demo, {key}}}]"
    ))
}

#[test]
fn a_request_without_a_key_is_401_with_a_challenge() {
    let mut posthog = with(ONE);
    let request = Request {
        method: "GET".to_owned(),
        path_and_query: "/api/projects/12345/external_data_sources/".to_owned(),
        ..Request::default()
    };
    let answer = send_raw(&mut posthog, &request);
    assert_eq!(
        (answer.status, answer.value()["code"].as_str()),
        (401, Some("not_authenticated"))
    );
    assert!(
        answer
            .header_value("WWW-Authenticate")
            .unwrap()
            .starts_with("Bearer resource_metadata=")
    );
}

#[test]
fn an_unknown_key_is_401() {
    let mut posthog = with(ONE);
    let request = Request::new(
        "GET",
        "/api/projects/12345/external_data_sources/",
        "phx_other",
    );
    let answer = send_raw(&mut posthog, &request);
    assert_eq!(
        (answer.status, answer.value()["code"].as_str()),
        (401, Some("authentication_failed"))
    );
    assert_eq!(posthog.requests()[0].key.as_deref(), Some("unknown"));
}

#[test]
fn a_key_that_may_only_read_is_403_for_a_write_in_the_frameworks_shape() {
    let mut posthog = with_key("scopes: ['external_data_source:read']");
    let answer = post(&mut posthog, "orders", "reload");
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.value(),
        json!({
            "type": "authentication_error",
            "code": "permission_denied",
            "detail": "API key missing required scope 'external_data_source:write'",
            "attr": null,
        })
    );
}

#[test]
fn incremental_fields_needs_to_write_although_it_only_reads() {
    let mut posthog = with_key("scopes: ['external_data_source:read']");
    assert_eq!(
        post(&mut posthog, "orders", "incremental_fields").status,
        403
    );
}

#[test]
fn a_key_that_may_write_may_read() {
    let mut posthog = with_key("scopes: ['external_data_source:write']");
    get(&mut posthog, "external_data_sources/");
    let mut posthog = with_key("scopes: ['*']");
    get(&mut posthog, "external_data_sources/");
}

#[test]
fn a_key_limited_to_other_projects_is_403() {
    let mut posthog = with_key("projects: [7]");
    let answer = send(&mut posthog, "GET", "external_data_sources/");
    assert_eq!(answer.status, 403);
    assert_eq!(
        detail(&answer),
        "API key does not have access to the requested project: ID 12345."
    );
}

#[test]
fn an_unknown_or_odd_project_is_404() {
    let mut posthog = with(ONE);
    for project in ["99", "abc"] {
        let request = Request::new(
            "GET",
            &format!("/api/projects/{project}/external_data_sources/"),
            "phx_demo",
        );
        let answer = send_raw(&mut posthog, &request);
        assert_eq!(
            (answer.status, detail(&answer).as_str()),
            (404, "Project not found.")
        );
    }
}

#[test]
fn current_is_the_project_that_the_keys_owner_has_open() {
    let mut posthog = with_key("current_project: 7");
    let request = Request::new(
        "GET",
        "/api/projects/@current/external_data_sources/",
        "phx_demo",
    );
    assert_eq!(send_raw(&mut posthog, &request).value()["count"], 0);
}

#[test]
fn routes_that_posthog_does_not_have_are_404() {
    let mut posthog = with(ONE);
    let environments = Request::new(
        "GET",
        "/api/environments/12345/external_data_sources/",
        "phx_demo",
    );
    assert_eq!(send_raw(&mut posthog, &environments).status, 404);
    assert_eq!(
        send(&mut posthog, "GET", "external_data_everything/").status,
        404
    );
    let answer = send(&mut posthog, "GET", "external_data_schemas/nope/");
    assert_eq!(
        (answer.status, answer.value()["code"].as_str()),
        (404, Some("not_found"))
    );
}

#[test]
fn schemas_cannot_be_posted() {
    let mut posthog = with(ONE);
    let answer = send(&mut posthog, "POST", "external_data_schemas/");
    assert_eq!(
        (answer.status, answer.value()["code"].as_str()),
        (403, Some("permission_denied"))
    );
    assert_eq!(
        detail(&answer),
        "This action does not support personal API key access"
    );
}

#[test]
fn the_slash_at_the_end_is_optional() {
    let mut posthog = with(ONE);
    get(&mut posthog, "external_data_sources");
}

#[test]
fn routes_that_are_not_imitated_say_so() {
    let mut posthog = with(ONE);
    let source = posthog.source_id("Postgres").unwrap();
    let answer = send(
        &mut posthog,
        "POST",
        &format!("external_data_sources/{source}/disable_cdc/"),
    );
    assert_eq!(answer.status, 501);
}

#[test]
fn the_burst_limit_is_480_requests_in_any_minute() {
    let mut posthog = with(ONE);
    for _ in 0..480 {
        get(&mut posthog, "external_data_sources/?limit=1");
    }
    posthog.advance(secs(23));
    let answer = send(&mut posthog, "GET", "external_data_sources/");
    assert_eq!(
        (answer.status, answer.header_value("Retry-After")),
        (429, Some("37"))
    );
    assert_eq!(
        answer.value(),
        json!({
            "type": "throttled_error",
            "code": "throttled",
            "detail": "Request was throttled. Expected available in 37 seconds.",
            "attr": null,
        })
    );
    posthog.advance(secs(37));
    get(&mut posthog, "external_data_sources/");
}

#[test]
fn the_sustained_limit_counts_over_an_hour() {
    let mut posthog = with(&format!("{ONE}\nrate_limits: {{sustained_per_hour: 10}}"));
    for _ in 0..10 {
        get(&mut posthog, "external_data_sources/");
        posthog.advance(secs(60));
    }
    let answer = send(&mut posthog, "GET", "external_data_sources/");
    assert_eq!(
        (answer.status, answer.header_value("Retry-After")),
        (429, Some("3000"))
    );
    posthog.advance(hours(1));
    get(&mut posthog, "external_data_sources/");
}

#[test]
fn limits_are_counted_for_each_key() {
    let mut posthog = with(&format!("{ONE}\nrate_limits: {{burst_per_minute: 1}}"));
    let other = KeySpec {
        token: "phx_second".to_owned(),
        ..KeySpec::default()
    };
    posthog.put_key(other);
    get(&mut posthog, "external_data_sources/");
    let request = Request::new(
        "GET",
        "/api/projects/12345/external_data_sources/",
        "phx_second",
    );
    assert_eq!(send_raw(&mut posthog, &request).status, 200);
    assert_eq!(
        send(&mut posthog, "GET", "external_data_sources/").status,
        429
    );
}

#[test]
fn a_key_can_lose_its_scope_and_be_revoked() {
    let mut posthog = with(ONE);
    posthog.put_key(KeySpec {
        scopes: vec!["external_data_source:read".to_owned()],
        ..KeySpec::default()
    });
    assert_eq!(post(&mut posthog, "orders", "reload").status, 403);
    assert!(posthog.remove_key("phx_demo"));
    assert_eq!(
        send(&mut posthog, "GET", "external_data_sources/").status,
        401
    );
}

#[test]
fn a_table_may_be_visible_and_not_changeable() {
    let mut posthog = with("sources: [{schemas: [{name: orders, editor: false}]}]");
    let answer = post(&mut posthog, "orders", "cancel");
    assert_eq!(
        (answer.status, detail(&answer).as_str()),
        (403, "You do not have editor access to this table.")
    );
}

#[test]
fn the_request_log_has_no_token() {
    let mut posthog = with(ONE);
    get(&mut posthog, "external_data_sources/?limit=1");
    let logged = &posthog.requests()[0];
    assert_eq!(
        (logged.key.as_deref(), logged.query.as_str(), logged.status),
        (Some("key-1"), "limit=1", Some(200))
    );
    assert!(!serde_json::to_string(logged).unwrap().contains("phx_"));
    assert_eq!(posthog.count("GET", "external_data_sources"), 1);
}
