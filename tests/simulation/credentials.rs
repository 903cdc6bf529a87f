//! Rotated credentials: from a Secret to PostHog, once, and the tables come back.

use jiff::SignedDuration;
use posthog_simulator::{EffectKind, Fault as SimFault, FaultKind};
use warehouse_sync_operator::{
    api::{
        proposal::Proposal,
        status::{RootCause, Severity},
    },
    observe::OtherPolicy,
};

use crate::{
    faults::{Fault, Faults},
    other_policies::{older, younger},
    world::{World, start},
};

const MAPPING: &str = "credentials: [{source: {type: Postgres, prefix: prod}, jobInputs: {password: {secretRef: {name: db, key: password}}}}]";
const OLD: &str = "old-canary-1111";
const NEW: &str = "new-canary-2222";

/// Two tables of a source whose password is changed at the source: the first run that fails with it switches a table off.
const ROTATED: &str = "
sources:
  - type: Postgres
    prefix: prod
    job_inputs: {host: db.example.com, port: '5432', database: app, user: posthog}
    probe_error: Invalid credentials
    accepts_inputs: {password: new-canary-2222}
    schemas:
      - name: public.orders
        frequency: 6hour
        last_synced_ago: 5h
        rows: 10
        run: {started_ago: 10s, fails: {after: 20s, rows: 0, non_retryable: true, error: 'password authentication failed for user \"posthog\"'}}
        then: {completes: {after: 1m, rows: 5}}
";

fn enforce() -> String {
    format!("mode: Enforce, interval: 1m, {MAPPING}")
}

fn secret(value: &str) -> String {
    secret_with(
        value,
        "labels: {warehousesync.dev/use: source-credentials}, annotations: {warehousesync.dev/project: '12345', warehousesync.dev/source: 'type=Postgres,prefix=prod', warehousesync.dev/inputs: password}",
    )
}

fn secret_with(value: &str, meta: &str) -> String {
    let value = serde_json::to_string(&k8s_openapi::ByteString(value.as_bytes().to_vec())).unwrap();
    format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: db, namespace: n, {meta}}}, data: {{password: {value}}}}}"
    )
}

fn world(scenario: &str, spec: &str, value: &str, faults: Faults) -> World {
    let world = World::new(scenario, spec, faults);
    world.cluster.put_secret(&secret(value));
    world
}

/// The Secret of a webhook.
fn signing_secret(value: &str) -> String {
    secret(value)
        .replace("type=Postgres,prefix=prod", "type=Stripe")
        .replace("inputs: password", "inputs: signing_secret")
}

fn run(world: &mut World, minutes: i64) {
    world.run_for(SignedDuration::from_mins(minutes));
    nothing_shows_a_secret(world);
}

fn nothing_shows_a_secret(world: &World) {
    let status = serde_json::to_string(&world.status()).unwrap();
    let events = format!("{:?}", world.cluster.events());
    for secret in [OLD, NEW, "canary"] {
        assert!(!status.contains(secret), "{status}");
        assert!(!events.contains(secret), "{events}");
    }
}

/// `PATCH`es of the source that reached PostHog.
fn patches(world: &World) -> usize {
    let simulator = world.simulator.lock().unwrap();
    simulator.count("PATCH", "/external_data_sources/")
}

fn effects(world: &World, kind: EffectKind) -> usize {
    world.simulator.lock().unwrap().effects_of(kind).len()
}

fn next_actions(world: &World) -> String {
    let findings = world.status().findings;
    let said = findings.iter().map(|finding| finding.next_action.clone());
    said.collect::<Vec<_>>().join("\n")
}

fn recovered(world: &World) {
    let status = world.status();
    assert!(status.findings.is_empty(), "{:#?}", status.findings);
    assert!(status.incidents.is_empty(), "{:#?}", status.incidents);
    assert_eq!(status.summary.unwrap().healthy_of, "1/1");
}

#[test]
fn a_rotated_secret_is_sent_once_and_the_table_recovers() {
    let mut world = world(ROTATED, &enforce(), NEW, Faults::default());
    run(&mut world, 60);
    assert_eq!(patches(&world), 1);
    assert_eq!(effects(&world, EffectKind::InputsChanged), 1);
    assert_eq!(effects(&world, EffectKind::Enabled), 1);
    assert_eq!(world.count("reload"), 1);
    recovered(&world);
    let reasons: Vec<_> = world
        .cluster
        .events()
        .iter()
        .map(|e| e.reason.as_str())
        .collect();
    for reason in ["CredentialsApplied", "TableEnabled", "Recovered"] {
        assert!(reasons.contains(&reason), "{reasons:?}");
    }
}

