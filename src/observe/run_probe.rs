//! A probe of one table: its newest runs, and the log of the table while one is in progress.

use jiff::{SignedDuration, Timestamp};

use super::TableLog;
use crate::{
    api::Timings,
    posthog::{
        Client, Transport,
        instance::{Feature, Instance, UnfamiliarKind},
        lax::Lax,
        run_log::Line,
        wire::{Job, JobStatus, MAX_CLOCK_SKEW},
    },
};

/// Most runs that `PostHog` lists of a source, for any limit in the request.
const MOST_RUNS: usize = 50;

/// What one look found.
#[derive(Debug, Clone)]
pub struct RunProbe {
    /// When it started, by the operator's clock: a run that has not moved had not moved until then.
    pub began: Timestamp,
    /// When it ended: what it saw is certain from then on.
    pub at: Timestamp,
    /// Whether `PostHog` dated its answer, so that its clock is known to agree with the operator's. If not, times of one are never compared
    /// with times of the other.
    pub is_dated: bool,
    /// The runs of the table, newest first, or why they are not known.
    jobs: Result<Vec<Job>, String>,
    /// The log of the table.
    pub log: Log,
}

/// When a look reads the log of the table, which costs a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadsLog {
    /// While the newest run is in progress.
    OfRunning,
    /// Also when it has ended: after a cancel somebody may still work on the table.
    Always,
}

/// The log of a table since its newest run began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// Not read: the newest run has ended, and the log after its end was not requested.
    NotRead,
    /// What it shows since that run began.
    Read(Box<TableLog>),
    /// Could not be read, or could not be understood.
    Unreadable(String),
}

impl From<TableLog> for Log {
    fn from(log: TableLog) -> Self {
        Self::Read(Box::new(log))
    }
}

impl Log {
    /// A log whose newest line of work, of no known kind, is as old as that.
    #[must_use]
    pub fn of_line(at: Option<Timestamp>) -> Self {
        TableLog::with_line(at.map(|at| (at, Line::Unknown))).into()
    }

    /// What it shows, if it was read.
    #[must_use]
    pub const fn read(&self) -> Option<&TableLog> {
        match self {
            Self::Read(log) => Some(log),
            Self::NotRead | Self::Unreadable(_) => None,
        }
    }
}

/// Failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streak {
    /// How many.
    pub count: usize,
    /// When the first of them ended.
    pub since: Timestamp,
    /// When the last of them ended.
    pub last: Timestamp,
}

