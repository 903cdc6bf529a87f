//! The cure fits the trouble: what is broken as a whole is one finding and nothing is done to its tables, and no wipe is proposed for
//! what is not about the data. Healthy look-alikes first.

use jiff::SignedDuration;
use posthog_simulator::{CdcSpec, EffectKind, Fault, FaultKind, RunPlan, Simulator, SourceSpec};
use serde_json::{Value, json};
use warehouse_sync_operator::api::{
    proposal::{Phase, Proposal, ProposedAction},
    status::{Finding, RootCause, Severity},
};

use crate::{
    diagnosis::{WRONG_PASSWORD, failed},
    faults::Faults,
    world::World,
};

const ENFORCE: &str = "mode: Enforce, interval: 5m";

fn world(scenario: &str, minutes: i64) -> World {
    let mut world = World::new(scenario, ENFORCE, Faults::default());
    run(&mut world, minutes);
    world
}

fn run(world: &mut World, minutes: i64) {
    world.run_for(SignedDuration::from_mins(minutes));
}

fn simulator<A>(world: &World, change: impl FnOnce(&mut Simulator) -> A) -> A {
    change(&mut world.simulator.lock().unwrap())
}

fn change_source(world: &World, change: impl FnOnce(&mut SourceSpec)) {
    simulator(world, |posthog| {
        let id = posthog.source_id("prod").unwrap();
        posthog.change_source(&id, change).unwrap();
    });
}

fn cdc(world: &World, change: impl FnOnce(&mut CdcSpec)) {
    change_source(world, |source| change(source.cdc.as_mut().unwrap()));
}

fn only(world: &World) -> Finding {
    let findings = world.status().findings;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings[0].clone()
}

fn repair(world: &World) -> Option<Proposal> {
    let proposals = world.status().proposals.into_iter();
    proposals
        .filter(Proposal::is_open)
        .find(|proposal| proposal.action == ProposedAction::RepairCdc)
}

fn approve(world: &World, proposal: &Proposal) {
    let key = format!("approve.warehousesync.dev/{}", proposal.id);
    world.cluster.annotate(&key, Some("anna"));
}

fn by_id(world: &World, id: &str) -> Proposal {
    let mut proposals = world.status().proposals.into_iter();
    proposals.find(|proposal| proposal.id == id).unwrap()
}

/// Two tables that are captured, last synced so long ago.
fn captured(cdc: &str, ago: &str, table: &str) -> String {
    format!(
        "sources: [{{type: Postgres, prefix: prod, cdc: {cdc}, schemas: [\
         {{name: public.a, sync_type: cdc, frequency: 1hour, rows: 5, last_synced_ago: {ago}{table}}}, \
         {{name: public.b, sync_type: cdc, frequency: 1hour, rows: 7, last_synced_ago: {ago}{table}}}]}}]"
    )
}

const OLD: &str = "504h";

fn advice(finding: &Finding) -> String {
    let Finding {
        advice,
        next_action,
        ..
    } = finding;
    format!("{advice} {next_action}").to_lowercase()
}

// --- Change data capture that has stopped --------------------------------------------------------------------------

#[test]
fn a_slot_that_was_just_lost_is_left_to_posthog_for_two_intervals() {
    let world = world(&captured("{slot_exists: false}", "20m", ""), 60);
    let finding = only(&world);
    assert_eq!(
        (finding.cause, finding.severity),
        (RootCause::CdcSlotLost, Severity::Warning)
    );
    assert_eq!(repair(&world), None);
}

#[test]
fn a_missing_slot_under_tables_that_say_completed_is_an_error_at_once_and_nothing_is_reloaded() {
    for cdc in [
        "{slot_exists: false, schedule_paused: true}",
        "{slot_exists: false}",
        "{slot_exists: false, publication_exists: false}",
    ] {
        let mut world = world(&captured(cdc, OLD, ""), 10);
        let finding = only(&world);
        assert_eq!(
            (finding.cause, finding.severity),
            (RootCause::CdcSlotLost, Severity::Error),
            "{cdc}"
        );
        assert_eq!(finding.affected.unwrap().count, 2);
        assert!(repair(&world).is_some(), "{cdc}");
        run(&mut world, 8 * 60);
        assert_eq!(world.count("reload"), 0, "{cdc}");
        only(&world);
    }
}

