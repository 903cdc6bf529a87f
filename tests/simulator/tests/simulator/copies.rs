//! `copies`: large projects from small scenarios.

use posthog_simulator::{Clock, Error, Scenario, Simulator};
use serde_json::json;

use crate::world::{START, get, hours, with};

#[test]
fn copies_are_numbered() {
    let mut posthog = with(
        "sources: [{prefix: shard, copies: 2, schemas: [{name: public.t, copies: 3}, {name: other}]}]",
    );
    let page = get(&mut posthog, "external_data_sources/");
    assert_eq!(
        (&page["count"], &page["results"][0]["prefix"]),
        (&json!(2), &json!("shard_0002"))
    );
    let names: Vec<_> = page["results"][0]["schemas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|schema| schema["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["other", "public.t_0001", "public.t_0002", "public.t_0003"]
    );
    assert_eq!(get(&mut posthog, "external_data_schemas/")["count"], 8);
}

#[test]
fn an_id_cannot_have_copies() {
    for text in [
        "sources: [{schemas: [{name: a, id: x, copies: 2}]}]",
        "sources: [{schemas: [{name: a, copies: 2, jobs: [{id: x}]}]}]",
        "sources: [{prefix: a, copies: 2, schemas: [{name: a, id: x}]}]",
        "sources: [{prefix: a, copies: 2, id: x}]",
        "sources: [{copies: 2}]",
    ] {
        let scenario = Scenario::from_yaml(text).unwrap();
        let made = Simulator::from_scenario(&scenario, Clock::Manual(START.parse().unwrap()));
        assert!(matches!(made, Err(Error::Scenario(_))), "{text}");
    }
}

/// This takes a second. If each event read all schemas, it would take minutes.
#[test]
fn ten_thousand_tables_are_listed_and_run() {
    let scenario = "schedule: true\nsources: [{prefix: shard, copies: 20, schemas: [{name: t, copies: 500, last_synced_ago: 1h, rows: 9}]}]";
    let mut posthog = with(scenario);
    let page = get(&mut posthog, "external_data_sources/");
    assert_eq!(
        page["results"][19]["schemas"].as_array().unwrap().len(),
        500
    );
    posthog.advance(hours(6));
    assert_eq!(posthog.effects().len(), 20_000);
}
