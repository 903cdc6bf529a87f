//! A healthy run is never cancelled, even if it looks dead; one that is certainly dead is cancelled and reloaded; and if it may be either, a person
//! decides. The worlds' watchdog fails a test as soon as a run that was alive is harmed.

use jiff::{SignedDuration, Timestamp};
use posthog_simulator::{
    Behaviour, Effect, EffectKind, Harm, Phase as RunPhase, Request, RunPlan, Simulator, Trigger,
};
use proptest::prelude::*;
use warehouse_sync_operator::api::{
    WarehouseSyncPolicy,
    policy::CancelStuck,
    proposal::{Phase, Proposal, ProposedAction},
    status::{RootCause, Step},
};

use crate::{faults::Faults, scenarios::ENFORCE, world::World};

const QUEUED: &str = include_str!("../simulator/scenarios/queued-behind-an-older-run.yaml");
const LOADS: &str = include_str!("../simulator/scenarios/loads-for-nine-hours.yaml");
const LATE: &str = include_str!("../simulator/scenarios/late-cancel.yaml");
const LOOK_ALIKES: &str = include_str!("../simulator/scenarios/healthy-look-alikes.yaml");
const LOADER_DOWN: &str = include_str!("../simulator/scenarios/loader-down.yaml");
const DEAD: &str = include_str!("../simulator/scenarios/dead-runs.yaml");

/// A table that completes a run each hour.
pub const CANARY: &str = "{name: canary, frequency: 1hour, schedule: true, last_synced_ago: 30m, then: {pipeline: v3, extract: 2m, rows: 20}}";

/// What [`ENFORCE`] and the defaults say.
pub const NO_PROGRESS_FOR: SignedDuration = SignedDuration::from_hours(12);
const POLL: SignedDuration = SignedDuration::from_mins(5);

pub fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

pub fn world(scenario: &str, spec: &str) -> World {
    World::new(scenario, spec, Faults::default())
}

pub fn simulator<A>(world: &World, change: impl FnOnce(&mut Simulator) -> A) -> A {
    change(&mut world.simulator.lock().unwrap())
}

/// Tables named `a`, `b`, … that run like this, and a canary.
pub fn tables(runs: &[&str]) -> String {
    let names = ('a'..='z').zip(runs);
    let tables: Vec<String> = names
        .map(|(name, run)| {
            format!("{{name: {name}, frequency: 30day, last_synced_ago: 40h, rows: 4000, {run}}}")
        })
        .collect();
    format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{}, {CANARY}]}}]",
        tables.join(", ")
    )
}

pub const DIES: &str = "{pipeline: v3, started_ago: 0s, extract: 4h, rows: 4000, batches: 4, dies: {phase: extracting, after: 150m}}";
pub const WORKS: &str = "{pipeline: v3, extract: 10m, rows: 4000}";

/// A run that dies while it extracts; the next one works.
pub fn dies() -> String {
    format!("run: {DIES}, then: {WORKS}")
}

/// A run that dies like this after its extraction, at a PostHog that never gives up a run.
fn dies_later(dies: &str) -> String {
    let run = format!(
        "run: {{pipeline: v3, started_ago: 0s, extract: 1h, rows: 4000, batches: 4, queue: 0s, load_per_batch: 30m, dies: {dies}}}"
    );
    let tables = tables(&[&format!("{run}, then: {WORKS}")]).replace("30day", "12hour");
    format!("{{instance: {{stale_after: null}}, {tables}}}")
}

/// The effects of a kind on a table.
pub fn effects(world: &World, table: &str, kind: EffectKind) -> Vec<Effect> {
    simulator(world, |posthog| {
        let of_table = |effect: &&Effect| effect.schema.as_deref() == Some(table);
        let effects = posthog.effects_of(kind).into_iter();
        effects.filter(of_table).cloned().collect()
    })
}

/// When the operator's reloads started runs of a table.
pub fn reloads(world: &World, table: &str) -> Vec<Timestamp> {
    let started = effects(world, table, EffectKind::RunStarted).into_iter();
    let reloads = started.filter(|effect| effect.trigger == Some(Trigger::Reload));
    reloads.map(|effect| effect.at).collect()
}

/// Runs for this many days, with a new process every five hours.
pub fn run_with_restarts(world: &mut World, days: i64) {
    let end = world.now() + hours(24 * days);
    while world.now() < end {
        world.run_for(hours(5));
        world.restart();
    }
}

