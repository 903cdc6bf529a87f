//! Events: what changed from one status to the next, why, and what happens next. A steady state publishes none.

use super::EventReason;
use crate::{
    api::{
        About, WarehouseSyncPolicyStatus,
        conditions::{HEALTHY, NOTIFYING, READY, REMEDIATION_ALLOWED, Reason},
        proposal::{Phase, Proposal},
        status::{Call, Fate, Finding, Incident, SentInput, Severity, SourceState, Step},
    },
    decide::proposal::note,
    posthog::redact,
};

/// Longest note of an event, in characters, and in bytes: the API server refuses more than 1,024 bytes.
const NOTE_CAP: usize = 900;
const NOTE_BYTES: usize = 1_000;

/// An event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// True for events of type Warning.
    pub warning: bool,
    /// What has happened.
    pub reason: EventReason,
    /// What the operator was doing.
    pub action: &'static str,
    /// What happened, why, and what happens next.
    pub note: String,
    /// Id of the table that it is about: events about different tables must not be merged into one.
    pub schema_id: Option<String>,
    /// The same, in the fields of the log.
    pub about: About,
}

/// The events that lead from `old` to `new`.
#[must_use]
pub fn transitions(
    old: &WarehouseSyncPolicyStatus,
    new: &WarehouseSyncPolicyStatus,
) -> Vec<Notice> {
    let mut notices: Vec<Notice> = [READY, HEALTHY, REMEDIATION_ALLOWED, NOTIFYING]
        .iter()
        .filter_map(|type_| condition(old, new, type_))
        .collect();
    notices.extend(breaker(old, new));
    for finding in &new.findings {
        if !old
            .findings
            .iter()
            .any(|known| same_finding(known, finding))
        {
            notices.push(found(finding));
        }
    }
    for incident in &new.incidents {
        notices.extend(incident_notices(
            old.incidents
                .iter()
                .find(|known| known.schema_id == incident.schema_id),
            incident,
        ));
    }
    let known = |id: &str| old.proposals.iter().any(|row| row.id == id);
    let new_ones = new.proposals.iter().filter(|row| row.is_open());
    notices.extend(new_ones.filter(|row| !known(&row.id)).map(proposed));
    for proposal in &new.proposals {
        let mut before = old.proposals.iter();
        let before = before.find(|row| row.id == proposal.id);
        if before.is_some_and(|before| before.phase != proposal.phase) {
            notices.extend(moved_on(proposal));
        }
    }
    for state in &new.state.sources {
        let before = old.state.sources.iter().find(|old| old.id == state.id);
        notices.extend(sent_inputs(before, state));
    }
    for gone in &old.incidents {
        if !new
            .incidents
            .iter()
            .any(|incident| incident.schema_id == gone.schema_id)
        {
            notices.push(closed(gone, new));
        }
    }
    notices
}

/// A policy that is skipped, because this operator does not understand all of it.
#[must_use]
pub fn left_alone(why: &str) -> Notice {
    let nothing = ("", About::default());
    notice(true, EventReason::LeftAlone, "Poll", why, nothing)
}

fn notice(
    warning: bool,
    reason: EventReason,
    action: &'static str,
    note: &str,
    (subject_id, about): (&str, About),
) -> Notice {
    let note = within(redact::one_line(note, NOTE_CAP), NOTE_BYTES);
    Notice {
        warning,
        reason,
        action,
        note,
        schema_id: (!subject_id.is_empty()).then(|| subject_id.to_owned()),
        about,
    }
}

