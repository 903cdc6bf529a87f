//! How policies are: `status`, `explain`, `history`, `open`.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use warehouse_sync_operator::api::proposal::{Phase, ProposedAction};

use super::support::{Env, plugin, serve};

fn ago(minutes: i64) -> String {
    let at = Timestamp::now() - SignedDuration::from_mins(minutes);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn conditions(healthy: &str, reason: &str) -> Value {
    let condition = |type_: &str, status: &str, reason: &str| {
        json!({
            "type": type_, "status": status, "reason": reason, "message": format!("{reason} it is"),
            "lastTransitionTime": ago(180), "observedGeneration": 1,
        })
    };
    json!([
        condition("Ready", "True", "Polled"),
        condition("Healthy", healthy, reason)
    ])
}

fn finding(severity: &str, table: &str, next: &str) -> Value {
    json!({
        "source": "Postgres prod", "sourceId": "source-1", "schema": table, "schemaId": format!("id-of-{table}"),
        "cause": "Stuck", "severity": severity, "confidence": "High", "message": format!("{table} does not move"),
        "rule": "run/silent", "evidence": ["no progress in rows"], "advice": format!("Look at {table}"),
        "since": ago(120), "nextAction": next,
    })
}

/// A status with everything that can be wrong.
fn sick(env: &Env) -> Value {
    let mut approved = env.proposal(ProposedAction::DeleteData, "users");
    approved.phase = Phase::Approved;
    "held: no window is open (guard Window)".clone_into(&mut approved.message);
    let waits = env.proposal(ProposedAction::Resync, "orders");
    json!({
        "observedGeneration": 1, "lastCheckedAt": ago(1), "conditions": conditions("False", "SyncsUnhealthy"),
        "summary": {"healthyOf": "3/5", "pendingApproval": 1, "sources": {"total": 1}, "schemas": {"total": 5, "healthy": 3, "stuck": 2}},
        "findings": [
            finding("Warning", "slow", "No automatic remediation."),
            finding("Error", "orders", "Held: reload orders. Reason: spec.suspend is true (guard Suspend)."),
        ],
        "incidents": [{
            "schemaId": "id-of-orders", "schema": "orders", "source": "Postgres prod", "sourceId": "source-1",
            "cause": "Stuck", "step": "WaitNewJob", "attempt": 2, "openedAt": ago(30), "stepSince": ago(2),
            "deadline": "2099-01-01T00:00:00Z", "message": "no new run yet",
            "sends": [{"call": "Cancel", "startedAt": ago(5), "fate": "Accepted", "httpStatus": 200}],
        }],
        "proposals": [approved, waits],
        "history": [{"at": ago(5), "what": "orders: the run was cancelled"}],
    })
}

#[test]
fn status_shows_everything_that_is_wrong_worst_first() {
    let env = Env::new();
    let status = sick(&env);
    env.put_status(&status);
    let ran = env.plugin(&["status", "prod"]).fine();
    let words = ran.words();
    for shown in [
        "/prod: Unhealthy since 20",
        "(3 hours ago)",
        "Why SyncsUnhealthy it is",
        "1 source with 5 tables: 3 healthy, 2 stuck",
        "FINDINGS (2)",
        "Error Postgres prod orders: Stuck",
        "Evidence no progress in rows",
        "What to do Look at orders",
        "INCIDENTS (1)",
        "Postgres prod orders: WaitNewJob (Waiting until PostHog shows a new job)",
        "Deadline 2099-01-01 00:00 UTC (in ",
        "Cancel at 20",
        "HTTP 200, accepted",
        "HELD (2)",
        "Postgres prod orders: guard Suspend",
        "Postgres prod users: guard Window",
        "PROPOSALS THAT WAIT (1)",
        "Resync of orders",
        "Loses data Yes",
        "APPROVED PROPOSALS (1)",
    ] {
        assert!(words.contains(shown), "{shown}: {words}");
    }
    let id = status["proposals"][1]["id"].as_str().unwrap();
    let approve = format!("kubectl wsp approve -n {} prod {id}", env.namespace);
    assert!(words.contains(&approve), "{words}");
    let place = |text: &str| ran.out.find(text).unwrap();
    assert!(place("orders does not move") < place("slow does not move"));
    let json: Value = json(&env, &["status", "prod", "-o", "json"]);
    assert_eq!(json["health"]["standing"], "Unhealthy");
    assert_eq!(json["findings"][0]["schema"], "orders");
    assert_eq!(json["held"][1]["guard"], "Window");
}

fn json(env: &Env, args: &[&str]) -> Value {
    serde_json::from_str(&env.plugin(args).fine().out).unwrap()
}

#[test]
fn several_policies_are_listed_worst_first_with_what_is_wrong() {
    let env = Env::new();
    env.put_status(&sick(&env));
    env.apply(&env.policy("another"));
    let ran = env.plugin(&["status"]).fine();
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(
        lines[1].contains("prod") && lines[1].contains("Unhealthy"),
        "{}",
        ran.out
    );
    // No operator has reported on it: that is never called healthy.
    assert!(
        lines[2].contains("another") && lines[2].contains("Unknown"),
        "{}",
        ran.out
    );
    let words = ran.words();
    for shown in [
        "WHAT IS WRONG (2)",
        "PROPOSALS THAT WAIT (1)",
        "No operator has reported",
    ] {
        assert!(words.contains(shown), "{shown}: {words}");
    }
    let wide = env.plugin(&["status", "-o", "wide"]).fine().out;
    assert!(
        wide.contains("REASON") && !ran.out.contains("REASON"),
        "{wide}"
    );
    let all = json(&env, &["status", "-o", "json"]);
    assert_eq!(
        (&all[0]["name"], &all[1]["name"]),
        (&json!("prod"), &json!("another"))
    );

    env.kubectl(&["label", "wsp", "another", "team=data"]);
    let labelled = json(&env, &["status", "-l", "team=data", "-o", "json"]);
    assert_eq!(labelled.as_array().map(Vec::len), Some(1));
    assert_eq!(labelled[0]["name"], "another");
    assert_eq!(env.plugin(&["status", "prod", "-A"]).code, 2);
}

#[test]
fn nothing_in_a_status_moves_the_cursor() {
    let env = Env::new();
    let mut status = sick(&env);
    let hostile = "x\u{1b}[2J\u{7}\u{202e}\n<script>";
    status["findings"][0]["schema"] = json!(hostile);
    status["findings"][0]["message"] = json!(hostile);
    status["incidents"][0]["schema"] = json!(hostile);
    status["history"][0]["what"] = json!(hostile);
    status["conditions"][1]["message"] = json!(hostile);
    env.put_status(&status);
    for args in [
        &["status"][..],
        &["status", "prod"],
        &["status", "-o", "wide"],
        &["explain", "prod", hostile],
        &["history", "prod"],
    ] {
        let out = env.plugin(args).fine().out;
        assert!(
            !out.contains(['\u{1b}', '\u{7}', '\u{202e}']),
            "{args:?}: {out}"
        );
        assert!(out.contains(r"\u{1b}"), "{args:?}: {out}");
    }
}

#[test]
fn watch_shows_the_policy_again_when_it_changes() {
    let env = Env::new();
    let mut watch = plugin()
        .env("KUBECONFIG", env.plane.admin_kubeconfig())
        .args(["status", "prod", "--watch", "--namespace", &env.namespace])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut until = |words: &str| lines.any(|line| line.unwrap().contains(words));
    assert!(until("/prod: Unknown"));
    env.put_status(&sick(&env));
    assert!(until("/prod: Unhealthy"));
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn a_watch_that_fails_shows_what_the_api_server_says_and_is_retried() {
    let server = serve(
        "HTTP/1.1 500 \r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\
         {\"kind\": \"Status\", \"apiVersion\": \"v1\", \"status\": \"Failure\", \"message\": \"etcd has no leader\", \"code\": 500}",
    );
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{server}")}}],
        "users": [{"name": "u", "user": {}}],
    });
    std::fs::write(&config, text.to_string()).unwrap();
    let mut watch = plugin()
        .env("KUBECONFIG", &config)
        .args(["status", "--watch", "--namespace", "team"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stderr.take().unwrap()).lines();
    let said = lines.next().unwrap().unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert_eq!(
        said,
        "retrying: failed to perform initial object list: etcd has no leader"
    );
}

#[test]
fn history_has_the_status_and_the_events_newest_first() {
    let env = Env::new();
    let mut status = sick(&env);
    let event = |name: &str, uid: &str, note: &str, at: &str| {
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name, "namespace": env.namespace},
            "regarding": {"apiVersion": "warehousesync.dev/v1alpha1", "kind": "WarehouseSyncPolicy", "name": "prod", "namespace": env.namespace, "uid": uid},
            "eventTime": at, "reportingController": "warehouse-sync-operator", "reportingInstance": "a", "action": "Remediate",
            "reason": "Recovered", "type": "Normal", "note": note,
        })
        .to_string()
    };
    let at = |minutes| format!("{}.000000Z", ago(minutes).trim_end_matches('Z'));
    // What both have is shown once.
    let entries = status["history"].as_array_mut().unwrap();
    entries.insert(0, json!({"at": ago(1), "what": "orders has recovered"}));
    env.put_status(&status);
    env.apply(&event(
        "own",
        &env.uid,
        "Postgres prod orders has recovered",
        &at(1),
    ));
    env.apply(&event(
        "other",
        "another-uid",
        "of an earlier policy",
        &at(1),
    ));
    let ran = env.plugin(&["history", "prod"]).fine();
    let words = ran.words();
    assert!(
        words.contains("Recovered: Postgres prod orders has recovered"),
        "{words}"
    );
    assert!(!words.contains("earlier policy"), "{words}");
    assert!(
        ran.out.find("has recovered") < ran.out.find("was cancelled"),
        "{words}"
    );
    let json = json(&env, &["history", "prod", "-o", "json"]);
    assert_eq!(
        (&json[0]["reason"], json.as_array().map(Vec::len)),
        (&json!("Recovered"), Some(2))
    );
}

