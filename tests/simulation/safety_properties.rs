//! For any state of PostHog and any call: a call that the safety table allows destroys nothing.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use posthog_simulator::{EffectKind, Simulator};
use proptest::prelude::*;
use secrecy::SecretString;
use warehouse_sync_operator::{
    api::{
        Timings,
        status::{Incident, RootCause, Step},
    },
    decide::{
        gate::{self, StuckRun},
        safety::{Clearance, Evidence, LosesData, NextRun, Run, Webhook, judge, permit},
    },
    execute::calls,
    observe::{Log, Newest, ReadsLog, RunPhase, RunProbe, Words},
    posthog::{
        bounds::Bounds,
        lax::Lax,
        wire::{JobStatus, Schema, Source},
        write::{FieldType, IncrementalField, NewSyncType, SchemaPatch, Write},
    },
};

use crate::{
    client::{Posthog, now, posthog},
    faults::Faults,
    scenarios::ENFORCE,
    world::{World, far, start},
    writes::unpermitted,
};

/// A table of the scenario.
#[derive(Debug, Clone)]
struct Spec {
    sync_type: &'static str,
    on: bool,
    rows: Option<u64>,
    run: &'static str,
    flags: Vec<&'static str>,
}

impl Spec {
    fn yaml(&self, index: usize) -> String {
        let rows = self
            .rows
            .map(|rows| format!("rows: {rows}, last_synced_ago: 9h, "));
        format!(
            "{{id: t{index}, name: t{index}, sync_type: {}, should_sync: {}, {}{}{}then: {{completes: {{after: 5s, rows: 1000}}}}}}",
            self.sync_type,
            self.on,
            rows.unwrap_or_default(),
            self.run,
            self.flags.concat(),
        )
    }
}

const SYNC_TYPES: [&str; 7] = [
    "full_refresh",
    "incremental",
    "append",
    "webhook",
    "cdc",
    "xmin",
    "null",
];

const RUNS: [&str; 7] = [
    "",
    "status: Failed, latest_error: boom, ",
    "status: Completed, ",
    "phantom: true, ",
    "run: {started_ago: 9h, rows: 1000, hangs: {}}, ",
    "run: {started_ago: 9h, rows: 1000, hangs: {}, on_cancel: already_finished}, ",
    "run: {started_ago: 1h, rows: 1000, progresses: {rows_per_second: 1, finishes_after: 1h}}, ",
];

const FLAGS: [&str; 8] = [
    "reset_pending: true, ",
    "table_gone: true, ",
    "trigger_fails: true, ",
    "cdc_broken: true, ",
    "primary_key_columns: null, ",
    "cdc_table_mode: cdc_only, ",
    "failed_in_a_row: 6, ",
    "incremental_fields: {webhook_only: true}, ",
];

/// In every state that a table can be in. A next run brings no fewer rows than any table has: a full refresh that finds
/// fewer rows at the source loses nothing.
fn spec() -> impl Strategy<Value = Spec> {
    (
        prop::sample::select(&SYNC_TYPES[..]),
        any::<bool>(),
        prop::option::weighted(0.8, 1_u64..1000),
        prop::sample::select(&RUNS[..]),
        prop::sample::subsequence(&FLAGS[..], 0..3),
    )
        .prop_map(|(sync_type, on, rows, run, flags)| Spec {
            sync_type,
            on,
            rows,
            run,
            flags,
        })
}

const SOURCES: [&str; 6] = [
    "type: Postgres, cdc: {}",
    "type: Postgres, cdc: {slot_exists: false}",
    "type: Postgres, access_method: direct",
    "type: Stripe, webhook: {supports_webhooks: true}",
    "type: Stripe, webhook: {supports_webhooks: true, exists: true}",
    "type: Stripe, webhook: {supports_webhooks: true, exists: true, external_status: {exists: false, status: null}}",
];

