//! A user's mistake is shown in the conditions with its fix, and the fix is noticed.

use posthog_simulator::KeySpec;
use serde_json::{Value, json};
use warehouse_sync_operator::api::WarehouseSyncPolicyStatus;

use crate::support::Env;

/// One healthy table, and one key.
const HEALTHY: &str = "
sources:
  - {type: Postgres, prefix: prod, schemas: [{name: public.users, last_synced_ago: 1h, rows: 10}]}
";

/// A policy that polls once a day: anything that it notices sooner comes from a watch.
fn daily(env: &Env) -> String {
    env.policy("p", "").replace("interval: 5s", "interval: 24h")
}

fn put_secret(env: &Env, labels: &Value, data: &Value) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "posthog", "labels": labels}, "stringData": data,
    });
    env.apply(&secret.to_string()).unwrap();
}

fn labelled() -> Value {
    json!({"warehousesync.dev/use": "posthog-api-key"})
}

fn assert_of_this_generation(env: &Env, status: &WarehouseSyncPolicyStatus) {
    let generation = env.kubectl(&["get", "wsp", "p", "-o", "jsonpath={.metadata.generation}"]);
    let generation = Some(generation.parse().unwrap());
    assert_eq!(status.observed_generation, generation);
    assert_eq!(status.conditions.len(), 7);
    for condition in &status.conditions {
        assert_eq!(condition.observed_generation, generation, "{condition:?}");
        assert!(!condition.message.is_empty(), "{condition:?}");
    }
}

/// Waits until the policy cannot be observed for this reason. `next_step` must be in the message.
fn not_ready(env: &Env, reason: &str, stalled: &str, next_step: &str) -> String {
    let status = env.wait_for_reason("p", "Ready", reason);
    assert_of_this_generation(env, &status);
    let condition = |type_| status.condition(type_).unwrap();
    assert_eq!(condition("Ready").status, "False");
    assert_eq!(condition("Stalled").status, stalled);
    assert_eq!(condition("Healthy").status, "Unknown");
    let message = condition("Ready").message.clone();
    assert!(
        message.contains(next_step),
        "{next_step:?} is missing in {message}"
    );
    message
}

fn recovered(env: &Env) {
    env.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", "wsp/p"]);
    let status = env.status("p");
    assert_of_this_generation(env, &status);
    assert_eq!(status.condition("Ready").unwrap().reason, "Polled");
    assert_eq!(status.condition("Stalled").unwrap().status, "False");
}

#[test]
fn a_wrong_key_is_reported_and_a_right_one_is_noticed_at_once() {
    let env = Env::new(HEALTHY);
    env.put_key("phx_wrong");
    let _operator = env.operator();
    env.apply(&daily(&env)).unwrap();
    not_ready(
        &env,
        "KeyRejected",
        "True",
        "Put a valid personal API key of PostHog into key api-key of Secret posthog",
    );
    env.put_key("phx_demo");
    recovered(&env);
}

#[test]
fn a_missing_secret_is_reported_and_noticed_once_it_is_created() {
    let env = Env::new(HEALTHY);
    env.kubectl(&["delete", "secret", "posthog"]);
    let _operator = env.operator();
    env.apply(&daily(&env)).unwrap();
    let said = not_ready(
        &env,
        "SecretMissing",
        "True",
        "create it with a personal API key",
    );
    assert!(
        said.contains("\"api-key\"") && said.contains("warehousesync.dev/use=posthog-api-key"),
        "{said}"
    );
    env.put_key("phx_demo");
    recovered(&env);
    env.kubectl(&["delete", "secret", "posthog"]);
    not_ready(&env, "SecretMissing", "True", "create it");
}

/// To the API server, what follows `?` is no part of the name. In a command that people paste, it is.
#[test]
fn a_name_that_no_secret_can_have_leads_to_no_secret_and_no_command() {
    let env = Env::new(HEALTHY);
    let _operator = env.operator();
    for name in ["posthog?x=$(id)", "../secrets/posthog", "posthog/"] {
        env.kubectl(&["label", "secret", "posthog", "warehousesync.dev/use-"]);
        let named = daily(&env).replace("{name: posthog,", &format!("{{name: '{name}',"));
        env.apply(&named).unwrap();
        let said = not_ready(&env, "SecretMissing", "True", "There is no Secret");
        assert!(!said.contains("kubectl"), "{said}");
        env.put_key("phx_demo");
        env.apply(&daily(&env)).unwrap();
        recovered(&env);
    }
}

#[test]
fn a_secret_without_the_label_gets_it_from_the_command_in_the_message() {
    let env = Env::new(HEALTHY);
    env.kubectl(&["delete", "secret", "posthog"]);
    put_secret(&env, &json!({}), &json!({"api-key": "phx_demo"}));
    let _operator = env.operator();
    env.apply(&daily(&env)).unwrap();
    let said = not_ready(
        &env,
        "SecretNotLabelled",
        "True",
        "kubectl label secret posthog",
    );
    assert!(
        env.posthog.simulator().requests().is_empty(),
        "a key that was not labelled has been used"
    );
    let command = said.split("kubectl ").nth(1).unwrap();
    env.plane.kubectl(command.split_whitespace()).unwrap();
    recovered(&env);

    let label = |label| env.kubectl(&["label", "secret", "posthog", "--overwrite", label]);
    label("warehousesync.dev/use=notification");
    not_ready(&env, "SecretNotLabelled", "True", "--overwrite");
    label("warehousesync.dev/use=posthog-api-key");
    recovered(&env);
    label("warehousesync.dev/use-");
    not_ready(&env, "SecretNotLabelled", "True", "kubectl label");
}

