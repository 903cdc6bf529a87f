//! What only the webhook knows: a table that it fills says Completed even if its events are lost. Healthy look-alikes first.

use jiff::SignedDuration;
use posthog_simulator::{EffectKind, Fault, FaultKind, Simulator, SourceSpec, Times};
use serde_json::{Value, json};
use warehouse_sync_operator::api::status::{Finding, RootCause, Severity};

use crate::{faults::Faults, world::World};

/// A source of this type whose webhook says this.
fn source(kind: &str, webhook: &str, extra: &str) -> String {
    format!(
        "sources: [{{type: {kind}, prefix: pay, webhook: {{supports_webhooks: true, {webhook}}}, {extra} \
         schemas: [{{name: Charge, sync_type: webhook, last_synced_ago: 10m, frequency: 30day, rows: 9}}]}}]"
    )
}

const QUERIES: &str = "keys: [{token: phx_demo, scopes: ['external_data_source:read', 'external_data_source:write', 'query:read']}]\n";
const HEALTHY: &str = "exists: true, external_status: {}";

fn world(scenario: &str, credentials: &str) -> World {
    let spec = format!("mode: Enforce, interval: 5m, credentials: [{credentials}]");
    World::new(scenario, &spec, Faults::default())
}

fn watched(scenario: &str) -> World {
    let mut world = world(scenario, "");
    run(&mut world, 60);
    world
}

fn run(world: &mut World, minutes: i64) {
    world.run_for(SignedDuration::from_mins(minutes));
}

fn simulator<A>(world: &World, change: impl FnOnce(&mut Simulator) -> A) -> A {
    change(&mut world.simulator.lock().unwrap())
}

fn change(world: &World, change: impl FnOnce(&mut SourceSpec)) {
    simulator(world, |posthog| {
        let id = posthog.source_id("pay").unwrap();
        posthog.change_source(&id, change).unwrap();
    });
}

fn webhook_says(world: &World, name: &str, value: Value) {
    change(world, |source| {
        source.webhook.insert(name.to_owned(), value);
    });
}

fn is_quiet(world: &World, why: &str) {
    let findings = world.status().findings;
    assert!(findings.is_empty(), "{why}: {findings:#?}");
}

fn only(world: &World) -> Finding {
    let findings = world.status().findings;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].cause, RootCause::WebhookBroken);
    findings[0].clone()
}

fn pushed(world: &World) -> usize {
    simulator(world, |posthog| {
        posthog.effects_of(EffectKind::WebhookInputsChanged).len()
    })
}

// --- Inputs -----------------------------------------------------------------------------------------------------------

#[test]
fn a_webhook_whose_inputs_are_set_or_unknown_is_no_problem() {
    for (kind, webhook) in [
        ("Stripe", ""),
        ("SparkPost", ""),
        ("Pipedrive", ""),
        // An older PostHog does not tell.
        ("Stripe", ", inputs: null"),
        // Another way to say that there is a value, and an input more than anybody knows.
        (
            "Stripe",
            ", inputs: {signing_secret: {value: set}, other: {secret: true}}",
        ),
        ("Novel", ""),
    ] {
        let world = watched(&source(kind, &format!("{HEALTHY}{webhook}"), ""));
        is_quiet(&world, &format!("{kind}{webhook}"));
        assert_eq!(pushed(&world), 0);
    }
}

#[test]
fn the_inputs_of_a_type_are_those_that_the_wizard_lists() {
    let says = |fields: &str, inputs: &str| {
        let webhook = format!("{HEALTHY}, inputs: {inputs}");
        let fields = format!("webhook_fields: {fields},");
        watched(&source("Novel", &webhook, &fields))
    };
    is_quiet(&says("[]", "{}"), "it needs none");
    is_quiet(
        &says("[verifier]", "{verifier: {secret: true}}"),
        "it is set",
    );
    for (inputs, named, not) in [
        ("{}", vec!["verifier", "shared_key"], ""),
        ("{verifier: null}", vec!["verifier", "shared_key"], ""),
        ("{verifier: {secret: true}}", vec!["shared_key"], "verifier"),
    ] {
        let message = only(&says("[verifier, shared_key]", inputs)).message;
        for name in named {
            assert!(message.contains(name), "{message}");
        }
        assert!(not.is_empty() || !message.contains(not), "{message}");
    }
}

