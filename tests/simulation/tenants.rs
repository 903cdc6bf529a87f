//! What a policy of one tenant cannot do to another's.

use std::sync::Arc;

use futures::FutureExt as _;
use jiff::SignedDuration;
use serde_json::json;
use warehouse_sync_operator::{
    api::{
        ValidatedPolicy,
        validated::{PolicyRef, Project},
    },
    controller::as_other_policy::as_other_policy,
    observe::{Observer, OtherPolicy, observer::MostTables},
    posthog::{ApiKey, quota::Purpose, visible::is_visible},
};

use crate::{
    cluster::KEY,
    faults::Faults,
    transport::SimTransport,
    world::{World, policy, start},
};

const WRONG_TYPE: &str = "
sources: [{type: Postgres, prefix: prod, schemas: [
  {name: a, status: Failed, rows: 70, last_synced_ago: 40h, last_run_ago: 2h, frequency: 30day,
   latest_error: 'Source column type changed: amount was int64 and is now string', then: {completes: {after: 5m, rows: 70}}},
  {name: z, frequency: 30day, last_synced_ago: 1h}]}]";

/// A policy in another namespace, older than that of the simulation, with this status.
fn older(status: serde_json::Value) -> OtherPolicy {
    let mut other = policy("mode: Enforce, interval: 5m");
    other.metadata.namespace = Some("elsewhere".to_owned());
    other.metadata.uid = Some("u0".to_owned());
    other.metadata.creation_timestamp =
        serde_json::from_value(json!("2025-01-01T00:00:00Z")).unwrap();
    other.status = serde_json::from_value(status).unwrap();
    Arc::unwrap_or_clone(as_other_policy(&other).unwrap().1)
}

fn ready(status: &str, reason: &str, since: &str) -> serde_json::Value {
    json!([{"type": "Ready", "status": status, "reason": reason, "message": "", "lastTransitionTime": since}])
}

#[test]
fn a_policy_that_does_not_read_the_project_itself_owns_nothing() {
    let now = "2026-10-01T00:00:00Z";
    for (what, status, blocks) in [
        ("it was never looked at", json!(null), false),
        (
            "it has no key",
            json!({"conditions": ready("False", "SecretMissing", now)}),
            false,
        ),
        (
            "its key was refused an hour ago",
            json!({"lastCheckedAt": "2026-09-30T23:00:00Z", "conditions": ready("False", "KeyRefused", "2026-09-30T23:00:00Z")}),
            false,
        ),
        (
            "it has not been read for a day",
            json!({"lastCheckedAt": "2026-09-30T00:00:00Z", "conditions": ready("True", "Polled", "2026-09-01T00:00:00Z")}),
            false,
        ),
        (
            "it reads",
            json!({"lastCheckedAt": now, "conditions": ready("True", "Polled", "2026-09-01T00:00:00Z")}),
            true,
        ),
        (
            "it reads, and its last write was nearly an hour ago",
            json!({"lastCheckedAt": "2026-09-30T23:05:00Z", "conditions": ready("True", "Polled", "2026-09-01T00:00:00Z")}),
            true,
        ),
        (
            "it reads with a key that may only read",
            json!({"lastCheckedAt": now, "conditions": [
                {"type": "Ready", "status": "True", "reason": "Polled", "message": "", "lastTransitionTime": now},
                {"type": "RemediationAllowed", "status": "False", "reason": "KeyLacksWriteScope", "message": "", "lastTransitionTime": now},
            ]}),
            false,
        ),
    ] {
        let mut world = World::new(WRONG_TYPE, "mode: Enforce, interval: 5m", Faults::default());
        world.cluster.set_other_policies(vec![older(status)]);
        world.run_for(SignedDuration::from_mins(20));
        let proposed = world.status().proposals.len();
        assert_eq!(proposed, usize::from(!blocks), "{what}");
        let next = world.status().findings[0].next_action.clone();
        let says = "a policy in another namespace owns";
        assert_eq!(next.contains(says), blocks, "{what}: {next}");
    }
}

#[test]
fn a_policy_that_fails_to_read_keeps_what_it_owns_for_some_minutes() {
    let failing = json!({
        "lastCheckedAt": "2026-09-30T23:59:00Z",
        "conditions": ready("False", "PollFailed", "2026-10-01T00:00:00Z"),
    });
    let mut world = World::new(WRONG_TYPE, "mode: Enforce, interval: 5m", Faults::default());
    world.cluster.set_other_policies(vec![older(failing)]);
    world.run_for(SignedDuration::from_mins(10));
    assert!(world.status().proposals.is_empty());
    world.run_for(SignedDuration::from_mins(20));
    assert_eq!(world.status().proposals.len(), 1);
}

