//! What a single read of a project can show. The operator observes a run for hours before it calls it stuck, and returns to what it had no time for;
//! one call on the command line has only the times and the list of `PostHog`, so its findings have less confidence.

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;

use super::{
    causes::{Cause, Reload, rules::RUN_LATE},
    diagnosis::Diagnosis,
    known::Known,
    problem::{Fact, Problem},
    suspects::{running, suspects},
    verdict::Judged,
    words::{in_words, seconds},
};
use crate::{
    api::{
        Timings, ValidatedPolicy,
        status::{Confidence, RootCause, Severity},
    },
    observe::{Log, Newest, RunPhase, RunProbe, Seen, Snapshot, canary::words},
    posthog::wire::{JobStatus, SchemaStatus},
};

/// The suspicious tables of which only the row in the list is known.
#[derive(Debug, Default)]
pub struct Unprobed {
    ids: HashSet<String>,
    /// How many of them were not probed.
    pub not_asked: usize,
    /// How many of them brought no usable answer.
    pub no_answer: usize,
    /// Why the first of those did not.
    pub reason: Option<String>,
}

impl Unprobed {
    /// Finds them in `snapshot`, and prepares it so that the list decides about them. `cut_off` says that answers ended before
    /// the questions did: then a run of which nothing could be read is no oddity of its own.
    #[must_use]
    pub fn of(
        policy: &ValidatedPolicy,
        snapshot: &mut Snapshot,
        timings: &Timings,
        now: Timestamp,
        cut_off: bool,
    ) -> Self {
        let mut unprobed = Self::default();
        unprobed.drop_empty_probes(snapshot, cut_off);
        let due = suspects(policy, snapshot, &[], timings, now);
        for suspect in due.into_iter().chain(running(snapshot)) {
            let id = suspect.schema_id;
            let run_probed = |seen: &Seen| seen.run_probe.is_some();
            if !snapshot.seen(&id).is_some_and(run_probed) && unprobed.ids.insert(id.clone()) {
                unprobed.not_asked += usize::from(!snapshot.run_probed.contains(&id));
                let_the_list_decide(snapshot, &suspect.source_id, &id, now);
            }
        }
        unprobed
    }

    /// Looks that could not read the runs of a table hide what the list says of it.
    fn drop_empty_probes(&mut self, snapshot: &mut Snapshot, cut_off: bool) {
        let sources = snapshot.sources.clone();
        for schema in sources.iter().flat_map(|source| &source.schemas) {
            // The list says nothing of a run in progress: that it cannot be read is all that there is to tell.
            let shows = cut_off || schema.status() != SchemaStatus::Running;
            let Some(seen) = snapshot.runs.get_mut(schema.id.as_str()).filter(|_| shows) else {
                continue;
            };
            if let Some(Newest::Unclear(reason)) = seen.run_probe.as_ref().map(RunProbe::newest) {
                self.no_answer += 1;
                self.reason.get_or_insert_with(|| reason.to_owned());
                let seen = Arc::make_mut(seen);
                (seen.run_probe, seen.unclear) = (None, None);
            }
        }
    }

    /// Lowers the confidence of a problem that is based on the list alone.
    fn weaken(&self, problem: &mut Problem) {
        let of = |(id, _): &(String, String)| self.ids.contains(id);
        if !problem.table.as_ref().is_some_and(of) {
            return;
        }
        problem.confidence = Confidence::Low;
        let mut fact = "its runs were not read: this is known from PostHog's list only".to_owned();
        if Cause::of(problem.cause).reload == Reload::Stale {
            // No worse than that, and without evidence from the placeholder.
            problem.severity = problem.severity.max(Severity::Warning);
            problem.evidence.clear();
            fact.push_str(", which may not show a run that found no new rows");
        }
        problem.evidence.insert(0, fact.into());
    }
}

/// The age of a completed run is judged only beside a look. One that knows no run stands in, so that the list's time counts.
fn let_the_list_decide(snapshot: &mut Snapshot, source_id: &str, id: &str, now: Timestamp) {
    let row = snapshot.row(source_id, id).map(|(_, row)| row);
    let Some(row) = row.filter(|row| row.status() == SchemaStatus::Completed) else {
        return;
    };
    let mut seen = Seen::first(row, now);
    seen.run_probe = Some(RunProbe::new(now, id, Ok(Vec::new()), Log::NotRead));
    snapshot.runs.insert(id.to_owned(), Arc::new(seen));
}

