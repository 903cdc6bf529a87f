//! How a run behaves: what its rows and its log do, when it ends, and what a cancel does to it.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::v3::V3Plan;

/// How often a run writes to its log unless told otherwise.
pub(crate) const LOG_EVERY: SignedDuration = SignedDuration::from_secs(30);

/// What a run does from its start to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// Rows and log stand still, after a while or from the start.
    Hangs {
        /// How long it works before it hangs.
        after: SignedDuration,
        /// The rows it has read by then.
        rows: u64,
        /// How long after its start PostHog's own cleanup makes it Failed; never, if none.
        swept_after: Option<SignedDuration>,
    },
    /// Rows move and log lines appear.
    Progresses {
        /// How fast.
        rows_per_second: u64,
        /// How often a line appears in its log.
        log_every: SignedDuration,
        /// How long until it completes; never, if none.
        finishes_after: Option<SignedDuration>,
    },
    /// Rows stand still while log lines go on appearing: the load phase, or a repartition before the extraction.
    LogsOnly {
        /// How often a line appears in its log.
        log_every: SignedDuration,
        /// How long until it completes; never, if none.
        finishes_after: Option<SignedDuration>,
    },
    /// Ends well.
    Completes {
        /// How long it takes.
        after: SignedDuration,
        /// How many rows it reads.
        rows: u64,
    },
    /// Ends badly.
    Fails {
        /// How long it takes.
        after: SignedDuration,
        /// How many rows it reads before.
        rows: u64,
        /// The job's `latest_error`.
        error: String,
        /// What the schema's `latest_error` says instead, where PostHog has a friendly text.
        friendly: Option<String>,
        /// PostHog then disables the schema.
        non_retryable: bool,
    },
    /// Ends at the billing limit.
    BillingLimit {
        /// How long it takes.
        after: SignedDuration,
        /// The limit would be passed by this run (counted before), and is not reached yet.
        too_low: bool,
    },
    /// A run of PostHog's newest pipeline: a producer, a queue and a loader. The others are runs of the previous one.
    V3(Box<V3Plan>),
}

/// What a cancel does to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCancel {
    /// The job is Failed at once, its workflow ends a little later: a reload in between is dropped.
    #[default]
    Ends,
    /// The job is Failed, the workflow lives on: every later reload is answered 200 and dropped.
    WorkflowSurvives,
    /// Answered 200, and the job stays Running.
    JobSurvives,
    /// The run completes just before the cancel gets to it: 400 `The sync already finished.`
    AlreadyFinished,
    /// 400 `Could not cancel the running sync. Please try again.`
    Refused,
}

/// One run to come.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that a scenario names"
)]
pub struct RunPlan {
    /// What it does.
    pub behaviour: Behaviour,
    /// How long after the trigger its job appears.
    pub starts_after: SignedDuration,
    /// The trigger is answered 200, the schema painted Running, and no job ever appears.
    pub never_starts: bool,
    /// What a cancel does to it.
    pub on_cancel: OnCancel,
    /// How long its workflow goes on after a cancel ([`OnCancel::Ends`]).
    pub cancel_takes: SignedDuration,
    /// How long its workflow goes on after a cancel ([`OnCancel::WorkflowSurvives`]); forever, if none.
    pub workflow_ends_after: Option<SignedDuration>,
    /// Its job's `billable`. A run that is not billed writes its lines under another id than the table's.
    pub billable: bool,
    /// Its job's `cdc_write_mode`.
    pub cdc_write_mode: Option<String>,
    /// Its job's `destination_ids`.
    pub destination_ids: Vec<String>,
    /// Its job has a `workflow_run_id`. One without cannot be cancelled.
    pub has_workflow_id: bool,
    /// It is not the schedule's: Temporal lets another start through beside it. Only for runs of v3.
    pub outside_schedule: bool,
}

impl Default for RunPlan {
    fn default() -> Self {
        Self::completes(SignedDuration::from_secs(5), 100)
    }
}

impl From<Behaviour> for RunPlan {
    fn from(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            starts_after: SignedDuration::from_secs(1),
            never_starts: false,
            on_cancel: OnCancel::Ends,
            cancel_takes: SignedDuration::from_secs(20),
            workflow_ends_after: None,
            billable: true,
            cdc_write_mode: None,
            destination_ids: Vec::new(),
            has_workflow_id: true,
            outside_schedule: false,
        }
    }
}

impl From<V3Plan> for RunPlan {
    fn from(plan: V3Plan) -> Self {
        Behaviour::V3(Box::new(plan)).into()
    }
}

