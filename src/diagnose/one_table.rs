//! How one table stands, for somebody who asks about it by name: also of a run that shows no trouble, with how far it is and what it is
//! known by.

use super::{
    diagnosis::Diagnosis,
    known::Known,
    stuck::in_unknown_words,
    suspects::describe,
    words::{posthog_works, refused_start, seconds, several_runs},
};
use crate::{
    api::status::RootCause,
    observe::{Newest, RunProbe, canary::words},
    posthog::{
        lax::Lax,
        wire::{JobStatus, Schema, SchemaStatus, Source},
    },
};

/// How a table stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// How it is, in a sentence.
    pub verdict: String,
    /// Why, if something is the matter.
    pub cause: Option<RootCause>,
    /// How far its run is, if one is in progress.
    pub phase: Option<&'static str>,
    /// What that is known by.
    pub evidence: Vec<String>,
    /// What to do by hand.
    pub advice: &'static str,
}

/// How one table stands, by a single look.
#[must_use]
pub fn state_of(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    (source, schema): (&Source, &Schema),
) -> TableReport {
    let run_probe = known
        .snapshot
        .seen(&schema.id)
        .and_then(|seen| seen.run_probe.as_ref());
    let mut problems = diagnosis.problems.iter();
    let problem = problems.find(|problem| {
        let table = problem.table.as_ref();
        table.is_some_and(|(id, _)| *id == schema.id)
    });
    let mut evidence: Vec<String> = run_probe.map(describe).unwrap_or_default();
    let running = run_probe.filter(|run_probe| runs(run_probe));
    if let Some(run_probe) = running {
        evidence.extend(of_run(schema, run_probe));
        evidence.extend(unknown_line(known, run_probe));
        evidence.push(canary(known, schema));
    }
    let phase = running
        .and_then(|run_probe| run_probe.log.read())
        .map(|log| log.phase(&words(&known.snapshot.canaries)).as_str());
    match problem {
        Some(problem) => {
            let said = problem.evidence.iter().map(|fact| fact.as_str().to_owned());
            let more: Vec<String> = said.filter(|fact| !evidence.contains(fact)).collect();
            evidence.extend(more);
            TableReport {
                verdict: problem.message.clone(),
                cause: Some(problem.cause),
                phase,
                evidence,
                advice: problem.advice.by_hand,
            }
        }
        None => TableReport {
            verdict: without_problem(source, schema, running.is_some()).to_owned(),
            cause: None,
            phase,
            evidence,
            advice: "Nothing.",
        },
    }
}

fn runs(run_probe: &RunProbe) -> bool {
    matches!(run_probe.newest(), Newest::Job(job, _) if job.status() == JobStatus::Running)
}

fn without_problem(source: &Source, schema: &Schema, runs: bool) -> &'static str {
    if schema.is_off() {
        return "Syncing is switched off.";
    }
    match schema.status() {
        SchemaStatus::Running if runs => {
            "A run is in progress, without a sign of trouble in one read."
        }
        SchemaStatus::Running => "Its status is Running, without a sign of trouble in one read.",
        SchemaStatus::Completed if source.is_warehouse() => "The last run completed in time.",
        SchemaStatus::Completed => "The last run completed.",
        SchemaStatus::Never => "It has never run.",
        SchemaStatus::Failed
        | SchemaStatus::Paused
        | SchemaStatus::Billing
        | SchemaStatus::Unknown => "Unknown from one read.",
    }
}

/// What else tells whether a run in progress is alive.
fn of_run(schema: &Schema, run_probe: &RunProbe) -> Vec<String> {
    let mut facts = Vec::new();
    let running = run_probe.running().count();
    if running > 1 {
        facts.push(several_runs(running));
    }
    if let Newest::Job(job, began) = run_probe.newest() {
        if let Some(reason) = job.why_opaque() {
            facts.push(format!("the silence of this run proves nothing: {reason}"));
        }
        if matches!(schema.last_synced_at, Lax::Is(at) if at >= began) {
            facts
                .push("PostHog has marked the run as synced: it is finishing the table".to_owned());
        }
    }
    let Some(log) = run_probe.log.read() else {
        return facts;
    };
    if !log.has_own_lines {
        facts.push("the log has no lines of this run".to_owned());
    }
    if let Some(at) = log.vouched_at {
        let at = seconds(at);
        facts.push(format!(
            "PostHog itself found the run alive at {at}, when it refused another start"
        ));
    }
    if let Some(at) = log.doubted_at {
        facts.push(refused_start(seconds(at)));
    }
    facts
}

/// A line of the run that this version does not know, if it hides how far the run is.
fn unknown_line(known: &Known<'_>, run_probe: &RunProbe) -> Option<String> {
    let log = run_probe.log.read()?;
    let words = words(&known.snapshot.canaries);
    log.unexplained(&words).map(in_unknown_words)
}

/// What proves that `PostHog` works, without which no silence proves anything.
fn canary(known: &Known<'_>, schema: &Schema) -> String {
    let others = known.snapshot.canaries.iter();
    let others = others.filter(|canary| canary.schema_id != schema.id);
    match others.max_by_key(|canary| canary.finished_at) {
        Some(canary) if canary.has_lines => posthog_works(canary),
        Some(canary) => format!(
            "the log of {}, which completed a run at {}, is empty: silence proves nothing here",
            canary.name,
            seconds(canary.finished_at)
        ),
        None => {
            "no completed run of another table was found, so PostHog itself may be down".to_owned()
        }
    }
}
