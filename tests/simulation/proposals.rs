//! What is proposed for which finding, and for how long. Nothing of it is ever sent.

use jiff::SignedDuration;
use posthog_simulator::{DataSpec, EffectKind, SchemaSpec, Simulator};
use proptest::{prelude::*, sample::select};
use warehouse_sync_operator::{
    api::{
        policy::{Mode, Proposing},
        proposal::{LosesData, Phase, Proposal, ProposedAction, ProposedCall},
        status::Finding,
    },
    observe::OtherPolicy,
};

use crate::{faults::Faults, other_policies::other_policy, world::World};

const ENFORCE: &str = "mode: Enforce, interval: 5m";

const DRIFT: &str = "column \"updated_at\" does not exist";
const GONE: &str = "relation \"a\" does not exist";
const NO_KEY: &str = "Primary key required for incremental syncs";
const DUPLICATES: &str = "The primary keys for this table are not unique";
const WRONG_TYPE: &str = "Source column type changed: amount was int64 and is now string";

/// A table that failed, and one that did not.
fn failed(text: &str, extra: &str) -> String {
    let text = text.replace('"', "\\\"");
    format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{{name: a, status: Failed, rows: 70, last_synced_ago: 40h, last_run_ago: 2h, \
         frequency: 30day, latest_error: \"{text}\"{extra}}}, {{name: z, frequency: 30day, last_synced_ago: 1h}}]}}]"
    )
}

fn drifted(candidates: &str) -> String {
    failed(
        DRIFT,
        &format!(
            ", incremental_fields: {{incremental_fields: [{candidates}], available_columns: [{{field: id}}]}}"
        ),
    )
}

const ONE: &str = "{field: modified_at, field_type: timestamp}";

fn world(scenario: &str, spec: &str) -> World {
    let mut world = World::new(scenario, spec, Faults::default());
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

fn only(world: &World) -> Proposal {
    let proposals = world.status().proposals;
    assert_eq!(
        proposals.len(),
        1,
        "{proposals:#?} {:#?}",
        world.status().findings
    );
    proposals[0].clone()
}

fn finding(world: &World) -> Finding {
    world.status().findings[0].clone()
}

fn calls(proposal: &Proposal) -> Vec<ProposedCall> {
    let steps = proposal.material.steps.iter();
    steps.map(|step| step.call).collect()
}

fn phases(world: &World) -> Vec<Phase> {
    let proposals = world.status().proposals;
    proposals.iter().map(|row| row.phase).collect()
}

fn is_asked_for(world: &World, proposal: &Proposal) {
    let next = finding(world).next_action;
    assert!(next.contains(&proposal.id), "{next}");
}

// --- Each letter ----------------------------------------------------------------------------------------------------

#[test]
fn the_one_column_that_fits_is_proposed_as_incremental_field() {
    let world = world(&drifted(ONE), ENFORCE);
    let proposal = only(&world);
    assert!(proposal.id.starts_with("cf-"), "{}", proposal.id);
    assert_eq!(calls(&proposal), [ProposedCall::PatchSchema]);
    let step = &proposal.material.steps[0];
    assert_eq!(step.incremental_field.as_deref(), Some("modified_at"));
    assert_eq!(step.incremental_field_type.as_deref(), Some("timestamp"));
    assert_eq!(
        proposal.steps,
        ["set the incremental field of a to modified_at (timestamp)"]
    );
    assert_eq!(proposal.impact.loses_data, LosesData::Maybe);
    assert_eq!(proposal.impact.rows, Some(70));
    assert_eq!(
        proposal.approve_command,
        format!(
            "kubectl annotate wsp p -n n --field-manager=wsp-approve approve.warehousesync.dev/{}=\"$(kubectl auth whoami -o jsonpath='{{.status.userInfo.username}}')\"",
            proposal.id
        )
    );
    assert_eq!(
        proposal.deny_command,
        format!(
            "kubectl annotate wsp p -n n --field-manager=wsp-approve deny.warehousesync.dev/{}='the reason'",
            proposal.id
        )
    );
    is_asked_for(&world, &proposal);
}

#[test]
fn without_exactly_one_other_column_a_person_has_to_choose() {
    for candidates in [
        String::new(),
        format!("{ONE}, {{field: created_at, field_type: timestamp}}"),
        "{field: created_at, field_type: date}".to_owned(),
        // Its own field is there: something else has drifted.
        "{field: updated_at, field_type: timestamp}".to_owned(),
    ] {
        let world = world(&drifted(&candidates), ENFORCE);
        assert!(world.status().proposals.is_empty(), "{candidates}");
        let next = finding(&world).next_action;
        assert!(next.starts_with("Action required:"), "{next}");
    }
}

#[test]
fn a_first_key_is_set_without_deleting_anything() {
    let extra = ", primary_key_columns: null, incremental_fields: {detected_primary_keys: [id]}";
    let world = world(&failed(NO_KEY, extra), ENFORCE);
    let proposal = only(&world);
    assert_eq!(proposal.action, ProposedAction::RepairConfig);
    assert_eq!(
        calls(&proposal),
        [ProposedCall::PatchSchema, ProposedCall::Reload]
    );
    let key = proposal.material.steps[0].primary_key_columns.clone();
    assert_eq!(key.unwrap(), ["id"]);
}

#[test]
fn another_key_needs_the_data_to_be_deleted_first() {
    let declared = format!(
        "{ENFORCE}, overrides: [{{source: {{prefix: prod}}, schemas: [a], primaryKeys: [order_id, line]}}]"
    );
    let with = |key: &str, detected: &str| {
        format!(
            ", primary_key_columns: {key}, incremental_fields: {{detected_primary_keys: {detected}, available_columns: [{{field: order_id}}, {{field: line}}]}}"
        )
    };
    for (text, extra, spec, key) in [
        (
            DUPLICATES,
            with("[id]", "[id]"),
            &*declared,
            Some("order_id line"),
        ),
        (DUPLICATES, with("[id]", "[a, b]"), ENFORCE, Some("a b")),
        (NO_KEY, with("[id]", "[a]"), ENFORCE, Some("a")),
        (DUPLICATES, with("[id]", "[id]"), ENFORCE, None),
        (DUPLICATES, with("null", "[id]"), ENFORCE, None),
        (
            DUPLICATES,
            with("[line, order_id]", "[id]"),
            &*declared,
            None,
        ),
    ] {
        let world = world(&failed(text, &extra), spec);
        let Some(key) = key else {
            assert!(world.status().proposals.is_empty(), "{extra}");
            let next = finding(&world).next_action;
            assert!(next.contains("overrides[].primaryKeys"), "{next}");
            continue;
        };
        let proposal = only(&world);
        assert!(proposal.id.starts_with("dd-"), "{}", proposal.id);
        assert_eq!(
            calls(&proposal),
            [
                ProposedCall::DeleteData,
                ProposedCall::PatchSchema,
                ProposedCall::Reload
            ]
        );
        let columns = proposal.material.steps[1].primary_key_columns.clone();
        assert_eq!(columns.unwrap().join(" "), key);
        assert_eq!(proposal.impact.loses_data, LosesData::Yes);
        assert_eq!(
            finding(&world).action,
            Some(ProposedAction::DeleteData.of_finding())
        );
    }
}

#[test]
fn missing_tables_of_one_source_lead_to_one_proposal() {
    let table = |name: &str| {
        format!(
            "{{name: {name}, status: Failed, rows: 5, last_synced_ago: 40h, last_run_ago: 2h, frequency: 30day, latest_error: 'relation \"x\" does not exist'}}"
        )
    };
    let scenario = format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{}, {}, {{name: z, frequency: 30day, last_synced_ago: 1h}}]}}]",
        table("a"),
        table("b")
    );
    let mut world = world(&scenario, ENFORCE);
    let proposal = only(&world);
    assert!(proposal.id.starts_with("rf-"), "{}", proposal.id);
    assert_eq!(
        (proposal.title(), proposal.impact.rows),
        ("Postgres prod", Some(0))
    );
    assert_eq!(proposal.impact.loses_data, LosesData::No);
    assert!(proposal.impact.cost.starts_with("Stored rows stay."));
    for finding in world.status().findings {
        assert!(finding.next_action.contains(&proposal.id));
    }
    // One of them is back: the other is still missing.
    change(&world, "a", |schema| schema.latest_error = None);
    let id = world.schema_id("a");
    simulator(&world, |posthog| posthog.start_run(&id).unwrap());
    run(&mut world, 30);
    assert_eq!(only(&world), proposal);
}

