//! Notifications, over real HTTP and from the real status.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::{
    receiver::{Got, Manner, Receiver},
    support::{Env, Operator, wait_until},
};

/// The key is at least 24 times the letter c; like the path of the URL, it must be shown nowhere.
const KEY: &str = "canary-key-of-a-webhook-0123456789";
const PATH: &str = "/hook/canary-path";

/// A table with a proposal, and one that the operator reloads without approval.
const ASKS: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.events, status: Failed, rows: 70, last_synced_ago: 40h, last_run_ago: 2h, frequency: 30day, latest_error: 'column \"updated_at\" does not exist', incremental_fields: {incremental_fields: [{field: modified_at, field_type: timestamp}], available_columns: [{field: id}]}}
      - {name: public.orders, status: Failed, frequency: 24hour, last_synced_ago: 30h, last_run_ago: 1h, latest_error: 'server closed the connection unexpectedly', then: {completes: {after: 2s, rows: 100}}}
";
const WEBHOOK: &str = "mode: Enforce, notifications: [{type: Webhook, secretRef: {name: hook, key: url}, hmacSecretRef: {name: hook, key: hmac}}]";
const SLACK: &str =
    "mode: Enforce, notifications: [{type: Slack, secretRef: {name: hook, key: url}}]";

fn put(env: &Env, labels: &str, url: &str) {
    let key = format!("whsec_{}", STANDARD.encode(KEY));
    env.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: hook, labels: {{{labels}}}}}, stringData: {{url: '{url}', hmac: '{key}'}}}}"
    ))
    .unwrap();
}

const RELEASED: &str = "warehousesync.dev/use: notification";

/// Checks a signature as defined by Standard Webhooks, over the received bytes.
fn assert_signed(got: &Got) {
    let (id, at) = (got.header("webhook-id"), got.header("webhook-timestamp"));
    let mut signed = format!("{id}.{at}.").into_bytes();
    signed.extend_from_slice(&got.body);
    let signature = got.header("webhook-signature");
    let signature = STANDARD.decode(signature.strip_prefix("v1,").unwrap());
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    hmac::verify(&key, &signed, &signature.unwrap()).unwrap();
    let age = jiff::Timestamp::now().as_second() - at.parse::<i64>().unwrap();
    assert!((0..300).contains(&age), "{age}");
}

fn wait_until_notified(env: &Env) {
    env.wait_for("p", "the notification to be recorded", |status| {
        let rows = &status.state.announced.announcements;
        !rows.is_empty() && rows.iter().all(|row| row.owed.is_empty())
    });
}

fn assert_shown_nowhere(env: &Env, operator: &Operator) {
    let shown = [
        env.kubectl(&["get", "wsp", "-o", "yaml"]),
        env.kubectl(&["get", "events.events.k8s.io", "-o", "yaml"]),
        operator.log(),
        operator.get("/metrics").1,
    ];
    let encoded = STANDARD.encode(KEY);
    for text in &shown {
        for secret in ["canary", &encoded] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{line:?}");
        }
    }
}

/// Waits for a few more polls.
fn polls_go_by(env: &Env) {
    let polls = || env.count("GET", "/external_data_sources/");
    let before = polls();
    wait_until("more polls", || {
        let now = polls();
        if now > before + 2 {
            Ok(())
        } else {
            Err(now.to_string())
        }
    });
}

