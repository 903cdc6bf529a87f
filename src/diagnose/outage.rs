//! Many sources that turn bad in the same minutes, or one after the other as their tables come to run: `PostHog` itself is the likely
//! cause, and the errors blame the customers' credentials and networks. Sources are counted, not tables, by the time at which their
//! runs failed and not at which that was seen: all of the project, and each other project on its host of which policies know as one
//! source.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    causes::Cause,
    failure,
    known::Known,
    problem::{Fact, Problem, SharedProblem},
    source_facts::SourceFacts,
    sources::succeeded_after,
    verdict::{Judged, Verdict},
    words::in_words,
};
use crate::{
    api::{
        status::{Confidence, RootCause},
        validated::Breaker,
    },
    observe::{OtherProjects, Seen, Snapshot},
    posthog::{
        redact,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// Sources that started failing together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelatedFailure {
    /// How many.
    pub bad: usize,
    /// Of how many that sync at all.
    pub active: usize,
    /// When the first of them did.
    pub since: Timestamp,
}

/// The sources that failed, by time, and how many are active: of the project, and of the others on its host. All of them,
/// not only those that the policy selects.
#[derive(Debug)]
pub struct FailedSources<'a> {
    own: Vec<FailedSource<'a>>,
    /// With those of other projects, of which only the time is known.
    all: Vec<FailedSource<'a>>,
    own_active: usize,
    active: usize,
    /// Since when the breaker of the policy has been open.
    open_since: Option<Timestamp>,
}

/// A source that started failing.
#[derive(Debug, Clone, Copy)]
struct FailedSource<'a> {
    /// When.
    at: Timestamp,
    /// How long before that an outage may have started that only this run could show.
    unseen_for: SignedDuration,
    /// Which it is, if it is of the own project.
    source: Option<&'a Source>,
}

/// The longest time between the start of an outage and a table's first run in it. Failures further apart are as likely by chance.
const LONGEST_UNSEEN: SignedDuration = SignedDuration::from_hours(1);

impl<'a> FailedSources<'a> {
    /// Those that a reconcile knows.
    pub fn of(known: &Known<'a>) -> Self {
        let sources = &known.snapshot.sources;
        let elsewhere = &known.snapshot.other_projects;
        let own: Vec<FailedSource<'a>> = sources
            .iter()
            .filter_map(|source| failed_at(known, source))
            .collect();
        let others = elsewhere.failed_at.iter().map(|at| FailedSource {
            at: *at,
            unseen_for: SignedDuration::ZERO,
            source: None,
        });
        let mut all: Vec<FailedSource<'a>> = own.iter().copied().chain(others).collect();
        let id = |failed: &FailedSource<'a>| failed.source.map(|source| &source.id);
        all.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| id(a).cmp(&id(b))));
        let own_active = sources.iter().filter(|source| is_active(source)).count();
        Self {
            own,
            all,
            own_active,
            active: own_active + elsewhere.active,
            open_since: known.state.breaker.as_ref().map(|open| open.open_since),
        }
    }

    /// Those that failed together, if there are enough of them that the cause is more likely in `PostHog` than in each of them.
    #[must_use]
    pub fn together(&self, limits: &Breaker) -> Option<CorrelatedFailure> {
        let at_once = self.at_once(limits)?;
        Some(CorrelatedFailure {
            bad: at_once.len(),
            active: self.active,
            since: at_once.first()?.at,
        })
    }

    /// What policies of other projects may know of the sources of this one: it weighs as one source, regardless of how many it has; otherwise one
    /// tenant's sources would hold the repairs of another. It failed with the last one, if at least half of them have failed.
    #[must_use]
    pub fn for_other_projects(&self) -> OtherProjects {
        let last = self.own.iter().map(|failed| failed.at).max();
        let is_bad = self.own.len() * 2 >= self.own_active;
        OtherProjects {
            active: usize::from(self.own_active > 0),
            failed_at: last.filter(|_| is_bad).into_iter().collect(),
        }
    }

    /// The outage, if there is one from which a table that the policy selects suffers.
    pub(super) fn problem(&self, limits: &Breaker, judged: &[Judged]) -> Option<SharedProblem> {
        let wide = wide(&self.at_once(limits)?, self.active, judged);
        (!wide.tables.is_empty()).then_some(wide)
    }

    /// The sources that have failed together: enough of them for an outage to begin, or, once it has, for it to continue.
    fn at_once(&self, limits: &Breaker) -> Option<Vec<FailedSource<'a>>> {
        let most = largest_cluster(&self.all, limits.within);
        let begins = is_most(limits, most.len(), self.active).then_some(most);
        begins
            .into_iter()
            .chain(self.held(limits))
            .max_by_key(Vec::len)
    }

    /// The sources that keep up an outage for which the breaker is open. It is not over when the first recover: half of the share that
    /// opened it holds it.
    fn held(&self, limits: &Breaker) -> Option<Vec<FailedSource<'a>>> {
        let began = self.open_since?;
        let began = began.checked_sub(LONGEST_UNSEEN + limits.within).ok()?;
        let still = self.all.iter().filter(|failed| failed.at >= began);
        let still: Vec<FailedSource<'a>> = still.copied().collect();
        let holds =
            still.len() >= limits.min_sources && is_most(limits, still.len() * 2, self.active);
        holds.then_some(still)
    }
}

