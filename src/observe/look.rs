//! A closer look at one table: its newest runs and the newest line of the newest run's log.

use jiff::{SignedDuration, Timestamp};

use crate::posthog::{
    Client, Transport,
    client::LOG_LINES,
    lax::Lax,
    wire::{Job, JobStatus, LogPage},
};

/// A job that claims to have begun later than this after now tells nothing: some clock is wrong.
const BELIEVED_CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);

/// What one look found.
#[derive(Debug, Clone)]
pub struct Look {
    /// When it was begun, by the operator's clock: up to then, nothing had moved if nothing has.
    pub began: Timestamp,
    /// When it was over: what it saw is certain from then on.
    pub at: Timestamp,
    /// The runs of the table, newest first, or why they are not known.
    jobs: Result<Vec<Job>, String>,
    /// The log of the newest run.
    pub log: Log,
}

/// What the log of the newest run says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// Not read, because the newest run is not running.
    NotRead,
    /// The time stamp of its newest line, by `PostHog`'s clock; none if it is empty.
    Newest(Option<Timestamp>),
    /// Could not be read, or could not be understood.
    Unreadable(String),
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
    /// Not to be told, for this reason.
    Unclear(&'a str),
}

impl Look {
    /// A look from what `PostHog` answered. Jobs of other tables are dropped: `PostHog` filters by name only.
    #[must_use]
    pub fn new(at: Timestamp, schema_id: &str, jobs: Result<Vec<Job>, String>, log: Log) -> Self {
        Self {
            began: at,
            at,
            jobs: jobs.and_then(|jobs| sort(jobs, schema_id, at)),
            log,
        }
    }

    /// Takes a look at a table through `client`. The log is read only of a run in progress.
    pub async fn take<T: Transport>(
        client: &Client<T>,
        source_id: &str,
        schema_id: &str,
        name: &str,
    ) -> Self {
        let began = client.now();
        let jobs = client
            .jobs(source_id, name)
            .await
            .map_err(|e| e.to_string());
        let mut look = Self::new(began, schema_id, jobs, Log::NotRead);
        if let Newest::Job(job, _) = look.newest()
            && job.status() == JobStatus::Running
        {
            let run_id = job.workflow_run_id.get().cloned();
            look.log = read_log(client, schema_id, run_id.as_deref()).await;
        }
        look.at = client.now();
        look
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
        let newer = jobs
            .iter()
            .take_while(|job| Some(job.id.as_str()) != before);
        Ok(newer.last())
    }

    /// The run with this id, if it is among the newest.
    #[must_use]
    pub fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.as_ref().ok()?.iter().find(|job| job.id == id)
    }
}

fn sort(jobs: Vec<Job>, schema_id: &str, now: Timestamp) -> Result<Vec<Job>, String> {
    let mut dated = Vec::with_capacity(jobs.len());
    for job in jobs {
        match &job.schema {
            Some(schema) if schema.id == schema_id => {}
            Some(_) => continue,
            None => return Err(format!("job {} does not say which table it is of", job.id)),
        }
        let Lax::Is(created) = job.created_at else {
            return Err(format!(
                "the time at which job {} began cannot be read",
                job.id
            ));
        };
        if created.duration_since(now) > BELIEVED_CLOCK_SKEW {
            return Err(format!("job {} began in the future ({created})", job.id));
        }
        dated.push((created, job));
    }
    // PostHog sends the newest first; the order is what decides which run a cancel would hit, so it is not left to trust.
    // Stable: of two with the same time the one that PostHog sent first is the newer.
    dated.sort_by_key(|(created, _)| std::cmp::Reverse(*created));
    Ok(dated.into_iter().map(|(_, job)| job).collect())
}

/// The log of a run; where that is empty, the log of the whole table, because lines of a later phase may be filed elsewhere.
async fn read_log<T: Transport>(client: &Client<T>, schema_id: &str, run_id: Option<&str>) -> Log {
    let mut log = Log::Newest(None);
    for id in [run_id, None] {
        log = match client.logs(schema_id, id).await {
            Ok(page) => newest_line(&page),
            Err(error) => Log::Unreadable(error.to_string()),
        };
        if log != Log::Newest(None) || id.is_none() {
            break;
        }
    }
    log
}

