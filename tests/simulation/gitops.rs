//! What Argo CD and Flux make of a policy, with the snippets of docs/gitops.md: on statuses of every kind that the core writes.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jiff::SignedDuration;
use posthog_simulator::{Fault as SimFault, FaultKind};
use serde_json::{Value, json};

use crate::{faults::Faults, scenarios::HEARTBEAT, world::World};

/// The YAML blocks of docs/gitops.md.
fn blocks() -> Vec<Value> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gitops.md");
    let docs = fs::read_to_string(docs).unwrap();
    let blocks = docs.split("```yaml\n").skip(1);
    blocks
        .map(|block| serde_saphyr::from_str(block.split("```").next().unwrap()).unwrap())
        .collect()
}

/// The snippet for the `ConfigMap` `argocd-cm`: a health check, the actions that can be chosen, and the actions.
fn lua() -> (String, String, BTreeMap<String, String>) {
    let blocks = blocks();
    let key = |what: &str| {
        format!("resource.customizations.{what}.warehousesync.dev_WarehouseSyncPolicy")
    };
    let block = |what: &str| {
        let mut found = blocks
            .iter()
            .filter_map(|block| block["data"][key(what)].as_str());
        found.next().unwrap().to_owned()
    };
    let actions: Value = serde_saphyr::from_str(&block("actions")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let definitions = actions["definitions"].as_array().unwrap();
    let definitions = definitions
        .iter()
        .map(|action| (text(&action["name"]), text(&action["action.lua"])));
    (
        block("health"),
        text(&actions["discovery.lua"]),
        definitions.collect(),
    )
}

fn expressions() -> Value {
    let blocks = blocks();
    let mut checks = blocks
        .iter()
        .filter_map(|block| block["spec"]["healthCheckExprs"].as_array());
    checks.next().unwrap()[0].clone()
}

/// What a program answers.
fn ask(program: PathBuf, input: &Value) -> Vec<Value> {
    let mut process = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn argo(objects: &[Value]) -> Vec<Value> {
    let (health, discovery, actions) = lua();
    let input =
        json!({"health": health, "discovery": discovery, "actions": actions, "objects": objects});
    ask(control_plane::argo_lua().unwrap(), &input)
}

/// A table with an error.
const FAILING: &str = "sources: [{type: Postgres, prefix: prod, schemas: [
  {name: t, last_synced_ago: 9h, status: Failed, last_run_ago: 1h, latest_error: 'password authentication failed for user \"u\"'}]}]";

fn healthy() -> String {
    format!("sources: [{{type: Postgres, prefix: prod, schemas: [{HEARTBEAT}]}}]")
}

/// A policy of this scenario and spec after `passes` reconciles.
fn after(passes: usize, scenario: &str, spec: &str, change: impl FnOnce(&mut World)) -> Value {
    let mut world = World::new(scenario, spec, Faults::default());
    change(&mut world);
    for _ in 0..passes {
        world.reconcile();
    }
    object(&world)
}

fn object(world: &World) -> Value {
    serde_json::to_value(world.cluster.object()).unwrap()
}

fn unavailable(world: &World) {
    let mut posthog = world.simulator.lock().unwrap();
    posthog.add_fault(SimFault::always(FaultKind::CutBefore));
}

