//! Each guard on each kind of order: it holds what its line of the chain says, and nothing else; what is held is counted, and named in
//! status.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use posthog_simulator::{Fault as SimFault, FaultKind, KeySpec, Simulator, Status};
use serde_json::Value;
use warehouse_sync_operator::{
    api::{
        WarehouseSyncPolicyStatus,
        policy::{CancelStuck, Mode, Proposing, Remediation, Switch},
        proposal::{ApprovalSeen, ExecutedStep, Execution, Phase, Proposal, ProposedAction},
        status::{
            BreakerState, Fate, Incident, MAX_INCIDENTS, MAX_SOURCES, RootCause, SchemaState,
            SentInput, SourceState, Step,
        },
        window::{WindowKind, WindowSpec},
    },
    decide::{
        Guard,
        guards::chain::{CHAIN, ChainEntry},
        plan::Kind,
    },
    observe::{ApprovalGuard, OtherPolicy},
};

use crate::{
    faults::Faults,
    other_policies::{older, younger},
    scenarios::HEARTBEAT,
    world::World,
};

const REJECTED: &str = "password authentication failed for user \\\"posthog\\\"";
const DATABASE: &str =
    "{source: {type: Postgres}, jobInputs: {password: {secretRef: {name: db, key: password}}}}";
const HOOK: &str = "{source: {type: Stripe}, webhookInputs: {signing_secret: {secretRef: {name: db, key: password}}}}";

/// A table `a` that fails with `text`, or has these fields instead.
fn table(fields: &str) -> String {
    format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{{name: a, rows: 70, frequency: 30day, last_synced_ago: 40h, {fields}, \
         then: {{completes: {{after: 1m, rows: 70}}}}}}, {{name: beside, frequency: 30day, last_synced_ago: 41h}}]}}]"
    )
}

fn failed(text: &str) -> String {
    table(&format!(
        "status: Failed, last_run_ago: 2h, latest_error: \"{text}\""
    ))
}

fn stripe(fields: &str) -> String {
    format!(
        "sources: [{{type: Stripe, prefix: prod, {fields}, schemas: [{{name: a, sync_type: webhook, last_synced_ago: 10m, frequency: 6hour}}]}}]"
    )
}

fn scenario(kind: Kind, guard: Guard) -> String {
    let again = guard == Guard::TriedBefore;
    match kind {
        Kind::Stuck => {
            let hung = table("run: {started_ago: 9h, rows: 5, hangs: {}}").replacen("30day", "6hour", 1);
            // Another source, because that of the hung run may be one that is only queried.
            format!("{}, {{prefix: other, schemas: [{HEARTBEAT}]}}]", hung.strip_suffix(']').unwrap())
        }
        Kind::Reload => failed("server closed the connection unexpectedly"),
        Kind::StaleReload => {
            table("sync_type: full_refresh").replacen("30day", "1hour", 1)
        }
        Kind::RotationReload => failed(REJECTED),
        Kind::Enable => table(&format!(
            "run: {{started_ago: 10s, fails: {{after: 20s, rows: 0, non_retryable: true, error: \"{REJECTED}\"}}}}"
        )),
        Kind::Credentials => failed(REJECTED).replace(
            "prefix: prod,",
            "prefix: prod, job_inputs: {host: db, user: posthog}, probe_error: Invalid credentials, accepts_inputs: {password: new},",
        ),
        Kind::Webhook if again => {
            stripe("webhook: {supports_webhooks: true}, probe_error: The key lacks the permission to make webhooks")
        }
        Kind::Webhook => stripe("webhook: {supports_webhooks: true}"),
        Kind::WebhookInputs => stripe("webhook: {supports_webhooks: true, exists: true}"),
        // One call, or with a first one that was made before.
        Kind::Approved => failed("Source column type changed: amount was int64 and is now string"),
    }
}

fn spec(kind: Kind) -> String {
    let credentials = match kind {
        Kind::Credentials => DATABASE,
        Kind::WebhookInputs => HOOK,
        _ => "",
    };
    // Only a proposal is made while something may be done.
    let mode = if kind == Kind::Approved {
        "Enforce"
    } else {
        "Observe"
    };
    let interval = if kind == Kind::Stuck { "5m" } else { "1m" };
    format!(
        "mode: {mode}, interval: {interval}, credentials: [{credentials}], remediation: {{limits: {{breaker: {{cooldown: 24h}}}}}}"
    )
}