#[test]
fn the_same_content_is_never_sent_twice() {
    let mut world = world(ROTATED, &enforce(), OLD, Faults::default());
    run(&mut world, 30);
    assert_eq!(patches(&world), 1, "an unknown baseline counts as changed");
    let said = next_actions(&world);
    assert!(
        said.contains("key \"password\" of Secret db") && said.contains("refused it"),
        "{said}"
    );
    world.restart();
    run(&mut world, 24 * 60);
    assert_eq!(patches(&world), 1);
    assert_eq!(
        (effects(&world, EffectKind::Enabled), world.count("reload")),
        (0, 0)
    );

    world.cluster.put_secret(&secret(NEW));
    run(&mut world, 60);
    assert_eq!(patches(&world), 2);
    recovered(&world);
}

#[test]
fn credentials_that_posthog_takes_and_the_source_rejects_are_not_repeated() {
    // PostHog accepts anything, and the next run is still rejected.
    let scenario = ROTATED
        .replace("    accepts_inputs: {password: new-canary-2222}\n", "")
        .replace("    probe_error: Invalid credentials\n", "")
        .replace(
            "then: {completes: {after: 1m, rows: 5}}",
            "then: {fails: {after: 1m, rows: 0, non_retryable: true, error: 'password authentication failed for user \"posthog\"'}}",
        );
    let mut world = world(&scenario, &enforce(), OLD, Faults::default());
    run(&mut world, 12 * 60);
    assert_eq!(patches(&world), 1);
    assert_eq!(effects(&world, EffectKind::Enabled), 1);
    assert_eq!(world.count("reload"), 1);
    let status = world.status();
    assert_eq!(status.findings[0].cause, RootCause::CredentialsInvalid);
    let said = next_actions(&world);
    assert!(
        said.contains("PostHog accepted it") && said.contains("Rotate it"),
        "{said}"
    );
}

#[test]
fn a_table_that_was_not_seen_to_be_switched_off_stays_off() {
    let scenario = "
sources:
  - type: Postgres
    prefix: prod
    probe_error: Invalid credentials
    accepts_inputs: {password: new-canary-2222}
    schemas: [{name: public.orders, should_sync: false, status: Failed, latest_error: 'password authentication failed for user \"posthog\"', last_synced_ago: 12h, rows: 10}]
";
    let mut world = world(scenario, &enforce(), NEW, Faults::default());
    run(&mut world, 120);
    assert_eq!(patches(&world), 1);
    assert_eq!(
        (effects(&world, EffectKind::Enabled), world.count("reload")),
        (0, 0)
    );
    // The source takes them: whether the table is wanted is for a person to say.
    let proposal = &world.status().proposals[0];
    assert!(proposal.id.starts_with("re-"), "{proposal:#?}");
    let said = next_actions(&world);
    assert!(said.contains(&proposal.id), "{said}");
}

#[test]
fn a_table_that_is_still_on_is_only_reloaded() {
    let scenario = ROTATED.replace("non_retryable: true, ", "");
    let mut world = world(&scenario, &enforce(), NEW, Faults::default());
    run(&mut world, 60);
    assert_eq!(patches(&world), 1);
    assert_eq!(
        (effects(&world, EffectKind::Enabled), world.count("reload")),
        (0, 1)
    );
    recovered(&world);
}

#[test]
fn while_the_source_works_nothing_is_sent() {
    let scenario = "sources: [{type: Postgres, prefix: prod, schemas: [{name: a, last_synced_ago: 10m, frequency: 6hour}]}]";
    let mut world = world(scenario, &enforce(), NEW, Faults::default());
    run(&mut world, 60);
    world.cluster.put_secret(&secret(OLD));
    run(&mut world, 60);
    assert_eq!(patches(&world), 0);
    assert!(world.status().findings.is_empty());
}