/// A table that is reloaded after a failure of a network, and copies of its source.
fn failing(copies: usize) -> String {
    format!(
        "sources: [{{type: Postgres, prefix: prod, copies: {copies}, schemas: [{{name: a, frequency: 30day, last_synced_ago: 40h, \
         run: {{started_ago: 10s, fails: {{after: 20s, rows: 0, error: Connection reset by peer}}}}, \
         then: {{completes: {{after: 1m, rows: 5}}}}}}]}}]"
    )
}

/// When the failing table was reloaded, next to other projects with this many failing sources each.
fn reloaded_after(others: &[usize]) -> SignedDuration {
    let spec = "mode: Enforce, interval: 1m, health: {failing: {for: 1m}}";
    let project = |id| Project {
        id,
        ..ValidatedPolicy::new(&policy(spec)).unwrap().project
    };
    let mut world = World::new(&failing(1), spec, Faults::default());
    let mut tenants: Vec<World> = others
        .iter()
        .map(|copies| World::new(&failing(*copies), spec, Faults::default()))
        .collect();
    while world.count("reload") == 0 && world.now() < start() + SignedDuration::from_hours(2) {
        for (tenant, id) in tenants.iter_mut().zip(1..) {
            tenant.run_for(SignedDuration::from_mins(1));
            let seen = tenant.everywhere().but(&project(0), tenant.now());
            world.everywhere().note(&project(id), seen, world.now());
        }
        world.run_for(SignedDuration::from_mins(1));
    }
    world.now().duration_since(start())
}

#[test]
fn the_sources_of_a_project_weigh_as_one_for_the_breaker_of_another() {
    let alone = reloaded_after(&[]);
    assert!(alone < SignedDuration::from_mins(25), "{alone}");
    assert_eq!(reloaded_after(&[40]), alone);
    // An outage of the host is still one: projects count, however small they are.
    let outage = reloaded_after(&[1, 40, 1]);
    assert!(outage > alone + SignedDuration::from_mins(15), "{outage}");
}

#[test]
fn names_that_hide_characters_are_shown_with_them_escaped() {
    let hidden = [
        "\\u061C",
        "\\u00AD",
        "\\U000E0041",
        "\\u202E",
        "\\uFE0F",
        "\\u2028",
    ];
    let scenario = WRONG_TYPE
        .replace(
            "name: a,",
            &format!("name: \"a{}b größe_注文\",", hidden.concat()),
        )
        .replace(
            "Cannot convert",
            &format!("\"{} Cannot convert", hidden.concat()),
        )
        .replace("int64,", "int64\",");
    let mut world = World::new(&scenario, "mode: Enforce, interval: 5m", Faults::default());
    world.run_for(SignedDuration::from_mins(20));
    let status = world.status();
    assert_eq!(status.proposals.len(), 1, "{:#?}", status.findings);
    let finding = &status.findings[0];
    assert_eq!(
        finding.schema,
        r"a\u{61c}\u{ad}\u{e0041}\u{202e}\u{fe0f}\u{2028}b größe_注文"
    );
    let notes = world.cluster.events();
    assert!(!notes.is_empty());
    let texts = notes.iter().map(|notice| notice.note.clone());
    for text in texts.chain([serde_json::to_string(&status).unwrap()]) {
        assert!(text.chars().all(is_visible), "{text:?}");
    }
}

#[test]
fn projects_that_cannot_be_read_take_no_room_from_others() {
    let scenario = "{other_projects: [777], sources: [
        {type: Postgres, prefix: large, schemas: [{name: t, copies: 11, last_synced_ago: 1h}]},
        {type: Postgres, prefix: small, project: 777, schemas: [{name: t, copies: 3, last_synced_ago: 1h}]}]}";
    let world = World::new(scenario, "interval: 5m", Faults::default());
    let transport = SimTransport {
        simulator: world.simulator.clone(),
        faults: world.faults.clone(),
    };
    let observer = Observer::new(Arc::new(transport), Arc::new(start)).keeping(MostTables {
        of_project: 20,
        in_all: 12,
    });
    let project = ValidatedPolicy::new(&policy("interval: 5m"))
        .unwrap()
        .project;
    let poll = |id: i64| {
        let at = PolicyRef {
            namespace: "n".into(),
            name: id.to_string().into(),
        };
        let project = Project {
            id,
            ..project.clone()
        };
        let view = observer.project(&at, &project, ApiKey::new(KEY.as_bytes()).unwrap());
        let polled = view.poll(SignedDuration::ZERO, Purpose::Poll);
        polled.now_or_never().unwrap().listed.is_ok()
    };
    assert!(poll(12345));
    for unreadable in 1000..1030 {
        assert!(!poll(unreadable));
    }
    // It has less than half of what all may have.
    assert!(poll(777));
    assert!(!poll(12345), "it has more");
}
