//! `doctor`.

use std::net::SocketAddr;

use control_plane::ControlPlane;
use serde_json::json;
use warehouse_sync_operator::api::proposal::{Phase, ProposedAction};

use super::support::{Env, install_crd, serve};

/// The Secret that the policy of the tests needs.
fn secret(env: &Env, labels: &str) {
    env.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: posthog, namespace: {}, labels: {{{labels}}}}}, stringData: {{api-key: phx_demo}}}}",
        env.namespace
    ));
}

/// A pod of the operator, which serves there.
fn pod(env: &Env, name: &str, at: SocketAddr) {
    env.apply(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": env.namespace,
            "labels": {"app.kubernetes.io/name": "warehouse-sync-operator"},
        },
        "spec": {"containers": [{
            "name": "operator", "image": "none", "ports": [{"name": "metrics", "containerPort": at.port()}],
        }]},
    }).to_string());
    let ip = at.ip().to_string();
    let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}});
    env.kubectl(&[
        "patch",
        "pod",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status.to_string(),
    ]);
}

#[test]
fn what_a_pod_of_the_operator_waits_for_is_shown() {
    let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start().unwrap()));
    install_crd(plane);
    let env = Env::on(plane);
    let words = env.plugin(&["doctor"]).words();
    assert!(
        words.contains("unknown: no pod of the operator was found"),
        "{words}"
    );
    let pending = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
                   pending: the operator may not list policies in team-a (403)\n";
    let ready = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nok\n";
    pod(&env, "waits", serve(pending));
    pod(&env, "works", serve(ready));
    let ran = env.plugin(&["doctor"]);
    assert_eq!(ran.code, 1);
    let words = ran.words();
    for said in [
        "waits WRONG: not ready; pending: the operator may not list policies in team-a (403)",
        "works ok: ready",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
}

#[test]
fn without_admission_policies_only_they_are_reported() {
    let env = Env::new();
    secret(&env, "warehousesync.dev/use: posthog-api-key");
    let proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    env.plugin(&["approve", "prod", &proposal.id]).fine();
    let ran = env.plugin(&["doctor"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let words = ran.words();
    assert_eq!(words.matches("WRONG").count(), 1, "{words}");
    assert!(
        words.contains("ValidatingAdmissionPolicy warehousesync-approvals")
            && words.contains("kubectl apply -f deploy/admission.yaml"),
        "{words}"
    );
    assert!(
        words.contains("ok: Secret posthog has the label for its use"),
        "{words}"
    );
    assert!(
        words.contains(
            "unknown: the operator has not reported whether the admission policies are in effect"
        ),
        "{words}"
    );
    assert!(!words.contains("has no effect"), "{words}");
}

#[test]
fn answers_to_unknown_proposals_and_secrets_without_their_label_are_found() {
    let env = Env::new();
    secret(&env, "");
    env.kubectl(&[
        "annotate",
        "wsp",
        "prod",
        "deny.warehousesync.dev/rs-gone=no",
    ]);
    env.put_status(&json!({"conditions": [{
        "type": "ApprovalGuardActive", "status": "False", "reason": "Missing", "message": "no binding",
        "lastTransitionTime": "2026-11-23T06:00:00Z",
    }]}));
    let ran = env.plugin(&["doctor", "prod"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let words = ran.words();
    for said in [
        "WRONG: the annotation deny.warehousesync.dev/rs-gone has no effect",
        "WRONG: ApprovalGuardActive is False: no binding",
        "kubectl label secret posthog",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
}

#[test]
fn doctor_shows_the_rights_of_the_user() {
    let env = Env::new();
    let ann = env.user("ann", "patch, approve");
    let words = env.plugin_as(&ann, &["doctor"]).words();
    for said in [
        "user ann ok: may annotate policies",
        "may approve and deny proposals as yourself",
        "may not approve on behalf of others",
        // A user who may not read Secrets gets "unknown", not "WRONG".
        "unknown: cannot read the Secret posthog",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
}

#[test]
fn an_answer_to_a_proposal_that_has_ended_is_reported_but_not_wrong() {
    let env = Env::new();
    secret(&env, "warehousesync.dev/use: posthog-api-key");
    let mut proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    env.plugin(&["approve", "prod", &proposal.id]).fine();
    proposal.phase = Phase::Executed;
    env.propose([&proposal]);
    let words = env.plugin(&["doctor"]).words();
    // Only the admission policies are missing here.
    assert_eq!(words.matches("WRONG").count(), 1, "{words}");
    assert!(
        words.contains("has no effect: its proposal is Executed; it can be removed"),
        "{words}"
    );
}