fn scenario() -> impl Strategy<Value = String> {
    let tables = prop::collection::vec(spec(), 1..4);
    (prop::sample::select(&SOURCES[..]), tables).prop_map(|(source, tables)| {
        let tables: Vec<String> = tables
            .iter()
            .enumerate()
            .map(|(index, table)| table.yaml(index))
            .collect();
        format!(
            "sources: [{{{source}, id: s1, prefix: prod, schemas: [{}]}}]",
            tables.join(", ")
        )
    })
}

fn patch(index: usize) -> impl Strategy<Value = SchemaPatch> {
    let sync_type = prop::sample::select(&[NewSyncType::FullRefresh, NewSyncType::Webhook][..]);
    let name = prop::sample::select(&["updated_at", "other"][..]);
    let field = name.prop_map(|name| IncrementalField {
        name: name.into(),
        kind: FieldType::Timestamp,
    });
    let keys = prop::sample::select(&["id", "other"][..]).prop_map(|key| vec![key.to_owned()]);
    (
        any::<bool>(),
        prop::option::weighted(0.2, sync_type),
        prop::option::weighted(0.2, field),
        prop::option::weighted(0.2, keys),
    )
        .prop_map(
            move |(switch_on, sync_type, incremental_field, primary_key_columns)| SchemaPatch {
                schema_id: format!("t{index}"),
                switch_on,
                sync_type,
                incremental_field,
                primary_key_columns,
            },
        )
}

fn call() -> impl Strategy<Value = Write> {
    let source_id = || "s1".to_owned();
    let schema_id = || "t0".to_owned();
    let inputs = |name: &str| {
        [(name.to_owned(), SecretString::from("x".to_owned()))]
            .into_iter()
            .collect()
    };
    prop_oneof![
        2 => Just(()).prop_map(move |()| Write::Cancel { schema_id: schema_id() }),
        2 => Just(()).prop_map(move |()| Write::Reload { schema_id: schema_id() }),
        1 => Just(()).prop_map(move |()| Write::Resync { schema_id: schema_id() }),
        1 => Just(()).prop_map(move |()| Write::DeleteData { schema_id: schema_id() }),
        5 => patch(0).prop_map(Write::PatchSchema),
        3 => (patch(0), patch(1)).prop_map(move |(one, other)| Write::BulkUpdateSchemas { source_id: source_id(), patches: vec![one, other] }),
        1 => prop::sample::select(&["password", "host"][..]).prop_map(move |name| Write::PatchSource { source_id: source_id(), job_inputs: inputs(name) }),
        1 => Just(()).prop_map(move |()| Write::RefreshSchemas { source_id: source_id() }),
        2 => Just(()).prop_map(move |()| Write::CreateWebhook { source_id: source_id() }),
        2 => Just(()).prop_map(move |()| Write::UpdateWebhookInputs { source_id: source_id(), inputs: inputs("signing_secret") }),
        1 => Just(()).prop_map(move |()| Write::DeleteWebhook { source_id: source_id() }),
        1 => Just(()).prop_map(move |()| Write::RepairCdc { source_id: source_id() }),
    ]
}

/// What must not be lost.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    rows: Option<u64>,
    position: Option<u64>,
    pending: bool,
}

fn kept(simulator: &Simulator) -> BTreeMap<String, Kept> {
    let ids = simulator.schema_ids("s1").into_iter();
    ids.map(|id| {
        let kept = Kept {
            rows: simulator.rows(&id),
            position: simulator.position(&id),
            pending: simulator.reset_pending(&id),
        };
        (id, kept)
    })
    .collect()
}

/// What was lost of `before`, in words.
fn losses(before: &BTreeMap<String, Kept>, after: &BTreeMap<String, Kept>) -> Vec<String> {
    let lost = |(id, had): (&String, &Kept)| {
        let Some(has) = after.get(id) else {
            // A row that holds nothing but its settings.
            let is_empty = had.rows.is_none() && had.position.is_none();
            return (!is_empty).then(|| format!("{id} was deleted"));
        };
        let less =
            has.rows < had.rows || has.position < had.position || (has.pending && !had.pending);
        less.then(|| format!("{id} had {had:?} and has {has:?}"))
    };
    before.iter().filter_map(lost).collect()
}

