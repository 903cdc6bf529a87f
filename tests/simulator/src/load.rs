//! From a scenario to the state at its start.

use jiff::{SignedDuration, Timestamp};

use crate::auth::Key;
use crate::clock::{minus, plus};
use crate::copies;
use crate::error::Error;
use crate::id::{Ids, Kind};
use crate::queue::{Group, V3Run};
use crate::run::{Behaviour, RunPlan};
use crate::scenario::{KeySpec, PastJob, RunInFlight, Scenario, SchemaSpec, SourceSpec};
use crate::start::{companion_of, makes_two_rows};
use crate::state::{Job, Schema, Source, Status, Table, Workflow};
use crate::times;

/// Makes ids and knows the start.
pub(crate) struct Loader<'a> {
    pub(crate) ids: &'a mut Ids,
    pub(crate) start: Timestamp,
    pub(crate) schedule: bool,
    /// Runs of v3 take a lock.
    pub(crate) lock: bool,
}

impl Loader<'_> {
    pub(crate) fn sources(
        &mut self,
        scenario: &Scenario,
    ) -> Result<(Vec<Source>, Vec<Schema>), Error> {
        let mut sources = Vec::new();
        let mut schemas = Vec::new();
        for entry in &scenario.sources {
            for spec in copies::of_source(entry)? {
                let index = sources.len();
                let source = self.source(index, &spec, scenario.project);
                schemas.extend(self.schemas(index, &spec, source.created_at)?);
                sources.push(source);
            }
        }
        Ok((sources, schemas))
    }

    fn schemas(
        &mut self,
        source: usize,
        spec: &SourceSpec,
        from: Timestamp,
    ) -> Result<Vec<Schema>, Error> {
        let mut schemas = Vec::new();
        for entry in &spec.schemas {
            check(entry, spec)?;
            for schema in copies::of_schema(entry)? {
                // Each a second younger than the previous one, so that `-created_at` is an order.
                let after = SignedDuration::from_secs(1 + number(schemas.len()));
                schemas.push(self.schema(source, schema, plus(from, after)));
            }
        }
        Ok(schemas)
    }

    fn source(&mut self, index: usize, spec: &SourceSpec, project: u64) -> Source {
        let kept = SourceSpec {
            schemas: Vec::new(),
            ..spec.clone()
        };
        let created_at = plus(
            minus(self.start, spec.created_ago),
            SignedDuration::from_mins(number(index)),
        );
        Source {
            id: spec
                .id
                .clone()
                .unwrap_or_else(|| self.ids.next(Kind::Source)),
            project: spec.project.unwrap_or(project),
            created_at,
            secrets: serde_json::Map::new(),
            repairing_until: None,
            spec: kept,
        }
    }

    pub(crate) fn schema(
        &mut self,
        source: usize,
        spec: SchemaSpec,
        created_at: Timestamp,
    ) -> Schema {
        let id = spec
            .id
            .clone()
            .unwrap_or_else(|| self.ids.next(Kind::Schema));
        let mut jobs = self.past_jobs(&spec);
        jobs.extend(spec.earlier_runs.iter().map(|run| self.earlier_run(run)));
        jobs.sort_by_key(|job| job.created_at);
        let workflow = self.run_in_flight(&spec, &mut jobs);
        let v3 = self.group(&jobs);
        let status = spec.status.or_else(|| initial_status(&spec, &jobs));
        let last_failed_at = (spec.failed_in_a_row > 0)
            .then(|| {
                jobs.iter()
                    .rev()
                    .find(|job| job.status == Status::Failed)
                    .and_then(|job| job.finished_at)
            })
            .flatten();
        let mut schema = Schema {
            id,
            source,
            created_at,
            should_sync: spec.should_sync,
            status,
            latest_error: spec.latest_error.clone(),
            last_synced_at: last_synced_at(&spec, &jobs, self.start),
            table: spec.rows.map(|rows| Table {
                id: self.ids.next(Kind::Table),
                rows,
            }),
            has_schedule: spec.should_sync || !jobs.is_empty(),
            jobs,
            workflow,
            v3,
            next_runs: spec.next_runs.clone().into(),
            next_due: None,
            teardown_at: None,
            failed_in_a_row: spec.failed_in_a_row,
            last_failed_at: last_failed_at.or((spec.failed_in_a_row > 0).then_some(self.start)),
            reset_pending: spec.reset_pending,
            position: None,
            data_since: self.start,
            spec,
        };
        if schema.keeps_a_position() && schema.last_synced_at.is_some() {
            schema.position = schema.table.as_ref().map(|table| table.rows);
        }
        schema.next_due = next_due(&schema, self.schedule, self.start);
        schema
    }

    fn past_jobs(&mut self, spec: &SchemaSpec) -> Vec<Job> {
        let mut past = spec.jobs.clone();
        if past.is_empty() {
            past = made_up(spec);
        }
        past.sort_by_key(|job| std::cmp::Reverse(job.started_ago));
        past.into_iter().map(|job| self.past_job(job)).collect()
    }

    fn past_job(&mut self, past: PastJob) -> Job {
        let created_at = minus(self.start, past.started_ago);
        let finished_at = plus(created_at, past.took.min(past.started_ago));
        let plan = RunPlan::completes(past.took, past.rows);
        Job {
            id: past.id.unwrap_or_else(|| self.ids.next(Kind::Job)),
            run_id: self.ids.next(Kind::Run),
            created_at,
            finished_at: Some(finished_at),
            status: past.status,
            latest_error: past.error,
            plan,
            since: created_at,
            rows_before: 0,
            rows_at_end: Some(past.rows),
            last_log_before: None,
            lines: Vec::new(),
            v3: None,
        }
    }

    /// The newest run, or the two rows of one. Gives what Temporal has of it.
    fn run_in_flight(&mut self, spec: &SchemaSpec, jobs: &mut Vec<Job>) -> Option<Workflow> {
        let run = spec.run.as_ref()?;
        let mut job = self.job_in_flight(run);
        let seen = job.v3.as_deref().is_none_or(|run| run.owns_workflow);
        let companion = makes_two_rows(spec, &job.plan)
            .then(|| companion_of(&mut job, self.ids.next(Kind::Job)));
        jobs.push(job);
        jobs.extend(companion);
        seen.then_some(Workflow::Running)
    }

    fn earlier_run(&mut self, run: &RunInFlight) -> Job {
        let mut job = self.job_in_flight(run);
        if let Some(run) = job.v3.as_deref_mut() {
            run.owns_workflow = false;
        }
        job
    }

    fn group(&self, jobs: &[Job]) -> Group {
        let of_v3 = |(place, job): (usize, &Job)| job.v3.is_some().then_some(place);
        let newest = jobs.iter().rev().find(|job| job.v3.is_some());
        Group {
            active: jobs.iter().enumerate().filter_map(of_v3).collect(),
            lock: newest
                .filter(|_| self.lock)
                .map(|job| (job.run_id.clone(), job.created_at)),
            ..Group::default()
        }
    }

    fn job_in_flight(&mut self, run: &RunInFlight) -> Job {
        let created_at = minus(self.start, run.started_ago);
        let v3 = V3Run::of(&run.plan, created_at);
        Job {
            id: run.id.clone().unwrap_or_else(|| self.ids.next(Kind::Job)),
            run_id: self.ids.next(Kind::Run),
            created_at,
            finished_at: None,
            status: Status::Running,
            latest_error: None,
            plan: run.plan.clone(),
            since: self.start,
            rows_before: if v3.is_some() { 0 } else { run.rows },
            rows_at_end: None,
            last_log_before: run.last_log_ago.map(|ago| minus(self.start, ago)),
            lines: Vec::new(),
            v3,
        }
    }
}

