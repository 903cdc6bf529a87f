//! A run of another table that ended well: proof that `PostHog`'s workers, its loader and its log work. Without one the silence of
//! a run says nothing, because all of them may be down while every run is healthy.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    Newest, RunProbe,
    run_probe::runs,
    table_log::{markers, note_unfamiliar, oldest_first},
    words::{CompletedLog, DatedLine, Pipeline, Words, of_completed},
};
use crate::posthog::{
    Client, Transport,
    client::{LOG_LINES, LogFilter},
    instance::Feature,
    lax::Lax,
    run_log::{Line, read},
    wire::{Job, JobStatus, LogPage},
};

/// How far the clock of the log may be from that of the runs.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);

/// A completed run and what its log shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// Id of the source of its table.
    pub source_id: String,
    /// Id of its table.
    pub schema_id: String,
    /// Name of its table.
    pub name: String,
    /// The run.
    pub job_id: String,
    /// When it ended.
    pub finished_at: Timestamp,
    /// When its extraction was last seen at work.
    pub extracted_at: Timestamp,
    /// Whether its log has lines of the time at which it ran, and none of an extraction before that. Without, silence proves nothing here.
    pub has_lines: bool,
    /// Which pipeline it ran on.
    pub pipeline: Pipeline,
    /// Kinds of lines that this version does not know and that it wrote only while it extracted.
    pub details: BTreeSet<String>,
    /// The same of those that it wrote after it had extracted.
    pub endings: BTreeSet<String>,
    /// Whether the loader writes into the log here.
    pub loader_logs: bool,
    /// When it was read.
    pub read_at: Timestamp,
}

/// What the log of a completed run shows of the instance. An empty log shows nothing, and without the v3 pipeline there is no loader.
fn shown(page: &LogPage) -> Vec<(Feature, bool)> {
    let lines: Vec<Line> = page
        .results
        .iter()
        .filter_map(|line| line.message.get())
        .map(|text| read(text))
        .collect();
    let marks = lines.iter().any(|line| line.is_extraction_marker());
    let loads = lines.contains(&Line::Loading);
    match (lines.is_empty(), marks || loads) {
        (true, _) => Vec::new(),
        // In words that are not known it may well mark phases.
        (false, false) if lines.contains(&Line::Unknown) => Vec::new(),
        (false, false) => vec![(Feature::PhaseMarkers, false)],
        (false, true) => vec![
            (Feature::PhaseMarkers, marks),
            (Feature::LoaderLines, loads),
        ],
    }
}

impl Canary {
    /// Reads the newest completed run of a table; none if there is none or it cannot be read.
    pub async fn read<T: Transport>(
        client: &Client<T>,
        source_id: &str,
        schema_id: &str,
        name: &str,
    ) -> Option<Self> {
        let (jobs, _) = runs(client, source_id, schema_id, name).await.ok()?;
        let now = client.now();
        let run_probe = RunProbe::new(now, schema_id, Ok(jobs), super::Log::NotRead);
        if let Newest::Unclear(_) = run_probe.newest() {
            return None;
        }
        let job = run_probe.newest_completed()?;
        let run_id = job.workflow_run_id.get()?;
        let filter = LogFilter {
            run_id: Some(run_id),
            ..LogFilter::default()
        };
        let mut page = client.logs(schema_id, filter).await.ok()?;
        note_unfamiliar(client, &page);
        if page.results.len() >= LOG_LINES {
            // The lines that mark its phases may be hidden behind thousands of others.
            for markers in markers(client, schema_id, run_id).await.ok()? {
                let hidden = markers.results.into_iter();
                let known = page.results.clone();
                page.results
                    .extend(hidden.filter(|line| !known.contains(line)));
            }
        }
        let shown = shown(&page);
        client.noted().note(|instance| {
            for (feature, shows) in shown {
                instance.note(feature, shows);
            }
        });
        Self::new((source_id, schema_id, name), job, &page, now)
    }

    fn new(
        (source_id, schema_id, name): (&str, &str, &str),
        job: &Job,
        page: &LogPage,
        now: Timestamp,
    ) -> Option<Self> {
        let created = *job.created_at.get()?;
        let finished_at = *job.finished_at.get()?;
        // What ends in times to come proves nothing of now.
        if finished_at.duration_since(now) > CLOCKS_DIFFER {
            return None;
        }
        // The silence of a log whose clock is hours away proves nothing.
        let while_it_ran = |at: Timestamp| {
            at.duration_since(created) >= -CLOCKS_DIFFER
                && at.duration_since(finished_at) <= CLOCKS_DIFFER
        };
        let lines = oldest_first(page.results.iter());
        let is_early = |(at, text): &DatedLine<'_>| {
            read(text).is_extraction() && at.duration_since(created) < -CLOCKS_DIFFER
        };
        let CompletedLog {
            pipeline,
            details,
            endings,
        } = of_completed(&lines);
        let extracted_at = match pipeline {
            // Without a loader the run extracts until its end.
            Pipeline::V2 => finished_at,
            Pipeline::V3 | Pipeline::V3WithoutRows | Pipeline::Unknown => {
                extracted_at(&lines).unwrap_or(created)
            }
        };
        Some(Self {
            source_id: source_id.to_owned(),
            schema_id: schema_id.to_owned(),
            name: name.to_owned(),
            job_id: job.id.clone(),
            finished_at,
            extracted_at,
            has_lines: lines.iter().any(|(at, _)| while_it_ran(*at)) && !lines.iter().any(is_early),
            pipeline,
            details,
            endings,
            loader_logs: lines.iter().any(|(_, text)| read(text) == Line::Loading),
            read_at: now,
        })
    }

    /// True while the run is still listed as it was, completed, or a later one is: of a table that is synced every few minutes the list
    /// shows hours.
    pub async fn still_holds<T: Transport>(&self, client: &Client<T>) -> bool {
        let jobs = client.jobs(&self.source_id, &self.name).await;
        let is_later = |job: &Job| matches!(job.finished_at, Lax::Is(at) if at > self.finished_at);
        let of_this_table = |job: &Job| job.schema.as_ref().is_some_and(|s| s.id == self.schema_id);
        let stands = |job: &Job| {
            let completed = job.status() == JobStatus::Completed;
            completed && of_this_table(job) && (job.id == self.job_id || is_later(job))
        };
        jobs.is_ok_and(|(jobs, _)| jobs.iter().any(stands))
    }
}