/// The newest run of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest<'a> {
    /// There is none.
    None,
    /// This one.
    Job(&'a Job, Timestamp),
    /// Unknown, for this reason.
    Unclear(&'a str),
}

impl RunProbe {
    /// A look from what `PostHog` answered. Jobs of other tables are dropped: `PostHog` filters by name only.
    #[must_use]
    pub fn new(at: Timestamp, schema_id: &str, jobs: Result<Vec<Job>, String>, log: Log) -> Self {
        Self {
            began: at,
            at,
            is_dated: true,
            jobs: jobs.and_then(|jobs| sort(jobs, schema_id, at)),
            log,
        }
    }

    /// Reads the runs of a table through `client`. Of its log only what is new since `before` is read.
    pub async fn take<T: Transport>(
        client: &Client<T>,
        (source_id, schema_id, name): (&str, &str, &str),
        before: Option<&Self>,
        reads_log: ReadsLog,
    ) -> Self {
        let began = client.now();
        let (jobs, is_dated) = match runs(client, source_id, schema_id, name).await {
            Ok((jobs, is_dated)) => (Ok(jobs), is_dated),
            Err(reason) => (Err(reason), true),
        };
        let mut run_probe = Self {
            is_dated,
            ..Self::new(began, schema_id, jobs, Log::NotRead)
        };
        if let Newest::Job(job, created) = run_probe.newest()
            && (job.status() == JobStatus::Running || reads_log == ReadsLog::Always)
        {
            let before = before.and_then(|run_probe| run_probe.log.read());
            let read = TableLog::read(client, schema_id, (job, created), before).await;
            run_probe.log = read.map_or_else(Log::Unreadable, Log::from);
        }
        run_probe.at = client.now();
        run_probe
    }

    /// The newest run.
    #[must_use]
    pub fn newest(&self) -> Newest<'_> {
        match &self.jobs {
            Err(reason) => Newest::Unclear(reason),
            Ok(jobs) => match jobs.first() {
                None => Newest::None,
                // `sort` lets no job through whose time cannot be read.
                Some(job) => job
                    .created_at
                    .get()
                    .map_or(Newest::Unclear("no time"), |created| {
                        Newest::Job(job, *created)
                    }),
            },
        }
    }

    /// The failures in a row before the run in progress, if there is one. Runs that somebody stopped are not counted. None
    /// if the last run that ended did not fail, or the times cannot be read.
    #[must_use]
    pub fn streak(&self) -> Option<Streak> {
        let ended = self.jobs.as_ref().ok()?.iter();
        let failed: Vec<&Job> = ended
            .skip_while(|job| job.status() == JobStatus::Running)
            .take_while(|job| job.status() == JobStatus::Failed)
            .filter(|job| !job.was_stopped())
            .collect();
        Some(Streak {
            count: failed.len(),
            since: *failed.last()?.finished_at.get()?,
            last: *failed.first()?.finished_at.get()?,
        })
    }

    /// The first run that began after the one called `before`, or the first of all; the reason if the runs are not known.
    pub fn first_after(&self, before: Option<&str>) -> Result<Option<&Job>, &str> {
        let jobs = self.jobs.as_ref().map_err(String::as_str)?;
        // Without it an older job could be taken for a new one.
        if before.is_some_and(|id| self.job(id).is_none()) {
            return Err("PostHog no longer lists the previous run");
        }
        let newer = jobs
            .iter()
            .take_while(|job| Some(job.id.as_str()) != before);
        Ok(newer.last())
    }

    /// The runs of the table that are in progress, newest first.
    pub fn running(&self) -> impl Iterator<Item = &Job> {
        let jobs = self.jobs.as_deref().unwrap_or_default();
        jobs.iter().filter(|job| job.status() == JobStatus::Running)
    }

    /// Those that are not known to have ended: also in a status that this version does not know.
    pub fn unfinished(&self) -> impl Iterator<Item = &Job> {
        let jobs = self.jobs.as_deref().unwrap_or_default();
        jobs.iter().filter(|job| !job.has_ended())
    }

    /// The runs of the table and when they began, newest first.
    pub fn runs(&self) -> impl Iterator<Item = (&Job, Timestamp)> {
        let jobs = self.jobs.as_deref().unwrap_or_default();
        jobs.iter()
            .filter_map(|job| Some((job, *job.created_at.get()?)))
    }

    /// When the runs of the table began, newest first.
    pub fn began_at(&self) -> impl Iterator<Item = Timestamp> {
        self.runs().map(|(_, began)| began)
    }

    /// How far apart its runs that completed usually began: the median. None of fewer than four.
    #[must_use]
    pub fn usual_interval(&self) -> Option<SignedDuration> {
        const FEWEST: usize = 3;
        let jobs = self.jobs.as_deref().unwrap_or_default();
        let completed = jobs
            .iter()
            .filter(|job| job.status() == JobStatus::Completed);
        let began: Vec<Timestamp> = completed
            .filter_map(|job| job.created_at.get().copied())
            .collect();
        let mut apart: Vec<SignedDuration> = began
            .windows(2)
            .map(|pair| pair[0].duration_since(pair[1]))
            .collect();
        apart.sort_unstable();
        apart
            .get(apart.len() / 2)
            .copied()
            .filter(|_| apart.len() >= FEWEST)
    }

    /// The newest run that completed.
    #[must_use]
    pub fn newest_completed(&self) -> Option<&Job> {
        let jobs = self.jobs.as_deref().unwrap_or_default();
        jobs.iter().find(|job| job.status() == JobStatus::Completed)
    }

    /// When somebody last worked on the table since its newest run began, by `PostHog`'s clock: wrote a line of work, or ended
    /// another run. None if nothing shows it.
    #[must_use]
    pub fn worked_at(&self) -> Option<Timestamp> {
        let line = self.log.read().and_then(|log| log.worked);
        line.map(|(at, _)| at).max(self.another_ended_at())
    }

    /// The newest time that `PostHog` shows here: by its clock, it is now no earlier.
    #[must_use]
    pub fn newest_time(&self) -> Option<Timestamp> {
        let jobs = self.jobs.as_deref().unwrap_or_default().iter();
        let of_jobs = jobs.flat_map(|job| [job.created_at.get(), job.finished_at.get()]);
        let times = of_jobs.flatten().copied().chain(self.worked_at());
        times
            .filter(|time| time.duration_since(self.at) <= MAX_CLOCK_SKEW)
            .max()
    }

    /// When another run of the table last ended since the newest began.
    fn another_ended_at(&self) -> Option<Timestamp> {
        let Newest::Job(newest, began) = self.newest() else {
            return None;
        };
        let others = self.jobs.as_deref().unwrap_or_default();
        let others = others.iter().filter(|job| job.id != newest.id);
        let ended = others.filter_map(|job| job.finished_at.get()).copied();
        ended.filter(|at| *at > began).max()
    }

    /// Whether at `now` the table has had no activity for the time required before a reload after a cancel; the reason if its log does not show it.
    pub fn has_rested(&self, timings: &Timings, now: Timestamp) -> Result<bool, &str> {
        let log = match &self.log {
            Log::Read(log) => log,
            Log::NotRead => return Err("the table's log was not read"),
            Log::Unreadable(reason) => return Err(reason),
        };
        if !log.has_own_lines {
            return Err("the log has no lines of the run");
        }
        let now = if self.is_dated {
            now
        } else {
            self.newest_time()
                .ok_or("PostHog's answers have no date, and its runs no times")?
        };
        let for_ = |long| move |at| now.duration_since(at) >= long;
        let is_quiet = log
            .worked
            .map(|(at, _)| at)
            .is_none_or(for_(timings.quiet_after_cancel()));
        Ok(is_quiet && self.another_ended_at().is_none_or(for_(timings.settle)))
    }

    /// The run with this id, if it is among the newest.
    #[must_use]
    pub fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.as_ref().ok()?.iter().find(|job| job.id == id)
    }
}

