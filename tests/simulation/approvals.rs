//! From a person's answer to the end of the approved action: exactly that runs, and at most once.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use posthog_simulator::{EffectKind, Fault as SimFault, FaultKind, SchemaSpec, Simulator, Status};
use serde_json::json;
use warehouse_sync_operator::{
    api::{
        policy::{Mode, Proposing},
        proposal::{Phase, Proposal, ProposedAction},
        status::RootCause,
    },
    controller::as_other_policy::as_other_policy,
    observe::{ApprovalGuard, OtherPolicy},
};

use crate::{
    cluster::guard,
    faults::{Fault, Faults},
    other_policies::{older, younger},
    world::World,
};

const ENFORCE: &str = "mode: Enforce, interval: 5m";
const DRIFT: &str = "column \\\"updated_at\\\" does not exist";
const GONE: &str = "relation \\\"a\\\" does not exist";
const NO_KEY: &str = "Primary key required for incremental syncs";
const DUPLICATES: &str = "The primary keys for this table are not unique";
const WRONG_TYPE: &str = "Source column type changed: amount was int64 and is now string";

/// A table that failed, and one that did not.
fn failed(text: &str, extra: &str) -> String {
    format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{{name: a, status: Failed, rows: 70, last_synced_ago: 40h, last_run_ago: 2h, \
         frequency: 30day, latest_error: \"{text}\", then: {{completes: {{after: 5m, rows: 70}}}}{extra}}}, {{name: z, frequency: 30day, last_synced_ago: 1h}}]}}]"
    )
}

fn wrong_type() -> String {
    failed(WRONG_TYPE, "")
}

fn drifted() -> String {
    failed(
        DRIFT,
        ", incremental_fields: {incremental_fields: [{field: modified_at, field_type: timestamp}], available_columns: [{field: id}]}",
    )
}

fn duplicates() -> String {
    failed(
        DUPLICATES,
        ", primary_key_columns: [id], incremental_fields: {detected_primary_keys: [a, b], available_columns: [{field: a}, {field: b}]}",
    )
}

fn no_key() -> String {
    failed(
        NO_KEY,
        ", primary_key_columns: null, incremental_fields: {detected_primary_keys: [id]}",
    )
}

fn world(scenario: &str) -> World {
    let mut world = World::new(scenario, ENFORCE, Faults::default());
    run(&mut world, 20);
    world
}

fn run(world: &mut World, minutes: i64) {
    world.run_for(SignedDuration::from_mins(minutes));
}

fn simulator<A>(world: &World, change: impl FnOnce(&mut Simulator) -> A) -> A {
    change(&mut world.simulator.lock().unwrap())
}

fn change(world: &World, name: &str, change: impl FnOnce(&mut SchemaSpec)) {
    let id = world.schema_id(name);
    simulator(world, |posthog| posthog.change_schema(&id, change).unwrap());
}

/// The table has failed, with this error.
fn says(world: &World, name: &str, error: &str) {
    let id = world.schema_id(name);
    let failed = Some(Status::Failed);
    simulator(world, |posthog| {
        posthog.set_status(&id, failed, Some(error)).unwrap();
    });
}

fn proposals(world: &World) -> Vec<Proposal> {
    world.status().proposals
}

fn newest(world: &World) -> Proposal {
    let proposals = proposals(world);
    let newest = proposals.last();
    newest
        .unwrap_or_else(|| panic!("{:#?}", world.status().findings))
        .clone()
}

fn by_id(world: &World, id: &str) -> Proposal {
    let proposals = proposals(world);
    proposals.into_iter().find(|row| row.id == id).unwrap()
}

fn approve(world: &World) -> Proposal {
    let proposal = newest(world);
    assert_eq!(proposal.phase, Phase::AwaitingApproval, "{proposal:#?}");
    approve_as(world, &proposal.id, "anna");
    proposal
}

fn approve_as(world: &World, id: &str, by: &str) {
    let key = format!("approve.warehousesync.dev/{id}");
    world.cluster.annotate(&key, Some(by));
}

fn deny(world: &World, id: &str, why: &str) {
    let key = format!("deny.warehousesync.dev/{id}");
    world.cluster.annotate(&key, Some(why));
}

fn effects(world: &World, kind: EffectKind) -> usize {
    simulator(world, |posthog| posthog.effects_of(kind).len())
}

fn requests(world: &World, method: &str, path: &str) -> usize {
    simulator(world, |posthog| posthog.count(method, path))
}

/// PostHog still loads what an older run has read; a wipe would come in between.
#[test]
fn nothing_is_wiped_while_an_older_run_of_the_table_is_in_progress() {
    let older = ", earlier_runs: [{pipeline: v3, started_ago: 3h, start: 0s, extract: 20h, rows: 90000, batches: 90, load_per_batch: 5m}]";
    let mut world = world(&failed(WRONG_TYPE, older));
    approve(&world);
    run(&mut world, 60);
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
}

// --- Each action, approved ------------------------------------------------------------------------------------------

#[test]
fn nothing_happens_before_the_approval_and_exactly_that_after_it() {
    let mut world = world(&wrong_type());
    run(&mut world, 120);
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
    let approved = approve(&world);
    run(&mut world, 30);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::Executed, "{done:#?}");
    assert_eq!(requests(&world, "POST", "/resync/"), 1);
    assert_eq!(effects(&world, EffectKind::TableWiped), 1);
    let seen = done.approval.as_ref().unwrap();
    assert_eq!((seen.by.as_str(), seen.verified), ("anna", true));
    let execution = done.execution.as_ref().unwrap();
    assert_eq!(
        (execution.rows_before, execution.rows_after),
        (Some(70), Some(70))
    );
    assert!(execution.observed_job.is_some() && execution.job_before != execution.observed_job);
    // Nothing in the proposal has changed, and the table is healthy.
    assert_eq!(done.material, approved.material);
    assert!(world.status().findings.is_empty(), "{:#?}", world.status());
    assert_eq!(world.status().summary.unwrap().pending_approval, 0);
}

#[test]
fn another_incremental_field_is_set_and_nothing_else() {
    let mut world = world(&drifted());
    let approved = approve(&world);
    run(&mut world, 10);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::Executed, "{done:#?}");
    assert_eq!(requests(&world, "PATCH", "/external_data_schemas/"), 1);
    run(&mut world, 200);
    assert_eq!(requests(&world, "PATCH", "/external_data_schemas/"), 1);
}

