//! Upgrades, downgrades and deletions: state that another operator wrote, and state that remains.

use control_plane::ControlPlane;
use jiff::SignedDuration;
use kube::CustomResourceExt;
use posthog_simulator::{Fault, FaultKind};
use serde_json::{Value, json};
use warehouse_sync_operator::api::{
    WarehouseSyncPolicy,
    status::{Fate, Step},
};

use crate::{
    main_job::{STUCK, assert_one_cancel_and_one_reload, later, wait_until_recovered},
    support::{Env, Operator, Plane, install_crd, put, wait_until},
};

/// Slow enough to observe a step.
const SLOWLY: [&str; 3] = ["--allow-http-loopback", "--time-factor", "60"];

fn in_the_middle(env: &Env, step: Step) {
    env.wait_for("p", "the step", |status| {
        let incident = status.incidents.first();
        incident.is_some_and(|incident| later(incident.step, step))
    });
}

/// Writes into the status as another operator would, also over concurrent writes of this one.
fn write_status(env: &Env, patch: &Value) {
    let patch = patch.to_string();
    let args = [
        "patch",
        "wsp",
        "p",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    env.kubectl(&args);
}

fn resource_version(env: &Env) -> String {
    env.kubectl(&[
        "get",
        "wsp",
        "p",
        "-o",
        "jsonpath={.metadata.resourceVersion}",
    ])
}

fn is_left_alone(env: &Env, operator: &Operator, why: &str) {
    wait_until("an event that says so", || {
        let events = env.kubectl(&["events", "--for", "wsp/p", "--types", "Warning"]);
        let said = events.contains("LeftAlone") && events.contains(why);
        if said { Ok(()) } else { Err(events) }
    });
    operator.wait_for_log(why);
    let (version, requests) = (
        resource_version(env),
        env.posthog.simulator().requests().len(),
    );
    // Even a request to poll the policy does nothing.
    let mark = operator.log().len();
    env.kubectl(&[
        "annotate",
        "--overwrite",
        "wsp",
        "p",
        "reconcile.warehousesync.dev/requestedAt=now",
    ]);
    wait_until("another look", || {
        let log = operator.log();
        if log[mark..].contains("policy is skipped") {
            Ok(())
        } else {
            Err(log)
        }
    });
    let status = env.kubectl(&["get", "wsp", "p", "-o", "jsonpath={.status}"]);
    assert_eq!(requests, env.posthog.simulator().requests().len());
    assert_ne!(version, resource_version(env), "the annotation was written");
    assert!(status.contains(r#""incidents":[{"#), "{status}");
}

#[test]
fn a_policy_with_the_state_of_a_newer_operator_is_not_touched_until_that_operator_runs_again() {
    let env = Env::new(STUCK);
    let operator = env.operator_with(&SLOWLY);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    in_the_middle(&env, Step::WaitTerminal);
    operator.kill();
    write_status(&env, &json!({"status": {"state": {"format": 2}}}));
    let older = env.operator();
    is_left_alone(&env, &older, "in format 2");
    assert_eq!(env.count("POST", "/reload/"), 0);
    // As the newer operator would continue: it knows its own format.
    write_status(&env, &json!({"status": {"state": {"format": 1}}}));
    drop(older);
    let _newer = env.operator();
    wait_until_recovered(&env);
    assert_one_cancel_and_one_reload(&env);
}

/// The CRD with `change` made to the schema of its status.
fn crd_with(change: impl FnOnce(&mut Value)) -> String {
    let mut crd = serde_json::to_value(WarehouseSyncPolicy::crd()).unwrap();
    let properties = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    change(&mut properties["status"]["properties"]);
    crd.to_string()
}

fn own_plane() -> Plane {
    let plane = ControlPlane::start().unwrap();
    install_crd(&plane);
    Plane::Own(Box::new(plane))
}

#[test]
fn a_status_with_values_of_a_newer_operator_is_not_touched() {
    let env = Env::on(own_plane(), STUCK);
    put(
        &env.plane,
        &["replace", "-f", "-"],
        &with_resource_version(
            &env,
            &crd_with(|status| {
                let cause = &mut status["incidents"]["items"]["properties"]["cause"];
                cause["enum"].as_array_mut().unwrap().push("Eclipse".into());
            }),
        ),
    )
    .unwrap();
    let operator = env.operator_with(&SLOWLY);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    in_the_middle(&env, Step::WaitTerminal);
    operator.kill();
    let mut incidents = serde_json::to_value(env.status("p").incidents).unwrap();
    incidents[0]["cause"] = "Eclipse".into();
    wait_until("the CRD to take the newer value", || {
        let patch = json!({"status": {"incidents": incidents}}).to_string();
        let args = [
            "--namespace",
            &env.namespace,
            "patch",
            "wsp",
            "p",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        env.plane.kubectl(args).map_err(|error| error.to_string())
    });
    let older = env.operator();
    is_left_alone(&env, &older, "Eclipse");
    assert_eq!(env.count("POST", "/reload/"), 0);
}

/// `kubectl replace` needs the version that it replaces.
fn with_resource_version(env: &Env, crd: &str) -> String {
    let name = "crd/warehousesyncpolicies.warehousesync.dev";
    let version = ["get", name, "-o", "jsonpath={.metadata.resourceVersion}"];
    let mut crd: Value = serde_json::from_str(crd).unwrap();
    crd["metadata"]["resourceVersion"] = env.plane.kubectl(version).unwrap().into();
    crd.to_string()
}

#[test]
fn with_a_crd_that_is_older_than_the_operator_nothing_is_sent_until_it_is_upgraded() {
    let plane = Plane::Own(Box::new(ControlPlane::start().unwrap()));
    plane
        .apply(&crd_with(|status| {
            status["incidents"]["items"]["properties"]
                .as_object_mut()
                .unwrap()
                .remove("sends");
        }))
        .unwrap();
    let env = Env::on(plane, STUCK);
    let operator = env.operator();
    wait_until("the policy", || {
        env.apply(&env.policy("p", "mode: Enforce"))
    });
    operator.wait_for_log("older than the operator");
    assert_eq!(env.count("POST", "/cancel/"), 0);
    install_crd(&env.plane);
    wait_until_recovered(&env);
    assert_one_cancel_and_one_reload(&env);
}

#[test]
fn a_policy_deleted_during_an_incident_is_forgotten_and_a_recreated_one_starts_from_what_posthog_shows()
 {
    let env = Env::new(STUCK);
    let operator = env.operator_with(&SLOWLY);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    in_the_middle(&env, Step::Settle);
    env.kubectl(&["delete", "wsp", "p"]);
    wait_until("metrics without the policy", || {
        let metrics = operator.get("/metrics").1;
        let stuck = metrics
            .lines()
            .any(|line| line.starts_with("warehouse_sync_schemas{") && !line.ends_with(" 0"));
        if stuck { Err(metrics) } else { Ok(()) }
    });
    assert_eq!(env.count("POST", "/reload/"), 0, "{:#?}", operator.log());
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    env.wait_for_reason("p", "Ready", "Polled");
    assert_eq!(env.count("POST", "/cancel/"), 1);
}

#[test]
fn terminated_during_a_call_it_waits_for_the_answer_and_records_it() {
    let env = Env::new(STUCK);
    // Shorter than a claim at this pace: a call ends with the claim.
    let by = SignedDuration::from_secs(2);
    let late = Fault::once("POST", "/cancel/", FaultKind::Delay { by });
    env.posthog.simulator().add_fault(late);
    let operator = env.operator_with(&SLOWLY);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    wait_until("the cancel", || match env.count("POST", "/cancel/") {
        0 => Err(operator.log()),
        _ => Ok(()),
    });
    let (ended, _) = operator.terminate();
    assert!(ended.success(), "{ended}");
    let incident = &env.status("p").incidents[0];
    assert_eq!(incident.sends[0].fate, Some(Fate::Accepted), "{incident:?}");
    let lease = [
        "get",
        "lease",
        "warehouse-sync-operator",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ];
    assert_eq!(env.kubectl(&lease), "", "the Lease is released");
}
