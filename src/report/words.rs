//! Findings: each verdict that somebody should know of, in words.

use crate::{
    api::status::{Confidence, Finding, Incident, RootCause, Severity, Step},
    decide::{Plan, plan::in_words},
    diagnose::{Judged, Verdict},
    posthog::redact,
};

/// Longest name of a table that is shown, in characters.
const NAME_CAP: usize = 160;
/// Longest sentence of a finding, in characters.
const SENTENCE_CAP: usize = 500;

/// The findings of a pass, most severe first.
#[must_use]
pub fn findings(judged: &[Judged], plan: &Plan) -> Vec<Finding> {
    let mut findings: Vec<Finding> = judged
        .iter()
        .filter_map(|judged| finding(judged, plan))
        .collect();
    for incident in &plan.incidents {
        let told = findings
            .iter()
            .any(|finding| finding.schema_id == incident.schema_id);
        if !told
            && incident.step != Step::Recovered
            && !judged
                .iter()
                .any(|j| j.schema_id == incident.schema_id && j.verdict == Verdict::Running)
        {
            findings.push(of_incident(incident, &[], plan));
        }
    }
    findings.sort_by(|a, b| {
        (a.severity, &a.source, &a.schema).cmp(&(b.severity, &b.source, &b.schema))
    });
    findings
}

fn finding(judged: &Judged, plan: &Plan) -> Option<Finding> {
    if let Some(incident) = plan
        .incidents
        .iter()
        .find(|incident| incident.schema_id == judged.schema_id)
    {
        return match incident.step {
            // The list may still show what the new job has mended; it tells of what came after at the next poll.
            Step::Recovered => None,
            Step::WaitSuccess if judged.verdict == Verdict::Running => None,
            _ => Some(of_incident(incident, &judged.evidence, plan)),
        };
    }
    let (cause, severity, confidence, since, message, advice) = match &judged.verdict {
        Verdict::Healthy | Verdict::Pending | Verdict::Running | Verdict::JustFailed | Verdict::Disabled { after: None } => return None,
        stuck @ (Verdict::StuckJob { since, .. } | Verdict::StuckWithoutJob { since, .. }) => (
            RootCause::Stuck,
            Severity::Error,
            Confidence::High,
            Some(*since),
            stuck.why_stuck().unwrap_or_default(),
            "Cancel the run in PostHog if there is one, wait a few minutes, then reload the table.".to_owned(),
        ),
        Verdict::Failing { since, cause: RootCause::OperatorAction, text } => (
            RootCause::OperatorAction,
            Severity::Info,
            Confidence::High,
            Some(*since),
            format!("Somebody stopped the last run in PostHog: {}.", text.as_deref().unwrap_or_default()),
            "Nothing: the next scheduled run goes on.".to_owned(),
        ),
        Verdict::Failing { since, cause, text } => (
            *cause,
            Severity::Error,
            Confidence::Low,
            Some(*since),
            format!("The last run failed: {}", text.as_deref().unwrap_or("PostHog gives no reason.")),
            "Look at the error in PostHog and mend its cause; the operator does nothing about failed runs.".to_owned(),
        ),
        Verdict::Disabled { after: Some(text) } => (
            RootCause::Unknown,
            Severity::Warning,
            Confidence::Low,
            None,
            format!("Syncing is switched off after a failure, by PostHog or by a person: {text}"),
            "If it was not on purpose: mend the cause, then switch syncing on again in PostHog.".to_owned(),
        ),
        Verdict::Billing => (
            RootCause::BillingLimit,
            Severity::Warning,
            Confidence::High,
            None,
            "PostHog's billing limit holds the table back.".to_owned(),
            "Raise the limit in PostHog, or switch off tables that matter less. Retrying does not help.".to_owned(),
        ),
        Verdict::Paused => (
            RootCause::Unknown,
            Severity::Info,
            Confidence::Low,
            None,
            "PostHog calls the table Paused, a state that it no longer sets itself.".to_owned(),
            "Switch syncing off and on again in PostHog if the table is wanted.".to_owned(),
        ),
        Verdict::CannotTell { reason } => (
            RootCause::Unknown,
            Severity::Warning,
            Confidence::Low,
            None,
            format!("Cannot tell how this table is: {reason}."),
            "Nothing is done about a table that is not understood; look at it in PostHog.".to_owned(),
        ),
    };
    Some(Finding {
        source: judged.source.clone(),
        schema: redact::one_line(&judged.schema, NAME_CAP),
        schema_id: judged.schema_id.clone(),
        cause,
        severity,
        confidence,
        message: redact::one_line(&message, SENTENCE_CAP),
        evidence: judged
            .evidence
            .iter()
            .map(|fact| redact::text(fact, SENTENCE_CAP))
            .collect(),
        since,
        next_action: next_action(&judged.schema_id, plan).unwrap_or(advice),
    })
}

/// What the operator does about a table next, or would do.
fn next_action(schema_id: &str, plan: &Plan) -> Option<String> {
    if let Some(action) = plan
        .actions
        .iter()
        .find(|action| action.incident.schema_id == schema_id)
    {
        return Some(format!(
            "The operator will {}.",
            in_words(action.call, &action.incident)
        ));
    }
    let held = plan.held.iter().find(|held| held.schema_id == schema_id)?;
    Some(redact::one_line(
        &format!(
            "The operator would {}; held: {}.",
            held.what, held.blocked_by
        ),
        SENTENCE_CAP,
    ))
}

fn of_incident(incident: &Incident, evidence: &[String], plan: &Plan) -> Finding {
    let next = match incident.step {
        Step::Cancelling => "The operator cancels the run, then reloads the table.",
        Step::WaitTerminal => "The operator waits for the run to end, then reloads the table.",
        Step::Settle => "The operator reloads the table after a short pause.",
        Step::Reloading => "The operator reloads the table.",
        Step::WaitNewJob => "The operator waits for a new job.",
        Step::WaitSuccess => "The operator waits for the new job to complete.",
        Step::Recovered => "Nothing.",
        Step::Escalated => "A human: the operator has done what is safe.",
    };
    Finding {
        source: incident.source.clone(),
        schema: redact::one_line(&incident.schema, NAME_CAP),
        schema_id: incident.schema_id.clone(),
        cause: incident.cause,
        severity: Severity::Error,
        confidence: Confidence::High,
        message: redact::one_line(&incident.message, SENTENCE_CAP),
        evidence: evidence
            .iter()
            .map(|fact| redact::text(fact, SENTENCE_CAP))
            .collect(),
        since: Some(incident.opened_at),
        next_action: next_action(&incident.schema_id, plan).unwrap_or_else(|| next.to_owned()),
    }
}