#[test]
fn tables_that_fail_because_capture_has_stopped_are_not_reloaded_one_by_one() {
    for text in [
        "The replication slot no longer exists on the source database. Use Repair CDC.",
        "server closed the connection unexpectedly",
        "Change data capture hit an unexpected error. PostHog will keep retrying.",
    ] {
        let table = format!(", status: Failed, last_run_ago: 2h, latest_error: '{text}'");
        let scenario = captured("{slot_exists: false, schedule_paused: true}", OLD, &table);
        let world = world(&scenario, 5 * 60);
        assert_eq!(only(&world).cause, RootCause::CdcSlotLost, "{text}");
        assert_eq!(world.count("reload"), 0, "{text}");
    }
}

#[test]
fn a_table_that_is_not_captured_is_reloaded_though_capture_of_its_source_has_stopped() {
    let mut scenario = captured("{slot_exists: false, schedule_paused: true}", OLD, "");
    let plain = ", {name: c, status: Failed, frequency: 30day, last_synced_ago: 9h, last_run_ago: 2h, \
                 latest_error: 'server closed the connection unexpectedly', rows: 1}]}]";
    scenario = scenario.replace("]}]", plain);
    let world = world(&scenario, 60);
    assert_eq!(world.count("reload"), 1);
    assert_eq!(only(&world).cause, RootCause::CdcSlotLost);
}

const CDC_PASSWORD: &str = "Could not authenticate with the source database. Check the configured username and password, then re-enable change data capture.";

#[test]
fn a_fixed_password_leaves_a_schedule_to_resume_and_nothing_to_rotate() {
    let table = format!(", status: Failed, last_run_ago: 3h, latest_error: '{CDC_PASSWORD}'");
    let world = world(&captured("{schedule_paused: true}", OLD, &table), 3 * 60);
    let finding = only(&world);
    assert_eq!(
        (finding.cause, finding.severity, finding.schema.as_str()),
        (RootCause::CdcBroken, Severity::Error, "")
    );
    let said = advice(&finding);
    assert!(
        said.contains("resume") && !said.contains("rotate"),
        "{said}"
    );
    assert_eq!((world.count("reload"), repair(&world)), (0, None));
}

#[test]
fn a_password_that_breaks_after_the_probe_is_known_from_the_tables() {
    let mut world = world(&captured("{}", "20m", ""), 10);
    assert!(world.status().findings.is_empty());
    cdc(&world, |cdc| {
        cdc.schedule_paused = true;
        cdc.unreachable = Some("password authentication failed for user \"posthog\"".to_owned());
    });
    simulator(&world, |posthog| {
        for name in ["public.a", "public.b"] {
            let id = posthog.schema_id(name).unwrap();
            let fails = RunPlan::fails(SignedDuration::from_secs(5), CDC_PASSWORD);
            posthog.set_next_runs(&id, vec![fails]).unwrap();
            posthog.start_run(&id).unwrap();
        }
    });
    run(&mut world, 20);
    let finding = only(&world);
    assert_eq!(
        (finding.cause, finding.schema.as_str()),
        (RootCause::CredentialsInvalid, "")
    );
    assert_eq!(finding.affected.unwrap().count, 2);
}

#[test]
fn a_database_that_refuses_all_connections_is_one_finding_for_any_status_of_its_tables() {
    let refused = "{unreachable: 'password authentication failed for user \"posthog\"'}";
    for table in [
        String::new(),
        format!(", status: Failed, last_run_ago: 3h, latest_error: '{CDC_PASSWORD}'"),
    ] {
        let world = world(&captured(refused, OLD, &table), 3 * 60);
        let finding = only(&world);
        assert_eq!(
            (finding.cause, finding.schema.as_str()),
            (RootCause::CredentialsInvalid, ""),
            "{table}"
        );
        assert_eq!(world.count("reload"), 0, "{table}");
    }
}

// --- The repair -----------------------------------------------------------------------------------------------------

