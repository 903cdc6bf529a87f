//! Many sources that turn bad in the same minutes: `PostHog` itself is the likely cause, and the errors blame the customers'
//! credentials and networks. Sources are counted, not tables, by the time at which their runs failed and not at which that was
//! seen: all of the project, and each other project on its host of which policies know as one source.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    causes::Cause,
    failure::failure,
    known::Known,
    problem::{Fact, Problem, Wide},
    sources::succeeded_after,
    verdict::{Judged, Verdict},
    words::in_words,
};
use crate::{
    api::{
        status::{Confidence, RootCause},
        validated::Breaker,
    },
    observe::{Elsewhere, Seen, Snapshot},
    posthog::{
        lax::Lax,
        redact,
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

/// The sources that turned bad, by time, and how many are active: of the project, and of the others on its host. All of them,
/// not only those that the policy selects.
#[derive(Debug)]
pub struct BadSources<'a> {
    own: Vec<(Timestamp, &'a Source)>,
    /// With those of other projects, of which only the time is known.
    all: Vec<Turned<'a>>,
    own_active: usize,
    active: usize,
}

/// When a source turned bad, and which it is, if it is of the own project.
type Turned<'a> = (Timestamp, Option<&'a Source>);

impl<'a> BadSources<'a> {
    /// Those of which a pass knows.
    pub fn of(known: &Known<'a>) -> Self {
        let sources = &known.snapshot.sources;
        let elsewhere = &known.snapshot.elsewhere;
        let own: Vec<(Timestamp, &'a Source)> = sources
            .iter()
            .filter_map(|source| Some((turned_bad(known, source)?, source)))
            .collect();
        let others = elsewhere.turned_bad.iter().map(|at| (*at, None));
        let mut all: Vec<Turned<'a>> = own
            .iter()
            .map(|(at, source)| (*at, Some(*source)))
            .chain(others)
            .collect();
        let id = |source: Option<&'a Source>| source.map(|source| &source.id);
        all.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| id(*x).cmp(&id(*y))));
        let own_active = sources.iter().filter(|source| is_active(source)).count();
        Self {
            own,
            all,
            own_active,
            active: own_active + elsewhere.active,
        }
    }

    /// Those that turned bad together, if they are so many that the cause is more likely in `PostHog` than in each of them.
    #[must_use]
    pub fn together(&self, limits: &Breaker) -> Option<Together> {
        let at_once = self.at_once(limits)?;
        Some(Together {
            bad: at_once.len(),
            active: self.active,
            since: at_once.first()?.0,
        })
    }

    /// What policies of other projects may know of the sources of this one: it weighs as one source, however many it has, or one
    /// tenant's would hold the repairs of another. It turned bad with the last one, if at least half of them are bad.
    #[must_use]
    pub fn for_others(&self) -> Elsewhere {
        let last = self.own.iter().map(|(at, _)| *at).max();
        let is_bad = self.own.len() * 2 >= self.own_active;
        Elsewhere {
            active: usize::from(self.own_active > 0),
            turned_bad: last.filter(|_| is_bad).into_iter().collect(),
        }
    }

    /// The outage, if there is one from which a table that the policy selects suffers.
    pub(super) fn problem(&self, limits: &Breaker, judged: &[Judged]) -> Option<Wide> {
        let wide = wide(self.at_once(limits)?, self.active, limits.within, judged);
        (!wide.tables.is_empty()).then_some(wide)
    }

    fn at_once(&self, limits: &Breaker) -> Option<&[Turned<'a>]> {
        let most = largest_cluster(&self.all, limits.within);
        is_most(limits, most.len(), self.active).then_some(most)
    }
}

const fn is_most(limits: &Breaker, bad: usize, active: usize) -> bool {
    bad >= limits.min_sources && bad * 100 >= active * limits.max_bad_sources_percent
}

/// One table of each source that has failed ones and none that was looked at, if so many sources are bad that it matters when
/// each turned.
pub fn to_look_at<'a>(
    limits: &Breaker,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = (&'a Source, &'a Schema)> {
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
            Some((source, schema))
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
            let cause = failure(known, source, schema, Some(at)).cause;
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
        .or_else(|| seen.failed_at())
}

fn is_active(source: &Source) -> bool {
    source.is_imported()
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
            in_words(within)
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
            Fact::Said(format!(
                "{} since {at}: {}",
                redact::one_line(&source.title(), 80),
                said.unwrap_or_else(|| "no text".to_owned())
            ))
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