pub fn has_completed(world: &World, table: &str) -> bool {
    let id = world.schema_id(table);
    simulator(world, |posthog| posthog.status(&id)) == Some(posthog_simulator::Status::Completed)
}

pub fn proposals(world: &World) -> Vec<Proposal> {
    let proposals = world.status().proposals.into_iter();
    proposals
        .filter(|proposal| proposal.action == ProposedAction::Cancel)
        .collect()
}

fn says(world: &World, text: &str) -> bool {
    let history = world.status().history;
    history.iter().any(|entry| entry.what.contains(text))
}

// --- Cases from the field -------------------------------------------------------------------------------------------

#[test]
fn no_run_is_cancelled_while_the_tables_that_sync_often_complete_none() {
    let mut world = world(&tables(&[&dies()]), ENFORCE);
    // A run of the canary completes after the run has died; then no worker is left.
    world.run_for(hours(4));
    let id = world.schema_id("canary");
    simulator(&world, |posthog| {
        let hangs = Behaviour::Hangs {
            after: SignedDuration::ZERO,
            rows: 1,
            swept_after: None,
        };
        posthog.set_next_runs(&id, [RunPlan::from(hangs)]).unwrap();
    });
    world.run_for(hours(12));
    assert_eq!(world.count("cancel"), 0);
    let findings = world.status().findings;
    assert!(
        findings
            .iter()
            .any(|finding| finding.message.contains("workers may be down")),
        "{findings:#?}"
    );
}

#[test]
fn a_completed_run_of_the_other_pipeline_does_not_keep_one_of_the_same_from_being_read() {
    let canary = CANARY.replace("1hour", "6hour").replace("30m", "4h");
    let without_loader = "{name: other, frequency: 1hour, schedule: true, last_synced_ago: 30m, then: {completes: {after: 2m, rows: 20}}}";
    let scenario = tables(&[&dies()]).replace(CANARY, &format!("{canary}, {without_loader}"));
    let mut world = world(&scenario, ENFORCE);
    world.run_for(hours(48));
    assert_eq!(world.count("cancel"), 1, "{:#?}", world.status().findings);
    assert!(has_completed(&world, "a"));
}

#[test]
fn a_run_that_waits_behind_an_older_one_is_not_cancelled() {
    let mut world = world(QUEUED, ENFORCE);
    world.run_for(hours(72));
    assert_eq!(world.count("cancel"), 0);
    assert!(has_completed(&world, "orders"));
}

#[test]
fn a_run_that_is_loaded_for_nine_hours_without_a_sign_is_not_cancelled() {
    let mut world = world(LOADS, ENFORCE);
    world.run_for(hours(48));
    assert_eq!(world.count("cancel"), 0);
    assert!(has_completed(&world, "orders"));
}

#[test]
fn a_dead_run_that_posthog_takes_over_itself_is_not_cancelled() {
    let mut world = world(LATE, ENFORCE);
    world.run_for(hours(48));
    assert_eq!(world.count("cancel"), 0);
}

/// A run that is dead, whose cancel PostHog handles 50 s late; a new run begins 20 s after it was sent.
#[test]
fn a_new_run_that_our_late_cancel_hits_is_said_to_be_hit_and_reloaded() {
    let gone = DIES.replace("after: 150m", "after: 150m, workflow: gone");
    let then = WORKS.replace("pipeline: v3", "pipeline: v3, starts_after: 20s");
    let tables = tables(&[&format!("run: {gone}, then: {then}")]);
    let late = "faults: [{matches: {method: POST, path_contains: /cancel/}, kind: {handled_late: {by: 50s}}}]";
    let scenario = format!("{{{tables}, {late}}}");
    let sent_at = {
        let mut world = world(&scenario, ENFORCE);
        loop {
            let now = world.now();
            let wait = world.reconcile();
            if world.count("cancel") > 0 {
                break now;
            }
            simulator(&world, |posthog| posthog.advance(wait));
        }
    };
    let mut world = world(&scenario, ENFORCE);
    while world.now() < sent_at {
        let wait = world.reconcile();
        simulator(&world, |posthog| posthog.advance(wait));
    }
    let id = world.schema_id("a");
    simulator(&world, |posthog| posthog.start_run(&id).unwrap());
    world.run_for(SignedDuration::from_mins(1));
    let harmed = simulator(&world, Simulator::take_violations);
    assert_eq!(harmed.len(), 1, "{harmed:#?}");
    assert_eq!(harmed[0].harm, Harm::RunCancelled);
    world.run_for(SignedDuration::from_mins(30));
    assert_eq!(world.count("cancel"), 1);
    assert!(
        says(&world, "probably by the operator's own cancel"),
        "{:#?}",
        world.status().history
    );
    assert_eq!(reloads(&world, "a").len(), 1);
    assert!(has_completed(&world, "a"));
}