#[test]
fn a_wizard_that_does_not_answer_leaves_the_names_that_are_known() {
    for kind in [
        "{status: {status: 500}}",
        "{status: {status: 404}}",
        "html200",
    ] {
        let faults = format!(
            "faults: [{{matches: {{path_contains: /wizard/}}, times: forever, kind: {kind}}}]\n"
        );
        let inputs = format!("{HEALTHY}, inputs: {{}}");
        let stripe = watched(&format!("{faults}{}", source("Stripe", &inputs, "")));
        assert!(only(&stripe).message.contains("signing_secret"));
        let novel = watched(&format!("{faults}{}", source("Novel", &inputs, "")));
        is_quiet(&novel, "which inputs it needs is unknown");
    }
}

#[test]
fn the_wizard_is_asked_once_a_day_and_only_for_webhooks() {
    let mut world = watched(&source("Stripe", HEALTHY, ""));
    let asked = |world: &World| simulator(world, |posthog| posthog.count("GET", "/wizard/"));
    assert_eq!(asked(&world), 1);
    run(&mut world, 22 * 60);
    assert_eq!(asked(&world), 1);
    run(&mut world, 4 * 60);
    assert_eq!(asked(&world), 2);
    let world = watched("sources: [{schemas: [{name: a, last_synced_ago: 1h}]}]");
    assert_eq!(asked(&world), 0);
}

#[test]
fn an_input_that_is_not_set_is_named_as_the_source_calls_it() {
    for (kind, inputs, names) in [
        ("Stripe", "{}", vec!["signing_secret"]),
        ("Stripe", "{signing_secret: null}", vec!["signing_secret"]),
        (
            "Stripe",
            "{signing_secret: {value: null}}",
            vec!["signing_secret"],
        ),
        ("Github", "{}", vec!["signing_secret"]),
        ("SparkPost", "{}", vec!["authorization_header"]),
        (
            "Pipedrive",
            "{http_auth_user: {value: u}}",
            vec!["http_auth_password"],
        ),
        (
            "Pipedrive",
            "{}",
            vec!["http_auth_password", "http_auth_user"],
        ),
        ("BrowseAI", "{}", vec!["webhook_token"]),
        // An input of any type that it shows without a value is needed.
        ("Novel", "{shared_key: null}", vec!["shared_key"]),
    ] {
        let world = watched(&source(kind, &format!("{HEALTHY}, inputs: {inputs}"), ""));
        let finding = only(&world);
        assert_eq!(
            (finding.severity, finding.rule.as_str()),
            (Severity::Error, "webhook/input-missing")
        );
        for name in names {
            assert!(finding.message.contains(name), "{}", finding.message);
        }
        assert!(!finding.message.contains("http_auth_user") || inputs == "{}");
        assert_eq!(pushed(&world), 0);
    }
}

#[test]
fn a_missing_input_is_reported_before_the_vendors_status_and_after_a_missing_webhook() {
    let says = |external: &str| {
        let webhook = format!("exists: true, inputs: {{}}, external_status: {external}");
        let world = watched(&source("SparkPost", &webhook, "probe_error: no,"));
        only(&world).rule
    };
    assert_eq!(says("{status: disabled}"), "webhook/input-missing");
    assert_eq!(
        says("{error: no permission to read}"),
        "webhook/input-missing"
    );
    assert_eq!(says("{exists: false}"), "webhook/gone-at-vendor");
}

