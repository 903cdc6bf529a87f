//! A person's denial always wins: a denial that was seen once, and a deletion, stop an approved action, even if a read failed.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use posthog_simulator::{Fault as SimFault, FaultKind};
use warehouse_sync_operator::{
    api::proposal::{Phase, Proposal},
    observe::ApprovalGuard,
};

use crate::{cluster::guard, faults::Faults, world::World};

const WRONG_TYPE: &str = "
sources: [{type: Postgres, prefix: prod, schemas: [
  {name: a, status: Failed, rows: 70, last_synced_ago: 40h, last_run_ago: 2h, frequency: 30day,
   latest_error: 'Source column type changed: amount was int64 and is now string', then: {completes: {after: 5m, rows: 70}}},
  {name: z, frequency: 30day, last_synced_ago: 1h}]}]";

/// Nothing is sent in the first two hours.
const CLOSED: &str = "mode: Enforce, interval: 5m, remediation: {windows: [{kind: Deny, schedule: '0 0 1 10 *', duration: 2h}]}";

type Change = fn(&World);

/// What keeps a reconcile from reading all that it needs, and how that ends.
const HINDRANCES: [(&str, Change, Change); 5] = [
    (
        "PostHog answers 502",
        |world| fault(world, bad_gateway()),
        clear,
    ),
    (
        "PostHog does not answer",
        |world| fault(world, FaultKind::CutBefore),
        clear,
    ),
    (
        "the Secret of the key is missing",
        |world| world.cluster.lose_api_key(true),
        |world| world.cluster.lose_api_key(false),
    ),
    (
        "the Secret of the key cannot be asked for",
        |world| world.cluster.fail_secrets(true),
        |world| world.cluster.fail_secrets(false),
    ),
    (
        "the guard is not in effect",
        |world| {
            let broken = ApprovalGuard::broken("somebody took it away");
            world.cluster.set_approval_guard(broken);
        },
        |world| world.cluster.set_approval_guard(guard(1)),
    ),
];

fn fault(world: &World, kind: FaultKind) {
    let mut posthog = world.simulator.lock().unwrap();
    posthog.add_fault(SimFault::always(kind));
}

fn bad_gateway() -> FaultKind {
    FaultKind::Status {
        status: 502,
        body: None,
        headers: BTreeMap::new(),
        after_effect: false,
    }
}

fn clear(world: &World) {
    world.simulator.lock().unwrap().clear_faults();
}

fn run(world: &mut World, minutes: i64) {
    world.run_for(SignedDuration::from_mins(minutes));
}

fn only(world: &World) -> Proposal {
    world.status().proposals.first().unwrap().clone()
}

fn resyncs(world: &World) -> usize {
    world.simulator.lock().unwrap().count("POST", "/resync/")
}

/// A resync that was approved, and that a window holds back.
fn approved() -> World {
    let mut world = World::new(WRONG_TYPE, CLOSED, Faults::default());
    run(&mut world, 20);
    let key = format!("approve.warehousesync.dev/{}", only(&world).id);
    world.cluster.annotate(&key, Some("anna"));
    run(&mut world, 10);
    assert_eq!(only(&world).phase, Phase::Approved);
    world
}

#[test]
fn a_denial_is_valid_once_seen_even_if_a_read_fails_later() {
    for (what, begins, ends) in HINDRANCES {
        for restarts in [false, true] {
            let mut world = approved();
            let id = only(&world).id;
            let key = format!("deny.warehousesync.dev/{id}");
            begins(&world);
            run(&mut world, 10);
            world.cluster.annotate(&key, Some("not now"));
            run(&mut world, 10);
            world.cluster.annotate(&key, None);
            if restarts {
                world.restart();
            }
            run(&mut world, 10);
            ends(&world);
            run(&mut world, 3 * 60);
            let row = only(&world);
            assert_eq!(
                (&row.id, row.phase),
                (&id, Phase::Denied),
                "{what}: {row:#?}"
            );
            assert!(row.message.contains("not now"), "{what}: {}", row.message);
            assert_eq!(resyncs(&world), 0, "{what}");
            assert_eq!(world.status().proposals.len(), 1, "{what}: proposed again");
        }
    }
}

#[test]
fn a_denial_of_an_unapproved_proposal_is_valid_too() {
    for (what, begins, ends) in HINDRANCES {
        let mut world = World::new(WRONG_TYPE, CLOSED, Faults::default());
        run(&mut world, 20);
        let id = only(&world).id;
        begins(&world);
        run(&mut world, 10);
        let key = format!("deny.warehousesync.dev/{id}");
        world.cluster.annotate(&key, Some("never"));
        run(&mut world, 10);
        world.cluster.annotate(&key, None);
        ends(&world);
        run(&mut world, 60);
        let row = only(&world);
        assert_eq!((row.id, row.phase), (id, Phase::Denied), "{what}");
    }
}

#[test]
fn nothing_is_sent_for_a_policy_that_is_being_deleted() {
    let mut world = approved();
    world.cluster.edit(|policy| {
        policy.metadata.finalizers = Some(vec!["example.com/keeps".to_owned()]);
        policy.metadata.deletion_timestamp = policy.metadata.creation_timestamp.clone();
    });
    run(&mut world, 4 * 60);
    let row = only(&world);
    assert_eq!(resyncs(&world), 0, "{row:#?}");
    assert_ne!(row.phase, Phase::Executed);
    let status = world.status();
    let allowed = status.condition("RemediationAllowed").unwrap();
    assert_eq!(
        (allowed.status.as_str(), allowed.reason.as_str()),
        ("False", "Suspended")
    );
    assert!(
        allowed.message.contains("is being deleted"),
        "{}",
        allowed.message
    );
}

#[test]
fn nothing_is_proposed_for_a_policy_that_is_being_deleted() {
    let mut world = World::new(WRONG_TYPE, CLOSED, Faults::default());
    world.cluster.edit(|policy| {
        policy.metadata.finalizers = Some(vec!["example.com/keeps".to_owned()]);
        policy.metadata.deletion_timestamp = policy.metadata.creation_timestamp.clone();
    });
    run(&mut world, 60);
    assert!(world.status().proposals.is_empty());
    let next = world.status().findings[0].next_action.clone();
    assert!(next.contains("is being deleted"), "{next}");
}

#[test]
fn a_service_account_is_no_person() {
    let mut world = World::new(WRONG_TYPE, CLOSED, Faults::default());
    run(&mut world, 20);
    let key = format!("approve.warehousesync.dev/{}", only(&world).id);
    let account = "system:serviceaccount:flux-system:kustomize-controller";
    world.cluster.annotate(&key, Some(account));
    run(&mut world, 10);
    let seen = only(&world).approval.unwrap();
    assert_eq!((seen.by.as_str(), seen.verified), (account, false));
}