#[test]
fn data_is_deleted_the_key_set_and_the_table_reloaded_one_after_the_other() {
    let mut world = world(&duplicates());
    let approved = approve(&world);
    assert_eq!(approved.action, ProposedAction::DeleteData);
    run(&mut world, 40);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::Executed, "{done:#?}");
    assert_eq!(effects(&world, EffectKind::DataDeleted), 1);
    let id = world.schema_id("a");
    let order: Vec<String> = simulator(&world, |posthog| {
        let requests = posthog.requests().iter();
        requests
            .filter(|request| request.path.contains(&id) && request.method != "GET")
            .filter(|request| !request.path.ends_with("/incremental_fields/"))
            .map(|request| format!("{} {}", request.method, request.path.replace(&id, "ID")))
            .map(|request| request.split("external_data_schemas").collect::<String>())
            .collect()
    });
    let ends = ["DELETE", "PATCH", "POST"];
    assert_eq!(order.len(), 3, "{order:?}");
    for (request, begins) in order.iter().zip(ends) {
        assert!(request.starts_with(begins), "{order:?}");
    }
    assert!(order[0].ends_with("/ID/delete_data/") && order[2].ends_with("/ID/reload/"));
}

#[test]
fn a_first_key_is_set_and_the_table_reloaded() {
    let mut world = world(&no_key());
    let approved = approve(&world);
    run(&mut world, 40);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::Executed, "{done:#?}");
    assert_eq!(requests(&world, "DELETE", ""), 0);
    assert_eq!(world.count("reload"), 1);
}

#[test]
fn the_list_of_tables_is_reread() {
    let mut world = world(&failed(GONE, ", table_gone: true"));
    let approved = approve(&world);
    assert_eq!(approved.action, ProposedAction::RefreshSchemas);
    run(&mut world, 10);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::Executed, "{done:#?}");
    assert!(done.message.contains("deleted"), "{}", done.message);
    assert_eq!(requests(&world, "POST", "/refresh_schemas/"), 1);
}

#[test]
fn a_lost_slot_is_repaired_when_that_was_approved() {
    const SLOT_LOST: &str = "sources: [{type: Postgres, prefix: prod, cdc: {enabled: true, slot_exists: false}, schemas: [{name: t, sync_type: cdc, frequency: 1hour, rows: 5, last_synced_ago: 30m}]}]";
    let spec = "mode: Enforce, interval: 5m, health: {freshness: {maxAge: 90h}}";
    let mut world = World::new(SLOT_LOST, spec, Faults::default());
    run(&mut world, 200);
    let approved = approve(&world);
    assert_eq!(approved.action, ProposedAction::RepairCdc);
    run(&mut world, 200);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::Executed, "{done:#?}");
    assert_eq!(effects(&world, EffectKind::CdcRepaired), 1);
}

/// A source without its slot, of which table `t` is captured and `u` is synced by this method.
fn slot_lost(how: &str) -> String {
    format!(
        "sources: [{{type: Postgres, prefix: prod, cdc: {{enabled: true, slot_exists: false}}, schemas: [\
         {{name: t, sync_type: cdc, frequency: 1hour, rows: 5, last_synced_ago: 30m}}, \
         {{name: u, sync_type: {how}, frequency: 30day, rows: 2000000, last_synced_ago: 30m}}]}}]"
    )
}

#[test]
fn a_repair_that_would_reset_tables_that_the_policy_does_not_select_is_not_proposed() {
    let spec = "mode: Enforce, interval: 5m, selector: {schemas: {include: [t]}}, health: {freshness: {maxAge: 90h}}";
    for (how, proposed) in [("cdc", 0), ("incremental", 1)] {
        let mut world = World::new(&slot_lost(how), spec, Faults::default());
        run(&mut world, 200);
        let next = world.status().findings[0].next_action.clone();
        assert_eq!(proposals(&world).len(), proposed, "{how}: {next}");
        assert_eq!(next.contains("does not select"), proposed == 0, "{next}");
    }
}

#[test]
fn a_repair_that_was_approved_for_some_tables_resets_no_others() {
    let spec = "mode: Enforce, interval: 5m, health: {freshness: {maxAge: 90h}}";
    let mut world = World::new(&slot_lost("incremental"), spec, Faults::default());
    run(&mut world, 200);
    let approved = approve(&world);
    change(&world, "u", |table| table.sync_type = Some("cdc".into()));
    run(&mut world, 20);
    let row = by_id(&world, &approved.id);
    assert_eq!(row.phase, Phase::Superseded, "{row:#?}");
    assert_eq!(requests(&world, "POST", "/repair_cdc/"), 0);
    let again = newest(&world);
    assert_eq!(again.impact.rows, Some(2_000_005), "{again:#?}");
}

/// A proxy, or a version that is not known, answers 200 and says something else than PostHog does.
#[test]
fn a_200_that_says_that_nothing_was_done_is_no_proof_of_a_wipe() {
    for body in [
        json!({"success": false, "error": "the queue is full"}),
        json!({"type": "validation_error", "code": "invalid_input", "detail": "Monthly sync limit reached", "attr": null}),
        json!("<html><title>Sign in</title></html>"),
        json!([]),
    ] {
        let scenario = failed(WRONG_TYPE, ", schedule: true")
            .replace(
                "frequency: 30day, latest_error",
                "frequency: 1hour, latest_error",
            )
            .replace("rows: 70}}", "rows: 3}}");
        let mut world = World::new(&scenario, "mode: Enforce, interval: 5m", Faults::default());
        run(&mut world, 20);
        let kind = FaultKind::Status {
            status: 200,
            body: Some(body.clone()),
            headers: BTreeMap::new(),
            after_effect: false,
        };
        simulator(&world, |posthog| {
            posthog.add_fault(SimFault::once("POST", "/resync/", kind));
        });
        let approved = approve(&world);
        run(&mut world, 240);
        let row = by_id(&world, &approved.id);
        assert_eq!(row.phase, Phase::OutcomeUnknown, "{body}: {row:#?}");
        assert_eq!(requests(&world, "POST", "/resync/"), 1);
    }
}

#[test]
fn a_proposal_that_has_expired_is_not_approved_while_posthog_cannot_be_read() {
    let spec = "mode: Enforce, interval: 5m, approval: {expiresAfter: 1h}";
    let mut world = World::new(&wrong_type(), spec, Faults::default());
    run(&mut world, 20);
    let expired = newest(&world);
    simulator(&world, |posthog| {
        posthog.add_fault(SimFault::always(FaultKind::CutBefore));
    });
    run(&mut world, 90);
    approve_as(&world, &expired.id, "anna");
    run(&mut world, 10);
    simulator(&world, Simulator::clear_faults);
    run(&mut world, 30);
    let row = by_id(&world, &expired.id);
    assert_eq!(row.phase, Phase::Expired, "{row:#?}");
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
}

