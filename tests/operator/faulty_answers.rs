//! Anything instead of PostHog's answer is reported, causes no call, and is recovered from.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use posthog_simulator::{Clock, Fault, FaultKind, Matches, Scenario, Server, Simulator, Times};
use warehouse_sync_operator::api::status::{Finding, RootCause};

use crate::{
    main_job::STUCK,
    support::{Env, wait_until_within},
};

/// More than the wait after a 429 without a duration.
const PATIENCE: Duration = Duration::from_secs(150);

fn status(status: u16, retry_after: Option<&str>) -> FaultKind {
    FaultKind::Status {
        status,
        body: None,
        headers: retry_after
            .map(|wait| BTreeMap::from([("Retry-After".to_owned(), wait.to_owned())]))
            .unwrap_or_default(),
        after_effect: false,
    }
}

/// Affects every request whose path contains this text.
fn always(path_contains: &str, kind: FaultKind) -> Fault {
    Fault {
        matches: Matches {
            method: None,
            path_contains: Some(path_contains.to_owned()),
        },
        skip: 0,
        times: Times::Forever,
        kind,
    }
}

/// A PostHog of someone else: any request to it is a leak.
fn stranger() -> Server {
    let scenario = Scenario::from_yaml("sources: []").unwrap();
    Server::start(Simulator::from_scenario(&scenario, Clock::real()).unwrap()).unwrap()
}

/// A project with a run that the operator has found stuck and is about to cancel.
fn about_to_be_cancelled(env: &Env) {
    env.apply(&env.policy("p", "")).unwrap();
    env.wait_for("p", "the finding", |status| {
        let would_cancel = |f: &Finding| is_stuck(f) && f.next_action.contains("Held: cancel");
        status.findings.iter().any(would_cancel)
    });
    assert_eq!(env.count("POST", "/"), 0);
}

fn is_stuck(finding: &Finding) -> bool {
    finding.cause == RootCause::Stuck
}

/// How many requests were affected by a fault.
fn met(env: &Env) -> usize {
    let simulator = env.posthog.simulator();
    simulator
        .requests()
        .iter()
        .filter(|r| r.fault.is_some())
        .count()
}

fn wait_until_repaired(env: &Env) {
    wait_until_within(PATIENCE, "the repair after the faults", || {
        let status = env.status("p");
        let all_well = status
            .summary
            .as_ref()
            .is_some_and(|s| s.healthy_of == "3/3");
        if all_well && status.incidents.is_empty() && !status.history.is_empty() {
            Ok(())
        } else {
            Err(format!("{status:#?}"))
        }
    });
    assert_eq!(env.count("POST", "/cancel/"), 1);
}

fn answered_with(name: &str, kind: FaultKind, reason: &str) {
    let env = Env::new(STUCK);
    let _operator = env.operator();
    about_to_be_cancelled(&env);
    env.posthog.simulator().add_fault(Fault::always(kind));
    let reported = |generation| {
        env.wait_for("p", &format!("{reason} after {name}"), |status| {
            let ready = status.condition("Ready");
            status.observed_generation == Some(generation)
                && ready.is_some_and(|c| c.reason == reason)
        })
    };
    // In Enforce only once no list from before the fault is cached: it would be enough to check the write scope.
    reported(1);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    let reported = reported(2);
    let ready = reported.condition("Ready").unwrap();
    assert_eq!(ready.status, "False", "{name}");
    assert!(ready.message.len() > 40, "{name}: {}", ready.message);
    // One is enough if the operator was asked to wait.
    let at_least = if reason == "RateLimited" { 1 } else { 3 };
    wait_until_within(PATIENCE, &format!("more polls that meet {name}"), || {
        let met = met(&env);
        if met >= at_least {
            Ok(())
        } else {
            Err(format!("{met}"))
        }
    });
    assert_eq!(env.count("POST", "/"), 0, "{name}");
    assert!(env.status("p").incidents.is_empty(), "{name}");
    env.posthog.simulator().clear_faults();
    wait_until_repaired(&env);
}

