//! Faults, without a network.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use posthog_simulator::{Answer, EffectKind, Fault, FaultKind, Request, Simulator};
use serde_json::{Value, json};

use crate::world::{get, secs, send, with_schemas};

fn healthy() -> Simulator {
    with_schemas("- {name: a, last_synced_ago: 1h}")
}

fn reload(posthog: &Simulator) -> Request {
    let id = posthog.schema_id("a").unwrap();
    Request::new(
        "POST",
        &format!("/api/projects/12345/external_data_schemas/{id}/reload/"),
        "phx_demo",
    )
}

fn started(posthog: &mut Simulator) -> usize {
    posthog.advance(secs(2));
    posthog.effects_of(EffectKind::RunStarted).len()
}

#[test]
fn a_fault_meets_what_it_names_after_its_skip_and_as_often_as_it_says() {
    let mut posthog = healthy();
    let mut fault = Fault::once("GET", "sources", FaultKind::Html200);
    fault.skip = 1;
    posthog.add_fault(fault);
    let types: Vec<_> = (0..3)
        .map(|_| {
            send(&mut posthog, "GET", "external_data_sources/")
                .header_value("content-type")
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        types,
        [
            "application/json",
            "text/html; charset=utf-8",
            "application/json"
        ]
    );
    assert_eq!(posthog.requests()[1].fault, Some("html200"));
}

#[test]
fn a_cut_before_has_no_effect_and_a_cut_after_has() {
    let mut posthog = healthy();
    posthog.add_fault(Fault::once("POST", "reload", FaultKind::CutBefore));
    let request = reload(&posthog);
    assert!(matches!(posthog.handle(&request).answer, Answer::Cut(None)));
    assert_eq!(started(&mut posthog), 0);
    posthog.add_fault(Fault::once("POST", "reload", FaultKind::CutAfterEffect));
    assert!(matches!(posthog.handle(&request).answer, Answer::Cut(None)));
    assert_eq!(started(&mut posthog), 1);
    assert!(
        posthog
            .requests()
            .iter()
            .all(|logged| logged.status.is_none())
    );
}

#[test]
fn a_status_has_the_effect_only_if_configured() {
    for (after_effect, runs) in [(false, 0), (true, 1)] {
        let mut posthog = healthy();
        let kind = FaultKind::Status {
            status: 500,
            body: None,
            headers: BTreeMap::new(),
            after_effect,
        };
        posthog.add_fault(Fault::once("POST", "reload", kind));
        let request = reload(&posthog);
        assert_eq!(
            posthog.handle(&request).response().unwrap().value()["type"],
            "server_error"
        );
        assert_eq!(started(&mut posthog), runs);
    }
}

#[test]
fn headers_of_a_status_replace_the_usual_ones() {
    let mut posthog = healthy();
    let kind = FaultKind::Status {
        status: 429,
        body: Some(json!({"detail": "slow down"})),
        headers: BTreeMap::from([(
            "Retry-After".to_owned(),
            "Wed, 01 Oct 2026 12:00:30 GMT".to_owned(),
        )]),
        after_effect: false,
    };
    posthog.add_fault(Fault::always(kind));
    let answer = send(&mut posthog, "GET", "external_data_sources/");
    assert_eq!(
        (answer.status, answer.header_value("retry-after")),
        (429, Some("Wed, 01 Oct 2026 12:00:30 GMT"))
    );
}

#[test]
fn a_delay_holds_the_answer_back_and_not_the_effect() {
    let mut posthog = healthy();
    posthog.add_fault(Fault::once(
        "POST",
        "reload",
        FaultKind::Delay {
            by: SignedDuration::from_secs(40),
        },
    ));
    let request = reload(&posthog);
    assert_eq!(
        posthog.handle(&request).delay,
        Some(std::time::Duration::from_secs(40))
    );
    assert_eq!(started(&mut posthog), 1);
}

#[test]
fn bodies_can_be_half_garbage_empty_or_huge() {
    let mut posthog = healthy();
    let body = |posthog: &mut Simulator, kind| {
        posthog.add_fault(Fault::once("GET", "sources", kind));
        send(posthog, "GET", "external_data_sources/")
    };
    assert_eq!(
        body(&mut posthog, FaultKind::Truncated200).value(),
        Value::Null
    );
    assert_eq!(
        body(&mut posthog, FaultKind::Garbage200).value(),
        Value::Null
    );
    assert_eq!(body(&mut posthog, FaultKind::EmptyList).value()["count"], 0);
    assert!(
        body(&mut posthog, FaultKind::HugeBody { bytes: 1 << 20 })
            .body
            .len()
            > 1 << 20
    );
    let bomb = body(&mut posthog, FaultKind::GzipBomb { bytes: 1 << 24 });
    assert_eq!(bomb.header_value("content-encoding"), Some("gzip"));
    assert!(bomb.body.len() < 1 << 16);
    let elsewhere = body(
        &mut posthog,
        FaultKind::NextElsewhere {
            to: "http://evil.example/".to_owned(),
        },
    );
    assert_eq!(
        (&elsewhere.value()["next"], &elsewhere.value()["count"]),
        (&json!("http://evil.example/"), &json!(1))
    );
    let redirect = FaultKind::Redirect {
        to: "http://evil.example/".to_owned(),
        status: None,
    };
    assert_eq!(
        body(&mut posthog, redirect).header_value("location"),
        Some("http://evil.example/")
    );
}

#[test]
fn faults_go_when_they_are_taken_away() {
    let mut posthog = healthy();
    posthog.add_fault(Fault::always(FaultKind::CutBefore));
    posthog.clear_faults();
    get(&mut posthog, "external_data_sources/");
}
