//! The verdict on each table. The rules lean to "not stuck": cancelling a healthy run is the worst that could happen.

use jiff::{SignedDuration, Timestamp};

use super::{
    causes::Cause,
    failure::{Failure, failure},
    freshness,
    problem::Problem,
    problems, running,
    stuck::Silence,
};
use crate::{
    api::{
        Timings, ValidatedPolicy,
        proposal::Proposal,
        status::{SchemaCounts, Severity, SourceCounts, State, Summary},
        validated::Health,
    },
    observe::{Newest, Seen, Snapshot},
    posthog::{
        lax::Lax,
        redact,
        wire::{JobStatus, Schema, SchemaStatus, Source},
    },
};

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
    /// The running job is silent, and it is probably dead: a person decides whether it is cancelled.
    Silent(Silence),
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
        failure: Failure,
    },
    /// The newest run failed so recently that it is not yet reported.
    JustFailed,
    /// Syncing is switched off.
    Disabled {
        /// The failure before that; none if it was not after one.
        after: Option<Failure>,
        /// When `PostHog` was seen to do it; none if it may have been a person.
        by_posthog: Option<Timestamp>,
    },
    /// It says Completed, but no run has completed for long.
    Stale {
        /// When the last one did.
        since: Timestamp,
        /// How long that may be.
        allowed: SignedDuration,
        /// How bad that is.
        severity: Severity,
    },
    /// Nobody has set it up.
    NotConfigured,
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
    /// The failure that it tells of, also of a table that was switched off after it.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failing { failure, .. }
            | Self::Disabled {
                after: Some(failure),
                ..
            } => Some(failure),
            _ => None,
        }
    }

    /// True if `PostHog` was seen to switch the table off.
    #[must_use]
    pub const fn is_disabled_by_posthog(&self) -> bool {
        matches!(
            self,
            Self::Disabled {
                by_posthog: Some(_),
                ..
            }
        )
    }

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
            Self::Silent(Silence {
                job_id,
                since,
                phase,
                ..
            }) => Some(format!(
                "job {job_id} is {}, and since {} nothing of the table has moved: it is probably dead",
                phase.as_str(),
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
pub(super) fn seconds(at: Timestamp) -> Timestamp {
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
    /// What `PostHog` calls it.
    pub status: SchemaStatus,
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
    /// What somebody should know, most severe first.
    pub problems: Vec<Problem>,
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
            pending_approval: 0,
        }
    }
}