/// The API server forgets what came after a backup; the finding of a request is never over by itself.
#[test]
fn what_was_executed_is_not_executed_again_after_a_restore_of_the_api_server() {
    let mut world = world(&failed("", "").replace("status: Failed", "status: Completed"));
    let id = world.schema_id("a");
    let request = format!("request.warehousesync.dev/{id}");
    world.cluster.annotate(&request, Some("Resync"));
    run(&mut world, 10);
    let approved = approve(&world);
    let backup = world.cluster.object();
    run(&mut world, 60);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Executed);
    world.cluster.edit(|policy| *policy = backup);
    // Without the invariants: status no longer says that the call was approved.
    for _ in 0..10 {
        let wait = world.reconcile();
        simulator(&world, |posthog| posthog.advance(wait));
    }
    assert_eq!(requests(&world, "POST", "/resync/"), 1);
    let row = by_id(&world, &approved.id);
    assert!(row.message.contains("restored"), "{row:#?}");
}

/// The same, and the process that has sent the call is gone.
#[test]
fn what_was_executed_is_not_executed_again_after_a_restore_and_a_restart() {
    // A table that was deleted is another one, so that its proposal is replaced by one that waits.
    let resync = ("Resync", "/resync/", Phase::OutcomeUnknown);
    let delete = ("DeleteData", "/delete_data/", Phase::Superseded);
    for (action, path, phase) in [resync, delete] {
        for completes in [true, false] {
            let mut scenario = failed("", "").replace("status: Failed", "status: Completed");
            if !completes {
                scenario = scenario.replace(
                    "{completes: {after: 5m, rows: 70}}",
                    "{fails: {after: 1m, rows: 0, error: boom}}",
                );
            }
            let mut world = world(&scenario);
            let id = world.schema_id("a");
            let request = format!("request.warehousesync.dev/{id}");
            world.cluster.annotate(&request, Some(action));
            run(&mut world, 10);
            let approved = approve(&world);
            let backup = loop {
                let mut before = world.cluster.object();
                world.reconcile();
                if requests(&world, "POST", path) + requests(&world, "DELETE", path) > 0 {
                    // The approval is latched, and nothing is sent yet.
                    let status = before.status.as_mut().unwrap();
                    let row = status
                        .proposals
                        .iter_mut()
                        .find(|row| row.id == approved.id);
                    let row = row.unwrap();
                    row.phase = Phase::Approved;
                    row.approval = by_id(&world, &approved.id).approval;
                    break before;
                }
                simulator(&world, |posthog| {
                    posthog.advance(SignedDuration::from_mins(1));
                });
            };
            run(&mut world, 60);
            world.cluster.edit(|policy| *policy = backup);
            world.restart();
            for _ in 0..10 {
                let wait = world.reconcile();
                simulator(&world, |posthog| posthog.advance(wait));
            }
            let sent = requests(&world, "POST", path) + requests(&world, "DELETE", path);
            let row = by_id(&world, &approved.id);
            assert_eq!(sent, 1, "{action} {completes}: {row:#?}");
            assert_eq!(row.phase, phase, "{action} {completes}: {row:#?}");
        }
    }
}

/// An approval waits for a window, and the operator is restarted meanwhile.
#[test]
fn scheduled_runs_since_an_approval_do_not_void_it_after_a_restart() {
    let spec = "mode: Enforce, interval: 5m, remediation: {windows: [{kind: Deny, schedule: '0 0 1 10 *', duration: 24h}]}";
    let scenario = failed("", ", schedule: true")
        .replace("status: Failed", "status: Completed")
        .replace(
            "frequency: 30day, latest_error",
            "frequency: 6hour, latest_error",
        )
        .replace(
            "last_synced_ago: 40h, last_run_ago: 2h",
            "last_synced_ago: 2h",
        );
    let mut world = World::new(&scenario, spec, Faults::default());
    let id = world.schema_id("a");
    let request = format!("request.warehousesync.dev/{id}");
    world.cluster.annotate(&request, Some("Resync"));
    run(&mut world, 20);
    let approved = approve(&world);
    run(&mut world, 10);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Approved);
    world.restart();
    run(&mut world, 25 * 60);
    let row = by_id(&world, &approved.id);
    assert_eq!(row.phase, Phase::Executed, "{row:#?}");
}

// --- Answers --------------------------------------------------------------------------------------------------------

#[test]
fn an_approval_is_valid_once_seen_even_if_the_annotation_is_removed() {
    let spec = "mode: Enforce, interval: 5m, remediation: {windows: [{kind: Deny, schedule: '0 0 1 10 *', duration: 24h}]}";
    let mut world = World::new(&wrong_type(), spec, Faults::default());
    run(&mut world, 20);
    let approved = approve(&world);
    run(&mut world, 10);
    let waits = by_id(&world, &approved.id);
    assert_eq!(waits.phase, Phase::Approved);
    assert!(waits.message.contains("windows"), "{}", waits.message);
    world
        .cluster
        .annotate(&format!("approve.warehousesync.dev/{}", approved.id), None);
    world.restart();
    run(&mut world, 20);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Approved);
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
    run(&mut world, 25 * 60);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::Executed, "{done:#?}");
}

#[test]
fn an_approval_is_seen_also_while_posthog_cannot_be_read() {
    let mut world = world(&wrong_type());
    simulator(&world, |posthog| {
        posthog.add_fault(SimFault::always(FaultKind::CutBefore));
    });
    let approved = approve(&world);
    run(&mut world, 10);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Approved);
    world
        .cluster
        .annotate(&format!("approve.warehousesync.dev/{}", approved.id), None);
    simulator(&world, Simulator::clear_faults);
    run(&mut world, 60);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Executed);
}

#[test]
fn a_denial_wins_and_is_final_until_the_finding_has_cleared() {
    let mut world = world(&wrong_type());
    let denied = approve(&world);
    deny(&world, &denied.id, "not now");
    run(&mut world, 60);
    let row = by_id(&world, &denied.id);
    assert_eq!(row.phase, Phase::Denied);
    assert!(row.message.contains("not now"), "{}", row.message);
    assert_eq!(proposals(&world).len(), 1, "not proposed again");
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
    let next = world.status().findings[0].next_action.clone();
    assert!(next.contains("denied"), "{next}");
    // Removing the denial changes nothing.
    world
        .cluster
        .annotate(&format!("deny.warehousesync.dev/{}", denied.id), None);
    world.restart();
    run(&mut world, 60);
    assert_eq!(proposals(&world).len(), 1);
    // The finding clears and comes back: that is another one.
    let id = world.schema_id("a");
    simulator(&world, |posthog| posthog.start_run(&id).unwrap());
    run(&mut world, 30);
    says(&world, "a", WRONG_TYPE);
    run(&mut world, 60);
    let new = newest(&world);
    assert_eq!(new.phase, Phase::AwaitingApproval);
    assert_ne!(new.id, denied.id);
}

