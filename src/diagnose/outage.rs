//! Many sources that turn bad in the same minutes: `PostHog` itself is the likely cause, and the errors blame the customers'
//! credentials and networks. Sources are counted, not tables, by the time at which their runs failed and not at which that was
//! seen.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    problem::Problem,
    problems::Wide,
    verdict::{Judged, Known, Verdict, failed_at},
};
use crate::{
    api::status::{Confidence, RootCause},
    posthog::{
        lax::Lax,
        wire::{SchemaStatus, Source},
    },
};

/// How many sources at least.
const MIN_SOURCES: usize = 3;
/// Which share of the active sources at least, in percent.
const MIN_PERCENT: usize = 50;
/// Within which time.
const WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// The outage, if there is one.
pub(super) fn problems(known: &Known<'_>, judged: &[Judged], _: &HashSet<String>) -> Vec<Wide> {
    let mut turned: Vec<(Timestamp, &Source)> = known
        .snapshot
        .sources
        .iter()
        .filter_map(|source| Some((turned_bad(known, source, judged)?, source)))
        .collect();
    turned.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.id.cmp(&y.id)));
    let active = known
        .snapshot
        .sources
        .iter()
        .filter(|source| is_active(source))
        .count();
    let at_once = largest_cluster(&turned);
    if at_once.len() < MIN_SOURCES || at_once.len() * 100 < active * MIN_PERCENT {
        return Vec::new();
    }
    vec![wide(at_once, active, judged)]
}

/// When a source turned bad: its first failure of those that an outage may cause.
fn turned_bad(known: &Known<'_>, source: &Source, judged: &[Judged]) -> Option<Timestamp> {
    judged
        .iter()
        .filter(|judged| judged.source_id == source.id && may_be_outage(&judged.verdict))
        .filter_map(|judged| failed_at(known.snapshot.runs.get(&judged.schema_id)?))
        .min()
}

/// What an outage of `PostHog` looks like from outside. A key that is not unique or a column that has gone is none.
fn may_be_outage(verdict: &Verdict) -> bool {
    let Verdict::Failing { failure, .. } = verdict else {
        return false;
    };
    matches!(
        failure.cause,
        RootCause::CredentialsInvalid
            | RootCause::PermissionDenied
            | RootCause::IntegrationMissing
            | RootCause::SshTunnel
            | RootCause::NetworkUnreachable
            | RootCause::TlsFailure
            | RootCause::RateLimited
            | RootCause::Transient
            | RootCause::PlatformInternal
            | RootCause::SourceTimeout
            | RootCause::Unknown
    )
}

fn is_active(source: &Source) -> bool {
    source
        .schemas
        .iter()
        .any(|schema| schema.should_sync == Lax::Is(true) && schema.status() != SchemaStatus::Never)
}

/// The most sources that turned bad within the time, of those sorted by time.
fn largest_cluster<'a, 'b>(turned: &'a [(Timestamp, &'b Source)]) -> &'a [(Timestamp, &'b Source)] {
    let mut best = &turned[..0];
    for (start, (began, _)) in turned.iter().enumerate() {
        let length = turned[start..].partition_point(|(at, _)| at.duration_since(*began) <= WITHIN);
        if length > best.len() {
            best = &turned[start..start + length];
        }
    }
    best
}

fn wide(at_once: &[(Timestamp, &Source)], active: usize, judged: &[Judged]) -> Wide {
    let ids: HashSet<&str> = at_once
        .iter()
        .map(|(_, source)| source.id.as_str())
        .collect();
    let covered: Vec<&Judged> = judged
        .iter()
        .filter(|judged| ids.contains(judged.source_id.as_str()))
        .filter(|judged| may_be_outage(&judged.verdict) || judged.verdict == Verdict::JustFailed)
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
            super::problem::in_words(WITHIN)
        ),
    );
    problem.confidence = Confidence::Medium;
    problem.since = first;
    problem.evidence = at_once
        .iter()
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