#[test]
fn a_proposal_is_notified_once_with_its_command_and_a_valid_signature() {
    let (env, receiver) = (Env::new(ASKS), Receiver::start());
    receiver.next(&[Manner::Status(500)]);
    put(&env, RELEASED, &format!("{}{PATH}", receiver.url));
    let operator = env.operator_that_logs_all();
    env.apply(&env.policy("p", WEBHOOK)).unwrap();
    let got = receiver.wait_for(2);
    wait_until_notified(&env);
    assert_eq!(got[0].path, PATH);
    got.iter().for_each(assert_signed);
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    assert!(
        got[1]
            .header("content-type")
            .starts_with("application/cloudevents+json")
    );
    let (event, status) = (got[1].json(), env.status("p"));
    let proposal = &status.proposals[0];
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "dev.warehousesync.approval-required");
    assert_eq!(event["id"], got[1].header("webhook-id"));
    assert_eq!(event["data"]["namespace"], env.namespace);
    assert_eq!(event["data"]["cause"], "SchemaDrift");
    assert_eq!(event["data"]["proposal"]["id"], proposal.id);
    assert_eq!(
        event["data"]["proposal"]["approveCommand"],
        proposal.approve_command
    );
    env.wait_for_reason("p", "Notifying", "ReceiversReady");
    polls_go_by(&env);
    assert_shown_nowhere(&env, &operator);
    let metrics = operator.get("/metrics").1;
    for outcome in ["retried", "delivered"] {
        let line = format!(
            "warehouse_sync_notifications_total{{type=\"ApprovalRequired\",outcome=\"{outcome}\"}} 1"
        );
        assert!(metrics.contains(&line), "{metrics}");
    }
    // Another process knows from the status what has been sent.
    operator.kill();
    let _operator = env.operator();
    polls_go_by(&env);
    assert_eq!(receiver.got().len(), 2);
}

#[test]
fn remediation_continues_while_a_receiver_never_answers_and_the_next_process_retries_with_the_same_id()
 {
    let (env, receiver, other) = (Env::new(ASKS), Receiver::start(), Receiver::start());
    receiver.always(Manner::Silence);
    put(&env, RELEASED, &receiver.url);
    env.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: slack, labels: {{{RELEASED}}}}}, stringData: {{url: '{}'}}}}",
        other.url
    ))
    .unwrap();
    let operator = env.operator();
    let both = WEBHOOK.replace(
        "}}]",
        "}}, {type: Slack, secretRef: {name: slack, key: url}}]",
    );
    env.apply(&env.policy("p", &both)).unwrap();
    other.wait_for(1);
    env.wait_for("p", "the repair", |status| {
        let repaired = status.findings.iter().all(|f| f.schema != "public.orders");
        repaired && status.incidents.is_empty() && !status.history.is_empty()
    });
    assert_eq!(env.count("POST", "/reload/"), 1);
    let first = receiver.wait_for(1)[0].header("webhook-id");
    let row = env.wait_for("p", "the other to be notified", |status| {
        let rows = &status.state.announced.announcements;
        rows.iter().any(|row| !row.notified.is_empty())
    });
    let row = &row.state.announced.announcements[0];
    assert_eq!((row.notified.len(), row.owed.len()), (1, 1), "{row:?}");
    operator.kill();
    receiver.always(Manner::Status(204));
    let before = receiver.got().len();
    let _operator = env.operator();
    let got = receiver.wait_for(before + 1);
    wait_until_notified(&env);
    assert!(got.iter().all(|got| got.header("webhook-id") == first));
}

#[test]
fn only_a_labelled_secret_and_a_listed_host_are_used_and_a_redirect_is_not_followed() {
    let (env, receiver, elsewhere) = (Env::new(ASKS), Receiver::start(), Receiver::start());
    receiver.always(Manner::Redirect(format!("{}/elsewhere", elsewhere.url)));
    put(&env, "a: b", &format!("{}{PATH}", receiver.url));
    let operator = env.operator_with(&[
        "--allow-http-loopback",
        "--time-factor",
        "600",
        "--allowed-notify-host",
        "localhost",
    ]);
    env.apply(&env.policy("p", SLACK)).unwrap();
    let says = |reason: &str, text: &str| {
        let status = env.wait_for("p", text, |status| {
            let saying = status.condition("Notifying");
            saying.is_some_and(|c| c.reason == reason && c.message.contains(text))
        });
        assert_eq!(status.condition("Ready").unwrap().status, "True");
        status.condition("Notifying").unwrap().message.clone()
    };
    let namespace = &env.namespace;
    says(
        "ReceiverUnusable",
        &format!(
            "kubectl label secret hook --namespace {namespace} --overwrite {}",
            RELEASED.replace(": ", "=")
        ),
    );
    assert!(receiver.got().is_empty());
    env.kubectl(&[
        "label",
        "secret",
        "hook",
        "warehousesync.dev/use=notification",
    ]);
    says("DeliveryFailed", "HTTP 307, redirects are not followed");
    assert!(elsewhere.got().is_empty());
    let tries = receiver.got().len();
    for url in [
        "https://evil.example/canary",
        "https://localhost@evil.example/canary",
    ] {
        put(&env, RELEASED, url);
        let said = says("ReceiverUnusable", "key \"url\" of Secret hook");
        assert!(!said.contains("evil"), "{said}");
    }
    wait_until("the event", || {
        let notified = env.event_reasons();
        if notified.iter().any(|reason| reason == "NotificationFailed") {
            Ok(())
        } else {
            Err(format!("{notified:?}"))
        }
    });
    assert_shown_nowhere(&env, &operator);
    assert_eq!(receiver.got().len(), tries);
    // A new URL in the Secret: notifications for current situations are sent.
    put(&env, RELEASED, &format!("{}/slack", elsewhere.url));
    says("ReceiversReady", "No problem is known");
    let got = elsewhere.wait_for(1);
    assert_eq!(
        (got[0].path.as_str(), got[0].header("content-type")),
        ("/slack", "application/json".to_owned())
    );
    let text = got[0].json()["text"].as_str().unwrap().to_owned();
    assert_eq!(text, "Approval required: Postgres prod public.events");
    let command = env.status("p").proposals[0].approve_command.clone();
    let blocks = got[0].json()["blocks"].clone();
    let wanted = json!(format!("To approve:\n```{command}```"));
    let mut texts = blocks
        .as_array()
        .unwrap()
        .iter()
        .map(|block| &block["text"]["text"]);
    assert!(texts.any(|text| *text == wanted), "{blocks:#}");
}

