//! Does change data capture of a source work, and will it go on working? The status of its tables shows trouble late.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{
    causes::{Advice, Cause, Scope, rules},
    classify::classify,
    failure::read,
    known::Known,
    problem::{Fact, NAME_CAP, Problem, SharedProblem},
    verdict::{Judged, Verdict},
    words::as_of,
};
use crate::{
    api::status::{RootCause, Severity},
    observe::{Seen, Snapshot, probes::Probed},
    posthog::{
        PostHogError,
        lax::Lax,
        probe::{CdcCheck, CdcStatus},
        redact,
        wire::{Schema, SchemaStatus, Source},
    },
};

const MB: i64 = 1024 * 1024;

/// How many of its own intervals a table may wait for `PostHog` to rebuild a lost slot by itself.
const SLOT_COMES_BACK: i32 = 2;

/// The tables of a source that are synced by change data capture and switched on, or were until `PostHog` switched them off.
pub fn tables<'a>(known: &Known<'a>, source: &'a Source) -> impl Iterator<Item = &'a Schema> {
    let selector = &known.policy.selector;
    captured(known, source).filter(|schema| selector.selects_schema(&schema.name))
}

/// The same, with those that the policy does not select: a repair resets all of them.
pub fn captured<'a>(known: &Known<'a>, source: &'a Source) -> impl Iterator<Item = &'a Schema> {
    let states = &known.state.schemas;
    source
        .schemas
        .iter()
        .filter(|schema| schema.syncs_by("cdc"))
        .filter(|schema| {
            let mut seen = states.iter().filter(|state| state.id == schema.id);
            !schema.is_off() || seen.any(|state| state.disabled_seen.is_some())
        })
}

/// What `PostHog` is to check of a source.
#[must_use]
pub fn check(snapshot: &Snapshot, source: &Source) -> CdcCheck {
    CdcCheck::of(source, status(snapshot, &source.id))
}

/// How change data capture of a source stands, if the last answer said so.
fn status<'a>(snapshot: &'a Snapshot, source_id: &str) -> Option<&'a CdcStatus> {
    let probed = snapshot.probes.cdc.get(source_id)?;
    probed.answer.as_ref().ok()
}

/// True if there is a sign of a problem, so that it is worth reading from the database what is missing.
pub fn is_suspect(known: &Known<'_>, source: &Source) -> bool {
    let status = known.snapshot.probes.cdc.get(&source.id);
    let broken = status
        .and_then(|probed| probed.answer.as_ref().ok())
        .is_some_and(|status| trouble(status, known.policy.lag_warn_percent).is_some());
    broken
        || tables(known, source).any(|schema| {
            schema.status() == SchemaStatus::Failed
                && Cause::of(read(known.snapshot, source, schema).1.cause).scope == Scope::Capture
        })
}

/// The problems of change data capture. Each explains those of its tables that report it, or that only suffer from it.
pub(super) fn problems(known: &Known<'_>, judged: &[Judged]) -> Vec<SharedProblem> {
    known
        .snapshot
        .selected_sources()
        .filter_map(|source| {
            let probed = known.snapshot.probes.cdc.get(&source.id)?;
            let captured: HashSet<&str> = tables(known, source)
                .map(|schema| schema.id.as_str())
                .collect();
            let judged: Vec<&Judged> = judged
                .iter()
                .filter(|judged| captured.contains(judged.schema_id.as_str()))
                .collect();
            let problem = match &probed.answer {
                _ if captured.is_empty() => None,
                Ok(status) => problem(known, source, status, probed),
                Err(error) => cannot_connect(known, source, error, probed, &judged),
            }?;
            let explained = judged.iter().filter(|judged| {
                explains(&problem, &judged.verdict) && !is_newer(known, judged, probed.at)
            });
            let tables = explained.map(|judged| judged.schema_id.clone()).collect();
            Some(SharedProblem { problem, tables })
        })
        .collect()
}

/// True if capture stands still because of a problem: its tables can do nothing about it one by one.
pub(super) fn stops_capture(problem: &Problem) -> bool {
    problem.severity == Severity::Error
        && matches!(
            problem.rule,
            rules::SLOT_GONE | NOT_ENABLED | PUBLICATION_GONE | PAUSED | CANNOT_CONNECT
        )
}

/// True while the slot is not there, also while `PostHog` may still recreate it.
pub(super) fn has_no_slot(problem: &Problem) -> bool {
    problem.rule == rules::SLOT_GONE
}

