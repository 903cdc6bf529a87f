//! What the page shows, about which objects and to which users.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use control_plane::ControlPlane;
use serde_json::{Value, json};
use warehouse_sync_operator::api::proposal::ProposedAction;

use super::{
    page::Page,
    support::{Env, install_crd, wait_until},
};

/// A finding about the table `number`.
pub fn finding(number: usize, severity: &str) -> Value {
    json!({
        "source": "Postgres prod", "sourceId": "s", "schema": format!("public.table_{number}"), "schemaId": format!("t{number}"),
        "cause": "Stuck", "severity": severity, "confidence": "High", "message": format!("Run {number} has been stuck for 9 hours"),
        "rule": "status/stuck", "evidence": [format!("job {number} began 9 hours ago")], "advice": "Wait for the reload.",
        "nextAction": "Held: cancel the run, then reload. Reason: outside of every window (guard Window).",
    })
}

/// A status that was reported now, with this condition Healthy and these findings.
pub fn status(healthy: &str, reason: &str, findings: &[Value]) -> Value {
    let now = jiff::Timestamp::now();
    let condition = |type_: &str, status: &str, reason: &str| json!({"type": type_, "status": status, "reason": reason, "message": format!("{reason}."), "lastTransitionTime": now.to_string(), "observedGeneration": 1});
    json!({
        "observedGeneration": 1, "lastCheckedAt": now.to_string(), "findings": findings,
        "conditions": [condition("Ready", "True", "Polled"), condition("Healthy", healthy, reason)],
        "summary": {"healthyOf": "117/120", "sources": {"total": 1}, "schemas": {"total": 120, "stuck": 3}, "pendingApproval": 0},
    })
}

/// Writes the status of a policy, which exists afterwards.
pub fn put(env: &Env, name: &str, status: &Value) {
    env.apply(&env.policy(name));
    let patch = json!({ "status": status }).to_string();
    env.kubectl(&[
        "patch",
        "wsp",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ]);
}

#[test]
fn policies_are_listed_worst_first_with_what_is_wrong() {
    let env = Env::new();
    put(&env, "fine", &status("True", "AllHealthy", &[]));
    let findings = [finding(1, "Error"), finding(2, "Warning")];
    put(&env, "sick", &status("False", "SyncsUnhealthy", &findings));
    let page = Page::of(&env);
    let html = page
        .open()
        .wait_for("/", &["/fine</bdi>", "/sick</bdi>", "/prod</bdi>"]);
    let place = |name: &str| html.find(&format!("/{name}</bdi>")).unwrap();
    // `prod` has no status: Unknown, which is worse than Healthy.
    assert!(
        place("sick") < place("prod") && place("prod") < place("fine"),
        "{html}"
    );
    for shown in [
        "3 policies: 1 unhealthy, 1 unknown, 1 healthy. 0 proposals wait for approval.",
        "Postgres prod public.table_1</bdi>: Stuck",
        "Run 1 has been stuck for 9 hours",
        "and 1 more",
        "117/120",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
}

#[test]
fn the_page_of_a_policy_shows_findings_guards_and_what_happened() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::Resync, "orders");
    let mut status = status("False", "SyncsUnhealthy", &[finding(1, "Error")]);
    status["proposals"] = json!([proposal]);
    status["findingsTruncated"] = json!(950);
    status["history"] = json!([{"at": "2026-11-23T06:00:00Z", "what": "public.users: recovered"}]);
    status["incidents"] = json!([{
        "source": "Postgres prod", "sourceId": "s", "schema": "public.table_1", "schemaId": "t1", "cause": "Stuck",
        "step": "WaitNewJob", "attempt": 1, "openedAt": "2026-11-23T06:00:00Z", "stepSince": "2026-11-23T06:05:00Z",
        "sends": [{"call": "Cancel", "startedAt": "2026-11-23T06:01:00Z", "fate": "Accepted", "httpStatus": 200},
            {"call": "Reload", "startedAt": "2026-11-23T06:05:00Z"}],
    }]);
    put(&env, "prod", &status);
    let page = Page::of(&env);
    let html = page.open().wait_for(
        &format!("/policies/{}/prod", env.namespace),
        &[&proposal.id],
    );
    for shown in [
        "<bdi>Postgres prod public.table_1</bdi>: Stuck",
        "job 1 began 9 hours ago",
        "Wait for the reload.",
        "outside of every window (guard Window)",
        "<span class=\"badge quiet\">Window</span>",
        "950 more findings do not fit into the status.",
        "Resync of <bdi>orders</bdi>",
        "wipe orders and import it again",
        "PostHog deletes all 1200 rows when the new run begins.",
        "2026-11-23 06:01 UTC: Cancel, accepted",
        "2026-11-23 06:05 UTC: Reload, outcome unknown",
        "public.users: recovered",
        "<rect class=\"bar open\"",
        "<circle class=\"mark accepted\"",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
}