#[test]
fn an_id_without_a_proposal_approves_nothing() {
    let mut world = world(&wrong_type());
    let proposal = newest(&world);
    let mut other = proposal.id.clone();
    other.replace_range(
        3..4,
        if other[3..].starts_with('a') {
            "b"
        } else {
            "a"
        },
    );
    approve_as(&world, &other, "anna");
    approve_as(&world, &proposal.id.to_uppercase(), "anna");
    run(&mut world, 60);
    assert_eq!(newest(&world), proposal);
}

#[test]
fn an_approval_of_a_proposal_that_has_changed_is_inert() {
    let mut world = world(&wrong_type());
    let old = newest(&world);
    change(&world, "a", |schema| {
        schema.incremental_field = Some("other".to_owned());
    });
    run(&mut world, 500);
    approve_as(&world, &old.id, "anna");
    run(&mut world, 60);
    let rows = proposals(&world);
    let row = rows.iter().find(|row| row.id == old.id).unwrap();
    assert_eq!(row.phase, Phase::Superseded);
    assert_eq!(rows.last().unwrap().phase, Phase::AwaitingApproval);
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
}

#[test]
fn an_action_not_started_in_time_has_to_be_approved_again() {
    let spec = "mode: Enforce, interval: 5m, approval: {executeWithin: 1h}, remediation: {limits: {maxActionsPerHour: 1}}";
    let mut world = World::new(&duplicates(), spec, Faults::default());
    run(&mut world, 20);
    let approved = approve(&world);
    run(&mut world, 30);
    let row = by_id(&world, &approved.id);
    assert_eq!(row.phase, Phase::Approved);
    assert!(row.message.contains("maxActionsPerHour"), "{}", row.message);
    run(&mut world, 60);
    let row = by_id(&world, &approved.id);
    assert_eq!(row.phase, Phase::Expired, "{row:#?}");
    let new = newest(&world);
    assert_eq!(new.phase, Phase::AwaitingApproval);
    assert_ne!(new.id, approved.id);
    assert_eq!(effects(&world, EffectKind::DataDeleted), 0);
}

#[test]
fn on_behalf_is_not_verified() {
    let mut world = world(&wrong_type());
    let proposal = newest(&world);
    approve_as(&world, &proposal.id, "on-behalf:anna");
    run(&mut world, 30);
    let done = by_id(&world, &proposal.id);
    let seen = done.approval.unwrap();
    assert_eq!((seen.by.as_str(), seen.verified), ("on-behalf:anna", false));
    assert_eq!(done.phase, Phase::Executed);
}

// --- What holds back and what withdraws -----------------------------------------------------------------------------

#[test]
fn suspend_only_holds_and_observe_withdraws() {
    let mut world = world(&wrong_type());
    let approved = approve(&world);
    world.cluster.edit(|policy| policy.spec.suspend = true);
    run(&mut world, 60);
    let row = by_id(&world, &approved.id);
    assert_eq!(row.phase, Phase::Approved, "{row:#?}");
    assert!(row.message.contains("suspend"), "{}", row.message);
    world.cluster.edit(|policy| {
        policy.spec.suspend = false;
        policy.spec.mode = Mode::Observe;
    });
    run(&mut world, 10);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Withdrawn);
    world
        .cluster
        .edit(|policy| policy.spec.mode = Mode::Enforce);
    run(&mut world, 60);
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
    assert_ne!(newest(&world).id, approved.id);
}

#[test]
fn an_action_that_is_switched_off_is_not_executed() {
    let mut world = world(&wrong_type());
    let approved = approve(&world);
    world
        .cluster
        .edit(|policy| policy.spec.remediation.resync = Proposing::Off);
    run(&mut world, 60);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Withdrawn);
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
}

#[test]
fn a_finding_that_has_cleared_before_the_approval_is_not_acted_upon() {
    let mut world = world(&wrong_type());
    let approved = approve(&world);
    // A run of which no poll knows yet.
    let id = world.schema_id("a");
    simulator(&world, |posthog| {
        posthog.start_run(&id).unwrap();
        posthog.advance(SignedDuration::from_secs(30));
    });
    run(&mut world, 2);
    let row = by_id(&world, &approved.id);
    assert_eq!(requests(&world, "POST", "/resync/"), 0, "{row:#?}");
    run(&mut world, 60);
    let row = by_id(&world, &approved.id);
    assert_eq!(requests(&world, "POST", "/resync/"), 0, "{row:#?}");
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Withdrawn);
}

/// Minutes after its runs were read, another may have started, or a person may have fixed the table.
#[test]
fn nothing_that_was_approved_is_done_on_reads_that_took_too_long() {
    let mut world = world(&wrong_type());
    let id = approve(&world).id;
    let by = SignedDuration::from_mins(3);
    let slow = SimFault::always(FaultKind::Delay { by });
    simulator(&world, |posthog| posthog.add_fault(slow));
    run(&mut world, 60);
    let held = by_id(&world, &id);
    assert_eq!(held.phase, Phase::Approved, "{held:#?}");
    assert!(held.message.contains("too long ago"), "{}", held.message);
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
    simulator(&world, Simulator::clear_faults);
    run(&mut world, 60);
    assert_eq!(by_id(&world, &id).phase, Phase::Executed);
}

/// Its deadline and later evidence are relative to that time.
#[test]
fn a_step_starts_after_the_reads_that_it_is_based_on() {
    let mut world = world(&wrong_type());
    let id = approve(&world).id;
    let by = SignedDuration::from_secs(3);
    let mut slow = SimFault::always(FaultKind::Delay { by });
    slow.matches.method = Some("GET".to_owned());
    simulator(&world, |posthog| posthog.add_fault(slow));
    world.reconcile();
    let execution = by_id(&world, &id).execution.unwrap();
    let sent = simulator(&world, |posthog| {
        let mut requests = posthog.requests().iter();
        let resync = requests.find(|request| request.path.ends_with("/resync/"));
        resync.unwrap().at
    });
    assert_eq!(execution.steps[0].started_at, sent);
}

#[test]
fn a_run_that_is_due_is_waited_for() {
    // Failed 58 minutes ago, and synced every hour.
    let scenario = failed(WRONG_TYPE, "").replace(
        "last_run_ago: 2h, frequency: 30day",
        "last_run_ago: 40m, frequency: 1hour",
    );
    let mut world = World::new(&scenario, ENFORCE, Faults::default());
    run(&mut world, 16);
    let approved = approve(&world);
    run(&mut world, 1);
    let row = by_id(&world, &approved.id);
    assert_eq!(requests(&world, "POST", "/resync/"), 0, "{row:#?}");
    assert!(row.message.contains("due"), "{row:#?}");
}

