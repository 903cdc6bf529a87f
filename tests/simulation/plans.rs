//! Faults at each effect of cancel → reload, alone and in pairs.

use jiff::SignedDuration;
use posthog_simulator::{EffectKind, Trigger};
use warehouse_sync_operator::api::status::Step;

use crate::{
    faults::{Fault, Faults},
    scenarios::{ENFORCE, FAILED, JOB_SURVIVES, PHANTOM, STALE, STUCK, WORKFLOW_SURVIVES},
    world::World,
};

/// Limits that find the run soon, so that thousands of plans fit into a test run.
const SOON: &str = "mode: Enforce, interval: 5m, health: {stuck: {after: 1h, noProgressFor: 1h}}";

/// No plan may take longer to come to its end.
const LONG: SignedDuration = SignedDuration::from_hours(14);

/// How a plan ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The new job completed and the incident was closed.
    Recovered,
    /// The operator gave up visibly.
    Escalated,
}

struct Ended {
    end: End,
    effects: Vec<String>,
}

fn play(scenario: &str, plan: &[(usize, Fault)]) -> Ended {
    let mut world = World::new(scenario, SOON, Faults::new(plan));
    let end = world.now() + LONG;
    while !is_over(&world) {
        assert!(
            world.now() < end,
            "{plan:?} does not end: {:?}",
            world.status().incidents
        );
        world.run_for(SignedDuration::from_secs(1));
    }
    let status = world.status();
    let end = match status.incidents.as_slice() {
        [] => End::Recovered,
        [incident] if incident.step == Step::Escalated => End::Escalated,
        other => panic!("{plan:?} ends with {other:?}"),
    };
    if end == End::Recovered {
        let summary = status.summary.as_ref().unwrap();
        assert_eq!(
            summary.schemas.healthy, summary.schemas.total,
            "{plan:?}: {status:?}"
        );
    }
    // All reloads led to one run, or to none where the operator gave up.
    let id = world.schema_id("public.orders");
    let started = world
        .simulator
        .lock()
        .unwrap()
        .reloads_that_started(&id)
        .len();
    assert!(started <= 1, "{plan:?} started {started} runs");
    assert!(
        end == End::Escalated || started == 1,
        "{plan:?} recovered without a run"
    );
    let effects = world.faults.effects();
    steady_polls_write_nothing(&mut world, plan);
    Ended { end, effects }
}

/// True once something was sent and its outcome is final.
fn is_over(world: &World) -> bool {
    let incidents = world.status().incidents;
    let began = world.count("cancel") + world.count("reload") + incidents.len() > 0;
    began
        && incidents
            .iter()
            .all(|incident| incident.step == Step::Escalated)
}

fn steady_polls_write_nothing(world: &mut World, plan: &[(usize, Fault)]) {
    let before = world.faults.effects().len();
    world.run_for(SignedDuration::from_mins(50));
    let writes = world.faults.effects().len() - before;
    assert!(
        writes <= 1,
        "{plan:?}: {writes} effects in steady polls: {:?}",
        &world.faults.effects()[before..]
    );
}

#[test]
fn without_faults_a_stuck_run_is_cancelled_once_and_reloaded_once() {
    let ended = play(STUCK, &[]);
    assert_eq!(ended.end, End::Recovered);
    let sends: Vec<_> = ended
        .effects
        .iter()
        .filter(|effect| *effect != "status")
        .collect();
    assert_eq!(sends, ["cancel", "reload"]);
}

#[test]
fn without_faults_a_table_without_a_run_is_reloaded_and_never_cancelled() {
    let ended = play(PHANTOM, &[]);
    assert_eq!(ended.end, End::Recovered);
    assert!(
        ended.effects.contains(&"reload".to_owned())
            && !ended.effects.contains(&"cancel".to_owned())
    );
}

