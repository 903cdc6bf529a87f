//! Is a table stale though it says Completed? Schedules can stop without an error; a run that finds nothing new may leave
//! `last_synced_at` where it was. So the list only makes a suspect, and the runs decide.

use jiff::{SignedDuration, Timestamp};

use super::{known::Known, verdict::Verdict};
use crate::{
    api::{
        status::Severity,
        validated::{Health, Selector},
    },
    observe::{Newest, Seen, Snapshot},
    posthog::{
        lax::Lax,
        wire::{JobStatus, Schema, SchemaStatus, Source},
    },
};

/// How old the last completed run may be, and how bad it is beyond. Empty for a table that has no schedule that is known:
/// nobody can say when it is due.
fn limits(health: &Health, schema: &Schema) -> Vec<(SignedDuration, Severity)> {
    let Some(every) = schema.frequency() else {
        return Vec::new();
    };
    let (warn, error) = health.stale_after;
    let times = |count: i32| every.checked_mul(count).unwrap_or(SignedDuration::MAX);
    let max_age = health.max_age.map(|age| (age, Severity::Error));
    let limits = [
        (times(error), Severity::Error),
        (times(warn), Severity::Warning),
    ];
    max_age.into_iter().chain(limits).collect()
}

/// The worst limit that an age has passed; of two, the one that was passed first.
fn passed(
    health: &Health,
    schema: &Schema,
    age: SignedDuration,
) -> Option<(SignedDuration, Severity)> {
    let mut passed: Vec<_> = limits(health, schema)
        .into_iter()
        .filter(|(limit, _)| age > *limit)
        .collect();
    passed.sort_by_key(|(limit, severity)| (*severity, *limit));
    passed.first().copied()
}

/// True if the list alone lets a table look stale.
#[must_use]
pub fn is_suspect(health: &Health, source: &Source, schema: &Schema, now: Timestamp) -> bool {
    let age = |at: &Timestamp| now.duration_since(*at);
    is_scheduled(source, schema)
        && schema
            .last_synced_at
            .get()
            .is_some_and(|at| passed(health, schema, age(at)).is_some())
}

/// Sources that are only queried have no schedule of syncs.
fn is_scheduled(source: &Source, schema: &Schema) -> bool {
    source.is_imported()
        && schema.should_sync == Lax::Is(true)
        && schema.status() == SchemaStatus::Completed
}

/// The verdict on a table that says Completed; none if it is not stale, or nobody can tell yet.
#[must_use]
pub fn verdict(
    known: &Known<'_>,
    source: &Source,
    schema: &Schema,
    seen: Option<&Seen>,
) -> Option<Verdict> {
    let health = known.health(source, schema);
    if !is_suspect(health, source, schema, known.now) {
        return None;
    }
    let synced = schema.last_synced_at.get()?;
    let look = seen?.readable()?;
    let last = match look.newest() {
        Newest::Unclear(_) => return None,
        Newest::None => *synced,
        Newest::Job(job, began) => match job.status() {
            JobStatus::Completed => job.finished_at.get().copied().unwrap_or(began).max(*synced),
            // A run in progress, or one that failed or was held back: something else will be said of it.
            JobStatus::Running | JobStatus::Failed | JobStatus::Billing | JobStatus::Unknown => {
                return None;
            }
        },
    };
    // Only what the look proved: a run may have completed since.
    let age = look.began.duration_since(last);
    let (allowed, severity) = passed(health, schema, age)?;
    if grace(known.snapshot, schema, known.now).is_some() {
        return None;
    }
    Some(Verdict::Stale {
        since: last,
        allowed,
        severity,
    })
}

/// When the schedule of a table was changed, as long as its first run is not due: a new schedule has a whole interval for it.
fn grace(snapshot: &Snapshot, schema: &Schema, now: Timestamp) -> Option<Timestamp> {
    let at = *snapshot.changes.rescheduled.get(&schema.id)?;
    (now.duration_since(at) < schema.frequency()?).then_some(at)
}

/// The selected tables that would look stale before the first run of their new schedule, and when that was changed.
pub fn rescheduled<'a>(
    selector: &'a Selector,
    snapshot: &'a Snapshot,
    now: Timestamp,
) -> impl Iterator<Item = (&'a Schema, Timestamp)> {
    snapshot
        .selected(selector)
        .filter(|(source, schema)| is_scheduled(source, schema))
        .filter_map(move |(_, schema)| {
            let at = grace(snapshot, schema, now)?;
            let age = now.duration_since(*schema.last_synced_at.get()?);
            (age > schema.frequency()?).then_some((schema, at))
        })
}
