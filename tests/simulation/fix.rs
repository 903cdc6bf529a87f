//! Tables that PostHog switched off, after a person has fixed the cause: enabled automatically where the fix is proven, and proposed where it is not.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use posthog_simulator::{EffectKind, FaultKind, Simulator, Times};
use warehouse_sync_operator::api::{
    proposal::{LosesData, Phase, Proposal, ProposedAction, ProposedCall},
    status::{RootCause, Step},
};

use crate::{
    faults::{Fault, Faults},
    world::World,
};

const ENFORCE: &str = "mode: Enforce, interval: 1m";
const UNREACHABLE: &str = "could not translate host name \"db\" to address";
const NO_KEY: &str = "Primary key required for incremental syncs";
const DUPLICATES: &str = "The primary keys for this table are not unique";

/// A table whose run fails in a moment with `text`, for which PostHog switches it off; the source answers `probe_error`.
fn fails(text: &str, extra: &str) -> String {
    let text = text.replace('"', "\\\"");
    format!(
        "sources: [{{type: Postgres, prefix: prod, probe_error: 'Could not connect', schemas: [{{name: a, frequency: 30day, \
         last_synced_ago: 5h, rows: 10, run: {{started_ago: 10s, fails: {{after: 20s, rows: 0, non_retryable: true, error: \"{text}\"}}}}, \
         then: {{completes: {{after: 1m, rows: 5}}}}{extra}}}]}}]"
    )
}

/// Tables that were off when the operator started: it is unknown who did that.
fn off(tables: &[(&str, &str)], extra: &str) -> String {
    let tables: Vec<String> = tables
        .iter()
        .map(|(name, text)| {
            format!(
                "{{name: {name}, should_sync: false, status: Failed, frequency: 30day, last_synced_ago: 40h, last_run_ago: 2h, rows: 7, \
                 latest_error: '{text}'{extra}}}"
            )
        })
        .collect();
    format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{}]}}]",
        tables.join(", ")
    )
}

fn world(scenario: &str, spec: &str) -> World {
    World::new(scenario, spec, Faults::default())
}

fn run(world: &mut World, minutes: i64) {
    world.run_for(SignedDuration::from_mins(minutes));
}

fn simulator<A>(world: &World, change: impl FnOnce(&mut Simulator) -> A) -> A {
    change(&mut world.simulator.lock().unwrap())
}

/// What the source answers from now on; none if a person has fixed it.
fn source_says(world: &World, error: Option<&str>) {
    simulator(world, |posthog| {
        let id = posthog.source_id("prod").unwrap();
        posthog.set_source_probe_error(&id, error).unwrap();
    });
}

fn enabled(world: &World) -> usize {
    simulator(world, |posthog| {
        posthog.effects_of(EffectKind::Enabled).len()
    })
}

/// How often the customer's source was read. Once at the start, to learn whether the key may write.
fn asked(world: &World) -> usize {
    world.count("incremental_fields")
}

fn proposals(world: &World) -> Vec<Proposal> {
    let all = world.status().proposals;
    all.into_iter().filter(Proposal::is_open).collect()
}

fn only(world: &World) -> Proposal {
    let open = proposals(world);
    assert_eq!(open.len(), 1, "{open:#?} {:#?}", world.status().findings);
    open[0].clone()
}

fn next_action(world: &World) -> String {
    world.status().findings[0].next_action.clone()
}

fn recovered(world: &World) {
    let status = world.status();
    assert!(status.findings.is_empty(), "{:#?}", status.findings);
    assert!(status.incidents.is_empty(), "{:#?}", status.incidents);
    assert!(proposals(world).is_empty());
    assert_eq!(status.summary.unwrap().healthy_of, "1/1");
    assert!(status.state.schemas.iter().all(|row| row.fix.is_none()));
}

// --- By itself ------------------------------------------------------------------------------------------------------

#[test]
fn a_source_that_refused_and_answers_again_brings_its_table_back() {
    for text in [
        UNREACHABLE,
        "password authentication failed for user \"posthog\"",
        "SSL connection is required",
        "permission denied for table a",
    ] {
        let mut world = world(&fails(text, ""), ENFORCE);
        run(&mut world, 60);
        let watch = world.status().state.schemas[0].fix.clone().unwrap();
        assert!(
            watch.refused.is_some() && watch.fixed_since.is_none(),
            "{text}"
        );
        assert_eq!((enabled(&world), world.count("reload")), (0, 0), "{text}");
        assert!(proposals(&world).is_empty());
        assert!(next_action(&world).contains("fix the cause"), "{text}");
        source_says(&world, None);
        run(&mut world, 3 * 60);
        assert_eq!((enabled(&world), world.count("reload")), (1, 1), "{text}");
        recovered(&world);
    }
}