#[test]
fn a_table_that_no_longer_fits_is_reimported_at_the_cost_of_its_rows() {
    let world = world(&failed(WRONG_TYPE, ""), ENFORCE);
    let proposal = only(&world);
    assert!(proposal.id.starts_with("rs-"), "{}", proposal.id);
    assert_eq!(calls(&proposal), [ProposedCall::Resync]);
    assert!(proposal.impact.cost.contains("all 70 rows"));
    assert_eq!(proposal.impact.sync_type.as_deref(), Some("incremental"));
    assert!(proposal.material.table_id.is_some());
}

#[test]
fn data_that_fails_a_check_is_reimported_and_a_check_that_passes_again_withdraws_that() {
    let spec = "mode: Enforce, interval: 5m, health: {dataChecks: [{source: {prefix: prod}, schema: t, uniqueKey: [id]}]}";
    let scenario = "keys: [{token: phx_demo, scopes: ['external_data_source:read', 'external_data_source:write', 'query:read']}]\n\
        sources: [{type: Postgres, prefix: prod, schemas: [{name: t, frequency: 30day, last_synced_ago: 50m, rows: 5, \
        columns: [{name: id}], data: {duplicates: {columns: [id], groups: 3}}}]}]";
    let mut world = world(scenario, spec);
    let proposal = only(&world);
    assert_eq!(calls(&proposal), [ProposedCall::Resync]);
    assert_eq!(proposal.material.rule, "data-check/unique-key");
    world.restart();
    run(&mut world, 180);
    assert_eq!(only(&world), proposal);
    change(&world, "t", |schema| schema.data = DataSpec::default());
    let id = world.schema_id("t");
    simulator(&world, |posthog| posthog.start_run(&id).unwrap());
    run(&mut world, 30);
    assert_eq!(phases(&world), [Phase::Withdrawn]);
}

