//! Rotated credentials: from a Secret to PostHog, once, and the tables come back.

use jiff::SignedDuration;
use posthog_simulator::EffectKind;
use warehouse_sync_operator::api::status::{RootCause, Severity};

use crate::{
    faults::{Fault, Faults},
    world::World,
};

const MAPPING: &str = "credentials: [{source: {type: Postgres, prefix: prod}, jobInputs: {password: {secretRef: {name: db, key: password}}}}]";
const OLD: &str = "old-canary-1111";
const NEW: &str = "new-canary-2222";

/// Two tables of a source whose password is changed at the source: the first run that fails with it switches a table off.
const ROTATED: &str = "
sources:
  - type: Postgres
    prefix: prod
    job_inputs: {host: db.example.com, port: '5432', database: app, user: posthog}
    probe_error: Invalid credentials
    accepts_inputs: {password: new-canary-2222}
    schemas:
      - name: public.orders
        frequency: 6hour
        last_synced_ago: 5h
        rows: 10
        run: {started_ago: 10s, fails: {after: 20s, rows: 0, non_retryable: true, error: 'password authentication failed for user \"posthog\"'}}
        then: {completes: {after: 1m, rows: 5}}
";

fn enforce() -> String {
    format!("mode: Enforce, interval: 1m, {MAPPING}")
}

fn secret(value: &str) -> String {
    secret_with(
        value,
        "labels: {warehousesync.dev/use: source-credentials}, annotations: {warehousesync.dev/project: '12345'}",
    )
}

fn secret_with(value: &str, meta: &str) -> String {
    let value = serde_json::to_string(&k8s_openapi::ByteString(value.as_bytes().to_vec())).unwrap();
    format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: db, namespace: n, {meta}}}, data: {{password: {value}}}}}"
    )
}

fn world(scenario: &str, spec: &str, value: &str, faults: Faults) -> World {
    let world = World::new(scenario, spec, faults);
    world.cluster.put_secret(&secret(value));
    world
}

fn run(world: &mut World, minutes: i64) {
    world.run_for(SignedDuration::from_mins(minutes));
    nothing_shows_a_secret(world);
}

fn nothing_shows_a_secret(world: &World) {
    let status = serde_json::to_string(&world.status()).unwrap();
    let events = format!("{:?}", world.cluster.events());
    for secret in [OLD, NEW, "canary"] {
        assert!(!status.contains(secret), "{status}");
        assert!(!events.contains(secret), "{events}");
    }
}

/// PATCHes of the source that reached PostHog.
fn patches(world: &World) -> usize {
    let simulator = world.simulator.lock().unwrap();
    simulator.count("PATCH", "/external_data_sources/")
}

fn effects(world: &World, kind: EffectKind) -> usize {
    world.simulator.lock().unwrap().effects_of(kind).len()
}

fn next_actions(world: &World) -> String {
    let findings = world.status().findings;
    let said = findings.iter().map(|finding| finding.next_action.clone());
    said.collect::<Vec<_>>().join("\n")
}

fn recovered(world: &World) {
    let status = world.status();
    assert!(status.findings.is_empty(), "{:#?}", status.findings);
    assert!(status.incidents.is_empty(), "{:#?}", status.incidents);
    assert_eq!(status.summary.unwrap().healthy_of, "1/1");
}

#[test]
fn a_rotated_secret_is_handed_over_once_and_the_table_comes_back() {
    let mut world = world(ROTATED, &enforce(), NEW, Faults::default());
    run(&mut world, 60);
    assert_eq!(patches(&world), 1);
    assert_eq!(effects(&world, EffectKind::InputsChanged), 1);
    assert_eq!(effects(&world, EffectKind::Enabled), 1);
    assert_eq!(world.count("reload"), 1);
    recovered(&world);
    let reasons: Vec<_> = world.cluster.events().iter().map(|e| e.reason).collect();
    for reason in ["CredentialsApplied", "TableEnabled", "Recovered"] {
        assert!(reasons.contains(&reason), "{reasons:?}");
    }
}