fn secret(input: &str, value: &str) -> String {
    let value = serde_json::to_string(&k8s_openapi::ByteString(value.as_bytes().to_vec())).unwrap();
    format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: hook, namespace: n, labels: {{warehousesync.dev/use: source-credentials}}, \
         annotations: {{warehousesync.dev/project: '12345', warehousesync.dev/source: 'prefix=pay', warehousesync.dev/inputs: {input}}}}}, data: {{value: {value}}}}}"
    )
}

#[test]
fn a_missing_input_with_a_mapped_secret_is_pushed_and_again_when_the_webhook_is_registered_again() {
    for (kind, name, value) in [
        ("Stripe", "signing_secret", "whsec_x"),
        ("Github", "signing_secret", "plain-secret"),
        ("SparkPost", "authorization_header", "Basic dXNlcjpwYXNz"),
        ("BrowseAI", "webhook_token", "token-1"),
    ] {
        let scenario = source(kind, &format!("{HEALTHY}, inputs: {{}}"), "");
        let mapping = format!(
            "{{source: {{prefix: pay}}, webhookInputs: {{{name}: {{secretRef: {{name: hook, key: value}}}}}}}}"
        );
        let mut world = world(&scenario, &mapping);
        world.cluster.put_secret(&secret(name, value));
        run(&mut world, 30);
        assert_eq!(pushed(&world), 1, "{kind}: {:#?}", world.status().findings);
        is_quiet(&world, kind);
        run(&mut world, 6 * 60);
        assert_eq!(pushed(&world), 1, "{kind}");
        webhook_says(&world, "inputs", json!({}));
        world.restart();
        run(&mut world, 3 * 60);
        assert_eq!(pushed(&world), 2, "{kind}");
        is_quiet(&world, kind);
    }
}

// --- PostHog's side ---------------------------------------------------------------------------------------------------

#[test]
fn a_function_that_works_or_is_not_rated_is_no_trouble() {
    for state in [
        "{state: 1, tokens: 9}",
        "{}",
        "null",
        "{state: null}",
        "{state: healthy}",
    ] {
        let webhook = format!("{HEALTHY}, hog_function: {{status: {state}}}");
        is_quiet(&watched(&source("Stripe", &webhook, "")), state);
    }
}

#[test]
fn a_function_that_posthog_has_disabled_or_degraded_is_told() {
    for (state, severity, rule) in [
        ("3", Severity::Error, "webhook/function-disabled"),
        ("4", Severity::Error, "webhook/function-disabled"),
        ("12", Severity::Error, "webhook/function-disabled"),
        (
            "forcefully_disabled",
            Severity::Error,
            "webhook/function-disabled",
        ),
        (
            "disabledIndefinitely",
            Severity::Error,
            "webhook/function-disabled",
        ),
        ("2", Severity::Warning, "webhook/function-degraded"),
        ("11", Severity::Warning, "webhook/function-degraded"),
        ("overflowed", Severity::Warning, "webhook/function-degraded"),
    ] {
        let webhook = format!("{HEALTHY}, hog_function: {{status: {{state: {state}}}}}");
        let world = watched(&source("Stripe", &webhook, ""));
        let finding = only(&world);
        assert_eq!(
            (finding.severity, finding.rule.as_str()),
            (severity, rule),
            "{state}"
        );
    }
}

/// The only finding, of a webhook of which nobody knows whether it works.
fn unknown(world: &World, why: &str) -> Finding {
    let status = world.status();
    assert_eq!(status.findings.len(), 1, "{why}: {:#?}", status.findings);
    let finding = &status.findings[0];
    assert_eq!(
        (finding.cause, finding.severity, finding.rule.as_str()),
        (RootCause::Unknown, Severity::Warning, "webhook/unknown"),
        "{why}"
    );
    let healthy = status.condition(warehouse_sync_operator::api::conditions::HEALTHY);
    assert_eq!(healthy.unwrap().status, "Unknown", "{why}");
    assert_eq!(status.summary.unwrap().schemas.unknown, 1, "{why}");
    finding.clone()
}

