//! Remediation of other findings than stuck runs, on the real API server.

use warehouse_sync_operator::api::status::RootCause;

use crate::support::Env;

const FAILED: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, status: Failed, frequency: 24hour, last_synced_ago: 30h, last_run_ago: 1h, latest_error: 'server closed the connection unexpectedly', then: {completes: {after: 2s, rows: 100}}}
      - {name: public.users, last_synced_ago: 1h, rows: 10}
";

#[test]
fn a_transient_failure_is_reloaded_once_and_reported_in_events() {
    let env = Env::new(FAILED);
    let _operator = env.operator();
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    env.wait_for("p", "its recovery", |status| {
        status.incidents.is_empty() && status.findings.is_empty() && !status.history.is_empty()
    });
    assert_eq!(env.posthog.simulator().count("POST", "/reload/"), 1);
    assert_eq!(env.posthog.simulator().count("POST", "/cancel/"), 0);
    env.kubectl(&["wait", "--for=condition=Healthy", "--timeout=30s", "wsp/p"]);
    let reasons = env.event_reasons();
    for expected in ["FindingOpened", "ReloadSent", "NewJobSeen", "Recovered"] {
        assert!(
            reasons.iter().any(|reason| reason == expected),
            "{reasons:?}"
        );
    }
}

#[test]
fn a_window_that_cannot_be_read_stops_the_policy_and_says_what_is_wrong() {
    let env = Env::new(FAILED);
    let _operator = env.operator();
    let windows = "mode: Enforce, remediation: {windows: [{kind: Deny, schedule: '0 8 * * *', duration: 1h, timeZone: Europe/Berlim}]}";
    env.apply(&env.policy("p", windows)).unwrap();
    let status = env.wait_for_reason("p", "Stalled", "InvalidSpec");
    let said = &status.condition("Stalled").unwrap().message;
    assert!(said.contains("Europe/Berlim"), "{said}");
    assert_eq!(env.posthog.simulator().count("POST", "/reload/"), 0);
}

#[test]
fn a_held_action_is_shown_with_its_guard() {
    let env = Env::new(FAILED);
    let _operator = env.operator();
    env.apply(&env.policy("p", "mode: Enforce, remediation: {reloadTransient: 'Off'}"))
        .unwrap();
    let status = env.wait_for("p", "a finding", |status| !status.findings.is_empty());
    let finding = &status.findings[0];
    assert_eq!(finding.cause, RootCause::Transient);
    assert!(
        finding
            .next_action
            .contains("Reason: spec.remediation.reloadTransient is Off"),
        "{}",
        finding.next_action
    );
}

#[test]
fn the_operators_own_limit_applies_to_all_policies_of_a_project_together() {
    let env = Env::new(&format!(
        "{FAILED}  - {{type: Stripe, schemas: [{{name: charge, status: Failed, frequency: 24hour, last_synced_ago: 30h, last_run_ago: 5h, latest_error: 'server closed the connection unexpectedly'}}]}}\n"
    ));
    let _operator = env.operator_with(&[
        "--allow-http-loopback",
        "--time-factor",
        "600",
        "--max-actions-per-hour",
        "1",
    ]);
    let of = |source: &str| format!("mode: Enforce, selector: {{sources: {{types: [{source}]}}}}");
    env.apply(&env.policy("p", &of("Postgres"))).unwrap();
    env.wait_for("p", "its recovery", |status| {
        status.findings.is_empty() && !status.history.is_empty()
    });
    env.apply(&env.policy("q", &of("Stripe"))).unwrap();
    let status = env.wait_for("q", "a finding", |status| !status.findings.is_empty());
    assert!(
        status.findings[0]
            .next_action
            .contains("--max-actions-per-hour"),
        "{}",
        status.findings[0].next_action
    );
    assert_eq!(env.posthog.simulator().count("POST", "/reload/"), 1);
}