const OUTAGE: &str = "
sources:
  - {type: Postgres, prefix: a, schemas: [{name: a, status: Failed, frequency: 24hour, last_synced_ago: 30h, last_run_ago: 1m, latest_error: 'server closed the connection unexpectedly', then: {completes: {after: 1s}}}]}
  - {type: Postgres, prefix: b, schemas: [{name: b, status: Failed, frequency: 24hour, last_synced_ago: 30h, last_run_ago: 1m, latest_error: 'server closed the connection unexpectedly', then: {completes: {after: 1s}}}]}
  - {type: Postgres, prefix: c, schemas: [{name: c, status: Failed, frequency: 24hour, last_synced_ago: 30h, last_run_ago: 1m, latest_error: 'server closed the connection unexpectedly', then: {completes: {after: 1s}}}]}
";
const HANGS: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 33h, rows: 1000, run: {started_ago: 9h, rows: 500, hangs: {}, on_cancel: job_survives}}
      - {name: public.users, last_synced_ago: 1h, rows: 10, starts_every: 2s, then: {starts_after: 100ms, completes: {after: 200ms, rows: 1}}}
";

/// The types of received messages, one for each id, in order of arrival.
fn types(got: &[Got]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let first = got
        .iter()
        .filter(|got| seen.insert(got.header("webhook-id")));
    let types = first.map(|got| got.json()["type"].as_str().unwrap().to_owned());
    types.collect()
}

#[test]
fn an_open_breaker_its_end_and_an_escalation_are_notified() {
    for (scenario, notified) in [
        (
            OUTAGE,
            &[
                "dev.warehousesync.breaker-open",
                "dev.warehousesync.recovered",
            ][..],
        ),
        (HANGS, &["dev.warehousesync.escalated"][..]),
    ] {
        let (env, receiver) = (Env::new(scenario), Receiver::start());
        put(&env, RELEASED, &receiver.url);
        let _operator = env.operator();
        let spec = format!(
            "{WEBHOOK}, remediation: {{limits: {{backoff: {{initial: 1s}}, breaker: {{cooldown: 3s}}}}}}"
        );
        env.apply(&env.policy("p", &spec)).unwrap();
        wait_until("both", || {
            let types = types(&receiver.got());
            if types.len() >= notified.len() {
                Ok(())
            } else {
                Err(format!("{types:?} {:#?}", env.status("p")))
            }
        });
        polls_go_by(&env);
        let got = receiver.got();
        assert_eq!(types(&got), notified);
        got.iter().for_each(assert_signed);
        for message in got {
            let data = &message.json()["data"];
            let says = |field: &str| !data[field].as_str().unwrap().is_empty();
            assert!(says("message") && says("nextAction"), "{data:#}");
        }
    }
}
