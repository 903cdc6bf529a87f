//! Many sources that turn bad in the same minutes: `PostHog` itself is the likely cause, and the errors blame the customers'
//! credentials and networks. Sources are counted, not tables, by the time at which their runs failed and not at which that was
//! seen: all of the project, and those of the other projects on its host of which policies know.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    causes::Cause,
    failure::failure,
    problem::Problem,
    problems::Wide,
    sources::succeeded_after,
    suspects::Suspect,
    verdict::{Judged, Known, Verdict, failed_at},
};
use crate::{
    api::{
        status::{Confidence, RootCause},
        validated::Breaker,
    },
    observe::{Elsewhere, Seen, Snapshot},
    posthog::{
        lax::Lax,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// Sources that turned bad together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Together {
    /// How many.
    pub bad: usize,
    /// Of how many that sync at all.
    pub active: usize,
    /// When the first of them did.
    pub since: Timestamp,
}

/// The sources that turned bad together, if they are so many that the cause is more likely in `PostHog` than in each of them.
#[must_use]
pub fn together(known: &Known<'_>) -> Option<Together> {
    let found = Found::new(known);
    let at_once = found.at_once(known)?;
    Some(Together {
        bad: at_once.len(),
        active: found.active,
        since: at_once.first()?.0,
    })
}

/// What policies of other projects may know of the sources of this one.
#[must_use]
pub fn told(known: &Known<'_>) -> Elsewhere {
    let sources = known.snapshot.sources.iter();
    Elsewhere {
        active: sources.clone().filter(|source| is_active(source)).count(),
        turned_bad: sources
            .filter_map(|source| turned_bad(known, source))
            .collect(),
    }
}

/// When a source turned bad, and which it is, if it is of the own project.
type Turned<'a> = (Timestamp, Option<&'a Source>);

/// Sources that turned bad, by time, and how many are active: of the project, and of the others on its host.
struct Found<'a> {
    turned: Vec<Turned<'a>>,
    active: usize,
}

impl<'a> Found<'a> {
    fn new(known: &Known<'a>) -> Self {
        let sources = &known.snapshot.sources;
        let elsewhere = &known.snapshot.elsewhere;
        let own = sources
            .iter()
            .filter_map(|source| Some((turned_bad(known, source)?, Some(source))));
        let others = elsewhere.turned_bad.iter().map(|at| (*at, None));
        let mut turned: Vec<Turned<'a>> = own.chain(others).collect();
        let id = |source: Option<&'a Source>| source.map(|source| &source.id);
        turned.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| id(*x).cmp(&id(*y))));
        let active = sources.iter().filter(|source| is_active(source)).count();
        Self {
            turned,
            active: active + elsewhere.active,
        }
    }

    fn at_once(&self, known: &Known<'_>) -> Option<&[Turned<'a>]> {
        let limits = &known.policy.limits.breaker;
        let most = largest_cluster(&self.turned, limits.within);
        is_most(limits, most.len(), self.active).then_some(most)
    }
}

/// The outage, if there is one. Judged by all sources of the host, not only by those that the policy selects.
pub(super) fn problems(known: &Known<'_>, judged: &[Judged], _: &HashSet<String>) -> Vec<Wide> {
    let found = Found::new(known);
    let Some(at_once) = found.at_once(known) else {
        return Vec::new();
    };
    let wide = wide(
        at_once,
        found.active,
        known.policy.limits.breaker.within,
        judged,
    );
    // Nothing that the policy selects suffers from it.
    if wide.tables.is_empty() {
        return Vec::new();
    }
    vec![wide]
}

const fn is_most(limits: &Breaker, bad: usize, active: usize) -> bool {
    bad >= limits.min_sources && bad * 100 >= active * limits.max_bad_sources_percent
}

/// One table of each source that has failed ones and none that was looked at, if so many sources are bad that it matters when
/// each turned.
pub fn to_look_at(limits: &Breaker, snapshot: &Snapshot) -> impl Iterator<Item = Suspect> {
    let has_failed = |source: &&Source| source.schemas.iter().any(is_failed);
    let elsewhere = &snapshot.elsewhere;
    let bad = snapshot.sources.iter().filter(has_failed).count() + elsewhere.turned_bad.len();
    let active = snapshot.sources.iter().filter(|s| is_active(s)).count() + elsewhere.active;
    let looked = |schema: &Schema| {
        snapshot
            .seen(&schema.id)
            .is_some_and(|seen| seen.look.is_some())
    };
    let matters = is_most(limits, bad, active);
    let sources = snapshot.sources.iter();
    sources
        .filter(move |_| matters)
        .filter(move |source| !source.schemas.iter().any(|s| is_failed(s) && looked(s)))
        .filter_map(|source| {
            let schema = source.schemas.iter().find(|schema| is_failed(schema))?;
            Some(Suspect::new(source, schema))
        })
}