/// The bodies of all checks of prerequisites.
fn checks(world: &World) -> Vec<Value> {
    simulator(world, |posthog| {
        let requests = posthog.requests().iter();
        let checks =
            requests.filter(|one| one.path.ends_with("/check_cdc_prerequisites_for_source/"));
        checks
            .map(|one| serde_json::from_slice(&one.body).unwrap())
            .collect()
    })
}

/// A repair cancels the runs of the tables that it resets.
#[test]
fn an_approved_repair_waits_until_no_run_of_these_tables_is_in_progress() {
    let cdc_spec = "{slot_exists: false, schedule_paused: true}";
    let runs =
        ", run: {started_ago: 1m, rows: 5, progresses: {rows_per_second: 1, finishes_after: 9h}}";
    let mut world = world(&captured(cdc_spec, OLD, runs), 5 * 60);
    let proposal = repair(&world).unwrap();
    approve(&world, &proposal);
    run(&mut world, 60);
    let waits = by_id(&world, &proposal.id);
    assert!(waits.message.contains("has not ended"), "{waits:#?}");
    assert_eq!(world.count("repair_cdc"), 0);
    run(&mut world, 6 * 60);
    assert_eq!(
        world.count("repair_cdc"),
        1,
        "{:#?}",
        by_id(&world, &proposal.id)
    );
}

#[test]
fn the_check_names_who_manages_the_slot_the_publication_and_the_tables() {
    let cdc = "{slot_exists: false, management_mode: self_managed, publication_name: own_pub}";
    let world = world(&captured(cdc, OLD, ""), 10);
    assert_eq!(
        checks(&world)[0],
        json!({
            "cdc_management_mode": "self_managed",
            "cdc_publication_name": "own_pub",
            "tables": ["public.a", "public.b"],
        })
    );
}

#[test]
fn a_repair_is_proposed_only_once_the_database_lets_it_succeed() {
    for lacks in [
        "errors: ['The database user cannot create logical replication slots.']",
        "table_errors: [\"Table 'public.a' has no primary key\"]",
        "management_mode: self_managed, publication_exists: false",
        // The slot of PostHog is not among them.
        "slots: [4, 4]",
    ] {
        let cdc_spec = format!("{{slot_exists: false, schedule_paused: true, {lacks}}}");
        let mut world = world(&captured(&cdc_spec, OLD, ""), 5 * 60);
        assert_eq!(repair(&world), None, "{lacks}");
        let said = only(&world).next_action;
        assert!(
            said.contains("RepairCdc is not proposed yet") && said.contains("prerequisite"),
            "{said}"
        );
        cdc(&world, |cdc| {
            cdc.errors.clear();
            cdc.table_errors.clear();
            cdc.publication_exists = true;
            cdc.slots = Some((3, 4));
        });
        run(&mut world, 3 * 60);
        assert!(repair(&world).is_some(), "{lacks}");
    }
}

#[test]
fn an_approved_repair_waits_while_the_database_would_refuse_it() {
    let mut world = world(
        &captured("{slot_exists: false, schedule_paused: true}", OLD, ""),
        10,
    );
    let approved = repair(&world).unwrap();
    cdc(&world, |cdc| {
        cdc.errors = vec!["The database user cannot create logical replication slots.".to_owned()];
    });
    approve(&world, &approved);
    run(&mut world, 60);
    let waits = by_id(&world, &approved.id);
    assert_eq!(waits.phase, Phase::Approved, "{}", waits.message);
    assert!(waits.message.contains("prerequisite"), "{}", waits.message);
    assert_eq!(world.count("repair_cdc"), 0);
    cdc(&world, |cdc| cdc.errors.clear());
    run(&mut world, 3 * 60);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Executed);
}

#[test]
fn a_repair_that_the_database_refuses_has_reset_the_tables_and_says_so() {
    let mut world = world(
        &captured("{slot_exists: false, schedule_paused: true}", OLD, ""),
        10,
    );
    let approved = repair(&world).unwrap();
    cdc(&world, |cdc| {
        cdc.repair_fails =
            Some("must be superuser or replication role to use replication slots".to_owned());
    });
    approve(&world, &approved);
    run(&mut world, 30);
    let done = by_id(&world, &approved.id);
    assert_eq!(done.phase, Phase::OutcomeUnknown, "{}", done.message);
    assert!(
        !done.message.contains("nothing has changed"),
        "{}",
        done.message
    );
    let pending = |world: &World| {
        let states = world.status().state.schemas;
        states
            .iter()
            .filter(|state| state.reset_pending_since.is_some())
            .count()
    };
    assert_eq!(pending(&world), 2);
    world.restart();
    run(&mut world, 12 * 60);
    assert_eq!((pending(&world), world.count("repair_cdc")), (2, 1));
    assert_eq!(world.count("reload"), 0);
}

