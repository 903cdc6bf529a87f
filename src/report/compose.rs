//! The whole status from what a pass observed and decided. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    conditions::{self, Saying, Truth},
    notifications::{Channels, announced, channel},
    words::{self, Findings},
};
use crate::{
    api::{
        ValidatedPolicy, WarehouseSyncPolicyStatus,
        conditions::{
            APPROVAL_GUARD_ACTIVE, HEALTHY, NOTIFYING, PENDING_APPROVAL, RECONCILING,
            REMEDIATION_ALLOWED, Reason,
        },
        notification::Announced,
        policy::Mode,
        proposal::Proposal,
        status::{
            Call, Fate, Incident, LostSlot, MAX_FINDINGS, MAX_LOST_SLOTS, MAX_MARKS, MAX_MISSING,
            MAX_SENDS_REMEMBERED, Missing, NextAction, SchemaState, State, Step, Summary,
        },
    },
    decide::{
        Plan,
        approval::{guard, poison},
        ownership::is_in_flight,
        table,
    },
    diagnose::{
        Cause, Diagnosis, Verdict, causes::Reload, freshness, mended::SwitchedOff, missing,
    },
    observe::{ApprovalGuard, Snapshot, WriteScope},
    posthog::{lax::Lax, wire::SchemaStatus},
};

/// Why `PostHog` could not be read in a pass: a reason for the conditions, and a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The reason.
    pub reason: Reason,
    /// The sentence.
    pub message: String,
}

/// The status after a pass that observed.
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
                && Cause::of(i.cause).reload == Reload::Hung
                && is_in_flight(i)
                && i.step != Step::WaitSuccess
        })
    };
    let summary = diagnosis.summary(in_repair);
    let healthy = healthy(diagnosis, &summary, &findings);
    let truncated = findings.total - findings.shown.len();
    let total = summary.schemas.total;
    let mut sayings = conditions::readiness(
        Ok(format!(
            "PostHog was read; {total} tables are selected{}",
            slowed(snapshot)
        )),
        false,
    );
    sayings.extend([
        healthy,
        remediation(policy, snapshot.write_scope),
        pending(&plan.proposals),
        guarding(&snapshot.approval_guard, plan.unguarded),
    ]);
    let mut status = WarehouseSyncPolicyStatus {
        observed_generation: Some(policy.generation),
        conditions: conditions::compose(&old.conditions, sayings, policy.generation, now),
        summary: Some(Summary {
            pending_approval: i64::try_from(waiting(&plan.proposals).count()).unwrap_or(i64::MAX),
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
            schemas: remembered(policy, snapshot, diagnosis, plan, old, now),
            sources: plan.sources.clone(),
            missing: missing(policy, snapshot),
            lost_slots: lost_slots(policy, snapshot),
            sends: latest(&plan.sends),
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
        status.remember(now, crate::posthog::redact::one_line(note, 240));
    }
    announce(
        policy,
        &old.state.announced,
        &mut status,
        channels,
        &old.conditions,
        now,
    );
    status
}

/// What the receivers of `spec.notifications` are to be told of a status, and whether they can be.
fn announce(
    policy: &ValidatedPolicy,
    old: &Announced,
    status: &mut WarehouseSyncPolicyStatus,
    channels: &Channels,
    conditions: &[Condition],
    now: Timestamp,
) {
    let usable = channels.usable();
    let edition = |key: &str| usable.get(key).map(|channel| channel.edition.clone());
    let next = announced::next(policy, old, status, edition, now);
    let saying = notifying(policy, &next, channels);
    status.state.announced = next;
    status.conditions.retain(|known| known.type_ != NOTIFYING);
    let saying = saying.into_iter().collect();
    let composed = conditions::compose(conditions, saying, policy.generation, now);
    status.conditions.extend(composed);
}

fn notifying(
    policy: &ValidatedPolicy,
    announced: &Announced,
    channels: &Channels,
) -> Option<Saying> {
    let say = |truth, reason, message| {
        Some(Saying {
            type_: NOTIFYING,
            truth,
            reason,
            message,
        })
    };
    let all = policy.notifications.len();
    if all == 0 {
        return None;
    }
    let wrong: Vec<&str> = channels.wrong().collect();
    if !wrong.is_empty() {
        return say(Truth::False, Reason::ReceiverUnusable, wrong.join(". "));
    }
    let failing: Vec<String> = (announced.failing.iter())
        .map(|failing| {
            let mut named = policy.notifications.iter();
            let named = named.find(|one| channel::key(one) == failing.channel);
            let name = named.map_or_else(String::new, channel::name);
            format!(
                "{name} has not taken a message since {}: {}. It was given up; what still stands is told once another message is taken or the Secret changes",
                failing.since, failing.why
            )
        })
        .collect();
    if !failing.is_empty() {
        return say(Truth::False, Reason::DeliveryFailed, failing.join(". "));
    }
    let message = format!("{all} receivers of spec.notifications can be told");
    say(Truth::True, Reason::ReceiversReady, message)
}

fn slowed(snapshot: &Snapshot) -> &'static str {
    if snapshot.slowed {
        ". Polls are further apart than spec.interval says: the operator's share of the API key's limits (--quota-share) is nearly used up"
    } else {
        ""
    }
}