/// What a run of the table looks like from outside, with the proof that goes with it.
fn run_probe(posthog: &Posthog, schema: &Schema) -> Run {
    let run_probe = now(RunProbe::take(
        &posthog.client,
        ("s1", &schema.id, &schema.name),
        None,
        ReadsLog::OfRunning,
    ));
    let (job_id, running, rows) = match run_probe.newest() {
        Newest::Job(job, _) => (
            Some(job.id.clone()),
            job.status() == JobStatus::Running,
            job.rows_synced.get().copied(),
        ),
        Newest::None | Newest::Unclear(_) => (None, false, None),
    };
    if let (true, Some(job_id), Log::Read(_)) = (running, &job_id, &run_probe.log) {
        let hanging = StuckRun {
            job_id: job_id.clone(),
            rows,
            log_at: run_probe.worked_at(),
            phase: (run_probe.log.read())
                .map_or(RunPhase::Unknown, |log| log.phase(&Words::default())),
            words: Words::default(),
            canary: None,
        };
        return gate::still_stuck(&schema.id, &hanging, &run_probe)
            .map_or(Run::NotProbed, Run::StillStuck);
    }
    let incident = incident(&schema.id, job_id);
    gate::no_run_in_progress((&incident, &Timings::PRODUCTION), &run_probe, schema)
        .map_or(Run::NotProbed, Run::Nothing)
}

fn incident(schema_id: &str, baseline_job_id: Option<String>) -> Incident {
    Incident {
        schema_id: schema_id.into(),
        schema: schema_id.into(),
        source: "s".into(),
        source_id: "s1".into(),
        cause: RootCause::Transient,
        step: Step::Reloading,
        attempt: 1,
        job_id: None,
        baseline_job_id,
        new_job_id: None,
        opened_at: start(),
        step_since: start(),
        deadline: None,
        healthy_since: None,
        sends: vec![],
        message: String::new(),
    }
}

/// Everything that can be known, read through the client. Pending resets are known, since the operator remembers its own calls; that PostHog switched
/// a table off is always assumed, even where it is wrong.
fn known(posthog: &Posthog, source: &Source) -> Option<Evidence> {
    let mut known = Evidence::source(source).ok()?;
    for schema in &source.schemas {
        let pending = posthog.simulator.lock().unwrap().reset_pending(&schema.id);
        let run = run_probe(posthog, schema);
        let table = known.table_mut(&schema.id)?;
        table.disabled_by_posthog = true;
        table.next_run = if pending {
            NextRun::MayWipe
        } else {
            NextRun::Ordinary
        };
        table.run = run;
    }
    known.webhook = Webhook::of(&now(posthog.client.webhook_info(&source.id)).unwrap());
    Some(known)
}

/// Sends the call as the table lets it be sent: with a permit, or, if it makes none, past it.
fn send(posthog: &Posthog, call: Write, known: Evidence) {
    match judge(&call, &known) {
        Clearance::Safe => {
            let permit = permit(call, known).unwrap();
            now(calls::send(&posthog.client, permit, far()));
        }
        Clearance::NeedsApproval(_) => {
            unpermitted(posthog, &call);
        }
    }
}

/// What is destroyed, even if it grows again afterwards. A deleted table shows in the kept state.
const DESTROYS: [EffectKind; 4] = [
    EffectKind::ResetArmed,
    EffectKind::TableWiped,
    EffectKind::DataDeleted,
    EffectKind::PositionLost,
];

