//! One policy: what is wrong, what waits for a person, and what happened.

use std::borrow::Cow;

use askama::Template;
use axum::http::StatusCode;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{
    badge::{Badge, badge, why},
    card::{Card, card},
    frame::Frame,
    rights::Rights,
    sentence::sentence,
    timeline::Timeline,
};
use crate::{
    api::{
        WarehouseSyncPolicy,
        conditions::APPROVAL_GUARD_ACTIVE,
        status::{Affected, Finding, Severity},
    },
    cli::plugin::{
        PluginError,
        view::{self, OverallHealth, PolicyView},
    },
};

/// The outcome of a request.
pub(super) struct Notice {
    pub is_error: bool,
    pub text: String,
}

impl Notice {
    /// What a request did, or why it did nothing.
    pub(super) fn of(done: Result<String, PluginError>) -> Self {
        Self {
            is_error: done.is_err(),
            text: done.map_or_else(|error| sentence(&error.to_string()), |text| sentence(&text)),
        }
    }

    /// The status of the answer that shows it.
    pub(super) const fn code(&self) -> StatusCode {
        if self.is_error {
            StatusCode::CONFLICT
        } else {
            StatusCode::OK
        }
    }
}

/// The page.
#[derive(Template)]
#[template(path = "ui/policy.html")]
pub(super) struct PolicyPage<'a> {
    frame: Frame<'a>,
    notice: Option<Notice>,
    badge: Badge,
    /// Why it has this badge.
    why: Cow<'a, str>,
    /// Whether what is not shown does not exist.
    is_known: bool,
    facts: Vec<(&'static str, String)>,
    /// Why an approval would have no effect.
    approvals_ignored: Option<&'a str>,
    /// Why the policy cannot be changed.
    change_off: Option<&'a str>,
    waiting: Vec<Card<'a>>,
    in_progress: Vec<Card<'a>>,
    ended: Vec<Card<'a>>,
    findings: Vec<Item<'a>>,
    timeline: Option<Timeline>,
    view: PolicyView<'a>,
}

/// A finding.
struct Item<'a> {
    finding: &'a Finding,
    class: &'static str,
    since: Option<String>,
    /// Whether not all affected tables are named.
    is_shortened: bool,
}

impl<'a> PolicyPage<'a> {
    /// `policy` at `now`.
    pub(super) fn new(
        frame: Frame<'a>,
        policy: &'a WarehouseSyncPolicy,
        rights: &'a Rights,
        notice: Option<Notice>,
        now: Timestamp,
    ) -> Self {
        let view = PolicyView::new(policy, now);
        let is_lost = frame.lost.is_some();
        let cards = |proposals: &[&'a _]| {
            let cards = proposals
                .iter()
                .map(|one| card(policy, one, &rights.answer, now));
            cards.collect::<Vec<Card<'a>>>()
        };
        let guard = policy
            .status
            .as_ref()
            .and_then(|status| status.condition(APPROVAL_GUARD_ACTIVE));
        Self {
            badge: badge(view.health.standing, is_lost),
            why: why(view.health.message, is_lost),
            is_known: !is_lost && view.health.standing != OverallHealth::Unknown,
            facts: facts(policy, &view, is_lost, now),
            approvals_ignored: guard
                .filter(|guard| guard.status == "False" && !view.waiting.is_empty())
                .map(|guard| guard.message.as_str()),
            change_off: rights.change.missing(),
            waiting: cards(&view.waiting),
            in_progress: cards(&view.in_progress),
            ended: cards(&view.ended),
            findings: view.findings.iter().map(|one| item(one, now)).collect(),
            timeline: Timeline::new(&view, now),
            frame,
            notice,
            view,
        }
    }
}

fn item(finding: &Finding, now: Timestamp) -> Item<'_> {
    let shortened = |affected: &Affected| {
        usize::try_from(affected.count).is_ok_and(|count| count > affected.schemas.len())
    };
    Item {
        class: match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        },
        since: finding.since.map(|at| view::since(at, now)),
        is_shortened: finding.affected.as_ref().is_some_and(shortened),
        finding,
    }
}

fn facts(
    policy: &WarehouseSyncPolicy,
    view: &PolicyView<'_>,
    is_lost: bool,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Namespace", policy.namespace().unwrap_or_default()),
        (
            "PostHog",
            format!("project {} at {}", view.project, view.host),
        ),
        ("Mode", format!("{:?}", view.mode)),
    ];
    if let Some(summary) = view.summary {
        let all = &summary.schemas;
        facts.push(("Healthy tables", summary.healthy_of.clone()));
        let counts = [
            (all.stuck, "stuck"),
            (all.failing, "failing"),
            (all.stale, "stale"),
            (all.billing, "stopped by billing"),
            (all.unknown, "unknown"),
            (all.running, "running"),
            (all.disabled, "disabled"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, of)| format!("{count} {of}")).collect();
        if !counts.is_empty() {
            facts.push(("Tables", counts.join(", ")));
        }
    }
    facts.extend(
        view.health
            .since
            .filter(|_| !is_lost)
            .map(|at| ("In this state since", view::since(at, now))),
    );
    facts.extend(
        view.checked_at
            .map(|at| ("PostHog polled", view::since(at, now))),
    );
    if let Some(next) = view.next_action {
        let mut text = next.what.clone();
        if let Some(at) = next.when {
            text = format!("{text} (by {})", view::by(at, now));
        }
        if let Some(by) = &next.blocked_by {
            text = format!("{text} (held: {by})");
        }
        facts.push(("Next", text));
    }
    facts
}