/// When a run was last seen to extract.
fn extracted_at(lines: &[DatedLine<'_>]) -> Option<Timestamp> {
    let extracts = |line: Line| match line {
        Line::ExtractionStarted
        | Line::ExtractionComplete
        | Line::NothingExtracted
        | Line::Extracting
        | Line::Finalizing => true,
        Line::Start
        | Line::ExtractionFailed
        | Line::Loading
        | Line::LoadGivenUp
        | Line::PostLoad
        | Line::CleaningUp
        | Line::Detail
        | Line::Housekeeping
        | Line::StartRefused(_)
        | Line::Unknown => false,
    };
    let extraction = lines.iter().filter(|(_, text)| extracts(read(text)));
    extraction.map(|(at, _)| *at).max()
}

/// What completed runs show of the words in which this `PostHog` writes its logs.
#[must_use]
pub fn words(canaries: &[Canary]) -> Words {
    let any = |pipeline| canaries.iter().any(|canary| canary.pipeline == pipeline);
    let details = canaries.iter().flat_map(|canary| &canary.details);
    let endings = canaries.iter().flat_map(|canary| &canary.endings);
    Words {
        v2: any(Pipeline::V2) && !any(Pipeline::V3) && !any(Pipeline::V3WithoutRows),
        details: details.cloned().collect(),
        endings: endings.cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(messages: &[(&str, &str)]) -> Canary {
        let job = serde_json::from_value(serde_json::json!({
            "id": "j", "created_at": "2026-10-01T00:00:00Z", "finished_at": "2026-10-01T02:00:00Z", "status": "Completed",
            "schema": {"id": "b"}, "workflow_run_id": "r",
        }));
        let lines: Vec<_> = messages
            .iter()
            .map(|(at, message)| serde_json::json!({"timestamp": at, "instance_id": "r", "message": message}))
            .collect();
        let page = serde_json::from_value(serde_json::json!({ "results": lines })).unwrap();
        let now = "2026-10-01T03:00:00Z".parse().unwrap();
        Canary::new(("s", "b", "b"), &job.unwrap(), &page, now).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_v3_run_proves_the_workers_until_its_extraction_and_the_loader_until_its_end() {
        let canary = canary(&[
            ("2026-10-01T01:50:00Z", "batch_processed_ok"),
            ("2026-10-01T00:30:00Z", "V3 Pipeline: Extraction complete"),
            ("2026-10-01T00:01:00Z", "V3 Pipeline: Extraction starting"),
        ]);
        assert!(canary.loader_logs && canary.has_lines);
        assert_eq!(canary.pipeline, Pipeline::V3);
        assert_eq!(canary.extracted_at, at("2026-10-01T00:30:00Z"));
        assert_eq!(canary.finished_at, at("2026-10-01T02:00:00Z"));
    }

    #[test]
    fn a_log_whose_clock_is_not_that_of_the_runs_proves_nothing() {
        for (at, proves) in [
            ("2026-09-30T23:55:00Z", true),
            ("2026-10-01T02:05:00Z", true),
            ("2026-09-30T17:00:00Z", false),
            ("2026-10-01T09:00:00Z", false),
        ] {
            assert_eq!(
                canary(&[(at, "batch_processed_ok")]).has_lines,
                proves,
                "{at}"
            );
        }
    }

    #[test]
    fn a_run_of_v2_extracts_until_its_end_and_an_empty_log_or_unknown_words_prove_nothing() {
        let silent = canary(&[]);
        assert!(!silent.has_lines && !silent.loader_logs);
        assert_eq!(silent.pipeline, Pipeline::Unknown);
        let v2 = canary(&[
            (
                "2026-10-01T01:30:00Z",
                "Finished validating schema and updating table",
            ),
            ("2026-10-01T01:00:00Z", "Updating rows_synced with +5"),
        ]);
        assert_eq!(v2.extracted_at, v2.finished_at);
        let unknown = canary(&[("2026-10-01T01:00:00Z", "Synced 5 rows")]);
        assert_eq!(unknown.extracted_at, at("2026-10-01T00:00:00Z"));
    }
}