/// The newest runs of a table, as `PostHog` lists them, and whether it dated the answer.
pub(super) async fn runs<T: Transport>(
    client: &Client<T>,
    source_id: &str,
    schema_id: &str,
    name: &str,
) -> Result<(Vec<Job>, bool), String> {
    let jobs = client.jobs(source_id, name).await;
    let (jobs, is_dated) = jobs.map_err(|error| error.to_string())?;
    let filtered = is_filtered(&jobs, schema_id, name);
    client.noted().note(|instance| {
        note_runs(instance, &jobs);
        if let Some(filtered) = filtered {
            instance.note(Feature::RunFilter, filtered);
        }
    });
    if filtered == Some(false) && jobs.len() >= MOST_RUNS && hides_runs(&jobs, schema_id) {
        return Err(format!(
            "PostHog ignores the filter by table, and the {MOST_RUNS} newest runs of the source may not include all runs of this table"
        ));
    }
    Ok((jobs, is_dated))
}

/// Records what the runs of a table show of the instance.
fn note_runs(instance: &mut Instance, jobs: &[Job]) {
    let mut ended = jobs.iter().filter(|job| job.has_ended()).peekable();
    if ended.peek().is_some() {
        let says = ended.any(|job| job.finished_at != Lax::Missing);
        instance.note(Feature::RunTimes, says);
    }
    for status in jobs.iter().filter_map(Job::unfamiliar_status) {
        instance.meets(UnfamiliarKind::RunStatus, status);
    }
}

/// Whether the list holds only runs of this table; none if it is empty. A deleted table may have had the same name.
fn is_filtered(jobs: &[Job], schema_id: &str, name: &str) -> Option<bool> {
    let is_other = |job: &Job| {
        job.schema.as_ref().is_some_and(|schema| {
            schema.id != schema_id && schema.name.get().is_none_or(|other| other != name)
        })
    };
    (!jobs.is_empty()).then(|| !jobs.iter().any(is_other))
}

/// Whether older runs of the table could change what its listed ones say: one may be in progress, or there is none listed.
fn hides_runs(jobs: &[Job], schema_id: &str) -> bool {
    let mut own = jobs.iter().filter(|job| {
        job.schema
            .as_ref()
            .is_some_and(|schema| schema.id == schema_id)
    });
    own.next().is_none_or(|newest| !newest.has_ended())
}

/// Of a full list the newest runs may be missing, unless they come first.
fn may_lack_the_newest(jobs: &[Job]) -> bool {
    let began = |job: Option<&Job>| job.and_then(|job| job.created_at.get()).copied();
    jobs.len() >= MOST_RUNS && began(jobs.first()) < began(jobs.last())
}

