//! Findings: each problem, and what the operator does about it.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Deref,
};

use crate::{
    api::status::{
        Action, Affected, Confidence, Finding, FindingCount, Incident, MAX_AFFECTED, MAX_EVIDENCE,
        RootCause, Severity, Step,
    },
    decide::{Plan, plan::Kind, proposal::Key},
    diagnose::{
        Cause, Diagnosis, Judged, Problem,
        causes::{Reload, Remedy},
        problem::NAME_CAP,
    },
    posthog::{redact, wire::SchemaStatus},
};

/// Longest sentence of a finding, in characters.
const SENTENCE_CAP: usize = 500;

/// The findings of a reconcile: the most severe of them, and how many there are.
#[derive(Debug)]
pub struct Findings {
    /// The first, most severe first.
    pub shown: Vec<Finding>,
    /// How many there are.
    pub total: usize,
    /// How many of them are errors.
    pub errors: usize,
    /// How many of them are warnings.
    pub warnings: usize,
    /// How many of them have each cause and severity.
    pub counts: Vec<FindingCount>,
}

/// The findings of a reconcile, of which at most `most` are shown. Texts are built only for these: there may be thousands.
#[must_use]
pub fn findings(diagnosis: &Diagnosis, plan: &Plan, most: usize) -> Findings {
    let incidents: HashSet<&str> = plan
        .incidents
        .iter()
        .map(|incident| incident.schema_id.as_str())
        .collect();
    // Sorted, the most severe first.
    let problems: Vec<&Problem> = diagnosis
        .problems
        .iter()
        .filter(|problem| !is_covered_by_incident(problem, &incidents))
        .collect();
    let mut shown: Vec<Finding> = plan
        .incidents
        .iter()
        .filter_map(|incident| of_open_incident(incident, diagnosis, plan))
        .collect();
    let count = |severity| {
        let problems = problems.iter().filter(|p| p.severity == severity).count();
        problems + shown.iter().filter(|f| f.severity == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let total = problems.len() + shown.len();
    let counts = counted(
        problems
            .iter()
            .map(|problem| (problem.cause, problem.severity))
            .chain(
                shown
                    .iter()
                    .map(|finding| (finding.cause, finding.severity)),
            ),
    );
    let first = problems.into_iter().take(most);
    shown.extend(first.map(|problem| of_problem(problem, plan)));
    shown.sort_by(|a, b| {
        (a.severity, &a.source, &a.schema).cmp(&(b.severity, &b.source, &b.schema))
    });
    shown.truncate(most);
    Findings {
        shown,
        total,
        errors,
        warnings,
        counts,
    }
}

/// How often each occurs, the most severe first, so that the same findings are always written the same way.
fn counted(kinds: impl Iterator<Item = (RootCause, Severity)>) -> Vec<FindingCount> {
    let mut counts = BTreeMap::new();
    for (cause, severity) in kinds {
        let (_, count) = counts
            .entry((severity, cause.as_str()))
            .or_insert((cause, 0));
        *count += 1;
    }
    counts
        .into_iter()
        .map(|((severity, _), (cause, count))| FindingCount {
            cause,
            severity,
            count,
        })
        .collect()
}

/// The finding of an incident; none once it has recovered.
fn of_open_incident(incident: &Incident, diagnosis: &Diagnosis, plan: &Plan) -> Option<Finding> {
    let judged = diagnosis.of(&incident.schema_id);
    // The new run may still show the error of the previous one.
    let runs = judged.is_some_and(|judged| {
        judged.status == SchemaStatus::Running && judged.verdict.why_stuck().is_none()
    });
    let waits = matches!(incident.step, Step::BackOff | Step::Escalated);
    match incident.step {
        // An outage is one finding, for all tables.
        _ if waits && diagnosis.in_outage.contains(&incident.schema_id) => None,
        // The list may still show the error that the new run has fixed; the next poll shows later ones.
        Step::Recovered => None,
        Step::WaitSuccess if runs => None,
        _ => Some(of_incident(incident, judged, plan)),
    }
}

/// True for the problem of a table whose incident has a finding.
fn is_covered_by_incident(problem: &Problem, incidents: &HashSet<&str>) -> bool {
    let table = problem
        .table
        .as_ref()
        .filter(|_| problem.affected.is_empty());
    table.is_some_and(|(id, _)| incidents.contains(id.as_str()))
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
    let next_action = next_action(&schema_id, plan).or_else(|| of_source(source_id, *cause, plan));
    let said = plan.said.get(&Key::of(problem));
    let next_action =
        next_action.or_else(|| said.map(|said| redact::one_line(&said.next, SENTENCE_CAP)));
    let remedy = Cause::of(*cause).remedy_for(rule);
    let fits = said.map(|said| said.action.of_finding());
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
        advice: advice.with_operator.to_owned(),
        action: fits.or(remedy.action()),
        next_action: next_action.unwrap_or_else(|| {
            without_action(Cause::of(*cause), remedy, *severity, table.is_none())
        }),
        schema_id,
    }
}

/// What is said of a cause when nothing is planned, held or proposed.
fn without_action(cause: &Cause, remedy: Remedy, severity: Severity, is_of_source: bool) -> String {
    let said = match remedy {
        Remedy::Safe(_)
            if matches!((cause.reload, severity), (Reload::Stale, Severity::Warning)) =>
        {
            "No automatic remediation while this is a warning."
        }
        Remedy::Safe(Action::ApplyCredentials) => {
            "No automatic remediation: spec.credentials has no credentials for this source that could be sent."
        }
        Remedy::NeedsApproval(_) if is_of_source => {
            "No proposal: the tables of this source fail in the same way, so the source is the more likely problem. Check it first."
        }
        Remedy::Safe(action) => {
            return format!("No automatic remediation yet: {}", not_confirmed(action));
        }
        Remedy::NeedsApproval(action) => {
            return format!("No proposal yet: {}", not_confirmed(action));
        }
        Remedy::Nothing => "No automatic remediation.",
    };
    said.to_owned()
}

fn not_confirmed(action: Action) -> String {
    format!("the operator has not confirmed everything that {action:?} requires.")
}

/// What the operator does about a table next, or what is held.
fn next_action(schema_id: &str, plan: &Plan) -> Option<String> {
    if schema_id.is_empty() {
        return None;
    }
    let mut orders = plan.orders.iter();
    if let Some(order) = orders.find(|order| order.subject.id() == schema_id) {
        return Some(format!("The operator will {}.", order.what));
    }
    // The text about a proposal says what holds it.
    let mut held = plan.held.iter().filter(|held| held.kind != Kind::Approved);
    let held = held.find(|held| held.schema_id == schema_id)?;
    Some(redact::one_line(
        &format!("Held: {}. Reason: {}.", held.what, held.blocked_by),
        SENTENCE_CAP,
    ))
}

/// What the operator sends for a source next, or what is held.
fn of_source(source_id: &str, cause: RootCause, plan: &Plan) -> Option<String> {
    if !Cause::of(cause).is_remedied_at_source() || source_id.is_empty() {
        return None;
    }
    next_action(source_id, plan)
}

fn of_incident(incident: &Incident, judged: Option<&Judged>, plan: &Plan) -> Finding {
    let next = match incident.step {
        Step::Enabling => "The operator switches the table on, then reloads it.",
        Step::Cancelling => "The operator cancels the run, then reloads the table.",
        Step::WaitTerminal => "The operator waits for the run to end, then reloads the table.",
        Step::Settle => "The operator reloads the table after a short pause.",
        Step::Reloading => "The operator reloads the table.",
        Step::WaitNewJob => "The operator waits for a new run.",
        Step::WaitSuccess => "The operator waits for the new run to complete.",
        Step::BackOff => "The operator reloads the table again after a pause.",
        Step::Recovered => "Nothing.",
        Step::Escalated => "Action required: the operator has no safe action left.",
    };
    let planned = next_action(&incident.schema_id, plan);
    let is_planned = planned.is_some();
    let next_action = planned.unwrap_or_else(|| next.to_owned());
    // A failed run shows its cause; a hung or restarted one does not, but its incident knows.
    let hung = Cause::of(incident.cause).reload == Reload::AfterCancel;
    let problem = judged.filter(|_| !hung).and_then(Problem::of_table);
    if let Some(problem) = problem {
        let mut finding = of_problem(&problem, plan);
        finding.evidence.insert(0, sentence(&incident.message));
        finding.evidence.truncate(MAX_EVIDENCE);
        let is_escalated = incident.step == Step::Escalated && !is_planned;
        let what_to_do = || format!("Action required: {}", sentence(&incident.message));
        return Finding {
            next_action: is_escalated.then(what_to_do).unwrap_or(next_action),
            ..finding
        };
    }
    // At first, the message says so itself.
    let is_new = matches!(
        (incident.step, &incident.job_id),
        (Step::Cancelling, _) | (Step::Reloading, None)
    );
    let of_what = match &incident.job_id {
        _ if !hung || is_new => "",
        Some(_) => "Stuck run: ",
        None => "Status Running without a run: ",
    };
    Finding {
        source: incident.source.clone(),
        source_id: incident.source_id.clone(),
        schema: redact::one_line(&incident.schema, NAME_CAP),
        schema_id: incident.schema_id.clone(),
        cause: incident.cause,
        severity: Severity::Error,
        confidence: Confidence::High,
        rule: if hung {
            "run/no-progress".to_owned()
        } else {
            String::new()
        },
        message: sentence(&format!("{of_what}{}", incident.message)),
        evidence: judged
            .map(|judged| capped(&judged.evidence))
            .unwrap_or_default(),
        affected: None,
        since: Some(incident.opened_at),
        advice: Cause::of(incident.cause).advice.with_operator.to_owned(),
        action: Cause::of(incident.cause).remedy.action(),
        next_action,
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

fn capped(facts: &[impl Deref<Target = str>]) -> Vec<String> {
    facts
        .iter()
        .take(MAX_EVIDENCE)
        .map(|fact| redact::text(fact, SENTENCE_CAP))
        .collect()
}