/// The status after a pass that could not observe: what was found and is being done stays as it was last known.
#[must_use]
pub fn hindered(
    policy: Option<&ValidatedPolicy>,
    generation: i64,
    old: &WarehouseSyncPolicyStatus,
    obstacle: &Obstacle,
    channels: &Channels,
    now: Timestamp,
) -> WarehouseSyncPolicyStatus {
    let was_first = old
        .condition(RECONCILING)
        .is_some_and(|c| c.status == Truth::True.as_str());
    let first = old.observed_generation != Some(generation) || old.summary.is_none() || was_first;
    let Obstacle { reason, message } = obstacle.clone();
    let mut sayings = conditions::readiness(Err((reason, message.clone())), first);
    sayings.push(Saying {
        type_: HEALTHY,
        truth: Truth::Unknown,
        reason: Reason::NotObserved,
        message,
    });
    // What is known of the key does not change because PostHog cannot be read.
    let lacked = old
        .condition(REMEDIATION_ALLOWED)
        .is_some_and(|c| c.reason == Reason::KeyLacksWriteScope.as_str());
    let write_scope = if lacked {
        WriteScope::Missing
    } else {
        WriteScope::Unknown
    };
    sayings.extend(policy.map(|policy| remediation(policy, write_scope)));
    sayings.push(pending(&old.proposals));
    let mut state = old.state.clone();
    if obstacle.reason == Reason::SourcesVanished {
        state.empty_since.get_or_insert(now);
    }
    let guard = old.condition(APPROVAL_GUARD_ACTIVE).cloned();
    if guard.is_none() {
        sayings.push(Saying {
            type_: APPROVAL_GUARD_ACTIVE,
            truth: Truth::Unknown,
            reason: Reason::NotObserved,
            message: "It was not looked at yet".to_owned(),
        });
    }
    let mut conditions = conditions::compose(&old.conditions, sayings, generation, now);
    conditions.extend(guard.map(|guard| Condition {
        observed_generation: Some(generation),
        ..guard
    }));
    let mut status = WarehouseSyncPolicyStatus {
        state,
        observed_generation: Some(generation),
        conditions,
        last_checked_at: old.last_checked_at,
        ..old.clone()
    };
    if let Some(policy) = policy {
        announce(
            policy,
            &old.state.announced,
            &mut status,
            channels,
            &old.conditions,
            now,
        );
    }
    status
}

