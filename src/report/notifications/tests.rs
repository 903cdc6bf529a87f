//! From a status to what is remembered, to messages, to messages: tables.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    announced::{Delivery, next, take_note},
    channel::{self, Channel, Channels, SecretValue},
    cloud_event,
    message::{self, Message},
    slack,
};
use crate::{
    api::{
        ValidatedPolicy, WarehouseSyncPolicyStatus,
        announced::{Announced, Announcement, MAX_ANNOUNCEMENTS},
        notification::Occasion,
    },
    posthog::guard::HostList,
};

pub(super) const NOW: &str = "2026-10-01T00:00:00Z";
const BOTH: &str = "[{type: Slack, secretRef: {name: s, key: url}}, \
    {type: Webhook, secretRef: {name: w, key: url}, hmacSecretRef: {name: w, key: hmac}, events: [ApprovalRequired, Escalated]}]";

pub(super) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(super) fn policy(notifications: &str) -> ValidatedPolicy {
    let yaml = format!(
        "{{apiVersion: warehousesync.dev/v1alpha1, kind: WarehouseSyncPolicy, metadata: {{name: p, namespace: n, uid: u1, generation: 1, \
         creationTimestamp: '2026-01-01T00:00:00Z'}}, spec: {{posthog: {{host: 'https://us.posthog.com', projectId: 12345, \
         apiKeySecretRef: {{name: s, key: k}}}}, notifications: {notifications}}}}}"
    );
    ValidatedPolicy::new(&serde_saphyr::from_str(&yaml).unwrap()).unwrap()
}

fn status(value: Value) -> WarehouseSyncPolicyStatus {
    serde_json::from_value(value).unwrap()
}

fn incident(step: &str, since: &str) -> Value {
    json!({"schemaId": "t1", "schema": "public.orders", "source": "Postgres prod", "sourceId": "s1", "cause": "Stuck", "step": step,
        "attempt": 3, "openedAt": NOW, "stepSince": since, "message": "job 7 hangs too, after 3 attempts"})
}

fn escalated() -> WarehouseSyncPolicyStatus {
    status(json!({"incidents": [incident("Escalated", NOW)]}))
}

fn proposal(phase: &str, reason: &str) -> Value {
    json!({"id": "rs-abcdefghijklmnopqrstuvwxyz", "action": "Resync", "phase": phase, "steps": ["wipe public.orders", "import it again"],
        "target": {"projectId": 12345, "source": "Postgres prod", "sourceId": "s1", "schema": "public.orders", "schemaId": "t1"},
        "material": {"version": 1, "nonce": "0", "policyUid": "u1", "action": "Resync", "steps": [], "host": "https://us.posthog.com",
            "projectId": 12345, "sourceId": "s1", "cause": "DataTypeMismatch", "rule": "r"},
        "reason": reason, "impact": {"losesData": "Yes", "cost": "1,000 rows are imported again."},
        "approveCommand": "kubectl annotate wsp p -n n approve.warehousesync.dev/rs-abcdefghijklmnopqrstuvwxyz=\"$(kubectl auth whoami)\"",
        "createdAt": NOW, "expiresAt": "2026-10-08T00:00:00Z"})
}

fn waiting(reason: &str) -> WarehouseSyncPolicyStatus {
    status(json!({"proposals": [proposal("AwaitingApproval", reason)]}))
}

fn open_breaker(since: &str) -> WarehouseSyncPolicyStatus {
    status(json!({"state": {"breaker": {"openSince": since, "why": "3 of 4 sources failed"}}}))
}

fn healthy() -> WarehouseSyncPolicyStatus {
    WarehouseSyncPolicyStatus::default()
}

/// What is remembered after these statuses, one after the other, if every receiver takes every message.
fn after(policy: &ValidatedPolicy, statuses: &[WarehouseSyncPolicyStatus]) -> Announced {
    let mut announced = Announced::default();
    for status in statuses {
        announced = next(policy, &announced, status, |_| None, now());
        for row in announced.announcements.clone() {
            for channel in row.owed {
                take_note(&mut announced, &row.id, &channel, &Delivery::Notified);
            }
        }
    }
    announced
}

fn rows(announced: &Announced) -> Vec<(Occasion, usize, usize)> {
    let rows = announced.announcements.iter();
    rows.map(|row| (row.occasion, row.owed.len(), row.notified.len()))
        .collect()
}

fn ids(announced: &Announced) -> Vec<&str> {
    let rows = announced.announcements.iter();
    rows.map(|row| row.id.as_str()).collect()
}

