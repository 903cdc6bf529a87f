//! Every guard alone and every pair of them: each holds the same reload back, status names it, and lifting one leaves the other.

use jiff::{SignedDuration, Timestamp};
use posthog_simulator::KeySpec;
use warehouse_sync_operator::{
    api::{
        WarehouseSyncPolicy,
        policy::{Mode, Switch},
        status::{Incident, MAX_INCIDENTS, RootCause, Step},
        window::{WindowKind, WindowSpec},
    },
    observe::OtherPolicy,
};

use crate::{
    faults::Faults,
    other_policies::{older, younger},
    world::{World, start},
};

/// What may hold a reload back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    Observe,
    Suspend,
    Off,
    Window,
    MaxConcurrent,
    MaxActionsPerHour,
    OperatorsCap,
    BackOff,
    Attempts,
    Breaker,
    Ownership,
    WriteScope,
    ListFull,
}

impl Guard {
    const ALL: [Self; 13] = [
        Self::Observe,
        Self::Suspend,
        Self::Off,
        Self::Window,
        Self::MaxConcurrent,
        Self::MaxActionsPerHour,
        Self::OperatorsCap,
        Self::BackOff,
        Self::Attempts,
        Self::Breaker,
        Self::Ownership,
        Self::WriteScope,
        Self::ListFull,
    ];

    /// What the finding of the table says while it holds.
    const fn says(self) -> &'static str {
        match self {
            Self::Observe => "spec.mode is Observe",
            Self::Suspend => "spec.suspend is true",
            Self::Off => "spec.remediation.reloadTransient is Off",
            Self::Window => "a Deny window is open until",
            Self::MaxConcurrent => "spec.remediation.limits.maxConcurrent: 1 of 1",
            Self::MaxActionsPerHour => "spec.remediation.limits.maxActionsPerHour: 2 of 2",
            Self::OperatorsCap => "--max-actions-per-hour, for all policies of the project",
            Self::BackOff => "spec.remediation.limits.backoff: attempt 1 not before",
            Self::Attempts => "Action required: seeded.",
            Self::Breaker => "circuit breaker open: 3 of 4 sources have failed",
            Self::Ownership => "policy other owns this table",
            Self::WriteScope => "the API key lacks the scope",
            Self::ListFull => "status.incidents is full",
        }
    }

    /// Whether `status.nextAction` names it, too. A closed incident has no next action; another one in progress has its own.
    const fn is_next_action(self) -> bool {
        !matches!(self, Self::Attempts | Self::MaxConcurrent)
    }
}

/// One table to reload, another that is healthy, and three sources that failed at the same time and are not selected.
fn scenario() -> String {
    const FAILED: &str = "status: Failed, frequency: 30day, last_synced_ago: 30h, last_run_ago: 2h, \
        latest_error: 'server closed the connection unexpectedly', then: {completes: {after: 1m, rows: 5}}";
    let others: Vec<String> = (0..3)
        .map(|n| format!("{{prefix: o{n}, schemas: [{{name: x{n}, {FAILED}}}]}}"))
        .collect();
    format!(
        "sources: [{{prefix: prod, schemas: [{{name: a, {FAILED}}}, {{name: b, frequency: 30day, last_synced_ago: 1h}}]}}, {}]",
        others.join(", ")
    )
}

/// What the policy says while these guards hold.
fn write_spec(policy: &mut WarehouseSyncPolicy, holds: impl Fn(Guard) -> bool) {
    let spec = &mut policy.spec;
    let either = |guard, held, lifted| if holds(guard) { held } else { lifted };
    spec.mode = if holds(Guard::Observe) {
        Mode::Observe
    } else {
        Mode::Enforce
    };
    spec.suspend = holds(Guard::Suspend);
    spec.remediation.reload_transient = if holds(Guard::Off) {
        Switch::Off
    } else {
        Switch::Auto
    };
    let window = WindowSpec {
        kind: WindowKind::Deny,
        schedule: "0 0 * * *".into(),
        duration: "20h".into(),
        time_zone: "UTC".into(),
    };
    let windows = [window].into_iter().filter(|_| holds(Guard::Window));
    spec.remediation.windows = windows.collect();
    let limits = &mut spec.remediation.limits;
    limits.max_concurrent = either(Guard::MaxConcurrent, 1, 5);
    limits.max_actions_per_hour = either(Guard::MaxActionsPerHour, 2, 20);
    let pause = if holds(Guard::BackOff) { "5h" } else { "10m" };
    limits.backoff.initial = pause.into();
    limits.breaker.min_sources = either(Guard::Breaker, 3, 100);
    let cooldown = if holds(Guard::Breaker) { "24h" } else { "1m" };
    limits.breaker.cooldown = cooldown.into();
}