const fn is_most(limits: &Breaker, bad: usize, active: usize) -> bool {
    bad >= limits.min_sources && bad * 100 >= active * limits.max_bad_sources_percent
}

/// One table of each source that has failed tables, none of which was probed, if enough sources have failed that the times matter.
pub fn to_probe<'a>(
    limits: &Breaker,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = (&'a Source, &'a Schema)> {
    let has_failed = |source: &&Source| source.schemas.iter().any(is_failed);
    let elsewhere = &snapshot.other_projects;
    let bad = snapshot.sources.iter().filter(has_failed).count() + elsewhere.failed_at.len();
    let active = snapshot.sources.iter().filter(|s| is_active(s)).count() + elsewhere.active;
    let run_probed = |schema: &Schema| {
        snapshot
            .seen(&schema.id)
            .is_some_and(|seen| seen.run_probe.is_some())
    };
    let matters = is_most(limits, bad, active);
    let sources = snapshot.sources.iter();
    sources
        .filter(move |_| matters)
        .filter(move |source| !source.schemas.iter().any(|s| is_failed(s) && run_probed(s)))
        .filter_map(|source| {
            let schema = source.schemas.iter().find(|schema| is_failed(schema))?;
            Some((source, schema))
        })
}

fn is_failed(schema: &Schema) -> bool {
    schema.is_on() && schema.status() == SchemaStatus::Failed
}

/// When a source failed: the first of those failures in a row that an outage may cause, if none of its tables was synced since.
fn failed_at<'a>(known: &Known<'a>, source: &'a Source) -> Option<FailedSource<'a>> {
    let snapshot = known.snapshot;
    let of = SourceFacts::new(snapshot, source);
    let (at, unseen_for) = source
        .schemas
        .iter()
        .filter(|schema| is_failed(schema) || is_failing_still(schema))
        .filter_map(|schema| {
            let at = failing_since(snapshot.seen(&schema.id)?)?;
            let long = known.now.duration_since(at) >= known.health(source, schema).failing_for;
            let cause = failure::cause(known, &of, schema, Some(at));
            // Credentials that are refused one after the other are as likely the customers' own.
            let every = schema.frequency().filter(|_| !cause.wants_credentials());
            let unseen_for = every.unwrap_or_default().min(LONGEST_UNSEEN);
            (long && cause.may_be_outage).then_some((at, unseen_for))
        })
        .min()?;
    (!succeeded_after(source, at)).then_some(FailedSource {
        at,
        unseen_for,
        source: Some(source),
    })
}

/// A run in progress leaves the error of the last one until it succeeds.
fn is_failing_still(schema: &Schema) -> bool {
    schema.is_on()
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
        && source
            .schemas
            .iter()
            .any(|schema| schema.is_on() && schema.status() != SchemaStatus::Never)
}

/// The most sources that one outage explains: each failed after it began, at most `within` later, or as long as its table took to run. From sources
/// sorted by time.
fn largest_cluster<'a>(
    failed: &[FailedSource<'a>],
    within: SignedDuration,
) -> Vec<FailedSource<'a>> {
    let from = |one: &FailedSource<'a>| {
        let before = one.unseen_for.max(within);
        one.at.checked_sub(before).unwrap_or(Timestamp::MIN)
    };
    let mut begins: Vec<Timestamp> = failed.iter().map(from).collect();
    begins.sort_unstable();
    let (mut best, mut most) = (None, 0);
    for (place, one) in failed.iter().enumerate() {
        // An outage that began now explains no earlier failure.
        let started = begins.partition_point(|begin| *begin <= one.at);
        if started - place > most {
            (best, most) = (Some(one.at), started - place);
        }
    }
    let Some(began) = best else {
        return Vec::new();
    };
    let explained = failed
        .iter()
        .filter(|one| one.at >= began && from(one) <= began);
    explained.copied().collect()
}

fn wide(at_once: &[FailedSource<'_>], active: usize, judged: &[Judged]) -> SharedProblem {
    let ids: HashSet<&str> = at_once
        .iter()
        .filter_map(|failed| Some(failed.source?.id.as_str()))
        .collect();
    let covered: Vec<&Judged> = judged
        .iter()
        .filter(|judged| ids.contains(judged.source_id.as_str()))
        .filter(|judged| match &judged.verdict {
            Verdict::Failing { failure, .. } => Cause::of(failure.cause).may_be_outage,
            verdict => verdict.has_just_failed(),
        })
        .collect();
    let first = at_once.first().map(|failed| failed.at);
    let last = at_once.last().zip(first);
    let last = last.map(|(last, first)| last.at.duration_since(first));
    let mut problem = Problem::of_source(
        "PostHog".to_owned(),
        "",
        RootCause::PlatformOutage,
        "sources/fail-together",
        format!(
            "{} of {active} active sources started failing within {}: PostHog itself is the likely cause",
            at_once.len(),
            in_words(last.unwrap_or_default())
        ),
    );
    problem.confidence = Confidence::Medium;
    problem.since = first;
    problem.evidence = at_once
        .iter()
        .filter_map(|failed| Some((failed.at, failed.source?)))
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
                said.unwrap_or_else(|| "no error text".to_owned())
            ))
        })
        .collect();
    problem.affected = covered
        .iter()
        .map(|judged| format!("{} {}", judged.source, judged.schema))
        .collect();
    SharedProblem {
        problem,
        tables: covered
            .iter()
            .map(|judged| judged.schema_id.clone())
            .collect(),
    }
}
