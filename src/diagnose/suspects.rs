//! Which tables are probed, and when. A probe costs one or two requests of a quota that is shared with the team's own use, so a healthy table gets
//! none.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    freshness, known::desired_health, longest_silent::longest_silent, outage, stuck::silent_since,
    words::seconds,
};
use crate::{
    api::{
        Timings, ValidatedPolicy,
        status::{Incident, Step},
        validated::Health,
    },
    observe::{Log, Newest, RunProbe, Seen, Snapshot},
    posthog::wire::{JobStatus, Schema, SchemaStatus, Source},
};

/// How often a table that may be stale is probed: at most and at least.
const STALE_PROBES: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(15), SignedDuration::from_hours(6));

/// A table to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Id of its source.
    pub source_id: String,
    /// Id of the table.
    pub schema_id: String,
    /// Name of the table.
    pub name: String,
}

impl Suspect {
    /// This table.
    #[must_use]
    pub fn new(source: &Source, schema: &Schema) -> Self {
        Self {
            source_id: source.id.clone(),
            schema_id: schema.id.to_string(),
            name: schema.name.to_string(),
        }
    }
}

/// The tables to look at now, most urgent first: those of incidents in flight, then those that were not looked at for the
/// longest time.
#[must_use]
pub fn suspects(
    policy: &ValidatedPolicy,
    snapshot: &Snapshot,
    incidents: &[Incident],
    timings: &Timings,
    now: Timestamp,
) -> Vec<Suspect> {
    let mut urgent: Vec<Suspect> = incidents
        .iter()
        .filter(|incident| awaits_probe(incident, snapshot))
        .map(|incident| of_incident(incident, snapshot))
        .collect();
    let probed_at = |id: &str| Some(snapshot.seen(id)?.run_probe.as_ref()?.at);
    let mut due: Vec<(bool, Option<Timestamp>, Suspect)> = snapshot
        .selected()
        .filter(|(source, schema)| is_due(policy, snapshot, (source, schema), timings, now))
        .map(|(source, schema)| {
            let quiet = schema.status() == SchemaStatus::Completed;
            (quiet, probed_at(&schema.id), Suspect::new(source, schema))
        })
        .collect();
    due.sort_by(|(_, a, x), (_, b, y)| a.cmp(b).then_with(|| x.schema_id.cmp(&y.schema_id)));
    let (quiet, loud): (Vec<_>, Vec<_>) = due.into_iter().partition(|(quiet, ..)| *quiet);
    urgent.extend(
        outage::to_probe(&policy.limits.breaker, snapshot)
            .map(|(source, schema)| Suspect::new(source, schema)),
    );
    urgent.extend(two_to_one(loud, quiet).map(|(.., suspect)| suspect));
    if longest_silent(policy, snapshot).is_some() {
        urgent.extend(beside_the_silent(policy, snapshot, timings, now));
    }
    let mut known = HashSet::new();
    urgent.retain(|suspect| known.insert(suspect.schema_id.clone()));
    urgent
}

/// The tables in status Running that the policy does not select: if more of the project are silent beside one that it selects, the cause is not in
/// the table.
fn beside_the_silent<'a>(
    policy: &'a ValidatedPolicy,
    snapshot: &'a Snapshot,
    timings: &'a Timings,
    now: Timestamp,
) -> impl Iterator<Item = Suspect> + 'a {
    let due = snapshot.running().filter(move |(source, schema)| {
        let health = desired_health(policy, source, schema);
        let seen = snapshot.seen(&schema.id);
        seen.is_some_and(|seen| running_is_due(health, seen, timings, now))
    });
    due.map(|(source, schema)| Suspect::new(source, schema))
}

/// The table of an incident, by the name that it has now: it may have been renamed.
fn of_incident(incident: &Incident, snapshot: &Snapshot) -> Suspect {
    let row = snapshot.row(&incident.source_id, &incident.schema_id);
    Suspect {
        source_id: incident.source_id.clone(),
        schema_id: incident.schema_id.clone(),
        name: row.map_or_else(|| incident.schema.clone(), |(_, row)| row.name.to_string()),
    }
}