#[test]
fn the_source_is_read_less_and_less_often_even_after_a_restart() {
    let mut world = world(&fails(UNREACHABLE, ""), ENFORCE);
    // After 10 minutes, 20 more, 40 more, …
    for (minutes, times) in [(9, 1), (5, 2), (15, 2), (5, 3), (33, 3), (10, 4)] {
        run(&mut world, minutes);
        assert_eq!(asked(&world), times, "{minutes}");
    }
    let before = world.status().state.schemas[0].fix.clone().unwrap();
    assert_eq!(before.tries, 3);
    world.restart();
    run(&mut world, 60);
    // A new process asks once whether its key may write.
    assert_eq!(asked(&world), 5);
    assert_eq!(world.status().state.schemas[0].fix, Some(before));
    let writes = world.cluster.version();
    run(&mut world, 15);
    assert!(world.cluster.version() - writes <= 1, "lastCheckedAt alone");
    run(&mut world, 24 * 60);
    let left = asked(&world);
    run(&mut world, 24 * 60);
    assert_eq!(asked(&world) - left, 4, "every six hours at last");
    assert_eq!(enabled(&world), 0);
}

#[test]
fn a_fix_that_was_proved_is_not_forgotten_while_a_window_is_closed() {
    let spec = format!(
        "{ENFORCE}, remediation: {{windows: [{{kind: Deny, schedule: '0 0 * * *', duration: 4h, timeZone: UTC}}]}}"
    );
    let mut world = world(&fails(UNREACHABLE, ""), &spec);
    run(&mut world, 20);
    source_says(&world, None);
    run(&mut world, 100);
    assert!(next_action(&world).contains("a Deny window is open"));
    world.restart();
    run(&mut world, 60);
    assert_eq!(enabled(&world), 0);
    run(&mut world, 90);
    assert_eq!((enabled(&world), world.count("reload")), (1, 1));
    recovered(&world);
}

#[test]
fn the_breaker_does_not_hold_the_actions_after_a_proven_fix() {
    let others: Vec<String> = (0..4)
        .map(|n| {
            format!(
                "{{type: Postgres, prefix: p{n}, schemas: [{{name: t{n}, status: Failed, frequency: 30day, last_synced_ago: 30h, last_run_ago: 20m, \
                 latest_error: 'server closed the connection unexpectedly', then: {{fails: {{after: 1m, rows: 0, error: 'server closed the connection unexpectedly'}}}}}}]}}"
            )
        })
        .collect();
    let scenario = fails(UNREACHABLE, "").replace("sources: [", "");
    let scenario = format!("sources: [{}, {scenario}", others.join(", "));
    let spec = format!("{ENFORCE}, remediation: {{limits: {{breaker: {{cooldown: 12h}}}}}}");
    let mut world = world(&scenario, &spec);
    run(&mut world, 20);
    assert!(world.status().state.breaker.is_some());
    source_says(&world, None);
    run(&mut world, 60);
    assert!(world.status().state.breaker.is_some());
    assert_eq!((enabled(&world), world.count("reload")), (1, 1));
}

#[test]
fn off_leaves_the_table_off_and_proposes_nothing() {
    let spec = format!("{ENFORCE}, remediation: {{reenableAfterFix: 'Off'}}");
    let mut world = world(&fails(UNREACHABLE, ""), &spec);
    run(&mut world, 60);
    source_says(&world, None);
    run(&mut world, 8 * 60);
    assert_eq!((enabled(&world), asked(&world)), (0, 1));
    assert!(proposals(&world).is_empty());
}

#[test]
fn a_table_that_fails_again_after_that_is_not_switched_on_again_and_again() {
    let again = format!(
        ", next_runs: [{{fails: {{after: 1m, rows: 0, non_retryable: true, error: '{}'}}}}]",
        UNREACHABLE.replace('"', "")
    );
    let mut world = world(&fails(UNREACHABLE, &again), ENFORCE);
    run(&mut world, 20);
    source_says(&world, None);
    run(&mut world, 12 * 60);
    assert_eq!(enabled(&world), 1);
    // It answers all the time, so nothing proves that the cause was fixed: a person decides.
    assert_eq!(only(&world).action, ProposedAction::Reenable);
    world.restart();
    run(&mut world, 12 * 60);
    assert_eq!(enabled(&world), 1);
}