#[test]
fn each_fault_at_each_effect_ends_recovered_or_visibly_escalated() {
    for scenario in [STUCK, PHANTOM, FAILED, STALE] {
        let effects = play(scenario, &[]).effects.len();
        let mut escalated = 0;
        for index in 0..effects {
            for fault in Fault::ALL {
                if play(scenario, &[(index, fault)]).end == End::Escalated {
                    escalated += 1;
                }
            }
        }
        // Only a crash or a lost answer around the cancel itself may need a human.
        assert!(escalated <= 6, "{escalated} plans escalated");
    }
}

/// Plays two faults, as `pairs` has them, at every two effects from before the first send to after the last.
fn play_pairs(pairs: &[(Fault, Fault)]) -> usize {
    let effects = play(STUCK, &[]).effects;
    let first_send = effects
        .iter()
        .position(|effect| effect == "cancel")
        .unwrap();
    let last_send = effects
        .iter()
        .rposition(|effect| effect == "reload")
        .unwrap();
    let mut plans = 0;
    for first in first_send.saturating_sub(1)..=last_send {
        for second in first + 1..=last_send + 2 {
            for (a, b) in pairs {
                play(STUCK, &[(first, *a), (second, *b)]);
                plans += 1;
            }
        }
    }
    plans
}

fn pairs(first: &[Fault], second: &[Fault]) -> Vec<(Fault, Fault)> {
    let with = |a: &Fault| second.iter().map(|b| (*a, *b)).collect::<Vec<_>>();
    first.iter().flat_map(with).collect()
}

#[test]
fn pairs_of_faults_around_the_sends_end_recovered_or_visibly_escalated() {
    let of_leaders = |fault: &Fault| Fault::OF_LEADERS.contains(fault);
    let others: Vec<_> = Fault::ALL.into_iter().filter(|f| !of_leaders(f)).collect();
    let plans = play_pairs(&pairs(&others, &others));
    assert!(plans >= 600, "{plans} plans");
}

#[test]
fn two_changes_of_the_leader_end_recovered_or_visibly_escalated() {
    play_pairs(&pairs(&Fault::OF_LEADERS, &Fault::OF_LEADERS));
}

#[test]
fn a_change_of_the_leader_and_a_crash_end_recovered_or_visibly_escalated() {
    let deaths = [Fault::CrashAfter, Fault::AnswerLost];
    play_pairs(&pairs(&Fault::OF_LEADERS, &deaths));
    play_pairs(&pairs(&deaths, &Fault::OF_LEADERS));
}

#[test]
fn a_run_that_survives_its_cancel_is_escalated_and_never_cancelled_again() {
    for scenario in [JOB_SURVIVES, WORKFLOW_SURVIVES] {
        let mut world = World::new(scenario, ENFORCE, Faults::default());
        world.run_for(SignedDuration::from_hours(30));
        assert_eq!(world.count("cancel"), 1);
        assert!(
            world.count("reload") <= 3,
            "{} reloads",
            world.count("reload")
        );
        let status = world.status();
        assert_eq!(
            status.incidents.iter().map(|i| i.step).collect::<Vec<_>>(),
            [Step::Escalated]
        );
        let escalated = world
            .cluster
            .events()
            .iter()
            .filter(|event| event.reason.as_str() == "Escalated")
            .count();
        assert_eq!(escalated, 1);
    }
}

#[test]
fn a_reload_that_was_dropped_is_sent_again_until_a_new_job_appears() {
    // The workflow outlives its cancel by twenty minutes: the first reload is swallowed.
    let scenario = WORKFLOW_SURVIVES.replace(
        "on_cancel: workflow_survives",
        "on_cancel: workflow_survives, workflow_ends_after: 20m",
    );
    let mut world = World::new(&scenario, ENFORCE, Faults::default());
    world.run_for(SignedDuration::from_hours(14));
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 3));
    assert!(
        world.status().incidents.is_empty(),
        "{:?}",
        world.status().incidents
    );
    let simulator = world.simulator.lock().unwrap();
    let started = simulator.effects_of(EffectKind::RunStarted);
    assert_eq!(
        started
            .iter()
            .filter(|effect| effect.trigger == Some(Trigger::Reload))
            .count(),
        1
    );
}