/// How long until it is known that an order of this kind is wanted.
const fn until_wanted(kind: Kind) -> SignedDuration {
    match kind {
        Kind::Stuck => SignedDuration::from_hours(14),
        _ => SignedDuration::from_mins(20),
    }
}

/// Right before an order of this kind would be sent.
fn prepare(kind: Kind, guard: Guard) -> World {
    let is_direct = guard == Guard::Facts && unread(kind).is_none();
    let mut posthog = scenario(kind, guard);
    if is_direct {
        posthog = posthog.replace("prefix: prod,", "prefix: prod, access_method: direct,");
    }
    let mut world = World::new(&posthog, &spec(kind), Faults::default());
    let value = match kind {
        Kind::WebhookInputs => "whsec_new",
        _ if guard == Guard::TriedBefore => "old",
        _ => "new",
    };
    let (allowed, input) = match kind {
        Kind::WebhookInputs => ("Stripe", "signing_secret"),
        _ => ("Postgres", "password"),
    };
    world.cluster.put_secret(&secret(value, allowed, input));
    world.run_for(until_wanted(kind));
    match kind {
        Kind::RotationReload | Kind::Enable => {
            let sent_input = SentInput {
                hmac: "x".into(),
                at: world.now() - SignedDuration::from_mins(1),
                fate: Some(Fate::Accepted),
                detail: String::new(),
                shown: false,
            };
            let state = SourceState {
                credentials: Some(sent_input),
                ..source(&world)
            };
            edit(&world, |status| status.state.sources.push(state));
        }
        Kind::Approved => approve(&world),
        Kind::Stuck
        | Kind::Reload
        | Kind::StaleReload
        | Kind::Credentials
        | Kind::Webhook
        | Kind::WebhookInputs => {}
    }
    world
}

fn secret(value: &str, source: &str, input: &str) -> String {
    let value = serde_json::to_string(&k8s_openapi::ByteString(value.as_bytes().to_vec())).unwrap();
    format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: db, namespace: n, labels: {{warehousesync.dev/use: source-credentials}}, \
         annotations: {{warehousesync.dev/project: '12345', warehousesync.dev/source: type={source}, warehousesync.dev/inputs: {input}}}}}, data: {{password: {value}}}}}"
    )
}

fn source(world: &World) -> SourceState {
    SourceState {
        id: source_id(world),
        credentials: None,
        webhook_inputs: None,
        webhook: None,
    }
}

fn source_id(world: &World) -> String {
    simulator(world, |posthog| posthog.source_id("prod").unwrap())
}

fn simulator<A>(world: &World, change: impl FnOnce(&mut Simulator) -> A) -> A {
    change(&mut world.simulator.lock().unwrap())
}

fn edit(world: &World, change: impl FnOnce(&mut WarehouseSyncPolicyStatus)) {
    world
        .cluster
        .edit(|policy| change(policy.status.get_or_insert_default()));
}

/// Its call was tried once and not sent: after that only a guard keeps it from being sent, even if the policy changes.
fn approve(world: &World) {
    let now = world.now();
    edit(world, |status| {
        let proposal = status.proposals.last_mut().unwrap();
        let call = proposal.material.steps[0].call;
        proposal.phase = Phase::Executing;
        proposal.approval = Some(ApprovalSeen {
            by: "anna".into(),
            verified: true,
            observed_at: now,
        });
        proposal.execution = Some(Execution {
            steps: vec![ExecutedStep {
                call,
                started_at: now,
                tries: 1,
                fate: Some(Fate::NotSent),
                http_status: None,
                finished_at: Some(now),
                detail: "seeded".into(),
            }],
            ..execution()
        });
    });
}

fn execution() -> Execution {
    Execution {
        intent_id: "seeded".into(),
        job_before: None,
        rows_before: None,
        rows_after: None,
        observed_job: None,
        deadline: None,
        polls: 0,
        steps: Vec::new(),
    }
}