#[test]
fn a_refusal_to_switch_it_on_ends_with_a_person() {
    let mut world = world(&fails(UNREACHABLE, ""), ENFORCE);
    run(&mut world, 20);
    let kind = FaultKind::Status {
        status: 403,
        body: Some(serde_json::json!({"detail": "You do not have editor access to this table."})),
        headers: BTreeMap::new(),
        after_effect: false,
    };
    let refused = posthog_simulator::Fault::once("PATCH", "external_data_schemas", kind);
    let always = posthog_simulator::Fault {
        times: Times::Forever,
        ..refused
    };
    simulator(&world, |posthog| posthog.add_fault(always));
    source_says(&world, None);
    run(&mut world, 24 * 60);
    let patches = simulator(&world, |posthog| {
        posthog.count("PATCH", "/external_data_schemas/")
    });
    assert_eq!((patches, enabled(&world)), (1, 0));
    assert_eq!(world.status().incidents[0].step, Step::Escalated);
}

#[test]
fn no_fault_at_any_effect_switches_on_twice_or_without_need() {
    let play = |plan: &[(usize, Fault)]| {
        let spec = "mode: Enforce, interval: 5m";
        let mut world = World::new(&fails(UNREACHABLE, ""), spec, Faults::new(plan));
        run(&mut world, 20);
        source_says(&world, None);
        run(&mut world, 120);
        assert!(enabled(&world) <= 1, "{plan:?}");
        let status = world.status();
        let healthy = status.findings.is_empty() && status.incidents.is_empty();
        let asks = status.proposals.iter().any(Proposal::is_open);
        assert!(
            healthy || asks || status.incidents.len() == 1,
            "{plan:?}: {status:#?}"
        );
        world.faults.effects().len()
    };
    let effects = play(&[]);
    for index in 0..effects {
        for fault in Fault::ALL {
            play(&[(index, fault)]);
        }
    }
}

// --- Primary keys -----------------------------------------------------------------------------------------------------

type Fix = fn(&mut posthog_simulator::SchemaSpec);

#[test]
fn another_key_than_at_the_failure_brings_the_table_back() {
    let keyless = ", primary_key_columns: null, incremental_fields: {detected_primary_keys: null}";
    let own: Fix = |schema| schema.primary_key_columns = Some(vec!["id".into(), "line".into()]);
    let at_source: Fix = |schema| {
        let found = serde_json::json!(["id"]);
        schema
            .incremental_fields
            .insert("detected_primary_keys".into(), found);
    };
    for (text, extra, fix) in [
        (DUPLICATES, ", primary_key_columns: [id]", own),
        (NO_KEY, keyless, own),
        (NO_KEY, keyless, at_source),
    ] {
        let scenario = fails(text, extra).replace("probe_error: 'Could not connect', ", "");
        let mut world = world(&scenario, ENFORCE);
        run(&mut world, 40);
        assert_eq!(enabled(&world), 0, "{text}");
        world.restart();
        let id = world.schema_id("a");
        simulator(&world, |posthog| posthog.change_schema(&id, fix).unwrap());
        run(&mut world, 4 * 60);
        assert_eq!((enabled(&world), world.count("reload")), (1, 1), "{text}");
        recovered(&world);
    }
}

#[test]
fn the_same_key_in_another_order_or_none_is_no_fix() {
    let fixes: [Fix; 2] = [
        |schema| schema.primary_key_columns = Some(vec!["line".into(), "id".into()]),
        |schema| schema.primary_key_columns = None,
    ];
    for fix in fixes {
        let scenario = fails(DUPLICATES, ", primary_key_columns: [id, line]")
            .replace("probe_error: 'Could not connect', ", "");
        let mut world = world(&scenario, ENFORCE);
        run(&mut world, 40);
        let id = world.schema_id("a");
        simulator(&world, |posthog| posthog.change_schema(&id, fix).unwrap());
        run(&mut world, 8 * 60);
        assert_eq!(enabled(&world), 0);
    }
}

// --- Proposed -----------------------------------------------------------------------------------------------------------