#[test]
fn a_secret_without_the_named_key_is_reported() {
    let env = Env::new(HEALTHY);
    env.kubectl(&["delete", "secret", "posthog"]);
    put_secret(&env, &labelled(), &json!({"token": "phx_demo"}));
    let _operator = env.operator();
    env.apply(&daily(&env)).unwrap();
    let said = not_ready(
        &env,
        "SecretKeyMissing",
        "True",
        "spec.posthog.apiKeySecretRef.key",
    );
    assert!(said.contains("\"api-key\""), "{said}");
    env.put_key("phx_demo");
    recovered(&env);
}

#[test]
fn an_invalid_api_key_is_reported_but_a_trailing_newline_is_accepted() {
    let env = Env::new(HEALTHY);
    env.put_key("");
    let _operator = env.operator();
    env.apply(&daily(&env)).unwrap();
    not_ready(&env, "SecretInvalid", "True", "Put a personal API key");
    put_secret(&env, &labelled(), &json!({"api-key": "phx_demo\n"}));
    recovered(&env);
    put_secret(&env, &labelled(), &json!({"api-key": "phx_de\nmo"}));
    let said = not_ready(&env, "SecretInvalid", "True", "Put a personal API key");
    assert!(!said.contains("phx_de"), "{said}");
    put_secret(&env, &labelled(), &json!({"api-key": "phx_demo\r\n"}));
    recovered(&env);
}

#[test]
fn an_unreachable_host_is_reported_and_noticed_once_it_is_back() {
    let mut env = Env::new(HEALTHY);
    env.posthog.stop();
    let _operator = env.operator();
    env.apply(&env.policy("p", "")).unwrap();
    not_ready(
        &env,
        "HostUnreachable",
        "False",
        &format!("Check that the operator can reach {}", env.posthog.url()),
    );
    env.posthog.restart().unwrap();
    recovered(&env);
}

#[test]
fn a_key_for_another_project_is_reported() {
    let env = Env::new(&format!(
        "keys: [{{token: phx_demo, projects: [99]}}]\nother_projects: [99]{HEALTHY}"
    ));
    let _operator = env.operator();
    env.apply(&env.policy("p", "")).unwrap();
    not_ready(
        &env,
        "ProjectForbidden",
        "True",
        "Give the API key access to project 12345",
    );
    env.posthog.simulator().put_key(KeySpec::default());
    recovered(&env);
}

#[test]
fn an_unknown_project_is_reported() {
    let env = Env::new(HEALTHY);
    let _operator = env.operator();
    env.apply(&env.policy("p", "").replace("12345", "777"))
        .unwrap();
    not_ready(&env, "ProjectNotFound", "True", "spec.posthog.projectId");
    // It is immutable, and a new policy of the same name must not inherit anything.
    env.kubectl(&["delete", "wsp", "p"]);
    env.apply(&env.policy("p", "")).unwrap();
    recovered(&env);
}

#[test]
fn a_key_without_the_read_scope_is_reported() {
    let env = Env::new(&format!(
        "keys: [{{token: phx_demo, scopes: ['insight:read']}}]{HEALTHY}"
    ));
    let _operator = env.operator();
    env.apply(&env.policy("p", "")).unwrap();
    not_ready(
        &env,
        "KeyLacksReadScope",
        "True",
        "Add the scope external_data_source:read to the API key",
    );
    env.posthog.simulator().put_key(KeySpec::default());
    recovered(&env);
}

#[test]
fn a_key_without_the_write_scope_is_reported_before_anything_is_stuck() {
    let env = Env::new(&format!(
        "keys: [{{token: phx_demo, scopes: ['external_data_source:read']}}]{HEALTHY}"
    ));
    let _operator = env.operator();
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    let status = env.wait_for_reason("p", "RemediationAllowed", "KeyLacksWriteScope");
    assert_of_this_generation(&env, &status);
    let reported = status.condition("RemediationAllowed").unwrap();
    assert_eq!(reported.status, "False");
    assert!(
        reported
            .message
            .contains("add it to the key in PostHog, or put a key that has it into the Secret"),
        "{}",
        reported.message
    );
    assert_eq!(status.condition("Ready").unwrap().status, "True");
    env.posthog.simulator().put_key(KeySpec::default());
    let allowed = [
        "wait",
        "--for=condition=RemediationAllowed",
        "--timeout=60s",
        "wsp/p",
    ];
    env.kubectl(&allowed);
    recovered(&env);
}

#[test]
fn a_host_that_is_not_on_the_list_gets_no_request() {
    let env = Env::new(HEALTHY);
    let operator = env.operator_with(&[]);
    let elsewhere = env
        .policy("p", "")
        .replace(&env.posthog.url(), "https://posthog.example.org")
        .replace("2s, noProgressFor: 2s, loadingSilentFor: 4s", "6h");
    env.apply(&elsewhere).unwrap();
    not_ready(
        &env,
        "HostNotAllowed",
        "True",
        "--allowed-host=posthog.example.org",
    );
    // Not killed: the next operator would have to wait until the claim expires.
    operator.terminate();
    let _operator = env.operator_with(&["--allowed-host=posthog.example.org"]);
    env.wait_for_reason("p", "Ready", "HostUnreachable");
}

#[test]
fn http_on_loopback_needs_a_flag() {
    let env = Env::new(HEALTHY);
    let operator = env.operator_with(&[]);
    env.apply(&daily(&env)).unwrap();
    not_ready(&env, "HostNotAllowed", "True", "--allow-http-loopback");
    assert!(env.posthog.simulator().requests().is_empty());
    operator.terminate();
    let _operator = env.operator();
    recovered(&env);
}