fn healthy(diagnosis: &Diagnosis, summary: &Summary, findings: &Findings) -> Saying {
    let say = |truth, reason, message| Saying {
        type_: HEALTHY,
        truth,
        reason,
        message,
    };
    if let Some(worst) = findings.shown.first().filter(|_| findings.errors > 0) {
        let more = if findings.errors > 1 {
            format!(" (and {} more)", findings.errors - 1)
        } else {
            String::new()
        };
        let message = format!("{}: {}{more}", worst.title(), worst.message);
        return say(Truth::False, Reason::SyncsUnhealthy, message);
    }
    if summary.schemas.total == 0 {
        return say(
            Truth::Unknown,
            Reason::NothingSelected,
            "The selector matches no table of the project".to_owned(),
        );
    }
    let unclear = diagnosis
        .judged
        .iter()
        .filter(|judged| matches!(judged.verdict, Verdict::CannotTell { .. }))
        .count();
    if unclear > 0 {
        return say(
            Truth::Unknown,
            Reason::CannotTell,
            format!("Of {unclear} tables it cannot be told how they are; see findings"),
        );
    }
    say(
        Truth::True,
        Reason::AllHealthy,
        format!(
            "{} tables are healthy{}",
            summary.healthy_of,
            besides(findings)
        ),
    )
}

/// What a healthy policy should not hide: findings that are no errors.
fn besides(findings: &Findings) -> String {
    match findings.warnings {
        0 => String::new(),
        warnings => format!("; warnings: {warnings}, see findings"),
    }
}

fn remediation(policy: &ValidatedPolicy, write_scope: WriteScope) -> Saying {
    let say = |truth, reason, message: &str| Saying {
        type_: REMEDIATION_ALLOWED,
        truth,
        reason,
        message: message.to_owned(),
    };
    if policy.suspend {
        return say(
            Truth::False,
            Reason::Suspended,
            "spec.suspend is true: nothing is sent to PostHog",
        );
    }
    if policy.mode == Mode::Observe {
        return say(
            Truth::False,
            Reason::Observing,
            "spec.mode is Observe: the operator only reports; set it to Enforce to let it act",
        );
    }
    if write_scope == WriteScope::Missing {
        return say(
            Truth::False,
            Reason::KeyLacksWriteScope,
            "The API key lacks the scope external_data_source:write: add it to the key in PostHog, or put a key that has it into the Secret",
        );
    }
    say(
        Truth::True,
        Reason::Enforcing,
        "The operator does what is safe",
    )
}

fn waiting(proposals: &[Proposal]) -> impl Iterator<Item = &Proposal> {
    proposals.iter().filter(|proposal| proposal.is_open())
}

fn pending(proposals: &[Proposal]) -> Saying {
    let (truth, reason, message) = match waiting(proposals).count() {
        0 => (
            Truth::False,
            Reason::NothingToApprove,
            "Nothing waits for approval".to_owned(),
        ),
        count => (
            Truth::True,
            Reason::ProposalsWait,
            format!(
                "{count} wait for approval: see status.proposals, each with its approveCommand"
            ),
        ),
    };
    Saying {
        type_: PENDING_APPROVAL,
        truth,
        reason,
        message,
    }
}

fn guarding(guard: &ApprovalGuard, unguarded: bool) -> Saying {
    let (truth, reason, message) = match &guard.broken {
        None => (
            Truth::True,
            Reason::GuardStands,
            "Only who may approve can approve".to_owned(),
        ),
        Some(why) if unguarded => (
            Truth::False,
            Reason::GuardNotRequired,
            format!(
                "Whoever may edit this policy can approve (--allow-unguarded-approvals); {why}"
            ),
        ),
        Some(why) => (
            Truth::False,
            Reason::GuardBroken,
            format!("No approval counts until then; {why}"),
        ),
    };
    Saying {
        type_: APPROVAL_GUARD_ACTIVE,
        truth,
        reason,
        message,
    }
}