fn gave_up(edition: &str) -> Delivery {
    Delivery::GaveUp {
        why: "HTTP 404".into(),
        at: now(),
        edition: edition.into(),
    }
}

#[test]
fn each_situation_is_owed_once_to_the_receivers_of_its_event() {
    let policy = policy(BOTH);
    let first = next(
        &policy,
        &Announced::default(),
        &escalated(),
        |_| None,
        now(),
    );
    assert_eq!(rows(&first), [(Occasion::Escalated, 2, 0)]);
    let second = next(&policy, &first, &escalated(), |_| None, now());
    assert_eq!(second, first);
    let notified = after(&policy, &[escalated()]);
    assert_eq!(rows(&notified), [(Occasion::Escalated, 0, 2)]);
    assert_eq!(
        next(&policy, &notified, &escalated(), |_| None, now()),
        notified
    );
    // The webhook does not want to hear of breakers.
    let open = next(&policy, &notified, &open_breaker(NOW), |_| None, now());
    assert_eq!(
        rows(&open),
        [(Occasion::Recovered, 1, 0), (Occasion::BreakerOpen, 1, 0)]
    );
}

#[test]
fn an_id_depends_only_on_the_situation() {
    let slack = policy("[{type: Slack, secretRef: {name: s, key: url}}]");
    let first = after(&slack, &[escalated()]);
    let other = after(&policy(BOTH), &[escalated()]);
    assert_eq!(ids(&first), ids(&other));
    let later = status(json!({"incidents": [incident("Escalated", "2026-10-02T00:00:00Z")]}));
    let again = after(&slack, &[escalated(), later]);
    assert_eq!(rows(&again), [(Occasion::Escalated, 0, 1)], "no recovery");
    assert_ne!(ids(&first), ids(&again));
}

#[test]
fn the_end_is_sent_to_receivers_that_were_notified_of_the_start() {
    let policy = policy(BOTH);
    let rows_of = |statuses: &[WarehouseSyncPolicyStatus], last: &WarehouseSyncPolicyStatus| {
        let before = after(&policy, statuses);
        next(&policy, &before, last, |_| None, now())
    };
    let done = status(json!({"proposals": [proposal("Executed", "r")]}));
    for (before, end) in [
        (escalated(), healthy()),
        (open_breaker(NOW), healthy()),
        (waiting("r"), done.clone()),
    ] {
        let over = rows_of(&[before], &end);
        // Only Slack wants to hear of the end.
        assert_eq!(rows(&over), [(Occasion::Recovered, 1, 0)]);
        assert!(!over.announcements[0].message.is_empty());
        assert!(after(&policy, &[end.clone(), end]).is_empty());
    }
    // Nobody heard of it, so nobody hears of its end.
    let unheard = next(
        &policy,
        &Announced::default(),
        &escalated(),
        |_| None,
        now(),
    );
    assert!(next(&policy, &unheard, &healthy(), |_| None, now()).is_empty());
    // Who denied it knows.
    let denied = status(json!({"proposals": [proposal("Denied", "r")]}));
    assert!(rows_of(&[waiting("r")], &denied).is_empty());
}

#[test]
fn nothing_is_reported_as_ended_that_may_not_have_ended() {
    let policy = policy(BOTH);
    let finding = |schema: &str, source: &str| {
        status(
            json!({"findings": [{"source": "Postgres prod", "sourceId": source, "schemaId": schema, "cause": "Stuck",
            "severity": "Error", "confidence": "High", "message": "m", "nextAction": "n"}]}),
        )
    };
    let tried_again = status(json!({"incidents": [incident("Reloading", NOW)]}));
    let cut_off = status(json!({"findingsTruncated": 3}));
    let executing = status(json!({"proposals": [proposal("Executing", "r")]}));
    for (before, then) in [
        (escalated(), tried_again),
        (escalated(), finding("t1", "s1")),
        (escalated(), finding("", "s1")),
        (escalated(), finding("", "")),
        (escalated(), cut_off),
        (waiting("r"), executing),
        (open_breaker(NOW), open_breaker("2026-10-01T05:00:00Z")),
    ] {
        let notified = after(&policy, std::slice::from_ref(&before));
        assert_eq!(
            next(&policy, &notified, &then, |_| None, now()),
            notified,
            "{then:?}"
        );
    }
    let notified = after(&policy, &[escalated()]);
    let other = next(&policy, &notified, &finding("t2", "s1"), |_| None, now());
    assert_eq!(rows(&other), [(Occasion::Recovered, 1, 0)]);
}

