use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use jiff::SignedDuration;

use super::*;
use crate::{
    api::{
        About, WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        host::Host,
        status::{RootCause, SchemaCounts},
        validated::PolicyRef,
    },
    decide::{Guard, Held, plan::Kind},
    diagnose::{Exported, Problem},
    posthog::{ApiKey, client::KeyGate, quota::Share},
    report::gauges::PollResult,
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

fn proposal() -> serde_json::Value {
    serde_json::json!({
        "id": "rs-2222222222222222222222222", "action": "Resync", "phase": "AwaitingApproval",
        "target": {"projectId": 1, "source": "s", "sourceId": "x", "schema": "t", "schemaId": "i"},
        "steps": ["wipe"], "reason": "", "impact": {"losesData": "Yes", "cost": ""}, "approveCommand": "",
        "createdAt": "1970-01-01T00:00:03Z", "expiresAt": "1970-01-08T00:00:03Z",
        "material": {
            "version": 1, "nonce": "", "policyUid": "", "action": "Resync", "steps": [], "host": "https://us.posthog.com",
            "projectId": 1, "sourceId": "x", "cause": "Stuck", "rule": ""
        }
    })
}

/// Not Ready, with a proposal, an incident, an open breaker and a admission policies that are not in effect.
fn status() -> WarehouseSyncPolicyStatus {
    let condition = |type_: &str, status: &str, reason: &str| serde_json::json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-10-01T00:00:00Z"});
    serde_json::from_value(serde_json::json!({
        "conditions": [
            condition("Ready", "False", "KeyRejected"),
            condition("ApprovalGuardActive", "False", "GuardBroken"),
            condition("Notifying", "False", "ReceiverUnusable"),
        ],
        "incidents": [{
            "schemaId": "i", "schema": "t", "source": "s", "sourceId": "x", "cause": "Stuck", "step": "Escalated", "attempt": 3,
            "openedAt": "2026-10-01T00:00:00Z", "stepSince": "2026-10-01T00:00:00Z", "message": ""
        }],
        "proposals": [proposal()],
        "state": {"breaker": {"openSince": "1970-01-01T00:00:07Z", "why": "7 of 9"}},
        "lastCheckedAt": "1970-01-01T00:00:05Z"
    }))
    .unwrap()
}

fn held(guard: Guard) -> Held {
    Held {
        schema_id: "x".into(),
        what: "act".into(),
        kind: Kind::Credentials,
        guard,
        blocked_by: guard.says("why").to_string(),
        about: About::source("s"),
    }
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

fn exported<const N: usize>(tables: [(&str, &str); N]) -> Exported {
    let tables = tables.map(|(source, schema)| ((source.to_owned(), schema.to_owned()), at(4)));
    Exported::Tables(tables.into())
}

/// A process with one policy of which everything is known, and with a gate that is in use.
fn full() -> (Metrics, Arc<KeyGate>) {
    let metrics = Metrics::default();
    metrics.posthog("list sources", "2xx", Duration::from_millis(20));
    metrics.kubernetes("get_lease", "ok", Duration::from_millis(20));
    metrics.namespace_missing("n", true);
    let labels = NotificationLabels {
        r#type: "Escalated",
        outcome: "delivered",
    };
    metrics.notifications.get_or_create(&labels).inc();
    metrics.reconcile_took(Duration::from_secs(1));
    let problem = Problem::of_source("s".into(), "x", RootCause::Stuck, "r", "m".into());
    let instance = crate::posthog::instance::Instance::default();
    let exported = exported([("Postgres prod", "public.orders")]);
    let result = PollResult {
        instance: &instance,
        exported: &exported,
        problems: &[problem],
        counts: failing(3),
        held: &[held(Guard::Window), held(Guard::Window)],
    };
    let times = (at(10), SignedDuration::from_mins(6));
    let gauges = &metrics.gauges;
    gauges.observed(&named("a"), &policy(), &status(), &result, times);
    let host = Host::parse("https://us.posthog.com").unwrap();
    let key = ApiKey::new(b"phx_a").unwrap().id();
    let gate = metrics.gates.of(&host, key, Some(Share::percent(10)));
    (metrics, gate)
}

#[test]
fn a_scrape_says_what_is_wrong_now() {
    let (metrics, _gate) = full();
    let text = metrics.encode(at(20)).unwrap();
    for line in [
        r#"warehouse_sync_posthog_requests_total{call="list sources",outcome="2xx"} 1"#,
        r#"warehouse_sync_policies{mode="Enforce",ready="False",healthy="Unknown"} 1"#,
        r#"warehouse_sync_policies_not_ready{reason="KeyRejected"} 1"#,
        r#"warehouse_sync_approval_guard_policies{reason="GuardBroken"} 1"#,
        r#"warehouse_sync_notifying_policies{reason="ReceiverUnusable"} 1"#,
        r#"warehouse_sync_findings{cause="Stuck",severity="Error"} 1"#,
        r#"warehouse_sync_schemas{verdict="failing"} 3"#,
        r#"warehouse_sync_table_last_success_timestamp_seconds{namespace="n",policy="a",source="Postgres prod",schema="public.orders"} 4.0"#,
        r#"warehouse_sync_held{guard="Window"} 2"#,
        r#"warehouse_sync_held{guard="Breaker"} 0"#,
        r#"warehouse_sync_incidents{step="Escalated"} 1"#,
        r#"warehouse_sync_proposals{action="Resync",phase="AwaitingApproval"} 1"#,
        r#"warehouse_sync_oldest_proposal_timestamp_seconds{action="Resync"} 3.0"#,
        r#"warehouse_sync_next_proposal_expiry_timestamp_seconds{action="Resync"} 604803.0"#,
        r#"warehouse_sync_sends_total{call="delete data",outcome="refused"} 0"#,
        r#"warehouse_sync_posthog_quota_remaining{limit="calls",window="minute"} 48"#,
        "warehouse_sync_breakers_open 1",
        "warehouse_sync_breaker_open_since_timestamp_seconds 7.0",
        "warehouse_sync_newest_poll_timestamp_seconds 10.0",
        "warehouse_sync_policies_overdue 0",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn policies_add_up_once_each_and_are_removed_completely() {
    let gauges = Gauges::default();
    let add = |name: &str, count| {
        let instance = crate::posthog::instance::Instance::default();
        let result = PollResult {
            instance: &instance,
            exported: &Exported::default(),
            problems: &[],
            counts: failing(count),
            held: &[],
        };
        let times = (at(count), SignedDuration::from_mins(6));
        gauges.observed(&named(name), &policy(), &status(), &result, times);
    };
    let shown = |name: &str| {
        let mut text = String::new();
        encode_registry(&mut text, &gauges.registry("w", &[], at(20))).unwrap();
        samples(&text, &format!("w_{name}")).join(" ")
    };
    add("a", 3);
    add("a", 2);
    add("b", 5);
    assert!(shown("schemas").contains(r#"{verdict="failing"} 7"#));
    assert_eq!(
        shown("oldest_poll_timestamp_seconds"),
        "w_oldest_poll_timestamp_seconds 2.0"
    );
    assert_eq!(
        shown("newest_poll_timestamp_seconds"),
        "w_newest_poll_timestamp_seconds 5.0"
    );
    gauges.forget(&named("b"));
    assert!(shown("schemas").contains(r#"{verdict="failing"} 2"#));
    gauges.forget(&named("a"));
    for name in [
        "policies",
        "policies_not_ready",
        "oldest_poll_timestamp_seconds",
    ] {
        assert_eq!(shown(name), "");
    }
    assert!(
        !shown("schemas").contains(['1', '2', '5', '7']),
        "{}",
        shown("schemas")
    );
}

#[test]
fn the_series_of_a_table_ends_with_the_table_and_with_the_policy() {
    let gauges = Gauges::default();
    let observe = |exported: &Exported| {
        let result = PollResult {
            instance: &crate::posthog::instance::Instance::default(),
            exported,
            problems: &[],
            counts: failing(0),
            held: &[],
        };
        let times = (at(10), SignedDuration::from_mins(6));
        gauges.observed(&named("a"), &policy(), &status(), &result, times);
    };
    let shown = || {
        let mut text = String::new();
        encode_registry(&mut text, &gauges.registry("w", &[], at(20))).unwrap();
        let name = "w_table_last_success_timestamp_seconds";
        let samples = samples(&text, name).into_iter().map(str::to_owned);
        samples.collect::<BTreeSet<String>>()
    };
    let named = |source: &str, schema: &str| {
        format!(
            "w_table_last_success_timestamp_seconds{{namespace=\"n\",policy=\"a\",source=\"{source}\",schema=\"{schema}\"}} 4.0"
        )
    };
    observe(&exported([("s", "t"), ("s", "a\"b\\c\nd")]));
    let both = [named("s", "t"), named("s", r#"a\"b\\c\nd"#)];
    assert_eq!(shown(), BTreeSet::from(both));
    observe(&exported([("s", "t")]));
    assert_eq!(shown(), BTreeSet::from([named("s", "t")]));
    observe(&Exported::TooMany(1001));
    assert_eq!(shown(), BTreeSet::new());
    observe(&exported([("s", "t")]));
    gauges.forget(&super::tests::named("a"));
    assert_eq!(shown(), BTreeSet::new());
}

/// Anyone who may create policies could otherwise make the scrape too large for every metric.
#[test]
fn a_namespace_that_exports_too_many_tables_takes_no_series_from_others() {
    let gauges = Gauges::default();
    let observe = |namespace: &str, name: &str, count: usize| {
        let tables = (0..count).map(|table| (("s".to_owned(), format!("t{table}")), at(4)));
        let result = PollResult {
            instance: &crate::posthog::instance::Instance::default(),
            exported: &Exported::Tables(tables.collect()),
            problems: &[],
            counts: failing(0),
            held: &[],
        };
        let times = (at(10), SignedDuration::from_mins(6));
        let of = PolicyRef {
            namespace: namespace.into(),
            name: name.into(),
        };
        gauges.observed(&of, &policy(), &status(), &result, times);
    };
    let shown = |begin: &str| {
        let mut text = String::new();
        encode_registry(&mut text, &gauges.registry("w", &[], at(20))).unwrap();
        text.lines().filter(|line| line.starts_with(begin)).count()
    };
    let of = |namespace: &str| {
        format!("w_table_last_success_timestamp_seconds{{namespace=\"{namespace}\",")
    };
    observe("z", "own", 1_000);
    for number in 0..20 {
        observe("a", &format!("p{number}"), 1_000);
    }
    assert_eq!((shown(&of("z")), shown(&of("a"))), (1_000, 19_000));
    assert_eq!(shown("w_tables_not_exported 1000"), 1);
    gauges.forget(&PolicyRef {
        namespace: "a".into(),
        name: "p0".into(),
    });
    assert_eq!((shown(&of("z")), shown(&of("a"))), (1_000, 19_000));
    assert_eq!(shown("w_tables_not_exported 0"), 1);
}

#[test]
fn findings_are_still_counted_while_posthog_cannot_be_polled_and_the_poll_is_overdue() {
    let (metrics, _gate) = full();
    let later = (at(1_000), SignedDuration::from_secs(30));
    metrics
        .gauges
        .poll_failed(&named("a"), &policy(), &status(), later);
    let text = metrics.encode(at(1_000)).unwrap();
    for line in [
        r#"warehouse_sync_schemas{verdict="failing"} 3"#,
        "warehouse_sync_oldest_poll_timestamp_seconds 10.0",
        r#"warehouse_sync_table_last_success_timestamp_seconds{namespace="n",policy="a",source="Postgres prod",schema="public.orders"} 4.0"#,
        "warehouse_sync_policies_overdue 1",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }
}

#[test]
fn a_new_leader_knows_from_the_status_when_the_last_poll_was() {
    let gauges = Gauges::default();
    let first = (at(100), SignedDuration::from_secs(30));
    gauges.poll_failed(&named("a"), &policy(), &status(), first);
    let mut text = String::new();
    encode_registry(&mut text, &gauges.registry("w", &[], at(100))).unwrap();
    assert!(text.contains("oldest_poll_timestamp_seconds 5.0"), "{text}");
    assert!(text.contains("policies_overdue 0"), "{text}");
}

/// A key that is no longer used must not keep a standby's gauges alive.
#[test]
fn the_quota_of_a_key_is_shown_while_a_policy_uses_it() {
    let (metrics, gate) = full();
    let shown = |metrics: &Metrics| {
        metrics
            .encode(at(20))
            .unwrap()
            .contains("posthog_quota_used{")
    };
    assert!(shown(&metrics));
    drop(gate);
    assert!(!shown(&metrics));
}

/// Type and labels of each metric, by its name as samples have it, without the parts of histograms.
fn shown(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            current = Some((name.to_owned(), kind.to_owned()));
        } else if !line.starts_with('#') {
            let (name, kind) = current.clone().unwrap();
            let suffix = match kind.as_str() {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let inside = line.split_once('{').map_or("", |(_, rest)| rest);
            let inside = inside.rsplit_once('}').map_or("", |(labels, _)| labels);
            let labels = inside
                .split("\",")
                .filter_map(|label| label.split_once('='));
            let labels = labels
                .map(|(label, _)| label.to_owned())
                .filter(|label| label != "le");
            let row = found.entry(format!("{name}{suffix}"));
            let row: &mut (String, BTreeSet<String>) = row.or_insert((kind, BTreeSet::new()));
            row.1.extend(labels);
        }
    }
    found
}

/// The rows of docs/metrics.md, in the same form.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let docs = fs::read_to_string(docs).unwrap();
    let rows = docs
        .lines()
        // tests/chart holds those of kube-state-metrics against its configuration.
        .filter(|line| !line.starts_with("| `warehouse_sync_policy_"))
        .filter(|line| line.starts_with("| `warehouse_sync_") || line.starts_with("| `process_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning, to_do] = cells.as_slice() else {
            panic!("docs/metrics.md: a row has five cells: {row}");
        };
        assert!(
            !meaning.is_empty() && !to_do.is_empty(),
            "docs/metrics.md says nothing of {name}"
        );
        let labels = labels
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        (
            name.trim_matches('`').to_owned(),
            ((*kind).to_owned(), labels),
        )
    })
    .collect()
}

#[test]
fn every_metric_is_in_the_documentation_with_its_type_and_labels() {
    let (metrics, _gate) = full();
    let shown = shown(&metrics.encode(at(20)).unwrap());
    let documented = documented();
    for (name, (kind, labels)) in &shown {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!("| `{name}` | {kind} | {} | …", labels.join(", "));
        assert!(
            documented
                .get(name)
                .is_some_and(|known| known == &shown[name]),
            "docs/metrics.md: the row of a metric is missing or has drifted; it must begin\n{row}"
        );
    }
    for name in documented.keys() {
        assert!(
            shown.contains_key(name),
            "docs/metrics.md has a row for {name}, which is no metric: remove it, or let `full` in this file set it"
        );
    }
}

#[test]
fn a_metric_that_is_registered_is_set_by_these_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report");
    let (metrics, _gate) = full();
    let text = metrics.encode(at(20)).unwrap();
    let registered = regex::Regex::new(r#"\.register(?:_with_unit)?\(\s*"(\w+)""#).unwrap();
    let mut count = 0;
    for file in [
        "metrics.rs",
        "gauges/total.rs",
        "gauges/exported.rs",
        "gauges/quota.rs",
        "gauges/process.rs",
    ] {
        let source = fs::read_to_string(folder.join(file)).unwrap();
        for found in registered.captures_iter(&source) {
            let name = &found[1];
            let prefix = if file.contains("process") {
                "process"
            } else {
                PREFIX
            };
            assert!(
                text.contains(&format!("# TYPE {prefix}_{name}")),
                "{name} is registered and `full` in this file does not set it: the documentation of it is not checked"
            );
            count += 1;
        }
    }
    assert!(
        count > 25,
        "{count}: this test no longer finds what is registered"
    );
}

/// A label with a value for each object would fill the scraper's memory.
#[test]
fn no_label_names_an_object_except_of_exported_tables() {
    let (metrics, _gate) = full();
    // At most 1,000 tables of a policy, and none by default.
    let exported = "warehouse_sync_table_last_success_timestamp_seconds";
    let labels: BTreeSet<String> = shown(&metrics.encode(at(20)).unwrap())
        .into_iter()
        .filter(|(name, _)| name != exported)
        .flat_map(|(_, (_, labels))| labels)
        .collect();
    // `listed`: the namespaces of --namespace.
    let bounded = [
        "action", "call", "cause", "feature", "guard", "healthy", "kind", "limit", "listed",
        "mode", "type", "outcome", "phase", "ready", "reason", "severity", "shown", "step",
        "verdict", "version", "window",
    ];
    let unknown: Vec<_> = labels
        .iter()
        .filter(|label| !bounded.contains(&label.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "{unknown:?}: a label needs a closed list of values; then add it here"
    );
}
