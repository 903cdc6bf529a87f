//! A small simulated PostHog, and short ways to talk to it.

use jiff::{SignedDuration, Timestamp};
use posthog_simulator::{Clock, Request, Response, Scenario, Simulator};
use serde_json::Value;

pub(crate) const START: &str = "2026-10-01T12:00:00Z";

/// A simulator with these schemas (YAML, one for each line of a list) in one Postgres source.
pub(crate) fn with_schemas(schemas: &str) -> Simulator {
    let indented = schemas.trim().replace('\n', "\n      ");
    with(&format!(
        "sources:\n  - type: Postgres\n    prefix: prod\n    schemas:\n      {indented}\n"
    ))
}

pub(crate) fn with(scenario: &str) -> Simulator {
    let scenario = Scenario::from_yaml(scenario).unwrap();
    Simulator::from_scenario(&scenario, Clock::Manual(START.parse().unwrap())).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

pub(crate) fn mins(mins: i64) -> SignedDuration {
    SignedDuration::from_mins(mins)
}

pub(crate) fn secs(secs: i64) -> SignedDuration {
    SignedDuration::from_secs(secs)
}

/// Sends a request below the project's path.
pub(crate) fn send(simulator: &mut Simulator, method: &str, path: &str) -> Response {
    send_raw(
        simulator,
        &Request::new(method, &format!("/api/projects/12345/{path}"), "phx_demo"),
    )
}

pub(crate) fn send_raw(simulator: &mut Simulator, request: &Request) -> Response {
    simulator
        .handle(request)
        .response()
        .expect("an answer")
        .clone()
}

pub(crate) fn get(simulator: &mut Simulator, path: &str) -> Value {
    let response = send(simulator, "GET", path);
    assert_eq!(response.status, 200, "{}", response.value());
    response.value()
}

pub(crate) fn post(simulator: &mut Simulator, schema: &str, action: &str) -> Response {
    let id = simulator.schema_id(schema).unwrap();
    send(
        simulator,
        "POST",
        &format!("external_data_schemas/{id}/{action}/"),
    )
}

pub(crate) fn patch(simulator: &mut Simulator, schema: &str, body: &Value) -> Response {
    let id = simulator.schema_id(schema).unwrap();
    let path = format!("/api/projects/12345/external_data_schemas/{id}/");
    send_raw(
        simulator,
        &Request::new("PATCH", &path, "phx_demo").with_json(body),
    )
}

/// A schema's full row.
pub(crate) fn row(simulator: &mut Simulator, schema: &str) -> Value {
    let id = simulator.schema_id(schema).unwrap();
    get(simulator, &format!("external_data_schemas/{id}/"))
}

/// A schema's jobs, newest first.
pub(crate) fn jobs(simulator: &mut Simulator, schema: &str) -> Vec<Value> {
    let source = simulator.source_id("Postgres").unwrap();
    let answer = get(
        simulator,
        &format!("external_data_sources/{source}/jobs/?schemas={schema}"),
    );
    answer.as_array().unwrap().clone()
}

pub(crate) fn logs(simulator: &mut Simulator, schema: &str, query: &str) -> Vec<Value> {
    let id = simulator.schema_id(schema).unwrap();
    let answer = get(
        simulator,
        &format!("external_data_schemas/{id}/logs/?{query}"),
    );
    answer["results"].as_array().unwrap().clone()
}

/// A path of a source below the project's.
pub(crate) fn source_path(simulator: &Simulator, source: &str, action: &str) -> String {
    let id = simulator.source_id(source).unwrap();
    format!("external_data_sources/{id}/{action}")
}

/// A control route: its status and answer.
pub(crate) fn control(
    simulator: &mut Simulator,
    method: &str,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let request = Request {
        method: method.to_owned(),
        path_and_query: format!("/_simulator/{path}"),
        ..Request::default()
    };
    let answer = send_raw(simulator, &request.with_json(body));
    (answer.status, answer.value())
}

pub(crate) fn detail(response: &Response) -> String {
    response.value()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