// --- Alive ----------------------------------------------------------------------------------------------------------

#[test]
fn no_healthy_look_alike_is_harmed_in_three_days() {
    let mut world = world(LOOK_ALIKES, ENFORCE);
    run_with_restarts(&mut world, 3);
    let harmed = simulator(&world, Simulator::take_violations);
    assert!(harmed.is_empty(), "{harmed:#?}");
    assert_eq!(world.count("cancel"), 0);
}

/// These extract in silence for longer than the default of `noProgressFor`, which no rule can distinguish from a dead run.
const SILENT_IN_EXTRACTION: [&str; 5] = [
    "waits_for_a_worker",
    "repartitions",
    "reads_a_slow_page",
    "extracts_one_large_batch",
    "waits_for_the_next_attempt",
];

/// Each look-alike in a world of its own, since many silent tables at once are held for an outage.
fn look_alikes(spec: &str, chosen: impl Fn(&str) -> bool) {
    let (head, tables) = LOOK_ALIKES.split_once("      - name: ").unwrap();
    let tables: Vec<&str> = tables.split("      - name: ").collect();
    let (canary, tables) = tables.split_last().unwrap();
    let name = |table: &str| table.lines().next().unwrap().to_owned();
    for table in tables.iter().filter(|table| chosen(&name(table))) {
        let scenario = format!("{head}      - name: {table}      - name: {canary}");
        let mut world = world(&scenario, spec);
        run_with_restarts(&mut world, 2);
        assert_eq!(world.count("cancel"), 0, "{}", name(table));
    }
}

#[test]
fn no_healthy_look_alike_is_harmed_by_itself() {
    look_alikes(ENFORCE, |name| !SILENT_IN_EXTRACTION.contains(&name));
}

#[test]
fn a_longer_patience_spares_what_extracts_in_silence_for_longer() {
    let health = "health: {stuck: {noProgressFor: 36h, loadingSilentFor: 40h}}";
    look_alikes(&format!("{ENFORCE}, {health}"), |name| {
        SILENT_IN_EXTRACTION.contains(&name)
    });
}

#[test]
fn nothing_is_cancelled_while_the_loader_is_down_and_it_is_called_an_outage() {
    let mut world = world(LOADER_DOWN, ENFORCE);
    run_with_restarts(&mut world, 1);
    let findings = world.status().findings;
    assert!(
        findings
            .iter()
            .any(|finding| finding.cause == RootCause::PlatformOutage),
        "{findings:#?}"
    );
    run_with_restarts(&mut world, 2);
    assert_eq!(world.count("cancel"), 0);
}

#[test]
fn many_runs_that_die_at_once_are_an_outage_and_none_is_cancelled() {
    let run = dies();
    let mut world = world(&tables(&[&run, &run, &run]), ENFORCE);
    world.run_for(hours(30));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
    let findings = world.status().findings;
    assert!(
        findings
            .iter()
            .any(|finding| finding.cause == RootCause::PlatformOutage),
        "{findings:#?}"
    );
}

#[test]
fn no_dead_run_of_many_is_harmed_in_three_days() {
    let mut world = world(DEAD, ENFORCE);
    run_with_restarts(&mut world, 3);
}

// --- Dead -----------------------------------------------------------------------------------------------------------

