//! Does data still arrive? A table is stale when no run of it has completed for too long, with any status (Completed, a note instead of an error, an
//! outdated status). Schedules stop without an error, and a run that finds nothing new may leave `last_synced_at` where it was: so the list only
//! makes a suspect, and the runs decide.

use jiff::{SignedDuration, Timestamp};

use super::{
    causes::Cause,
    known::Known,
    verdict::{HiddenBy, Interval, Late, Verdict},
    words::{in_words, no_run_since, seconds},
};
use crate::{
    api::{status::Severity, validated::Health},
    observe::{Changes, Newest, RunProbe, Seen, Snapshot},
    posthog::{
        redact,
        wire::{
            DEFAULT_INTERVAL, Job, JobStatus, LONGEST_INTERVAL, MAX_CLOCK_SKEW, Schema,
            SchemaStatus, Source,
        },
    },
};

/// How often a table should sync: as `PostHog` shows it, or else as the policy says, or else as its runs usually come.
fn interval(health: &Health, schema: &Schema, run_probe: &RunProbe) -> Interval {
    match schema.frequency() {
        Some(every) => Interval::Shown(every),
        None if health.max_age.is_some() => Interval::MaxAge,
        None => run_probe
            .usual_interval()
            .map_or(Interval::Unknown, Interval::Usual),
    }
}

/// By the list alone: of a table whose interval is not shown it makes a suspect as early as of one with `PostHog`'s default.
fn listed_interval(schema: &Schema) -> SignedDuration {
    schema.frequency().unwrap_or(DEFAULT_INTERVAL)
}

/// How old the last completed run may be, and how bad it is beyond. An absolute age counts in place of an interval that is not shown.
fn limits(
    health: &Health,
    schema: &Schema,
    every: SignedDuration,
) -> impl Iterator<Item = (SignedDuration, Severity)> {
    let (warn, error) = health.stale_after;
    let counts = schema.frequency().is_some() || health.max_age.is_none();
    let intervals = counts.then_some(every).into_iter().flat_map(move |every| {
        let times = |count: i32| every.checked_mul(count).unwrap_or(SignedDuration::MAX);
        [
            (times(error), Severity::Error),
            (times(warn), Severity::Warning),
        ]
    });
    let max_age = health.max_age.map(|age| (age, Severity::Error));
    max_age.into_iter().chain(intervals)
}

/// The worst limit that an age has passed; of two, the one that was passed first.
fn passed(
    health: &Health,
    schema: &Schema,
    every: SignedDuration,
    age: SignedDuration,
) -> Option<(SignedDuration, Severity)> {
    limits(health, schema, every)
        .filter(|(limit, _)| age > *limit)
        .min_by_key(|(limit, severity)| (*severity, *limit))
}

/// Tables that should sync by a schedule. Sources that are only queried have none.
pub(super) fn is_scheduled(source: &Source, schema: &Schema) -> bool {
    source.is_imported() && schema.is_on() && !schema.is_never_scheduled()
}

/// Since when a table waits for data, as the list alone says: since the start of its last success, or since it was first seen
/// to be on without any.
fn waits_since(changes: &Changes, schema: &Schema, now: Timestamp) -> Option<Timestamp> {
    let waiting = || changes.waiting.get(schema.id.as_str()).copied();
    schema.synced_at(now).or_else(waiting)
}

/// True if the list alone lets a table look stale.
#[must_use]
pub fn is_suspect(
    health: &Health,
    changes: &Changes,
    (source, schema): (&Source, &Schema),
    now: Timestamp,
) -> bool {
    let age = |at: Timestamp| now.duration_since(at);
    is_scheduled(source, schema)
        && waits_since(changes, schema, now)
            .is_some_and(|at| passed(health, schema, listed_interval(schema), age(at)).is_some())
}