const SLOT_LOST: &str = "sources: [{type: Postgres, prefix: prod, cdc: {enabled: true, slot_exists: false}, schemas: [{name: t, sync_type: cdc, frequency: 1hour, rows: 5, last_synced_ago: 30m}]}]";

#[test]
fn a_lost_slot_is_waited_for_and_resume_is_first() {
    let mut world = world(
        SLOT_LOST,
        "mode: Enforce, interval: 5m, health: {freshness: {maxAge: 90h}}",
    );
    assert!(world.status().proposals.is_empty());
    run(&mut world, 60);
    world.restart();
    run(&mut world, 120);
    let proposal = only(&world);
    assert!(proposal.id.starts_with("rc-"), "{}", proposal.id);
    assert_eq!(proposal.impact.loses_data, LosesData::Yes);
    let next = finding(&world).next_action;
    let place = |text: &str| next.find(text).unwrap_or_else(|| panic!("{next}"));
    assert!(place("Resume") < place(&proposal.id), "{next}");
}

#[test]
fn a_table_that_posthog_was_seen_to_switch_off_is_switched_on_again() {
    let scenario = format!(
        "sources: [{{schemas: [{{name: a, rows: 7, frequency: 30day, last_synced_ago: 1h, next_runs: [{{fails: {{after: 2m, rows: 0, error: 'x', friendly: '{WRONG_TYPE}', non_retryable: true}}}}]}}]}}]"
    );
    let mut world = world(&scenario, ENFORCE);
    let id = world.schema_id("a");
    simulator(&world, |posthog| posthog.start_run(&id).unwrap());
    run(&mut world, 20);
    let proposal = only(&world);
    assert_eq!(
        calls(&proposal),
        [ProposedCall::Resync, ProposedCall::PatchSchema]
    );
    assert!(proposal.material.steps[1].switch_on);
}

// --- How long it is open ---------------------------------------------------------------------------------------------

#[test]
fn a_steady_poll_and_a_restart_change_nothing() {
    let mut world = world(&drifted(ONE), ENFORCE);
    let proposal = only(&world);
    let before = world.cluster.version();
    run(&mut world, 50);
    assert!(world.cluster.version() - before <= 1, "lastCheckedAt alone");
    world.restart();
    run(&mut world, 50);
    assert_eq!(only(&world), proposal);
    let opened = world.cluster.events();
    let opened = opened
        .iter()
        .filter(|e| e.reason.as_str() == "ProposalOpened");
    assert_eq!(opened.count(), 1);
}

