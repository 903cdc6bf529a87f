//! A source that `PostHog` calls Error while none of its tables says why. The status of a source is derived from its tables; only where none of them
//! has an error, the source's own status shows: from a creation or a discovery that failed.

use super::{causes::Advice, known::Known, problem::Problem};
use crate::{
    api::status::{Confidence, RootCause, Severity},
    posthog::redact,
};

/// One problem for each such source of which `reported` says nothing.
pub(super) fn problems(known: &Known<'_>, reported: &[Problem]) -> Vec<Problem> {
    known
        .snapshot
        .selected_sources()
        .filter(|source| source.status.get().is_some_and(|status| status == "Error"))
        .filter(|source| {
            let says_why = |problem: &Problem| {
                problem.source_id == source.id && problem.severity != Severity::Info
            };
            !reported.iter().any(says_why)
        })
        .map(|source| Problem {
            severity: Severity::Warning,
            confidence: Confidence::Low,
            advice: Advice::same(
                "Open the source in PostHog and find out why its configuration or its table discovery failed.",
            ),
            ..Problem::of_source(
                redact::one_line(&source.title(), 80),
                &source.id,
                RootCause::Unknown,
                "source/error",
                "The source's status in PostHog is Error, and none of its tables shows why".to_owned(),
            )
        })
        .collect()
}