#[test]
fn a_source_that_answers_at_the_first_try_proves_nothing() {
    let mut world = world(&fails(UNREACHABLE, ""), ENFORCE);
    run(&mut world, 5);
    source_says(&world, None);
    run(&mut world, 10);
    let proposal = only(&world);
    assert!(proposal.id.starts_with("re-"), "{}", proposal.id);
    assert_eq!(proposal.impact.loses_data, LosesData::No);
    let step = &proposal.material.steps[0];
    assert_eq!(step.call, ProposedCall::PatchTables);
    assert!(step.switch_on);
    assert_eq!(step.schema_ids, [world.schema_id("a")]);
    assert!(next_action(&world).contains(&proposal.id));
    world.restart();
    run(&mut world, 12 * 60);
    assert_eq!(only(&world), proposal);
    assert_eq!((enabled(&world), world.count("reload")), (0, 0));
    // It refuses now: the next good answer is a change, and proves it.
    source_says(&world, Some("Could not connect"));
    run(&mut world, 7 * 60);
    assert!(proposals(&world).is_empty());
    source_says(&world, None);
    run(&mut world, 7 * 60);
    assert_eq!(enabled(&world), 1);
    recovered(&world);
}

#[test]
fn tables_that_were_not_seen_to_be_switched_off_are_proposed_together_and_never_switched_on_automatically()
 {
    let refused = "password authentication failed";
    let tables = [
        ("a", "Gremlins in the warehouse"),
        ("b", refused),
        ("c", "relation x does not exist"),
    ];
    let mut world = world(&off(&tables, ""), ENFORCE);
    run(&mut world, 5);
    assert!(proposals(&world).is_empty());
    run(&mut world, 15);
    let proposal = only(&world);
    assert_eq!(proposal.action, ProposedAction::Reenable);
    let mut wanted = [world.schema_id("a"), world.schema_id("b")];
    wanted.sort();
    assert_eq!(proposal.material.steps[0].schema_ids, wanted);
    for finding in world.status().findings {
        let asks = finding.next_action.contains(&proposal.id);
        assert_eq!(asks, finding.schema != "c", "{finding:#?}");
    }
    world.restart();
    // A refusal and an answer prove nothing either: a person may have switched them off.
    source_says(&world, Some("Could not connect"));
    run(&mut world, 7 * 60);
    assert!(proposals(&world).is_empty());
    source_says(&world, None);
    run(&mut world, 13 * 60);
    assert_eq!(only(&world).action, ProposedAction::Reenable);
    assert_eq!((enabled(&world), world.count("reload")), (0, 0));
}

#[test]
fn what_a_person_switches_on_or_leaves_off_for_good_is_not_proposed_any_more() {
    let mut world = world(&off(&[("a", UNREACHABLE)], ""), ENFORCE);
    run(&mut world, 20);
    assert_eq!(only(&world).target.schema_id, "");
    let id = world.schema_id("a");
    simulator(&world, |posthog| {
        posthog.set_should_sync(&id, true).unwrap();
    });
    run(&mut world, 10);
    assert_eq!(world.status().proposals[0].phase, Phase::Withdrawn);
}

#[test]
fn what_is_imported_from_its_beginning_is_only_proposed_also_after_a_proved_fix() {
    let mut world = world(&fails(UNREACHABLE, ", sync_type: webhook"), ENFORCE);
    run(&mut world, 20);
    assert!(proposals(&world).is_empty());
    source_says(&world, None);
    run(&mut world, 60);
    let proposal = only(&world);
    assert_eq!(proposal.action, ProposedAction::Reenable);
    assert_eq!(proposal.impact.loses_data, LosesData::Yes);
    assert_eq!(proposal.impact.rows, Some(10));
    assert!(
        proposal.impact.cost.contains("all 10 rows"),
        "{}",
        proposal.impact.cost
    );
    assert_eq!(enabled(&world), 0);
}

#[test]
fn captured_tables_are_proposed_when_the_check_is_good() {
    let scenario = "sources: [{type: Postgres, prefix: prod, cdc: {enabled: true, errors: ['wal_level must be set to logical']}, \
        schemas: [{name: a, sync_type: cdc, should_sync: false, status: Failed, frequency: 1hour, last_synced_ago: 40h, last_run_ago: 2h, rows: 9, \
        latest_error: 'logical decoding requires wal_level >= logical'}]}]";
    let mut world = world(scenario, ENFORCE);
    run(&mut world, 60);
    assert_eq!(world.status().findings[0].cause, RootCause::CdcBroken);
    assert!(proposals(&world).is_empty());
    simulator(&world, |posthog| {
        let id = posthog.source_id("prod").unwrap();
        let fix = |source: &mut posthog_simulator::SourceSpec| {
            source.cdc.as_mut().unwrap().errors.clear();
        };
        posthog.change_source(&id, fix).unwrap();
    });
    run(&mut world, 130);
    let proposal = only(&world);
    assert_eq!(proposal.action, ProposedAction::Reenable);
    assert_eq!(proposal.impact.loses_data, LosesData::Yes);
    assert_eq!(enabled(&world), 0);
}
