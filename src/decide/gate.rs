//! The live gate: right before a call is sent, do its facts still hold?
//!
//! `cancel` stops the newest job at the time it arrives. So the gate requires the same job, still Running, with the same rows
//! and no newer line in its log. Anything unclear closes the gate.

use super::words::closed;
use crate::{
    api::{Timings, status::Incident},
    diagnose::{Cause, Diagnosis, Known, Verdict, causes::Reload, stuck::is_vouched_for},
    observe::{Canary, Log, Newest, RunPhase, RunProbe, Words, canary::words},
    posthog::{
        lax::Lax,
        wire::{JobStatus, Schema, SchemaStatus},
    },
};

/// How far the run was when it was judged stuck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StuckRun {
    /// The job.
    pub job_id: String,
    /// Its rows.
    pub rows: Option<i64>,
    /// When `PostHog` last worked on its table, by its own clock.
    pub log_at: Option<jiff::Timestamp>,
    /// How far it was.
    pub phase: RunPhase,
    /// In which words this `PostHog` writes its logs.
    pub words: Words,
    /// The canary: a run of another table that proves that `PostHog` works.
    pub canary: Option<Canary>,
}

impl StuckRun {
    /// Of the run of an incident, if it was judged dead.
    #[must_use]
    pub fn of(known: &Known<'_>, diagnosis: &Diagnosis, incident: &Incident) -> Option<Self> {
        let Verdict::StuckJob(silence) = &diagnosis.of(&incident.schema_id)?.verdict else {
            return None;
        };
        let seen = known.snapshot.seen(&incident.schema_id);
        let seen = seen.filter(|seen| seen.frozen)?;
        let mark = seen
            .mark
            .as_ref()
            .filter(|mark| mark.running && mark.job_id == incident.job_id)?;
        Some(Self {
            job_id: mark.job_id.clone()?,
            rows: mark.rows,
            log_at: mark.log_at,
            phase: silence.phase,
            words: words(&known.snapshot.canaries),
            canary: silence.canary.clone(),
        })
    }
}

/// Proof, by a live read, that a run is still stuck. Only [`still_stuck`] creates one.
#[derive(Debug)]
pub struct RunStillStuck {
    schema_id: String,
}

/// Proof, by a live read, that no run is in progress and syncing is on. Only [`no_run_in_progress`] creates one.
#[derive(Debug)]
pub struct NoRunInProgress {
    schema_id: String,
}

impl RunStillStuck {
    /// The table of the run.
    pub(super) fn schema_id(&self) -> &str {
        &self.schema_id
    }
}

impl NoRunInProgress {
    /// The table.
    pub(super) fn schema_id(&self) -> &str {
        &self.schema_id
    }
}

/// Why the gate is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// It could not be read.
    #[error("{0}")]
    Unread(String),
    /// It was read and does not fulfil the condition.
    #[error("{0}")]
    Changed(String),
}

fn changed<A>(why: impl Into<String>) -> Result<A, Closed> {
    Err(Closed::Changed(why.into()))
}

fn unread<A>(why: impl Into<String>) -> Result<A, Closed> {
    Err(Closed::Unread(why.into()))
}

/// Compares a live read with the run that was judged stuck.
pub fn still_stuck(
    schema_id: &str,
    stuck: &StuckRun,
    live: &RunProbe,
) -> Result<RunStillStuck, Closed> {
    let job = match live.newest() {
        Newest::Unclear(reason) => {
            return unread(closed::runs_unknown(reason));
        }
        Newest::None => return changed(closed::NO_RUN_LISTED),
        Newest::Job(job, _) => job,
    };
    if job.id != stuck.job_id {
        return changed(closed::newest_is(&job.id));
    }
    if job.status() != JobStatus::Running {
        return changed(closed::ended(&job.id));
    }
    let rows = match job.rows_synced {
        Lax::Is(rows) => Some(rows),
        Lax::Null => None,
        Lax::Missing | Lax::Odd => {
            return unread(closed::rows_unknown(&job.id));
        }
    };
    if rows != stuck.rows {
        return changed(closed::progresses(&job.id));
    }
    if job.is_finishing() {
        return changed(closed::loaded(&job.id));
    }
    match &live.log {
        Log::Read(_) if live.unfinished().count() > 1 => changed(closed::ANOTHER_RUN),
        // Neither is work of the run, so its newest line of work stays the same.
        Log::Read(log) if is_vouched_for(log, live.at) || log.doubted_at > stuck.log_at => {
            changed(closed::START_REFUSED)
        }
        // A line of its end that reached the log only now may be older than its last line of work.
        Log::Read(log) if log.phase(&stuck.words) != stuck.phase => {
            changed(closed::phase_is(&job.id, log.phase(&stuck.words).as_str()))
        }
        Log::Read(_) if live.worked_at() == stuck.log_at => Ok(RunStillStuck {
            schema_id: schema_id.to_owned(),
        }),
        Log::Read(_) => changed(closed::logs_again(&job.id)),
        Log::NotRead => unread(closed::LOG_NOT_READ),
        Log::Unreadable(reason) => unread(closed::log_unreadable(reason)),
    }
}