/// True for a table that was refused after the state of capture was read: its text is the newer one.
fn is_newer(known: &Known<'_>, judged: &Judged, asked: Timestamp) -> bool {
    let failure = judged.verdict.failure();
    let turned_away =
        failure.is_some_and(|failure| Cause::of(failure.cause).scope == Scope::Connection);
    let seen = known.snapshot.seen(&judged.schema_id);
    turned_away && seen.and_then(Seen::failed_at).is_some_and(|at| at > asked)
}

/// True if the problem of the source says all that there is to say of a table.
fn explains(problem: &Problem, verdict: &Verdict) -> bool {
    let stopped = stops_capture(problem);
    match verdict {
        Verdict::Failing { failure, .. }
        | Verdict::Disabled {
            after: Some(failure),
            ..
        } => {
            // What a run said when capture worked, or when it could not connect, is older than what PostHog answers now.
            let cause = Cause::of(failure.cause);
            let of_source = matches!(cause.scope, Scope::Connection | Scope::Capture)
                || cause.retried_by_posthog;
            failure.cause == problem.cause && problem.severity == Severity::Error
                || stopped && of_source
        }
        Verdict::Stale { .. } | Verdict::StuckWithoutJob { .. } | Verdict::JustFailed => stopped,
        Verdict::Healthy
        | Verdict::Pending
        | Verdict::Running
        | Verdict::StuckJob(_)
        | Verdict::Silent(_)
        | Verdict::Disabled { after: None, .. }
        | Verdict::NotConfigured
        | Verdict::Billing
        | Verdict::Paused
        | Verdict::CannotTell { .. } => false,
    }
}

/// `PostHog` cannot connect to the database now, and tables suffer. While they are healthy, that may be transient.
fn cannot_connect(
    known: &Known<'_>,
    source: &Source,
    error: &PostHogError,
    probed: &Probed<CdcStatus>,
    judged: &[&Judged],
) -> Option<Problem> {
    let PostHogError::Refused {
        status: 400,
        detail,
        ..
    } = error
    else {
        return None;
    };
    let source_type = source.source_type.get().map(String::as_str);
    let cause = (known.snapshot.readings)
        .of(detail, source_type, classify)
        .cause;
    let mut problem = Problem::of_source(
        redact::one_line(&source.title(), 80),
        &source.id,
        cause,
        CANNOT_CONNECT,
        format!(
            "PostHog cannot connect to the database for change data capture: {}",
            redact::text(detail, 300)
        ),
    );
    let suffers = |judged: &&&Judged| explains(&problem, &judged.verdict);
    let affected: Vec<String> = (judged.iter().filter(suffers))
        .map(|judged| redact::one_line(&judged.schema, NAME_CAP))
        .collect();
    if Cause::of(cause).scope != Scope::Connection || affected.is_empty() {
        return None;
    }
    problem.affected = affected;
    problem.evidence = vec![
        format!(
            "PostHog's cdc_status answered with an error{}",
            as_of(probed)
        )
        .into(),
    ];
    Some(problem)
}

fn problem(
    known: &Known<'_>,
    source: &Source,
    status: &CdcStatus,
    probed: &Probed<CdcStatus>,
) -> Option<Problem> {
    let Trouble {
        cause,
        severity,
        rule,
        message,
        advice,
    } = trouble(status, known.policy.lag_warn_percent)?;
    let mut problem = Problem::of_source(
        redact::one_line(&source.title(), 80),
        &source.id,
        cause,
        rule,
        message,
    );
    problem.severity = severity;
    problem.advice = advice.unwrap_or(problem.advice);
    problem.evidence = vec![facts(status, &as_of(probed)).into()];
    problem.affected = tables(known, source)
        .map(|schema| redact::one_line(&schema.name, NAME_CAP))
        .collect();
    if rule == rules::SLOT_GONE && comes_back(known, source, probed.at) {
        problem.severity = Severity::Warning;
        problem
            .evidence
            .push("PostHog usually recreates a lost slot at the next sync; if it does not within two intervals, this becomes an Error".into());
    }
    let lacks = lacks(known, source).into_iter().map(Fact::Said);
    problem.evidence.extend(lacks);
    Some(problem)
}

/// True while `PostHog` may still rebuild the slot by itself, as far as the last answer proves.
fn comes_back(known: &Known<'_>, source: &Source, probed_at: Timestamp) -> bool {
    let failed = tables(known, source).any(|schema| schema.status() == SchemaStatus::Failed);
    !failed && has_time_left(known, source, probed_at) == Some(true)
}