#[test]
fn observe_suspend_and_off_say_what_they_would_send_and_send_nothing() {
    for (spec, says) in [
        ("mode: Observe", "spec.mode is Observe"),
        ("mode: Enforce, suspend: true", "spec.suspend is true"),
        (
            "mode: Enforce, remediation: {applyCredentials: 'Off'}",
            "spec.remediation.applyCredentials is Off",
        ),
    ] {
        let spec = format!("{spec}, interval: 1m, {MAPPING}");
        let mut world = world(ROTATED, &spec, NEW, Faults::default());
        run(&mut world, 60);
        assert_eq!((patches(&world), world.count("reload")), (0, 0), "{spec}");
        let said = next_actions(&world);
        assert!(said.contains(says) && said.contains("Held: "), "{said}");
    }
    let spec =
        format!("mode: Enforce, remediation: {{reenableAfterFix: 'Off'}}, interval: 1m, {MAPPING}");
    let mut world = world(ROTATED, &spec, NEW, Faults::default());
    run(&mut world, 60);
    assert_eq!(
        (patches(&world), effects(&world, EffectKind::Enabled)),
        (1, 0)
    );
    let said = next_actions(&world);
    assert!(
        said.contains("spec.remediation.reenableAfterFix is Off"),
        "{said}"
    );
}

#[test]
fn only_the_owner_of_the_source_sends_credentials() {
    let mut world = world(ROTATED, &enforce(), NEW, Faults::default());
    world.cluster.set_other_policies(vec![older()]);
    run(&mut world, 60);
    assert_eq!(patches(&world), 0);
    let said = next_actions(&world);
    assert!(said.contains("policy other owns"), "{said}");
}

#[test]
fn the_breaker_never_holds_credentials() {
    let source = |n: usize| {
        ROTATED
            .replace("\nsources:\n", "")
            .replace("prefix: prod", &format!("prefix: prod{n}"))
            .replace("non_retryable: true, ", "")
    };
    let scenario = format!(
        "sources:\n{}{}{}{}",
        source(0),
        source(1),
        source(2),
        source(3)
    );
    let mapping = MAPPING.replace("prefix: prod", "prefix: prod0");
    let spec = format!("mode: Enforce, interval: 1m, {mapping}");
    let mut world = World::new(&scenario, &spec, Faults::default());
    world
        .cluster
        .put_secret(&secret(NEW).replace("prefix=prod", "prefix=prod0"));
    run(&mut world, 10);
    let status = world.status();
    assert!(status.state.breaker.is_some(), "{status:#?}");
    assert_eq!((patches(&world), world.count("reload")), (1, 1));
}

// --- What is wrong with a mapping ----------------------------------------------------------------------------------

#[test]
fn a_secret_that_cannot_be_used_is_a_finding_that_names_it_and_no_call() {
    const LABEL: &str = "labels: {warehousesync.dev/use: source-credentials}";
    const PROJECT: &str = "'warehousesync.dev/project': '12345'";
    const SOURCE: &str = "'warehousesync.dev/source': 'type=Postgres,prefix=prod'";
    const INPUTS: &str = "'warehousesync.dev/inputs': password";
    let with = |annotations: &[&str]| {
        secret_with(
            NEW,
            &format!("{LABEL}, annotations: {{{}}}", annotations.join(", ")),
        )
    };
    let good = format!("{LABEL}, annotations: {{{PROJECT}, {SOURCE}, {INPUTS}}}");
    let label = "kubectl label secret db --namespace n --overwrite warehousesync.dev/use=source-credentials";
    let annotate = "kubectl annotate secret db --namespace n --overwrite warehousesync.dev/project=12345 \
         warehousesync.dev/source=type=Postgres,prefix=prod warehousesync.dev/inputs=password";
    let more = format!("{annotate},private_key");
    let other_use = "labels: {warehousesync.dev/use: posthog-api-key}";
    for (given, says) in [
        (None, "There is no Secret db"),
        (Some(secret_with(NEW, "")), label),
        (Some(secret_with(NEW, other_use)), label),
        (Some(with(&[])), annotate),
        (
            Some(with(&["'warehousesync.dev/project': '1'", SOURCE, INPUTS])),
            annotate,
        ),
        // As owners annotated Secrets when only the project was required.
        (Some(with(&[PROJECT])), annotate),
        (Some(with(&[PROJECT, INPUTS])), annotate),
        (Some(with(&[PROJECT, SOURCE])), annotate),
        (
            Some(with(&[
                PROJECT,
                "'warehousesync.dev/source': prefix=prod",
                INPUTS,
            ])),
            annotate,
        ),
        (
            Some(with(&[
                PROJECT,
                "'warehousesync.dev/source': 'type=Stripe,prefix=prod'",
                INPUTS,
            ])),
            annotate,
        ),
        (
            Some(with(&[
                PROJECT,
                SOURCE,
                "'warehousesync.dev/inputs': 'private_key,passwords,Password'",
            ])),
            more.as_str(),
        ),
        (Some(secret_with("", &good)), "it is empty"),
        (Some(secret_with(&format!("{NEW}\n"), &good)), "white space"),
        (
            Some(secret_with(&format!("{NEW}\n{OLD}"), &good)),
            "line breaks",
        ),
        (
            Some(secret_with(NEW, &good).replace("data: {password:", "data: {other:")),
            "has no key \"password\"",
        ),
    ] {
        let mut world = World::new(ROTATED, &enforce(), Faults::default());
        if let Some(given) = given {
            world.cluster.put_secret(&given);
        }
        run(&mut world, 30);
        assert_eq!((patches(&world), world.count("reload")), (0, 0), "{says}");
        let status = world.status();
        let wrong = status.findings.iter();
        let wrong: Vec<_> = wrong
            .filter(|f| f.rule.starts_with("credentials/"))
            .collect();
        assert_eq!(wrong.len(), 1, "{:#?}", status.findings);
        let (message, severity) = (&wrong[0].message, wrong[0].severity);
        assert_eq!(severity, Severity::Warning);
        assert!(
            message.contains(says)
                && message.contains("Secret db")
                && message.contains("\"password\""),
            "{message}"
        );
    }
}