/// What cannot be read right before a call of this kind, where a source from which PostHog does not import would not get so far.
const fn unread(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Approved => Some("/jobs/"),
        Kind::StaleReload => Some("/external_data_schemas/"),
        Kind::Stuck
        | Kind::Reload
        | Kind::RotationReload
        | Kind::Enable
        | Kind::Credentials
        | Kind::Webhook
        | Kind::WebhookInputs => None,
    }
}

/// Lets `guard` hold, and nothing else.
fn arrange(world: &mut World, guard: Guard, kind: Kind) {
    if guard == Guard::TriedBefore {
        enforce(world, guard);
        world.run_for(SignedDuration::from_mins(5));
    }
    in_status(world, guard, kind);
    enforce(world, guard);
    world
        .cluster
        .set_other_policies(other_policies(world, guard));
    if guard == Guard::Approval {
        let away = ApprovalGuard::broken("it was removed");
        world.cluster.set_approval_guard(away);
    }
    if let Some(path) = unread(kind).filter(|_| guard == Guard::Facts) {
        let status = FaultKind::Status {
            status: 500,
            body: None,
            headers: BTreeMap::new(),
            after_effect: false,
        };
        let mut blind = SimFault::always(status);
        blind.matches.path_contains = Some(path.to_owned());
        simulator(world, |posthog| posthog.add_fault(blind));
    }
    if guard == Guard::Source {
        simulator(world, |posthog| {
            if let Some(id) = posthog.schema_id("beside") {
                let limited = Some(Status::BillingLimitReached);
                posthog.set_status(&id, limited, None).unwrap();
            }
        });
    }
    let mut scopes = vec!["external_data_source:read".to_owned()];
    if guard != Guard::WriteScope {
        scopes.push("external_data_source:write".to_owned());
    }
    let key = KeySpec {
        scopes,
        ..KeySpec::default()
    };
    simulator(world, |posthog| posthog.put_key(key));
    world.restart();
}

fn enforce(world: &World, guard: Guard) {
    world.cluster.edit(|policy| {
        let spec = &mut policy.spec;
        spec.mode = if guard == Guard::Mode {
            Mode::Observe
        } else {
            Mode::Enforce
        };
        spec.suspend = guard == Guard::Suspend;
        let remediation = &mut spec.remediation;
        if guard == Guard::Switch {
            switch_off(remediation);
        }
        let limits = &mut remediation.limits;
        match guard {
            Guard::Window => remediation.windows.push(WindowSpec {
                kind: WindowKind::Deny,
                schedule: "0 0 * * *".into(),
                duration: "20h".into(),
                time_zone: "UTC".into(),
            }),
            Guard::MaxConcurrent => limits.max_concurrent = 1,
            Guard::MaxActionsPerHour => limits.max_actions_per_hour = 2,
            Guard::Backoff => limits.backoff.initial = "6h".into(),
            _ => {}
        }
    });
}

fn switch_off(remediation: &mut Remediation) {
    remediation.cancel_stuck = CancelStuck::Off;
    remediation.reload_transient = Switch::Off;
    remediation.reload_stale = Switch::Off;
    remediation.apply_credentials = Switch::Off;
    remediation.reenable_after_fix = Switch::Off;
    remediation.register_webhook = Switch::Off;
    remediation.resync = Proposing::Off;
    remediation.delete_data = Proposing::Off;
}

fn other_policies(world: &World, guard: Guard) -> Vec<OtherPolicy> {
    match guard {
        // Only a guard about other actions on the same object holds a proposal that has started.
        Guard::Owner => vec![OtherPolicy {
            in_flight: vec![(world.schema_id("a"), None)],
            ..older()
        }],
        Guard::OperatorCap => vec![OtherPolicy {
            sends: vec![world.now(); 60],
            ..younger()
        }],
        _ => Vec::new(),
    }
}