#[test]
fn a_repair_that_was_not_needed_any_more_has_changed_nothing() {
    let mut world = world(
        &captured("{slot_exists: false, schedule_paused: true}", OLD, ""),
        10,
    );
    let approved = repair(&world).unwrap();
    let refusal = json!({"message": "CDC looks healthy on this source — the replication slot and publication exist."});
    simulator(&world, |posthog| {
        let kind = FaultKind::Status {
            status: 400,
            body: Some(refusal),
            headers: std::collections::BTreeMap::new(),
            after_effect: false,
        };
        let mut fault = Fault::always(kind);
        fault.matches.path_contains = Some("/repair_cdc/".to_owned());
        posthog.add_fault(fault);
    });
    approve(&world, &approved);
    run(&mut world, 30);
    assert_eq!(by_id(&world, &approved.id).phase, Phase::Failed);
    let states = world.status().state.schemas;
    assert!(
        states
            .iter()
            .all(|state| state.reset_pending_since.is_none())
    );
    assert_eq!(
        simulator(&world, |posthog| posthog
            .effects_of(EffectKind::ResetArmed)
            .len()),
        0
    );
}

#[test]
fn the_slot_of_posthog_may_hold_the_last_place() {
    let text = "The publication used for change data capture no longer exists. Recreate it.";
    let table = format!(", status: Failed, last_run_ago: 2h, latest_error: '{text}'");
    let world = world(&captured("{slots: [4, 4]}", "3h", &table), 2 * 60);
    assert_eq!(world.count("reload"), 2, "{:#?}", world.status().findings);
}

// --- Sources before tables -------------------------------------------------------------------------------------------

fn source(extra: &str, tables: &[String]) -> String {
    format!(
        "sources: [{{type: Postgres, prefix: prod, {extra}schemas: [{}]}}]",
        tables.join(", ")
    )
}

const STALE: &str = "{name: stale, frequency: 1hour, last_synced_ago: 80h, rows: 9}";

#[test]
fn a_stale_table_beside_refused_tables_is_part_of_the_same_finding() {
    let tables = [
        failed("a", "2h", WRONG_PASSWORD),
        failed("b", "3h", WRONG_PASSWORD),
        STALE.to_owned(),
    ];
    let world = world(
        &source("probe_error: Invalid credentials, ", &tables),
        5 * 60,
    );
    let finding = only(&world);
    assert_eq!(finding.cause, RootCause::CredentialsInvalid);
    assert_eq!(finding.affected.unwrap().count, 3);
    assert_eq!(world.count("reload"), 0);
}

#[test]
fn a_stale_table_is_reloaded_where_a_sibling_still_works() {
    let tables = [
        failed("a", "2h", WRONG_PASSWORD),
        "{name: b, frequency: 1hour, last_synced_ago: 20m, schedule: true}".to_owned(),
        STALE.to_owned(),
    ];
    let world = world(&source("", &tables), 60);
    assert_eq!(world.count("reload"), 1, "{:#?}", world.status().findings);
}

#[test]
fn a_transient_error_from_before_the_source_refused_its_tables_is_no_reason_to_reload() {
    let passing = "server closed the connection unexpectedly";
    let tables = [
        failed("a", "2h", WRONG_PASSWORD),
        failed("b", "4h", passing),
    ];
    let world = world(&source("probe_error: Invalid credentials, ", &tables), 60);
    assert_eq!(only(&world).cause, RootCause::CredentialsInvalid);
    assert_eq!(world.count("reload"), 0);
    // The other way round the source let it in since.
    let tables = [
        failed("a", "4h", WRONG_PASSWORD),
        failed("b", "2h", passing).replace(
            "last_synced_ago: 40h",
            "last_synced_ago: 40h, frequency: 30day",
        ),
    ];
    let world = self::world(&source("", &tables), 60);
    assert_eq!(world.count("reload"), 1);
}