#[test]
fn a_mapping_without_one_source_or_with_an_input_that_says_where_is_a_finding_and_no_call() {
    let two = format!(
        "{ROTATED}  - {{type: Postgres, prefix: prod, schemas: [{{name: other, last_synced_ago: 1h}}]}}\n"
    );
    let where_ = MAPPING.replace("password: {secretRef", "host: {secretRef");
    let user = MAPPING.replace("password: {secretRef", "user: {secretRef");
    let none = MAPPING.replace("prefix: prod", "prefix: nope");
    let twice = format!(
        "{}, {}",
        MAPPING.trim_end_matches(']'),
        MAPPING.trim_start_matches("credentials: [")
    );
    for (scenario, mapping, rule, calls) in [
        (ROTATED, none.as_str(), "credentials/no-source", 0),
        (two.as_str(), MAPPING, "credentials/many-sources", 0),
        (ROTATED, where_.as_str(), "credentials/not-secret", 0),
        (ROTATED, user.as_str(), "credentials/not-secret", 0),
        (ROTATED, twice.as_str(), "credentials/twice", 1),
    ] {
        let spec = format!("mode: Enforce, interval: 1m, {mapping}");
        let mut world = world(scenario, &spec, NEW, Faults::default());
        run(&mut world, 30);
        assert_eq!(patches(&world), calls, "{rule}");
        let findings = world.status().findings;
        assert!(
            findings.iter().any(|f| f.rule == rule),
            "{rule}: {findings:#?}"
        );
    }
}

// --- What is seen right before the call ----------------------------------------------------------------------------

/// Lets minutes pass while the source is read right before the call, and not before.
#[test]
fn nothing_is_given_on_reads_that_have_become_stale() {
    let mut world = world(ROTATED, &enforce(), NEW, Faults::default());
    run(&mut world, 1);
    let id = world.simulator.lock().unwrap().source_id("prod").unwrap();
    let by = SignedDuration::from_secs(121);
    let mut slow = SimFault::always(FaultKind::Delay { by });
    slow.matches.path_contains = Some(format!("/external_data_sources/{id}/"));
    slow.matches.method = Some("GET".to_owned());
    world.simulator.lock().unwrap().add_fault(slow);
    run(&mut world, 30);
    assert_eq!(patches(&world), 0);
    let status = serde_json::to_string(&world.status()).unwrap();
    let said = "read too long ago and may have changed (guard Facts)";
    assert!(status.contains(said), "{status}");
    world.simulator.lock().unwrap().clear_faults();
    run(&mut world, 30);
    assert_eq!(patches(&world), 1);
}