#[test]
fn a_webhook_that_cannot_be_read_or_understood_is_unknown_and_not_healthy() {
    for webhook in [
        "exists: perhaps",
        "exists: null",
        "exists: true, external_status: {}, hog_function: {status: {state: 99}}",
        "exists: true, external_status: {}, hog_function: {status: {state: 0, tokens: 0}}",
        "exists: true, external_status: {}, hog_function: {status: {state: true}}",
        "exists: true, external_status: {}, hog_function: {status: {state: unhealthy}}",
        "exists: true, external_status: {}, hog_function: {status: enabled}",
        "exists: true, external_status: {}, hog_function: {status: {state: resting}}",
    ] {
        unknown(&watched(&source("Stripe", webhook, "")), webhook);
    }
    for kind in [
        "{status: {status: 500}}",
        "{status: {status: 503}}",
        "{status: {status: 404}}",
        "{status: {status: 403}}",
        "{status: {status: 400, body: {message: no}}}",
        "cut_before",
        "{handled_late: {by: 10m}}",
        "html200",
        "garbage200",
    ] {
        let faults = format!(
            "faults: [{{matches: {{path_contains: /webhook_info/}}, times: forever, kind: {kind}}}]\n"
        );
        let mut world = watched(&format!("{faults}{}", source("Stripe", HEALTHY, "")));
        let finding = unknown(&world, kind);
        assert!(finding.message.contains("webhook_info"), "{finding:?}");
        simulator(&world, Simulator::clear_faults);
        run(&mut world, 7 * 60);
        is_quiet(&world, kind);
    }
}

#[test]
fn a_webhook_that_answered_is_believed_for_a_while_and_not_for_ever() {
    let mut world = watched(&source("Stripe", HEALTHY, ""));
    let fault = FaultKind::Status {
        status: 500,
        body: None,
        headers: std::collections::BTreeMap::new(),
        after_effect: false,
    };
    simulator(&world, |posthog| {
        posthog.add_fault(Fault {
            times: Times::Forever,
            ..Fault::once("GET", "/webhook_info/", fault)
        });
    });
    run(&mut world, 40);
    is_quiet(&world, "it answered lately");
    run(&mut world, 2 * 60);
    assert!(unknown(&world, "silence").message.contains("since"));
}

/// A project of so many sources with a webhook.
fn many(count: usize) -> World {
    let sources: Vec<String> = (0..count)
        .map(|n| {
            format!(
                "{{type: Stripe, prefix: p{n}, webhook: {{supports_webhooks: true, {HEALTHY}}}, \
                 schemas: [{{name: Charge, sync_type: webhook, last_synced_ago: 10m, frequency: 30day, rows: 9}}]}}"
            )
        })
        .collect();
    world(&format!("sources: [{}]", sources.join(", ")), "")
}

fn asked(world: &World) -> usize {
    simulator(world, |posthog| posthog.count("GET", "/webhook_info/"))
}

#[test]
fn a_webhook_that_has_not_been_read_yet_is_unknown_and_is_read_soon() {
    let mut world = many(30);
    run(&mut world, 1);
    let unread = 30 - asked(&world);
    assert!(unread > 0, "all were read at once");
    let status = world.status();
    let unknown = status.summary.as_ref().unwrap().schemas.unknown;
    assert_eq!(usize::try_from(unknown), Ok(unread));
    let healthy = status.condition(warehouse_sync_operator::api::conditions::HEALTHY);
    assert_eq!(healthy.unwrap().status, "Unknown");
    assert!(
        status
            .findings
            .iter()
            .all(|one| one.severity == Severity::Info)
    );
    run(&mut world, 30);
    assert_eq!(asked(&world), 30);
    is_quiet(&world, "all were read");
}

