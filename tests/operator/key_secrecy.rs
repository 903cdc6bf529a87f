//! Searches for the API key in everything that the operator writes.

use std::collections::BTreeMap;

use posthog_simulator::{Fault, FaultKind};
use serde_json::json;

use crate::support::{Env, Operator, wait_until};

const CANARY: &str = "phx_canary7f3kQ9zT1mVb2XcLpR8wYs5";
/// The same as in a Secret.
const CANARY_BASE64: &str = "cGh4X2NhbmFyeTdmM2tROXpUMW1WYjJYY0xwUjh3WXM1";

fn assert_not_in(what: &str, text: &str) {
    assert!(!text.is_empty(), "{what} is empty");
    for secret in [CANARY, CANARY_BASE64, "canary7f3k"] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{what} shows the key: {line:?}");
    }
}

fn assert_nowhere(env: &Env, operator: &Operator) {
    let policies = env.kubectl(&["get", "wsp", "-o", "yaml"]);
    assert_not_in("the policy", &policies);
    let events = ["get", "events.events.k8s.io", "-o", "yaml"];
    assert_not_in("an event", &env.kubectl(&events));
    assert_not_in("the log", &operator.log());
    assert_not_in("a metric", &operator.get("/metrics").1);
}

/// PostHog's answers may repeat the key: in an error of a run, in a refusal.
#[test]
fn the_api_key_is_never_shown_even_if_posthog_repeats_it() {
    let env = Env::new(&format!(
        "
keys: [{{token: {CANARY}}}]
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {{name: public.orders, status: Failed, last_run_ago: 30m, latest_error: 'refused: Bearer {CANARY} of {CANARY}, base64 {CANARY_BASE64}'}}
      - {{name: public.hangs, last_synced_ago: 33h, rows: 10, run: {{started_ago: 9h, rows: 5, hangs: {{}}, cancel_takes: 100ms}}, then: {{completes: {{after: 1s}}}}}}
      - {{name: public.users, last_synced_ago: 1h, rows: 10, starts_every: 2s, then: {{starts_after: 100ms, completes: {{after: 200ms, rows: 1}}}}}}
"
    ));
    let operator = env.operator_that_logs_all();
    env.put_key("phx_wrong");
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    env.wait_for_reason("p", "Ready", "KeyRejected");
    env.put_key(CANARY);
    let status = env.wait_for("p", "the repair", |status| {
        status.incidents.is_empty() && !status.history.is_empty()
    });
    assert!(
        status.findings.iter().any(|f| f.schema == "public.orders"),
        "{:#?}",
        status.findings
    );
    assert_nowhere(&env, &operator);

    let echo = json!({"type": "server_error", "code": "error", "detail": format!("no {CANARY}"), "attr": null});
    for (status, reason) in [(401, "KeyRejected"), (500, "PostHogUnavailable")] {
        env.posthog
            .simulator()
            .add_fault(Fault::always(FaultKind::Status {
                status,
                body: Some(echo.clone()),
                headers: BTreeMap::new(),
                after_effect: false,
            }));
        env.wait_for_reason("p", "Ready", reason);
        assert_nowhere(&env, &operator);
        env.posthog.simulator().clear_faults();
        env.wait_for_reason("p", "Ready", "Polled");
    }
    // A key that PostHog does not know must not be shown either.
    env.posthog.simulator().remove_key(CANARY);
    wait_until("the refusal of the key", || {
        let reason = env.status("p").condition("Ready").unwrap().reason.clone();
        if reason == "KeyRejected" {
            Ok(())
        } else {
            Err(reason)
        }
    });
    assert_nowhere(&env, &operator);
}
