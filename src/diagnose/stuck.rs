//! Is a run dead? The rules lean to "alive": cancelling a healthy run is the worst that this operator could do.
//!
//! Silence alone proves nothing. After its extraction a run waits for `PostHog`'s loader for up to 6.5 days and is loaded for hours
//! without a sign in its rows; a queued run writes no line at all; and the loader may be down while every run is healthy. So a run
//! counts as dead only where its silence has no such explanation, and only beside a run of another table that completed since
//! (a [`Canary`]). What is missing for that is said.

use compact_str::CompactString;
use jiff::{SignedDuration, Timestamp};

use super::words::{refused_start, several_runs};
use crate::{
    api::{Timings, status::Mark, validated::Health},
    observe::{
        Canary, Newest, Pipeline, RunPhase, RunProbe, Seen, TableLog, canary::words,
        progress::LOG_NOT_READ,
    },
    posthog::{
        lax::Lax,
        redact,
        wire::{Job, JobStatus, Schema, Source},
    },
};

/// How long `PostHog`'s own finding that a run is alive holds: its limit for a loader without progress.
const VOUCHED_FOR: SignedDuration = SignedDuration::from_hours(6);

/// Longest beginning of a line that is shown, in characters.
const KIND_CAP: usize = 60;

/// Tables of one project that may look dead at once. More have one cause, and it is not in the tables.
pub const MOST_AT_ONCE: usize = 2;

/// Why a run is not judged whose times can be compared with no other.
const UNDATED: &str = "PostHog's answers have no Date header and its log shows no time of the run's last work, so how long the run has been silent is unknown";

/// Runs whose silence began this much later count as silent at once with a run that is dead.
const AT_ONCE: SignedDuration = SignedDuration::from_hours(1);

/// How a table that says Running stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Liveness {
    /// A run shows signs of life, or has not been silent for long enough to say.
    Alive,
    /// No run is in progress.
    NoRun {
        /// The newest run, if there was one.
        newest_job_id: Option<String>,
        /// Since when, as far as the operator saw.
        since: Timestamp,
    },
    /// The run died while it extracted: nothing that `PostHog` does explains its silence.
    Dead(Silence),
    /// The run is probably dead, but what it may wait for shows no sign either.
    Silent(Silence),
    /// It cannot be judged, for this reason.
    Unknown(String),
}

/// A run that shows no sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// The run.
    pub job_id: String,
    /// When it began.
    pub began: Timestamp,
    /// Since when nothing moved.
    pub since: Timestamp,
    /// How far it was.
    pub phase: RunPhase,
    /// The run of another table that proves that `PostHog` works; none if the project has no other table.
    pub canary: Option<Canary>,
}

/// What a run is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Signs<'a> {
    /// Its table.
    pub schema: &'a Schema,
    /// What was seen of the table.
    pub seen: &'a Seen,
    /// The desired health of the table.
    pub health: &'a Health,
    /// The fixed durations.
    pub timings: &'a Timings,
    /// Completed runs of the project.
    pub canaries: &'a [Canary],
    /// Whether the project has no other table that syncs.
    pub is_alone: bool,
}

