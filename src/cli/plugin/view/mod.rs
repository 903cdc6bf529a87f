//! What `kubectl wsp` shows of a policy, as plain data from its status, worst first. `status` prints it, `ui` draws it.
//!
//! Nothing is escaped here: names and texts come from a status, which may contain anything.

mod health;
mod held;
mod times;

use jiff::Timestamp;
use kube::Resource;
use serde::Serialize;

pub use health::{OverallHealth, PolicyHealth};
pub use held::HeldAction;
pub use times::{ago, by, since};

use crate::api::{
    WarehouseSyncPolicy,
    policy::Mode,
    proposal::{LosesData, Proposal},
    status::{Finding, HistoryEntry, Incident, NextAction, Severity, Step, Summary},
};

/// One policy, for people.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyView<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    /// Base URL of `PostHog`.
    pub host: &'a str,
    /// Numeric id of the project in `PostHog`.
    pub project: i64,
    pub mode: Mode,
    /// True if `spec.suspend` stops every call.
    pub suspended: bool,
    pub health: PolicyHealth<'a>,
    /// Counts at the last successful poll; none before the first one.
    pub summary: Option<&'a Summary>,
    /// When `PostHog` was polled, to the hour; none before the first poll.
    pub checked_at: Option<Timestamp>,
    /// Most severe first; of equal severity, the whole project first, then by source and table.
    pub findings: Vec<&'a Finding>,
    /// How many more findings the status had no space for.
    pub findings_truncated: i64,
    /// Those that need a person first, then by deadline; recovered ones last.
    pub incidents: Vec<&'a Incident>,
    /// What the operator would do, but a guard holds.
    pub held: Vec<HeldAction<'a>>,
    /// Proposals that wait for a person: those that lose data first, then the one that expires first.
    pub waiting: Vec<&'a Proposal>,
    /// Approved proposals that have not ended, oldest first.
    pub in_progress: Vec<&'a Proposal>,
    /// Proposals that have ended, newest first.
    pub ended: Vec<&'a Proposal>,
    pub next_action: Option<&'a NextAction>,
    /// Newest first.
    pub history: &'a [HistoryEntry],
}

impl<'a> PolicyView<'a> {
    /// What is to be shown of `policy` at `now`.
    pub fn new(policy: &'a WarehouseSyncPolicy, now: Timestamp) -> Self {
        let (meta, spec, status) = (policy.meta(), &policy.spec, policy.status.as_ref());
        let proposals = status.map_or(&[][..], |status| &status.proposals);
        let mut view = Self {
            namespace: meta.namespace.as_deref().unwrap_or_default(),
            name: meta.name.as_deref().unwrap_or_default(),
            host: &spec.posthog.host,
            project: spec.posthog.project_id,
            mode: spec.mode,
            suspended: spec.suspend,
            health: PolicyHealth::of(policy, now),
            summary: status.and_then(|status| status.summary.as_ref()),
            checked_at: status.and_then(|status| status.last_checked_at),
            findings: status.map_or_else(Vec::new, |status| status.findings.iter().collect()),
            findings_truncated: status
                .and_then(|status| status.findings_truncated)
                .unwrap_or_default(),
            incidents: status.map_or_else(Vec::new, |status| status.incidents.iter().collect()),
            held: status.map_or_else(Vec::new, held::held),
            waiting: proposals.iter().filter(|one| one.is_open()).collect(),
            in_progress: proposals
                .iter()
                .filter(|one| one.phase.is_in_progress())
                .collect(),
            ended: proposals.iter().filter(|one| one.is_over()).collect(),
            next_action: status.and_then(|status| status.next_action.as_ref()),
            history: status.map_or(&[], |status| &status.history),
        };
        view.sort();
        view
    }

    fn sort(&mut self) {
        self.findings.sort_by_key(|finding| {
            let of_source = !finding.source_id.is_empty();
            let Finding { source, schema, .. } = finding;
            (finding.severity, of_source, source, schema)
        });
        self.incidents.sort_by_key(|incident| {
            let place = match incident.step {
                Step::Escalated => 0,
                Step::Enabling
                | Step::Cancelling
                | Step::WaitTerminal
                | Step::Settle
                | Step::Reloading
                | Step::WaitNewJob
                | Step::WaitSuccess
                | Step::BackOff => 1,
                Step::Recovered => 2,
            };
            let Incident { source, schema, .. } = incident;
            let without = incident.deadline.is_none();
            (place, without, incident.deadline, source, schema)
        });
        self.waiting.sort_by_key(|proposal| {
            let loses_none = proposal.impact.loses_data == LosesData::No;
            (loses_none, proposal.expires_at)
        });
        self.in_progress.sort_by_key(|proposal| proposal.created_at);
        self.ended
            .sort_by_key(|proposal| std::cmp::Reverse(proposal.created_at));
    }

    /// How many shown findings have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings.filter(|one| one.severity == severity).count()
    }
}