/// Checks with live reads of runs and table what a reload requires: no run is in progress, none has started since the
/// incident's attempt, syncing is on, and after a cancel `PostHog` no longer works on the table.
pub fn no_run_in_progress(
    (incident, timings): (&Incident, &Timings),
    live: &RunProbe,
    schema: &Schema,
) -> Result<NoRunInProgress, Closed> {
    match live.newest() {
        Newest::Unclear(reason) => {
            return unread(closed::runs_unknown(reason));
        }
        Newest::None if incident.baseline_job_id.is_none() => {}
        Newest::None => return changed(closed::NO_RUN_LISTED),
        Newest::Job(job, _) => {
            if Some(&job.id) != incident.baseline_job_id.as_ref() {
                return changed(closed::started(&job.id));
            }
            if !matches!(job.status(), JobStatus::Completed | JobStatus::Failed) {
                return changed(closed::not_ended(&job.id));
            }
        }
    }
    if let Some(job) = live.unfinished().next() {
        return changed(closed::older_not_ended(&job.id));
    }
    if incident.job_id.is_some() {
        match live.has_rested(timings, live.at) {
            Ok(true) => {}
            Ok(false) => return changed(closed::LOG_NOT_QUIET),
            Err(reason) => {
                return unread(closed::quiet_unknown(reason));
            }
        }
    }
    if schema.id != incident.schema_id || !schema.is_on() {
        return changed(closed::NOT_ON);
    }
    match schema.status() {
        SchemaStatus::Running | SchemaStatus::Failed => Ok(NoRunInProgress {
            schema_id: incident.schema_id.clone(),
        }),
        // A stale table has this status, and its newest run is still the one that was too old.
        SchemaStatus::Completed if Cause::of(incident.cause).reload == Reload::Stale => {
            Ok(NoRunInProgress {
                schema_id: incident.schema_id.clone(),
            })
        }
        // A table with the status Completed is healthy: the problem is over.
        SchemaStatus::Completed
        | SchemaStatus::Never
        | SchemaStatus::Paused
        | SchemaStatus::Billing
        | SchemaStatus::Unknown => changed(closed::status_is(schema.status())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        api::status::{Call, Mark, RootCause, Step},
        decide::{
            guards::fixture::{Situation, ago, of_incident},
            plan::Kind,
        },
        diagnose::{Judged, stuck::Silence},
        observe::Seen,
    };

    const TIMINGS: &Timings = &Timings::PRODUCTION;

    fn live(job: &str, log: Log) -> RunProbe {
        let jobs = format!("[{job}]");
        RunProbe::new(
            "2026-10-01T12:00:00Z".parse().unwrap(),
            "a1",
            Ok(serde_json::from_str(&jobs).unwrap()),
            log,
        )
    }

    fn job(id: &str, status: &str, rows: &str) -> String {
        format!(
            r#"{{"id":"{id}","created_at":"2026-10-01T01:00:00Z","status":"{status}","rows_synced":{rows},"schema":{{"id":"a1"}}}}"#
        )
    }

    fn stuck_run() -> StuckRun {
        StuckRun {
            job_id: "j1".into(),
            rows: Some(5),
            log_at: None,
            phase: RunPhase::Unknown,
            words: Words::default(),
            canary: None,
        }
    }

    #[test]
    fn only_the_same_job_that_has_not_moved_may_be_cancelled() {
        assert!(
            still_stuck(
                "a1",
                &stuck_run(),
                &live(&job("j1", "Running", "5"), Log::of_line(None))
            )
            .is_ok()
        );
        let older = job("j0", "Running", "5").replace("T01", "T00");
        let two = format!("{}, {older}", job("j1", "Running", "5"));
        let newer = Log::of_line(Some("2026-10-01T11:59:59Z".parse().unwrap()));
        for (why, run_probe) in [
            (
                "another job",
                live(&job("j2", "Running", "5"), Log::of_line(None)),
            ),
            ("ended", live(&job("j1", "Completed", "5"), Log::NotRead)),
            (
                "status unknown",
                live(&job("j1", "running", "5"), Log::of_line(None)),
            ),
            (
                "rows moved",
                live(&job("j1", "Running", "6"), Log::of_line(None)),
            ),
            (
                "rows gone",
                live(&job("j1", "Running", "null"), Log::of_line(None)),
            ),
            (
                "rows odd",
                live(&job("j1", "Running", r#""5""#), Log::of_line(None)),
            ),
            ("another run", live(&two, Log::of_line(None))),
            ("log moved", live(&job("j1", "Running", "5"), newer)),
            (
                "log not readable",
                live(&job("j1", "Running", "5"), Log::Unreadable("403".into())),
            ),
            (
                "log not read",
                live(&job("j1", "Running", "5"), Log::NotRead),
            ),
            (
                "no jobs",
                RunProbe::new(
                    "2026-10-01T12:00:00Z".parse().unwrap(),
                    "a1",
                    Ok(vec![]),
                    Log::NotRead,
                ),
            ),
            (
                "jobs unknown",
                RunProbe::new(
                    "2026-10-01T12:00:00Z".parse().unwrap(),
                    "a1",
                    Err("500".into()),
                    Log::NotRead,
                ),
            ),
        ] {
            assert!(
                still_stuck("a1", &stuck_run(), &run_probe).is_err(),
                "{why}"
            );
        }
    }

    fn incident(cause: RootCause, baseline: Option<&str>) -> Incident {
        Incident {
            schema_id: "a1".into(),
            schema: "t".into(),
            source: "s".into(),
            source_id: "s1".into(),
            cause,
            step: Step::Reloading,
            attempt: 1,
            job_id: None,
            baseline_job_id: baseline.map(str::to_owned),
            new_job_id: None,
            opened_at: "2026-10-01T12:00:00Z".parse().unwrap(),
            step_since: "2026-10-01T12:00:00Z".parse().unwrap(),
            deadline: None,
            healthy_since: None,
            sends: Vec::new(),
            message: String::new(),
        }
    }

    fn row(id: &str, on: &str, status: &str) -> Schema {
        let json = format!(r#"{{"id":"{id}","name":"t","should_sync":{on},"status":"{status}"}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn of_jobs(jobs: Result<&str, &str>) -> RunProbe {
        let jobs = jobs.map(|json| serde_json::from_str(json).unwrap());
        RunProbe::new(
            "2026-10-01T12:00:00Z".parse().unwrap(),
            "a1",
            jobs.map_err(str::to_owned),
            Log::NotRead,
        )
    }

    #[test]
    fn a_table_is_reloaded_only_if_its_newest_run_is_the_one_that_was_known_and_has_ended() {
        let failed = row("a1", "true", "Failed");
        let ended = |id: &str, status: &str| format!("[{}]", job(id, status, "5"));
        for (jobs, baseline, may) in [
            (ended("j1", "Failed"), Some("j1"), true),
            (ended("j1", "Completed"), Some("j1"), true),
            (ended("j1", "Running"), Some("j1"), false),
            (ended("j1", "running"), Some("j1"), false),
            (ended("j2", "Failed"), Some("j1"), false),
            (ended("j1", "Failed"), None, false),
            (
                format!(
                    "[{},{}]",
                    job("j1", "Failed", "5"),
                    job("j0", "Stopping", "5")
                ),
                Some("j1"),
                false,
            ),
            ("[]".to_owned(), None, true),
            ("[]".to_owned(), Some("j1"), false),
        ] {
            let incident = incident(RootCause::Transient, baseline);
            let gate = no_run_in_progress((&incident, TIMINGS), &of_jobs(Ok(&jobs)), &failed);
            assert_eq!(gate.is_ok(), may, "{jobs} after {baseline:?}: {gate:?}");
        }
        let unread = of_jobs(Err("500"));
        let of_none = incident(RootCause::Transient, None);
        let gate = no_run_in_progress((&of_none, TIMINGS), &unread, &failed);
        assert!(matches!(gate, Err(Closed::Unread(_))), "{gate:?}");
    }

    #[test]
    fn after_a_cancel_a_table_is_reloaded_only_once_its_log_is_quiet() {
        let cancelled = Incident {
            job_id: Some("j1".to_owned()),
            ..incident(RootCause::Stuck, Some("j1"))
        };
        let failed = row("a1", "true", "Failed");
        let line = |at: &str| Log::of_line(Some(at.parse().unwrap()));
        for (log, may) in [
            // A log that has lost its lines says nothing.
            (Log::of_line(None), false),
            (line("2026-10-01T11:50:00Z"), true),
            (line("2026-10-01T11:52:00Z"), false),
            (line("2026-10-01T12:04:00Z"), false),
            (Log::NotRead, false),
            (Log::Unreadable("403".to_owned()), false),
        ] {
            let seen = live(&job("j1", "Failed", "5"), log);
            let gate = no_run_in_progress((&cancelled, TIMINGS), &seen, &failed);
            assert_eq!(gate.is_ok(), may, "{:?}: {gate:?}", seen.log);
        }
    }

    #[test]
    fn a_table_is_reloaded_only_while_it_is_on_and_says_what_was_wrong() {
        let jobs = format!("[{}]", job("j1", "Completed", "5"));
        let live = of_jobs(Ok(&jobs));
        let (transient, stale) = (RootCause::Transient, RootCause::Stale);
        for (row, cause, may) in [
            (row("a1", "true", "Failed"), transient, true),
            (row("a1", "true", "Running"), transient, true),
            (row("a1", "true", "Completed"), transient, false),
            (row("a1", "true", "Completed"), stale, true),
            (row("a1", "true", "Failed"), stale, true),
            (row("a1", "true", "Paused"), stale, false),
            (row("a1", "true", "odd"), stale, false),
            (row("a1", "false", "Failed"), transient, false),
            (row("a1", "null", "Failed"), transient, false),
            (row("b2", "true", "Failed"), transient, false),
        ] {
            let incident = incident(cause, Some("j1"));
            let gate = no_run_in_progress((&incident, TIMINGS), &live, &row);
            assert_eq!(gate.is_ok(), may, "{row:?} {cause:?}: {gate:?}");
            if let Ok(proof) = gate {
                assert_eq!(proof.schema_id(), "a1");
            }
        }
    }

    #[test]
    fn only_the_run_of_the_incident_that_is_judged_dead_and_has_not_moved_hangs() {
        let silence = || Silence {
            job_id: "j1".into(),
            began: ago(600),
            since: ago(540),
            phase: RunPhase::Extracting,
            canary: None,
        };
        let stuck = || Verdict::StuckJob(silence());
        for (what, verdict, frozen, running, job_id, hangs) in [
            ("it", stuck(), true, true, "j1", true),
            (
                "one that may be alive",
                Verdict::Silent(silence()),
                true,
                true,
                "j1",
                false,
            ),
            ("one that moves", stuck(), false, true, "j1", false),
            ("one that has ended", stuck(), true, false, "j1", false),
            ("another one", stuck(), true, true, "j2", false),
        ] {
            let mut situation = Situation::new(of_incident(Kind::Stuck, Call::Cancel));
            situation.diagnosis.judged = vec![Judged {
                source: "s".into(),
                source_id: "s1".into(),
                schema_id: "a1".into(),
                schema: "t".into(),
                status: SchemaStatus::Running,
                verdict,
                evidence: Vec::new(),
            }];
            let mut seen = Seen::without_row(ago(600));
            seen.frozen = frozen;
            seen.mark = Some(Mark {
                job_id: Some(job_id.into()),
                running,
                rows: Some(5),
                log_at: None,
                since: ago(540),
            });
            situation.snapshot.runs = [("a1".to_owned(), Arc::new(seen))].into();
            let incident = Incident {
                job_id: Some("j1".into()),
                ..incident(RootCause::Stuck, None)
            };
            let found = situation.ask(|ask| StuckRun::of(ask.known, ask.diagnosis, &incident));
            let expected = hangs.then(|| StuckRun {
                phase: RunPhase::Extracting,
                ..stuck_run()
            });
            assert_eq!(found, expected, "{what}");
        }
    }
}
