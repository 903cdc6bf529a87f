use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::*;
use crate::{
    api::{
        WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        host::Host,
        status::{RootCause, SchemaCounts, Severity},
        validated::PolicyRef,
    },
    decide::{Guard, Held},
    posthog::{ApiKey, quota::Share},
    report::gauges::Pass,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn named(name: &str) -> PolicyRef {
    PolicyRef {
        namespace: "n".into(),
        name: name.into(),
    }
}

fn policy() -> WarehouseSyncPolicy {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "warehousesync.dev/v1alpha1", "kind": "WarehouseSyncPolicy", "metadata": {"name": "a"},
        "spec": {"mode": "Enforce", "posthog": {"host": "https://us.posthog.com", "projectId": 1, "apiKeySecretRef": {"name": "s", "key": "k"}}}
    }))
    .unwrap()
}

/// Not Ready, with an incident, an open breaker and a broken guard of approvals.
fn status() -> WarehouseSyncPolicyStatus {
    let condition = |type_: &str, status: &str, reason: &str| {
        serde_json::json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-10-01T00:00:00Z"})
    };
    serde_json::from_value(serde_json::json!({
        "conditions": [
            condition("Ready", "False", "KeyRejected"),
            condition("ApprovalGuardActive", "False", "GuardBroken"),
        ],
        "incidents": [{
            "schemaId": "i", "schema": "t", "source": "s", "sourceId": "x", "cause": "Stuck", "step": "Escalated", "attempt": 3,
            "openedAt": "2026-10-01T00:00:00Z", "stepSince": "2026-10-01T00:00:00Z", "message": ""
        }],
        "state": {"breaker": {"openSince": "1970-01-01T00:00:07Z", "why": "7 of 9"}},
        "lastCheckedAt": "1970-01-01T00:00:05Z"
    }))
    .unwrap()
}

fn held(guard: Guard) -> Held {
    Held::of_source("x", "s", "act".into(), guard.says("why"))
}

fn failing(failing: i64) -> SchemaCounts {
    SchemaCounts {
        failing,
        ..SchemaCounts::default()
    }
}

fn samples<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let begins = [format!("{name}{{"), format!("{name} ")];
    text.lines()
        .filter(|line| begins.iter().any(|begin| line.starts_with(begin.as_str())))
        .collect()
}

/// A process with one policy of which everything is known.
fn full() -> (Metrics, Vec<std::sync::Arc<crate::posthog::client::KeyGate>>) {
    let metrics = Metrics::default();
    metrics.posthog("list sources", "2xx", Duration::from_millis(20));
    metrics.kubernetes("get_lease", "ok", Duration::from_millis(20));
    metrics.reconcile_took(Duration::from_secs(1));
    let mut status = status();
    status.proposals = vec![crate::decide::proposal::example()];
    let problem = crate::diagnose::Problem::example(RootCause::Stuck, Severity::Error);
    let pass = Pass {
        problems: &[problem],
        counts: failing(3),
        held: &[held(Guard::Window), held(Guard::Window)],
    };
    let times = (at(10), SignedDuration::from_mins(5));
    let gauges = &metrics.gauges;
    gauges.observed(&named("a"), &policy(), &status, &pass, times);
    let host = Host::parse("https://us.posthog.com").unwrap();
    let key = ApiKey::new("phx_a".into()).unwrap();
    let gate = metrics
        .gates
        .of(&host, key.id(), Some(Share::percent(10)));
    (metrics, vec![gate])
}