/// Whether the next step of an incident hangs on a look now. A new run may be at work for days, and the list says when it has ended.
fn awaits_probe(incident: &Incident, snapshot: &Snapshot) -> bool {
    match incident.step {
        Step::Enabling
        | Step::Cancelling
        | Step::WaitTerminal
        | Step::Settle
        | Step::Reloading
        | Step::WaitNewJob => true,
        Step::WaitSuccess => {
            let row = snapshot.row(&incident.source_id, &incident.schema_id);
            row.is_none_or(|(_, schema)| schema.status() != SchemaStatus::Running)
        }
        Step::BackOff | Step::Recovered | Step::Escalated => false,
    }
}

/// Two of the first for each of the second: tables that look stale are many when schedules stop, and must not crowd out runs
/// that hang, nor be crowded out.
fn two_to_one<A>(first: Vec<A>, second: Vec<A>) -> impl Iterator<Item = A> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut place = 0_usize;
    std::iter::from_fn(move || {
        place += 1;
        if place.is_multiple_of(3) {
            second.next().or_else(|| first.next())
        } else {
            first.next().or_else(|| second.next())
        }
    })
}

/// Every selected table that says Running and was never looked at.
#[must_use]
pub fn running(snapshot: &Snapshot) -> Vec<Suspect> {
    snapshot
        .selected()
        .filter(|(_, schema)| schema.is_on() && schema.status() == SchemaStatus::Running)
        .filter(|(_, schema)| {
            let seen = snapshot.seen(&schema.id);
            seen.is_none_or(|seen| seen.run_probe.is_none())
        })
        .map(|(source, schema)| Suspect::new(source, schema))
        .collect()
}

fn is_due(
    policy: &ValidatedPolicy,
    snapshot: &Snapshot,
    (source, schema): (&Source, &Schema),
    timings: &Timings,
    now: Timestamp,
) -> bool {
    let health = desired_health(policy, source, schema);
    let seen = snapshot.seen(&schema.id);
    let off = schema.is_off();
    let is_late = freshness::is_suspect(health, &snapshot.changes, (source, schema), now)
        && late_is_due(health, snapshot, schema, timings, now);
    is_late
        || match schema.status() {
            SchemaStatus::Running => {
                !off && seen.is_some_and(|seen| {
                    tries_again(schema, seen) || running_is_due(health, seen, timings, now)
                })
            }
            // When and how it failed; once, unless that could not be read. Also of a table that was switched off: who did it?
            SchemaStatus::Failed => {
                let said = schema
                    .latest_error
                    .get()
                    .is_some_and(|text| !text.trim().is_empty());
                (!off || said) && seen.is_some_and(|seen| failed_is_due(seen, timings, now))
            }
            SchemaStatus::Completed
            | SchemaStatus::Never
            | SchemaStatus::Paused
            | SchemaStatus::Billing
            | SchemaStatus::Unknown => false,
        }
}

/// True for a run in progress after a failure: only the runs before it tell whether that was the first.
fn tries_again(schema: &Schema, seen: &Seen) -> bool {
    let said = schema
        .latest_error
        .get()
        .is_some_and(|text| !text.trim().is_empty());
    said && seen.run_probe.is_none() && seen.streak.is_none()
}

fn failed_is_due(seen: &Seen, timings: &Timings, now: Timestamp) -> bool {
    seen.run_probe.as_ref().is_none_or(|run_probe| {
        seen.unclear.is_some() && now.duration_since(run_probe.at) >= timings.verify_every
    })
}