#[test]
fn tables_of_a_source_that_billing_holds_back_are_not_reloaded() {
    let tables = [
        "{name: a, status: BillingLimitReached, frequency: 1hour, last_synced_ago: 80h}".to_owned(),
        STALE.to_owned(),
    ];
    let world = world(&source("", &tables), 5 * 60);
    assert_eq!(world.count("reload"), 0);
    let status = serde_json::to_string(&world.status()).unwrap();
    assert!(status.contains("(guard Source)"), "{status}");
}

#[test]
fn what_posthog_answers_now_outranks_the_text_of_an_old_run() {
    let on = failed("a", "2h", WRONG_PASSWORD);
    let off = failed("b", "2h", WRONG_PASSWORD).replace("{name:", "{should_sync: false, name:");
    for tables in [vec![on.clone()], vec![off.clone()], vec![on, off]] {
        let world = world(&source("", &tables), 60);
        let finding = only(&world);
        let said = advice(&finding);
        assert!(
            said.contains("resume") && !said.contains("rotate"),
            "{said}"
        );
        assert!(
            finding
                .evidence
                .iter()
                .any(|fact| fact.contains("connected to the source")),
            "{:?}",
            finding.evidence
        );
    }
    let tables = [failed("a", "2h", WRONG_PASSWORD)];
    let world = world(&source("probe_error: Invalid credentials, ", &tables), 60);
    assert!(advice(&only(&world)).contains("rotate"));
}

// --- Wipes ------------------------------------------------------------------------------------------------------------

const OTHER_TYPE: &str = "Source column type changed: column amount was int64 and is now string";

fn big(name: &str, ago: &str, text: &str) -> String {
    format!(
        "{{name: {name}, status: Failed, frequency: 6hour, rows: 3000000, last_synced_ago: 40h, last_run_ago: {ago}, \
         latest_error: \"{text}\"}}"
    )
}

#[test]
fn what_is_about_the_data_of_one_table_among_others_is_a_wipe_to_approve() {
    let tables = [
        big("a", "2h", OTHER_TYPE),
        "{name: b, last_synced_ago: 1h}".to_owned(),
        "{name: c, last_synced_ago: 1h}".to_owned(),
    ];
    let world = world(&source("", &tables), 30);
    let proposals = world.status().proposals;
    assert_eq!(proposals.len(), 1, "{:#?}", world.status().findings);
    assert_eq!(proposals[0].action, ProposedAction::Resync);
}

#[test]
fn what_posthog_cannot_read_of_its_own_settings_is_one_finding_and_wipes_nothing() {
    let text = "ValueError: invalid literal for int() with base 10: '<encrypted>'";
    let tables = ["a", "b", "c"].map(|name| big(name, "2h", text));
    let world = world(&source("", &tables), 5 * 60);
    let finding = only(&world);
    assert_eq!(
        (finding.cause, finding.schema.as_str()),
        (RootCause::SourceConfig, "")
    );
    assert_eq!(finding.affected.unwrap().count, 3);
    assert!(world.status().proposals.is_empty());
    assert_eq!(world.count("reload"), 0);
}

#[test]
fn tables_that_fail_alike_at_the_same_time_are_not_wiped() {
    for text in [OTHER_TYPE, "The primary keys for this table are not unique"] {
        let tables = ["a", "b", "c"].map(|name| big(name, "2h", text));
        let world = world(&source("", &tables), 60);
        assert!(world.status().proposals.is_empty(), "{text}");
    }
}

#[test]
fn what_is_not_certain_or_is_about_the_connection_is_not_wiped() {
    for text in [
        "This column started receiving values that do not fit the type stored from earlier syncs.",
        "Could not decrypt the connection settings: column type changed",
        "SSL connection: column type changed",
    ] {
        let tables = [
            big("a", "2h", text),
            "{name: b, last_synced_ago: 1h}".to_owned(),
            "{name: c, last_synced_ago: 1h}".to_owned(),
        ];
        let world = world(&source("", &tables), 60);
        let wipes = world.status().proposals;
        assert!(wipes.is_empty(), "{text}: {wipes:#?}");
    }
}
