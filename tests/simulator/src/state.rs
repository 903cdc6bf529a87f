//! What the simulated PostHog knows: sources, schemas, jobs.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::effect::Trigger;
use crate::line::Line;
use crate::queue::{Group, V3Run};
use crate::run::RunPlan;
use crate::scenario::{SchemaSpec, SourceSpec};

/// A status in PostHog's database words. The API rewrites some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// A run is in flight, or was requested.
    Running,
    /// The last run ended well.
    Completed,
    /// The last run ended badly, or was cancelled.
    Failed,
    /// From an older version of PostHog; nothing writes it today.
    Paused,
    /// The last run hit the quota.
    BillingLimitReached,
    /// A run would pass the quota.
    BillingLimitTooLow,
}

impl Status {
    /// As a schema's or a source's row says it.
    pub(crate) fn of_schema(self) -> &'static str {
        match self {
            Self::BillingLimitTooLow => "Billing limits too low",
            other => other.plain(),
        }
    }

    /// As a job's row says it: the same, but for one plural.
    pub(crate) fn of_job(self) -> &'static str {
        match self {
            Self::BillingLimitTooLow => "Billing limit too low",
            other => other.plain(),
        }
    }

    fn plain(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Paused => "Paused",
            Self::BillingLimitReached | Self::BillingLimitTooLow => "Billing limits",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) id: String,
    pub(crate) project: u64,
    pub(crate) created_at: Timestamp,
    /// The secret `job_inputs` that were PATCHed in. They are never shown.
    pub(crate) secrets: Map<String, Value>,
    /// Until when a repair of its CDC keeps another one out.
    pub(crate) repairing_until: Option<Timestamp>,
    /// What changes only by a request or a test; its `schemas` are empty.
    pub(crate) spec: SourceSpec,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) id: String,
    pub(crate) rows: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Schema {
    pub(crate) id: String,
    /// The source's place in the list of sources.
    pub(crate) source: usize,
    pub(crate) created_at: Timestamp,
    pub(crate) should_sync: bool,
    pub(crate) status: Option<Status>,
    pub(crate) latest_error: Option<String>,
    pub(crate) last_synced_at: Option<Timestamp>,
    pub(crate) table: Option<Table>,
    /// Oldest first.
    pub(crate) jobs: Vec<Job>,
    pub(crate) workflow: Option<Workflow>,
    /// What the queue has of it.
    pub(crate) v3: Group,
    pub(crate) next_runs: VecDeque<RunPlan>,
    /// Whether PostHog has a schedule for it at all; a paused one is still one.
    pub(crate) has_schedule: bool,
    /// When the schedule fires next, if schedules are simulated.
    pub(crate) next_due: Option<Timestamp>,
    /// When a run is torn down because the schema was disabled.
    pub(crate) teardown_at: Option<Timestamp>,
    pub(crate) failed_in_a_row: u32,
    pub(crate) last_failed_at: Option<Timestamp>,
    /// The next run begins with wiping the table. The API never shows this.
    pub(crate) reset_pending: bool,
    /// How far the source has been read: the largest value of the incremental field, or the place in the database's log.
    /// The API never shows this.
    pub(crate) position: Option<u64>,
    /// When its `data` was said, from which its `at_ago` counts back.
    pub(crate) data_since: Timestamp,
    /// What changes only by a request or a test.
    pub(crate) spec: SchemaSpec,
}

impl Schema {
    pub(crate) fn is(&self, sync_type: &str) -> bool {
        self.spec.sync_type.as_deref() == Some(sync_type)
    }

    /// Whether its sync type goes by an incremental field at all.
    pub(crate) fn has_incremental_field(&self) -> bool {
        self.is("incremental") || self.is("append") || self.is("webhook")
    }

    /// Whether its runs continue where the last one ended.
    pub(crate) fn keeps_a_position(&self) -> bool {
        self.has_incremental_field() || self.is("cdc") || self.is("xmin")
    }

    /// Statuses of a schema with broken CDC are not written: markers absorb them.
    pub(crate) fn paint(&mut self, status: Status) {
        if !self.spec.cdc_broken {
            self.status = Some(status);
        }
    }
}

/// What Temporal has for a schema: it starts no second one beside it.
#[derive(Debug, Clone)]
pub(crate) enum Workflow {
    /// Started, its job not yet made.
    Starting {
        at: Timestamp,
        plan: RunPlan,
        trigger: Trigger,
    },
    /// Its job is the newest one.
    Running,
    /// Its job has ended, but the workflow runs until then, or forever.
    Lingering { until: Option<Timestamp> },
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) run_id: String,
    pub(crate) created_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) status: Status,
    pub(crate) latest_error: Option<String>,
    pub(crate) plan: RunPlan,
    /// From when on the plan's lengths count: its start, or that of the scenario.
    pub(crate) since: Timestamp,
    /// The rows it had then.
    pub(crate) rows_before: u64,
    /// The rows it had when it ended.
    pub(crate) rows_at_end: Option<u64>,
    pub(crate) last_log_before: Option<Timestamp>,
    /// Lines of a run of v3, and those that a test put there.
    pub(crate) lines: Vec<Line>,
    /// What PostHog's inside has of it, if it is a run of v3.
    pub(crate) v3: Option<Box<V3Run>>,
}

impl Job {
    pub(crate) fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    pub(crate) fn rows(&self, now: Timestamp) -> u64 {
        self.rows_at_end.unwrap_or_else(|| {
            self.rows_before
                + self
                    .plan
                    .behaviour
                    .rows_after(now.duration_since(self.since))
        })
    }

    pub(crate) fn end(&mut self, at: Timestamp, status: Status, error: Option<String>) {
        self.rows_at_end = Some(self.rows(at));
        self.status = status;
        self.finished_at = Some(at);
        self.latest_error = error;
    }
}
