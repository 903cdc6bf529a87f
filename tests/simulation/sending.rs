//! What stops a call after the decision and before it is sent: nothing is sent twice, nor for a reason that no longer holds.

use jiff::SignedDuration;
use posthog_simulator::{Fault as SimFault, FaultKind, Simulator};
use warehouse_sync_operator::api::{WarehouseSyncPolicyStatus, proposal::Proposal, status::Fate};

use crate::{
    alive,
    faults::{Fault, Faults},
    fleet::Fleet,
    scenarios::{ENFORCE, FAILED, JOB_SURVIVES, STUCK},
    world::World,
};

const A_RECONCILE: SignedDuration = SignedDuration::from_secs(1);

fn simulator<A>(world: &World, change: impl FnOnce(&mut Simulator) -> A) -> A {
    change(&mut world.simulator.lock().unwrap())
}

/// Right before the reconcile that first sends `call`.
fn before(call: &str, scenario: &str, faults: Faults) -> World {
    let mut model = World::new(scenario, ENFORCE, Faults::default());
    let mut passes = 0;
    while model.count(call) == 0 {
        model.run_for(A_RECONCILE);
        passes += 1;
    }
    let mut world = World::new(scenario, ENFORCE, faults);
    for _ in 1..passes {
        world.run_for(A_RECONCILE);
    }
    world
}

/// The runs of this table cannot be listed from now on.
fn hide_runs(world: &World, table: &str) {
    let mut hidden = SimFault::always(FaultKind::CutBefore);
    hidden.matches.path_contains = Some(format!("/jobs/?schemas={table}"));
    simulator(world, |posthog| posthog.add_fault(hidden));
}

#[test]
fn a_cancel_is_sent_at_once_and_never_again_for_the_same_job_although_status_has_lost_it() {
    let mut world = before("cancel", JOB_SURVIVES, Faults::default());
    world.reconcile();
    assert_eq!(world.count("cancel"), 1);
    let lost = WarehouseSyncPolicyStatus::default();
    world.cluster.edit(|policy| policy.status = Some(lost));
    world.run_for(SignedDuration::from_hours(20));
    assert_eq!(world.count("cancel"), 1);
    let status = serde_json::to_string(&world.status()).unwrap();
    let said = "not cancelled again: this run was cancelled before (guard Facts)";
    assert!(status.contains(said), "{status}");
}

#[test]
fn a_cancel_that_did_not_leave_is_sent_later_and_so_is_its_reload() {
    let mut world = before("cancel", STUCK, Faults::default());
    // After the intent.
    world.faults.plan_ahead(1, Fault::NotSent);
    world.reconcile();
    assert_eq!(world.count("cancel"), 0);
    let sends = world.status().incidents[0].sends.clone();
    assert_eq!(sends[0].fate, Some(Fate::NotSent));
    world.run_for(SignedDuration::from_hours(1));
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 1));
}

#[test]
fn nothing_is_cancelled_while_the_run_that_proves_that_posthog_works_is_not_listed() {
    let mut world = before("cancel", STUCK, Faults::default());
    hide_runs(&world, "public.heartbeat");
    world.run_for(SignedDuration::from_mins(10));
    assert_eq!(world.count("cancel"), 0);
    let status = serde_json::to_string(&world.status()).unwrap();
    assert!(
        status.contains("is currently not listed (guard Facts)"),
        "{status}"
    );
    simulator(&world, Simulator::clear_faults);
    world.run_for(SignedDuration::from_mins(10));
    assert_eq!(world.count("cancel"), 1);
}

#[test]
fn nor_is_a_run_of_which_a_person_approved_the_cancel() {
    let (mut world, proposal): (World, Proposal) = alive::proposed("{phase: queued}");
    let key = format!("approve.warehousesync.dev/{}", proposal.id);
    world.cluster.annotate(&key, Some("anna"));
    hide_runs(&world, "canary");
    world.run_for(SignedDuration::from_mins(10));
    assert_eq!(world.count("cancel"), 0);
    let said = world.status().proposals[0].message.clone();
    assert!(
        said.contains("is currently not listed (guard Facts)"),
        "{said}"
    );
    simulator(&world, Simulator::clear_faults);
    world.run_for(SignedDuration::from_mins(10));
    assert_eq!(world.count("cancel"), 1);
}

#[test]
fn nothing_is_sent_if_the_intent_took_so_long_that_the_reads_are_stale() {
    let mut world = before("reload", FAILED, Faults::default());
    world.faults.plan_ahead(0, Fault::TakesAMinute);
    world.reconcile();
    assert_eq!(world.count("reload"), 0);
    let send = world.status().incidents[0].sends[0].clone();
    assert_eq!(send.fate, Some(Fate::NotSent));
    assert!(send.detail.contains("read too long ago"), "{}", send.detail);
    world.run_for(SignedDuration::from_mins(30));
    assert_eq!(world.count("reload"), 1);
}

#[test]
fn a_reconcile_that_loses_leadership_after_a_call_intends_nothing_more() {
    let other = "\n  - prefix: other\n    schemas: [{name: b, status: Failed, frequency: 30day, last_synced_ago: 9h, last_run_ago: 4h, \
        latest_error: 'server closed the connection unexpectedly'}]\n";
    let two = format!("{}{other}", FAILED.trim_end());
    let mut world = before("reload", &two, Faults::default());
    let done = world.faults.effects().len();
    world.faults.plan_ahead(1, Fault::ClaimRunsOut);
    world.reconcile_as_leader();
    // The outcome is still written.
    assert_eq!(
        world.faults.effects()[done..],
        ["status", "reload", "status"]
    );
    world.restart();
    world.faults.take_ran_out();
    world.run_for(SignedDuration::from_hours(1));
    assert_eq!(world.count("reload"), 2);
}

/// The watches lag, so that each of two policies takes the table for its own.
#[test]
fn a_table_on_which_another_policy_of_this_process_acts_is_left_to_it() {
    let mut fleet = Fleet::with(FAILED, &[ENFORCE, ENFORCE], |_| 12345, true);
    let held = "another policy is acting on this table (guard Owner)";
    let said = (0..30).any(|_| {
        fleet.run_for(SignedDuration::from_mins(1));
        let statuses = [0, 1].map(|number| serde_json::to_string(&fleet.status(number)).unwrap());
        statuses.iter().any(|status| status.contains(held))
    });
    assert!(said, "{:#?}", fleet.status(1));
    let reloads = fleet.simulator.lock().unwrap().count("POST", "/reload/");
    assert_eq!(reloads, 1);
}