#[test]
fn a_run_that_died_while_extracting_is_cancelled_in_time_reloaded_and_recovers() {
    let mut world = world(&tables(&[&dies()]), ENFORCE);
    let began = world.now();
    world.run_for(hours(20));
    let cancels = effects(&world, "a", EffectKind::Cancelled);
    assert_eq!(cancels.len(), 1, "{:#?}", world.status());
    // The second of four batches was its last sign of life.
    let last_sign = began + hours(2);
    let silent = cancels[0].at.duration_since(last_sign);
    assert!(silent >= NO_PROGRESS_FOR, "{silent}");
    assert!(silent <= NO_PROGRESS_FOR + POLL * 2, "{silent}");
    let reloads = reloads(&world, "a");
    assert_eq!(reloads.len(), 1);
    assert!(reloads[0].duration_since(cancels[0].at) <= POLL * 2);
    assert!(has_completed(&world, "a"));
    let status = world.status();
    assert!(status.findings.is_empty(), "{:#?}", status.findings);
}

#[test]
fn the_second_dead_run_of_a_table_is_a_persons() {
    let again = DIES.replace("started_ago: 0s, ", "");
    let tables = tables(&[&format!("run: {DIES}, then: {again}")]);
    let mut world = world(&tables, ENFORCE);
    world.run_for(hours(72));
    assert_eq!(world.count("cancel"), 1);
    let proposals = proposals(&world);
    assert_eq!(proposals.len(), 1, "{:#?}", world.status());
    assert_eq!(proposals[0].phase, Phase::AwaitingApproval);
}

#[test]
fn a_policy_with_propose_gets_a_proposal_and_one_with_off_gets_nothing() {
    for (switch, asked) in [("Propose", 1), ("'Off'", 0)] {
        let spec = format!("{ENFORCE}, remediation: {{cancelStuck: {switch}}}");
        let mut world = world(&tables(&[&dies()]), &spec);
        world.run_for(hours(48));
        assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
        let proposals = proposals(&world);
        assert_eq!(proposals.len(), asked, "{switch}: {proposals:#?}");
    }
}

/// How long the table was silent when its run was cancelled, in a project like this.
fn silent_when_cancelled(scenario: &str) -> SignedDuration {
    let mut world = world(scenario, ENFORCE);
    let last_sign = world.now() + hours(2);
    world.run_for(hours(20));
    let cancels = effects(&world, "a", EffectKind::Cancelled);
    assert_eq!(cancels.len(), 1, "{:#?}", world.status());
    assert_eq!(reloads(&world, "a").len(), 1);
    cancels[0].at.duration_since(last_sign)
}

#[test]
fn clocks_that_differ_by_minutes_change_nothing_but_by_minutes() {
    for (ahead, minutes) in [("4m", 4), ("-4m", -4)] {
        let tables = tables(&[&dies()]);
        let scenario = format!("{{instance: {{log_clock_ahead: {ahead}}}, {tables}}}");
        let silent = silent_when_cancelled(&scenario);
        let skew = SignedDuration::from_mins(minutes);
        assert!(silent >= NO_PROGRESS_FOR + skew, "{ahead}: {silent}");
        assert!(
            silent <= NO_PROGRESS_FOR + skew + POLL * 2,
            "{ahead}: {silent}"
        );
    }
}

#[test]
fn a_run_with_more_lines_than_a_page_of_the_log_is_cancelled_in_time() {
    let many = DIES
        .replace("batches: 4", "batches: 1000")
        .replace("rows: 4000", "rows: 100000");
    let mut world = world(&tables(&[&format!("run: {many}, then: {WORKS}")]), ENFORCE);
    let died = world.now() + SignedDuration::from_mins(150);
    // A silence that the log alone does not explain begins when this process first saw the table.
    world.run_for(hours(2));
    world.restart();
    world.run_for(hours(18));
    let cancels = effects(&world, "a", EffectKind::Cancelled);
    assert_eq!(cancels.len(), 1, "{:#?}", world.status());
    let silent = cancels[0].at.duration_since(died);
    assert!(
        silent >= NO_PROGRESS_FOR - POLL && silent <= NO_PROGRESS_FOR + POLL * 2,
        "{silent}"
    );
}