/// A table that looks stale: its runs tell. Of one that says Completed they may go on without a change in the list, no faster than
/// its interval; of any other the list shows it.
fn late_is_due(
    health: &Health,
    snapshot: &Snapshot,
    schema: &Schema,
    timings: &Timings,
    now: Timestamp,
) -> bool {
    let seen = snapshot.seen(&schema.id);
    let Some((seen, run_probe)) = seen.and_then(|seen| Some((seen, seen.run_probe.as_ref()?)))
    else {
        return true;
    };
    let since = now.duration_since(run_probe.at);
    if seen.unclear.is_some() {
        return since >= timings.verify_every;
    }
    let every = schema.frequency().unwrap_or(STALE_PROBES.1);
    let every = every.clamp(STALE_PROBES.0, STALE_PROBES.1);
    let again = schema.status() == SchemaStatus::Completed && since >= every;
    again || freshness::has_passed_since(health, &snapshot.changes, schema, run_probe, now)
}

fn running_is_due(health: &Health, seen: &Seen, timings: &Timings, now: Timestamp) -> bool {
    let Spacing {
        first,
        run,
        phantom,
    } = spacing(health, timings);
    let Some(run_probe) = &seen.run_probe else {
        // Most runs are over before a probe is worth it. One that may have been silent since before this process started is probed at once.
        let may_be_silent = seen.mark.is_some() || seen.from_first_list;
        return may_be_silent || now.duration_since(seen.row_since) >= first;
    };
    let Some(mark) = seen.mark.as_ref().filter(|_| seen.unclear.is_none()) else {
        return now.duration_since(run_probe.at) >= run.min(phantom);
    };
    let since_probe = now.duration_since(run_probe.at);
    // By the same times as the judge: a read that began a moment too early for it proves nothing, and the next would come much later.
    let since = silent_since(mark, run_probe);
    let lasted = |at: Timestamp, threshold| at.duration_since(since) >= threshold;
    // One look alone proves nothing: the second follows at the next poll.
    let passes =
        |threshold| lasted(now, threshold) && !(lasted(run_probe.began, threshold) && seen.frozen);
    if !mark.running {
        let long = lasted(run_probe.began, timings.phantom_after);
        return long || since_probe >= phantom || passes(timings.phantom_after);
    }
    // A run that has been silent for long enough may go on so for days: that is no reason to ask at every poll.
    let long = lasted(run_probe.began, health.no_progress_for);
    let every = if long { run / 6 } else { run };
    since_probe >= every || passes(health.no_progress_for) || passes(health.loading_silent_for)
}

/// How long between looks at a table that says Running.
struct Spacing {
    /// From the first sight of Running to the first look.
    first: SignedDuration,
    /// Between looks at a run.
    run: SignedDuration,
    /// Between looks at a table without a run.
    phantom: SignedDuration,
}

fn spacing(health: &Health, timings: &Timings) -> Spacing {
    let shortest = health
        .no_progress_for
        .min(health.stuck_after)
        .min(timings.phantom_after);
    Spacing {
        first: shortest / 4,
        run: health.no_progress_for / 8,
        phantom: timings.phantom_after / 8,
    }
}

/// What a look says of the newest run, in words for evidence.
#[must_use]
pub fn describe(run_probe: &RunProbe) -> Vec<String> {
    match run_probe.newest() {
        Newest::None => vec!["PostHog lists no run of this table".to_owned()],
        Newest::Unclear(reason) => vec![format!("the runs of this table are unknown: {reason}")],
        Newest::Job(job, created) => {
            let status = match job.status() {
                JobStatus::Running => "Running",
                JobStatus::Completed => "Completed",
                JobStatus::Failed => "Failed",
                JobStatus::Billing => "blocked by the billing limit",
                JobStatus::Unknown => "in an unknown status",
            };
            let rows = job
                .rows_synced
                .get()
                .map_or_else(String::new, |rows| format!(", {rows} rows"));
            let mut facts = vec![format!(
                "newest run: {status}{rows}, began {} (job {})",
                seconds(created),
                job.id
            )];
            match &run_probe.log {
                Log::NotRead => {}
                Log::Read(log) => facts.push(match log.worked {
                    Some((at, _)) => {
                        format!("newest activity in the table's log: {}", seconds(at))
                    }
                    None => "no activity in the table's log since the run began".to_owned(),
                }),
                Log::Unreadable(reason) => {
                    facts.push(format!("the table's log could not be read: {reason}"));
                }
            }
            facts
        }
    }
}
