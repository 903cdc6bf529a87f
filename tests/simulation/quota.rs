//! The operator's own share of an API key's limits, over all its policies and projects.

use jiff::{SignedDuration, Timestamp};
use posthog_simulator::EffectKind;

use crate::{faults::Faults, fleet::Fleet, scenarios::HEARTBEAT, world::World};

/// Six projects with a source each; in the first a run hangs and others failed.
fn six_projects() -> String {
    let healthy: Vec<String> = (1..6)
        .map(|n| {
            let project = 12345 + n;
            format!("{{project: {project}, prefix: p{n}, schemas: [{{name: t{n}, frequency: 30day, last_synced_ago: 1h}}]}}")
        })
        .collect();
    format!(
        "sources: [{{prefix: prod, schemas: [{{name: a, last_synced_ago: 33h, rows: 1000, frequency: 30day, run: {{started_ago: 9h, rows: 500, hangs: {{}}}}}}, {HEARTBEAT}]}}, {}]",
        healthy.join(", ")
    )
}

/// The most requests in any span of that length.
fn most_within(times: &[Timestamp], span: SignedDuration) -> usize {
    let from = |(first, at): (usize, &Timestamp)| {
        let within = times[first..]
            .iter()
            .take_while(|other| other.duration_since(*at) < span);
        within.count()
    };
    times.iter().enumerate().map(from).max().unwrap_or(0)
}

fn sent(fleet: &Fleet) -> Vec<Timestamp> {
    let simulator = fleet.simulator.lock().unwrap();
    simulator
        .requests()
        .iter()
        .map(|request| request.at)
        .collect()
}

fn ready(fleet: &Fleet, number: usize) -> String {
    let status = fleet.status(number);
    status.condition("Ready").unwrap().message.clone()
}

#[test]
fn twelve_greedy_policies_on_one_key_never_exceed_the_share() {
    let spec = "mode: Enforce, interval: 10s";
    let project = |number: usize| 12345 + i64::try_from(number % 6).unwrap();
    let mut fleet = Fleet::new(&six_projects(), spec, 12, project);
    fleet.run_for(SignedDuration::from_hours(16));
    let sent = sent(&fleet);
    let hour = most_within(&sent, SignedDuration::from_hours(1));
    let minute = most_within(&sent, SignedDuration::from_mins(1));
    assert!(
        hour <= 480 && minute <= 48,
        "{hour} in an hour, {minute} in a minute"
    );
    assert!(hour > 300, "what there is is used: {hour}");
    for number in 0..12 {
        let said = ready(&fleet, number);
        assert!(said.contains("--quota-share"), "{said}");
    }
    // What was in progress was still done: the run that hung was cancelled and the table reloaded.
    let simulator = fleet.simulator.lock().unwrap();
    assert_eq!(simulator.effects_of(EffectKind::Cancelled).len(), 1);
    assert_eq!(simulator.count("POST", "/reload/"), 1);
    drop(simulator);
    assert!(fleet.status(0).findings.is_empty());
}

#[test]
fn who_polls_rarely_is_not_slowed_and_says_nothing() {
    let project = |number: usize| 12345 + i64::try_from(number % 6).unwrap();
    let mut fleet = Fleet::new(&six_projects(), "mode: Enforce, interval: 5m", 12, project);
    fleet.run_for(SignedDuration::from_hours(20));
    let sent = sent(&fleet);
    assert!(most_within(&sent, SignedDuration::from_hours(1)) <= 480);
    for number in 0..12 {
        assert!(!ready(&fleet, number).contains("--quota-share"));
    }
}

#[test]
fn a_project_full_of_problems_is_probed_bit_by_bit() {
    let tables: Vec<String> = (0..400)
        .map(|n| format!("{{name: t{n}, status: Failed, frequency: 30day, last_synced_ago: 30h, last_run_ago: 2h, latest_error: 'Gremlins {n}'}}"))
        .collect();
    let scenario = format!("sources: [{{schemas: [{}]}}]", tables.join(", "));
    let mut world = World::new(&scenario, "interval: 1m", Faults::default());
    world.run_for(SignedDuration::from_hours(6));
    let simulator = world.simulator.lock().unwrap();
    let sent: Vec<Timestamp> = simulator
        .requests()
        .iter()
        .map(|request| request.at)
        .collect();
    assert!(most_within(&sent, SignedDuration::from_hours(1)) <= 480);
    assert!(most_within(&sent, SignedDuration::from_mins(1)) <= 48);
    // Each of them in the end, and the list all the time.
    assert_eq!(simulator.count("GET", "/jobs/"), 400);
    assert!(simulator.count("GET", "/external_data_sources/") - 400 > 100);
}

#[test]
fn a_healthy_project_with_forty_webhooks_and_logs_takes_at_most_a_percent_and_a_half() {
    let scenario = "sources: [\
        {prefix: w, copies: 20, type: Stripe, webhook: {supports_webhooks: true, exists: true}, schemas: [{name: t, sync_type: webhook, frequency: 30day, last_synced_ago: 1h}]}, \
        {prefix: c, copies: 20, cdc: {}, schemas: [{name: t, sync_type: cdc, frequency: 30day, last_synced_ago: 1h}]}]";
    let mut fleet = Fleet::new(scenario, "mode: Enforce", 12, |_| 12345);
    fleet.run_for(SignedDuration::from_hours(12));
    let hour = most_within(&sent(&fleet), SignedDuration::from_hours(1));
    // 72 are one and a half percent; the wizard's list is read once a day.
    assert!(hour <= 72 + 1, "{hour} of 4,800 in an hour");
    let simulator = fleet.simulator.lock().unwrap();
    let asked = |path| simulator.count("GET", path);
    assert_eq!(asked("/wizard/"), 1);
    assert!(asked("/webhook_info/") >= 20 * 11 && asked("/cdc_status/") >= 20 * 11);
}
