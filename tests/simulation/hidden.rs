//! Lists in which a dead table could hide behind a healthy one: none of them is called healthy.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use posthog_simulator::{Answer, Fault as SimFault, FaultKind, Matches, Request, Times};
use serde_json::{Value, json};
use warehouse_sync_operator::api::conditions::HEALTHY;

use crate::{cluster::KEY, faults::Faults, world::World};

const LIST: &str = "external_data_sources/?limit";

/// A healthy table, and one without a success for 31 days.
const DEAD: &str = "sources: [{type: Postgres, prefix: prod, schemas: [{name: well, frequency: 6hour, last_synced_ago: 1h, rows: 5}]}, \
    {type: Stripe, prefix: dead, schemas: [{name: dead, frequency: 1hour, last_synced_ago: 31d, rows: 9}]}]";

/// Lets every list be the present one, changed like this.
fn lists(world: &World, change: impl Fn(&mut Value)) {
    let mut simulator = world.simulator.lock().unwrap();
    simulator.clear_faults();
    let outcome = simulator.handle(&Request {
        method: "GET".to_owned(),
        path_and_query: "/api/projects/12345/external_data_sources/?limit=100&offset=0".to_owned(),
        authorization: Some(format!("Bearer {KEY}")),
        user_agent: None,
        body: Vec::new(),
    });
    let Answer::Response(response) = outcome.answer else {
        panic!("no answer");
    };
    let mut body: Value = serde_json::from_slice(&response.body).unwrap();
    change(&mut body);
    simulator.add_fault(SimFault {
        matches: Matches {
            method: Some("GET".to_owned()),
            path_contains: Some(LIST.to_owned()),
        },
        skip: 0,
        times: Times::Forever,
        kind: FaultKind::Status {
            status: 200,
            body: Some(body),
            headers: BTreeMap::new(),
            after_effect: false,
        },
    });
}

/// The dead table's row.
fn dead(body: &mut Value) -> &mut Value {
    &mut tables(body, "dead")[0]
}

fn tables<'a>(body: &'a mut Value, prefix: &str) -> &'a mut Vec<Value> {
    source_of(body, prefix)["schemas"].as_array_mut().unwrap()
}

/// The healthy row with id and name of the other.
fn healthy_copy(body: &mut Value) -> Value {
    let mut copy = tables(body, "prod")[0].clone();
    for field in ["id", "name"] {
        copy[field] = dead(body)[field].clone();
    }
    copy
}

type Change = Box<dyn Fn(&mut Value)>;

fn set(field: &'static str, value: Value) -> (String, Change) {
    (
        format!("{field}: {value}"),
        Box::new(move |body| dead(body)[field] = value.clone()),
    )
}

/// A change, and what it is called.
fn named(what: &str, change: impl Fn(&mut Value) + 'static) -> (String, Change) {
    (what.to_owned(), Box::new(change))
}

fn source_of<'a>(body: &'a mut Value, prefix: &str) -> &'a mut Value {
    let sources = body["results"].as_array_mut().unwrap();
    sources
        .iter_mut()
        .find(|source| source["prefix"] == prefix)
        .unwrap()
}

/// What contradicts itself, or cannot be read, and may hide the table.
fn unclear() -> Vec<(String, Change)> {
    vec![
        set("status", json!("completed")),
        set("status", json!("COMPLETED")),
        set("last_synced_at", json!("2036-01-01T00:00:00Z")),
        set("last_synced_at", json!("9999-12-31T23:59:59Z")),
        set("last_synced_at", json!("2026-10-01T00:00:00")),
        set("should_sync", json!(null)),
        set("should_sync", json!("true")),
        set("sync_frequency", json!("0hour")),
        named("more on a next page than are counted", |body| {
            let sources = body["results"].as_array_mut().unwrap();
            sources.retain(|source| source["prefix"] != "dead");
            body["count"] = json!(1);
            body["next"] =
                json!("http://127.0.0.1:1/api/projects/12345/external_data_sources/?offset=1");
        }),
        named("a healthy copy before it", |body| {
            let copy = healthy_copy(body);
            tables(body, "dead").insert(0, copy);
        }),
        named("a healthy copy after it", |body| {
            let copy = healthy_copy(body);
            tables(body, "dead").push(copy);
        }),
        named("a table of another source with its id", |body| {
            let id = dead(body)["id"].clone();
            tables(body, "prod")[0]["id"] = id;
        }),
        named("no list of tables", |body| {
            source_of(body, "dead")["schemas"] = json!(null);
        }),
        named("an unknown access", |body| {
            source_of(body, "dead")["access_method"] = json!("Warehouse");
        }),
    ]
}

#[test]
fn what_a_list_says_unclearly_is_not_healthy() {
    for seen_before in [false, true] {
        for (what, change) in unclear() {
            let mut world = World::new(DEAD, "mode: Observe, interval: 5m", Faults::default());
            if seen_before {
                world.run_for(SignedDuration::from_mins(30));
            }
            lists(&world, &change);
            world.run_for(SignedDuration::from_hours(1));
            let status = world.status();
            let healthy = status.condition(HEALTHY).unwrap();
            assert_eq!(healthy.status, "Unknown", "{what}: {healthy:?}");
        }
    }
}

#[test]
fn what_a_list_no_longer_says_hides_no_dead_table() {
    for change in [
        set("status", json!(null)),
        set("last_synced_at", json!(null)),
        set("last_synced_at", json!("1970-01-01T00:00:00Z")),
        set("sync_type", json!(null)),
        set("sync_type", json!("mirror")),
        set("table", json!(null)),
        set("table", json!({"id": null, "row_count": -5})),
        set("table", json!({"id": "x", "row_count": 9.0e30})),
        named("its name", |body| dead(body)["name"] = json!("")),
    ] {
        let (what, change) = change;
        let mut world = World::new(DEAD, "mode: Observe, interval: 5m", Faults::default());
        world.run_for(SignedDuration::from_mins(30));
        lists(&world, &change);
        world.run_for(SignedDuration::from_hours(5));
        let status = world.status();
        let healthy = status.condition(HEALTHY).unwrap();
        assert_eq!(healthy.status, "False", "{what}: {healthy:?}");
    }
}