#[test]
fn explain_shows_one_table_with_its_incident_proposal_and_page() {
    let env = Env::new();
    env.put_status(&sick(&env));
    for subject in ["orders", "id-of-orders"] {
        let words = env.plugin(&["explain", "prod", subject]).fine().words();
        for shown in [
            "FINDINGS (1)",
            "orders does not move",
            "INCIDENTS (1)",
            "guard Suspend",
            "Resync of orders",
            "https://us.posthog.com/project/12345/data-warehouse/sources/managed-source-1/schemas",
        ] {
            assert!(words.contains(shown), "{subject}, {shown}: {words}");
        }
        assert!(!words.contains("slow does not move"), "{words}");
    }
    env.plugin(&["explain", "prod", "nothing"])
        .refused("shows no table or source \"nothing\": it shows orders, slow, users");
}

#[test]
fn open_prints_the_page_of_the_tables_source() {
    let env = Env::new();
    let base = "https://us.posthog.com/project/12345/data-warehouse";
    assert_eq!(
        env.plugin(&["open", "prod"]).fine().out,
        format!("{base}\n")
    );
    let mut status = sick(&env);
    status["findings"][1]["sourceId"] = json!("../../evil?x=1");
    env.put_status(&status);
    let page = env.plugin(&["open", "prod", "slow"]).fine().out;
    assert_eq!(page, format!("{base}/sources/managed-source-1/schemas\n"));
    let odd = env
        .plugin(&["open", "prod", "id-of-orders", "-o", "json"])
        .fine()
        .out;
    assert!(
        odd.contains("managed-..%2F..%2Fevil%3Fx%3D1/schemas"),
        "{odd}"
    );
}
