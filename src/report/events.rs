//! Events: what changed from one status to the next, each saying what, why and what next. A steady state publishes none.

use crate::{
    api::{
        WarehouseSyncPolicyStatus,
        conditions::{HEALTHY, READY, REMEDIATION_ALLOWED},
        proposal::{Phase, Proposal},
        status::{Call, Fate, Finding, Handover, Incident, Severity, SourceState, Step},
    },
    decide::proposal::note,
    posthog::redact,
};

/// Longest note of an event, in characters; the API server refuses more than 1,024.
const NOTE_CAP: usize = 900;

/// An event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// True for events of type Warning.
    pub warning: bool,
    /// `PascalCase`, from a closed list.
    pub reason: &'static str,
    /// What the operator was doing.
    pub action: &'static str,
    /// What, why, what next.
    pub note: String,
    /// Id of the table that it is about: events about different tables must not be merged into one.
    pub schema_id: Option<String>,
}

/// The events that lead from `old` to `new`.
#[must_use]
pub fn transitions(
    old: &WarehouseSyncPolicyStatus,
    new: &WarehouseSyncPolicyStatus,
) -> Vec<Notice> {
    let mut notices: Vec<Notice> = [READY, HEALTHY, REMEDIATION_ALLOWED]
        .iter()
        .filter_map(|type_| condition(old, new, type_))
        .collect();
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
        notices.extend(handovers(before, state));
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

/// A policy that is left as it is, because this operator does not understand all of it.
#[must_use]
pub fn left_alone(why: &str) -> Notice {
    notice(true, "LeftAlone", "Poll", why, None)
}

fn notice(
    warning: bool,
    reason: &'static str,
    action: &'static str,
    note: &str,
    schema_id: Option<&str>,
) -> Notice {
    let note = redact::one_line(note, NOTE_CAP);
    Notice {
        warning,
        reason,
        action,
        note,
        schema_id: schema_id.map(str::to_owned),
    }
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
    // Nobody needs to hear that a new policy observes.
    if same
        || (before.is_none() && type_ == REMEDIATION_ALLOWED && now.reason != "KeyLacksWriteScope")
    {
        return None;
    }
    let (good, bad) = match type_ {
        READY => ("Ready", "NotReady"),
        HEALTHY => ("Healthy", "Unhealthy"),
        _ => ("RemediationAllowed", "RemediationHeld"),
    };
    let true_now = now.status == "True";
    let note = format!("{}: {}", now.reason, now.message);
    Some(notice(
        !true_now,
        if true_now { good } else { bad },
        "Poll",
        &note,
        None,
    ))
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
        "FindingOpened",
        "Diagnose",
        &note,
        Some(finding.subject_id()),
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
        "{}: {} proposed, to {}. Why: {}. To approve: {approve_command} Cost: {}",
        proposal.title(),
        action.as_str(),
        redact::one_line(&steps.join(", then "), 200),
        redact::one_line(reason.trim_end_matches('.'), 150),
        impact.cost,
    );
    notice(
        false,
        "ProposalOpened",
        "Propose",
        &note,
        Some(proposal.subject_id()),
    )
}

/// A proposal that has come to another phase.
fn moved_on(proposal: &Proposal) -> Option<Notice> {
    let (warning, reason) = match proposal.phase {
        Phase::AwaitingApproval | Phase::Verifying => return None,
        Phase::Approved => (false, "ProposalApproved"),
        Phase::Executing => (false, "ProposalExecuting"),
        Phase::Executed => (false, "ProposalExecuted"),
        Phase::Failed => (true, "ProposalFailed"),
        Phase::OutcomeUnknown => (true, "ProposalOutcomeUnknown"),
        Phase::Denied => (false, "ProposalDenied"),
        Phase::Expired => (true, "ProposalExpired"),
        Phase::Withdrawn => (false, "ProposalWithdrawn"),
        Phase::Superseded => (false, "ProposalSuperseded"),
    };
    let note = note(proposal);
    let subject = Some(proposal.subject_id());
    Some(notice(warning, reason, "Execute", &note, subject))
}

