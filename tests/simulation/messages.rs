//! Messages with sample data, in one file that is reviewed: `messages.txt`.
//!
//! `UPDATE_MESSAGES=1 cargo test --test simulation messages` writes it again; its diff shows what people will read.

use std::{fmt::Write as _, fs, path::PathBuf};

use jiff::{SignedDuration, Timestamp};
use kube::CustomResourceExt as _;
use serde_json::{Value, json};
use warehouse_sync_operator::{
    api::{
        Timings, ValidatedPolicy, WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        announced::{Announced, FailingChannel},
        conditions::Reason,
        host::Host,
        policy::{CredentialUse, Mode, SecretKeyRef, SourceRef},
        proposal::ProposedAction,
        status::{RootCause, SchemaCounts, Step, Summary},
    },
    controller::{
        approval_guard::{GuardError, other_writer},
        not_ready,
        secret_use::Use,
    },
    decide::{Guard, words::cost},
    diagnose::{Cause, Diagnosis, Judged, Verdict},
    observe::{ApprovalGuard, WriteScope},
    posthog::{PostHogError, guard::HostList, wire::SchemaStatus},
    report::{
        KubernetesError, Metrics,
        conditions::{self, ConditionFact},
        events,
        not_ready::NotReady,
        notifications::{Channels, announced, channel, message},
        words::Findings,
    },
};

use crate::{chain, status_texts, world::policy};

const NOW: &str = "2026-10-01T00:00:00Z";
const NOTIFICATIONS: &str = "notifications: [{type: Slack, secretRef: {name: slack, key: url}}]";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn valid() -> ValidatedPolicy {
    ValidatedPolicy::new(&policy(NOTIFICATIONS)).unwrap()
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/messages.txt")
}

#[test]
fn every_message_is_in_the_reviewed_file() {
    let mut page = String::from(
        "Messages of conditions, events, held actions, proposals and refusals, with sample data. `UPDATE_MESSAGES=1 cargo test --test simulation messages` writes this file.\n",
    );
    for (title, lines) in [
        ("Conditions", conditions()),
        ("Failed polls", failed_polls()),
        ("Secrets", secrets()),
        ("Admission policies that are not in effect", admission()),
        ("Errors of Kubernetes", kubernetes()),
        ("Events", events()),
        ("Notifications", notifications()),
        ("Held actions, by guard", held()),
        ("Advice, by cause", causes()),
        ("Cost of proposed actions", costs()),
        ("Refusals by the API server (CEL)", cel()),
        ("Help of metrics", metrics()),
        (
            "What .status says in scenarios of the simulator",
            status_texts::lines(),
        ),
    ] {
        write!(page, "\n# {title}\n\n{}\n", lines.join("\n")).unwrap();
    }
    if std::env::var_os("UPDATE_MESSAGES").is_some() {
        fs::write(file(), &page).unwrap();
    }
    let reviewed = fs::read_to_string(file()).unwrap_or_default();
    let different = page.lines().zip(reviewed.lines()).find(|(a, b)| a != b);
    assert!(
        page == reviewed,
        "messages have changed, first {different:#?}: read the diff after UPDATE_MESSAGES=1 cargo test --test simulation messages"
    );
}

fn fact(fact: &ConditionFact) -> String {
    let (truth, reason) = (fact.truth.as_str(), fact.reason);
    format!("{}={truth} {reason}: {}", fact.type_, fact.message)
}

fn conditions() -> Vec<String> {
    let mut facts = conditions::readiness(Ok("PostHog was polled".to_owned()), false).to_vec();
    let failed = Err((
        Reason::HostUnreachable,
        "no connection to the host".to_owned(),
    ));
    facts.extend(conditions::readiness(failed, true));
    facts.extend(healthy());
    let scopes = [WriteScope::Missing, WriteScope::Unknown];
    facts.push(conditions::remediation(
        Mode::Enforce,
        Some("spec.suspend is true"),
        WriteScope::Unknown,
    ));
    facts.push(conditions::remediation(
        Mode::Observe,
        None,
        WriteScope::Unknown,
    ));
    facts.extend(scopes.map(|scope| conditions::remediation(Mode::Enforce, None, scope)));
    facts.push(conditions::pending(&[]));
    facts.push(conditions::pending(
        &status(waiting("AwaitingApproval")).proposals,
    ));
    facts.push(conditions::not_checked());
    let missing = ApprovalGuard::broken("ValidatingAdmissionPolicy x is missing");
    let intact = ApprovalGuard {
        broken: None,
        parts: Vec::new(),
    };
    for (guard, unguarded) in [(&intact, false), (&missing, false), (&missing, true)] {
        facts.push(conditions::guarding(guard, unguarded));
    }
    facts.extend(notifying());
    facts.iter().map(fact).collect()
}