/// The other policies on the project while these guards hold.
fn other_policies(holds: impl Fn(Guard) -> bool) -> Vec<OtherPolicy> {
    let mut other_policies = Vec::new();
    if holds(Guard::Ownership) {
        other_policies.push(older());
    }
    if holds(Guard::OperatorsCap) {
        other_policies.push(OtherPolicy {
            sends: vec![start(); 60],
            ..younger()
        });
    }
    other_policies
}

fn incident(world: &World, schema_id: &str, cause: RootCause, step: Step) -> Incident {
    let now = world.now();
    Incident {
        schema_id: schema_id.to_owned(),
        schema: "t".into(),
        source: "Postgres prod".into(),
        source_id: world.simulator.lock().unwrap().source_id("prod").unwrap(),
        cause,
        step,
        attempt: 3,
        job_id: None,
        baseline_job_id: None,
        new_job_id: None,
        opened_at: now,
        step_since: now,
        deadline: None,
        healthy_since: None,
        sends: Vec::new(),
        message: "seeded".into(),
    }
}

/// What an earlier process left in status.
fn seed(world: &World, guards: &[Guard]) {
    let mut incidents = Vec::new();
    let (a, b) = (world.schema_id("a"), world.schema_id("b"));
    if guards.contains(&Guard::Attempts) {
        let newest = world.simulator.lock().unwrap().newest_job(&a);
        incidents.push(Incident {
            baseline_job_id: newest,
            ..incident(world, &a, RootCause::Transient, Step::Escalated)
        });
    }
    if guards.contains(&Guard::MaxConcurrent) {
        let deadline: Timestamp = world.now() + SignedDuration::from_hours(24);
        incidents.push(Incident {
            job_id: Some("cancelled before".into()),
            deadline: Some(deadline),
            ..incident(world, &b, RootCause::Stuck, Step::WaitTerminal)
        });
    }
    let sends = if guards.contains(&Guard::MaxActionsPerHour) {
        vec![world.now(); 2]
    } else {
        Vec::new()
    };
    if guards.contains(&Guard::ListFull) {
        for number in incidents.len()..MAX_INCIDENTS {
            let id = format!("gone-{number}");
            incidents.push(incident(world, &id, RootCause::Stuck, Step::Escalated));
        }
    }
    world.cluster.edit(|policy| {
        let status = policy.status.get_or_insert_default();
        status.incidents = incidents;
        status.state.sends = sends;
    });
}

/// Lets exactly these guards hold from now on.
fn arrange(world: &mut World, lifted: &[Guard], holding: &[Guard]) {
    let holds = |guard| holding.contains(&guard);
    world.cluster.edit(|policy| {
        write_spec(policy, holds);
        if lifted.contains(&Guard::ListFull) {
            let status = policy.status.as_mut().unwrap();
            status
                .incidents
                .retain(|incident| !incident.schema_id.starts_with("gone-"));
        }
        if lifted.contains(&Guard::Attempts) {
            let annotations = policy.metadata.annotations.get_or_insert_default();
            let key = "reconcile.warehousesync.dev/resetAt".to_owned();
            annotations.insert(key, "now".to_owned());
        }
    });
    world.cluster.set_other_policies(other_policies(holds));
    let mut scopes = vec!["external_data_source:read".to_owned()];
    if !holds(Guard::WriteScope) {
        scopes.push("external_data_source:write".to_owned());
    }
    let key = KeySpec {
        scopes,
        ..KeySpec::default()
    };
    world.simulator.lock().unwrap().put_key(key);
    // Each hold survives a restart; and the scope of the key is read again.
    world.restart();
}

fn world(guards: &[Guard]) -> World {
    let spec = "interval: 1m, selector: {schemas: {include: [a, b]}}";
    let mut world = World::new(&scenario(), spec, Faults::default());
    seed(&world, guards);
    arrange(&mut world, &[], guards);
    world
}

fn reloads(world: &World) -> usize {
    let id = world.schema_id("a");
    let simulator = world.simulator.lock().unwrap();
    simulator.count("POST", &format!("/{id}/reload/"))
}