#[test]
fn a_policy_that_cannot_be_read_does_not_hide_the_others() {
    // The API server accepts what a later version of the CRD allows.
    let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
    install_crd(&plane);
    let env = Env::on(Box::leak(Box::new(plane)));
    put(
        &env,
        "sick",
        &status("False", "SyncsUnhealthy", &[finding(1, "Error")]),
    );
    let open = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": {
        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
    }}]);
    env.plane
        .kubectl([
            "patch",
            "crd",
            "warehousesyncpolicies.warehousesync.dev",
            "--type=json",
            "-p",
            &open.to_string(),
        ])
        .unwrap();
    wait_until("the CRD to accept another mode", || {
        let patch = r#"{"spec":{"mode":"Later"}}"#;
        let args = [
            "patch",
            "wsp",
            "prod",
            "--namespace",
            &env.namespace,
            "--type=merge",
            "-p",
            patch,
        ];
        env.plane.kubectl(args).map_err(|error| error.to_string())
    });
    let page = Page::of(&env);
    let browser = page.open();
    let html = browser.wait_for("/", &["/sick</bdi>", "/prod</bdi>"]);
    assert!(html.contains("this policy cannot be read"), "{html}");
    assert!(html.contains("1 unknown, 1 unhealthy"), "{html}");
    let html = browser
        .get(&format!("/policies/{}/prod", env.namespace))
        .body;
    assert!(html.contains("this policy cannot be read"), "{html}");

    // The same API server goes away, and comes back.
    env.plane.stop_apiserver();
    let lost = browser.wait_for(
        "/",
        &[
            "Not up to date since",
            "Cannot read the policies of namespace",
        ],
    );
    assert!(
        lost.contains("Run 1 has been stuck"),
        "what was known stays: {lost}"
    );
    let path = format!("/policies/{}/sick", env.namespace);
    let policy = browser.get(&path).body;
    assert!(
        policy.contains("Not up to date since") && policy.contains("disabled"),
        "{policy}"
    );
    let refused = browser.post(&path, &[("do", "suspend")]);
    assert_eq!(refused.status, 409);
    assert!(
        refused.body.contains("Cannot read the policy sick"),
        "{}",
        refused.body
    );
    env.plane.start_apiserver().unwrap();
    wait_until("the page to continue", || {
        let html = browser.get("/").body;
        if html.contains("Not up to date since") {
            Err(html)
        } else {
            Ok(())
        }
    });
}

#[test]
fn nothing_is_healthy_while_the_credentials_are_not_valid() {
    let env = Env::new();
    put(&env, "prod", &status("True", "AllHealthy", &[]));
    let kubeconfig = env
        .plane
        .service_account_kubeconfig(&env.namespace, "person")
        .unwrap();
    let namespace = &env.namespace;
    env.apply(&format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: person, namespace: {namespace}}}
rules:
  - {{apiGroups: [warehousesync.dev], resources: [warehousesyncpolicies], verbs: [get, list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: person, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: person}}
subjects: [{{kind: ServiceAccount, name: person, namespace: {namespace}}}]
"
    ));
    let page = Page::start(&kubeconfig, &[]);
    let browser = page.open();
    browser.wait_for(
        "/",
        &["1 policy: 1 healthy", &format!("Namespace {namespace}")],
    );
    env.kubectl(&["delete", "serviceaccount", "person"]);
    let html = browser.wait_for(
        "/",
        &["Not up to date since", "Log in to the cluster again"],
    );
    assert!(
        html.contains("1 policy: 1 unknown") && !html.contains("Healthy</span>"),
        "{html}"
    );
}

#[test]
fn a_change_is_announced_to_the_browser() {
    let env = Env::new();
    let page = Page::of(&env);
    let browser = page.open();
    browser.wait_for("/", &["/prod</bdi>"]);
    let mut stream = TcpStream::connect(("127.0.0.1", page.port)).unwrap();
    write!(
        stream,
        "GET {} HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\n\r\n",
        page.at("/changes"),
        page.host(),
        browser.cookie
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut version = || {
        let line = lines.find(|line| line.starts_with("data: ")).unwrap();
        line.trim_start_matches("data: ").parse::<u64>().unwrap()
    };
    let first = version();
    put(&env, "prod", &status("True", "AllHealthy", &[]));
    assert!(version() > first);
    let html = browser.wait_for("/", &["1 policy: 1 healthy"]);
    assert!(html.contains("<body data-version="), "{html}");
}