/// The status keeps the begin of a silence in whole seconds, and the log says it in microseconds: the read at exactly 12 h proves nothing, so the next
/// must follow at once.
#[test]
fn a_run_whose_silence_is_read_a_moment_too_early_after_a_restart_is_cancelled_in_time() {
    let run = "{pipeline: v3, started_ago: 0s, start: 45m, extract: 270m, rows: 4000, batches: 6, silent: true}";
    let mut world = world(&tables(&[&format!("run: {run}, then: {WORKS}")]), ENFORCE);
    let id = world.schema_id("a");
    world.run_for(SignedDuration::from_mins(176));
    simulator(&world, |posthog| posthog.kill_run(&id).unwrap());
    world.run_for(SignedDuration::from_mins(91));
    world.restart();
    world.run_for(hours(12));
    let cancels = effects(&world, "a", EffectKind::Cancelled);
    assert_eq!(cancels.len(), 1, "{:#?}", world.status());
    let silent = cancels[0]
        .at
        .duration_since(last_line(&world, cancels[0].at));
    assert!(silent >= NO_PROGRESS_FOR, "{silent}");
    assert!(silent <= NO_PROGRESS_FOR + POLL * 2, "{silent}");
}

#[test]
fn a_table_that_was_renamed_since_is_still_cancelled_and_reloaded() {
    let mut world = world(&tables(&[&dies()]), ENFORCE);
    let id = world.schema_id("a");
    let rename = |world: &World, name: &str| {
        simulator(world, |posthog| {
            posthog
                .change_schema(&id, |spec| name.clone_into(&mut spec.name))
                .unwrap();
        });
    };
    world.run_for(hours(5));
    rename(&world, "b");
    world.run_until_cancelled(1);
    rename(&world, "c");
    world.run_for(hours(1));
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 1));
    assert!(has_completed(&world, "c"));
}

#[test]
fn a_dead_run_without_proof_is_never_cancelled_without_approval() {
    let alone = format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{{name: a, frequency: 30day, last_synced_ago: 40h, rows: 4000, {}}}]}}]",
        dies()
    );
    let not_billed = tables(&[&dies().replacen("batches: 4", "batches: 4, billable: false", 1)]);
    let both = tables(&[&format!("sync_type: cdc, cdc_table_mode: both, {}", dies())]);
    let mute = format!("{{instance: {{lines: none}}, {}}}", tables(&[&dies()]));
    for (what, scenario) in [
        ("the only table of its project", alone),
        ("a run that is not billed", not_billed),
        ("change data capture into two tables", both),
        ("a PostHog without lines", mute),
    ] {
        let mut world = world(&scenario, ENFORCE);
        world.run_for(hours(40));
        assert_eq!(
            (world.count("cancel"), world.count("reload")),
            (0, 0),
            "{what}"
        );
    }
}

// --- Silent ---------------------------------------------------------------------------------------------------------

/// A world in which the cancel of a run that died like this after its extraction has been proposed.
pub fn proposed(dies: &str) -> (World, Proposal) {
    let mut world = world(&dies_later(dies), ENFORCE);
    world.run_for(hours(23));
    assert!(proposals(&world).is_empty());
    world.run_for(hours(10));
    assert_eq!(world.count("cancel"), 0);
    let proposals = proposals(&world);
    assert_eq!(proposals.len(), 1, "{:#?}", world.status());
    let proposal = proposals[0].clone();
    assert_eq!(proposal.phase, Phase::AwaitingApproval);
    (world, proposal)
}

#[test]
fn a_run_that_died_while_it_finished_its_table_is_a_persons() {
    let (world, _) = proposed("{phase: post_load, after: 7s}");
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
}

#[test]
fn a_run_silent_after_its_extraction_is_cancelled_once_when_a_person_approves() {
    let (mut world, proposal) = proposed("{phase: queued}");
    assert!(proposal.id.starts_with("ca-"), "{}", proposal.id);
    let evidence = proposal.evidence.join("\n");
    for expected in ["queued", "canary"] {
        assert!(evidence.contains(expected), "{expected}: {evidence}");
    }
    let key = format!("approve.warehousesync.dev/{}", proposal.id);
    world.cluster.annotate(&key, Some("anna"));
    world.run_for(hours(3));
    assert_eq!(effects(&world, "a", EffectKind::Cancelled).len(), 1);
    assert_eq!((world.count("cancel"), reloads(&world, "a").len()), (1, 1));
    assert!(has_completed(&world, "a"));
    let proposals = proposals(&world);
    assert_eq!(proposals[0].phase, Phase::Executed, "{proposals:#?}");
    assert!(
        world
            .status()
            .incidents
            .iter()
            .all(|incident| incident.step == Step::Recovered)
    );
}

