//! Is a table stale though it says Completed? Schedules can stop without an error; a run that finds nothing new may leave
//! `last_synced_at` where it was. So the list only makes a suspect, and the runs decide.

use jiff::{SignedDuration, Timestamp};

use super::verdict::{Known, Verdict};
use crate::{
    api::{ValidatedPolicy, status::Severity},
    observe::{Newest, Seen},
    posthog::{
        lax::Lax,
        wire::{JobStatus, Schema, SchemaStatus},
    },
};

/// How old the last completed run may be, and how bad it is beyond.
fn limits(policy: &ValidatedPolicy, schema: &Schema) -> Vec<(SignedDuration, Severity)> {
    let (warn, error) = policy.stale_after;
    let mut limits: Vec<_> = policy
        .max_age
        .map(|age| (age, Severity::Error))
        .into_iter()
        .collect();
    if let Some(every) = schema.frequency() {
        let times = |count: i32| every.checked_mul(count).unwrap_or(SignedDuration::MAX);
        limits.extend([
            (times(error), Severity::Error),
            (times(warn), Severity::Warning),
        ]);
    }
    limits
}

/// The worst limit that an age has passed; of two, the one that was passed first.
fn passed(
    policy: &ValidatedPolicy,
    schema: &Schema,
    age: SignedDuration,
) -> Option<(SignedDuration, Severity)> {
    let mut passed: Vec<_> = limits(policy, schema)
        .into_iter()
        .filter(|(limit, _)| age > *limit)
        .collect();
    passed.sort_by_key(|(limit, severity)| (*severity, *limit));
    passed.first().copied()
}

/// True if the list alone lets a table look stale.
#[must_use]
pub fn is_suspect(policy: &ValidatedPolicy, schema: &Schema, now: Timestamp) -> bool {
    schema.should_sync == Lax::Is(true)
        && schema.status() == SchemaStatus::Completed
        && schema
            .last_synced_at
            .get()
            .is_some_and(|at| passed(policy, schema, now.duration_since(*at)).is_some())
}

/// The verdict on a table that says Completed; none if it is not stale, or nobody can tell yet.
#[must_use]
pub fn verdict(known: &Known<'_>, schema: &Schema, seen: Option<&Seen>) -> Option<Verdict> {
    if !is_suspect(known.policy, schema, known.now) {
        return None;
    }
    let synced = schema.last_synced_at.get()?;
    let last = match seen?.look.as_ref()?.newest() {
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
    let (allowed, severity) = passed(known.policy, schema, known.now.duration_since(last))?;
    // A new schedule has a whole interval for its first run.
    let rescheduled = known.snapshot.changes.rescheduled.get(&schema.id);
    let grace = schema.frequency().unwrap_or(allowed);
    if rescheduled.is_some_and(|at| known.now.duration_since(*at) < grace) {
        return None;
    }
    Some(Verdict::Stale {
        since: last,
        allowed,
        severity,
    })
}
