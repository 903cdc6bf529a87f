//! Healthy: whether the desired health holds.

use std::fmt::Write as _;

use super::{ConditionFact, Truth};
use crate::{
    api::{
        conditions::{HEALTHY, Reason},
        status::{SchemaCounts, Summary},
    },
    diagnose::{Diagnosis, Verdict},
    report::words::Findings,
};

/// What the findings come to.
#[must_use]
pub fn healthy(diagnosis: &Diagnosis, summary: &Summary, findings: &Findings) -> ConditionFact {
    let say = |truth, reason, message: String| ConditionFact::new(HEALTHY, truth, reason, message);
    if let Some(worst) = findings.shown.first().filter(|_| findings.errors > 0) {
        let more = if findings.errors > 1 {
            format!(" (and {} more)", findings.errors - 1)
        } else {
            String::new()
        };
        let message = format!("{}: {}{more}", worst.title(), worst.message);
        return say(Truth::False, Reason::SyncsUnhealthy, message);
    }
    if summary.schemas.total == 0 {
        return say(
            Truth::Unknown,
            Reason::NothingSelected,
            "The selector matches no table of the project".to_owned(),
        );
    }
    let unclear = diagnosis
        .judged
        .iter()
        .filter(|judged| matches!(judged.verdict, Verdict::CannotTell { .. }))
        .count();
    if unclear > 0 {
        return say(
            Truth::Unknown,
            Reason::HealthUnknown,
            format!("Of {unclear} tables it cannot be told how they are; see findings"),
        );
    }
    if summary.schemas.total == summary.schemas.disabled {
        return say(
            Truth::Unknown,
            Reason::NothingSelected,
            "None of the tables that the selector matches is switched on".to_owned(),
        );
    }
    let besides = besides(summary, findings);
    let reason = if besides.is_empty() {
        Reason::AllHealthy
    } else {
        Reason::HealthyWithWarnings
    };
    let message = format!("{} tables are healthy{besides}", summary.healthy_of);
    say(Truth::True, reason, message)
}

/// What a healthy policy should not hide: tables that are not healthy, though nothing of them is an error, and warnings.
fn besides(summary: &Summary, findings: &Findings) -> String {
    let SchemaCounts {
        total: _,
        healthy: _,
        running: _,
        disabled: _,
        stuck,
        failing,
        stale,
        billing,
        unknown,
    } = summary.schemas;
    let counts = [
        ("stuck", stuck),
        ("failing", failing),
        ("stale", stale),
        ("held back by billing", billing),
        ("not synced yet", unknown),
    ];
    let mut said = String::new();
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        // Writing to a string cannot fail.
        let _ = write!(said, "; {what}: {count}");
    }
    if findings.warnings > 0 {
        let _ = write!(said, "; warnings: {}, see findings", findings.warnings);
    }
    said
}

/// Nothing is known, for this reason.
#[must_use]
pub fn not_observed(message: &str) -> ConditionFact {
    ConditionFact::new(HEALTHY, Truth::Unknown, Reason::NotObserved, message)
}