/// True if a table has passed a limit since its runs were read: a newer read has to show whether a run has completed.
#[must_use]
pub fn has_passed_since(
    health: &Health,
    changes: &Changes,
    schema: &Schema,
    run_probe: &RunProbe,
    now: Timestamp,
) -> bool {
    let severity = |at: Timestamp, by: Timestamp| {
        let every = interval(health, schema, run_probe).assumed();
        let passed = passed(health, schema, every, by.duration_since(at));
        passed.map(|(_, severity)| severity)
    };
    since(changes, schema, run_probe)
        .is_some_and(|at| severity(at, now) != severity(at, run_probe.began))
}

/// Since when a table waits for data, as far as list and runs say.
fn since(changes: &Changes, schema: &Schema, run_probe: &RunProbe) -> Option<Timestamp> {
    let waiting = changes.waiting.get(schema.id.as_str()).copied();
    last_completed(schema, run_probe).or_else(|| run_probe.began_at().chain(waiting).min())
}

/// When data last came, as far as list and runs say.
pub(super) fn last_completed(schema: &Schema, run_probe: &RunProbe) -> Option<Timestamp> {
    let ended = |job: &Job| job.finished_at.get().or(job.created_at.get()).copied();
    let run = run_probe.newest_completed().and_then(ended);
    let run = run.filter(|at| at.duration_since(run_probe.at) <= MAX_CLOCK_SKEW);
    run.max(schema.synced_at(run_probe.at))
}

/// The verdict on a table that is switched on: `by_status` is what its status comes to, which may hide that no data arrives.
pub(super) fn judge(
    known: &Known<'_>,
    (source, schema): (&Source, &Schema),
    seen: Option<&Seen>,
    by_status: Verdict,
) -> Verdict {
    let health = known.health(source, schema);
    let changes = &known.snapshot.changes;
    if !may_hide_silence(&by_status)
        || !is_suspect(health, changes, (source, schema), known.now)
        || grace(known.snapshot, schema, known.now).is_some()
    {
        return by_status;
    }
    match run_probe(schema, seen) {
        Ok(run_probe) => late(known, (source, schema), run_probe, &by_status)
            .map_or(by_status, |late| {
                late.map_or_else(cannot_tell, Verdict::Stale)
            }),
        Err(why) => cannot_tell(why),
    }
}

/// True for a verdict behind which a table may get no data and nothing reports it.
pub(super) fn may_hide_silence(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Healthy
        | Verdict::Running
        | Verdict::Pending
        | Verdict::JustFailed
        | Verdict::Billing => true,
        Verdict::Failing { failure, .. } => Cause::of(failure.cause).is_note(),
        Verdict::StuckJob(_)
        | Verdict::Silent(_)
        | Verdict::StuckWithoutJob { .. }
        | Verdict::Disabled { .. }
        | Verdict::Stale(_)
        | Verdict::NotConfigured
        | Verdict::Paused
        | Verdict::CannotTell { .. } => false,
    }
}

fn cannot_tell(reason: String) -> Verdict {
    Verdict::CannotTell { reason }
}

/// A read of the runs of a suspect; the reason if there is none.
fn run_probe<'a>(schema: &Schema, seen: Option<&'a Seen>) -> Result<&'a RunProbe, String> {
    let why = match seen.and_then(Seen::readable) {
        None => "have not been read yet".to_owned(),
        Some(run_probe) => match run_probe.newest() {
            Newest::None | Newest::Job(..) => return Ok(run_probe),
            Newest::Unclear(reason) => format!("are unknown: {reason}"),
        },
    };
    let listed = schema.last_synced_at.get();
    let listed = listed.map_or_else(
        || "it has never synced".to_owned(),
        |at| format!("its last sync began at {}", seconds(*at)),
    );
    Err(format!(
        "{listed} according to PostHog's list, and its runs {why}"
    ))
}