#[test]
fn a_change_of_the_action_makes_another_proposal() {
    let mut world = world(&drifted(ONE), ENFORCE);
    let first = only(&world);
    change(&world, "a", |schema| {
        let other = serde_json::json!([{"field": "changed_at", "field_type": "timestamp"}]);
        schema
            .incremental_fields
            .insert("incremental_fields".to_owned(), other);
    });
    run(&mut world, 7 * 60);
    assert_eq!(phases(&world), [Phase::Superseded, Phase::AwaitingApproval]);
    let second = &world.status().proposals[1];
    assert_ne!(second.id, first.id);
    assert_ne!(second.material.nonce, first.material.nonce);
    is_asked_for(&world, second);
}

#[test]
fn the_newest_job_the_rows_the_text_and_the_generation_are_not_material() {
    let mut world = world(
        &failed(
            WRONG_TYPE,
            ", then: {fails: {after: 1m, rows: 3, error: 'Source column type changed: amount was int64 and is now bytes'}}",
        ),
        ENFORCE,
    );
    let proposal = only(&world);
    let id = world.schema_id("a");
    simulator(&world, |posthog| posthog.start_run(&id).unwrap());
    change(&world, "a", |schema| schema.rows = Some(90));
    world
        .cluster
        .edit(|policy| policy.spec.interval = "6m".into());
    run(&mut world, 60);
    assert_eq!(only(&world), proposal);
}

#[test]
fn a_proposal_goes_with_its_finding() {
    let mut world = world(&failed(WRONG_TYPE, ""), ENFORCE);
    let id = world.schema_id("a");
    simulator(&world, |posthog| posthog.start_run(&id).unwrap());
    run(&mut world, 60);
    let proposal = only(&world);
    assert_eq!(proposal.phase, Phase::Withdrawn);
    assert_eq!(proposal.message, "the finding has cleared");
    let status = world.status();
    assert_eq!(status.condition("PendingApproval").unwrap().status, "False");
    assert_eq!(status.summary.unwrap().pending_approval, 0);
}

#[test]
fn an_expired_proposal_is_made_again_under_another_id() {
    let spec = format!("{ENFORCE}, approval: {{expiresAfter: 30m}}");
    let mut world = world(&failed(WRONG_TYPE, ""), &spec);
    let first = only(&world);
    run(&mut world, 20);
    assert_eq!(phases(&world), [Phase::Expired, Phase::AwaitingApproval]);
    assert_ne!(world.status().proposals[1].id, first.id);
    let status = world.status();
    assert_eq!(status.condition("PendingApproval").unwrap().status, "True");
    run(&mut world, 40 * 35);
    let status = world.status();
    assert_eq!(status.proposals.len(), 32, "the oldest go");
    assert_eq!(status.summary.unwrap().pending_approval, 1);
}

#[test]
fn observe_off_and_another_selector_withdraw_and_suspend_only_holds() {
    type Edit = fn(&mut warehouse_sync_operator::api::WarehouseSyncPolicy);
    let cases: [(Edit, Phase, &str); 4] = [
        (
            |p| p.spec.mode = Mode::Observe,
            Phase::Withdrawn,
            "spec.mode is Observe",
        ),
        (
            |p| p.spec.remediation.resync = Proposing::Off,
            Phase::Withdrawn,
            "spec.remediation.resync is Off",
        ),
        (
            |p| p.spec.selector.schemas.exclude = vec!["a".to_owned()],
            Phase::Withdrawn,
            "does not select this table",
        ),
        (|p| p.spec.suspend = true, Phase::AwaitingApproval, ""),
    ];
    for (edit, phase, why) in cases {
        let mut world = world(&failed(WRONG_TYPE, ""), ENFORCE);
        world.cluster.edit(edit);
        run(&mut world, 20);
        let proposal = only(&world);
        assert_eq!(proposal.phase, phase, "{why}");
        assert!(proposal.message.contains(why), "{}", proposal.message);
    }
}

#[test]
fn observe_off_and_suspend_name_the_action_and_propose_nothing() {
    for (spec, why) in [
        ("interval: 5m", "spec.mode is Observe"),
        ("mode: Enforce, suspend: true", "spec.suspend is true"),
        (
            "mode: Enforce, remediation: {resync: 'Off'}",
            "spec.remediation.resync is Off",
        ),
    ] {
        let world = world(&failed(WRONG_TYPE, ""), spec);
        assert!(world.status().proposals.is_empty(), "{spec}");
        let next = finding(&world).next_action;
        assert!(next.contains("Resync") && next.contains(why), "{next}");
    }
}

