//! The verdict on a table that says Running, from how its run stands beside the rest of the project.

use jiff::{SignedDuration, Timestamp};

use super::{
    known::Known,
    problem::{NAME_CAP, Problem, SharedProblem},
    stuck::{Liveness, MOST_AT_ONCE, Signs, is_silent_beside_the_dead, may_be_silent_too},
    verdict::Verdict,
};
use crate::{
    api::status::RootCause,
    observe::Seen,
    posthog::{
        redact,
        wire::{DEFAULT_INTERVAL, Schema, Source},
    },
};

/// The verdict on a table that says Running.
pub fn verdict(
    known: &Known<'_>,
    source: &Source,
    schema: &Schema,
    seen: Option<&Seen>,
) -> Verdict {
    let Some(seen) = seen else {
        return Verdict::Running;
    };
    let signs = Signs {
        schema,
        seen,
        health: known.health(source, schema),
        timings: known.timings,
        canaries: &known.snapshot.canaries,
        is_alone: is_alone(known, schema),
    };
    match signs.judge() {
        Liveness::Alive => Verdict::Running,
        Liveness::NoRun {
            newest_job_id,
            since,
        } => Verdict::StuckWithoutJob {
            newest_job_id,
            since,
        },
        Liveness::Unknown(reason) => cannot_tell(format!("its status is Running, but {reason}")),
        Liveness::Dead(_) | Liveness::Silent(_) if silent(known).nth(MOST_AT_ONCE).is_some() => {
            cannot_tell(format!(
                "its run is silent, like those of more than {MOST_AT_ONCE} tables of the project: the cause is common to them and not in the tables"
            ))
        }
        // More than that many may be silent: the next probes show.
        Liveness::Dead(_) | Liveness::Silent(_) if is_only_known_in_part(known) => Verdict::Running,
        Liveness::Dead(_) if has_come_to_rest(known, &signs) => cannot_tell(
            "its run is silent, but all tables that sync at least every 6 hours have missed a run: PostHog's workers may be down, and continue the run later"
                .to_owned(),
        ),
        Liveness::Dead(silence) => Verdict::StuckJob(silence),
        Liveness::Silent(silence) => Verdict::Silent(silence),
    }
}

fn cannot_tell(reason: String) -> Verdict {
    Verdict::Unknown { reason }
}

/// The other tables of the project that are switched on.
fn others_on<'a>(known: &Known<'a>, schema: &'a Schema) -> impl Iterator<Item = &'a Schema> {
    let sources = known.snapshot.sources.iter();
    sources
        .flat_map(|source| &source.schemas)
        .filter(|other| other.id != schema.id && other.is_on())
}

/// Whether no other table of the project syncs, so that none can prove that `PostHog` works.
fn is_alone(known: &Known<'_>, schema: &Schema) -> bool {
    others_on(known, schema).next().is_none()
}

/// How often a table must sync to show whether `PostHog` works now: by default, `PostHog` syncs a table that often.
const OFTEN: SignedDuration = DEFAULT_INTERVAL;

/// How long such tables may at least be without a completed run.
const AT_REST: SignedDuration = SignedDuration::from_hours(6);

/// How long the run that was due next may take: until then it has not failed to come.
const RUN_TAKES: SignedDuration = SignedDuration::from_mins(30);

/// Whether all other tables that sync often have stopped by now, by `PostHog`'s clock: the completed run that proves that workers were up
/// is from before that.
fn has_come_to_rest(known: &Known<'_>, signs: &Signs<'_>) -> bool {
    let run_probe = signs.seen.run_probe.as_ref();
    let now = run_probe
        .and_then(|probe| signs.time(probe))
        .unwrap_or(known.now);
    let mut often = others_on(known, signs.schema)
        .filter_map(|other| Some((other.frequency()?, other.last_synced_at.get()?)))
        .filter(|(every, _)| *every <= OFTEN)
        .peekable();
    let rests = |(every, at): (SignedDuration, &Timestamp)| {
        now.duration_since(*at) > AT_REST.max(every + RUN_TAKES)
    };
    often.peek().is_some() && often.all(rests)
}

/// Whether too many tables of the project may be silent at once, also of those that were not looked at lately.
fn is_only_known_in_part(known: &Known<'_>) -> bool {
    let mut silent = known.snapshot.running().filter(|(source, schema)| {
        let enough = known.health(source, schema).no_progress_for;
        let seen = known.snapshot.seen(&schema.id);
        seen.is_some_and(|seen| may_be_silent_too(seen, enough, known.now))
    });
    silent.nth(MOST_AT_ONCE).is_some()
}

/// The tables of the project whose runs are silent for about as long as a dead one.
fn silent<'a>(known: &'a Known<'_>) -> impl Iterator<Item = (&'a Schema, &'a Seen)> {
    let rows = known
        .snapshot
        .sources
        .iter()
        .flat_map(|source| source.schemas.iter().map(move |schema| (source, schema)));
    rows.filter_map(|(source, schema)| {
        let seen = known.snapshot.seen(&schema.id)?;
        let enough = known.health(source, schema).no_progress_for;
        is_silent_beside_the_dead(seen, enough).then_some((schema, seen))
    })
}

/// That many runs of the project fell silent: one problem for all of them.
pub fn problem(known: &Known<'_>) -> Option<SharedProblem> {
    let silent: Vec<(&Schema, &Seen)> = silent(known).collect();
    if silent.len() <= MOST_AT_ONCE {
        return None;
    }
    let marks = silent.iter().filter_map(|(_, seen)| seen.mark.as_ref());
    let names = silent
        .iter()
        .map(|(schema, _)| redact::one_line(&schema.name, NAME_CAP));
    let message = format!(
        "The runs of {} tables are silent: PostHog's workers or its loader may be down, so no run is cancelled",
        silent.len()
    );
    let problem = Problem {
        since: marks.map(|mark| mark.since).min(),
        affected: names.collect(),
        ..Problem::of_source(
            "PostHog".to_owned(),
            "",
            RootCause::PlatformOutage,
            "run/many-silent",
            message,
        )
    };
    Some(SharedProblem {
        problem,
        tables: silent
            .iter()
            .map(|(schema, _)| schema.id.to_string())
            .collect(),
    })
}