#[test]
fn given_up_messages_are_sent_once_the_receiver_works_again_or_its_secret_changed() {
    let policy = policy("[{type: Slack, secretRef: {name: s, key: url}}]");
    let first = next(
        &policy,
        &Announced::default(),
        &escalated(),
        |_| None,
        now(),
    );
    let (id, channel) = (&first.announcements[0].id, &first.announcements[0].owed[0]);
    let mut failed = first.clone();
    take_note(&mut failed, id, channel, &gave_up("1"));
    assert_eq!(
        (rows(&failed), failed.failing.len()),
        (vec![(Occasion::Escalated, 0, 0)], 1)
    );
    let same = |_: &str| Some("1".to_owned());
    assert_eq!(next(&policy, &failed, &escalated(), same, now()), failed);
    assert_eq!(
        next(&policy, &failed, &escalated(), |_| None, now()),
        failed
    );
    let other = |_: &str| Some("2".to_owned());
    assert_eq!(next(&policy, &failed, &escalated(), other, now()), first);
    // Another message is taken: it works again.
    let mut both = escalated();
    both.proposals = waiting("r").proposals;
    let mut more = next(&policy, &failed, &both, same, now());
    let asked = more.announcements[1].id.clone();
    take_note(&mut more, &asked, channel, &Delivery::Notified);
    assert!(more.failing.is_empty());
    assert_eq!(more.announcements[0].owed, std::slice::from_ref(channel));
}

#[test]
fn a_receiver_that_is_no_longer_named_is_forgotten() {
    let notified = after(&policy(BOTH), &[escalated()]);
    let fewer = policy("[{type: Slack, secretRef: {name: s, key: url}}]");
    assert_eq!(
        rows(&next(&fewer, &notified, &escalated(), |_| None, now())),
        [(Occasion::Escalated, 0, 1)]
    );
    assert!(next(&policy("[]"), &notified, &escalated(), |_| None, now()).is_empty());
}

#[test]
fn no_more_is_remembered_than_fits() {
    let many: Vec<Value> = (0..200)
        .map(|number| {
            let mut one = incident("Escalated", NOW);
            one["schemaId"] = json!(format!("t{number}"));
            one
        })
        .collect();
    let many = status(json!({"incidents": many}));
    let policy = policy(BOTH);
    let announced = after(&policy, &[many.clone(), many]);
    assert_eq!(announced.announcements.len(), MAX_ANNOUNCEMENTS);
    let bytes = serde_json::to_vec(&announced).unwrap().len();
    assert!(bytes < 32 * 1024, "{bytes}");
}