impl RunPlan {
    /// Completes after `after` with `rows` rows.
    #[must_use]
    pub fn completes(after: SignedDuration, rows: u64) -> Self {
        Behaviour::Completes { after, rows }.into()
    }

    /// Hangs from the start.
    #[must_use]
    pub fn hangs() -> Self {
        Behaviour::Hangs {
            after: SignedDuration::ZERO,
            rows: 0,
            swept_after: None,
        }
        .into()
    }

    /// Fails after `after` with a text that PostHog retries by itself.
    #[must_use]
    pub fn fails(after: SignedDuration, error: &str) -> Self {
        Self::failing(after, error, false)
    }

    /// Fails after `after` with a text after which PostHog disables the schema.
    #[must_use]
    pub fn fails_for_good(after: SignedDuration, error: &str) -> Self {
        Self::failing(after, error, true)
    }

    fn failing(after: SignedDuration, error: &str, non_retryable: bool) -> Self {
        Behaviour::Fails {
            after,
            rows: 0,
            error: error.to_owned(),
            friendly: None,
            non_retryable,
        }
        .into()
    }

    /// Continues forever at that speed, with a line in the log twice a minute.
    #[must_use]
    pub fn progresses(rows_per_second: u64) -> Self {
        Behaviour::Progresses {
            rows_per_second,
            log_every: LOG_EVERY,
            finishes_after: None,
        }
        .into()
    }

    /// Writes to its log twice a minute without a new row, forever.
    #[must_use]
    pub fn logs_only() -> Self {
        Behaviour::LogsOnly {
            log_every: LOG_EVERY,
            finishes_after: None,
        }
        .into()
    }

    /// The same, with another reaction to a cancel.
    #[must_use]
    pub fn on_cancel(mut self, on_cancel: OnCancel) -> Self {
        self.on_cancel = on_cancel;
        self
    }

    /// The same, with its job appearing later.
    #[must_use]
    pub fn starts_after(mut self, after: SignedDuration) -> Self {
        self.starts_after = after;
        self
    }

    /// The same, but its job never appears.
    #[must_use]
    pub fn never_starts(mut self) -> Self {
        self.never_starts = true;
        self
    }
}

impl Behaviour {
    /// How many rows have been read that long after its start.
    pub(crate) fn rows_after(&self, passed: SignedDuration) -> u64 {
        match self {
            Self::Hangs { after, rows, .. } => share(*rows, passed, *after),
            Self::Completes { after, rows } | Self::Fails { after, rows, .. } => {
                share(*rows, passed, *after)
            }
            Self::Progresses {
                rows_per_second, ..
            } => {
                let millis = u64::try_from(passed.as_millis().max(0)).unwrap_or(u64::MAX);
                rows_per_second.saturating_mul(millis) / 1000
            }
            Self::LogsOnly { .. } | Self::BillingLimit { .. } | Self::V3(_) => 0,
        }
    }

    /// When it ends by itself.
    pub(crate) fn ends_after(&self) -> Option<SignedDuration> {
        match self {
            Self::Hangs { swept_after, .. } => *swept_after,
            Self::Progresses { finishes_after, .. } | Self::LogsOnly { finishes_after, .. } => {
                *finishes_after
            }
            Self::Completes { after, .. }
            | Self::Fails { after, .. }
            | Self::BillingLimit { after, .. } => Some(*after),
            // Its events are its own.
            Self::V3(_) => None,
        }
    }

    /// How often, and until when, lines appear in its log.
    pub(crate) fn log_lines(&self) -> (SignedDuration, Option<SignedDuration>) {
        match self {
            Self::Hangs { after, .. } => (LOG_EVERY, Some(*after)),
            Self::Progresses { log_every, .. } | Self::LogsOnly { log_every, .. } => {
                ((*log_every).max(SignedDuration::from_secs(1)), None)
            }
            Self::Completes { .. } | Self::Fails { .. } | Self::BillingLimit { .. } => {
                (LOG_EVERY, None)
            }
            // It writes its lines as they come.
            Self::V3(_) => (LOG_EVERY, Some(SignedDuration::ZERO)),
        }
    }
}

/// The part of `rows` that is read when `passed` of `whole` has elapsed.
fn share(rows: u64, passed: SignedDuration, whole: SignedDuration) -> u64 {
    if passed >= whole {
        return rows;
    }
    let passed = u128::try_from(passed.as_millis().max(0)).unwrap_or(0);
    let whole = u128::try_from(whole.as_millis().max(1)).unwrap_or(1);
    u64::try_from(u128::from(rows) * passed / whole).unwrap_or(rows)
}