// --- Other policies of the project ----------------------------------------------------------------------------------

#[test]
fn other_policies_learn_which_table_is_acted_on() {
    let mut world = world(&wrong_type());
    let id = world.schema_id("a");
    let is_reported = |world: &World| {
        let (_, reported) = as_other_policy(&world.cluster.object()).unwrap();
        reported.in_flight.iter().any(|(at, _)| *at == id)
    };
    let approved = approve(&world);
    assert!(!is_reported(&world));
    run(&mut world, 3);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Verifying);
    assert!(is_reported(&world));
    run(&mut world, 60);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Executed);
    assert!(!is_reported(&world));
}

/// An approved action is not started while another policy has `subject` in flight, and keeps its approval.
fn is_started_after_the_other(world: &mut World, id: &str, subject: String) {
    world.cluster.set_other_policies(vec![OtherPolicy {
        in_flight: vec![(subject, None)],
        ..younger()
    }]);
    run(world, 60);
    let held = by_id(world, id);
    assert_eq!(held.phase, Phase::Approved, "{held:#?}");
    let said = "policy other is acting on";
    assert!(held.message.contains(said), "{held:#?}");
    assert_eq!(requests(world, "POST", "/resync/"), 0);
    world.cluster.set_other_policies(vec![younger()]);
    run(world, 60);
    assert_eq!(by_id(world, id).phase, Phase::Executed);
}

#[test]
fn nothing_starts_beside_another_policys_action_and_the_approval_stays_valid() {
    for of_source in [true, false] {
        let mut world = world(&wrong_type());
        let source = simulator(&world, |posthog| posthog.source_id("prod").unwrap());
        let subject = if of_source {
            source
        } else {
            world.schema_id("a")
        };
        let id = approve(&world).id;
        is_started_after_the_other(&mut world, &id, subject);
    }
}

/// Between the beginning of a reconcile and its calls.
#[test]
fn no_approved_action_starts_beside_one_that_another_policy_started_during_the_reconcile() {
    let mut world = world(&wrong_type());
    let id = approve(&world).id;
    let in_flight = vec![(world.schema_id("a"), None)];
    world
        .cluster
        .set_other_policies_after_a_read(vec![OtherPolicy {
            in_flight,
            ..younger()
        }]);
    world.reconcile();
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
    let held = by_id(&world, &id);
    assert!(held.message.contains("is acting on"), "{held:#?}");
}

#[test]
fn no_approved_action_starts_once_the_guard_was_removed_during_the_reconcile() {
    let mut world = world(&wrong_type());
    let id = approve(&world).id;
    let away = ApprovalGuard::broken("somebody took it away");
    world.cluster.set_approval_guard_after_a_read(away);
    world.reconcile();
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
    let held = by_id(&world, &id);
    assert!(held.message.contains("somebody took it away"), "{held:#?}");
}

#[test]
fn a_table_whose_reset_another_policy_requested_during_the_reconcile_is_not_reloaded() {
    let scenario = failed("Connection reset by peer", "");
    let mut world = World::new(&scenario, "interval: 5m", Faults::default());
    run(&mut world, 30);
    world
        .cluster
        .edit(|policy| policy.spec.mode = Mode::Enforce);
    let reset_pending_since = vec![(world.schema_id("a"), world.now())];
    world
        .cluster
        .set_other_policies_after_a_read(vec![OtherPolicy {
            reset_pending_since,
            ..younger()
        }]);
    world.reconcile();
    assert_eq!(world.count("reload"), 0);
    let said = world.status().findings[0].next_action.clone();
    assert!(said.contains("wipe the table"), "{said}");
}

#[test]
fn an_approved_reload_waits_until_its_runs_are_known() {
    let scenario = failed("Connection reset by peer", "");
    let mut world = World::new(&scenario, ENFORCE, Faults::default());
    let reset_pending_since = vec![(world.schema_id("a"), world.now())];
    let pending = OtherPolicy {
        reset_pending_since,
        ..younger()
    };
    world.cluster.set_other_policies(vec![pending]);
    run(&mut world, 30);
    let id = approve(&world).id;
    let status = FaultKind::Status {
        status: 500,
        body: None,
        headers: BTreeMap::new(),
        after_effect: false,
    };
    let mut blind = SimFault::always(status);
    blind.matches.path_contains = Some("/jobs/".to_owned());
    simulator(&world, |posthog| posthog.add_fault(blind));
    run(&mut world, 60);
    assert_eq!(world.count("reload"), 0);
    let held = by_id(&world, &id);
    assert!(held.message.contains("runs are unknown"), "{held:#?}");
    simulator(&world, Simulator::clear_faults);
    run(&mut world, 60);
    assert_eq!(by_id(&world, &id).phase, Phase::Executed);
}

#[test]
fn a_source_is_not_touched_while_a_younger_policy_acts_on_one_of_its_tables() {
    let mut world = world(&failed(GONE, ""));
    let id = approve(&world).id;
    let other_table = world.schema_id("z");
    is_started_after_the_other(&mut world, &id, other_table);
}

/// The older one would go first; but this one has started.
#[test]
fn what_has_started_continues_when_an_older_policy_begins_to_act() {
    let mut met_half_done = 0;
    for offset in 0..12 {
        let mut world = world(&duplicates());
        let id = approve(&world).id;
        world.faults.plan_ahead(offset, Fault::NotSent);
        world.reconcile();
        if by_id(&world, &id).phase != Phase::Executing {
            continue;
        }
        met_half_done += 1;
        world.cluster.set_other_policies(vec![older()]);
        run(&mut world, 60);
        let done = by_id(&world, &id);
        assert_eq!(done.phase, Phase::Executed, "{done:#?}");
    }
    assert!(met_half_done > 2, "{met_half_done}");
}

#[test]
fn a_table_with_a_reset_pending_by_another_policy_is_not_reloaded_without_approval() {
    let scenario = failed("Connection reset by peer", "");
    let mut world = World::new(&scenario, ENFORCE, Faults::default());
    let since = world.now();
    world.cluster.set_other_policies(vec![OtherPolicy {
        reset_pending_since: vec![(world.schema_id("a"), since)],
        ..younger()
    }]);
    run(&mut world, 120);
    assert_eq!(world.count("reload"), 0);
    let reload = newest(&world);
    assert!(reload.id.starts_with("rl-"), "{reload:#?}");
    approve(&world);
    run(&mut world, 60);
    assert_eq!(world.count("reload"), 1);
    assert_eq!(by_id(&world, &reload.id).phase, Phase::Executed);
}

