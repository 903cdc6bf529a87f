//! The live gate: right before a call is sent, do the facts that it rests on still hold?
//!
//! `cancel` hits whatever job is newest when it arrives. So the gate wants the same job, still Running, with the same rows
//! and no newer line in its log; whatever is unclear closes it.

use crate::{
    api::status::{Incident, RootCause},
    observe::{Log, Look, Newest},
    posthog::{
        lax::Lax,
        wire::{JobStatus, Schema, SchemaStatus},
    },
};

/// How far the run was when it was judged stuck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hanging {
    /// The job.
    pub job_id: String,
    /// Its rows.
    pub rows: Option<i64>,
    /// The newest line of its log.
    pub log_at: Option<jiff::Timestamp>,
}

/// Proof, by a live look, that a run still hangs. Only [`still_hangs`] makes one.
#[derive(Debug)]
pub struct RunStillHangs {
    schema_id: String,
}

/// Proof, by a live look, that nothing runs and syncing is on. Only [`nothing_runs`] makes one.
#[derive(Debug)]
pub struct NothingRuns {
    schema_id: String,
}

impl RunStillHangs {
    /// The table of the run.
    pub(super) fn schema_id(&self) -> &str {
        &self.schema_id
    }
}

impl NothingRuns {
    /// The table.
    pub(super) fn schema_id(&self) -> &str {
        &self.schema_id
    }
}

/// Why the gate is closed, in a sentence.
pub type Closed = String;

/// Holds a live look against what was judged stuck.
pub fn still_hangs(
    schema_id: &str,
    hanging: &Hanging,
    live: &Look,
) -> Result<RunStillHangs, Closed> {
    let job = match live.newest() {
        Newest::Unclear(reason) => {
            return Err(format!("its runs are not known just now: {reason}"));
        }
        Newest::None => return Err("PostHog lists no run any more".to_owned()),
        Newest::Job(job, _) => job,
    };
    if job.id != hanging.job_id {
        return Err(format!("the newest run is {} by now", job.id));
    }
    if job.status() != JobStatus::Running {
        return Err(format!("run {} has ended meanwhile", job.id));
    }
    let rows = match job.rows_synced {
        Lax::Is(rows) => Some(rows),
        Lax::Null => None,
        Lax::Missing | Lax::Odd => {
            return Err(format!(
                "run {} does not say how many rows it has synced",
                job.id
            ));
        }
    };
    if rows != hanging.rows {
        return Err(format!("run {} moves again", job.id));
    }
    match &live.log {
        Log::Read(_) if live.running().count() > 1 => {
            Err("another run of the table is Running, too".to_owned())
        }
        Log::Read(_) if live.worked_at() == hanging.log_at => Ok(RunStillHangs {
            schema_id: schema_id.to_owned(),
        }),
        Log::Read(_) => Err(format!("run {} logs again", job.id)),
        Log::NotRead => Err("its log was not read".to_owned()),
        Log::Unreadable(reason) => Err(format!("its log cannot be read: {reason}")),
    }
}

/// Holds live reads of runs and table against what a reload rests on: nothing runs, nothing new began since the
/// incident's attempt did, and syncing is on.
pub fn nothing_runs(
    incident: &Incident,
    live: &Look,
    schema: &Schema,
) -> Result<NothingRuns, Closed> {
    match live.newest() {
        Newest::Unclear(reason) => {
            return Err(format!("its runs are not known just now: {reason}"));
        }
        Newest::None if incident.baseline_job_id.is_none() => {}
        Newest::None => return Err("PostHog lists no run any more".to_owned()),
        Newest::Job(job, _) => {
            if Some(&job.id) != incident.baseline_job_id.as_ref() {
                return Err(format!("run {} has begun meanwhile", job.id));
            }
            if !matches!(job.status(), JobStatus::Completed | JobStatus::Failed) {
                return Err(format!("run {} has not ended", job.id));
            }
        }
    }
    if schema.id != incident.schema_id || schema.should_sync != Lax::Is(true) {
        return Err("syncing is not switched on".to_owned());
    }
    match schema.status() {
        SchemaStatus::Running | SchemaStatus::Failed => Ok(NothingRuns {
            schema_id: incident.schema_id.clone(),
        }),
        // A stale table says so, and its newest run is still the one that was too old.
        SchemaStatus::Completed if incident.cause == RootCause::Stale => Ok(NothingRuns {
            schema_id: incident.schema_id.clone(),
        }),
        // A table that PostHog calls Completed is well: whatever was wrong has passed.
        SchemaStatus::Completed
        | SchemaStatus::Never
        | SchemaStatus::Paused
        | SchemaStatus::Billing
        | SchemaStatus::Unknown => Err(format!("its status is {:?} by now", schema.status())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(job: &str, log: Log) -> Look {
        let jobs = format!("[{job}]");
        Look::new(
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

    fn hanging() -> Hanging {
        Hanging {
            job_id: "j1".into(),
            rows: Some(5),
            log_at: None,
        }
    }

    #[test]
    fn only_the_same_job_that_has_not_moved_may_be_cancelled() {
        assert!(
            still_hangs(
                "a1",
                &hanging(),
                &live(&job("j1", "Running", "5"), Log::of_line(None))
            )
            .is_ok()
        );
        let newer = Log::of_line(Some("2026-10-01T11:59:59Z".parse().unwrap()));
        for (why, look) in [
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
                Look::new(
                    "2026-10-01T12:00:00Z".parse().unwrap(),
                    "a1",
                    Ok(vec![]),
                    Log::NotRead,
                ),
            ),
            (
                "jobs unknown",
                Look::new(
                    "2026-10-01T12:00:00Z".parse().unwrap(),
                    "a1",
                    Err("500".into()),
                    Log::NotRead,
                ),
            ),
        ] {
            assert!(still_hangs("a1", &hanging(), &look).is_err(), "{why}");
        }
    }
}
