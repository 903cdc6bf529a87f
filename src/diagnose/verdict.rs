//! The verdict on each table. The rules lean to "not stuck": cancelling a healthy run is the worst that could happen.

use jiff::{SignedDuration, Timestamp};

use super::cause;
use crate::{
    api::{
        Timings, ValidatedPolicy,
        status::{RootCause, SchemaCounts, SourceCounts, Summary},
    },
    observe::{Newest, Seen, Snapshot},
    posthog::{
        lax::Lax,
        redact,
        wire::{JobStatus, Schema, SchemaStatus, Source},
    },
};

/// Longest error text that is kept, in characters.
const TEXT_CAP: usize = 300;

/// How a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The last run completed.
    Healthy,
    /// Switched on and never run.
    Pending,
    /// A run is in progress, and nothing says that it hangs.
    Running,
    /// The running job hangs.
    StuckJob {
        /// The job.
        job_id: String,
        /// When it began.
        began: Timestamp,
        /// Since when nothing has moved.
        since: Timestamp,
    },
    /// The table says Running, and no job runs.
    StuckWithoutJob {
        /// The newest job, if there was one.
        newest_job_id: Option<String>,
        /// Since when, as far as the operator saw.
        since: Timestamp,
    },
    /// The newest run failed, long enough ago to be reported.
    Failing {
        /// Since when.
        since: Timestamp,
        /// Why.
        cause: RootCause,
        /// What `PostHog` says, redacted.
        text: Option<String>,
    },
    /// The newest run failed so recently that it is not yet reported.
    JustFailed,
    /// Syncing is switched off; `after` holds what `PostHog` said of the failure before that, redacted.
    Disabled {
        /// The error text beside which it was switched off, if there was a failure.
        after: Option<String>,
    },
    /// Billing holds it back.
    Billing,
    /// A legacy state that `PostHog` no longer sets.
    Paused,
    /// What `PostHog` says cannot be relied on.
    CannotTell {
        /// Why not.
        reason: String,
    },
}

impl Verdict {
    /// Why a table counts as stuck, in a sentence without its full stop; none if it does not.
    #[must_use]
    pub fn why_stuck(&self) -> Option<String> {
        match self {
            Self::StuckJob {
                job_id,
                began,
                since,
            } => Some(format!(
                "job {job_id} has been Running since {}, and since {} neither its rows nor its log have moved",
                seconds(*began),
                seconds(*since)
            )),
            Self::StuckWithoutJob { since, .. } => Some(format!(
                "it has said Running since {} at least, but no job of it runs",
                seconds(*since)
            )),
            _ => None,
        }
    }
}

/// A time as a sentence needs it.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A table that is not simply well, and its verdict.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What people call its source.
    pub source: String,
    /// Id of its source.
    pub source_id: String,
    /// Id of the table.
    pub schema_id: String,
    /// Name of the table.
    pub schema: String,
    /// How it is.
    pub verdict: Verdict,
    /// What the last look found, in words.
    pub evidence: Vec<String>,
}

/// The verdicts on all selected tables.
#[derive(Debug, Clone, Default)]
pub struct Diagnosis {
    /// Every table that is not Healthy, in the order of the list.
    pub judged: Vec<Judged>,
    sources: SourceCounts,
    schemas: SchemaCounts,
}

impl Diagnosis {
    /// The verdict on one table; Healthy is not kept, so none means healthy or not selected.
    #[must_use]
    pub fn of(&self, schema_id: &str) -> Option<&Judged> {
        self.judged
            .iter()
            .find(|judged| judged.schema_id == schema_id)
    }

    /// The counts. `in_repair` says which tables count as stuck, whatever `PostHog` paints meanwhile, because an incident
    /// of theirs is in flight.
    #[must_use]
    pub fn summary(&self, in_repair: impl Fn(&str) -> bool) -> Summary {
        let mut schemas = self.schemas.clone();
        for judged in self
            .judged
            .iter()
            .filter(|judged| in_repair(&judged.schema_id))
        {
            *field(&mut schemas, &judged.verdict) -= 1;
            schemas.stuck += 1;
        }
        let on = schemas.total - schemas.disabled;
        let healthy_of = format!("{}/{on}", schemas.healthy + schemas.running);
        Summary {
            sources: self.sources.clone(),
            schemas,
            healthy_of,
        }
    }
}