/// Nothing is done to the table, and status names one of these as the reason.
fn is_held(world: &mut World, by: &[Guard], of: &[Guard]) {
    world.run_for(SignedDuration::from_mins(3));
    assert_eq!(reloads(world), 0, "{by:?} of {of:?}");
    let status = world.status();
    let id = world.schema_id("a");
    let mut findings = status.findings.iter();
    let finding = findings.find(|f| f.schema_id == id || f.affected.is_some());
    let said = &finding
        .unwrap_or_else(|| panic!("{of:?}: {status:#?}"))
        .next_action;
    let named = by.iter().any(|guard| said.contains(guard.says()));
    let next = status.next_action.and_then(|next| next.blocked_by);
    let next = next.unwrap_or_default();
    let in_next = by.iter().any(|guard| next.contains(guard.says()));
    assert!(named || in_next, "{by:?} of {of:?}: {said} / {next}");
    let other_is_under_way = of.contains(&Guard::MaxConcurrent);
    if by.iter().all(|guard| guard.is_next_action()) && !other_is_under_way {
        assert!(in_next, "{by:?} of {of:?}: {next:?}");
    }
}

/// Nothing holds it any more.
fn continues(world: &mut World, of: &[Guard]) {
    world.run_for(SignedDuration::from_mins(4));
    assert_eq!(reloads(world), 1, "{of:?}: {:#?}", world.status());
}

#[test]
fn without_a_guard_the_table_is_reloaded() {
    let mut world = world(&[]);
    continues(&mut world, &[]);
}

#[test]
fn each_guard_holds_alone_across_a_restart_and_is_named_until_it_is_lifted() {
    for guard in Guard::ALL {
        let mut world = world(&[guard]);
        is_held(&mut world, &[guard], &[guard]);
        arrange(&mut world, &[], &[guard]);
        is_held(&mut world, &[guard], &[guard]);
        arrange(&mut world, &[guard], &[]);
        continues(&mut world, &[guard]);
    }
}

#[test]
fn each_pair_holds_and_lifting_one_leaves_the_other() {
    for (place, first) in Guard::ALL.into_iter().enumerate() {
        for second in Guard::ALL.into_iter().skip(place + 1) {
            for (lifted, left) in [(first, second), (second, first)] {
                // The token that clears attempts also requests a trial of an open breaker, and closes incidents.
                let lifts_both = [Guard::Breaker, Guard::ListFull].contains(&left);
                if lifted == Guard::Attempts && lifts_both {
                    continue;
                }
                let pair = [lifted, left];
                let mut world = world(&pair);
                is_held(&mut world, &pair, &pair);
                arrange(&mut world, &[lifted], &[left]);
                is_held(&mut world, &[left], &pair);
                arrange(&mut world, &[lifted, left], &[]);
                continues(&mut world, &pair);
            }
        }
    }
}

/// One that fails again within `healthyFor` keeps its count.
#[test]
fn a_table_that_flaps_does_not_restart_its_count() {
    let passing = "server closed the connection unexpectedly";
    let flaps = format!("{{fails: {{after: 1m, rows: 0, error: '{passing}'}}}}");
    let scenario = format!(
        "sources: [{{prefix: prod, schemas: [{{name: a, status: Failed, frequency: 30day, last_synced_ago: 30h, last_run_ago: 2h, \
         latest_error: '{passing}', next_runs: [{{completes: {{after: 1m, rows: 5}}}}, {flaps}, {flaps}, {flaps}, {flaps}, {flaps}], \
         then: {flaps}}}]}}]"
    );
    let spec = "mode: Enforce, interval: 1m, health: {healthyFor: 1h}";
    let mut world = World::new(&scenario, spec, Faults::default());
    world.run_for(SignedDuration::from_mins(15));
    // Healthy, but not for long enough to be trusted.
    assert_eq!(reloads(&world), 1);
    assert_eq!(world.status().incidents[0].step, Step::Recovered);
    let id = world.schema_id("a");
    world.simulator.lock().unwrap().start_run(&id).unwrap();
    world.run_for(SignedDuration::from_mins(30));
    assert_eq!(world.status().incidents[0].attempt, 2);
    world.restart();
    world.run_for(SignedDuration::from_hours(24));
    assert_eq!(reloads(&world), 3, "three attempts in all");
    assert_eq!(world.status().incidents[0].step, Step::Escalated);
}