/// How late a table is, if it is; the reason if that is unknown.
fn late(
    known: &Known<'_>,
    (source, schema): (&Source, &Schema),
    run_probe: &RunProbe,
    by_status: &Verdict,
) -> Option<Result<Late, String>> {
    let health = known.health(source, schema);
    let completed = last_completed(schema, run_probe);
    let since = since(&known.snapshot.changes, schema, run_probe)?;
    let interval = interval(health, schema, run_probe);
    let passed = |every, now: Timestamp| passed(health, schema, every, now.duration_since(since));
    let is_open = |now| interval == Interval::Unknown && passed(DEFAULT_INTERVAL, now).is_some();
    let is_late = |now| passed(interval.assumed(), now).is_some() || is_open(now);
    // Only what the look proved: a run may have completed since.
    let now = time(known, run_probe);
    if !is_late(now) {
        return is_late(run_probe.began).then(|| Err(undated(since)));
    }
    let limit = passed(interval.assumed(), now);
    let behind = match behind(known, schema, run_probe, by_status)? {
        Ok(behind) => behind,
        Err(reason) => return Some(Err(reason)),
    };
    if completed.is_none() && behind.is_first_run(run_probe) {
        return None;
    }
    let Some((allowed, severity)) = limit else {
        return Some(Err(no_interval(schema, since)));
    };
    let severity = if behind.may_end_soon() {
        severity.max(Severity::Warning)
    } else {
        severity
    };
    Some(Ok(Late {
        since,
        ever: completed.is_some(),
        allowed,
        interval,
        severity,
        behind,
    }))
}

/// The time by `PostHog`'s clock, as of the look: its own newest time, if nothing says that its clock and the operator's agree.
fn time(known: &Known<'_>, run_probe: &RunProbe) -> Timestamp {
    if run_probe.is_dated {
        return run_probe.began;
    }
    let rows = known.snapshot.sources.iter().flat_map(|s| &s.schemas);
    let synced = rows.filter_map(|row| row.synced_at(run_probe.at));
    let ended = known.snapshot.canaries.iter().map(|one| one.finished_at);
    let newest = synced.chain(ended).chain(run_probe.newest_time()).max();
    newest.unwrap_or(run_probe.began)
}

/// Why a table is Unknown that is late only by the operator's clock.
fn undated(since: Timestamp) -> String {
    format!(
        "no run has completed since {} by the operator's clock, but PostHog's answers have no Date header, so whether the clocks agree is unknown, and no newer time that PostHog shows proves that the table is late",
        seconds(since)
    )
}

/// Why a table is Unknown that shows no interval.
fn no_interval(schema: &Schema, since: Timestamp) -> String {
    let shown = schema.sync_frequency.get().map_or_else(
        || "none".to_owned(),
        |word| format!("{:?}", redact::text(word, 40)),
    );
    format!(
        "no run has completed since {}, and when the next run is due is unknown: PostHog shows no sync interval that this version knows (sync_frequency: {shown}), and the table has too few runs to derive one",
        seconds(since)
    )
}

/// What hides that a table is late; none if its own verdict says enough.
fn behind(
    known: &Known<'_>,
    schema: &Schema,
    run_probe: &RunProbe,
    by_status: &Verdict,
) -> Option<Result<HiddenBy, String>> {
    let job = match run_probe.newest() {
        Newest::Job(job, began) => Some((job, began)),
        Newest::None | Newest::Unclear(_) => None,
    };
    if let Some((job, began)) = job {
        match job.status() {
            JobStatus::Running => return Some(Ok(HiddenBy::Run { began })),
            JobStatus::Unknown => {
                let reason = format!("its newest run has an unknown status (job {})", job.id);
                return Some(Err(reason));
            }
            JobStatus::Completed | JobStatus::Failed | JobStatus::Billing => {}
        }
    }
    Some(Ok(match (by_status, schema.status()) {
        (Verdict::Failing { failure, .. }, _) => {
            let said = failure.text.clone().unwrap_or_default();
            match job {
                Some((job, _)) if !job.was_stopped() => HiddenBy::Note(said),
                _ => HiddenBy::Stopped(said),
            }
        }
        (Verdict::JustFailed, _) => HiddenBy::Failed,
        (Verdict::Billing, _) => {
            let last = job.map(|(job, began)| job.finished_at.get().copied().unwrap_or(began));
            return is_left_behind(known, schema, last).then_some(Ok(HiddenBy::Billing));
        }
        (_, SchemaStatus::Running) => HiddenBy::NoRun,
        (_, SchemaStatus::Never) => HiddenBy::Never,
        _ => HiddenBy::Completed,
    }))
}

