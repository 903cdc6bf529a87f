//! What kubectl and metrics show of a project with failures.

use serde_json::Value;
use warehouse_sync_operator::api::{
    conditions::HEALTHY,
    status::{Action, Confidence, RootCause, Severity},
};

use crate::support::{Env, wait_until};

/// A source whose password was changed, a table that is stale, a webhook that the vendor switched off, and healthy tables.
const TROUBLE: &str = "
sources:
  - type: Postgres
    prefix: dead
    schemas:
      - {name: a, status: Failed, last_synced_ago: 30h, last_run_ago: 5h, latest_error: 'FATAL: password authentication failed for user \"app\" with key sk_live_51Habcdefgh'}
      - {name: b, status: Failed, last_synced_ago: 30h, last_run_ago: 6h, latest_error: 'The database rejected the username or password. Check the user and password configured for this source, then re-enable the sync.'}
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 1h, rows: 10}
      - {name: public.slow, frequency: 1hour, last_synced_ago: 50h, rows: 10}
  - type: Stripe
    webhook: {supports_webhooks: true, exists: true, hog_function: {enabled: true}, external_status: {exists: true, status: disabled, error: null}, missing_events: []}
    schemas:
      - {name: Charge, sync_type: webhook, last_synced_ago: 1h, rows: 9}
";

#[test]
fn causes_are_shown_in_status_conditions_events_and_metrics_but_no_secret_is() {
    let env = Env::new(TROUBLE);
    let operator = env.operator();
    env.apply(&env.policy("p", "")).unwrap();
    let status = env.wait_for("p", "three findings", |status| status.findings.len() == 3);
    let reported: Vec<_> = status
        .findings
        .iter()
        .map(|finding| {
            (
                finding.title(),
                finding.cause,
                finding.severity,
                finding.action,
            )
        })
        .collect();
    assert_eq!(
        reported,
        [
            (
                "Postgres dead".to_owned(),
                RootCause::CredentialsInvalid,
                Severity::Error,
                Some(Action::ApplyCredentials)
            ),
            (
                "Postgres prod public.slow".to_owned(),
                RootCause::Stale,
                Severity::Error,
                Some(Action::Reload)
            ),
            (
                "Stripe".to_owned(),
                RootCause::WebhookBroken,
                Severity::Error,
                // In addition to the vendor's dashboard, where it can be switched on again.
                Some(Action::ReregisterWebhook)
            ),
        ]
    );
    let dead = &status.findings[0];
    assert_eq!(dead.affected.as_ref().unwrap().schemas, ["a", "b"]);
    assert_eq!(dead.confidence, Confidence::High);
    assert!(!dead.rule.is_empty() && !dead.advice.is_empty() && !dead.evidence.is_empty());
    let healthy = status.condition(HEALTHY).unwrap();
    assert_eq!(healthy.status, "False");
    assert!(
        healthy.message.starts_with("Postgres dead: "),
        "{}",
        healthy.message
    );

    let (_, metrics) = operator.get("/metrics");
    for line in [
        r#"warehouse_sync_findings{cause="CredentialsInvalid",severity="Error"} 1"#,
        r#"warehouse_sync_schemas{verdict="failing"} 2"#,
        r#"warehouse_sync_schemas{verdict="stale"} 1"#,
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    wait_until("an event for each finding", || {
        let opened = env
            .event_reasons()
            .iter()
            .filter(|reason| *reason == "FindingOpened")
            .count();
        (opened == 3).then_some(()).ok_or(format!("{opened} of 3"))
    });
    let shown = [
        env.kubectl(&["get", "wsp", "p", "-o", "yaml"]),
        env.kubectl(&["describe", "wsp", "p"]),
        operator.log(),
    ];
    assert!(
        shown.iter().all(|text| !text.contains("51Habcdefgh")),
        "{}",
        shown[0]
    );
    assert!(
        shown[1].contains("CredentialsInvalid") && shown[1].contains("Affected"),
        "{}",
        shown[1]
    );

    env.kubectl(&["delete", "wsp", "p"]);
    wait_until("the findings to leave the metrics", || {
        let (_, metrics) = operator.get("/metrics");
        let gone = !metrics.contains("warehouse_sync_findings{");
        gone.then_some(()).ok_or(metrics)
    });
}

#[test]
fn no_finding_remains_of_a_fixed_source() {
    let env = Env::new(TROUBLE);
    let _operator = env.operator();
    env.apply(&env.policy("p", "selector: {sources: {prefixes: [dead]}}"))
        .unwrap();
    env.wait_for("p", "the finding", |status| status.findings.len() == 1);
    for name in ["a", "b"] {
        let mut posthog = env.posthog.simulator();
        let id = posthog.schema_id(name).unwrap();
        posthog.start_run(&id).unwrap();
    }
    env.wait_for("p", "health", |status| {
        status.findings.is_empty()
            && status
                .condition(HEALTHY)
                .is_some_and(|healthy| healthy.status == "True")
    });
}

#[test]
fn kubectl_explains_the_fields_of_a_finding() {
    let env = Env::new("sources: []");
    let findings = env.kubectl(&["explain", "wsp.status.findings", "--recursive"]);
    for field in [
        "affected",
        "advice",
        "action",
        "rule",
        "evidence",
        "confidence",
        "nextAction",
    ] {
        assert!(findings.contains(field), "{findings}");
    }
    let cause = env.kubectl(&["explain", "wsp.status.findings.cause"]);
    assert!(cause.contains("CredentialsInvalid"), "{cause}");
    let raw = env.kubectl(&[
        "get",
        "crd",
        "warehousesyncpolicies.warehousesync.dev",
        "-o",
        "json",
    ]);
    assert!(serde_json::from_str::<Value>(&raw).is_ok());
}