/// What is worth a write of each table, one row for each.
fn remembered(
    policy: &ValidatedPolicy,
    snapshot: &Snapshot,
    diagnosis: &Diagnosis,
    plan: &Plan,
    old: &WarehouseSyncPolicyStatus,
    now: Timestamp,
) -> Vec<SchemaState> {
    let rescheduled =
        freshness::rescheduled(policy, snapshot, now).map(|(schema, at)| SchemaState {
            rescheduled: Some(at),
            ..SchemaState::of(schema.id.clone())
        });
    let in_full = reloaded_in_full(snapshot, plan, old, now);
    let mut rows: Vec<SchemaState> = Vec::new();
    // First what must not be cut off.
    let all = of_proposals(plan, old, snapshot)
        .into_iter()
        .chain(disabled(diagnosis, snapshot, old))
        .chain(marks(snapshot, diagnosis, old))
        .chain(of_incidents(plan, old, snapshot))
        .chain(rescheduled)
        .chain(in_full);
    for state in all {
        if let Some(row) = rows.iter_mut().find(|row| row.id == state.id) {
            row.complete(state);
        } else if rows.len() < MAX_MARKS {
            rows.push(state);
        }
    }
    rows
}

/// Tables of which the next run may wipe the data, and those for which somebody has asked for a proposal.
fn of_proposals(
    plan: &Plan,
    old: &WarehouseSyncPolicyStatus,
    snapshot: &Snapshot,
) -> Vec<SchemaState> {
    let poisoned = poison::poisoned(&old.state, &plan.proposals, snapshot);
    let poisoned = poisoned.into_iter().map(|(id, since)| SchemaState {
        poisoned: Some(since),
        ..SchemaState::of(id)
    });
    let handled = plan.requests.iter().map(|(id, value)| SchemaState {
        request_handled: Some(value.clone()),
        ..SchemaState::of(id.clone())
    });
    poisoned.chain(handled).collect()
}

/// Tables that are synced in full and were reloaded because they were stale.
fn reloaded_in_full(
    snapshot: &Snapshot,
    plan: &Plan,
    old: &WarehouseSyncPolicyStatus,
    now: Timestamp,
) -> Vec<SchemaState> {
    let reload = |incident: &Incident| {
        let (_, schema) = snapshot.row(&incident.source_id, &incident.schema_id)?;
        let mut sends = incident.sends.iter();
        let send =
            sends.find(|send| send.call == Call::Reload && send.fate != Some(Fate::NotSent))?;
        (Cause::of(incident.cause).reload == Reload::Stale && table::costs_all_rows(schema))
            .then(|| (incident.schema_id.clone(), send.started_at))
    };
    let before = old
        .state
        .schemas
        .iter()
        .filter_map(|state| Some((state.id.clone(), state.reloaded_in_full?)));
    plan.incidents
        .iter()
        .filter_map(reload)
        .chain(before)
        .filter(|(_, at)| table::still_counts(*at, now))
        .map(|(id, at)| SchemaState {
            reloaded_in_full: Some(at),
            ..SchemaState::of(id)
        })
        .collect()
}

/// The marks of runs that were found not to move. A run that moves has none, so that a busy project writes nothing.
fn marks(
    snapshot: &Snapshot,
    diagnosis: &Diagnosis,
    old: &WarehouseSyncPolicyStatus,
) -> Vec<SchemaState> {
    let known = |id: &str| old.state.schemas.iter().any(|state| state.id == id);
    let mut marks: Vec<SchemaState> = diagnosis
        .judged
        .iter()
        .filter(|judged| judged.status == SchemaStatus::Running)
        .filter_map(|judged| {
            let id = &judged.schema_id;
            let seen = snapshot.seen(id)?;
            // What cannot be told just now does not undo what was known.
            let keep = seen.frozen || (seen.look.is_none() || seen.unclear.is_some()) && known(id);
            Some(SchemaState {
                marks: Some(seen.mark.clone().filter(|_| keep)?),
                ..SchemaState::of(id.clone())
            })
        })
        .collect();
    // Those that have stood still for the longest are the ones worth keeping.
    marks.sort_by(|a, b| {
        let since = |state: &SchemaState| state.marks.as_ref().map(|mark| mark.since);
        since(a).cmp(&since(b)).then_with(|| a.id.cmp(&b.id))
    });
    marks
}