#[test]
fn a_denied_cancel_is_never_sent() {
    let (mut world, proposal) = proposed("{phase: loading, after: 45m}");
    let evidence = proposal.evidence.join("\n");
    assert!(evidence.contains("phase of the run: loading"), "{evidence}");
    let key = format!("deny.warehousesync.dev/{}", proposal.id);
    world.cluster.annotate(&key, Some("it is a long load"));
    world.run_for(hours(48));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
    let denied = proposals(&world)
        .into_iter()
        .filter(|other| other.phase == Phase::Denied);
    assert_eq!(denied.count(), 1);
    let open = proposals(&world).into_iter().filter(Proposal::is_open);
    assert_eq!(open.count(), 0, "{:#?}", proposals(&world));
}

/// A dead run whose cancel a person has denied, by a policy that asks first.
fn denied() -> World {
    let spec = format!("{ENFORCE}, remediation: {{cancelStuck: Propose}}");
    let mut world = world(&tables(&[&dies()]), &spec);
    world.run_for(hours(18));
    let proposal = proposals(&world).remove(0);
    let key = format!("deny.warehousesync.dev/{}", proposal.id);
    world.cluster.annotate(&key, Some("I look at it first"));
    world.run_for(hours(1));
    assert_eq!(proposals(&world)[0].phase, Phase::Denied);
    world
}

fn says_auto(policy: &mut WarehouseSyncPolicy) {
    policy.spec.remediation.cancel_stuck = CancelStuck::Auto;
}

#[test]
fn a_run_whose_cancel_a_person_denied_is_not_cancelled_without_asking_either() {
    for restarts in [false, true] {
        let mut world = denied();
        world.cluster.edit(says_auto);
        if restarts {
            world.restart();
        }
        world.run_for(hours(24));
        assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
        let next = world.status().findings[0].next_action.clone();
        assert!(next.contains("denied"), "{next}");
    }
}

// --- After a cancel -------------------------------------------------------------------------------------------------

/// What is said of a run that the operator cancelled after a person's approval, of which the next runs are like this.
fn after_approved_cancel(next_runs: &str) -> (World, Proposal) {
    let scenario = dies_later("{phase: queued}").replace(&format!("then: {WORKS}"), next_runs);
    let mut world = world(&scenario, ENFORCE);
    world.run_for(hours(33));
    let proposal = proposals(&world).remove(0);
    let key = format!("approve.warehousesync.dev/{}", proposal.id);
    world.cluster.annotate(&key, Some("anna"));
    (world, proposal)
}

#[test]
fn a_reload_that_posthog_drops_after_an_approved_cancel_is_sent_again() {
    let next =
        format!("next_runs: [{{never_starts: true}}, {{never_starts: true}}], then: {WORKS}");
    let (mut world, _) = after_approved_cancel(&next);
    world.run_for(hours(1));
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 2));
    world.restart();
    world.run_for(hours(3));
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 3));
    assert!(has_completed(&world, "a"));
    let proposals = proposals(&world);
    assert_eq!(proposals[0].phase, Phase::Executed, "{proposals:#?}");
}

#[test]
fn an_approved_cancel_without_a_new_run_says_what_to_do_and_the_table_keeps_a_cause() {
    let (mut world, _) = after_approved_cancel("then: {never_starts: true}");
    for _ in 0..24 {
        world.run_for(hours(1));
        let status = world.status();
        let is_reported = status.findings.iter().any(|finding| finding.schema == "a");
        let is_verified = status.proposals[0].phase == Phase::Verifying;
        assert!(is_reported || is_verified, "{status:#?}");
    }
    assert_eq!(world.count("cancel"), 1);
    let proposals = proposals(&world);
    assert_eq!(proposals[0].phase, Phase::OutcomeUnknown, "{proposals:#?}");
    let said = &proposals[0].message;
    assert!(
        said.contains("was sent 3 times") && said.contains("reload the table in PostHog"),
        "{said}"
    );
    let findings = world.status().findings;
    let of_a = findings
        .iter()
        .find(|finding| finding.schema == "a")
        .unwrap();
    assert!(of_a.message.contains("PostHog support"), "{of_a:#?}");
}