/// Whether `PostHog` has had fewer than two intervals of the source's tables to rebuild the slot; none if it is not known. It has had
/// them where no table was synced for that long, and it rebuilds none while the schedule stands still.
fn has_time_left(known: &Known<'_>, source: &Source, probed_at: Timestamp) -> Option<bool> {
    let since = known.snapshot.probes.slot_lost_since.get(&source.id)?;
    let shortest = tables(known, source).filter_map(Schema::frequency).min()?;
    let long = |at: &Timestamp| probed_at.duration_since(*at) >= shortest * SLOT_COMES_BACK;
    let synced = tables(known, source).filter_map(|schema| schema.last_synced_at.get());
    let paused = status(known.snapshot, &source.id)
        .is_some_and(|status| status.schedule_paused == Lax::Is(true));
    Some(!paused && !long(since) && !synced.max().is_some_and(long))
}

/// True if the database was read, has no slot, and `PostHog` has had two intervals to recreate it.
#[must_use]
pub fn has_lost_its_slot(known: &Known<'_>, source: &Source) -> bool {
    let probed = known.snapshot.probes.cdc.get(&source.id);
    probed.is_some_and(|probed| {
        let gone = probed
            .answer
            .as_ref()
            .is_ok_and(|status| status.slot_exists == Lax::Is(false));
        gone && has_time_left(known, source, probed.at) != Some(true)
    })
}

/// True if the database was asked and has its slot.
#[must_use]
pub fn has_its_slot(snapshot: &Snapshot, source_id: &str) -> bool {
    status(snapshot, source_id).is_some_and(|status| status.slot_exists == Lax::Is(true))
}

/// What the database lacks by `PostHog`'s check; none if it was not checked.
#[must_use]
pub fn missing(snapshot: &Snapshot, source_id: &str) -> Option<Vec<String>> {
    let probed = snapshot.probes.prerequisites.get(source_id)?;
    let check = probed.answer.as_ref().ok()?;
    Some(check.missing(has_its_slot(snapshot, source_id)))
}

/// True if `PostHog` checked the database after `since`, and it lacks nothing.
#[must_use]
pub fn is_prepared_since(snapshot: &Snapshot, source_id: &str, since: Timestamp) -> bool {
    let probed = snapshot.probes.prerequisites.get(source_id);
    probed.is_some_and(|probed| probed.at > since)
        && missing(snapshot, source_id).is_some_and(|missing| missing.is_empty())
}

/// What the database lacks, where it was asked.
fn lacks(known: &Known<'_>, source: &Source) -> Vec<String> {
    let Some(probed) = known.snapshot.probes.prerequisites.get(&source.id) else {
        return Vec::new();
    };
    let missing = missing(known.snapshot, &source.id).unwrap_or_default();
    match &probed.answer {
        Ok(_) if missing.is_empty() => {
            vec!["PostHog's check of the CDC prerequisites passed".to_owned()]
        }
        Ok(_) => missing
            .iter()
            .take(4)
            .map(|error| format!("missing: {}", redact::text(error, 200)))
            .collect(),
        Err(error) => vec![format!(
            "PostHog could not check the CDC prerequisites: {}",
            redact::text(&error.to_string(), 200)
        )],
    }
}

fn facts(status: &CdcStatus, as_of: &str) -> String {
    let name = |lax: &Lax<String>| {
        lax.get()
            .map_or_else(|| "?".to_owned(), |name| redact::one_line(name, 63))
    };
    format!(
        "PostHog's cdc_status{as_of}: slot {}, publication {}, managed by {}, lag {}",
        name(&status.slot_name),
        name(&status.publication_name),
        name(&status.management_mode),
        status.lag_bytes.get().map_or_else(
            || "unknown".to_owned(),
            |bytes| format!("{} MB", bytes / MB)
        )
    )
}

struct Trouble {
    cause: RootCause,
    severity: Severity,
    rule: &'static str,
    message: String,
    /// What a person should do, where it is not what the cause says.
    advice: Option<Advice>,
}

/// The source is not captured at all.
const NOT_ENABLED: &str = "cdc/not-enabled";
/// The database lacks the publication.
const PUBLICATION_GONE: &str = "cdc/publication-gone";
/// The schedule of the source stands still.
const PAUSED: &str = "cdc/schedule-paused";
/// The database does not let `PostHog` in.
const CANNOT_CONNECT: &str = "cdc/cannot-connect";

/// After a failure that left the slot in place. A reload of a table does not start the schedule again.
const RESUME: Advice = Advice::same(
    "Slot and publication exist, and PostHog can connect to the database. Once the reason for the stop is fixed, use Resume in the source's settings in PostHog: it continues where it stopped and deletes nothing.",
);