// --- The guard ------------------------------------------------------------------------------------------------------

#[test]
fn without_the_guard_no_approval_is_valid_and_those_written_in_that_time_never_become_valid() {
    let mut world = world(&wrong_type());
    let first = newest(&world);
    world
        .cluster
        .set_approval_guard(ApprovalGuard::broken("deploy/admission is missing"));
    approve_as(&world, &first.id, "mallory");
    run(&mut world, 60);
    let row = by_id(&world, &first.id);
    assert_eq!(row.phase, Phase::AwaitingApproval);
    assert!(
        row.message.contains("ApprovalGuardActive"),
        "{}",
        row.message
    );
    world.cluster.set_approval_guard(guard(1));
    run(&mut world, 60);
    assert_eq!(by_id(&world, &first.id).phase, Phase::Superseded);
    let second = newest(&world);
    assert_eq!(second.phase, Phase::AwaitingApproval);
    assert_ne!(second.material.nonce, first.material.nonce);
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
}

#[test]
fn a_guard_that_was_altered_and_restored_makes_all_earlier_approvals_inert() {
    let mut world = World::new(
        &wrong_type(),
        "mode: Enforce, interval: 5m, remediation: {windows: [{kind: Deny, schedule: '0 0 1 10 *', duration: 24h}]}",
        Faults::default(),
    );
    run(&mut world, 20);
    let approved = approve(&world);
    run(&mut world, 10);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Approved);
    // Between two polls; only the generation tells.
    world.cluster.set_approval_guard(guard(3));
    run(&mut world, 10);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Superseded);
    run(&mut world, 26 * 60);
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
}

#[test]
fn an_execution_that_another_process_started_does_not_continue_after_the_guard_was_absent() {
    let mut world = world(&duplicates());
    approve(&world);
    // It dies between the second call and its outcome.
    let world = &mut world;
    while requests(world, "PATCH", "/external_data_schemas/") == 0 {
        world.reconcile();
        let executing = newest(world).phase;
        assert!(
            executing.is_in_progress() || executing == Phase::AwaitingApproval,
            "{executing:?}"
        );
        if executing == Phase::Verifying {
            break;
        }
    }
    world.restart();
    world.cluster.set_approval_guard(guard(2));
    run(world, 5);
    let rows = proposals(world);
    assert!(
        rows.iter().any(|row| row.phase == Phase::OutcomeUnknown),
        "{rows:#?}"
    );
}

// --- At most once ---------------------------------------------------------------------------------------------------

/// Plays an approved proposal with one fault at one effect after the approval.
fn play(scenario: &str, offset: usize, fault: Fault) -> (World, Proposal) {
    let mut world = World::new(scenario, ENFORCE, Faults::default());
    run(&mut world, 20);
    world.faults.plan_ahead(offset, fault);
    let approved = approve(&world);
    let end = world.now() + SignedDuration::from_hours(30);
    while !by_id(&world, &approved.id).is_over() {
        assert!(
            world.now() < end,
            "{fault:?} at {offset} does not end: {:#?}",
            by_id(&world, &approved.id)
        );
        world.run_for(SignedDuration::from_secs(1));
    }
    let row = by_id(&world, &approved.id);
    (world, row)
}

fn is_destroyed_at_most_once(world: &World, fault: Fault, offset: usize) {
    for kind in [EffectKind::TableWiped, EffectKind::DataDeleted] {
        let times = effects(world, kind);
        assert!(times <= 1, "{fault:?} at {offset}: {kind:?} {times} times");
    }
}

#[test]
fn a_fault_at_any_effect_of_a_resync_never_makes_it_happen_twice() {
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    for fault in Fault::ALL {
        for offset in 0..7 {
            let (world, row) = play(&wrong_type(), offset, fault);
            is_destroyed_at_most_once(&world, fault, offset);
            let wiped =
                effects(&world, EffectKind::TableWiped) + effects(&world, EffectKind::ResetArmed);
            match row.phase {
                Phase::Executed => assert!(wiped > 0, "{fault:?} at {offset}: {row:#?}"),
                Phase::Failed => assert_eq!(wiped, 0, "{fault:?} at {offset}: {row:#?}"),
                Phase::OutcomeUnknown | Phase::Superseded | Phase::Withdrawn => {}
                other => panic!("{fault:?} at {offset}: {other:?}"),
            }
            *ends.entry(format!("{:?}", row.phase)).or_default() += 1;
        }
    }
    assert!(ends["Executed"] > 40, "{ends:?}");
}

#[test]
fn a_fault_at_any_effect_of_a_deletion_never_makes_it_happen_twice() {
    for fault in Fault::ALL {
        for offset in 0..11 {
            let (world, row) = play(&duplicates(), offset, fault);
            is_destroyed_at_most_once(&world, fault, offset);
            let deleted = effects(&world, EffectKind::DataDeleted);
            match row.phase {
                Phase::Executed => assert_eq!(deleted, 1, "{fault:?} at {offset}: {row:#?}"),
                Phase::Failed => assert_eq!(deleted, 0, "{fault:?} at {offset}: {row:#?}"),
                Phase::OutcomeUnknown | Phase::Superseded | Phase::Withdrawn => {}
                other => panic!("{fault:?} at {offset}: {other:?}"),
            }
        }
    }
}

// --- Requests -------------------------------------------------------------------------------------------------------

#[test]
fn a_person_requests_a_proposal_and_each_request_is_answered_once() {
    let scenario = "sources: [{type: Postgres, prefix: prod, schemas: [{name: a, frequency: 30day, last_synced_ago: 2h, rows: 9, then: {completes: {after: 5m, rows: 9}}}]}]";
    let mut world = world(scenario);
    assert!(proposals(&world).is_empty());
    let id = world.schema_id("a");
    let key = format!("request.warehousesync.dev/{id}");
    world.cluster.annotate(&key, Some("Resync"));
    run(&mut world, 10);
    let asked = newest(&world);
    assert_eq!(asked.material.cause, RootCause::Requested);
    assert!(asked.id.starts_with("rs-"));
    // The proposal is decisive, not the annotation.
    world.cluster.annotate(&key, None);
    run(&mut world, 30);
    assert_eq!(newest(&world), asked);
    approve(&world);
    run(&mut world, 30);
    assert_eq!(by_id(&world, &asked.id).phase, Phase::Executed);
    // The same value again is the same request.
    world.cluster.annotate(&key, Some("Resync"));
    world.restart();
    run(&mut world, 60);
    assert_eq!(proposals(&world).len(), 1);
    world.cluster.annotate(&key, Some("DeleteData@2"));
    run(&mut world, 60);
    let second = newest(&world);
    assert!(second.id.starts_with("dd-"), "{:#?}", proposals(&world));
    deny(&world, &second.id, "no");
    run(&mut world, 60);
    assert_eq!(proposals(&world).len(), 2);
    // Who asks again means it.
    world.cluster.annotate(&key, Some("DeleteData@3"));
    run(&mut world, 10);
    assert_eq!(newest(&world).phase, Phase::AwaitingApproval);
    assert_eq!(proposals(&world).len(), 3);
    world.cluster.annotate(&key, Some("Resink"));
    run(&mut world, 10);
    let findings = world.status().findings;
    assert!(
        findings
            .iter()
            .any(|finding| finding.message.contains("Resink")),
        "{findings:#?}"
    );
}