#[test]
fn a_table_that_says_only_that_its_run_was_stopped_after_a_cancel_in_vain_has_a_cause_and_advice() {
    let (mut world, _) = after_approved_cancel("then: {never_starts: true}");
    let id = world.schema_id("a");
    world.run_for(SignedDuration::from_mins(5));
    for _ in 0..60 {
        let (failed, said) = (posthog_simulator::Status::Failed, "Sync cancelled by user");
        simulator(&world, |posthog| {
            posthog.set_status(&id, Some(failed), Some(said)).unwrap();
        });
        world.run_for(SignedDuration::from_mins(5));
    }
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 3));
    let status = world.status();
    assert_eq!(status.proposals[0].phase, Phase::OutcomeUnknown);
    let mut findings = status.findings.iter();
    let of_a = findings.find(|finding| finding.schema == "a").unwrap();
    assert_eq!(of_a.cause, RootCause::Stuck, "{of_a:#?}");
    assert!(
        of_a.advice.contains("Reload the table in PostHog"),
        "{of_a:#?}"
    );
}

#[test]
fn after_a_cancel_the_table_is_reloaded_only_once_its_log_is_quiet() {
    let mut world = world(&tables(&[&dies()]), ENFORCE);
    world.run_until_cancelled(1);
    let id = world.schema_id("a");
    for _ in 0..20 {
        simulator(&world, |posthog| {
            posthog.write_log(&id, "batch_picked_up").unwrap();
        });
        world.run_for(SignedDuration::from_mins(1));
        assert_eq!(world.count("reload"), 0);
    }
    world.run_for(SignedDuration::from_mins(20));
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 1));
    assert!(has_completed(&world, "a"));
}

#[test]
fn after_a_cancel_a_table_whose_log_cannot_be_read_is_not_reloaded() {
    let mut world = world(&tables(&[&dies()]), ENFORCE);
    world.run_until_cancelled(1);
    let fault = "{matches: {path_contains: /logs/}, times: forever, kind: {status: {status: 503}}}";
    let fault = serde_saphyr::from_str(fault).unwrap();
    simulator(&world, |posthog| posthog.add_fault(fault));
    world.run_for(hours(1));
    assert_eq!(world.count("reload"), 0);
    simulator(&world, Simulator::clear_faults);
    world.run_for(SignedDuration::from_mins(20));
    assert_eq!(world.count("reload"), 1);
    assert!(has_completed(&world, "a"));
}

/// How many requests were made in this many hours, by the hour.
fn requests_per_hour(world: &mut World, long: i64) -> usize {
    let count = |world: &World| simulator(world, |posthog| posthog.requests().len());
    let before = count(world);
    world.run_for(hours(long));
    (count(world) - before) / usize::try_from(long).unwrap()
}

#[test]
fn waiting_for_a_long_run_after_a_reload_costs_no_more_than_watching_a_healthy_project() {
    let spec = ENFORCE.replace("interval: 5m", "interval: 2m");
    let long = "{pipeline: v3, extract: 20h, rows: 40000, batches: 100}";
    let mut world = world(&tables(&[&format!("run: {DIES}, then: {long}")]), &spec);
    world.run_until_cancelled(1);
    world.run_for(hours(1));
    assert_eq!(world.status().incidents[0].step, Step::WaitSuccess);
    let per_hour = requests_per_hour(&mut world, 10);
    assert!(
        per_hour <= 48,
        "{per_hour} requests an hour: more than 1 % of the quota"
    );
}

#[test]
fn waiting_for_a_run_that_never_starts_is_fast_only_at_first() {
    let spec = ENFORCE.replace("interval: 5m", "interval: 2m");
    let scenario = tables(&[&format!("run: {DIES}, then: {{never_starts: true}}")]);
    let mut world = world(&scenario, &spec);
    world.run_until_cancelled(1);
    let per_hour = requests_per_hour(&mut world, 3);
    assert!(
        per_hour <= 240,
        "{per_hour} requests an hour: more than 5 % of the quota"
    );
    assert_eq!(world.count("reload"), 3);
}

// --- Whatever happens -----------------------------------------------------------------------------------------------

/// What a run is like, in minutes. No stretch of its extraction is silent for as long as `noProgressFor`.
#[derive(Debug, Clone)]
struct Run {
    start: i64,
    extract: i64,
    batches: u64,
    slow_page: Option<(i64, i64)>,
    load_per_batch: i64,
    silent: bool,
    post_load: i64,
}