/// What an earlier process left in status.
fn in_status(world: &World, guard: Guard, kind: Kind) {
    let now = world.now();
    let other = other_proposal(world, kind);
    let schema_id = world.schema_id("a");
    edit(world, |status| {
        let state = &mut status.state;
        match guard {
            Guard::Proposal => status.proposals.push(other),
            Guard::Backoff => {
                let mut known = state.schemas.iter_mut();
                match known.find(|known| known.id == schema_id) {
                    Some(known) => known.reloaded_in_full = Some(now),
                    None => state.schemas.push(SchemaState {
                        reloaded_in_full: Some(now),
                        ..SchemaState::of(schema_id)
                    }),
                }
            }
            Guard::MaxConcurrent => status.incidents.push(Incident {
                step: Step::WaitTerminal,
                deadline: Some(now + SignedDuration::from_hours(24)),
                ..incident(world, "other".into())
            }),
            Guard::StateFull => {
                for number in status.incidents.len()..MAX_INCIDENTS {
                    let gone = incident(world, format!("gone-{number}"));
                    status.incidents.push(gone);
                }
                for number in state.sources.len()..MAX_SOURCES {
                    state.sources.push(SourceState {
                        id: format!("gone-{number}"),
                        ..source(world)
                    });
                }
            }
            Guard::MaxActionsPerHour => state.sends = vec![now; 2],
            Guard::Breaker => {
                state.breaker = Some(BreakerState {
                    open_since: now,
                    trial_at: None,
                    why: "3 of 4 sources have failed".into(),
                });
            }
            Guard::Mode
            | Guard::Suspend
            | Guard::Switch
            | Guard::WriteScope
            | Guard::Owner
            | Guard::Approval
            | Guard::Window
            | Guard::OperatorCap
            | Guard::TriedBefore
            | Guard::Source
            | Guard::Facts => {}
        }
    });
}

fn incident(world: &World, schema_id: String) -> Incident {
    Incident {
        schema_id,
        schema: "t".into(),
        source: "Postgres other".into(),
        source_id: "other".into(),
        cause: RootCause::Stuck,
        step: Step::Escalated,
        attempt: 3,
        job_id: Some("j".into()),
        baseline_job_id: None,
        new_job_id: None,
        opened_at: world.now(),
        step_since: world.now(),
        deadline: None,
        healthy_since: None,
        sends: Vec::new(),
        message: "seeded".into(),
    }
}

/// A proposal that waits for its proof, of the table or the source that an order of this kind is about.
fn other_proposal(world: &World, kind: Kind) -> Proposal {
    let mut model = World::new(
        &failed("Source column type changed: amount was int64 and is now string"),
        &spec(Kind::Approved),
        Faults::default(),
    );
    model.run_for(SignedDuration::from_mins(20));
    let mut other = model.status().proposals.remove(0);
    let of_source = matches!(
        kind,
        Kind::Credentials | Kind::Webhook | Kind::WebhookInputs
    );
    other.id = "rc-other".into();
    other.action = ProposedAction::RepairCdc;
    other.phase = Phase::Verifying;
    other.target.source_id = source_id(world);
    other.target.schema_id = if of_source {
        String::new()
    } else {
        world.schema_id("a")
    };
    other.execution = Some(Execution {
        deadline: Some(world.now() + SignedDuration::from_hours(24)),
        ..execution()
    });
    other
}

/// Calls of this kind that reached PostHog.
fn calls(world: &World, kind: Kind) -> usize {
    let (method, path) = match kind {
        Kind::Stuck => ("POST", "/cancel/"),
        Kind::Reload | Kind::StaleReload | Kind::RotationReload => ("POST", "/reload/"),
        Kind::Enable => ("PATCH", "/external_data_schemas/"),
        Kind::Credentials => ("PATCH", "/external_data_sources/"),
        Kind::Webhook => ("POST", "/create_webhook/"),
        Kind::WebhookInputs => ("POST", "/update_webhook_inputs/"),
        Kind::Approved => ("POST", "/resync/"),
    };
    simulator(world, |posthog| posthog.count(method, path))
}

/// What is wrong if the order is sent, or is not counted, or not shown with the name of the guard.
fn is_held(world: &mut World, guard: Guard, kind: Kind) -> Option<String> {
    let before = calls(world, kind);
    world.run_for(SignedDuration::from_mins(11));
    if calls(world, kind) > before {
        return Some("it was sent".into());
    }
    let status = serde_json::to_string(&world.status()).unwrap();
    if !status.contains(&format!("(guard {})", guard.as_str())) {
        return Some(format!("status does not name it: {status}"));
    }
    let counted = format!("warehouse_sync_held{{guard=\"{}\"}} ", guard.as_str());
    let metrics = world.metrics();
    let count = metrics.split(&counted).nth(1).unwrap();
    count
        .starts_with('0')
        .then(|| format!("it is not counted: {status}"))
}