/// A table that works, and a person who requests that it is resynced.
fn requested(spec: &str) -> World {
    let scenario = "sources: [{type: Postgres, prefix: prod, schemas: [{name: a, frequency: 30day, last_synced_ago: 2h, rows: 9, then: {completes: {after: 5m, rows: 9}}}]}]";
    let mut world = World::new(scenario, spec, Faults::default());
    run(&mut world, 20);
    let key = format!("request.warehousesync.dev/{}", world.schema_id("a"));
    world.cluster.annotate(&key, Some("Resync"));
    run(&mut world, 10);
    assert_eq!(newest(&world).phase, Phase::AwaitingApproval);
    world
}

/// As an upgrade of the chart does it: a new process, and other admission policies.
fn upgrade(world: &mut World, generation: i64) {
    world.restart();
    world.cluster.set_approval_guard(guard(generation));
    run(world, 30);
}

#[test]
fn a_request_whose_proposal_was_superseded_by_an_upgrade_is_proposed_again_and_executed_once() {
    for annotated in [true, false] {
        let mut world = requested(ENFORCE);
        let first = newest(&world);
        if !annotated {
            let key = format!("request.warehousesync.dev/{}", world.schema_id("a"));
            world.cluster.annotate(&key, None);
        }
        upgrade(&mut world, 2);
        assert_eq!(by_id(&world, &first.id).phase, Phase::Superseded);
        let second = newest(&world);
        assert_eq!(second.phase, Phase::AwaitingApproval, "{second:#?}");
        assert_ne!(second.id, first.id);
        // An answer to the first is not an answer to the second.
        approve_as(&world, &first.id, "anna");
        run(&mut world, 60);
        assert_eq!(requests(&world, "POST", "/resync/"), 0);
        approve(&world);
        run(&mut world, 60);
        assert_eq!(by_id(&world, &second.id).phase, Phase::Executed);
        upgrade(&mut world, 3);
        assert_eq!(proposals(&world).len(), 2);
        assert_eq!(requests(&world, "POST", "/resync/"), 1);
    }
}

#[test]
fn a_request_is_proposed_again_when_the_guard_is_in_effect_again() {
    let mut world = requested(ENFORCE);
    let first = newest(&world);
    world.restart();
    let missing = ApprovalGuard::broken("deploy/admission is missing");
    world.cluster.set_approval_guard(missing);
    run(&mut world, 60);
    assert_eq!(newest(&world).phase, Phase::AwaitingApproval);
    upgrade(&mut world, 2);
    assert_eq!(by_id(&world, &first.id).phase, Phase::Superseded);
    assert_eq!(newest(&world).phase, Phase::AwaitingApproval);
    assert_eq!(proposals(&world).len(), 2);
}

#[test]
fn an_approved_request_that_was_superseded_needs_another_approval() {
    let mut world = requested(
        "mode: Enforce, interval: 5m, remediation: {windows: [{kind: Deny, schedule: '0 0 1 10 *', duration: 24h}]}",
    );
    let approved = approve(&world);
    run(&mut world, 10);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Approved);
    upgrade(&mut world, 2);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Superseded);
    run(&mut world, 23 * 60);
    assert_eq!(newest(&world).phase, Phase::AwaitingApproval);
    assert_eq!(requests(&world, "POST", "/resync/"), 0);
}

#[test]
fn a_request_that_was_denied_executed_or_begun_is_not_proposed_again_after_an_upgrade() {
    let mut denied = requested(ENFORCE);
    let id = newest(&denied).id;
    deny(&denied, &id, "no");
    run(&mut denied, 10);

    let mut executed = requested(ENFORCE);
    approve(&executed);
    run(&mut executed, 60);

    let mut begun = requested(ENFORCE);
    approve(&begun);
    while requests(&begun, "POST", "/resync/") == 0 {
        begun.reconcile();
    }

    for (world, end) in [
        (&mut denied, Phase::Denied),
        (&mut executed, Phase::Executed),
        (&mut begun, Phase::OutcomeUnknown),
    ] {
        upgrade(world, 2);
        upgrade(world, 3);
        let rows = proposals(world);
        assert_eq!(rows.len(), 1, "{rows:#?}");
        assert_eq!(rows[0].phase, end);
        assert!(requests(world, "POST", "/resync/") <= 1);
    }
}

// --- Afterwards -----------------------------------------------------------------------------------------------------

#[test]
fn a_big_loss_of_rows_is_reported() {
    let scenario = failed(WRONG_TYPE, "").replace("rows: 70}}", "rows: 7}}");
    let mut world = world(&scenario);
    let approved = approve(&world);
    run(&mut world, 40);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::Executed, "{done:#?}");
    let findings = world.status().findings;
    let loss = findings.iter().find(|f| f.cause == RootCause::RowLoss);
    let loss = loss.unwrap_or_else(|| panic!("{findings:#?} {done:#?}"));
    assert!(loss.message.contains("70"), "{}", loss.message);
}

#[test]
fn a_table_with_a_pending_reset_is_not_reloaded_without_approval() {
    let scenario = failed(WRONG_TYPE, ", trigger_fails: true");
    let mut world = world(&scenario);
    let resync = approve(&world);
    run(&mut world, 5);
    let row = by_id(&world, &resync.id);
    assert_eq!(row.phase, Phase::OutcomeUnknown, "{row:#?}");
    assert_eq!(requests(&world, "POST", "/resync/"), 1);
    let id = world.schema_id("a");
    assert!(simulator(&world, |posthog| posthog.reset_pending(&id)));
    let (_, reported) = as_other_policy(&world.cluster.object()).unwrap();
    assert!(
        reported
            .reset_pending_since
            .iter()
            .any(|(pending, _)| *pending == id)
    );
    // Now the table fails for a reason for which it would be reloaded at once.
    change(&world, "a", |schema| schema.trigger_fails = false);
    says(&world, "a", "Connection reset by peer");
    world.restart();
    run(&mut world, 120);
    assert_eq!(world.count("reload"), 0);
    let reload = newest(&world);
    assert!(
        reload.id.starts_with("rl-"),
        "{:#?} {:#?}",
        world.status().findings,
        world.status().state
    );
    approve(&world);
    run(&mut world, 30);
    assert_eq!(by_id(&world, &reload.id).phase, Phase::Executed);
    assert_eq!(world.count("reload"), 1);
    assert_eq!(effects(&world, EffectKind::TableWiped), 1);
    // A run has completed since: the next one is an ordinary one again.
    run(&mut world, 30);
    let states = world.status().state.schemas;
    assert!(
        states
            .iter()
            .all(|state| state.reset_pending_since.is_none())
    );
}