fn newest_line(page: &LogPage) -> Log {
    let mut times = Vec::with_capacity(page.results.len());
    for line in &page.results {
        match line.timestamp {
            Lax::Is(at) => times.push(at),
            Lax::Missing | Lax::Null | Lax::Odd => {
                return Log::Unreadable("a line of the log has no time that can be read".into());
            }
        }
    }
    let newest = times.iter().max().copied();
    // A full page hides lines. Were the oldest sent first, the newest would be among the hidden ones; and PostHog's `next`
    // does not tell, because it pages over what the limit has already cut.
    let newest_first = times.first().copied() == newest && times.last().copied() != newest;
    if times.len() < LOG_LINES || newest_first {
        Log::Newest(newest)
    } else {
        Log::Unreadable("the log was not sent newest line first".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-10-01T12:00:00Z".parse().unwrap()
    }

    fn look(jobs: &str) -> Look {
        Look::new(
            now(),
            "a1",
            Ok(serde_json::from_str(jobs).unwrap()),
            Log::NotRead,
        )
    }

    #[test]
    fn the_newest_job_is_found_whatever_the_order_and_other_tables_are_dropped() {
        let look = look(
            r#"[{"id":"old","created_at":"2026-10-01T01:00:00Z","schema":{"id":"a1"}},
                {"id":"other","created_at":"2026-10-01T03:00:00Z","schema":{"id":"b2"}},
                {"id":"new","created_at":"2026-10-01T04:00:00+02:00","schema":{"id":"a1"}}]"#,
        );
        assert!(matches!(look.newest(), Newest::Job(job, _) if job.id == "new"));
        assert!(look.job("other").is_none() && look.job("old").is_some());
    }

    #[test]
    fn a_time_that_cannot_be_read_makes_all_unclear() {
        for odd in [
            r#""2026-10-01T01:00:00""#,
            "null",
            "5",
            r#""2030-01-01T00:00:00Z""#,
        ] {
            let look = look(&format!(
                r#"[{{"id":"x","created_at":{odd},"schema":{{"id":"a1"}}}},{{"id":"y","created_at":"2026-10-01T01:00:00Z","schema":{{"id":"a1"}}}}]"#
            ));
            assert!(matches!(look.newest(), Newest::Unclear(_)), "{odd}");
        }
        assert!(matches!(
            look(r#"[{"id":"x","created_at":"2026-10-01T01:00:00Z"}]"#).newest(),
            Newest::Unclear(_)
        ));
    }

    #[test]
    fn failures_in_a_row_are_told_by_one_look_while_the_next_run_goes_on() {
        let job = |hour: u8, status: &str, said: &str| {
            format!(
                r#"{{"id":"j{hour}","created_at":"2026-10-01T{hour:02}:00:00Z","finished_at":"2026-10-01T{hour:02}:30:00Z",
                "status":"{status}","latest_error":{said},"schema":{{"id":"a1"}}}}"#
            )
        };
        let streak = |jobs: &[String]| look(&format!("[{}]", jobs.join(","))).streak();
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
    fn a_page_of_the_log_that_may_hide_the_newest_line_is_not_believed() {
        let page = |times: &[String]| {
            let lines: Vec<_> = times
                .iter()
                .map(|at| format!(r#"{{"timestamp":"{at}"}}"#))
                .collect();
            newest_line(
                &serde_json::from_str(&format!(r#"{{"results":[{}]}}"#, lines.join(","))).unwrap(),
            )
        };
        let line = |minute: usize| format!("2026-10-01T01:{minute:02}:00Z");
        let rising: Vec<_> = (0..LOG_LINES).map(line).collect();
        let falling: Vec<_> = rising.iter().rev().cloned().collect();
        let newest = Log::Newest(rising.last().map(|at| at.parse().unwrap()));
        assert_eq!(page(&falling), newest);
        assert_eq!(
            page(&rising[1..]),
            newest,
            "a page that is not full hides nothing"
        );
        assert!(matches!(page(&rising), Log::Unreadable(_)));
        assert!(
            matches!(page(&vec![line(1); LOG_LINES]), Log::Unreadable(_)),
            "equal times prove no order"
        );
        assert!(matches!(
            page(&["yesterday".to_owned()]),
            Log::Unreadable(_)
        ));
        assert_eq!(page(&[]), Log::Newest(None));
    }
}