/// What was known of the tables of incidents in flight: one may be missing from the list just now.
fn of_incidents<'a>(
    plan: &'a Plan,
    old: &'a WarehouseSyncPolicyStatus,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = SchemaState> + use<'a> {
    plan.incidents
        .iter()
        .filter(|incident| is_in_flight(incident))
        .filter_map(move |incident| {
            let mut states = old.state.schemas.iter();
            let state = states.find(|state| state.id == incident.schema_id)?.clone();
            let row = snapshot.row(&incident.source_id, &incident.schema_id);
            // Of one that is on again, it is not known who will switch it off next.
            let is_on = row.is_some_and(|(_, schema)| schema.should_sync == Lax::Is(true));
            Some(SchemaState {
                disabled_seen: state.disabled_seen.filter(|_| !is_on),
                poisoned: None,
                request_handled: None,
                fix: state.fix.filter(|_| !is_on),
                ..state
            })
        })
}

/// Tables that `PostHog` was seen to switch off, and what is known of whether that was mended: nothing else will ever tell.
fn disabled<'a>(
    diagnosis: &'a Diagnosis,
    snapshot: &'a Snapshot,
    old: &'a WarehouseSyncPolicyStatus,
) -> impl Iterator<Item = SchemaState> + use<'a> {
    diagnosis.judged.iter().filter_map(|judged| {
        let Verdict::Disabled { by_posthog, .. } = &judged.verdict else {
            return None;
        };
        let row = snapshot.row(&judged.source_id, &judged.schema_id);
        let off = row.and_then(|row| SwitchedOff::new(&old.state, snapshot, row, &judged.verdict));
        Some(SchemaState {
            disabled_seen: Some((*by_posthog)?),
            fix: off.and_then(|off| off.watch()),
            ..SchemaState::of(judged.schema_id.clone())
        })
    })
}

/// The newest sends, as many as a status remembers: more than may be sent in an hour.
fn latest(sends: &[Timestamp]) -> Vec<Timestamp> {
    sends[sends.len().saturating_sub(MAX_SENDS_REMEMBERED)..].to_vec()
}

/// The sources that lack their replication slot, as far as the policy selects them.
fn lost_slots(policy: &ValidatedPolicy, snapshot: &Snapshot) -> Vec<LostSlot> {
    let since = &snapshot.probes.slot_lost_since;
    snapshot
        .selected_sources(&policy.selector)
        .filter_map(|source| {
            Some(LostSlot {
                source_id: source.id.clone(),
                since: *since.get(&source.id)?,
            })
        })
        .take(MAX_LOST_SLOTS)
        .collect()
}

/// The tables that have left the list, as far as the policy selects them.
fn missing(policy: &ValidatedPolicy, snapshot: &Snapshot) -> Vec<Missing> {
    missing::selected(&policy.selector, snapshot)
        .take(MAX_MISSING)
        .cloned()
        .collect()
}

fn next_action(plan: &Plan) -> Option<NextAction> {
    if let Some(order) = plan.orders.first() {
        return Some(NextAction {
            what: order.what.clone(),
            when: None,
            blocked_by: None,
        });
    }
    let under_way = |incident: &&Incident| is_in_flight(incident);
    if let Some(incident) = plan
        .incidents
        .iter()
        .filter(under_way)
        .min_by_key(|incident| (incident.step == Step::WaitSuccess, incident.opened_at))
    {
        let held = plan
            .held
            .iter()
            .find(|held| held.schema_id == incident.schema_id);
        return Some(NextAction {
            what: format!("{}: {}", incident.schema, incident.message),
            when: incident.deadline,
            blocked_by: held.map(|held| held.blocked_by.clone()),
        });
    }
    if let Some(held) = plan.held.first() {
        return Some(NextAction {
            what: held.what.clone(),
            when: None,
            blocked_by: Some(held.blocked_by.clone()),
        });
    }
    let proposal = waiting(&plan.proposals).next()?;
    Some(NextAction {
        what: proposal.steps.join(", then "),
        when: None,
        blocked_by: Some(format!("approval of {}", proposal.id)),
    })
}