/// Each kind of status: the policy, what Argo CD must show, and Flux by default and by the expressions.
fn kinds() -> Vec<(
    &'static str,
    Value,
    &'static str,
    &'static str,
    &'static str,
)> {
    let none = |_: &mut World| {};
    let later = |change: fn(&mut World)| {
        let mut world = World::new(&healthy(), "", Faults::default());
        world.reconcile();
        change(&mut world);
        object(&world)
    };
    let mut new = after(0, &healthy(), "", none);
    assert!(new.get("status").is_none_or(Value::is_null), "{new}");
    // As the API server shows it by the default of the CRD.
    new["status"] = json!({"observedGeneration": -1});
    vec![
        ("new", new, "Progressing", "InProgress", "InProgress"),
        (
            "healthy",
            after(1, &healthy(), "", none),
            "Healthy",
            "Current",
            "Current",
        ),
        (
            "suspended",
            after(1, &healthy(), "suspend: true", none),
            "Suspended",
            "Current",
            "Current",
        ),
        (
            "stuck",
            after(1, FAILING, "", none),
            "Degraded",
            "Current",
            "Failed",
        ),
        (
            "stuck and suspended",
            after(1, FAILING, "suspend: true", none),
            "Degraded",
            "Current",
            "Failed",
        ),
        (
            "nothing selected",
            after(
                1,
                &healthy(),
                "selector: {schemas: {include: [other]}}",
                none,
            ),
            "Unknown",
            "Current",
            "InProgress",
        ),
        (
            "without a key",
            after(1, &healthy(), "", |world| world.cluster.lose_api_key(true)),
            "Degraded",
            "Failed",
            "Failed",
        ),
        (
            "not polled yet",
            after(1, &healthy(), "", |world| unavailable(world)),
            "Progressing",
            "InProgress",
            "InProgress",
        ),
        (
            "PostHog unavailable after a poll",
            later(|world| {
                unavailable(world);
                world
                    .simulator
                    .lock()
                    .unwrap()
                    .advance(SignedDuration::from_mins(10));
                world.reconcile();
            }),
            "Unknown",
            "InProgress",
            "InProgress",
        ),
        (
            "changed since the last poll",
            later(|world| world.cluster.edit(|policy| policy.spec.suspend = true)),
            "Progressing",
            "InProgress",
            "InProgress",
        ),
    ]
}

#[test]
fn argo_cd_and_flux_never_find_a_policy_healthy_whose_tables_are_not() {
    let kinds = kinds();
    let objects: Vec<Value> = kinds.iter().map(|(_, object, ..)| object.clone()).collect();
    let by_argo = argo(&objects);
    let input = json!({"expressions": expressions(), "objects": objects});
    let by_flux = ask(control_plane::flux_health().unwrap(), &input);
    for (((name, object, argo, default, expressions), by_argo), by_flux) in
        kinds.iter().zip(by_argo).zip(by_flux)
    {
        let conditions = &object["status"]["conditions"];
        let shown = &by_argo["health"];
        assert_eq!(shown["status"], *argo, "{name}: {shown} {conditions:#}");
        assert!(
            !shown["message"].as_str().unwrap().is_empty(),
            "{name}: {shown}"
        );
        assert_eq!(by_flux["default"], *default, "{name}: {conditions:#}");
        assert_eq!(
            by_flux["expressions"], *expressions,
            "{name}: {by_flux} {conditions:#}"
        );
        assert_eq!(by_flux["error"], "", "{name}");
    }
}

#[test]
fn the_actions_of_argo_cd_suspend_resume_and_request_a_poll_and_change_nothing_else() {
    let running = after(1, FAILING, "", |_| {});
    let suspended = after(1, FAILING, "suspend: true", |_| {});
    let answers = argo(&[running.clone(), suspended.clone()]);
    let disabled =
        |place: usize, action: &str| answers[place]["discovery"][action]["disabled"].clone();
    for (place, is_suspended) in [(0, false), (1, true)] {
        assert_eq!(disabled(place, "suspend"), is_suspended);
        assert_eq!(disabled(place, "resume"), !is_suspended);
        assert_eq!(disabled(place, "reconcile"), false);
        let names: Vec<_> = answers[place]["discovery"]
            .as_object()
            .unwrap()
            .keys()
            .collect();
        assert_eq!(
            names,
            ["reconcile", "resume", "suspend"],
            "approvals are left to people"
        );
    }
    let spec = |object: &Value| {
        let mut spec = object["spec"].clone();
        let suspend = spec.as_object_mut().unwrap().remove("suspend");
        (suspend, without_empty(spec))
    };
    let (_, expected) = spec(&running);
    for (action, suspend) in [("suspend", true), ("resume", false)] {
        let (now, rest) = spec(&answers[0]["actions"][action]);
        assert_eq!(now, Some(json!(suspend)), "{action}");
        assert_eq!(rest, expected, "{action}");
    }
    let asked = &answers[0]["actions"]["reconcile"];
    assert_eq!(spec(asked).1, expected);
    let at = &asked["metadata"]["annotations"]["reconcile.warehousesync.dev/requestedAt"];
    assert!(
        at.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(),
        "{at}"
    );
}

/// Lua has one empty table, which becomes an empty list; Argo CD puts back what was an empty object before.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields
                .into_iter()
                .map(|(name, value)| (name, without_empty(value)))
                .filter(|(_, value)| *value != json!([]) && *value != json!({}));
            Value::Object(kept.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).collect()),
        Value::Number(number) => json!(number.as_f64()),
        other => other,
    }
}