/// Views of `policies` at `now`, worst first; of equal standing, by namespace and name.
pub fn worst_first<'a>(
    policies: impl IntoIterator<Item = &'a WarehouseSyncPolicy>,
    now: Timestamp,
) -> Vec<PolicyView<'a>> {
    let views = policies.into_iter();
    let views = views.map(|policy| PolicyView::new(policy, now));
    let mut views: Vec<PolicyView<'a>> = views.collect();
    views.sort_by_key(|view| (view.health.standing, view.namespace, view.name));
    views
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-30T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn policy(name: &str, status: &Value) -> WarehouseSyncPolicy {
        serde_json::from_value(json!({
            "apiVersion": "warehousesync.dev/v1alpha1",
            "kind": "WarehouseSyncPolicy",
            "metadata": {"name": name, "namespace": "data", "generation": 1},
            "spec": {"posthog": {
                "host": "https://us.posthog.com", "projectId": 1,
                "apiKeySecretRef": {"name": "posthog", "key": "key"},
            }},
            "status": status,
        }))
        .unwrap()
    }

    fn condition(type_: &str, status: &str, reason: &str) -> Value {
        json!({
            "type": type_, "status": status, "reason": reason, "message": format!("{reason}."),
            "lastTransitionTime": "2026-11-30T10:00:00Z", "observedGeneration": 1,
        })
    }

    /// A status of a generation, checked at a time.
    fn status(generation: i64, checked: &str, conditions: &[Value]) -> Value {
        json!({"observedGeneration": generation, "lastCheckedAt": checked, "conditions": conditions})
    }

    #[test]
    fn only_a_fresh_report_of_health_is_healthy() {
        let (fresh, old) = ("2026-11-30T11:30:00Z", "2026-11-30T10:30:00Z");
        let ready = condition("Ready", "True", "Polled");
        let unread = condition("Ready", "False", "HostUnreachable");
        let stalled = condition("Stalled", "True", "KeyRejected");
        let healthy = condition("Healthy", "True", "AllHealthy");
        let warned = condition("Healthy", "True", "HealthyWithWarnings");
        let unknown = condition("Healthy", "Unknown", "HealthUnknown");
        let sick = condition("Healthy", "False", "SyncsUnhealthy");
        let of = |conditions: &[&Value]| conditions.iter().copied().cloned().collect::<Vec<_>>();
        let cases = [
            (
                status(1, fresh, &of(&[&ready, &healthy])),
                OverallHealth::Healthy,
            ),
            (
                status(1, fresh, &of(&[&ready, &warned])),
                OverallHealth::Warnings,
            ),
            (
                status(1, fresh, &of(&[&ready, &sick])),
                OverallHealth::Unhealthy,
            ),
            (
                status(1, fresh, &of(&[&ready, &unknown])),
                OverallHealth::Unknown,
            ),
            // The operator does not report, has not read the spec, or cannot read PostHog.
            (
                status(1, old, &of(&[&ready, &healthy])),
                OverallHealth::Unknown,
            ),
            (
                status(0, fresh, &of(&[&ready, &healthy])),
                OverallHealth::Unknown,
            ),
            (
                status(1, fresh, &of(&[&unread, &healthy])),
                OverallHealth::Unknown,
            ),
            (
                status(1, fresh, &of(&[&unread, &stalled, &healthy])),
                OverallHealth::Stalled,
            ),
            (status(1, fresh, &of(&[&ready])), OverallHealth::Unknown),
            (status(1, fresh, &[]), OverallHealth::Unknown),
            (Value::Null, OverallHealth::Unknown),
        ];
        for (status, expected) in cases {
            let policy = policy("p", &status);
            let health = PolicyHealth::of(&policy, now());
            assert_eq!(health.standing, expected, "{status:#} {}", health.message);
        }
    }

    #[test]
    fn policies_and_what_is_in_them_come_worst_first() {
        let fresh = "2026-11-30T11:30:00Z";
        let ready = condition("Ready", "True", "Polled");
        let healthy = [ready.clone(), condition("Healthy", "True", "AllHealthy")];
        let sick = [ready, condition("Healthy", "False", "SyncsUnhealthy")];
        let finding = |severity: &str, source: &str, table: &str| {
            json!({
                "source": source, "sourceId": if source == "PostHog" { "" } else { "s" },
                "schema": table, "schemaId": table, "cause": "Stuck", "severity": severity,
                "confidence": "High", "message": "m", "nextAction": "n",
            })
        };
        let incident = |table: &str, step: &str, deadline: Value| {
            json!({
                "schemaId": table, "schema": table, "source": "S", "sourceId": "s", "cause": "Stuck",
                "step": step, "attempt": 1, "openedAt": NOW, "stepSince": NOW, "deadline": deadline,
            })
        };
        let mut worse = status(1, fresh, &sick);
        worse["findings"] = json!([
            finding("Warning", "A", "a"),
            finding("Error", "B", "b"),
            finding("Error", "A", "z"),
            finding("Error", "PostHog", ""),
        ]);
        worse["incidents"] = json!([
            incident("1", "Recovered", Value::Null),
            incident("2", "WaitSuccess", Value::Null),
            incident("3", "Settle", json!("2026-11-30T12:01:00Z")),
            incident("4", "Escalated", Value::Null),
        ]);
        let policies = [
            policy("a", &status(1, fresh, &healthy)),
            policy("b", &worse),
            policy("c", &Value::Null),
        ];
        let views = worst_first(&policies, now());
        let names: Vec<&str> = views.iter().map(|view| view.name).collect();
        assert_eq!(names, ["b", "c", "a"]);
        let findings = views[0].findings.iter();
        let findings: Vec<String> = findings.map(|finding| finding.title()).collect();
        assert_eq!(findings, ["PostHog", "A z", "B b", "A a"]);
        assert_eq!(views[0].count(Severity::Error), 3);
        let incidents = views[0].incidents.iter();
        let incidents: Vec<&str> = incidents.map(|one| one.schema.as_str()).collect();
        assert_eq!(incidents, ["4", "3", "2", "1"]);
    }
}