/// The watch delivers it after the reconcile has decided.
#[test]
fn nothing_is_sent_to_a_source_on_which_another_policy_has_started_to_act() {
    let mut world = world(ROTATED, &enforce(), NEW, Faults::default());
    let id = world.simulator.lock().unwrap().source_id("prod").unwrap();
    let started = OtherPolicy {
        in_flight: vec![(id, None)],
        ..younger()
    };
    while patches(&world) == 0 && !said_owner(&world) {
        assert!(world.now() < start() + SignedDuration::from_hours(1));
        world.cluster.set_other_policies(Vec::new());
        world
            .cluster
            .set_other_policies_after_a_read(vec![started.clone()]);
        let wait = world.reconcile();
        world.simulator.lock().unwrap().advance(wait);
    }
    assert_eq!(patches(&world), 0);
    world.cluster.set_other_policies(Vec::new());
    run(&mut world, 30);
    assert_eq!(patches(&world), 1);
}

fn said_owner(world: &World) -> bool {
    let status = serde_json::to_string(&world.status()).unwrap();
    status.contains("(guard Owner)")
}

// --- Crashes and lost answers --------------------------------------------------------------------------------------

/// How a plan with faults ended: effects, and how many times each thing happened at PostHog.
fn play(plan: &[(usize, Fault)]) -> Vec<String> {
    let mut world = world(ROTATED, &enforce(), NEW, Faults::new(plan));
    run(&mut world, 60);
    let changed = effects(&world, EffectKind::InputsChanged);
    // What does not leave does not arrive: one is the most in every plan.
    assert!(
        patches(&world) <= 1,
        "{plan:?}: {} PATCHes",
        patches(&world)
    );
    assert!(effects(&world, EffectKind::Enabled) <= 1, "{plan:?}");
    assert!(changed <= 1, "{plan:?}");
    let status = world.status();
    let healthy = status.findings.is_empty() && status.incidents.is_empty();
    // A call that never arrived is not sent again, and an unseen change is not touched; both are reported.
    let said = next_actions(&world);
    let asks = status.proposals.iter().any(Proposal::is_open);
    assert!(
        healthy || asks || said.contains("nobody") || status.incidents.len() == 1,
        "{plan:?} ends with {status:#?}"
    );
    world.faults.effects()
}

#[test]
fn no_fault_at_any_effect_makes_a_second_handover_of_the_same_content() {
    let effects = play(&[]);
    assert!(effects.len() > 6, "{effects:?}");
    for index in 0..effects.len() {
        for fault in Fault::ALL {
            play(&[(index, fault)]);
        }
    }
    for first in 1..effects.len() {
        for second in first + 1..effects.len().min(first + 4) {
            for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::NotSent] {
                play(&[(first, Fault::CrashAfter), (second, fault)]);
                play(&[(first, Fault::NotSent), (second, fault)]);
            }
        }
    }
}

// --- I: webhooks ---------------------------------------------------------------------------------------------------

const STRIPE: &str = "
sources:
  - type: Stripe
    prefix: pay
    webhook: {supports_webhooks: true, exists: false}
    schemas: [{name: Charge, sync_type: webhook, last_synced_ago: 10m, frequency: 6hour}]
";
const HOOK: &str = "credentials: [{source: {type: Stripe}, webhookInputs: {signing_secret: {secretRef: {name: db, key: password}}}}]";
const WHSEC: &str = "whsec_canary-3333";

#[test]
fn a_webhook_that_is_not_there_is_registered_once() {
    let mut world = World::new(STRIPE, "mode: Enforce, interval: 1m", Faults::default());
    run(&mut world, 180);
    assert_eq!(effects(&world, EffectKind::WebhookCreated), 1);
    let status = world.status();
    assert!(status.findings.is_empty(), "{:#?}", status.findings);
    let reasons: Vec<_> = world
        .cluster
        .events()
        .iter()
        .map(|e| e.reason.as_str())
        .collect();
    assert!(reasons.contains(&"WebhookRegistered"), "{reasons:?}");
}

#[test]
fn a_registration_that_fails_with_200_is_reported_and_not_repeated_until_something_changes() {
    let scenario = STRIPE.replace(
        "    schemas:",
        "    probe_error: The key lacks the permission to make webhooks\n    schemas:",
    );
    let spec = format!("mode: Enforce, interval: 1m, {HOOK}");
    let mut world = World::new(&scenario, &spec, Faults::default());
    world.cluster.put_secret(&signing_secret(WHSEC));
    run(&mut world, 12 * 60);
    assert_eq!(world.count("create_webhook"), 1);
    let said = next_actions(&world);
    assert!(
        said.contains("lacks the permission to make webhooks") && said.contains("Not tried again"),
        "{said}"
    );
    world
        .cluster
        .put_secret(&signing_secret("whsec_canary-4444"));
    run(&mut world, 120);
    assert_eq!(world.count("create_webhook"), 2);
}

