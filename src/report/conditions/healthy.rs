//! Healthy: whether the desired health holds.

use super::{ConditionFact, Truth};
use crate::{
    api::{
        conditions::{HEALTHY, Reason},
        status::Summary,
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
            Reason::CannotTell,
            format!("Of {unclear} tables it cannot be told how they are; see findings"),
        );
    }
    say(
        Truth::True,
        Reason::AllHealthy,
        format!(
            "{} tables are healthy{}",
            summary.healthy_of,
            besides(findings)
        ),
    )
}

/// What a healthy policy should not hide: findings that are no errors.
fn besides(findings: &Findings) -> String {
    match findings.warnings {
        0 => String::new(),
        warnings => format!("; warnings: {warnings}, see findings"),
    }
}

/// Nothing is known, for this reason.
#[must_use]
pub fn not_observed(message: &str) -> ConditionFact {
    ConditionFact::new(HEALTHY, Truth::Unknown, Reason::NotObserved, message)
}