/// So many webhooks that the calls of an hour do not suffice for all of them.
#[test]
fn an_old_answer_is_not_believed_though_there_was_no_room_to_ask_again() {
    let mut world = many(300);
    run(&mut world, 4 * 60);
    assert!(asked(&world) > 300);
    let findings = world.status().findings;
    let old = findings
        .iter()
        .find(|finding| finding.rule == "webhook/unknown");
    let said = &old.unwrap().message;
    assert!(said.contains("has not been read since"), "{said}");
}

// --- Registering ------------------------------------------------------------------------------------------------------

#[test]
fn what_posthog_can_never_make_is_not_tried() {
    let reason = "The connection's grant excludes webhook management";
    for webhook in [
        "exists: false",
        "exists: true, external_status: {exists: false}",
    ] {
        let blocked = format!("{webhook}, auto_creation_blocked_reason: \"{reason}\"");
        let mut world = watched(&source("Stripe", &blocked, ""));
        let finding = only(&world);
        assert_eq!(finding.rule, "webhook/creation-blocked");
        assert!(finding.message.contains(reason), "{}", finding.message);
        run(&mut world, 24 * 60);
        assert_eq!(world.count("create_webhook"), 0, "{webhook}");
        webhook_says(&world, "auto_creation_blocked_reason", Value::Null);
        run(&mut world, 3 * 60);
        assert_eq!(world.count("create_webhook"), 1, "{webhook}");
        is_quiet(&world, webhook);
    }
}

// --- Deliveries -------------------------------------------------------------------------------------------------------

fn log(lines: &[(&str, &str)]) -> String {
    let lines = lines
        .iter()
        .map(|(ago, text)| format!("{{ago: {ago}, message: '{text}'}}"));
    format!("webhook_log: [{}],", lines.collect::<Vec<_>>().join(", "))
}

const GOOD: &str = "Function completed in 3ms";
const BAD: &str = "Bad signature";

#[test]
fn a_log_that_says_nothing_of_refusals_is_no_trouble() {
    for lines in [
        vec![],
        vec![("1h", GOOD), ("2h", GOOD)],
        // A stranger knows the address.
        vec![("1h", GOOD), ("2h", BAD), ("3h", GOOD), ("4h", GOOD)],
        // Long ago.
        vec![("30h", BAD), ("31h", BAD)],
        vec![
            ("1h", "Event charge.failed taken"),
            ("2h", "Signature checked"),
        ],
    ] {
        let scenario = source("Stripe", HEALTHY, &log(&lines));
        is_quiet(
            &watched(&format!("{QUERIES}{scenario}")),
            &format!("{lines:?}"),
        );
    }
}

#[test]
fn refused_signatures_in_the_log_are_evidence_that_events_are_lost() {
    for (text, lines) in [
        (BAD, vec![("1h", BAD), ("2h", BAD)]),
        ("Missing signature", vec![("1h", "Missing signature")]),
        // What else one delivery writes is no delivery of its own.
        (
            BAD,
            vec![
                ("3600s", GOOD),
                ("3601s", BAD),
                ("7200s", GOOD),
                ("7201s", BAD),
            ],
        ),
    ] {
        let scenario = source("Stripe", HEALTHY, &log(&lines));
        let world = watched(&format!("{QUERIES}{scenario}"));
        let finding = only(&world);
        assert_eq!(
            (finding.severity, finding.rule.as_str()),
            (Severity::Error, "webhook/signature-refused")
        );
        let said = finding.evidence.join(" ");
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn a_key_that_may_not_query_is_tried_once_a_day_and_not_reported() {
    let scenario = source("Stripe", HEALTHY, &log(&[("1h", BAD)]));
    let mut world = watched(&scenario);
    run(&mut world, 20 * 60);
    is_quiet(&world, "no scope");
    assert_eq!(
        simulator(&world, |posthog| posthog.count("POST", "/query/")),
        1
    );
}
