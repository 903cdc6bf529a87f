//! The log shows each step of an incident: found, decided or held and why, sent, answered, verified; and no lines when
//! nothing happens.

use serde_json::Value;

use crate::support::{Env, Operator, wait_until};

/// A stuck run, a table that only a person may fix, and one whose remediation is switched off. They failed hours apart.
const TROUBLE: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 33h, rows: 1000, frequency: 30day, run: {started_ago: 9h, rows: 500, hangs: {}, cancel_takes: 100ms}, then: {completes: {after: 10s, rows: 100}}}
      - {name: public.users, frequency: 30day, last_synced_ago: 1h, rows: 10, starts_every: 2s, then: {starts_after: 100ms, completes: {after: 200ms, rows: 1}}}
  - type: Postgres
    prefix: d
    schemas:
      - {name: typed, status: Failed, frequency: 30day, last_synced_ago: 40h, last_run_ago: 6h, rows: 7, latest_error: 'Source column type changed: amount was int64 and is now string'}
      - {name: well, frequency: 30day, last_synced_ago: 1h}
  - type: Postgres
    prefix: stale
    schemas: [{name: silent, frequency: 12hour, last_synced_ago: 90h, rows: 7}]
";

/// The log lines about decisions and events.
fn decisions(operator: &Operator) -> Vec<Value> {
    let log = operator.log();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    lines.filter(|line| line["event"].is_string()).collect()
}

const JSON_LOG: [&str; 5] = [
    "--allow-http-loopback",
    "--time-factor",
    "600",
    "--log-format",
    "json",
];

fn of<'a>(decisions: &'a [Value], schema: &str) -> Vec<&'a Value> {
    decisions
        .iter()
        .filter(|line| line["schema"] == schema)
        .collect()
}

fn events(lines: &[&Value]) -> Vec<String> {
    lines
        .iter()
        .map(|line| line["event"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until the list was requested this many times more, even if it was refused.
fn wait_for_more_polls(env: &Env, wanted: usize) {
    let polls = || env.count("GET", "/external_data_sources");
    let before = polls();
    wait_until("more polls", || {
        let more = polls() - before;
        if more >= wanted {
            Ok(())
        } else {
            Err(format!("{more} of {wanted}"))
        }
    });
}

#[test]
fn the_log_shows_each_step_of_an_incident_and_then_is_silent() {
    let env = Env::new(TROUBLE);
    let operator = env.operator_with(&JSON_LOG);
    env.apply(&env.policy("p", "mode: Enforce, remediation: {reloadStale: 'Off'}"))
        .unwrap();
    let status = env.wait_for("p", "the end of the incident and a proposal", |status| {
        status.incidents.is_empty() && status.proposals.len() == 1 && !status.history.is_empty()
    });
    operator.wait_for_log("IncidentClosed");

    let reported = decisions(&operator);
    let policy = format!("{}/p", env.namespace);
    for line in &reported {
        for field in ["timestamp", "level", "message", "event"] {
            assert!(line[field].is_string(), "{field}: {line}");
        }
        assert_eq!(line["policy"], policy.as_str(), "{line}");
        assert!(
            line["schema"].is_null() || line["source"].is_string(),
            "{line}"
        );
    }

    let orders = of(&reported, "public.orders");
    let decision_log = [
        "FindingOpened",
        "Decided",
        "CancelSent",
        "JobEnded",
        "Decided",
        "ReloadSent",
        "NewJobSeen",
        "Recovered",
        "IncidentClosed",
    ];
    assert_eq!(events(&orders), decision_log, "{orders:#?}");
    let incident = &orders[1]["incident"];
    assert!(incident.is_string(), "{orders:#?}");
    for line in &orders[1..] {
        assert_eq!(
            &line["incident"], incident,
            "one incident has one name: {line}"
        );
        assert_eq!(line["source"], orders[0]["source"], "{line}");
    }
    let why = orders[1]["message"].as_str().unwrap();
    assert!(
        why.starts_with("will cancel the run of")
            && why.contains("no progress in rows or log since"),
        "{why}"
    );

    let typed = of(&reported, "typed");
    assert_eq!(events(&typed), ["FindingOpened", "ProposalOpened"]);
    assert_eq!(typed[1]["proposal"], status.proposals[0].id.as_str());

    let silent = of(&reported, "silent");
    assert_eq!(events(&silent), ["FindingOpened", "Held"]);
    assert_eq!(silent[1]["guard"], "Switch");
    assert!(
        silent[1]["message"]
            .as_str()
            .unwrap()
            .contains("reloadStale is Off"),
        "{}",
        silent[1]
    );

    let log = operator.log();
    assert!(!log.contains("phx_"), "a key is in the log");
    wait_for_more_polls(&env, 3);
    let after = operator.log();
    assert_eq!(
        after.strip_prefix(&log),
        Some(""),
        "a steady poll says nothing"
    );
}

#[test]
fn an_error_is_logged_once_and_again_only_when_it_changes() {
    let env = Env::new("sources: []");
    let operator = env.operator_with(&JSON_LOG);
    env.apply(&env.policy("p", "").replace("api-key}", "no-such-key}"))
        .unwrap();
    env.wait_for_reason("p", "Ready", "SecretKeyMissing");
    env.put_key("phx_unknown");
    env.apply(&env.policy("p", "")).unwrap();
    env.wait_for_reason("p", "Ready", "KeyRejected");
    operator.wait_for_log("KeyRejected");
    wait_for_more_polls(&env, 2);
    let reported = decisions(&operator);
    let obstacles: Vec<&str> = reported
        .iter()
        .filter(|line| line["event"] == "NotReady")
        .map(|line| line["message"].as_str().unwrap().split(':').next().unwrap())
        .collect();
    assert_eq!(obstacles, ["SecretKeyMissing", "KeyRejected"]);
}