/// Judges every selected table.
#[must_use]
pub fn diagnose(known: &Known<'_>) -> Diagnosis {
    let snapshot = known.snapshot;
    let mut diagnosis = Diagnosis::default();
    let mut source_well: Option<(&str, bool)> = None;
    for (source, schema) in snapshot.selected(&known.policy.selector) {
        let seen = snapshot.seen(&schema.id);
        let verdict = known.judge(source, schema, seen);
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
    diagnosis.problems = problems::all(known, &diagnosis.judged);
    diagnosis
}

/// All that a verdict may rest on.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The policy.
    pub policy: &'a ValidatedPolicy,
    /// What was observed.
    pub snapshot: &'a Snapshot,
    /// What is remembered of earlier passes.
    pub state: &'a State,
    /// What was proposed before.
    pub proposals: &'a [Proposal],
    /// The fixed durations.
    pub timings: &'a Timings,
    /// The time.
    pub now: Timestamp,
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
        Verdict::StuckJob { .. } | Verdict::Silent(_) | Verdict::StuckWithoutJob { .. } => {
            &mut counts.stuck
        }
        Verdict::Failing { .. } | Verdict::JustFailed => &mut counts.failing,
        Verdict::Stale { .. } => &mut counts.stale,
        Verdict::Disabled { .. } | Verdict::NotConfigured | Verdict::Paused => &mut counts.disabled,
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
        | Verdict::NotConfigured
        | Verdict::Disabled { after: None, .. } => true,
        Verdict::StuckJob { .. }
        | Verdict::Silent(_)
        | Verdict::StuckWithoutJob { .. }
        | Verdict::Failing { .. }
        | Verdict::JustFailed
        | Verdict::Stale { .. }
        | Verdict::Disabled { after: Some(_), .. }
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
        status: schema.status(),
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

impl<'a> Known<'a> {
    /// The desired health of a table.
    #[must_use]
    pub fn health(&self, source: &Source, schema: &Schema) -> &'a Health {
        self.policy.health(
            source.type_name(),
            source.prefix_name(),
            &source.id,
            &schema.name,
        )
    }

    /// The verdict on one table.
    pub(super) fn judge(&self, source: &Source, schema: &Schema, seen: Option<&Seen>) -> Verdict {
        let status = schema.status();
        match &schema.should_sync {
            Lax::Is(true) => {}
            Lax::Is(false) => return self.disabled(source, schema, status, seen),
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
            SchemaStatus::Completed => {
                freshness::verdict(self, source, schema, seen).unwrap_or(Verdict::Healthy)
            }
            SchemaStatus::Failed => self.failed(source, schema, seen),
            SchemaStatus::Running => match running::verdict(self, source, schema, seen) {
                Verdict::Running => self.failing_still(source, schema, seen),
                other => other,
            },
        }
    }

    fn disabled(
        &self,
        source: &Source,
        schema: &Schema,
        status: SchemaStatus,
        seen: Option<&Seen>,
    ) -> Verdict {
        if is_not_configured(schema) {
            return Verdict::NotConfigured;
        }
        let has_text = schema
            .latest_error
            .get()
            .is_some_and(|text| !text.trim().is_empty());
        if status != SchemaStatus::Failed || !has_text {
            return Verdict::Disabled {
                after: None,
                by_posthog: None,
            };
        }
        let failed_at = seen.and_then(failed_at);
        let failure = failure(self.snapshot, source, schema, failed_at);
        if Cause::of(failure.cause).is_note() {
            return Verdict::Disabled {
                after: None,
                by_posthog: None,
            };
        }
        let by_posthog = self.seen_disabled(schema, &failure, failed_at);
        Verdict::Disabled {
            after: Some(failure),
            by_posthog,
        }
    }

    /// When `PostHog` was seen to switch a table off. Nobody else switches off in the moment in which a run fails for a
    /// reason that `PostHog` does not retry; a person who switches off a failing table does it at another time.
    fn seen_disabled(
        &self,
        schema: &Schema,
        failure: &Failure,
        failed_at: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let remembered = self
            .state
            .schemas
            .iter()
            .find(|state| state.id == schema.id)
            .and_then(|state| state.disabled_seen);
        if remembered.is_some() {
            return remembered;
        }
        let off = self.snapshot.changes.switched_off.get(&schema.id)?;
        let fresh = failed_at? > off.after && failed_at? <= off.by;
        let look = self.snapshot.seen(&schema.id)?.readable()?;
        let stopped = matches!(look.newest(), Newest::Job(job, _) if job.was_stopped());
        (fresh && !stopped && !Cause::of(failure.cause).retried_by_posthog).then_some(off.by)
    }

    /// A table that failed again and again is not well because it tries once more. One failure may have been chance.
    fn failing_still(&self, source: &Source, schema: &Schema, seen: Option<&Seen>) -> Verdict {
        let streak = seen
            .and_then(|seen| seen.streak)
            .filter(|streak| streak.count >= 2);
        let Some(streak) = streak else {
            return Verdict::Running;
        };
        let failure = failure(self.snapshot, source, schema, Some(streak.last));
        let note = Cause::of(failure.cause).is_note();
        let short = self.now.duration_since(streak.since) < self.health(source, schema).failing_for;
        if note || short || failure.text.is_none() {
            return Verdict::Running;
        }
        Verdict::Failing {
            since: streak.since,
            failure,
        }
    }

    fn failed(&self, source: &Source, schema: &Schema, seen: Option<&Seen>) -> Verdict {
        let Some(seen) = seen else {
            return Verdict::JustFailed;
        };
        let job = match seen.readable().map(crate::observe::Look::newest) {
            Some(Newest::Job(job, _)) => Some(job),
            // The list says enough to report it: that it failed, and why.
            Some(Newest::Unclear(_) | Newest::None) | None => None,
        };
        // The list is older than the look: a new run has begun.
        if job.is_some_and(|job| job.status() == JobStatus::Running) {
            return Verdict::Running;
        }
        let failed_at = failed_at(seen);
        let streak = seen.streak.map(|streak| streak.since);
        // A time to come is another clock's.
        let since = streak.or(failed_at).filter(|at| *at <= self.now);
        let since = since.unwrap_or(seen.row_since);
        if self.now.duration_since(since) < self.health(source, schema).failing_for {
            return Verdict::JustFailed;
        }
        Verdict::Failing {
            since,
            failure: failure(self.snapshot, source, schema, failed_at),
        }
    }
}

/// True for a table that nobody has ever set up.
#[must_use]
pub fn is_not_configured(schema: &Schema) -> bool {
    schema.should_sync == Lax::Is(false)
        && schema.status() == SchemaStatus::Never
        && schema.sync_type == Lax::Null
}

/// When the newest run failed, if that is known.
#[must_use]
pub fn failed_at(seen: &Seen) -> Option<Timestamp> {
    match seen.readable()?.newest() {
        Newest::Job(job, _) if job.status() == JobStatus::Failed => job.finished_at.get().copied(),
        _ => None,
    }
}
