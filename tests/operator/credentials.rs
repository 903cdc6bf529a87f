//! A rotated Secret on a real API server: its change is noticed, applied once, and shown nowhere.

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
fn a_changed_secret_is_applied_once() {
    let env = Env::new(ROTATED);
    put(&env, "canary-wrong-1");
    let operator = env.operator_that_logs_all();
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
        "warehousesync.dev/source=prefix=prod",
        "warehousesync.dev/inputs=password",
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
        let reported = reasons.iter().any(|reason| reason == "CredentialsApplied");
        if reported {
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
fn an_input_that_is_not_secret_is_refused_by_the_api_server() {
    let env = Env::new(ROTATED);
    for input in [
        "host",
        "port",
        "database",
        "ssh_tunnel.host",
        "account",
        "user",
        "auth.username",
    ] {
        let mapping = MAPPING.replace("password: {secretRef", &format!("{input}: {{secretRef"));
        let refused = env.apply(&env.policy("p", &mapping)).unwrap_err();
        assert!(refused.contains("only secret inputs"), "{refused}");
    }
    for input in [
        "password",
        "auth_method.stripe_secret_key",
        "ssh_tunnel.auth.private_key",
    ] {
        let mapping = MAPPING.replace("password: {secretRef", &format!("{input}: {{secretRef"));
        env.apply(&env.policy("p", &mapping)).unwrap();
    }
}

#[test]
fn a_webhook_input_that_is_not_secret_is_refused_by_the_api_server() {
    let env = Env::new(ROTATED);
    let mapping = |input: &str| {
        env.apply(&env.policy(
            "p",
            &MAPPING.replace(
                "jobInputs: {password:",
                &format!("webhookInputs: {{{input}:"),
            ),
        ))
    };
    for input in ["bypass_signature_check", "http_auth_user"] {
        let refused = mapping(input).unwrap_err();
        assert!(refused.contains("only secret inputs"), "{refused}");
    }
    for input in [
        "signing_secret",
        "webhook_token",
        "authorization_header",
        "http_auth_password",
    ] {
        mapping(input).unwrap();
    }
}

/// Who edits policies knows that the Secret is there, and may not read it: PostHog would show it as the name of a user.
#[test]
fn a_key_of_another_source_is_not_sent_for_any_input_and_source_of_a_policy() {
    let env = Env::new(&ROTATED.replace(
        "accepts_inputs: {password: canary-right-9}",
        "accepts_inputs: {}",
    ));
    env.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: db, labels: {warehousesync.dev/use: source-credentials}, annotations: \
         {warehousesync.dev/project: '12345', warehousesync.dev/source: 'type=Stripe,prefix=shop', \
         warehousesync.dev/inputs: auth_method.stripe_secret_key}}, stringData: {password: rk_live_canary}}",
    )
    .unwrap();
    let _operator = env.operator();
    let as_user = MAPPING.replace("jobInputs: {password:", "jobInputs: {user:");
    let refused = env.apply(&env.policy("p", &as_user)).unwrap_err();
    assert!(refused.contains("only secret inputs"), "{refused}");
    for input in ["password", "auth_method.stripe_secret_key"] {
        let mapping = MAPPING.replace("jobInputs: {password:", &format!("jobInputs: {{{input}:"));
        env.apply(&env.policy("p", &mapping)).unwrap();
        has_finding(
            &env,
            "is not annotated for the source prefix=prod of project 12345",
        );
        has_finding(&env, &format!("warehousesync.dev/inputs={input}"));
    }
    assert_eq!(env.count("PATCH", "/external_data_sources/"), 0);
}