fn healthy() -> Vec<ConditionFact> {
    let counts = |total, healthy, disabled, stale| SchemaCounts {
        total,
        healthy,
        disabled,
        stale,
        ..SchemaCounts::default()
    };
    let summary = |schemas: SchemaCounts| Summary {
        healthy_of: format!("{}/{}", schemas.healthy, schemas.total - schemas.disabled),
        schemas,
        ..Summary::default()
    };
    let findings = |shown, errors, warnings| Findings {
        shown,
        total: errors + warnings,
        errors,
        warnings,
        counts: Vec::new(),
    };
    let mut unclear = Diagnosis::default();
    unclear.judged.push(Judged {
        source: "Postgres prod".into(),
        source_id: "s1".into(),
        schema_id: "t1".into(),
        schema: "public.orders".into(),
        status: SchemaStatus::Completed,
        verdict: Verdict::CannotTell {
            reason: "its runs could not be read".into(),
        },
        evidence: Vec::new(),
    });
    let clear = Diagnosis::default();
    let error = status(finding()).findings;
    vec![
        conditions::healthy(
            &clear,
            &summary(counts(5, 5, 0, 0)),
            &findings(vec![], 0, 0),
        ),
        conditions::healthy(
            &clear,
            &summary(counts(6, 5, 0, 1)),
            &findings(vec![], 0, 2),
        ),
        conditions::healthy(&clear, &summary(counts(6, 5, 0, 0)), &findings(error, 2, 0)),
        conditions::healthy(
            &clear,
            &summary(counts(0, 0, 0, 0)),
            &findings(vec![], 0, 0),
        ),
        conditions::healthy(
            &clear,
            &summary(counts(3, 0, 3, 0)),
            &findings(vec![], 0, 0),
        ),
        conditions::healthy(
            &unclear,
            &summary(counts(5, 4, 0, 0)),
            &findings(vec![], 0, 0),
        ),
    ]
}

fn notifying() -> Vec<ConditionFact> {
    let receivers = valid().notifications;
    let mut failing = Announced::default();
    failing.failing.push(FailingChannel {
        channel: channel::key(&receivers[0]),
        since: now(),
        why: "HTTP 404".into(),
        edition: String::new(),
    });
    let mut wrong = Channels::default();
    let refused = Use::Notification.missing(&receivers[0].secret_ref);
    wrong.add(&receivers[0], Err(refused.message));
    let fine = (Announced::default(), Channels::default());
    [
        fine,
        (failing, Channels::default()),
        (Announced::default(), wrong),
    ]
    .iter()
    .filter_map(|(announced, channels)| conditions::notifying(&receivers, announced, channels))
    .collect()
}

fn failed_polls() -> Vec<String> {
    let call = "list sources";
    let refused = |status, detail: &str| PostHogError::Refused {
        call,
        status,
        detail: detail.into(),
    };
    let errors = [
        PostHogError::NotSent {
            call,
            host: "us.posthog.com".into(),
            reason: "dns error".into(),
        },
        PostHogError::NoAnswer {
            call,
            host: "us.posthog.com".into(),
            reason: "timed out".into(),
        },
        PostHogError::RateLimited {
            call,
            wait: SignedDuration::from_secs(60),
        },
        PostHogError::OverShare { call, until: now() },
        refused(401, "Invalid API key."),
        refused(403, "missing scope external_data_source:read"),
        refused(403, "This action does not support Personal API Key access"),
        refused(403, "You do not have access to this project"),
        refused(404, "Not found"),
        refused(502, "Bad Gateway"),
        PostHogError::TooLarge {
            call,
            found: "the first 120 of 150 sources of the project have 200300 tables; the limit is 200000 (--max-tables-per-project)".into(),
        },
        PostHogError::Unexpected {
            call,
            reason: "the body is HTML".into(),
        },
    ];
    let (policy, timings) = (valid(), Timings::PRODUCTION);
    let mut old = WarehouseSyncPolicyStatus::default();
    old.summary.get_or_insert_default().sources.total = 3;
    let vanished = not_ready::of_vanished(&[], &old, &timings, now());
    let failed = errors
        .iter()
        .map(|error| not_ready::of_poll(error, &policy));
    let host = HostList::new(&["us.posthog.com".to_owned()], false);
    let host = host.check(&Host::parse("https://posthog.example.com").unwrap());
    failed
        .chain(vanished)
        .chain(host.err().map(NotReady::from))
        .map(|NotReady { reason, message }| format!("{reason}: {message}"))
        .collect()
}