pub(crate) fn keys(specs: &[KeySpec]) -> Vec<Key> {
    let numbered = specs.iter().cloned().enumerate();
    numbered
        .map(|(index, spec)| Key::new(spec, index + 1))
        .collect()
}

/// When a schedule fires next: a whole number of intervals after the newest job, as an interval schedule does.
pub(crate) fn next_due(schema: &Schema, schedules: bool, now: Timestamp) -> Option<Timestamp> {
    let spec = &schema.spec;
    let is_scheduled = spec.starts_every.is_some() || spec.schedule.unwrap_or(schedules);
    if !is_scheduled || !schema.should_sync {
        return None;
    }
    let interval = interval(spec)?;
    let mut due = schema.jobs.last().map_or(now, |job| job.created_at);
    while due <= now {
        due = plus(due, interval);
    }
    Some(due)
}

/// How often its schedule fires.
pub(crate) fn interval(spec: &SchemaSpec) -> Option<SignedDuration> {
    let by_frequency = || times::interval(spec.frequency.as_deref()?);
    spec.starts_every.or_else(by_frequency)
}

fn made_up(spec: &SchemaSpec) -> Vec<PastJob> {
    let success = spec.last_synced_ago.map(|started_ago| PastJob {
        started_ago,
        rows: spec.rows.unwrap_or_default(),
        ..PastJob::default()
    });
    let ended = spec.status.filter(|status| {
        matches!(
            status,
            Status::Failed | Status::BillingLimitReached | Status::BillingLimitTooLow
        )
    });
    let bad_end = ended.map(|status| PastJob {
        started_ago: spec.last_run_ago,
        status,
        error: spec.latest_error.clone(),
        ..PastJob::default()
    });
    success.into_iter().chain(bad_end).collect()
}

fn initial_status(spec: &SchemaSpec, jobs: &[Job]) -> Option<Status> {
    if spec.phantom {
        return Some(Status::Running);
    }
    jobs.last().map(|job| job.status)
}

fn last_synced_at(spec: &SchemaSpec, jobs: &[Job], start: Timestamp) -> Option<Timestamp> {
    let success = jobs
        .iter()
        .rev()
        .find(|job| job.status == Status::Completed);
    spec.last_synced_ago
        .map(|ago| minus(start, ago))
        .or_else(|| success.map(|job| job.created_at))
}

fn check(schema: &SchemaSpec, source: &SourceSpec) -> Result<(), Error> {
    let wrong = |what: &str| {
        Err(Error::Scenario(format!(
            "a schema of the {} source {what}",
            source.source_type
        )))
    };
    if schema.name.is_empty() {
        return wrong("has no name");
    }
    if schema.phantom && schema.run.is_some() {
        return wrong(&format!("({}) is a phantom and has a run", schema.name));
    }
    let moves = |run: &RunInFlight| {
        !matches!(
            run.plan.behaviour,
            Behaviour::V3(_) | Behaviour::Hangs { .. }
        )
    };
    if schema.earlier_runs.iter().any(moves) {
        return wrong(&format!(
            "({}) has an earlier run that neither is of v3 nor hangs",
            schema.name
        ));
    }
    if let Err(what) = schema.data.check() {
        return wrong(&format!("({}) {what}", schema.name));
    }
    Ok(())
}

fn number(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
