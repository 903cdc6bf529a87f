//! A problem: what is wrong with a table or a source, why, how that is known, and what a person should do.

use jiff::Timestamp;

use super::{
    causes::{Advice, Cause},
    failure::Failure,
    stuck::Silence,
    verdict::{Judged, Verdict},
};
use crate::{
    api::status::{Confidence, RootCause, Severity},
    posthog::redact,
};

/// Longest name of a table that is shown, in characters.
pub const NAME_CAP: usize = 160;

/// Something that somebody should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What people call the source.
    pub source: String,
    /// Id of the source; empty for what concerns the whole project.
    pub source_id: String,
    /// Id and name of the table; none for what concerns the source as a whole.
    pub table: Option<(String, String)>,
    /// Why.
    pub cause: RootCause,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// The rule that says so.
    pub rule: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The facts, redacted.
    pub evidence: Vec<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Names of all tables that suffer from it; empty if it is only `table`.
    pub affected: Vec<String>,
    /// What a person should do.
    pub advice: Advice,
}

impl Problem {
    /// A problem of a whole source, as bad as its cause is, with the general advice for it.
    #[must_use]
    pub fn of_source(
        source: String,
        source_id: &str,
        cause: RootCause,
        rule: &'static str,
        message: String,
    ) -> Self {
        Self {
            source,
            source_id: source_id.to_owned(),
            table: None,
            cause,
            severity: Cause::of(cause).severity,
            confidence: Confidence::High,
            rule,
            message,
            evidence: Vec::new(),
            since: None,
            affected: Vec::new(),
            advice: Cause::of(cause).advice,
        }
    }

    /// What a verdict on one table says; none if nobody needs to know.
    #[must_use]
    pub fn of_table(judged: &Judged) -> Option<Self> {
        let problem = Self {
            table: Some((
                judged.schema_id.clone(),
                redact::one_line(&judged.schema, NAME_CAP),
            )),
            evidence: judged.evidence.clone(),
            ..Self::of_source(
                judged.source.clone(),
                &judged.source_id,
                RootCause::Unknown,
                "none",
                String::new(),
            )
        };
        match &judged.verdict {
            Verdict::Healthy
            | Verdict::Pending
            | Verdict::Running
            | Verdict::JustFailed
            | Verdict::NotConfigured
            | Verdict::Disabled { after: None, .. } => None,
            stuck @ (Verdict::StuckJob { since, .. } | Verdict::StuckWithoutJob { since, .. }) => {
                Some(problem.stuck(stuck.why_stuck().unwrap_or_default(), *since))
            }
            silent @ Verdict::Silent(silence) => {
                Some(problem.silent(silent.why_stuck().unwrap_or_default(), silence))
            }
            Verdict::Failing { since, failure } => Some(problem.failing(failure, *since)),
            Verdict::Disabled {
                after: Some(failure),
                by_posthog,
            } => Some(problem.disabled(failure, *by_posthog)),
            Verdict::Stale {
                since,
                allowed,
                severity,
            } => Some(problem.stale(*since, *allowed, *severity)),
            Verdict::Billing => Some(problem.billing()),
            Verdict::Paused => Some(problem.paused()),
            Verdict::CannotTell { reason } => Some(problem.cannot_tell(reason)),
        }
    }

    fn stuck(self, message: String, since: Timestamp) -> Self {
        Self {
            cause: RootCause::Stuck,
            rule: "run/no-progress",
            message,
            since: Some(since),
            advice: Cause::of(RootCause::Stuck).advice,
            ..self
        }
    }

    fn silent(self, message: String, silence: &Silence) -> Self {
        let mut problem = self.stuck(message, silence.since);
        problem.confidence = Confidence::Medium;
        problem.rule = "run/silent";
        problem.evidence.push(match &silence.canary {
            Some(canary) => format!(
                "PostHog works: a run of {} completed at {}",
                redact::one_line(&canary.name, NAME_CAP),
                super::verdict::seconds(canary.finished_at)
            ),
            None => "no other table of the project syncs, so nothing proves that PostHog works"
                .to_owned(),
        });
        problem
    }

