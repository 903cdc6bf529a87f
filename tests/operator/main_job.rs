//! A stuck run is found, cancelled, reloaded and confirmed by a new job, even if components restart.

use warehouse_sync_operator::api::status::{RootCause, Step};

pub use crate::stuck_run::{STUCK, assert_one_cancel_and_one_reload, wait_until_recovered};
use crate::support::{Env, wait_until};

#[test]
fn a_stuck_run_is_cancelled_reloaded_and_confirmed_with_every_step_visible() {
    // Long enough that a poll sees the new run before it completes.
    let scenario = STUCK.replace(
        "completes: {after: 2s, rows: 100}",
        "completes: {after: 10s, rows: 100}",
    );
    let env = Env::new(&scenario);
    let _operator = env.operator();
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    let status = env.wait_for("p", "an incident", |status| !status.incidents.is_empty());
    assert_eq!(status.incidents[0].cause, RootCause::Stuck);
    wait_until_recovered(&env);
    assert_one_cancel_and_one_reload(&env);
    env.kubectl(&["wait", "--for=condition=Healthy", "--timeout=30s", "wsp/p"]);
    env.kubectl(&["wait", "--for=condition=Ready", "--timeout=30s", "wsp/p"]);

    let reasons = env.event_reasons();
    for expected in [
        "Unhealthy",
        "FindingOpened",
        "CancelSent",
        "JobEnded",
        "ReloadSent",
        "NewJobSeen",
        "Recovered",
        "Healthy",
    ] {
        assert!(
            reasons.iter().any(|reason| reason == expected),
            "{expected} is missing in {reasons:?}"
        );
    }
    let described = env.kubectl(&["describe", "wsp", "p"]);
    assert!(
        described.contains("CancelSent") && described.contains("public.orders"),
        "{described}"
    );
    let table = env.kubectl(&["get", "wsp", "-o", "wide"]);
    assert!(
        table.contains("READY") && table.contains("3/3") && table.contains("Enforce"),
        "{table}"
    );
    let agents: Vec<_> = env
        .posthog
        .simulator()
        .requests()
        .iter()
        .map(|r| r.user_agent.clone().unwrap_or_default())
        .collect();
    assert!(
        agents
            .iter()
            .all(|agent| agent.starts_with("warehouse-sync-operator/")),
        "{agents:?}"
    );
}

#[test]
fn observe_reports_what_it_would_do_and_sends_nothing() {
    let env = Env::new(STUCK);
    let _operator = env.operator();
    env.apply(&env.policy("p", "")).unwrap();
    let status = env.wait_for("p", "the finding", |status| {
        status.findings.iter().any(|f| f.cause == RootCause::Stuck)
    });
    assert!(
        status.findings[0].next_action.contains("Held: cancel"),
        "{}",
        status.findings[0].next_action
    );
    assert!(status.incidents.is_empty());
    assert_eq!(env.count("POST", "/"), 0);
    assert_eq!(
        env.kubectl(&["get", "wsp", "p", "-o", "jsonpath={.spec.mode}"]),
        "Observe",
        "the default is written out"
    );
}

#[test]
fn an_operator_killed_during_an_incident_continues_where_it_was() {
    for step in [Step::WaitTerminal, Step::Settle, Step::WaitSuccess] {
        let env = Env::new(STUCK);
        // Slow enough to kill the process in the intended step.
        let flags = ["--allow-http-loopback", "--time-factor", "60"];
        let operator = env.operator_with(&flags);
        env.apply(&env.policy("p", "mode: Enforce")).unwrap();
        let reached = |wanted: Step| {
            env.wait_for("p", "the step", |s| {
                s.incidents.first().is_some_and(|i| later(i.step, wanted))
            })
        };
        reached(step);
        operator.kill();
        let _next = env.operator_with(&flags);
        wait_until_recovered(&env);
        assert_one_cancel_and_one_reload(&env);
    }
}

/// True if an incident has reached this step or a later one.
pub fn later(step: Step, wanted: Step) -> bool {
    let order = [
        Step::Cancelling,
        Step::WaitTerminal,
        Step::Settle,
        Step::Reloading,
        Step::WaitNewJob,
        Step::WaitSuccess,
        Step::Recovered,
    ];
    let place = |step| order.iter().position(|known| *known == step);
    place(step) >= place(wanted)
}

#[test]
fn a_restart_of_posthog_during_an_incident_is_waited_for() {
    let mut env = Env::new(STUCK);
    let _operator = env.operator_with(&["--allow-http-loopback", "--time-factor", "60"]);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    env.wait_for("p", "the cancel", |s| {
        s.incidents
            .first()
            .is_some_and(|i| later(i.step, Step::WaitTerminal))
    });
    env.posthog.stop();
    env.wait_for_reason("p", "Ready", "HostUnreachable");
    env.posthog.restart().unwrap();
    wait_until_recovered(&env);
    assert_one_cancel_and_one_reload(&env);
}

#[test]
fn a_terminated_operator_ends_within_the_grace_period() {
    let env = Env::new(STUCK);
    let operator = env.operator();
    env.apply(&env.policy("p", "")).unwrap();
    env.wait_for_reason("p", "Ready", "Polled");
    assert_eq!(operator.get("/livez"), (200, "ok\n".into()));
    wait_until("readiness", || match operator.get("/readyz") {
        (200, _) => Ok(()),
        (status, body) => Err(format!("{status} {body}")),
    });
    let (status, metrics) = operator.get("/metrics");
    assert!(
        status == 200
            && metrics.contains(
                r#"warehouse_sync_posthog_requests_total{call="list sources",outcome="2xx"}"#
            ),
        "{metrics}"
    );
    let (ended, took) = operator.terminate();
    assert!(ended.success(), "{ended}");
    assert!(took.as_secs() < 150, "{took:?}");
}