#[test]
fn a_table_whose_accepted_resync_never_got_a_job_is_not_reloaded_without_approval() {
    let never = "then: {never_starts: true}";
    let mut world = world(&wrong_type().replace("then: {completes: {after: 5m, rows: 70}}", never));
    let resync = approve(&world);
    run(&mut world, 5);
    let row = by_id(&world, &resync.id);
    assert_eq!(row.phase, Phase::Verifying, "{row:#?}");
    run(&mut world, 150);
    let row = by_id(&world, &resync.id);
    assert_eq!(row.phase, Phase::OutcomeUnknown, "{row:#?}");
    let id = world.schema_id("a");
    assert!(simulator(&world, |posthog| posthog.reset_pending(&id)));
    // Now the table fails for a reason for which it would be reloaded at once.
    says(&world, "a", "Connection reset by peer");
    world.restart();
    run(&mut world, 120);
    assert_eq!(world.count("reload"), 0);
    let (_, reported) = as_other_policy(&world.cluster.object()).unwrap();
    assert!(
        reported
            .reset_pending_since
            .iter()
            .any(|(pending, _)| *pending == id)
    );
    let reload = newest(&world);
    assert!(reload.id.starts_with("rl-"), "{reload:#?}");
}

const OFF_AT_VENDOR: &str = "sources: [{type: Stripe, prefix: prod, webhook: {supports_webhooks: true, exists: true, external_status: {exists: true, status: disabled}}, \
    schemas: [{name: charge, sync_type: webhook, frequency: 1hour, rows: 5, last_synced_ago: 10m, incremental_fields: {webhook_only: ONLY, full_refresh_available: true}}]}]";

#[test]
fn a_webhook_is_registered_again_where_its_tables_can_do_without_for_a_moment() {
    let mut without = world(&OFF_AT_VENDOR.replace("ONLY", "true"));
    run(&mut without, 60);
    assert!(proposals(&without).is_empty());
    let mut world = world(&OFF_AT_VENDOR.replace("ONLY", "false"));
    run(&mut world, 60);
    let approved = approve(&world);
    assert!(approved.id.starts_with("rw-"), "{approved:#?}");
    run(&mut world, 30);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::Executed, "{done:#?}");
    assert_eq!(effects(&world, EffectKind::WebhookDeleted), 1);
    assert_eq!(requests(&world, "POST", "/create_webhook/"), 1);
}

#[test]
fn tables_are_not_wiped_for_a_new_webhook_that_lacks_an_input() {
    let mut world = world(&OFF_AT_VENDOR.replace("ONLY", "false"));
    run(&mut world, 60);
    let approved = approve(&world);
    let lacks = FaultKind::Status {
        status: 200,
        body: Some(json!({"success": true, "pending_inputs": ["signing_secret"]})),
        headers: BTreeMap::new(),
        after_effect: true,
    };
    simulator(&world, |posthog| {
        posthog.add_fault(SimFault::once("POST", "/create_webhook/", lacks));
    });
    run(&mut world, 60);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::OutcomeUnknown, "{done:#?}");
    assert!(done.message.contains("signing_secret"), "{}", done.message);
    assert_eq!(requests(&world, "PATCH", "/bulk_update_schemas/"), 1);
}

#[test]
fn a_webhook_is_not_registered_again_while_a_run_of_its_tables_is_in_progress() {
    let running = "run: {started_ago: 1m, rows: 5, progresses: {rows_per_second: 1, finishes_after: 4h}}, incremental_fields";
    let scenario = OFF_AT_VENDOR.replace("ONLY", "false");
    let mut world = world(&scenario.replace("incremental_fields", running));
    run(&mut world, 60);
    let approved = approve(&world);
    run(&mut world, 60);
    let waits = by_id(&world, &approved.id);
    assert!(waits.message.contains("has not ended"), "{waits:#?}");
    assert_eq!(requests(&world, "PATCH", ""), 0);
    run(&mut world, 4 * 60);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::Executed, "{done:#?}");
}

#[test]
fn two_faults_never_make_a_resync_happen_twice() {
    for first in Fault::ALL {
        for second in Fault::ALL {
            for (at, then) in [(1, 2), (2, 3)] {
                let mut world = World::new(&wrong_type(), ENFORCE, Faults::default());
                run(&mut world, 20);
                world.faults.plan_ahead(at, first);
                world.faults.plan_ahead(then, second);
                approve(&world);
                run(&mut world, 40);
                let times = effects(&world, EffectKind::TableWiped);
                assert!(
                    times <= 1,
                    "{first:?} at {at}, {second:?} at {then}: {times} times"
                );
                assert!(
                    requests(&world, "POST", "/resync/") <= 1,
                    "{first:?} {second:?}"
                );
            }
        }
    }
}

#[test]
fn nothing_more_is_sent_while_the_guard_is_not_in_effect() {
    let mut world = world(&duplicates());
    approve(&world);
    // What the first call did cannot be read at once, so that the second has to wait; by then the guard is away.
    let unreadable = SimFault {
        skip: 1,
        ..SimFault::once("GET", "/external_data_schemas/", FaultKind::CutBefore)
    };
    simulator(&world, |posthog| posthog.add_fault(unreadable));
    while effects(&world, EffectKind::DataDeleted) == 0 {
        world.reconcile();
    }
    assert_eq!(newest(&world).phase, Phase::Executing);
    world
        .cluster
        .set_approval_guard(ApprovalGuard::broken("deploy/admission is missing"));
    run(&mut world, 60);
    assert_eq!(requests(&world, "PATCH", "/external_data_schemas/"), 0);
    let row = newest(&world);
    assert!(row.message.contains("ApprovalGuardActive"), "{row:#?}");
    // This process knows that it was approved.
    world.cluster.set_approval_guard(guard(1));
    run(&mut world, 60);
    assert_eq!(by_id(&world, &row.id).phase, Phase::Executed);
    assert_eq!(requests(&world, "PATCH", "/external_data_schemas/"), 1);
}