#[test]
fn a_webhook_whose_vendor_side_is_unknown_is_not_touched() {
    for state in [
        "exists: true",
        "exists: true, external_status: {exists: false, error: 'no permission to read'}",
        "exists: true, external_status: {status: disabled}",
    ] {
        let scenario = STRIPE.replace("exists: false", state);
        let mut world = World::new(&scenario, "mode: Enforce, interval: 1m", Faults::default());
        run(&mut world, 180);
        assert_eq!(world.count("create_webhook"), 0, "{state}");
    }
}

#[test]
fn the_signing_secret_is_pushed_once_and_again_when_it_changes() {
    let scenario = STRIPE.replace("exists: false", "exists: true");
    let spec = format!("mode: Enforce, interval: 1m, {HOOK}");
    let mut world = World::new(&scenario, &spec, Faults::default());
    world.cluster.put_secret(&signing_secret(WHSEC));
    run(&mut world, 180);
    assert_eq!(effects(&world, EffectKind::WebhookInputsChanged), 1);
    world.restart();
    world
        .cluster
        .put_secret(&signing_secret("whsec_canary-4444"));
    run(&mut world, 180);
    assert_eq!(effects(&world, EffectKind::WebhookInputsChanged), 2);
    assert!(world.status().findings.is_empty());
}

#[test]
fn observe_and_off_name_the_webhook_that_they_would_register() {
    for (spec, says) in [
        ("mode: Observe", "spec.mode is Observe"),
        (
            "mode: Enforce, remediation: {registerWebhook: 'Off'}",
            "spec.remediation.registerWebhook is Off",
        ),
    ] {
        let mut world = World::new(STRIPE, &format!("{spec}, interval: 1m"), Faults::default());
        run(&mut world, 180);
        assert_eq!(world.count("create_webhook"), 0);
        let said = next_actions(&world);
        assert!(said.contains(says) && said.contains("Held: "), "{said}");
    }
}

/// A value, and how PostHog, a driver or a proxy may repeat it.
#[test]
fn a_value_is_not_shown_however_an_answer_repeats_it() {
    // Two spaces become one where texts are shown; quotes, slashes and letters are encoded.
    let value = "can\"ary  77/é+x;last%line";
    let shown = [
        value.to_owned(),
        serde_json::to_string(value).unwrap(),
        format!("{value:?}"),
        "can%22ary%20%2077%2F%C3%A9%2Bx%3Blast%25line".to_owned(),
        "can%22ary++77%2f%c3%a9%2bx%3blast%25line".to_owned(),
        "Y2FuImFyeSAgNzcvw6kreDtsYXN0JWxpbmU=".to_owned(),
    ];
    for repeated in shown {
        let scenario = ROTATED.replace("    accepts_inputs: {password: new-canary-2222}\n", "");
        let mut world = world(&scenario, &enforce(), value, Faults::default());
        let kind = FaultKind::Status {
            status: 400,
            body: Some(serde_json::json!({"detail": format!("no user {repeated} here")})),
            headers: std::collections::BTreeMap::new(),
            after_effect: false,
        };
        let refuses = SimFault::once("PATCH", "/external_data_sources/", kind);
        world.simulator.lock().unwrap().add_fault(refuses);
        world.run_for(SignedDuration::from_mins(30));
        assert_eq!(patches(&world), 1);
        let status = serde_json::to_string(&world.status()).unwrap();
        for part in ["can\\", "can%", "ary ", "77/", "last%", "Y2Fu", "aW5l"] {
            assert!(!status.contains(part), "{repeated}: {part} in {status}");
        }
        assert!(status.contains("***"), "{repeated}: {status}");
    }
}

/// PostHog hides the secrets of a source in the errors of its tables, but not in those of its runs.
#[test]
fn a_run_that_repeats_what_a_secret_holds_does_not_show_it() {
    let scenario = ROTATED.replace(
        "password authentication failed for user \"posthog\"",
        "no such tenant: new-canary-2222 (via proxy)",
    );
    let mut world = world(&scenario, &enforce(), NEW, Faults::default());
    run(&mut world, 60);
    let findings = world.status().findings;
    assert!(
        findings[0].message.contains("no such tenant: ***"),
        "{findings:#?}"
    );
}