/// Adds what one look can say, and takes away what it cannot.
pub fn add(known: &Known<'_>, unprobed: &Unprobed, diagnosis: &mut Diagnosis) {
    let more: Vec<Problem> = diagnosis
        .judged
        .iter()
        .filter(|judged| judged.verdict.is_running())
        .filter_map(|judged| of_run(known, judged))
        .collect();
    // A run that looks stuck is why its table is late: one finding.
    diagnosis.problems.retain(|late| {
        late.rule != RUN_LATE || !more.iter().any(|stuck| stuck.table == late.table)
    });
    diagnosis.problems.extend(more);
    for problem in &mut diagnosis.problems {
        unprobed.weaken(problem);
        problem.evidence.retain(|fact| *fact != Fact::NobodySaw);
    }
}

fn of_run(known: &Known<'_>, judged: &Judged) -> Option<Problem> {
    let run_probe = known.snapshot.seen(&judged.schema_id)?.run_probe.as_ref()?;
    match run_probe.newest() {
        Newest::Unclear(_) => None,
        Newest::Job(job, began) if job.status() == JobStatus::Running => {
            let silent_since = silent(known, judged, began, &run_probe.log)?;
            let message = format!(
                "The run may be stuck: no line in its log for {}, Running since {} (job {})",
                in_words(known.now.duration_since(silent_since)),
                seconds(began),
                job.id
            );
            let words = words(&known.snapshot.canaries);
            let phase = run_probe.log.read().map(|log| log.phase(&words));
            Some(looks_stuck(judged, message, silent_since, phase))
        }
        Newest::Job(job, began) => {
            let ended = job.finished_at.get().copied().unwrap_or(began);
            let long = known.now.duration_since(ended) >= known.timings.phantom_after;
            long.then(|| without_job(judged, "Its status is Running, but no run is in progress"))
        }
        Newest::None => Some(without_job(
            judged,
            "Its status is Running, but PostHog lists no run of it",
        )),
    }
}

fn looks_stuck(
    judged: &Judged,
    message: String,
    since: Timestamp,
    phase: Option<RunPhase>,
) -> Problem {
    let single = "read once only: a run that works without log lines looks the same, and a loading run may be silent for hours; check its rows again later";
    let phase = phase.map(|phase| format!("phase of the run by its log: {}", phase.as_str()));
    let seen = phase.into_iter().chain(judged.evidence.iter().cloned());
    Problem {
        since: Some(since),
        evidence: std::iter::once(single.into())
            .chain(seen.map(Fact::Said))
            .collect(),
        ..stuck(judged, "run/looks-stuck", message)
    }
}

/// A single read does not show since when it says Running: it may have said so for a minute.
fn without_job(judged: &Judged, message: &str) -> Problem {
    Problem {
        severity: Severity::Info,
        evidence: vec![
            "read once only: PostHog may start a run up to an hour after a request; check again after that".into(),
        ],
        ..stuck(judged, "run/no-job", message.to_owned())
    }
}

fn stuck(judged: &Judged, rule: &'static str, message: String) -> Problem {
    Problem {
        table: Some((judged.schema_id.clone(), judged.schema.clone())),
        severity: Severity::Warning,
        confidence: Confidence::Low,
        ..Problem::of_source(
            judged.source.clone(),
            &judged.source_id,
            RootCause::Stuck,
            rule,
            message,
        )
    }
}

/// Since when a run that is old enough has been silent for long enough, by `PostHog`'s own times.
fn silent(known: &Known<'_>, judged: &Judged, began: Timestamp, log: &Log) -> Option<Timestamp> {
    let (source, schema) = known.snapshot.row(&judged.source_id, &judged.schema_id)?;
    let health = known.health(source, schema);
    let last = match log {
        Log::Read(log) => log.worked.map_or(began, |(at, _)| at),
        Log::NotRead | Log::Unreadable(_) => return None,
    };
    let old = known.now.duration_since(began) >= health.stuck_after;
    (old && known.now.duration_since(last) >= health.no_progress_for).then_some(last)
}