/// What is wrong with change data capture, the worst first. What `PostHog` does not know is not wrong.
fn trouble(status: &CdcStatus, lag_warn_percent: i64) -> Option<Trouble> {
    let broken = |cause, rule, message: &str| {
        Some(Trouble {
            cause,
            severity: Severity::Error,
            rule,
            message: message.to_owned(),
            advice: (rule == PAUSED).then_some(RESUME),
        })
    };
    if status.enabled == Lax::Is(false) {
        return broken(
            RootCause::CdcBroken,
            NOT_ENABLED,
            "Tables sync by change data capture, but it is switched off for the source",
        );
    }
    if status.slot_exists == Lax::Is(false) {
        return broken(
            RootCause::CdcSlotLost,
            rules::SLOT_GONE,
            "The database no longer has the replication slot",
        );
    }
    if status.publication_exists == Lax::Is(false) {
        return broken(
            RootCause::CdcBroken,
            PUBLICATION_GONE,
            "The database no longer has the publication",
        );
    }
    if status.schedule_paused == Lax::Is(true) {
        return broken(
            RootCause::CdcBroken,
            PAUSED,
            "The schedule of change data capture is paused, by PostHog or by a person",
        );
    }
    lag(status, lag_warn_percent)
}

fn lag(status: &CdcStatus, lag_warn_percent: i64) -> Option<Trouble> {
    let lag = *status.lag_bytes.get()?;
    let limit = |mb: &Lax<i64>| mb.get().filter(|mb| **mb > 0)?.checked_mul(MB);
    let critical = limit(&status.lag_critical_threshold_mb);
    let share = |critical: i64| i128::from(critical) * i128::from(lag_warn_percent) / 100;
    let warn = critical
        .map(share)
        .or_else(|| limit(&status.lag_warning_threshold_mb).map(i128::from))?;
    if i128::from(lag) < warn {
        return None;
    }
    // A slot that somebody else manages is never dropped by PostHog.
    let own = status
        .management_mode
        .get()
        .is_none_or(|mode| mode != "self_managed");
    let beyond = critical.filter(|critical| own && lag >= *critical);
    let (severity, rule) = if beyond.is_some() {
        (Severity::Error, "cdc/lag-critical")
    } else {
        (Severity::Warning, "cdc/lag")
    };
    let ahead = match critical {
        Some(critical) if own => format!(
            "; at {} MB PostHog drops the slot, and the tables must be reimported",
            critical / MB
        ),
        _ => "; the changes that it retains fill the database's disk".to_owned(),
    };
    Some(Trouble {
        cause: RootCause::CdcBroken,
        severity,
        rule,
        message: format!("The replication slot is {} MB behind{ahead}", lag / MB),
        advice: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Option<(&'static str, Severity)> {
        trouble(&serde_json::from_str(json).unwrap(), 50).map(|t| (t.rule, t.severity))
    }

    #[test]
    fn what_is_healthy_or_not_known_is_no_trouble() {
        for json in [
            "{}",
            r#"{"enabled":true,"slot_exists":true,"publication_exists":true,"schedule_paused":false,"lag_bytes":1000,"lag_critical_threshold_mb":10240}"#,
            r#"{"enabled":true,"slot_exists":null,"lag_bytes":null}"#,
            r#"{"lag_bytes":99999999999999,"lag_critical_threshold_mb":0}"#,
            r#"{"lag_bytes":5368709119,"lag_critical_threshold_mb":10240}"#,
        ] {
            assert_eq!(found(json), None, "{json}");
        }
    }

    #[test]
    fn each_way_to_be_broken_has_its_rule() {
        let (error, warning) = (Severity::Error, Severity::Warning);
        for (json, expected) in [
            (r#"{"enabled":false}"#, ("cdc/not-enabled", error)),
            (
                r#"{"slot_exists":false,"publication_exists":false}"#,
                ("cdc/slot-gone", error),
            ),
            (
                r#"{"publication_exists":false}"#,
                ("cdc/publication-gone", error),
            ),
            (
                r#"{"schedule_paused":true}"#,
                ("cdc/schedule-paused", error),
            ),
            (
                r#"{"lag_bytes":5368709120,"lag_critical_threshold_mb":10240}"#,
                ("cdc/lag", warning),
            ),
            (
                r#"{"lag_bytes":10737418240,"lag_critical_threshold_mb":10240}"#,
                ("cdc/lag-critical", error),
            ),
            (
                r#"{"lag_bytes":10737418240,"lag_critical_threshold_mb":10240,"management_mode":"self_managed"}"#,
                ("cdc/lag", warning),
            ),
            (
                r#"{"lag_bytes":1073741824,"lag_warning_threshold_mb":1024}"#,
                ("cdc/lag", warning),
            ),
        ] {
            assert_eq!(found(json), Some(expected), "{json}");
        }
    }
}