/// What was handed over for a source, once its fate is known.
fn handovers(before: Option<&SourceState>, now: &SourceState) -> Vec<Notice> {
    type Part = fn(&SourceState) -> Option<&Handover>;
    let parts: [(Part, &str, &str); 3] = [
        (
            |state| state.credentials.as_ref(),
            "CredentialsApplied",
            "the credentials in the Secret",
        ),
        (
            |state| state.webhook.as_ref(),
            "WebhookRegistered",
            "the registration of the webhook",
        ),
        (
            |state| state.webhook_inputs.as_ref(),
            "WebhookInputsPushed",
            "the inputs of the webhook",
        ),
    ];
    parts
        .into_iter()
        .filter_map(|(part, reason, what)| {
            let handed = part(now)?;
            let fate = handed.fate?;
            if before.and_then(part) == Some(handed) {
                return None;
            }
            let said = if handed.detail.is_empty() {
                String::new()
            } else {
                format!(" ({})", handed.detail)
            };
            let (reason, became) = match fate {
                Fate::Accepted => (reason, "accepted by PostHog"),
                Fate::Refused => ("SendRefused", "refused by PostHog"),
                Fate::NotSent => ("SendFailed", "did not leave; it is tried again"),
                Fate::Unknown => ("SendUnknown", "failed, or nobody knows whether it arrived"),
            };
            let note = format!("source {}: {what} {became}{said}", now.id);
            let warning = fate != Fate::Accepted;
            Some(notice(warning, reason, "HandOver", &note, Some(&now.id)))
        })
        .collect()
}

/// Why an incident left the list stands in the history, as its newest entry on the table.
fn closed(gone: &Incident, new: &WarehouseSyncPolicyStatus) -> Notice {
    let prefix = format!("{}: ", gone.schema);
    let why = new
        .history
        .iter()
        .find_map(|entry| entry.what.strip_prefix(&prefix));
    let note = format!(
        "{} {}: {}",
        gone.source,
        gone.schema,
        why.unwrap_or("the incident is closed")
    );
    notice(
        false,
        "IncidentClosed",
        "Verify",
        &note,
        Some(&gone.schema_id),
    )
}

/// What changed in an incident: answers that came in, then the step that was reached.
fn incident_notices(before: Option<&Incident>, now: &Incident) -> Vec<Notice> {
    let mut notices = Vec::new();
    let about = |warning, reason, action, note: String| {
        notice(
            warning,
            reason,
            action,
            &format!("{} {}: {note}", now.source, now.schema),
            Some(&now.schema_id),
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
                "CancelSent",
                "Cancel",
                format!("cancel of job {}", now.job_id.as_deref().unwrap_or("?")),
            ),
            Call::Reload => ("ReloadSent", "Reload", "reload".to_owned()),
            Call::Enable => ("TableEnabled", "Enable", "switching on".to_owned()),
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
                "SendRefused",
                action,
                format!("{what} refused by PostHog{said}"),
            ),
            Fate::NotSent => about(
                true,
                "SendFailed",
                action,
                format!("{what} did not leave{said}; it is tried again"),
            ),
            Fate::Unknown => about(
                true,
                "SendUnknown",
                action,
                format!("nobody knows whether the {what} arrived{said}; looking at jobs instead"),
            ),
        });
    }
    if before.map(|before| (before.step, before.attempt)) != Some((now.step, now.attempt)) {
        let reached = match now.step {
            // Told by the sends, or only a pause.
            Step::Enabling
            | Step::Cancelling
            | Step::WaitTerminal
            | Step::Reloading
            | Step::WaitNewJob => None,
            Step::Settle => Some((false, "JobEnded", "Cancel")),
            Step::WaitSuccess => Some((false, "NewJobSeen", "Reload")),
            Step::Recovered => Some((false, "Recovered", "Verify")),
            Step::BackOff => Some((true, "NewJobFailed", "Verify")),
            Step::Escalated => Some((true, "Escalated", "Verify")),
        };
        notices.extend(
            reached.map(|(warning, reason, action)| {
                about(warning, reason, action, now.message.clone())
            }),
        );
    }
    notices
}