    fn failing(self, failure: &Failure, since: Timestamp) -> Self {
        let said = failure.text.as_deref();
        let cause = Cause::of(failure.cause);
        let message = if cause.is_note() {
            format!(
                "The last run did not end by itself: {}",
                said.unwrap_or_default()
            )
        } else {
            format!(
                "The last run failed: {}",
                said.unwrap_or("PostHog gives no reason")
            )
        };
        Self {
            severity: cause.severity,
            message,
            since: Some(since),
            ..self.because(failure)
        }
    }

    fn disabled(self, failure: &Failure, by_posthog: Option<Timestamp>) -> Self {
        let (who, severity) = if by_posthog.is_some() {
            (
                "PostHog switched syncing off after a failure",
                Severity::Error,
            )
        } else {
            (
                "Syncing is switched off after a failure, by PostHog or by a person",
                Severity::Warning,
            )
        };
        let text = failure.text.as_deref().unwrap_or_default();
        let mut problem = Self {
            severity,
            message: format!("{who}: {text}"),
            since: by_posthog,
            ..self.because(failure)
        };
        problem.evidence.push(match by_posthog {
            Some(at) => format!("should_sync was seen to turn false at {at}, together with the failure"),
            None => "nobody saw who switched it off: a person who switches off a failing table leaves the same picture".to_owned(),
        });
        problem
    }

    fn because(self, failure: &Failure) -> Self {
        let Failure {
            cause,
            confidence,
            rule,
            advice,
            text: _,
            facts,
        } = failure;
        let mut evidence = facts.clone();
        evidence.extend(self.evidence);
        Self {
            cause: *cause,
            confidence: *confidence,
            rule,
            advice: *advice,
            evidence,
            ..self
        }
    }

    fn stale(self, since: Timestamp, allowed: jiff::SignedDuration, severity: Severity) -> Self {
        Self {
            cause: RootCause::Stale,
            severity,
            rule: "run/none-completed",
            message: format!(
                "It says Completed, but no run has completed since {}, for more than {}",
                super::verdict::seconds(since),
                in_words(allowed)
            ),
            since: Some(since),
            advice: Cause::of(RootCause::Stale).advice,
            ..self
        }
    }

    fn billing(self) -> Self {
        Self {
            cause: RootCause::BillingLimit,
            severity: Severity::Warning,
            rule: "status/billing",
            message: "PostHog's billing limit holds the table back".to_owned(),
            advice: Cause::of(RootCause::BillingLimit).advice,
            ..self
        }
    }

    fn paused(self) -> Self {
        Self {
            severity: Severity::Warning,
            rule: "status/paused",
            message: "PostHog calls the table Paused, a state that it no longer sets itself; as long as one table of the project is, PostHog refuses every reload with \"Monthly sync limit reached\"".to_owned(),
            advice: Advice::same("In PostHog, switch syncing of the table off and on again if it is wanted, or delete the table from the source's list."),
            ..self
        }
    }

    fn cannot_tell(self, reason: &str) -> Self {
        Self {
            severity: Severity::Warning,
            confidence: Confidence::Low,
            rule: "status/unclear",
            message: format!("Cannot tell how this table is: {reason}"),
            advice: Advice {
                with_operator: "Look at the table in PostHog. The operator does nothing about what it does not understand.",
                ..Cause::of(RootCause::Unknown).advice
            },
            ..self
        }
    }
}

/// A length of time as people say it: hours and minutes, days from two on.
#[must_use]
pub fn in_words(length: jiff::SignedDuration) -> String {
    let minutes = length.as_mins();
    let of =
        |count: i64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match minutes {
        0 => of(length.as_secs(), "second"),
        1..=119 => of(minutes, "minute"),
        120..=2879 => of(minutes / 60, "hour"),
        _ => of(minutes / (24 * 60), "day"),
    }
}