#[test]
fn only_the_owner_proposes() {
    let owns = |created: &str, may_act| OtherPolicy {
        may_act,
        ..other_policy(created)
    };
    for (other_policy, text, proposed) in [
        (owns("2025-01-01T00:00:00Z", true), WRONG_TYPE, false),
        (owns("2025-01-01T00:00:00Z", true), GONE, false),
        (owns("2025-01-01T00:00:00Z", false), WRONG_TYPE, true),
        (owns("2026-06-01T00:00:00Z", true), GONE, true),
    ] {
        let mut world = World::new(&failed(text, ""), ENFORCE, Faults::default());
        world.cluster.set_other_policies(vec![other_policy]);
        run(&mut world, 20);
        assert_eq!(
            world.status().proposals.len(),
            usize::from(proposed),
            "{text}"
        );
        let next = finding(&world).next_action;
        assert_eq!(next.contains("policy other"), !proposed, "{next}");
    }
}

#[test]
fn a_temporarily_unknown_state_does_not_withdraw_a_proposal() {
    let mut world = world(&drifted(ONE), ENFORCE);
    let proposal = only(&world);
    // The source does not answer after a restart, and the table is away for a while.
    change(&world, "a", |schema| {
        schema.probe_error = Some("Could not connect".to_owned());
    });
    world.restart();
    run(&mut world, 60);
    assert_eq!(only(&world), proposal);
    change(&world, "a", |schema| schema.invisible = true);
    run(&mut world, 60);
    assert_eq!(only(&world), proposal);
}

// --- Nothing is sent ------------------------------------------------------------------------------------------------

fn a_failure() -> impl Strategy<Value = (&'static str, String)> {
    let text = select(vec![DRIFT, GONE, NO_KEY, DUPLICATES, WRONG_TYPE]);
    let key = select(vec!["null", "[id]", "[a, b]"]);
    let on = any::<bool>();
    (text, key, on).prop_map(|(text, key, on)| {
        let extra = format!(
            ", should_sync: {on}, primary_key_columns: {key}, incremental_fields: {{incremental_fields: [{ONE}], \
             available_columns: [{{field: id}}], detected_primary_keys: [c]}}"
        );
        (text, extra)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The world checks each request; here is what they would have come to.
    #[test]
    fn no_plan_destroys_anything(failure in a_failure(), restart in 0_i64..90) {
        let (text, extra) = failure;
        let mut world = World::new(&failed(text, &extra), ENFORCE, Faults::default());
        run(&mut world, restart);
        world.restart();
        run(&mut world, 120);
        for kind in [
            EffectKind::ResetArmed,
            EffectKind::TableWiped,
            EffectKind::DataDeleted,
            EffectKind::PositionLost,
            EffectKind::SchemaDeleted,
            EffectKind::Enabled,
        ] {
            prop_assert!(simulator(&world, |posthog| posthog.effects_of(kind).is_empty()), "{kind:?}");
        }
        for proposal in world.status().proposals {
            prop_assert_eq!(&proposal.id, &warehouse_sync_operator::decide::proposal::material::id(&proposal.material));
        }
    }
}

#[test]
fn a_declared_field_chooses_among_several_that_could_take_the_place_of_the_old_one() {
    let several = format!("{{field: id, field_type: integer}}, {ONE}");
    let by_type = world(&drifted(&several), ENFORCE);
    let steps = only(&by_type).material.steps;
    let chosen = steps[0].incremental_field.as_ref().unwrap();
    assert_eq!(chosen, "modified_at");
    let spec = format!(
        "{ENFORCE}, overrides: [{{source: {{prefix: prod}}, schemas: [a], incrementalField: id}}]"
    );
    let declared = world(&drifted(&several), &spec);
    let steps = only(&declared).material.steps;
    assert_eq!(steps[0].incremental_field.as_deref(), Some("id"));
    let many = format!("{several}, {{field: seen_at, field_type: timestamp}}");
    let open = world(&drifted(&many), ENFORCE);
    assert!(open.status().proposals.is_empty());
    let next = finding(&open).next_action;
    assert!(next.contains("spec.overrides[].incrementalField"), "{next}");
}