impl Run {
    fn yaml(&self) -> String {
        let slow = self.slow_page.map_or_else(String::new, |(after, long)| {
            format!("slow_page: {{after: {after}m, for: {long}m}}, ")
        });
        format!(
            "{{pipeline: v3, started_ago: 0s, start: {}m, extract: {}m, rows: 4000, batches: {}, {slow}load_per_batch: {}m, silent: {}, post_load: {}m}}",
            self.start,
            self.extract,
            self.batches,
            self.load_per_batch,
            self.silent,
            self.post_load
        )
    }
}

fn run() -> impl Strategy<Value = Run> {
    let slow = prop::option::of((1_i64..60, 1_i64..240));
    (
        0_i64..60,
        61_i64..360,
        1_u64..7,
        slow,
        1_i64..480,
        any::<bool>(),
        1_i64..180,
    )
        .prop_map(
            |(start, extract, batches, slow_page, load_per_batch, silent, post_load)| Run {
                start,
                extract,
                batches,
                slow_page,
                load_per_batch,
                silent,
                post_load,
            },
        )
}

#[derive(Debug, Clone, Copy)]
enum Happening {
    Restart,
    RunDies,
    LoaderStops,
    LoaderStarts,
}

fn happenings() -> impl Strategy<Value = Vec<(i64, Happening)>> {
    let what = prop_oneof![
        4 => Just(Happening::Restart),
        3 => Just(Happening::RunDies),
        1 => Just(Happening::LoaderStops),
        1 => Just(Happening::LoaderStarts),
    ];
    prop::collection::vec((1_i64..300, what), 0..7)
}

/// The newest line of the table's log before this time, by any run.
fn last_line(world: &World, before: Timestamp) -> Timestamp {
    let id = world.schema_id("a");
    let path = format!("/api/projects/12345/external_data_schemas/{id}/logs/?limit=500");
    let request = Request::new("GET", &path, "phx_demo");
    let outcome = simulator(world, |posthog| posthog.handle(&request));
    let page = outcome.response().unwrap().value();
    let lines = page["results"].as_array().unwrap().iter();
    let times = lines.map(|line| line["timestamp"].as_str().unwrap().parse().unwrap());
    times.filter(|at: &Timestamp| *at < before).max().unwrap()
}

fn cases() -> u32 {
    let cases = std::env::var("ALIVE_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(16),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_live_run_is_harmed_and_each_that_died_extracting_is_cancelled_and_reloaded_in_time(
        run in run(),
        happenings in happenings(),
    ) {
        let scenario = tables(&[&format!("run: {}, then: {WORKS}", run.yaml())]);
        let mut world = world(&scenario, ENFORCE);
        let id = world.schema_id("a");
        let job = simulator(&world, |posthog| posthog.newest_job(&id).unwrap());
        let (mut died_extracting, mut loader_stopped) = (false, false);
        for (minutes, what) in happenings {
            world.run_for(SignedDuration::from_mins(minutes));
            match what {
                Happening::Restart => world.restart(),
                Happening::RunDies => simulator(&world, |posthog| {
                    if posthog.run_is_alive(&job) && posthog.phase(&job).is_some() {
                        died_extracting = posthog.phase(&job) == Some(RunPhase::Extracting);
                        posthog.kill_run(&id).unwrap();
                    }
                }),
                Happening::LoaderStops => {
                    loader_stopped = true;
                    simulator(&world, Simulator::stop_loader);
                }
                Happening::LoaderStarts => simulator(&world, Simulator::start_loader),
            }
        }
        simulator(&world, Simulator::start_loader);
        world.run_for(hours(30));
        let harmed = simulator(&world, Simulator::take_violations);
        prop_assert!(harmed.is_empty(), "{harmed:#?}");
        let cancels = effects(&world, "a", EffectKind::Cancelled);
        if died_extracting && !loader_stopped {
            prop_assert_eq!(cancels.len(), 1, "{:#?}", world.status());
            let at = cancels[0].at;
            let last_sign = last_line(&world, at);
            let silent = at.duration_since(last_sign);
            prop_assert!(silent >= NO_PROGRESS_FOR, "{silent}");
            prop_assert!(silent <= NO_PROGRESS_FOR + POLL * 2, "{silent}");
            let reloads = reloads(&world, "a");
            prop_assert!(
                reloads.first().is_some_and(|reload| reload.duration_since(at) <= POLL * 2),
                "{reloads:?} after {at}"
            );
        }
    }
}
