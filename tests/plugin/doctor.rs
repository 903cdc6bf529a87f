//! `doctor`.

use serde_json::json;
use warehouse_sync_operator::api::proposal::{Phase, ProposedAction};

use super::support::Env;

/// A Secret as the policy of the tests needs it.
fn secret(env: &Env, labels: &str) {
    env.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: posthog, namespace: {}, labels: {{{labels}}}}}, stringData: {{api-key: phx_demo}}}}",
        env.namespace
    ));
}

#[test]
fn only_the_guard_is_missing_where_all_else_is_well() {
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
fn answers_to_nothing_and_secrets_without_their_label_are_found() {
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
fn a_user_is_told_what_they_may_do() {
    let env = Env::new();
    let ann = env.user("ann", "patch, approve");
    let words = env.plugin_as(&ann, &["doctor"]).words();
    for said in [
        "user ann ok: may annotate policies",
        "may approve and deny proposals as yourself",
        "may not approve on behalf of others",
        // Whoever may not read Secrets is told so, and nothing is called wrong.
        "unknown: cannot read the Secret posthog",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
}

#[test]
fn an_answer_to_what_is_over_is_told_and_is_nothing_wrong() {
    let env = Env::new();
    secret(&env, "warehousesync.dev/use: posthog-api-key");
    let mut proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    env.plugin(&["approve", "prod", &proposal.id]).fine();
    proposal.phase = Phase::Executed;
    env.propose([&proposal]);
    let words = env.plugin(&["doctor"]).words();
    // Only the guard is missing here.
    assert_eq!(words.matches("WRONG").count(), 1, "{words}");
    assert!(
        words.contains("has no effect: its proposal is Executed; it can be removed"),
        "{words}"
    );
}
