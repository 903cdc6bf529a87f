//! The operator works with the rights, arguments and environment of the chart. A missing right is a refusal in the API
//! server's audit log; an unused right does not appear there.

use std::collections::BTreeSet;

use control_plane::{ControlPlane, Settings};
use serde_json::Value;

use crate::{
    deployed::start,
    helm::{HOME, NAME, Release},
    stuck_run::{STUCK, assert_one_cancel_and_one_reload, wait_until_recovered},
    support::{Env, Plane, wait_until},
};

/// The user name of the release's account.
const ACCOUNT: &str = "system:serviceaccount:ops:wso-warehouse-sync-operator";

/// A granted or used right: empty means any namespace, or any name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    namespace: String,
    group: String,
    resource: String,
    name: String,
    verb: String,
}

impl Right {
    fn covers(&self, used: &Self) -> bool {
        let Self {
            namespace,
            group,
            resource,
            name,
            verb,
        } = self;
        (namespace.is_empty() || *namespace == used.namespace)
            && (name.is_empty() || *name == used.name)
            && (group, resource, verb) == (&used.group, &used.resource, &used.verb)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn get(plane: &ControlPlane, kind: &str) -> Vec<Value> {
    let list = plane.kubectl(["get", kind, "-A", "-o", "json"]).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// The rules of a binding's role.
fn rules(plane: &ControlPlane, binding: &Value) -> Vec<Value> {
    let (kind, name) = (
        text(&binding["roleRef"]["kind"]),
        text(&binding["roleRef"]["name"]),
    );
    let namespace = text(&binding["metadata"]["namespace"]);
    let mut args = vec!["get", &kind, &name, "-o", "json"];
    if kind == "Role" {
        args.extend(["-n", &namespace]);
    }
    let role: Value = serde_json::from_str(&plane.kubectl(args).unwrap()).unwrap();
    role["rules"].as_array().unwrap().clone()
}

/// Everything that RBAC grants to the account by name.
fn granted(plane: &ControlPlane) -> BTreeSet<Right> {
    let mut granted = BTreeSet::new();
    let bindings = [
        get(plane, "rolebindings"),
        get(plane, "clusterrolebindings"),
    ]
    .concat();
    let to_account = |binding: &&Value| {
        let mut subjects = binding["subjects"].as_array().into_iter().flatten();
        subjects.any(|subject| subject["name"] == NAME && subject["namespace"] == HOME)
    };
    for binding in bindings.iter().filter(to_account) {
        let namespace = text(&binding["metadata"]["namespace"]);
        for rule in rules(plane, binding) {
            let names = match texts(&rule["resourceNames"]) {
                all if all.is_empty() => vec![String::new()],
                names => names,
            };
            for (group, resource, name, verb) in product(&rule, &names) {
                let namespace = namespace.clone();
                granted.insert(Right {
                    namespace,
                    group,
                    resource,
                    name,
                    verb,
                });
            }
        }
    }
    granted
}

/// Each combination of a rule.
fn product(rule: &Value, names: &[String]) -> Vec<(String, String, String, String)> {
    let mut all = Vec::new();
    for group in texts(&rule["apiGroups"]) {
        for resource in texts(&rule["resources"]) {
            for name in names {
                for verb in texts(&rule["verbs"]) {
                    all.push((group.clone(), resource.clone(), name.clone(), verb));
                }
            }
        }
    }
    all
}

/// The account's requests, and whether they were refused.
fn asked(plane: &ControlPlane) -> BTreeSet<(Right, bool)> {
    let log = plane.audit_log().unwrap();
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events = events.filter(|event| event["user"]["username"] == ACCOUNT);
    events
        .map(|event| {
            let object = &event["objectRef"];
            let (resource, subresource) = (text(&object["resource"]), text(&object["subresource"]));
            let slash = if subresource.is_empty() { "" } else { "/" };
            let right = Right {
                namespace: text(&object["namespace"]),
                group: text(&object["apiGroup"]),
                resource: format!("{resource}{slash}{subresource}"),
                name: text(&object["name"]),
                verb: text(&event["verb"]),
            };
            (right, event["responseStatus"]["code"] == 403)
        })
        .collect()
}

/// An API server with a release that has these values, and a namespace with a policy's Secret.
fn env(feature_gates: Option<&str>, values: impl Fn(&str) -> String) -> Env {
    let settings = Settings {
        audited_user: Some(ACCOUNT),
        feature_gates,
    };
    let plane = ControlPlane::start_with(settings).unwrap_or_else(|error| panic!("{error}"));
    let env = Env::on(Plane::Own(Box::new(plane)), STUCK);
    Release::new(&env.plane).install(&[&values(&env.namespace)]);
    env
}

/// A stuck run is repaired, and a key is refused twice, which is one event with a count.
fn do_the_job(env: &Env) {
    let operator = start(&env.plane, HOME, NAME);
    wait_until("readiness", || match operator.get("/readyz") {
        (200, _) => Ok(()),
        (_, body) => Err(body),
    });
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    wait_until_recovered(env);
    assert_one_cancel_and_one_reload(env);
    env.wait_for_reason("p", "ApprovalGuardActive", "GuardActive");
    for (key, reason) in [
        ("wrong", "KeyRejected"),
        ("demo", "Polled"),
        ("wrong", "KeyRejected"),
    ] {
        env.put_key(&format!("phx_{key}"));
        env.wait_for_reason("p", "Ready", reason);
    }
    wait_until("an event that is counted", || {
        assert_nothing_refused(&env.plane);
        let counts = env.kubectl(&[
            "get",
            "events.events.k8s.io",
            "-o",
            "jsonpath={.items[*].series.count}",
        ]);
        if counts.is_empty() {
            Err(operator.log())
        } else {
            Ok(())
        }
    });
    let (ended, _) = operator.terminate();
    assert!(ended.success(), "{ended}");
    assert_nothing_refused(&env.plane);
}

/// Asserts that every request was granted.
fn assert_nothing_refused(plane: &ControlPlane) {
    let refused: Vec<_> = asked(plane)
        .into_iter()
        .filter(|(_, refused)| *refused)
        .collect();
    assert!(
        refused.is_empty(),
        "the chart grants too little: {refused:#?}"
    );
}

/// Asserts that every granted right, except these, was used.
fn assert_nothing_superfluous(env: &Env, needed_elsewhere: &[(&str, &str)]) {
    let granted = granted(&env.plane);
    assert!(!granted.is_empty());
    // A line of the audit log appears a little after the answer.
    wait_until("the use of every right", || {
        let asked = asked(&env.plane);
        let is_unused = |right: &&Right| !asked.iter().any(|(used, _)| right.covers(used));
        let elsewhere =
            |right: &&Right| !needed_elsewhere.contains(&(&*right.resource, &*right.verb));
        let unused: Vec<_> = granted.iter().filter(is_unused).filter(elsewhere).collect();
        if unused.is_empty() {
            Ok(())
        } else {
            Err(format!("the chart grants too much: {unused:#?}"))
        }
    });
}

#[test]
fn with_the_rights_in_listed_namespaces_the_operator_does_its_job_and_none_is_superfluous() {
    let env = env(None, |namespace| {
        format!("namespaces={{{namespace}}},log.filter=info")
    });
    do_the_job(&env);
    // The test below covers API servers that do not stream first lists.
    assert_nothing_superfluous(&env, &[("secrets", "list")]);
}

/// Kubernetes 1.30, 1.31 and 1.33 do not stream lists by default.
#[test]
fn with_cluster_wide_rights_and_an_api_server_that_streams_no_lists_it_does_its_job_and_none_is_superfluous()
 {
    let env = env(Some("WatchList=false"), |_| {
        "clusterWide=true,log.filter=debug".to_owned()
    });
    do_the_job(&env);
    assert_nothing_superfluous(&env, &[]);
}
