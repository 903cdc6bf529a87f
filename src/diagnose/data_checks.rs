//! Does the data hold what the policy says of it? Counts and times are shown, never values.

use jiff::{SignedDuration, Timestamp};

use super::{
    causes::Advice,
    known::Known,
    missing,
    problem::{NAME_CAP, Problem},
    words::{NO_SOURCE, in_words},
};
use crate::{
    api::{
        status::{Confidence, RootCause, Severity},
        validated::{DataCheck, DataRule},
    },
    observe::probes::{DataAnswer, DataProbe, Found, Probed},
    posthog::{
        PostHogError, redact,
        wire::{Schema, Source},
    },
};

/// The one table that a check is about, or why there is none.
pub fn target<'a>(
    known: &Known<'a>,
    check: &DataCheck,
) -> Result<(&'a Source, &'a Schema), String> {
    let mut sources = known.snapshot.sources.iter().filter(|source| {
        check
            .source
            .matches(source.type_name(), source.prefix_name(), &source.id)
    });
    let source = sources.next().ok_or(NO_SOURCE)?;
    if sources.next().is_some() {
        return Err("more than one source matches: use the source's id".to_owned());
    }
    source
        .schemas
        .iter()
        .find(|schema| schema.name == check.schema)
        .map(|schema| (source, schema))
        .ok_or_else(|| {
            format!(
                "{} has no table with this name",
                redact::one_line(&source.title(), 80)
            )
        })
}

/// The question that a check asks of a table.
#[must_use]
pub fn probe(check: &DataCheck, schema: &Schema) -> DataProbe {
    DataProbe {
        schema_id: schema.id.to_string(),
        rule: check.rule.clone(),
    }
}

/// The problems that checks of the data found.
pub fn problems(known: &Known<'_>) -> Vec<Problem> {
    let checks = known.policy.data_checks.iter().enumerate();
    checks
        .filter_map(|(place, check)| match target(known, check) {
            Ok((source, schema)) => of_check(known, place, check, source, schema),
            // A table that is missing from one list may be back in the next.
            Err(_) if missing::is_just_missing(known.snapshot, &check.schema) => None,
            Err(reason) => Some(Problem {
                severity: Severity::Warning,
                confidence: Confidence::High,
                advice: Advice::same("Fix the check in the policy, or remove it."),
                ..Problem::of_source(
                    "PostHog".to_owned(),
                    "",
                    RootCause::Unknown,
                    "data-check/no-table",
                    format!(
                        "spec.health.dataChecks[{place}] on {:?} cannot run: {reason}",
                        redact::one_line(&check.schema, 80)
                    ),
                )
            }),
        })
        .collect()
}

fn of_check(
    known: &Known<'_>,
    place: usize,
    check: &DataCheck,
    source: &Source,
    schema: &Schema,
) -> Option<Problem> {
    let probed = known.snapshot.probes.data.get(&probe(check, schema))?;
    let base = |cause, rule, message| Problem {
        table: Some((
            schema.id.to_string(),
            redact::one_line(&schema.name, NAME_CAP),
        )),
        evidence: vec![format!("result of the query of spec.health.dataChecks[{place}]").into()],
        ..Problem::of_source(
            redact::one_line(&source.title(), 80),
            &source.id,
            cause,
            rule,
            message,
        )
    };
    let impossible = |reason: String, advice| Problem {
        severity: Severity::Info,
        confidence: Confidence::Low,
        advice: Advice::same(advice),
        ..base(
            RootCause::Unknown,
            "data-check/not-possible",
            format!("spec.health.dataChecks[{place}] cannot run: {reason}"),
        )
    };
    match probed.answer.as_ref().map(|answer| answer.found.as_ref()) {
        Ok(Ok(found)) => {
            if let Some(reason) = dated_ahead(&check.rule, *found, probed.at) {
                return Some(Problem {
                    severity: Severity::Warning,
                    ..impossible(
                        reason,
                        "Correct the rows that are dated in the future at the source, or check another column.",
                    )
                });
            }
            let (rule, message) = broken(&check.rule, *found, probed.at)?;
            Some(base(RootCause::DataCheckFailed, rule, message))
        }
        Ok(Err(reason)) => Some(impossible(
            redact::text(reason, 200),
            "Fix the check in the policy: `kubectl explain wsp.spec.health.dataChecks` shows its fields.",
        )),
        Err(error) => impossible_because(error)
            .map(|(reason, advice)| impossible(redact::text(&reason, 200), advice)),
    }
}