fn secrets() -> Vec<String> {
    let secret_ref = SecretKeyRef {
        name: "db".into(),
        key: "password".into(),
    };
    let wanted = CredentialUse {
        secret_ref: secret_ref.clone(),
        source: SourceRef {
            prefix: Some("prod".into()),
            ..SourceRef::default()
        },
        inputs: vec!["password".into()],
    };
    let source = Use::Source {
        project_id: 12345,
        wanted: &wanted,
    };
    let labelled = serde_json::from_value(
        json!({"name": "db", "labels": {"warehousesync.dev/use": "source-credentials"}}),
    )
    .unwrap();
    let mut refused = Vec::new();
    for wanted_for in [Use::ApiKey, source, Use::Notification] {
        refused.push(wanted_for.missing(&secret_ref));
        refused.extend(
            wanted_for
                .check(
                    &serde_json::from_value(json!({})).unwrap(),
                    "n",
                    &secret_ref,
                )
                .err(),
        );
    }
    refused.extend(source.check(&labelled, "n", &secret_ref).err());
    let lines = refused.iter();
    lines
        .map(|one| format!("{}: {}", one.reason, one.message))
        .collect()
}

fn admission() -> Vec<String> {
    let what = || "ValidatingAdmissionPolicy warehousesync-approvals".to_owned();
    [
        GuardError::NameForbidden,
        GuardError::NameUnknown,
        GuardError::Missing(what()),
        GuardError::Forbidden(what()),
        GuardError::Deleting(what()),
        GuardError::Altered {
            what: what(),
            people: String::new(),
        },
        GuardError::OfAnotherVersion {
            what: what(),
            age: "an older",
            its: 1,
            ours: 2,
        },
    ]
    .map(|error| error.to_string())
    .into_iter()
    .chain([other_writer(
        "team-b",
        "system:serviceaccount:a:operator",
        "system:serviceaccount:b:operator",
    )])
    .collect()
}

fn kubernetes() -> Vec<String> {
    let at = || valid().at;
    [
        KubernetesError::Conflict(at()),
        KubernetesError::NotLeading(at()),
        KubernetesError::Gone(at()),
    ]
    .map(|error| error.to_string())
    .to_vec()
}

fn status(value: Value) -> WarehouseSyncPolicyStatus {
    serde_json::from_value(value).unwrap()
}

fn finding() -> Value {
    json!({"findings": [{"source": "Postgres prod", "sourceId": "s1", "schema": "public.orders", "schemaId": "t1", "cause": "Transient",
        "severity": "Error", "confidence": "High", "rule": "r", "message": "server closed the connection.",
        "advice": Cause::of(RootCause::Transient).advice.with_operator, "nextAction": "The operator reloads the table."}]})
}

fn incident(step: &str, sends: &Value) -> Value {
    json!({"incidents": [{"schemaId": "t1", "schema": "public.orders", "source": "Postgres prod", "sourceId": "s1", "cause": "Stuck",
        "step": step, "attempt": 1, "jobId": "0002", "openedAt": NOW, "stepSince": NOW, "message": "(message of the step)", "sends": sends}]})
}

fn waiting(phase: &str) -> Value {
    json!({"proposals": [{"id": "rs-abcd", "action": "Resync", "phase": phase, "steps": ["(steps)"], "message": "(message of the phase)",
        "target": {"projectId": 12345, "source": "Postgres prod", "sourceId": "s1", "schema": "public.orders", "schemaId": "t1"},
        "material": {"version": 1, "nonce": "0", "policyUid": "u1", "action": "Resync", "steps": [], "host": "https://us.posthog.com",
            "projectId": 12345, "sourceId": "s1", "cause": "DataTypeMismatch", "rule": "r"},
        "reason": "(reason)", "impact": {"losesData": "Yes", "cost": "(cost)"}, "approveCommand": "kubectl annotate wsp p …",
        "createdAt": NOW, "expiresAt": "2026-10-08T00:00:00Z"}]})
}

fn breaker() -> Value {
    json!({"state": {"breaker": {"openSince": NOW, "why": "(why)"}}})
}

