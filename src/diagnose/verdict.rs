//! The state of a table, as far as it is known.

use jiff::{SignedDuration, Timestamp};

use super::{failure::Failure, stuck::Silence, words::seconds};
use crate::{
    api::status::Severity,
    observe::RunProbe,
    posthog::wire::{LONGEST_INTERVAL, SchemaStatus},
};

/// How a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The last run completed.
    Healthy,
    /// Switched on and never run.
    Pending,
    /// A run is in progress, and nothing says that it hangs.
    Running,
    /// The running job is dead.
    StuckJob(Silence),
    /// The running job is silent, and it is probably dead: a person decides whether it is cancelled.
    Silent(Silence),
    /// The table says Running, and no job runs.
    StuckWithoutJob {
        /// The newest job, if there was one.
        newest_job_id: Option<String>,
        /// Since when, as far as the operator saw.
        since: Timestamp,
    },
    /// The newest run failed, long enough ago to be reported.
    Failing {
        /// Since when.
        since: Timestamp,
        /// Why.
        failure: Failure,
    },
    /// The newest run failed so recently that it is not yet reported.
    JustFailed,
    /// Syncing is switched off.
    Disabled {
        /// The failure before that; none if it was not after one.
        after: Option<Failure>,
        /// When `PostHog` was seen to do it; none if it may have been a person.
        by_posthog: Option<Timestamp>,
    },
    /// No run has completed for long, with any status.
    Stale(Late),
    /// It has never been set up.
    NotConfigured,
    /// Billing holds it back.
    Billing,
    /// A legacy state that `PostHog` no longer sets.
    Paused,
    /// What `PostHog` says cannot be relied on.
    Unknown {
        /// Why not.
        reason: String,
    },
}

/// How late the data of a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// When the last run completed; if none ever did, since when the table waits for one.
    pub since: Timestamp,
    /// Whether any run is known to have completed.
    pub ever: bool,
    /// How long it may be.
    pub allowed: SignedDuration,
    /// How often a run should complete, and how that is known.
    pub interval: Interval,
    /// How bad that is.
    pub severity: Severity,
    /// Behind what it hides.
    pub behind: HiddenBy,
}

/// How often a table should sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// As `PostHog` shows it.
    Shown(SignedDuration),
    /// `PostHog` shows none, and the policy allows an absolute age.
    MaxAge,
    /// `PostHog` shows none: as its runs usually came.
    Usual(SignedDuration),
    /// `PostHog` shows none, and its runs are too few.
    Unknown,
}

impl Interval {
    /// What is assumed: of one that is not known, the longest that `PostHog` offers.
    #[must_use]
    pub const fn assumed(self) -> SignedDuration {
        match self {
            Self::Shown(every) | Self::Usual(every) => every,
            Self::MaxAge | Self::Unknown => LONGEST_INTERVAL,
        }
    }
}

impl Late {
    /// True if a reload may help, and it is certain that a run was due.
    #[must_use]
    pub const fn may_be_reloaded(&self) -> bool {
        match self.interval {
            Interval::Shown(_) | Interval::MaxAge => self.behind.may_be_reloaded(),
            Interval::Usual(_) | Interval::Unknown => false,
        }
    }
}

/// Behind what it hides that no data arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HiddenBy {
    /// The status says Completed.
    Completed,
    /// The newest run ended with a note of `PostHog` in place of an error.
    Note(String),
    /// Somebody stopped the newest run.
    Stopped(String),
    /// The table is switched on and has never run.
    Never,
    /// A billing status that other tables of the project have left behind.
    Billing,
    /// A run in progress that shows signs of life.
    Run {
        /// When it began.
        began: Timestamp,
    },
    /// The status says Running, and no job runs.
    NoRun,
    /// The newest run failed so recently that it is not yet reported.
    Failed,
}

impl HiddenBy {
    /// True if a reload may help. Who stopped a run did not want it; what never synced would be read for the first time; and what
    /// runs, was limited or failed has a remedy of its own.
    #[must_use]
    pub const fn may_be_reloaded(&self) -> bool {
        match self {
            Self::Completed | Self::Note(_) => true,
            Self::Stopped(_)
            | Self::Never
            | Self::Billing
            | Self::Run { .. }
            | Self::NoRun
            | Self::Failed => false,
        }
    }

    /// True if what goes on may bring data soon, or will be reported by its own cause.
    pub(super) const fn may_end_soon(&self) -> bool {
        match self {
            Self::Run { .. } | Self::NoRun | Self::Failed => true,
            Self::Completed | Self::Note(_) | Self::Stopped(_) | Self::Never | Self::Billing => {
                false
            }
        }
    }

    /// True for the first run of a table, which has nothing to be late after.
    pub(super) fn is_first_run(&self, run_probe: &RunProbe) -> bool {
        matches!(self, Self::Run { .. }) && run_probe.began_at().count() == 1
    }
}

impl Verdict {
    /// The failure that it contains, also of a table that was switched off after it.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failing { failure, .. }
            | Self::Disabled {
                after: Some(failure),
                ..
            } => Some(failure),
            _ => None,
        }
    }

    /// True if a run is in progress that nothing says to hang, also of a table that is late.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(
            self,
            Self::Running
                | Self::Stale(Late {
                    behind: HiddenBy::Run { .. } | HiddenBy::NoRun,
                    ..
                })
        )
    }

    /// True if the newest run failed so recently that it is not yet reported, also of a table that is late.
    #[must_use]
    pub const fn has_just_failed(&self) -> bool {
        matches!(
            self,
            Self::JustFailed
                | Self::Stale(Late {
                    behind: HiddenBy::Failed,
                    ..
                })
        )
    }

    /// True if `PostHog` was seen to switch the table off.
    #[must_use]
    pub const fn is_disabled_by_posthog(&self) -> bool {
        matches!(
            self,
            Self::Disabled {
                by_posthog: Some(_),
                ..
            }
        )
    }

    /// Its name, as the counts of a status have it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Running => "running",
            Self::StuckJob(_) | Self::Silent(_) | Self::StuckWithoutJob { .. } => "stuck",
            Self::Failing { .. } | Self::JustFailed => "failing",
            Self::Stale(_) => "stale",
            Self::Disabled { .. } | Self::NotConfigured | Self::Paused => "disabled",
            Self::Billing => "billing",
            Self::Pending | Self::Unknown { .. } => "unknown",
        }
    }

    /// Why a table is stuck, as a sentence without a full stop; none if it is not.
    #[must_use]
    pub fn why_stuck(&self) -> Option<String> {
        match self {
            Self::StuckJob(Silence {
                job_id,
                began,
                since,
                ..
            }) => Some(format!(
                "The run is stuck: no progress in rows or log since {}, Running since {} (job {job_id})",
                seconds(*since),
                seconds(*began)
            )),
            Self::Silent(Silence {
                job_id,
                since,
                phase,
                ..
            }) => Some(format!(
                "The run is probably dead: {}, without progress since {} (job {job_id})",
                phase.as_str(),
                seconds(*since)
            )),
            Self::StuckWithoutJob { since, .. } => Some(format!(
                "Its status has been Running since {} or longer, but no run is in progress",
                seconds(*since)
            )),
            _ => None,
        }
    }
}

/// A table that is not simply well, and its verdict.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What people call its source.
    pub source: String,
    /// Id of its source.
    pub source_id: String,
    /// Id of the table.
    pub schema_id: String,
    /// Name of the table.
    pub schema: String,
    /// What `PostHog` calls it.
    pub status: SchemaStatus,
    /// How it is.
    pub verdict: Verdict,
    /// What the last look found, in words.
    pub evidence: Vec<String>,
}
