//! Attempts are counted per table. The count continues when the cause changes, and is reset when the table has been healthy for long enough.

use std::collections::BTreeMap;

use crate::{
    api::status::{Incident, RootCause, Tried},
    diagnose::{Cause, Diagnosis, Known, causes::Reload},
    posthog::wire::SchemaStatus,
};

/// The attempts of each table, by its id.
pub type Attempts = BTreeMap<String, Tried>;

/// The attempts of the previous reconcile.
#[must_use]
pub fn of_before(known: &Known<'_>) -> Attempts {
    let states = known.state.schemas.iter();
    states
        .filter_map(|state| Some((state.id.clone(), state.tried.clone()?)))
        .collect()
}

/// How many attempts a table gets for a cause before the incident is escalated; none if they are not counted.
#[must_use]
pub fn most(known: &Known<'_>, cause: RootCause) -> Option<i64> {
    match Cause::of(cause).reload {
        Reload::AfterBackOff | Reload::AfterCheck => {
            Some(known.policy.limits.attempts_per_incident)
        }
        // Once: a schedule that stops again has stopped for good.
        Reload::Stale => Some(1),
        Reload::Never | Reload::AfterCancel | Reload::AfterRotation => None,
    }
}

/// Records an incident that is closed. `healthy_since` shows whether that was because the table is healthy.
pub fn closed(known: &Known<'_>, attempts: &mut Attempts, incident: &Incident) {
    if most(known, incident.cause).is_none() {
        return;
    }
    let tried = Tried {
        attempts: incident.attempt,
        healthy_since: incident.healthy_since,
    };
    attempts.insert(incident.schema_id.clone(), tried);
}

/// Forgets the attempts at tables that have been healthy for long enough, or are no longer listed.
pub fn forget(known: &Known<'_>, diagnosis: &Diagnosis, attempts: &mut Attempts) {
    if attempts.is_empty() {
        return;
    }
    let sources = known.snapshot.sources.iter();
    let rows = sources.flat_map(|source| &source.schemas);
    let statuses: BTreeMap<&str, SchemaStatus> = rows
        .filter(|row| attempts.contains_key(row.id.as_str()))
        .map(|row| (row.id.as_str(), row.status()))
        .collect();
    attempts.retain(|id, tried| {
        let Some(status) = statuses.get(id.as_str()) else {
            return known.snapshot.changes.missing.contains_key(id);
        };
        match (status, diagnosis.of(id)) {
            (SchemaStatus::Completed, None) => {
                let since = *tried.healthy_since.get_or_insert(known.now);
                known.now.duration_since(since) < known.policy.healthy_for
            }
            // A run in progress neither ends nor restarts the healthy time.
            (SchemaStatus::Running, _) => true,
            _ => {
                tried.healthy_since = None;
                true
            }
        }
    });
}