pub(super) fn channel(policy: &ValidatedPolicy, number: usize, url: &str) -> Channel {
    let held = |value: &str| SecretValue {
        value: SecretString::from(value.to_owned()),
        version: "1".into(),
    };
    let key = held("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    let hosts = HostList::new(&["hooks.example".into()], false);
    let notification = &policy.notifications[number];
    channel::open(notification, "n", &held(url), Some(&key), &hosts).unwrap()
}

fn messages(status: &WarehouseSyncPolicyStatus) -> Vec<Message> {
    let policy = policy(BOTH);
    let mut status = status.clone();
    status.state.announced = next(&policy, &Announced::default(), &status, |_| None, now());
    let mut channels = Channels::default();
    let slack = channel(&policy, 0, "https://hooks.example/x");
    channels.add(&policy.notifications[0], Ok(slack));
    channels.add(&policy.notifications[1], Err("no label".into()));
    let owed = message::owed(&policy, &status, &channels);
    owed.into_iter()
        .map(|(message, _)| (*message).clone())
        .collect()
}

#[test]
fn a_cloud_event_says_what_waits_and_how_to_answer() {
    let message = &messages(&waiting("Cannot convert value to int64"))[0];
    let event = cloud_event::compose(message, 0);
    let expected = json!({
        "specversion": "1.0",
        "id": message.id,
        "source": "/apis/warehousesync.dev/v1alpha1/namespaces/n/warehousesyncpolicies/p",
        "type": "dev.warehousesync.approval-required",
        "subject": "Postgres prod public.orders",
        "time": NOW,
        "datacontenttype": "application/json",
        "data": {
            "policy": "p",
            "namespace": "n",
            "host": "https://us.posthog.com",
            "projectId": 12345,
            "source": "Postgres prod",
            "sourceId": "s1",
            "schema": "public.orders",
            "schemaId": "t1",
            "cause": "DataTypeMismatch",
            "message": "Cannot convert value to int64",
            "nextAction": "Approve or deny it with one of the commands. The operator does nothing about it until then.",
            "proposal": {
                "id": "rs-abcdefghijklmnopqrstuvwxyz",
                "action": "Resync",
                "steps": ["wipe public.orders", "import it again"],
                "losesData": "Yes",
                "cost": "1,000 rows are imported again.",
                "expiresAt": "2026-10-08T00:00:00Z",
                "approveCommand": waiting("").proposals[0].approve_command,
                "denyCommand": "kubectl annotate wsp p -n n --field-manager=wsp-approve deny.warehousesync.dev/rs-abcdefghijklmnopqrstuvwxyz='the reason'",
            },
        },
    });
    assert_eq!(event, expected);
    assert_eq!(cloud_event::compose(message, 3)["data"]["heldBack"], 3);
}

#[test]
fn an_escalation_and_a_breaker_say_what_happened_and_what_a_person_does() {
    let event = cloud_event::compose(&messages(&escalated())[0], 0);
    assert_eq!(event["type"], "dev.warehousesync.escalated");
    assert_eq!(
        event["data"]["message"],
        "job 7 hangs too, after 3 attempts"
    );
    assert_eq!(event["data"]["cause"], "Stuck");
    let event = cloud_event::compose(&messages(&open_breaker(NOW))[0], 0);
    assert_eq!(event["subject"], "project 12345");
    assert_eq!(event["data"]["message"], "3 of 4 sources failed");
    let next = event["data"]["nextAction"].as_str().unwrap();
    assert!(next.contains("one trial after 30m"), "{next}");
}

#[test]
fn slack_gets_the_commands_in_blocks_of_code_and_nothing_of_posthogs_text_is_markup() {
    let hostile =
        "<!channel> <@U1> <https://evil.example|click> & ```run``` \u{202e}phx_9f8e7d6c5b4a";
    let message = slack::message(&messages(&waiting(hostile))[0], 0);
    let text = message.to_string();
    for markup in ["<!", "<@", "<http", "phx_9f8e", "\u{202e}"] {
        assert!(!text.contains(markup), "{text}");
    }
    assert!(
        text.contains("&lt;!channel&gt; &lt;@U1&gt;") && text.contains("'''run'''"),
        "{text}"
    );
    let blocks: Vec<&str> = message["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|block| block["text"]["text"].as_str())
        .collect();
    assert_eq!(blocks[0], "Approval required: Postgres prod public.orders");
    let approve = waiting("").proposals[0].approve_command.clone();
    assert!(
        blocks.contains(&format!("To approve:\n```{approve}```").as_str()),
        "{blocks:#?}"
    );
    assert!(blocks.iter().any(|block| block.starts_with(
        "To deny:\n```kubectl annotate wsp p -n n --field-manager=wsp-approve deny."
    )));
    assert!(
        blocks
            .iter()
            .any(|block| block.starts_with("*Cost* (data is lost): "))
    );
    assert_eq!(message["mrkdwn"], false);
    assert_eq!(message["unfurl_links"], false);
}

#[test]
fn no_text_is_longer_than_slack_takes() {
    let mut status = waiting(&"&".repeat(3_000));
    let long = "&".repeat(3_000);
    status.proposals[0].steps = vec![long.clone(); 6];
    status.proposals[0].impact.cost.clone_from(&long);
    status.proposals[0].target.schema = long.clone();
    status.proposals[0].target.source = long;
    let message = slack::message(&messages(&status)[0], 0);
    for block in message["blocks"].as_array().unwrap() {
        let most = if block["type"] == "header" {
            150
        } else {
            3_000
        };
        let text = block["text"]["text"].as_str().unwrap_or_default();
        assert!(text.chars().count() <= most, "{text}");
    }
}

#[test]
fn the_number_of_waiting_messages_is_shown() {
    let message = &messages(&waiting("r"))[0];
    let text = slack::message(message, 7).to_string();
    assert!(text.contains("7 more follow, one at a time"), "{text}");
    assert!(
        !slack::message(message, 0)
            .to_string()
            .contains("more follow")
    );
}

#[test]
fn between_two_attempts_of_an_incident_nothing_is_announced() {
    let mut status = escalated();
    let policy = policy(BOTH);
    let announced = next(&policy, &Announced::default(), &status, |_| None, now());
    status.incidents[0].step = crate::api::status::Step::Reloading;
    status.incidents[0].step_since = now() + SignedDuration::from_mins(1);
    status.state.announced = next(&policy, &announced, &status, |_| None, now());
    let owed: Vec<&Announcement> = status.state.announced.announcements.iter().collect();
    assert_eq!(owed.len(), 1);
    let mut channels = Channels::default();
    channels.add(
        &policy.notifications[0],
        Ok(channel(&policy, 0, "https://hooks.example/x")),
    );
    assert!(message::owed(&policy, &status, &channels).is_empty());
}