impl Signs<'_> {
    /// How the table stands.
    #[must_use]
    pub fn judge(&self) -> Liveness {
        let Some(run_probe) = &self.seen.run_probe else {
            return Liveness::Alive;
        };
        if let Some(reason) = &self.seen.unclear {
            return Liveness::Unknown(reason.clone());
        }
        let Some(mark) = self.seen.mark.as_ref().filter(|_| self.seen.frozen) else {
            return Liveness::Alive;
        };
        // Only what two looks have proved: nothing is assumed of the time after the last.
        let still = run_probe.began.duration_since(mark.since);
        match run_probe.newest() {
            Newest::Job(job, began) if job.status() == JobStatus::Running => {
                let silence = Silence {
                    job_id: job.id.clone(),
                    began,
                    since: mark.since,
                    phase: RunPhase::Unknown,
                    canary: None,
                };
                self.run(run_probe, job, silence)
            }
            // The list hides its runs: one may be in progress.
            Newest::None
                if still >= self.timings.phantom_after
                    && self.schema.last_synced_at.get().is_some() =>
            {
                Liveness::Unknown(
                    "PostHog lists no run of it, although it has synced before".to_owned(),
                )
            }
            // What an older run does is not seen in the newest.
            _ if run_probe.unfinished().next().is_some() => {
                if still >= self.timings.phantom_after {
                    Liveness::Unknown(
                        "its newest run has ended and an older one has not".to_owned(),
                    )
                } else {
                    Liveness::Alive
                }
            }
            _ if still >= self.timings.phantom_after => Liveness::NoRun {
                newest_job_id: mark.job_id.clone(),
                since: mark.since,
            },
            _ => Liveness::Alive,
        }
    }

    fn run(&self, run_probe: &RunProbe, job: &Job, silence: Silence) -> Liveness {
        let Some(now) = self.time(run_probe) else {
            return Liveness::Unknown(UNDATED.to_owned());
        };
        let mut silent_for = silent_for(self.seen).unwrap_or_default();
        let mut silence = silence;
        if !run_probe.is_dated {
            // By PostHog's clock alone, too.
            let Some(last) = run_probe.worked_at() else {
                return Liveness::Unknown(UNDATED.to_owned());
            };
            silent_for = silent_for.min(now.duration_since(last));
            silence.since = last;
        }
        let age = now.duration_since(silence.began);
        if age < self.health.stuck_after || silent_for < self.health.no_progress_for {
            return Liveness::Alive;
        }
        let Some(log) = run_probe.log.read() else {
            return Liveness::Unknown(LOG_NOT_READ.to_owned());
        };
        let is_finishing = is_finishing(self.schema, silence.began);
        let waits = is_finishing && silent_for < self.health.loading_silent_for;
        if waits || is_vouched_for(log, now) {
            return Liveness::Alive;
        }
        if let Some(reason) = self.why_opaque(run_probe, job, log, silence.since) {
            return Liveness::Unknown(reason);
        }
        let phase = if is_finishing {
            RunPhase::PostLoad
        } else {
            log.phase(&words(self.canaries))
        };
        self.by_phase(log, silent_for, Silence { phase, ..silence })
    }

    /// What the time is by `PostHog`'s clock: now, if that is known to agree with the operator's; else no earlier than the newest time that
    /// `PostHog` shows.
    pub(super) fn time(&self, run_probe: &RunProbe) -> Option<Timestamp> {
        if run_probe.is_dated {
            return Some(run_probe.began);
        }
        let finished = self.canaries.iter().map(|canary| canary.finished_at);
        finished.chain(run_probe.newest_time()).max()
    }

    /// Why no silence of this run would prove anything.
    fn why_opaque(
        &self,
        run_probe: &RunProbe,
        job: &Job,
        log: &TableLog,
        since: Timestamp,
    ) -> Option<String> {
        let unfinished = run_probe.unfinished().count();
        if unfinished > 1 {
            return Some(several_runs(unfinished));
        }
        match self.schema.sync_type.get().map(CompactString::as_str) {
            Some("full_refresh" | "incremental" | "append" | "xmin") => {}
            Some(by @ ("cdc" | "webhook")) => {
                return Some(format!("a table that syncs by {by} may be silent for long"));
            }
            Some(_) | None => return Some("the table's sync type is unknown".to_owned()),
        }
        if let Some(reason) = job.why_opaque() {
            return Some(reason.to_owned());
        }
        if !log.has_own_lines {
            return Some(
                "PostHog's log has no lines of the run, so its silence proves nothing".to_owned(),
            );
        }
        log.doubted_at.filter(|at| *at >= since).map(refused_start)
    }

    fn by_phase(&self, log: &TableLog, silent_for: SignedDuration, silence: Silence) -> Liveness {
        let phase = silence.phase;
        let waited = silent_for >= self.health.loading_silent_for;
        if self.is_alone {
            // No other run can prove that PostHog works: a person decides.
            return if waited {
                Liveness::Silent(silence)
            } else {
                Liveness::Alive
            };
        }
        let since = silence.since;
        // A run that ended since, on the same pipeline, in known words: had this one ended its extraction, a known line would say so.
        let pipeline = if log.marks_phases() {
            Pipeline::V3
        } else {
            Pipeline::V2
        };
        let canary = match phase {
            RunPhase::Extracting => {
                self.canary(|canary| canary.extracted_at > since && canary.pipeline == pipeline)
            }
            // The loader's own lines: where it writes none, its silence is no sign.
            RunPhase::Queued | RunPhase::Loading | RunPhase::PostLoad | RunPhase::Unknown => {
                self.canary(|canary| canary.finished_at > since && canary.loader_logs)
            }
        };
        let proved = Silence {
            canary: canary.clone(),
            ..silence
        };
        let words = words(self.canaries);
        match phase {
            RunPhase::Extracting if canary.is_some() => Liveness::Dead(proved),
            // Nothing is expected of the loader yet.
            RunPhase::Queued | RunPhase::Loading | RunPhase::PostLoad if !waited => Liveness::Alive,
            RunPhase::Unknown
                if let Some(kind) = log.unexplained(&words)
                    && (!waited || canary.is_none()) =>
            {
                Liveness::Unknown(in_unknown_words(kind))
            }
            _ if canary.is_none() => Liveness::Unknown(self.why_no_canary(phase, since)),
            _ if waited && self.slot_has_passed(silent_for) => Liveness::Silent(proved),
            _ => Liveness::Alive,
        }
    }

    /// The newest completed run of another table that `proves` what is asked.
    fn canary(&self, proves: impl Fn(&Canary) -> bool) -> Option<Canary> {
        self.canaries
            .iter()
            .filter(|canary| canary.schema_id != self.schema.id && canary.has_lines)
            .filter(|canary| proves(canary))
            .max_by_key(|canary| canary.finished_at)
            .cloned()
    }

    fn why_no_canary(&self, phase: RunPhase, since: Timestamp) -> String {
        let since = super::words::seconds(since);
        let finished =
            |canary: &Canary| canary.finished_at > since && canary.schema_id != self.schema.id;
        let finished: Vec<&Canary> = self.canaries.iter().filter(|c| finished(c)).collect();
        if finished.is_empty() {
            let what = if phase == RunPhase::Extracting {
                "workers"
            } else {
                "loader"
            };
            format!(
                "no other table of this project has finished a run since {since}, so PostHog's {what} may be down"
            )
        } else if finished.iter().all(|canary| !canary.has_lines) {
            "the log of a run that completed since then is empty or its times are wrong, so the silence of this run proves nothing".to_owned()
        } else if phase == RunPhase::Extracting
            && finished.iter().any(|canary| canary.extracted_at > since)
        {
            "no completed run shows in words that this version knows how this PostHog marks the end of an extraction, so this run may have ended its own".to_owned()
        } else if phase == RunPhase::Extracting {
            format!(
                "no other table of this project is known to have extracted since {since}, so PostHog's workers may be down"
            )
        } else {
            "this PostHog's loader writes no log lines, so its silence proves nothing".to_owned()
        }
    }

    /// Whether a scheduled start came since the run fell silent: `PostHog` would have ended a dead run then. Without a schedule
    /// none ever comes.
    fn slot_has_passed(&self, silent_for: SignedDuration) -> bool {
        self.schema
            .frequency()
            .is_none_or(|every| silent_for >= every)
    }
}