/// `text`, cut to this many bytes. Letters of most scripts take two or three.
fn within(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let mut end = bytes - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

fn condition(
    old: &WarehouseSyncPolicyStatus,
    new: &WarehouseSyncPolicyStatus,
    type_: &'static str,
) -> Option<Notice> {
    let now = new.condition(type_)?;
    let before = old.condition(type_);
    let same =
        before.is_some_and(|before| before.status == now.status && before.reason == now.reason);
    // That a new policy only reports, or that its receivers can be notified, is no news.
    let expected = match type_ {
        REMEDIATION_ALLOWED => now.reason != "KeyLacksWriteScope",
        NOTIFYING => now.status == "True",
        _ => false,
    };
    // The event about Ready says why.
    let told_by_ready = type_ == HEALTHY && now.reason == Reason::NotObserved.as_str();
    if same || told_by_ready || (before.is_none() && expected) {
        return None;
    }
    let (good, bad) = match type_ {
        READY => (EventReason::Ready, EventReason::NotReady),
        HEALTHY => (EventReason::Healthy, EventReason::Unhealthy),
        NOTIFYING => (
            EventReason::NotificationsDelivered,
            EventReason::NotificationFailed,
        ),
        _ => (
            EventReason::RemediationAllowed,
            EventReason::RemediationHeld,
        ),
    };
    let true_now = now.status == "True";
    let note = format!("{}: {}", now.reason, now.message);
    Some(notice(
        !true_now,
        if true_now { good } else { bad },
        "Poll",
        &note,
        ("", About::default()),
    ))
}

fn breaker(old: &WarehouseSyncPolicyStatus, new: &WarehouseSyncPolicyStatus) -> Option<Notice> {
    let nothing = ("", About::default());
    match (&old.state.breaker, &new.state.breaker) {
        (None, Some(open)) => {
            let note = format!("{}: no new actions are started", open.why);
            let reason = EventReason::BreakerOpened;
            Some(notice(true, reason, "Poll", &note, nothing))
        }
        (Some(_), None) => {
            let note = "held actions may start again";
            let reason = EventReason::BreakerClosed;
            Some(notice(false, reason, "Poll", note, nothing))
        }
        (None, None) | (Some(_), Some(_)) => None,
    }
}

fn same_finding(a: &Finding, b: &Finding) -> bool {
    (&a.source_id, &a.schema_id, a.cause, a.severity, &a.rule)
        == (&b.source_id, &b.schema_id, b.cause, b.severity, &b.rule)
}

fn found(finding: &Finding) -> Notice {
    let note = format!(
        "{}: {} ({}). {} Next: {}",
        finding.title(),
        finding.message.trim_end_matches('.'),
        finding.cause.as_str(),
        finding.advice,
        finding.next_action
    );
    notice(
        finding.severity != Severity::Info,
        EventReason::FindingOpened,
        "Diagnose",
        &note,
        (finding.subject_id(), About::finding(finding)),
    )
}

fn proposed(proposal: &Proposal) -> Notice {
    let Proposal {
        action,
        steps,
        reason,
        impact,
        approve_command,
        ..
    } = proposal;
    let note = format!(
        "{}: {} proposed: {}. Reason: {}. To approve: {approve_command} Cost: {}",
        proposal.title(),
        action.as_str(),
        redact::one_line(&steps.join(", then "), 200),
        redact::one_line(reason.trim_end_matches('.'), 150),
        impact.cost,
    );
    notice(
        false,
        EventReason::ProposalOpened,
        "Propose",
        &note,
        (proposal.subject_id(), About::proposal(proposal)),
    )
}

/// A proposal whose phase has changed.
fn moved_on(proposal: &Proposal) -> Option<Notice> {
    let (warning, reason) = match proposal.phase {
        Phase::AwaitingApproval | Phase::Verifying => return None,
        Phase::Approved => (false, EventReason::ProposalApproved),
        Phase::Executing => (false, EventReason::ProposalExecuting),
        Phase::Executed => (false, EventReason::ProposalExecuted),
        Phase::Failed => (true, EventReason::ProposalFailed),
        Phase::OutcomeUnknown => (true, EventReason::ProposalOutcomeUnknown),
        Phase::Denied => (false, EventReason::ProposalDenied),
        Phase::Expired => (true, EventReason::ProposalExpired),
        Phase::Withdrawn => (false, EventReason::ProposalWithdrawn),
        Phase::Superseded => (false, EventReason::ProposalSuperseded),
    };
    let note = note(proposal);
    let subject = (proposal.subject_id(), About::proposal(proposal));
    Some(notice(warning, reason, "Execute", &note, subject))
}

/// What was sent for a source, once its outcome is known.
fn sent_inputs(before: Option<&SourceState>, now: &SourceState) -> Vec<Notice> {
    type Part = fn(&SourceState) -> Option<&SentInput>;
    let parts: [(Part, EventReason, &str); 3] = [
        (
            |state| state.credentials.as_ref(),
            EventReason::CredentialsApplied,
            "credentials from the Secret",
        ),
        (
            |state| state.webhook.as_ref(),
            EventReason::WebhookRegistered,
            "registration of the webhook",
        ),
        (
            |state| state.webhook_inputs.as_ref(),
            EventReason::WebhookInputsPushed,
            "inputs of the webhook",
        ),
    ];
    parts
        .into_iter()
        .filter_map(|(part, reason, what)| {
            let sent_input = part(now)?;
            let fate = sent_input.fate?;
            if before.and_then(part) == Some(sent_input) {
                return None;
            }
            let said = if sent_input.detail.is_empty() {
                String::new()
            } else {
                format!(" ({})", sent_input.detail)
            };
            let (reason, became) = match fate {
                Fate::Accepted => (reason, "accepted by PostHog"),
                Fate::Refused => (EventReason::SendRefused, "refused by PostHog"),
                Fate::NotSent => (EventReason::SendFailed, "not sent; will be retried"),
                Fate::Unknown => (EventReason::SendUnknown, "sent with unknown outcome"),
            };
            let note = format!("source {}: {what} {became}{said}", now.id);
            let warning = fate != Fate::Accepted;
            let subject = (now.id.as_str(), About::source(&now.id));
            Some(notice(warning, reason, "SendInput", &note, subject))
        })
        .collect()
}

fn closed(gone: &Incident, new: &WarehouseSyncPolicyStatus) -> Notice {
    let why = new.why_closed(&gone.schema_id);
    let note = format!(
        "{} {}: {}",
        gone.source,
        gone.schema,
        why.unwrap_or("the incident is closed")
    );
    notice(
        false,
        EventReason::IncidentClosed,
        "Verify",
        &note,
        (&gone.schema_id, About::incident(gone)),
    )
}

/// What changed in an incident: answers that arrived, then the step that was reached.
fn incident_notices(before: Option<&Incident>, now: &Incident) -> Vec<Notice> {
    let mut notices = Vec::new();
    let about = |warning, reason, action, note: String| {
        notice(
            warning,
            reason,
            action,
            &format!("{} {}: {note}", now.source, now.schema),
            (&now.schema_id, About::incident(now)),
        )
    };
    for (index, send) in now.sends.iter().enumerate() {
        let known = before
            .filter(|before| before.attempt == now.attempt)
            .and_then(|before| before.sends.get(index));
        let Some(fate) = send
            .fate
            .filter(|fate| known.and_then(|known| known.fate) != Some(*fate))
        else {
            continue;
        };
        let (reason, action, what) = match send.call {
            Call::Cancel => (
                EventReason::CancelSent,
                "Cancel",
                format!("cancel of run {}", now.job_id.as_deref().unwrap_or("?")),
            ),
            Call::Reload => (EventReason::ReloadSent, "Reload", "reload".to_owned()),
            Call::Enable => (
                EventReason::TableEnabled,
                "Enable",
                "request to switch the table on".to_owned(),
            ),
        };
        let said = if send.detail.is_empty() {
            String::new()
        } else {
            format!(" ({})", send.detail)
        };
        notices.push(match fate {
            Fate::Accepted => about(
                false,
                reason,
                action,
                format!("{what} accepted by PostHog{said}; {}", now.message),
            ),
            Fate::Refused => about(
                true,
                EventReason::SendRefused,
                action,
                format!("{what} refused by PostHog{said}"),
            ),
            Fate::NotSent => about(
                true,
                EventReason::SendFailed,
                action,
                format!("{what} not sent{said}; will be retried"),
            ),
            Fate::Unknown => about(
                true,
                EventReason::SendUnknown,
                action,
                format!(
                    "unknown whether the {what} arrived{said}; not sent again before the operator has looked at the table's runs"
                ),
            ),
        });
    }
    if before.map(|before| (before.step, before.attempt)) != Some((now.step, now.attempt)) {
        let reached = match now.step {
            // Reported by the sends, or only a pause.
            Step::Enabling
            | Step::Cancelling
            | Step::WaitTerminal
            | Step::Reloading
            | Step::WaitNewJob => None,
            Step::Settle => Some((false, EventReason::JobEnded, "Cancel")),
            Step::WaitSuccess => Some((false, EventReason::NewJobSeen, "Reload")),
            Step::Recovered => Some((false, EventReason::Recovered, "Verify")),
            Step::BackOff => Some((true, EventReason::NewJobFailed, "Verify")),
            Step::Escalated => Some((true, EventReason::Escalated, "Verify")),
        };
        notices.extend(
            reached.map(|(warning, reason, action)| {
                about(warning, reason, action, now.message.clone())
            }),
        );
    }
    notices
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn that_posthog_cannot_be_read_is_one_event() {
        let status = |ready: (&str, &str), healthy: (&str, &str)| {
            let condition = |type_: &str, (status, reason): (&str, &str)| json!({"type": type_, "status": status, "reason": reason, "message": "m", "lastTransitionTime": "2026-10-01T00:00:00Z"});
            let conditions = json!([condition(READY, ready), condition(HEALTHY, healthy)]);
            serde_json::from_value(json!({"conditions": conditions})).unwrap()
        };
        let good = status(("True", "Polled"), ("True", "AllHealthy"));
        let unread = status(("False", "KeyRejected"), ("Unknown", "NotObserved"));
        let reasons = |old, new| -> Vec<EventReason> {
            let notices = transitions(old, new);
            notices.iter().map(|notice| notice.reason).collect()
        };
        let first = WarehouseSyncPolicyStatus::default();
        assert_eq!(reasons(&first, &unread), [EventReason::NotReady]);
        assert_eq!(reasons(&good, &unread), [EventReason::NotReady]);
        let both = [EventReason::Ready, EventReason::Healthy];
        assert_eq!(reasons(&unread, &good), both);
    }
}