/// Judges every selected table.
#[must_use]
pub fn diagnose(
    policy: &ValidatedPolicy,
    snapshot: &Snapshot,
    timings: &Timings,
    now: Timestamp,
) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    let mut source_well: Option<(&str, bool)> = None;
    for (source, schema) in snapshot.selected(&policy.selector) {
        let seen = snapshot.runs.get(&schema.id);
        let verdict = judge(policy, schema, seen, timings, now);
        diagnosis.schemas.total += 1;
        *field(&mut diagnosis.schemas, &verdict) += 1;
        let well = lets_source_be_healthy(&verdict);
        match &mut source_well {
            Some((id, all_well)) if *id == source.id => *all_well &= well,
            _ => {
                count_source(&mut diagnosis.sources, source_well);
                source_well = Some((&source.id, well));
            }
        }
        if verdict != Verdict::Healthy {
            diagnosis
                .judged
                .push(describe(source, schema, verdict, seen));
        }
    }
    count_source(&mut diagnosis.sources, source_well);
    diagnosis
}

fn count_source(counts: &mut SourceCounts, source: Option<(&str, bool)>) {
    let Some((_, well)) = source else { return };
    counts.total += 1;
    if well {
        counts.healthy += 1;
    } else {
        counts.failing += 1;
    }
}

/// The count in which a table of this verdict stands.
const fn field<'a>(counts: &'a mut SchemaCounts, verdict: &Verdict) -> &'a mut i64 {
    match verdict {
        Verdict::Healthy => &mut counts.healthy,
        Verdict::Running => &mut counts.running,
        Verdict::StuckJob { .. } | Verdict::StuckWithoutJob { .. } => &mut counts.stuck,
        Verdict::Failing { .. } | Verdict::JustFailed => &mut counts.failing,
        Verdict::Disabled { .. } | Verdict::Paused => &mut counts.disabled,
        Verdict::Billing => &mut counts.billing,
        Verdict::Pending | Verdict::CannotTell { .. } => &mut counts.unknown,
    }
}

const fn lets_source_be_healthy(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Healthy
        | Verdict::Running
        | Verdict::Pending
        | Verdict::Paused
        | Verdict::Disabled { after: None } => true,
        Verdict::StuckJob { .. }
        | Verdict::StuckWithoutJob { .. }
        | Verdict::Failing { .. }
        | Verdict::JustFailed
        | Verdict::Disabled { after: Some(_) }
        | Verdict::Billing
        | Verdict::CannotTell { .. } => false,
    }
}

fn describe(source: &Source, schema: &Schema, verdict: Verdict, seen: Option<&Seen>) -> Judged {
    Judged {
        source: redact::one_line(&source.title(), 80),
        source_id: source.id.clone(),
        schema_id: schema.id.clone(),
        schema: schema.name.clone(),
        verdict,
        evidence: seen
            .and_then(|seen| seen.look.as_ref())
            .map(super::suspects::describe)
            .unwrap_or_default(),
    }
}

fn cannot_tell(reason: impl Into<String>) -> Verdict {
    Verdict::CannotTell {
        reason: reason.into(),
    }
}