/// Why a run with a line that begins like this is not judged.
#[must_use]
pub fn in_unknown_words(kind: &str) -> String {
    let kind = redact::one_line(kind, KIND_CAP);
    format!(
        "the run's log has lines that this version of the operator does not know (“{kind}”), so how far the run is, and whether it waits for PostHog's loader, is unknown"
    )
}

/// True if the run has done its work: `PostHog` sets this to its start before it ends, and may tidy up for hours after that.
fn is_finishing(schema: &Schema, began: Timestamp) -> bool {
    matches!(schema.last_synced_at, Lax::Is(at) if at >= began)
}

/// True if `PostHog` itself lately found the run alive when it refused another start.
#[must_use]
pub fn is_vouched_for(log: &TableLog, now: Timestamp) -> bool {
    let vouched = log.vouched_at;
    vouched.is_some_and(|at| now.duration_since(at) < VOUCHED_FOR)
}

/// How long the newest run of a table has shown no sign of life, as two looks proved; none if it shows some, or nothing runs.
#[must_use]
pub fn silent_for(seen: &Seen) -> Option<SignedDuration> {
    let run_probe = seen.run_probe.as_ref()?;
    let mark = seen
        .mark
        .as_ref()
        .filter(|mark| seen.frozen && mark.running)?;
    Some(
        run_probe
            .began
            .duration_since(silent_since(mark, run_probe)),
    )
}

/// Since when a run or table that has not moved is silent. `PostHog`'s own time of the last sign must say the same as the mark: were the operator's clock set
/// right only after the mark was made, two reads minutes apart would seem to prove hours.
pub(super) fn silent_since(mark: &Mark, run_probe: &RunProbe) -> Timestamp {
    let log_at = mark.log_at.filter(|_| run_probe.is_dated);
    log_at.map_or(mark.since, |at| at.max(mark.since))
}

/// True if the table is silent for about as long as one that is dead: for `no_progress_for`, less an hour. One read is enough for that.
#[must_use]
pub fn is_silent_beside_the_dead(seen: &Seen, no_progress_for: SignedDuration) -> bool {
    let (Some(run_probe), Some(mark)) = (&seen.run_probe, &seen.mark) else {
        return false;
    };
    let still = run_probe.began.duration_since(mark.since);
    mark.running && seen.unclear.is_none() && still >= nearly(no_progress_for)
}

/// True if the table may be silent beside a dead one, as far as is known now, even if it was not read recently: its run has not been seen to move for
/// most of that time, or was not read at all since it began that long ago or since this process has just started.
#[must_use]
pub fn may_be_silent_too(seen: &Seen, no_progress_for: SignedDuration, now: Timestamp) -> bool {
    let most = no_progress_for - no_progress_for / 4;
    if let Some(mark) = &seen.mark {
        return mark.running && now.duration_since(mark.since) >= most;
    }
    let is_old = seen.from_first_list || now.duration_since(seen.row_since) >= most;
    seen.run_probe.is_none() && is_old
}

fn nearly(no_progress_for: SignedDuration) -> SignedDuration {
    no_progress_for - AT_ONCE.min(no_progress_for / 12)
}

/// True if a completed run of this table may serve as a canary: it syncs by the ordinary pipeline, and has completed before.
#[must_use]
pub fn may_be_canary(source: &Source, schema: &Schema) -> bool {
    let ordinary = !schema.syncs_by("cdc") && !schema.syncs_by("webhook");
    source.is_imported() && ordinary && schema.is_on() && schema.last_synced_at.get().is_some()
}

#[cfg(test)]
#[path = "stuck_tests.rs"]
mod tests;
