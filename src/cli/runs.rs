//! The runs of sources over the last days, as `PostHog` lists them. Read for the report that draws them.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::progress::Progress;
use crate::posthog::{
    Client, Transport,
    wire::{Job, Source},
};

/// Most runs that one request returns.
const PAGE: usize = 50;
/// Most requests for the runs of one source.
const REQUESTS_OF_SOURCE: usize = 10;
/// Most requests for the runs of all sources: a key has 480 per minute.
const REQUESTS: usize = 200;
/// The API lists what began before a time; runs that began in that microsecond belong to the next request.
const MICROSECOND: SignedDuration = SignedDuration::from_micros(1);

/// The runs of one source.
#[derive(Debug)]
pub(super) struct SourceRuns {
    /// Id of the source.
    pub source_id: String,
    /// Newest first.
    pub jobs: Vec<Job>,
    /// From when on the runs are complete.
    pub since: Timestamp,
    /// Why they are not complete for the whole period; none if they are.
    pub missing: Option<String>,
}

/// Reads the runs of each source since a time.
pub(super) async fn of_sources<'a, T: Transport>(
    client: &Client<T>,
    sources: impl Iterator<Item = &'a Source>,
    since: Timestamp,
    progress: Progress,
) -> Vec<SourceRuns> {
    let sources: Vec<&Source> = sources.collect();
    let mut left = REQUESTS;
    let mut all = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        progress.show(&format!(
            "reading runs: source {} of {}",
            place + 1,
            sources.len()
        ));
        let most = REQUESTS_OF_SOURCE.min(left);
        let (runs, requests) = of_source(client, &source.id, since, most).await;
        left -= requests;
        all.push(runs);
    }
    all
}

/// Reads the runs of one source, with at most `most` requests, and returns how many it needed.
async fn of_source<T: Transport>(
    client: &Client<T>,
    source_id: &str,
    since: Timestamp,
    most: usize,
) -> (SourceRuns, usize) {
    let now = client.now();
    let mut runs = SourceRuns {
        source_id: source_id.to_owned(),
        jobs: Vec::new(),
        since: now,
        missing: None,
    };
    let mut known = HashSet::new();
    let mut before = later(now);
    for request in 0..most {
        let page = match client.jobs_of_source(source_id, before).await {
            Ok(page) => page,
            Err(error) => {
                runs.missing = Some(error.to_string());
                return (runs, request + 1);
            }
        };
        let full = page.len() >= PAGE;
        let oldest = page.iter().filter_map(|job| job.created_at.get()).min();
        let oldest = oldest.copied().filter(|_| full);
        let mut new = page;
        new.retain(|job| known.insert(job.id.clone()));
        let ignored = new.is_empty();
        new.retain(|job| is_of_period(job, since));
        runs.jobs.extend(new);
        match oldest.filter(|oldest| *oldest > since) {
            Some(_) if ignored => {
                runs.missing = Some("PostHog lists only the newest runs of the source".to_owned());
                return (runs, request + 1);
            }
            Some(oldest) => {
                runs.since = oldest;
                before = later(oldest);
            }
            None => {
                runs.since = since;
                return (runs, request + 1);
            }
        }
    }
    runs.missing = Some(format!(
        "the source has more runs than this command reads in {most} requests"
    ));
    (runs, most)
}

/// True for a run of the period, also for one that began earlier and has not ended before it.
fn is_of_period(job: &Job, since: Timestamp) -> bool {
    let last = job.finished_at.get().or(job.created_at.get());
    !job.has_ended() || last.is_some_and(|last| *last >= since)
}

fn later(at: Timestamp) -> Timestamp {
    at.checked_add(MICROSECOND).unwrap_or(at)
}
