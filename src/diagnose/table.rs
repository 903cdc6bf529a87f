//! The problem of one table, from the verdict on it.

use jiff::Timestamp;

use super::{
    causes::{Advice, Cause, rules},
    failure::Failure,
    problem::{Fact, NAME_CAP, Problem},
    stuck::Silence,
    verdict::{HiddenBy, Judged, Late, Verdict},
    words::posthog_works,
};
use crate::{
    api::status::{Confidence, RootCause, Severity},
    posthog::redact,
};

impl Problem {
    /// What a verdict on one table says; none if nobody needs to know.
    #[must_use]
    pub fn of_table(judged: &Judged) -> Option<Self> {
        let problem = Self {
            table: Some((
                judged.schema_id.clone(),
                redact::one_line(&judged.schema, NAME_CAP),
            )),
            evidence: judged.evidence.iter().cloned().map(Fact::Said).collect(),
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
            stuck @ Verdict::StuckWithoutJob { since, .. } => {
                Some(problem.stuck(stuck.why_stuck().unwrap_or_default(), *since))
            }
            stuck @ (Verdict::StuckJob(silence) | Verdict::Silent(silence)) => {
                let problem = problem.silent(stuck.why_stuck().unwrap_or_default(), silence);
                Some(if *stuck == Verdict::Silent(silence.clone()) {
                    Self {
                        confidence: Confidence::Medium,
                        rule: rules::SILENT,
                        ..problem
                    }
                } else {
                    problem
                })
            }
            Verdict::Failing { since, failure } => Some(problem.failing(failure, *since)),
            Verdict::Disabled {
                after: Some(failure),
                by_posthog,
            } => Some(problem.disabled(failure, *by_posthog)),
            Verdict::Stale(late) => Some(problem.stale(late)),
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
        let works = match &silence.canary {
            Some(canary) => posthog_works(canary),
            None => "no other table of the project syncs, so PostHog itself may be down".to_owned(),
        };
        let mut problem = self.stuck(message, silence.since);
        let phase = format!("phase of the run: {}", silence.phase.as_str());
        let signs = [Fact::Said(phase), Fact::Said(works)];
        problem.evidence.splice(0..0, signs);
        problem
    }

    fn failing(self, failure: &Failure, since: Timestamp) -> Self {
        let said = failure.text.as_deref();
        let cause = Cause::of(failure.cause);
        let message = if cause.is_note() {
            format!(
                "The last run was stopped in PostHog: {}",
                said.unwrap_or_default()
            )
        } else {
            format!(
                "The last run failed: {}",
                said.unwrap_or("PostHog shows no error text")
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
                "PostHog switched syncing off after this failure",
                Severity::Error,
            )
        } else {
            (
                "Syncing was switched off, by PostHog or by a person, after this failure",
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
            Some(at) => Fact::Said(format!(
                "should_sync turned false at {at}, together with the failure"
            )),
            None => Fact::NobodySaw,
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
            overcome: _,
        } = failure;
        let facts = facts.iter().cloned().map(Fact::Said);
        let evidence = facts.chain(self.evidence).collect();
        Self {
            cause: *cause,
            confidence: *confidence,
            rule,
            advice: *advice,
            evidence,
            ..self
        }
    }

    fn stale(self, late: &Late) -> Self {
        let (rule, advice) = match &late.behind {
            HiddenBy::Completed | HiddenBy::Note(_) => {
                (rules::NONE_COMPLETED, Cause::of(RootCause::Stale).advice)
            }
            HiddenBy::Stopped(_) => (
                "run/none-since-stopped",
                Advice::same(
                    "Find out who stopped the run. If the data is still needed, reload the table in PostHog: the operator does not restart a run that somebody stopped.",
                ),
            ),
            HiddenBy::Never => (
                "run/never",
                Advice::same(
                    "Reload the table in PostHog once if its data is needed, or switch its sync off. If no run starts, switch its sync off and on to restart its schedule.",
                ),
            ),
            HiddenBy::Billing => (
                "run/none-since-billing",
                Advice::same(
                    "Reload the table in PostHog: the limit that stopped it no longer blocks other tables.",
                ),
            ),
            HiddenBy::Run { .. } | HiddenBy::NoRun => (
                rules::RUN_LATE,
                Advice::same(
                    "Wait for the run in progress. If runs take longer than the table's sync interval, choose a longer interval, or sync fewer rows per run.",
                ),
            ),
            HiddenBy::Failed => (
                rules::RUN_LATE,
                Advice::same("Wait: if the failure lasts, it is reported with its cause."),
            ),
        };
        Self {
            cause: RootCause::Stale,
            severity: late.severity,
            rule,
            message: late.in_words(),
            since: Some(late.since),
            advice,
            ..self
        }
    }

    fn billing(self) -> Self {
        Self {
            cause: RootCause::BillingLimit,
            severity: Severity::Warning,
            rule: "status/billing",
            message: "PostHog's billing limit blocks the table".to_owned(),
            advice: Cause::of(RootCause::BillingLimit).advice,
            ..self
        }
    }

    fn paused(self) -> Self {
        Self {
            severity: Severity::Warning,
            rule: "status/paused",
            message: "The table is Paused, a legacy status. While any table of the project is Paused, PostHog refuses every reload with \"Monthly sync limit reached\"".to_owned(),
            advice: Advice::same("In PostHog, switch syncing of the table off and on again if its data is needed, or delete the table from the source's list."),
            ..self
        }
    }

    fn cannot_tell(self, reason: &str) -> Self {
        Self {
            severity: Severity::Warning,
            confidence: Confidence::Low,
            rule: "status/unclear",
            message: format!("The health of this table is unknown: {reason}"),
            advice: Advice {
                with_operator: "Check the table in PostHog. The operator does not act on an unknown state.",
                ..Cause::of(RootCause::Unknown).advice
            },
            ..self
        }
    }
}