fn sort(jobs: Vec<Job>, schema_id: &str, now: Timestamp) -> Result<Vec<Job>, String> {
    if may_lack_the_newest(&jobs) {
        let said = "PostHog lists its oldest runs first, so the newest may be missing";
        return Err(said.to_owned());
    }
    let mut dated = Vec::with_capacity(jobs.len());
    for job in jobs {
        match &job.schema {
            Some(schema) if schema.id == schema_id => {}
            Some(_) => continue,
            None => return Err(format!("job {} has no table", job.id)),
        }
        let Lax::Is(created) = job.created_at else {
            return Err(format!("the start time of job {} is unreadable", job.id));
        };
        if created.duration_since(now) > MAX_CLOCK_SKEW {
            return Err(format!(
                "the start time of job {} is in the future ({created})",
                job.id
            ));
        }
        dated.push((created, job));
    }
    // PostHog sends the newest first; the order is what decides which run a cancel would hit, so it is not left to trust.
    // Stable: of two with the same time the one that PostHog sent first is the newer.
    dated.sort_by_key(|(created, _)| std::cmp::Reverse(*created));
    let jobs: Vec<Job> = dated.into_iter().map(|(_, job)| job).collect();
    Ok(without_companions(jobs))
}

/// With `cdc_table_mode: both` a run of change data capture has two rows, and the newer is the companion: the older one is the run.
fn without_companions(jobs: Vec<Job>) -> Vec<Job> {
    let is_companion = |(place, job): (usize, &Job)| {
        let same_run = |older: &Job| older.workflow_run_id == job.workflow_run_id;
        job.cdc_write_mode.get().is_some()
            && job.workflow_run_id.get().is_some()
            && jobs[place + 1..].iter().any(same_run)
    };
    let companions: Vec<bool> = jobs.iter().enumerate().map(is_companion).collect();
    let rows = jobs.into_iter().zip(companions);
    rows.filter_map(|(job, is_companion)| (!is_companion).then_some(job))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-10-01T12:00:00Z".parse().unwrap()
    }

    fn run_probe(jobs: &str) -> RunProbe {
        RunProbe::new(
            now(),
            "a1",
            Ok(serde_json::from_str(jobs).unwrap()),
            Log::NotRead,
        )
    }

    #[test]
    fn the_newest_job_is_found_in_any_order_and_other_tables_are_dropped() {
        let run_probe = run_probe(
            r#"[{"id":"old","created_at":"2026-10-01T01:00:00Z","schema":{"id":"a1"}},
                {"id":"other","created_at":"2026-10-01T03:00:00Z","schema":{"id":"b2"}},
                {"id":"new","created_at":"2026-10-01T04:00:00+02:00","schema":{"id":"a1"}}]"#,
        );
        assert!(matches!(run_probe.newest(), Newest::Job(job, _) if job.id == "new"));
        assert!(run_probe.job("other").is_none() && run_probe.job("old").is_some());
    }

    #[test]
    fn a_list_of_runs_that_may_be_cut_is_trusted_only_newest_first() {
        let job = |minute: usize| {
            format!(
                r#"{{"id":"j{minute}","created_at":"2026-10-01T10:{minute:02}:00Z","status":"Completed","schema":{{"id":"a1"}}}}"#
            )
        };
        let mut jobs: Vec<String> = (0..MOST_RUNS).map(job).collect();
        let newest = |jobs: &[String]| {
            let run_probe = run_probe(&format!("[{}]", jobs.join(",")));
            matches!(run_probe.newest(), Newest::Job(..))
        };
        assert!(!newest(&jobs), "the newest may be cut off");
        assert!(newest(&jobs[1..]));
        jobs.reverse();
        assert!(newest(&jobs));
    }

    #[test]
    fn jobs_of_other_tables_show_that_the_filter_is_ignored_also_without_their_names() {
        let jobs = |schema: &str| -> Vec<Job> {
            serde_json::from_str(&format!(r#"[{{"id":"x","schema":{schema}}}]"#)).unwrap()
        };
        for (schema, filtered) in [
            (r#"{"id":"a1","name":"t"}"#, true),
            (r#"{"id":"a1"}"#, true),
            (r#"{"id":"deleted","name":"t"}"#, true),
            (r#"{"id":"b2","name":"u"}"#, false),
            (r#"{"id":"b2"}"#, false),
        ] {
            assert_eq!(
                is_filtered(&jobs(schema), "a1", "t"),
                Some(filtered),
                "{schema}"
            );
        }
    }

    #[test]
    fn a_run_after_another_is_only_known_while_that_one_is_listed() {
        let run_probe = run_probe(
            r#"[{"id":"new","created_at":"2026-10-01T03:00:00Z","schema":{"id":"a1"}},
                {"id":"mid","created_at":"2026-10-01T02:00:00Z","schema":{"id":"a1"}},
                {"id":"old","created_at":"2026-10-01T01:00:00Z","schema":{"id":"a1"}}]"#,
        );
        let after = |before| {
            run_probe
                .first_after(before)
                .map(|job| job.map(|job| job.id.as_str()))
        };
        assert_eq!(after(Some("old")), Ok(Some("mid")));
        assert_eq!(after(Some("new")), Ok(None));
        assert_eq!(after(None), Ok(Some("old")));
        assert!(after(Some("gone")).is_err());
    }

    #[test]
    fn the_companion_of_a_run_of_change_data_capture_is_not_the_newest_run() {
        let run_probe = run_probe(
            r#"[{"id":"companion","created_at":"2026-10-01T02:00:01Z","schema":{"id":"a1"},"workflow_run_id":"r","cdc_write_mode":"scd2_append"},
                {"id":"run","created_at":"2026-10-01T02:00:00Z","schema":{"id":"a1"},"workflow_run_id":"r","cdc_write_mode":"upsert"},
                {"id":"before","created_at":"2026-10-01T01:00:00Z","schema":{"id":"a1"},"workflow_run_id":"q","cdc_write_mode":"upsert"}]"#,
        );
        assert!(matches!(run_probe.newest(), Newest::Job(job, _) if job.id == "run"));
        assert!(run_probe.job("companion").is_none() && run_probe.job("before").is_some());
    }

    #[test]
    fn a_time_that_cannot_be_read_makes_all_unclear() {
        for odd in [
            r#""2026-10-01T01:00:00""#,
            "null",
            "5",
            r#""2030-01-01T00:00:00Z""#,
        ] {
            let run_probe = run_probe(&format!(
                r#"[{{"id":"x","created_at":{odd},"schema":{{"id":"a1"}}}},{{"id":"y","created_at":"2026-10-01T01:00:00Z","schema":{{"id":"a1"}}}}]"#
            ));
            assert!(matches!(run_probe.newest(), Newest::Unclear(_)), "{odd}");
        }
        assert!(matches!(
            run_probe(r#"[{"id":"x","created_at":"2026-10-01T01:00:00Z"}]"#).newest(),
            Newest::Unclear(_)
        ));
    }

    #[test]
    fn one_read_shows_failures_in_a_row_while_the_next_run_is_in_progress() {
        let job = |hour: u8, status: &str, said: &str| {
            format!(
                r#"{{"id":"j{hour}","created_at":"2026-10-01T{hour:02}:00:00Z","finished_at":"2026-10-01T{hour:02}:30:00Z",
                "status":"{status}","latest_error":{said},"schema":{{"id":"a1"}}}}"#
            )
        };
        let streak = |jobs: &[String]| run_probe(&format!("[{}]", jobs.join(","))).streak();
        let (failed, stopped) = (r#""boom""#, r#""Sync cancelled by user""#);
        let jobs = [
            job(6, "Running", "null"),
            job(5, "Failed", failed),
            job(4, "Failed", stopped),
            job(3, "Failed", failed),
            job(2, "Completed", "null"),
            job(1, "Failed", failed),
        ];
        let expected = Streak {
            count: 2,
            since: "2026-10-01T03:30:00Z".parse().unwrap(),
            last: "2026-10-01T05:30:00Z".parse().unwrap(),
        };
        assert_eq!(streak(&jobs), Some(expected));
        assert_eq!(streak(&jobs[1..]), Some(expected));
        assert_eq!(streak(&jobs[2..3]), None, "stopped by a person");
        assert_eq!(streak(&jobs[4..]), None, "the last one completed");
    }

    #[test]
    fn runs_without_the_time_of_their_end_differ_from_runs_in_progress() {
        let jobs = |json: &str| -> Vec<Job> { serde_json::from_str(json).unwrap() };
        let mut instance = Instance::default();
        note_runs(&mut instance, &jobs(r#"[{"id":"a","status":"Running"}]"#));
        assert_eq!(instance.shows(Feature::RunTimes), None);
        let old = r#"[{"id":"a","status":"Failed"},{"id":"b","status":"Odd"}]"#;
        note_runs(&mut instance, &jobs(old));
        assert_eq!(instance.shows(Feature::RunTimes), Some(false));
        assert_eq!(instance.count(UnfamiliarKind::RunStatus), 1);
        let new = r#"[{"id":"a","status":"Completed","finished_at":"2026-10-01T00:00:00Z"}]"#;
        note_runs(&mut instance, &jobs(new));
        assert_eq!(instance.shows(Feature::RunTimes), Some(true));
    }
}