/// The verdict on one table.
fn judge(
    policy: &ValidatedPolicy,
    schema: &Schema,
    seen: Option<&Seen>,
    timings: &Timings,
    now: Timestamp,
) -> Verdict {
    let status = schema.status();
    match &schema.should_sync {
        Lax::Is(true) => {}
        Lax::Is(false) => return disabled(schema, status),
        Lax::Missing | Lax::Null | Lax::Odd => {
            return cannot_tell("PostHog does not say whether syncing is switched on");
        }
    }
    match status {
        SchemaStatus::Never => Verdict::Pending,
        SchemaStatus::Billing => Verdict::Billing,
        SchemaStatus::Paused => Verdict::Paused,
        SchemaStatus::Unknown => {
            let shown = schema.status.get().map_or_else(
                || "without a value".to_owned(),
                |s| format!("{:?}", redact::text(s, 40)),
            );
            cannot_tell(format!(
                "its status is {shown}, which this version of the operator does not know"
            ))
        }
        SchemaStatus::Completed if schema.last_synced_at.is_unknown() => {
            cannot_tell("its status is Completed, but the time of its last sync cannot be read")
        }
        SchemaStatus::Completed => Verdict::Healthy,
        SchemaStatus::Failed => failed(policy, schema, seen, now),
        SchemaStatus::Running => running(policy, seen, timings),
    }
}

fn disabled(schema: &Schema, status: SchemaStatus) -> Verdict {
    let text = schema.latest_error.get().filter(|text| !text.is_empty());
    let failed = status == SchemaStatus::Failed
        && cause::of_failure(text.map(String::as_str)) != RootCause::OperatorAction;
    Verdict::Disabled {
        after: text
            .filter(|_| failed)
            .map(|text| redact::text(text, TEXT_CAP)),
    }
}

fn failed(
    policy: &ValidatedPolicy,
    schema: &Schema,
    seen: Option<&Seen>,
    now: Timestamp,
) -> Verdict {
    let Some(seen) = seen else {
        return Verdict::JustFailed;
    };
    let job = match seen.look.as_ref().map(crate::observe::Look::newest) {
        Some(Newest::Job(job, _)) => Some(job),
        Some(Newest::Unclear(reason)) => {
            return cannot_tell(format!("its last run failed, but {reason}"));
        }
        Some(Newest::None) | None => None,
    };
    // The list is older than the look: a new run has begun.
    if job.is_some_and(|job| job.status() == JobStatus::Running) {
        return Verdict::Running;
    }
    let failed_at = job
        .filter(|job| job.status() == JobStatus::Failed)
        .and_then(|job| job.finished_at.get().copied());
    let since = failed_at.unwrap_or(seen.row_since);
    if now.duration_since(since) < policy.failing_for {
        return Verdict::JustFailed;
    }
    let text = schema
        .latest_error
        .get()
        .or_else(|| job.and_then(|job| job.latest_error.get()));
    let cause = cause::of_failure(text.map(String::as_str));
    Verdict::Failing {
        since,
        cause,
        text: text.map(|text| redact::text(text, TEXT_CAP)),
    }
}

fn running(policy: &ValidatedPolicy, seen: Option<&Seen>, timings: &Timings) -> Verdict {
    let Some((seen, look)) = seen.and_then(|seen| seen.look.as_ref().map(|look| (seen, look)))
    else {
        return Verdict::Running;
    };
    if let Some(reason) = &seen.unclear {
        return cannot_tell(format!("it says Running, but {reason}"));
    }
    let Some(mark) = seen.mark.as_ref().filter(|_| seen.frozen) else {
        return Verdict::Running;
    };
    // Only what two looks have proved: nothing is assumed of the time after the last.
    let still: SignedDuration = look.began.duration_since(mark.since);
    match look.newest() {
        Newest::Job(job, began) if job.status() == JobStatus::Running => {
            let old = look.began.duration_since(began) >= policy.stuck_after;
            // PostHog's own time of the last line must say the same: were our clock set right only after the mark was
            // made, two looks minutes apart would seem to prove hours.
            let silent = mark
                .log_at
                .is_none_or(|at| look.began.duration_since(at) >= policy.no_progress_for);
            if still >= policy.no_progress_for && old && silent {
                Verdict::StuckJob {
                    job_id: job.id.clone(),
                    began,
                    since: mark.since,
                }
            } else {
                Verdict::Running
            }
        }
        _ if still >= timings.phantom_after => Verdict::StuckWithoutJob {
            newest_job_id: mark.job_id.clone(),
            since: mark.since,
        },
        _ => Verdict::Running,
    }
}
