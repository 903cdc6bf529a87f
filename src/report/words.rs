//! Findings: each problem that somebody should know of, with what the operator does about it.

use crate::{
    api::status::{
        Affected, Confidence, Finding, Incident, MAX_AFFECTED, MAX_EVIDENCE, Severity, Step,
    },
    decide::{
        Plan,
        plan::in_words,
        remedy::{Remedy, remedy},
    },
    diagnose::{Diagnosis, Judged, Problem, Verdict, problem::NAME_CAP},
    posthog::redact,
};

/// Longest sentence of a finding, in characters.
const SENTENCE_CAP: usize = 500;

/// The findings of a pass, most severe first.
#[must_use]
pub fn findings(diagnosis: &Diagnosis, plan: &Plan) -> Vec<Finding> {
    let mut findings: Vec<Finding> = diagnosis
        .problems
        .iter()
        .filter(|problem| !is_told_by_incident(problem, plan))
        .map(|problem| of_problem(problem, plan))
        .collect();
    findings.extend(plan.incidents.iter().filter_map(|incident| {
        let judged = diagnosis.of(&incident.schema_id);
        let runs = judged.is_some_and(|judged| judged.verdict == Verdict::Running);
        match incident.step {
            // The list may still show what the new job has mended; it tells of what came after at the next poll.
            Step::Recovered => None,
            Step::WaitSuccess if runs => None,
            _ => Some(of_incident(incident, judged, plan)),
        }
    }));
    findings.sort_by(|a, b| {
        (a.severity, &a.source, &a.schema).cmp(&(b.severity, &b.source, &b.schema))
    });
    findings
}

/// True for the problem of a table of which an incident tells more.
fn is_told_by_incident(problem: &Problem, plan: &Plan) -> bool {
    let Some((id, _)) = problem
        .table
        .as_ref()
        .filter(|_| problem.affected.is_empty())
    else {
        return false;
    };
    plan.incidents
        .iter()
        .any(|incident| incident.schema_id == *id)
}

fn of_problem(problem: &Problem, plan: &Plan) -> Finding {
    let Problem {
        source,
        source_id,
        table,
        cause,
        severity,
        confidence,
        rule,
        message,
        evidence,
        since,
        affected,
        advice,
    } = problem;
    let (schema_id, schema) = table.clone().unwrap_or_default();
    let next_action = next_action(&schema_id, plan);
    Finding {
        source: source.clone(),
        source_id: source_id.clone(),
        schema,
        cause: *cause,
        severity: *severity,
        confidence: *confidence,
        rule: (*rule).to_owned(),
        message: sentence(message),
        evidence: capped(evidence),
        affected: (!affected.is_empty()).then(|| Affected {
            count: i64::try_from(affected.len()).unwrap_or(i64::MAX),
            schemas: affected.iter().take(MAX_AFFECTED).cloned().collect(),
        }),
        since: *since,
        advice: (*advice).to_owned(),
        action: remedy(*cause).action(),
        next_action: next_action.unwrap_or_else(|| by_hand(remedy(*cause)).to_owned()),
        schema_id,
    }
}

/// What the operator does about a cause for which it has no procedure yet.
const fn by_hand(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Safe(_) => {
            "Nothing by itself: this version of the operator leaves the action to a person."
        }
        Remedy::NeedsApproval(_) => {
            "Nothing by itself: the action could cost data, and this version of the operator leaves it to a person."
        }
        Remedy::Nothing => "Nothing: there is nothing that the operator could do about it.",
    }
}

/// What the operator does about a table next, or would do.
fn next_action(schema_id: &str, plan: &Plan) -> Option<String> {
    if schema_id.is_empty() {
        return None;
    }
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

fn of_incident(incident: &Incident, judged: Option<&Judged>, plan: &Plan) -> Finding {
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
        source_id: incident.source_id.clone(),
        schema: redact::one_line(&incident.schema, NAME_CAP),
        schema_id: incident.schema_id.clone(),
        cause: incident.cause,
        severity: Severity::Error,
        confidence: Confidence::High,
        rule: "run/no-progress".to_owned(),
        message: sentence(&incident.message),
        evidence: judged
            .map(|judged| capped(&judged.evidence))
            .unwrap_or_default(),
        affected: None,
        since: Some(incident.opened_at),
        advice: crate::diagnose::advice::advice(incident.cause).to_owned(),
        action: remedy(incident.cause).action(),
        next_action: next_action(&incident.schema_id, plan).unwrap_or_else(|| next.to_owned()),
    }
}

/// A message as a sentence with its full stop, capped.
fn sentence(message: &str) -> String {
    let mut sentence = redact::one_line(message, SENTENCE_CAP);
    if !sentence.is_empty() && !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

fn capped(facts: &[String]) -> Vec<String> {
    facts
        .iter()
        .take(MAX_EVIDENCE)
        .map(|fact| redact::text(fact, SENTENCE_CAP))
        .collect()
}