/// True for a table that says it is limited by billing, has not tried again for longer than two intervals, and beside which others
/// of the project have synced since.
fn is_left_behind(known: &Known<'_>, schema: &Schema, tried: Option<Timestamp>) -> bool {
    let tried = tried.or(schema.last_synced_at.get().copied());
    let Some(tried) = tried else {
        return false;
    };
    let every = listed_interval(schema);
    let mut others = known.snapshot.sources.iter().flat_map(|s| &s.schemas);
    known.now.duration_since(tried) > every * 2
        && others.any(|other| {
            other.id != schema.id && other.last_synced_at.get().is_some_and(|at| *at > tried)
        })
}

impl Late {
    /// In words: what it says, and what is so.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self {
            since,
            ever,
            allowed,
            interval,
            severity: _,
            behind,
        } = self;
        let none = if *ever {
            no_run_since(seconds(*since))
        } else {
            format!(
                "PostHog lists no completed run, and the table has been switched on since {} or longer",
                seconds(*since)
            )
        };
        let says = match behind {
            HiddenBy::Completed => "Its status is Completed, but".to_owned(),
            HiddenBy::Note(said) => format!("Its last run ended with a note and no data ({said}), and"),
            HiddenBy::Stopped(said) => format!("Its last run was stopped ({said}), and"),
            HiddenBy::Never => "It is switched on, but".to_owned(),
            HiddenBy::Billing => {
                "Its status is a billing limit, but other tables have synced since its last run, and".to_owned()
            }
            HiddenBy::Run { began } => format!(
                "A run has been in progress since {}, but",
                seconds(*began)
            ),
            HiddenBy::NoRun => "Its status is Running, but no run is in progress, and".to_owned(),
            HiddenBy::Failed => "Its last run has just failed, and".to_owned(),
        };
        let assumed = match interval {
            Interval::Shown(_) | Interval::MaxAge => String::new(),
            Interval::Usual(every) => format!(
                "; PostHog shows no sync interval: {} is assumed, as usual between its runs",
                in_words(*every)
            ),
            Interval::Unknown => format!(
                "; PostHog shows no sync interval: {} is assumed, the longest that it offers",
                in_words(LONGEST_INTERVAL)
            ),
        };
        format!("{says} {none} (limit: {}{assumed})", in_words(*allowed))
    }
}

/// When the schedule of a table was changed, as long as its first run is not due: a new schedule has a whole interval for it.
fn grace(snapshot: &Snapshot, schema: &Schema, now: Timestamp) -> Option<Timestamp> {
    let at = *snapshot.changes.rescheduled.get(schema.id.as_str())?;
    (now.duration_since(at) < listed_interval(schema)).then_some(at)
}

/// The selected tables that would look stale before the first run of their new schedule, and when that was changed.
pub fn rescheduled(
    snapshot: &Snapshot,
    now: Timestamp,
) -> impl Iterator<Item = (&Schema, Timestamp)> {
    snapshot
        .selected()
        .filter(|(source, schema)| is_scheduled(source, schema))
        .filter_map(move |(_, schema)| {
            let at = grace(snapshot, schema, now)?;
            let age = now.duration_since(waits_since(&snapshot.changes, schema, now)?);
            (age > listed_interval(schema)).then_some((schema, at))
        })
}

/// How long a table must have waited for its first sync before that is worth remembering.
const WORTH_REMEMBERING: SignedDuration = SignedDuration::from_hours(1);

/// The selected tables that are on, should sync by a schedule and have not done so for a while, and since when they have been seen so.
pub fn waiting(snapshot: &Snapshot, now: Timestamp) -> impl Iterator<Item = (&Schema, Timestamp)> {
    snapshot
        .selected()
        .filter(|(source, schema)| is_scheduled(source, schema))
        .filter_map(|(_, schema)| {
            Some((schema, *snapshot.changes.waiting.get(schema.id.as_str())?))
        })
        .filter(move |(_, at)| now.duration_since(*at) >= WORTH_REMEMBERING)
}
