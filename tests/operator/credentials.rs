//! A rotated Secret on a real API server: its change is noticed, handed over once, and shown nowhere.

use crate::support::{Env, wait_until};

const ROTATED: &str = "
sources:
  - type: Postgres
    prefix: prod
    job_inputs: {host: db.example.com, user: posthog}
    probe_error: Invalid credentials
    accepts_inputs: {password: canary-right-9}
    schemas:
      - {name: public.orders, status: Failed, last_run_ago: 30m, last_synced_ago: 12h, latest_error: 'password authentication failed for user \"posthog\"', then: {completes: {after: 1s}}}
";
const MAPPING: &str = "mode: Enforce, credentials: [{source: {prefix: prod}, jobInputs: {password: {secretRef: {name: db, key: password}}}}]";

fn put(env: &Env, value: &str) {
    env.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: db}}, stringData: {{password: '{value}'}}}}"
    ))
    .unwrap();
}

fn has_finding(env: &Env, text: &str) {
    env.wait_for("p", text, |status| {
        let mut findings = status.findings.iter();
        findings.any(|f| f.message.contains(text) || f.next_action.contains(text))
    });
}

#[test]
fn a_released_secret_is_handed_over_once_when_it_changes() {
    let env = Env::new(ROTATED);
    put(&env, "canary-wrong-1");
    let operator = env.operator();
    env.apply(&env.policy("p", MAPPING)).unwrap();
    has_finding(&env, "kubectl label secret db --namespace");
    env.kubectl(&[
        "label",
        "secret",
        "db",
        "warehousesync.dev/use=source-credentials",
    ]);
    has_finding(&env, "kubectl annotate secret db --namespace");
    assert_eq!(env.count("PATCH", "/external_data_sources/"), 0);
    env.kubectl(&[
        "annotate",
        "secret",
        "db",
        "warehousesync.dev/project=12345",
    ]);
    has_finding(&env, "PostHog refused it");
    assert_eq!(env.count("PATCH", "/external_data_sources/"), 1);
    put(&env, "canary-right-9");
    env.wait_for("p", "the repair", |status| {
        status.incidents.is_empty() && status.findings.is_empty() && status.summary.is_some()
    });
    assert_eq!(env.count("PATCH", "/external_data_sources/"), 2);
    wait_until("the event", || {
        let reasons = env.event_reasons();
        let told = reasons.iter().any(|reason| reason == "CredentialsApplied");
        if told {
            Ok(())
        } else {
            Err(format!("{reasons:?}"))
        }
    });
    let shown = [
        env.kubectl(&["get", "wsp", "-o", "yaml"]),
        env.kubectl(&["get", "events.events.k8s.io", "-o", "yaml"]),
        operator.log(),
        operator.get("/metrics").1,
    ];
    assert!(
        shown.iter().all(|text| !text.contains("canary-")),
        "{shown:?}"
    );
}

#[test]
fn an_input_that_says_where_is_refused_by_the_api_server() {
    let env = Env::new(ROTATED);
    for input in ["host", "port", "database", "ssh_tunnel.host", "account"] {
        let mapping = MAPPING.replace("password: {secretRef", &format!("{input}: {{secretRef"));
        let refused = env.apply(&env.policy("p", &mapping)).unwrap_err();
        assert!(
            refused.contains("only inputs that identify the user"),
            "{refused}"
        );
    }
    for input in [
        "user",
        "password",
        "auth_method.stripe_secret_key",
        "ssh_tunnel.auth.private_key",
    ] {
        let mapping = MAPPING.replace("password: {secretRef", &format!("{input}: {{secretRef"));
        env.apply(&env.policy("p", &mapping)).unwrap();
    }
}