fn is_failed(schema: &Schema) -> bool {
    schema.should_sync == Lax::Is(true) && schema.status() == SchemaStatus::Failed
}

/// When a source turned bad: the first of those failures in a row that an outage may cause, if none of its tables was synced
/// since.
fn turned_bad(known: &Known<'_>, source: &Source) -> Option<Timestamp> {
    let snapshot = known.snapshot;
    let first = source
        .schemas
        .iter()
        .filter(|schema| is_failed(schema) || is_failing_still(schema))
        .filter_map(|schema| {
            let at = failing_since(snapshot.seen(&schema.id)?)?;
            let long = known.now.duration_since(at) >= known.health(source, schema).failing_for;
            let cause = failure(snapshot, source, schema, Some(at)).cause;
            (long && Cause::of(cause).may_be_outage).then_some(at)
        })
        .min()?;
    (!succeeded_after(source, first)).then_some(first)
}

/// A run in progress leaves the error of the last one until it succeeds.
fn is_failing_still(schema: &Schema) -> bool {
    schema.should_sync == Lax::Is(true)
        && schema.status() == SchemaStatus::Running
        && schema
            .latest_error
            .get()
            .is_some_and(|text| !text.is_empty())
}

/// By the time at which runs failed, not at which that was seen: an operator that starts sees all failures at once.
fn failing_since(seen: &Seen) -> Option<Timestamp> {
    seen.streak
        .map(|streak| streak.since)
        .or_else(|| failed_at(seen))
}

fn is_active(source: &Source) -> bool {
    source.is_warehouse()
        && source.schemas.iter().any(|schema| {
            schema.should_sync == Lax::Is(true) && schema.status() != SchemaStatus::Never
        })
}

/// The most sources that turned bad within the time, of those sorted by time.
fn largest_cluster<'a, 'b>(turned: &'a [Turned<'b>], within: SignedDuration) -> &'a [Turned<'b>] {
    let mut best = &turned[..0];
    for (start, (began, _)) in turned.iter().enumerate() {
        let length = turned[start..].partition_point(|(at, _)| at.duration_since(*began) <= within);
        if length > best.len() {
            best = &turned[start..start + length];
        }
    }
    best
}

fn wide(at_once: &[Turned<'_>], active: usize, within: SignedDuration, judged: &[Judged]) -> Wide {
    let ids: HashSet<&str> = at_once
        .iter()
        .filter_map(|(_, source)| Some(source.as_ref()?.id.as_str()))
        .collect();
    let covered: Vec<&Judged> = judged
        .iter()
        .filter(|judged| ids.contains(judged.source_id.as_str()))
        .filter(|judged| match &judged.verdict {
            Verdict::Failing { failure, .. } => Cause::of(failure.cause).may_be_outage,
            verdict => *verdict == Verdict::JustFailed,
        })
        .collect();
    let first = at_once.first().map(|(at, _)| *at);
    let mut problem = Problem::of_source(
        "PostHog".to_owned(),
        "",
        RootCause::PlatformOutage,
        "sources/fail-together",
        format!(
            "{} of {active} active sources turned bad within {}: the cause is more likely in PostHog than in each of them",
            at_once.len(),
            super::problem::in_words(within)
        ),
    );
    problem.confidence = Confidence::Medium;
    problem.since = first;
    problem.evidence = at_once
        .iter()
        .filter_map(|(at, source)| Some((at, source.as_ref()?)))
        .take(6)
        .map(|(at, source)| {
            let said = covered.iter().find(|judged| judged.source_id == source.id);
            let said = said.and_then(|judged| match &judged.verdict {
                Verdict::Failing { failure, .. } => failure.text.clone(),
                _ => None,
            });
            format!(
                "{} since {at}: {}",
                crate::posthog::redact::one_line(&source.title(), 80),
                said.unwrap_or_else(|| "no text".to_owned())
            )
        })
        .collect();
    problem.affected = covered
        .iter()
        .map(|judged| format!("{} {}", judged.source, judged.schema))
        .collect();
    Wide {
        problem,
        tables: covered
            .iter()
            .map(|judged| judged.schema_id.clone())
            .collect(),
    }
}