fn events() -> Vec<String> {
    let nothing = || json!({});
    let mut changes = vec![
        (nothing(), finding()),
        (nothing(), breaker()),
        (breaker(), nothing()),
        (incident("Recovered", &json!([])), nothing()),
    ];
    for step in Step::ALL {
        changes.push((nothing(), incident(step.as_str(), &json!([]))));
    }
    let fates = [
        ("Accepted", "HTTP 200"),
        ("Refused", "HTTP 403"),
        ("NotSent", "no connection"),
        ("Unknown", "timed out"),
    ];
    for call in ["Cancel", "Reload", "Enable"] {
        for (fate, detail) in fates {
            let send = json!([{"call": call, "startedAt": NOW, "fate": fate, "detail": detail}]);
            let before = incident("Cancelling", &json!([]));
            changes.push((before, incident("Cancelling", &send)));
        }
    }
    for (fate, detail) in fates {
        let sent_input = json!({"hmac": "x", "at": NOW, "fate": fate, "detail": detail});
        for part in ["credentials", "webhook", "webhookInputs"] {
            changes.push((
                nothing(),
                json!({"state": {"sources": [{"id": "s1", part: sent_input.clone()}]}}),
            ));
        }
    }
    changes.push((nothing(), waiting("AwaitingApproval")));
    for phase in [
        "Approved",
        "Executing",
        "Executed",
        "Failed",
        "OutcomeUnknown",
        "Denied",
        "Expired",
        "Withdrawn",
        "Superseded",
    ] {
        changes.push((waiting("AwaitingApproval"), waiting(phase)));
    }
    let notices = changes
        .into_iter()
        .flat_map(|(old, new)| events::transitions(&status(old), &status(new)));
    notices
        .chain([events::left_alone("(why)")])
        .map(|notice| {
            let type_ = if notice.warning { "Warning" } else { "Normal" };
            format!("{type_} {}: {}", notice.reason.as_str(), notice.note)
        })
        .collect()
}

fn notifications() -> Vec<String> {
    let policy = valid();
    let hosts = HostList::new(&["hooks.slack.com".to_owned()], false);
    let held = |url: &str| channel::SecretValue {
        value: url.to_owned().into(),
        version: "1".into(),
    };
    let receiver = &policy.notifications[0];
    let wrong = ["ftp://x", "https://other.example.com/x"].map(|url| {
        channel::open(receiver, "n", &held(url), None, &hosts)
            .unwrap_err()
            .to_string()
    });
    let mut channels = Channels::default();
    let slack = held("https://hooks.slack.com/services/x");
    let channel = channel::open(receiver, "n", &slack, None, &hosts);
    channels.add(receiver, channel.map_err(|error| error.to_string()));
    let situations = [
        waiting("AwaitingApproval"),
        incident("Escalated", &json!([])),
        breaker(),
    ];
    let messages = situations.into_iter().flat_map(|situation| {
        let mut status = status(situation);
        let announced = Announced::default();
        status.state.announced = announced::next(&policy, &announced, &status, |_| None, now());
        message::owed(&policy, &status, &channels)
    });
    let lines = messages.map(|(message, _)| {
        let content = &message.content;
        let occasion = message.occasion.as_str();
        format!(
            "{occasion}: {} Next: {}",
            content.message, content.next_action
        )
    });
    lines.chain(wrong).collect()
}

fn held() -> Vec<String> {
    let guards = Guard::ALL.iter();
    guards
        .map(|guard| format!("{}: {}", guard.as_str(), chain::said_by(*guard)))
        .collect()
}

fn causes() -> Vec<String> {
    let mut lines = Vec::new();
    for cause in RootCause::ALL {
        let known = Cause::of(*cause);
        let name = cause.as_str();
        lines.push(format!("{name}: {}", known.advice.with_operator));
        if known.advice.by_hand != known.advice.with_operator {
            lines.push(format!(
                "{name}, without an operator: {}",
                known.advice.by_hand
            ));
        }
    }
    lines
}

fn costs() -> Vec<String> {
    let actions = ProposedAction::ALL.iter();
    let line = |action: &ProposedAction, stays_off| {
        let cost = cost::in_words(*action, Some(1_000), stays_off);
        format!("{}: {cost}", action.as_str())
    };
    let all = actions.map(|action| line(action, false));
    all.chain([line(&ProposedAction::Resync, true)]).collect()
}

/// The messages of validations below a value. Fields of the CRD that are called `message` are objects.
fn walk(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    ("message" | "messageExpression", Value::String(text)) => {
                        found.push(format!("{path}: {text}"));
                    }
                    ("properties" | "items" | "validations" | "x-kubernetes-validations", _) => {
                        walk(path, field, found);
                    }
                    _ => walk(&format!("{path}.{name}"), field, found),
                }
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| walk(path, entry, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn cel() -> Vec<String> {
    let mut found = Vec::new();
    let crd = serde_json::to_value(WarehouseSyncPolicy::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    walk("", schema, &mut found);
    let admission = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/admission.yaml");
    let admission = fs::read_to_string(admission).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&admission).unwrap();
    for object in objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        walk(name, &object["spec"]["validations"], &mut found);
    }
    found
}

fn metrics() -> Vec<String> {
    let text = Metrics::default().encode(now()).unwrap();
    let help = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
    help.map(str::to_owned).collect()
}
