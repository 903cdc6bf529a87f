//! The whole status from what a reconcile observed and decided. Pure.

use jiff::Timestamp;

pub use super::not_ready::NotReady;
use super::{
    conditions::{self, ConditionFact, Conditions},
    next_action::next_action,
    notifications::{Channels, announced},
    state_rows, words,
};
use crate::{
    api::{
        ValidatedPolicy, WarehouseSyncPolicyStatus,
        announced::Announced,
        conditions::Reason,
        status::{MAX_FINDINGS, State, Step, Summary},
    },
    decide::{Plan, approval::guard, ownership::is_in_flight},
    diagnose::{Cause, Diagnosis, Exported, causes::Reload},
    observe::Snapshot,
    posthog::{instance::Instance, redact},
};

/// The status after a reconcile that could poll.
#[must_use]
pub fn observed(
    policy: &ValidatedPolicy,
    old: &WarehouseSyncPolicyStatus,
    snapshot: &Snapshot,
    diagnosis: &Diagnosis,
    plan: &Plan,
    channels: &Channels,
    now: Timestamp,
) -> WarehouseSyncPolicyStatus {
    let findings = words::findings(diagnosis, plan, MAX_FINDINGS);
    let in_repair = |id: &str| {
        plan.incidents.iter().any(|i| {
            i.schema_id == id
                && Cause::of(i.cause).reload == Reload::AfterCancel
                && is_in_flight(i)
                && i.step != Step::WaitSuccess
        })
    };
    let summary = diagnosis.summary(in_repair);
    let healthy = conditions::healthy(diagnosis, &summary, &findings);
    let truncated = findings.total - findings.shown.len();
    let read = format!(
        "PostHog was polled; selected tables: {}{}{}{}",
        summary.schemas.total,
        slowed(snapshot.slowed),
        not_exported(&diagnosis.exported),
        of_instance(&snapshot.instance)
    );
    let waiting = plan.proposals.iter().filter(|one| one.is_open()).count();
    let mut status = WarehouseSyncPolicyStatus {
        observed_generation: Some(policy.generation),
        conditions: Vec::new(),
        summary: Some(Summary {
            pending_approval: i64::try_from(waiting).unwrap_or(i64::MAX),
            findings: findings.counts,
            ..summary
        }),
        findings: findings.shown,
        findings_truncated: (truncated > 0).then(|| i64::try_from(truncated).unwrap_or(i64::MAX)),
        incidents: plan.incidents.clone(),
        proposals: plan.proposals.clone(),
        history: old.history.clone(),
        state: State {
            // The first format has no number; a later one is written here, as STATE_FORMAT.
            format: None,
            schemas: state_rows::remembered(snapshot, diagnosis, plan, old, now),
            sources: plan.sources.clone(),
            missing: state_rows::missing(policy, snapshot),
            on: state_rows::on(policy, snapshot, &old.state),
            went_off: state_rows::went_off(diagnosis),
            lost_slots: state_rows::lost_slots(snapshot),
            sends: state_rows::latest(&plan.sends),
            breaker: plan.breaker.clone(),
            reset_handled: plan.reset_handled.clone(),
            poll_handled: old.state.poll_handled.clone(),
            guard: guard::remembered(&snapshot.approval_guard),
            suppressed: plan.suppressed.clone(),
            empty_since: None,
            announced: Announced::default(),
        },
        last_checked_at: Some(now),
        next_action: next_action(plan),
    };
    for note in &plan.notes {
        let short = |text: &str| redact::one_line(text, 240);
        status.remember(now, note.clone().capped(short));
    }
    status.state.announced = announce(policy, &old.state.announced, &status, channels, now);
    status.conditions = Conditions::after(&old.conditions, policy.generation, now)
        .say(conditions::readiness(Ok(read), false))
        .say([
            healthy,
            conditions::remediation(policy.mode, policy.stopped, snapshot.write_scope),
            conditions::pending(&plan.proposals),
            conditions::guarding(&snapshot.approval_guard, plan.unguarded),
        ])
        .say(notifying(policy, &status, channels))
        .build();
    status
}

/// The status after a reconcile that could not poll: findings, incidents and proposals stay as they were last known.
#[must_use]
pub fn poll_failed(
    policy: Option<&ValidatedPolicy>,
    generation: i64,
    old: &WarehouseSyncPolicyStatus,
    not_ready: &NotReady,
    channels: &Channels,
    now: Timestamp,
) -> WarehouseSyncPolicyStatus {
    let NotReady { reason, message } = not_ready;
    let mut state = old.state.clone();
    if *reason == Reason::SourcesVanished {
        state.empty_since.get_or_insert(now);
    }
    let mut status = WarehouseSyncPolicyStatus {
        state,
        observed_generation: Some(generation),
        conditions: Vec::new(),
        last_checked_at: old.last_checked_at,
        ..old.clone()
    };
    if let Some(policy) = policy {
        status.state.announced = announce(policy, &old.state.announced, &status, channels, now);
    }
    let scope = conditions::known_scope(old);
    let remediation =
        policy.map(|policy| conditions::remediation(policy.mode, policy.stopped, scope));
    let polled = Err((*reason, message.clone()));
    status.conditions = Conditions::after(&old.conditions, generation, now)
        .say(conditions::readiness(
            polled,
            conditions::is_first(old, generation),
        ))
        .say([conditions::not_observed(message)])
        .say(remediation)
        .say([conditions::pending(&old.proposals)])
        .say_unless_known(conditions::not_checked())
        .say(policy.and_then(|policy| notifying(policy, &status, channels)))
        .build();
    status
}

/// What the receivers of `spec.notifications` are to be notified of.
fn announce(
    policy: &ValidatedPolicy,
    old: &Announced,
    status: &WarehouseSyncPolicyStatus,
    channels: &Channels,
    now: Timestamp,
) -> Announced {
    let usable = channels.usable();
    let edition = |key: &str| usable.get(key).map(|channel| channel.edition.clone());
    announced::next(policy, old, status, edition, now)
}

fn notifying(
    policy: &ValidatedPolicy,
    status: &WarehouseSyncPolicyStatus,
    channels: &Channels,
) -> Option<ConditionFact> {
    conditions::notifying(&policy.notifications, &status.state.announced, channels)
}

/// Which features the instance does not have, and which of its values are not known.
fn of_instance(instance: &Instance) -> String {
    let said = instance.sentences();
    if said.is_empty() {
        String::new()
    } else {
        format!(". About this PostHog: {}", said.join("; "))
    }
}

/// Why no metric of tables is exported, although the policy asks for it.
fn not_exported(exported: &Exported) -> String {
    let refused = exported.refused();
    refused.map_or_else(String::new, |why| {
        format!(". The time of each table's last success is not exported: {why}")
    })
}

const fn slowed(slowed: bool) -> &'static str {
    if slowed {
        ". Polls are less frequent than spec.interval: the operator's share of the API key's rate limits (--quota-share) is nearly used up"
    } else {
        ""
    }
}