/// Sends the call and lets three hours pass. Returns what was lost, at once or later.
fn lost_by(posthog: &Posthog, call: Write, known: Evidence) -> Vec<String> {
    let before = kept(&posthog.simulator.lock().unwrap());
    send(posthog, call, known);
    let mut simulator = posthog.simulator.lock().unwrap();
    let at_once = losses(&before, &kept(&simulator));
    simulator.advance(SignedDuration::from_hours(3));
    let later = losses(&before, &kept(&simulator));
    let effects = simulator.effects().iter();
    let effects = effects.filter(|effect| DESTROYS.contains(&effect.kind));
    let effects = effects.map(|effect| format!("{:?} of {:?}", effect.kind, effect.schema));
    effects.chain(at_once).chain(later).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_called_safe_or_harmless_loses_no_row_no_table_and_no_position(scenario in scenario(), call in call()) {
        let posthog = posthog(&scenario);
        let sources = now(posthog.client.sources(Bounds::default())).unwrap();
        let Some(known) = known(&posthog, &sources[0]) else {
            prop_assert_ne!(&sources[0].access_method, &Lax::Is("warehouse".to_owned()));
            return Ok(());
        };
        let shown = format!("{call:?}");
        let verdict = judge(&call, &known);
        let harmless = match verdict {
            Clearance::Safe => true,
            Clearance::NeedsApproval(why) => why.loses_data() == LosesData::No,
        };
        let lost = lost_by(&posthog, call, known);
        prop_assert!(!harmless || lost.is_empty(), "{shown} is {verdict:?}, but: {lost:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing that is not safe is in a plan: an operator that may do what it wants loses nothing either.
    #[test]
    fn no_plan_destroys_anything(scenario in scenario()) {
        let mut world = World::new(&scenario.replace("reset_pending: true, ", ""), ENFORCE, Faults::default());
        let before = kept(&world.simulator.lock().unwrap());
        world.run_for(SignedDuration::from_hours(9));
        let simulator = world.simulator.lock().unwrap();
        let lost = losses(&before, &kept(&simulator));
        prop_assert!(lost.is_empty(), "{lost:?}");
        for kind in DESTROYS.into_iter().chain([EffectKind::Enabled, EffectKind::WebhookDeleted]) {
            prop_assert!(simulator.effects_of(kind).is_empty(), "{kind:?}");
        }
    }
}

/// The property above would hold of a simulator that loses nothing. It does lose, and this sees it.
#[test]
fn the_simulated_posthog_does_destroy_what_needs_approval() {
    let (source_id, schema_id) = (|| "s1".to_owned(), || "t0".to_owned());
    let patch = || SchemaPatch {
        schema_id: schema_id(),
        ..SchemaPatch::default()
    };
    let on = || {
        Write::PatchSchema(SchemaPatch {
            switch_on: true,
            ..patch()
        })
    };
    let to_webhook = Write::PatchSchema(SchemaPatch {
        sync_type: Some(NewSyncType::Webhook),
        ..patch()
    });
    let field = IncrementalField {
        name: "other".into(),
        kind: FieldType::Timestamp,
    };
    let by_field = Write::PatchSchema(SchemaPatch {
        incremental_field: Some(field),
        ..patch()
    });
    let plain = "should_sync: true, sync_type: incremental";
    for (source, table, call) in [
        (
            SOURCES[0],
            plain,
            Write::Resync {
                schema_id: schema_id(),
            },
        ),
        (
            SOURCES[0],
            plain,
            Write::DeleteData {
                schema_id: schema_id(),
            },
        ),
        (
            SOURCES[1],
            "sync_type: cdc",
            Write::RepairCdc {
                source_id: source_id(),
            },
        ),
        (SOURCES[0], "sync_type: cdc, should_sync: false", on()),
        (SOURCES[4], "sync_type: webhook, should_sync: false", on()),
        (SOURCES[4], plain, to_webhook),
        (SOURCES[0], plain, by_field),
        (
            SOURCES[0],
            "reset_pending: true",
            Write::Reload {
                schema_id: schema_id(),
            },
        ),
    ] {
        let posthog = posthog(&format!(
            "sources: [{{{source}, id: s1, schemas: [{{id: t0, name: t0, rows: 5000, last_synced_ago: 9h, {table}}}]}}]"
        ));
        let sources = now(posthog.client.sources(Bounds::default())).unwrap();
        let known = known(&posthog, &sources[0]).unwrap();
        let shown = format!("{call:?} of a table with {table}");
        assert_ne!(judge(&call, &known), Clearance::Safe, "{shown}");
        assert!(
            !lost_by(&posthog, call, known).is_empty(),
            "{shown} lost nothing"
        );
    }
}