#[test]
fn nothing_is_sent_after_an_answer_that_is_not_from_posthog() {
    let elsewhere = stranger();
    let to = format!(
        "{}/api/projects/12345/external_data_sources/",
        elsewhere.url()
    );
    let table = [
        ("html200", FaultKind::Html200, "UnexpectedAnswer"),
        ("garbage200", FaultKind::Garbage200, "UnexpectedAnswer"),
        ("truncated200", FaultKind::Truncated200, "UnexpectedAnswer"),
        ("empty_list", FaultKind::EmptyList, "SourcesVanished"),
        (
            "huge_body",
            FaultKind::HugeBody { bytes: 100_000_000 },
            "ProjectTooLarge",
        ),
        (
            "gzip_bomb",
            FaultKind::GzipBomb { bytes: 100_000_000 },
            "ProjectTooLarge",
        ),
        (
            "redirect",
            FaultKind::Redirect { to, status: None },
            "UnexpectedAnswer",
        ),
        ("500", status(500, None), "PostHogUnavailable"),
        ("503", status(503, None), "PostHogUnavailable"),
        (
            "429 that says how long",
            status(429, Some("3")),
            "RateLimited",
        ),
        ("429", status(429, None), "RateLimited"),
        ("404", status(404, None), "ProjectNotFound"),
        ("cut_before", FaultKind::CutBefore, "HostUnreachable"),
        (
            "cut_body",
            FaultKind::CutBody { bytes: 30 },
            "HostUnreachable",
        ),
    ];
    // Each waits most of the time, so together they take little longer than one.
    let panicked = std::thread::scope(|scope| {
        let rows = table.map(|(name, kind, reason)| {
            (name, scope.spawn(move || answered_with(name, kind, reason)))
        });
        let panicked = rows.map(|(name, row)| row.join().err().map(|_| name));
        panicked.into_iter().flatten().collect::<Vec<_>>()
    });
    assert_eq!(panicked, Vec::<&str>::new(), "their complaints are above");
    assert!(
        elsewhere.simulator().requests().is_empty(),
        "a redirect was followed"
    );
}

/// A wrong `next` of a list is not followed, and harmless: its items are correct.
#[test]
fn the_next_link_of_a_list_is_never_followed() {
    let elsewhere = stranger();
    let env = Env::new(STUCK);
    let to = format!(
        "{}/api/projects/12345/external_data_sources/",
        elsewhere.url()
    );
    let lies = always("/external_data_sources/", FaultKind::NextElsewhere { to });
    env.posthog.simulator().add_fault(lies);
    let _operator = env.operator();
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    wait_until_repaired(&env);
    assert!(met(&env) > 0, "the fault has met nothing");
    assert!(elsewhere.simulator().requests().is_empty());
}

/// The list is correct, but the evidence for a cancel is unavailable.
#[test]
fn nothing_is_cancelled_if_runs_or_log_cannot_be_read() {
    std::thread::scope(|scope| {
        for path in ["/jobs/", "/logs/"] {
            for kind in [
                FaultKind::Garbage200,
                status(500, None),
                FaultKind::CutBefore,
            ] {
                scope.spawn(move || half_blind(path, kind));
            }
        }
    });
}

/// The same job had lines before: an empty log is an error of PostHog, and no evidence about progress.
#[test]
fn nothing_is_cancelled_if_a_log_with_lines_becomes_empty() {
    half_blind("/logs/", FaultKind::EmptyList);
}

/// A job that was observed running must still exist.
#[test]
fn nothing_is_sent_if_a_list_of_runs_becomes_empty() {
    let nothing = FaultKind::Status {
        status: 200,
        body: Some(serde_json::json!([])),
        headers: BTreeMap::new(),
        after_effect: false,
    };
    half_blind("/jobs/", nothing);
}

/// By the operator's clock, hours have passed since the run made progress; by PostHog's, seconds.
#[test]
fn nothing_is_cancelled_while_the_clocks_differ() {
    let an_hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    let date = an_hour_ago
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    let headers = BTreeMap::from([("Date".to_owned(), date)]);
    half_blind("/jobs/", FaultKind::Headers { headers });
}

fn half_blind(path: &str, kind: FaultKind) {
    let env = Env::new(STUCK);
    let _operator = env.operator();
    about_to_be_cancelled(&env);
    let what = format!("{kind:?} at {path}");
    env.posthog.simulator().add_fault(always(path, kind));
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    env.wait_for("p", &format!("doubt after {what}"), |status| {
        let enforced = status.observed_generation == Some(2);
        enforced
            && status
                .findings
                .iter()
                .any(|f| f.schema == "public.orders" && !is_stuck(f))
    });
    wait_until_within(PATIENCE, &format!("more reads that meet {what}"), || {
        let met = met(&env);
        if met >= 3 {
            Ok(())
        } else {
            Err(format!("{met}"))
        }
    });
    assert_eq!(env.count("POST", "/cancel/"), 0, "{what}");
    assert_eq!(env.count("POST", "/reload/"), 0, "{what}");
    env.posthog.simulator().clear_faults();
    wait_until_repaired(&env);
}