/// How far in the future the newest row may be dated: a time without a zone is ahead by half a day at most.
const ROWS_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Why the newest row does not tell how old the data is: dated in the future, it would hide for years that no other comes.
fn dated_ahead(rule: &DataRule, found: Found, at: Timestamp) -> Option<String> {
    match (rule, found) {
        (DataRule::NewestRow { column, .. }, Found::Newest(Some(newest)))
            if newest.duration_since(at) > ROWS_AHEAD =>
        {
            Some(format!(
                "the newest {} is {newest}, in the future, so the age of the data is unknown",
                redact::one_line(column, 80)
            ))
        }
        _ => None,
    }
}

/// Why `PostHog` did not answer; none for what a retry may fix.
fn impossible_because(error: &PostHogError) -> Option<(String, &'static str)> {
    match error {
        PostHogError::Refused {
            status: 401 | 403, ..
        } => Some((
            error.to_string(),
            "Give the API key the scope query:read in PostHog, or remove the data checks from the policy.",
        )),
        PostHogError::Refused { status: 400, .. } => Some((
            error.to_string(),
            "Check the table's columns in PostHog and fix the check in the policy.",
        )),
        _ => None,
    }
}

/// True if the last answer says that a check does not hold.
pub(super) fn is_broken(check: &DataCheck, probed: Option<&Probed<DataAnswer>>) -> bool {
    let found = probed.and_then(|probed| {
        let answer = probed.answer.as_ref().ok()?;
        Some((*answer.found.as_ref().ok()?, probed.at))
    });
    found.is_some_and(|(found, at)| broken(&check.rule, found, at).is_some())
}

/// True if every check of a table has been made since this process began, or none is left.
#[must_use]
pub fn are_made(known: &Known<'_>, schema_id: &str) -> bool {
    known.policy.data_checks.iter().all(|check| {
        let Ok((_, schema)) = target(known, check) else {
            return true;
        };
        let probed = known.snapshot.probes.data.get(&probe(check, schema));
        schema.id != schema_id
            || probed.is_some_and(|probed| {
                let answer = probed.answer.as_ref();
                answer.is_ok_and(|answer| answer.found.is_ok())
            })
    })
}

/// What a finding breaks; none if it holds.
fn broken(rule: &DataRule, found: Found, at: Timestamp) -> Option<(&'static str, String)> {
    match (rule, found) {
        (DataRule::UniqueKey(columns), Found::Duplicates { keys, rows }) if keys > 0 => Some((
            "data-check/unique-key",
            format!(
                "{keys} keys of ({}) are not unique, in {rows} rows",
                redact::one_line(&columns.join(", "), 160)
            ),
        )),
        (DataRule::NewestRow { column, max_age }, Found::Newest(Some(newest)))
            if at.duration_since(newest) > *max_age =>
        {
            Some((
                "data-check/newest-row",
                format!(
                    "the newest {} is {newest}, {} old; {} are allowed",
                    redact::one_line(column, 80),
                    in_words(at.duration_since(newest)),
                    in_words(*max_age)
                ),
            ))
        }
        (DataRule::NewestRow { .. }, Found::Newest(None)) => Some((
            "data-check/newest-row",
            "no row of the table has a time in this column".to_owned(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newest_row_of_the_future_says_nothing_and_one_of_another_zone_does() {
        let rule = DataRule::NewestRow {
            column: "at".to_owned(),
            max_age: SignedDuration::from_hours(26),
        };
        let now: Timestamp = "2026-10-01T12:00:00Z".parse().unwrap();
        for (newest, ahead) in [
            ("2026-10-01T11:00:00Z", false),
            ("2026-10-02T02:00:00Z", false),
            ("2026-10-03T00:00:00Z", true),
            ("2099-01-01T00:00:00Z", true),
        ] {
            let found = Found::Newest(Some(newest.parse().unwrap()));
            assert_eq!(dated_ahead(&rule, found, now).is_some(), ahead, "{newest}");
            assert_eq!(broken(&rule, found, now), None, "{newest}");
        }
        let unique = DataRule::UniqueKey(vec!["id".to_owned()]);
        let found = Found::Duplicates { keys: 1, rows: 2 };
        assert_eq!(dated_ahead(&unique, found, now), None);
    }
}