fn is_sent(world: &mut World, kind: Kind) -> Option<String> {
    let before = calls(world, kind);
    world.run_for(SignedDuration::from_mins(11));
    (calls(world, kind) == before).then(|| {
        let status = serde_json::to_string(&world.status()).unwrap();
        format!("it was not sent: {status}")
    })
}

/// What is wrong with a cell.
fn cell(line: &ChainEntry, kind: Kind) -> Option<String> {
    let guard = line.guard;
    let mut world = prepare(kind, guard);
    arrange(&mut world, guard, kind);
    let wrong = if line.holds_start_of(kind) {
        is_held(&mut world, guard, kind)
    } else {
        is_sent(&mut world, kind)
    };
    wrong.map(|wrong| format!("{guard:?} of {kind:?}: {wrong}"))
}

/// What status says while `guard` holds an action of the first kind that it can hold.
pub fn said_by(guard: Guard) -> String {
    let line = CHAIN.iter().find(|line| line.guard == guard).unwrap();
    let mut kinds = [Kind::Reload, Kind::Webhook, Kind::Approved].into_iter();
    let kind = kinds.find(|kind| line.holds_start_of(*kind)).unwrap();
    let mut world = prepare(kind, guard);
    arrange(&mut world, guard, kind);
    world.run_for(SignedDuration::from_mins(11));
    let named = format!("(guard {})", guard.as_str());
    let status = serde_json::to_value(world.status()).unwrap();
    text_with(&status, &named).unwrap_or_else(|| panic!("{guard:?} of {kind:?}: {status}"))
}

/// The first text below a value that contains `part`.
fn text_with(value: &Value, part: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains(part).then(|| text.clone()),
        Value::Array(entries) => entries.iter().find_map(|entry| text_with(entry, part)),
        Value::Object(fields) => fields.values().find_map(|field| text_with(field, part)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// All cells of one kind.
fn check(kind: Kind) {
    let lines = CHAIN.iter().filter(|line| {
        // What was given to a source before says nothing of other kinds.
        line.guard != Guard::TriedBefore || line.holds_start_of(kind)
    });
    let wrong: Vec<String> = lines.filter_map(|line| cell(line, kind)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_guard_holds_cancels_as_its_line_says() {
    check(Kind::Stuck);
}

#[test]
fn each_guard_holds_reloads_as_its_line_says() {
    check(Kind::Reload);
}

#[test]
fn each_guard_holds_reloads_of_stale_tables_as_its_line_says() {
    check(Kind::StaleReload);
}

#[test]
fn each_guard_holds_reloads_after_new_credentials_as_its_line_says() {
    check(Kind::RotationReload);
}

#[test]
fn each_guard_holds_switching_on_as_its_line_says() {
    check(Kind::Enable);
}

#[test]
fn each_guard_holds_credentials_as_its_line_says() {
    check(Kind::Credentials);
}

#[test]
fn each_guard_holds_webhooks_as_its_line_says() {
    check(Kind::Webhook);
}

#[test]
fn each_guard_holds_inputs_of_webhooks_as_its_line_says() {
    check(Kind::WebhookInputs);
}

#[test]
fn each_guard_holds_approved_calls_as_its_line_says() {
    check(Kind::Approved);
}

#[test]
fn a_denial_stops_what_was_approved_and_did_not_leave_and_a_later_approval_does_not_lift_it() {
    let kind = Kind::Approved;
    let mut world = prepare(kind, Guard::Approval);
    let id = world.status().proposals[0].id.clone();
    let deny = format!("deny.warehousesync.dev/{id}");
    world.cluster.annotate(&deny, Some("not today"));
    let approve = format!("approve.warehousesync.dev/{id}");
    world.cluster.annotate(&approve, Some("anna"));
    assert_eq!(is_held(&mut world, Guard::Approval, kind), None);
    let said = world.status().proposals[0].message.clone();
    assert!(said.contains("denied: not today"), "{said}");
    world.cluster.annotate(&deny, None);
    assert_eq!(is_sent(&mut world, kind), None);
}
