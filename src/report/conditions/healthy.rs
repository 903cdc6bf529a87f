//! Healthy: whether every selected table is as healthy as expected.

use std::fmt::Write as _;

use super::{ConditionFact, ConditionStatus};
use crate::{
    api::{
        conditions::{HEALTHY, Reason},
        status::{SchemaCounts, Summary},
    },
    diagnose::{Diagnosis, Verdict},
    report::words::Findings,
};

/// Whether every selected table is as healthy as expected.
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
        return say(ConditionStatus::False, Reason::SyncsUnhealthy, message);
    }
    if summary.schemas.total == 0 {
        return say(
            ConditionStatus::Unknown,
            Reason::NothingSelected,
            "spec.selector matches no table of the project".to_owned(),
        );
    }
    let unclear = diagnosis
        .judged
        .iter()
        .filter(|judged| matches!(judged.verdict, Verdict::Unknown { .. }))
        .count();
    if unclear > 0 {
        return say(
            ConditionStatus::Unknown,
            Reason::HealthUnknown,
            format!(
                "Health of {} is unknown; see .status.findings",
                tables(unclear)
            ),
        );
    }
    if summary.schemas.total == summary.schemas.disabled {
        return say(
            ConditionStatus::Unknown,
            Reason::NothingSelected,
            "All tables that spec.selector matches are switched off".to_owned(),
        );
    }
    let also = also(summary, findings);
    let reason = if also.is_empty() {
        Reason::AllHealthy
    } else {
        Reason::HealthyWithWarnings
    };
    let message = format!("{} tables are healthy{also}", summary.healthy_of);
    say(ConditionStatus::True, reason, message)
}

fn tables(count: usize) -> String {
    match count {
        1 => "1 table".to_owned(),
        count => format!("{count} tables"),
    }
}

/// What is not healthy although there is no finding of severity Error: tables by verdict, and warnings.
fn also(summary: &Summary, findings: &Findings) -> String {
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
        ("limited by billing", billing),
        ("not synced yet", unknown),
    ];
    let mut said = String::new();
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        // Writing to a string cannot fail.
        let _ = write!(said, "; {what}: {count}");
    }
    if findings.warnings > 0 {
        let _ = write!(
            said,
            "; warnings: {}, see .status.findings",
            findings.warnings
        );
    }
    said
}

/// Health is unknown, for this reason.
#[must_use]
pub fn not_observed(message: &str) -> ConditionFact {
    ConditionFact::new(
        HEALTHY,
        ConditionStatus::Unknown,
        Reason::NotObserved,
        message,
    )
}
