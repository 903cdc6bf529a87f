//! A plan as a scenario writes it: one behaviour by name, or the phases of a run of v3, beside what starts and cancels do.

use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::period;
use crate::run::{Behaviour, LOG_EVERY, OnCancel, RunPlan};
use crate::v3::V3Plan;

/// The pipelines of PostHog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Pipeline {
    /// One workflow does everything.
    #[default]
    V2,
    /// A producer, a queue and a loader.
    V3,
}

/// What any run has, in each pipeline.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Common {
    pipeline: Pipeline,
    #[serde(deserialize_with = "period::option::deserialize")]
    starts_after: Option<SignedDuration>,
    never_starts: bool,
    on_cancel: OnCancel,
    #[serde(deserialize_with = "period::option::deserialize")]
    cancel_takes: Option<SignedDuration>,
    #[serde(deserialize_with = "period::option::deserialize")]
    workflow_ends_after: Option<SignedDuration>,
    billable: Option<bool>,
    cdc_write_mode: Option<String>,
    destination_ids: Vec<String>,
    has_workflow_id: Option<bool>,
    outside_schedule: bool,
}

const COMMON: [&str; 11] = [
    "pipeline",
    "starts_after",
    "never_starts",
    "on_cancel",
    "cancel_takes",
    "workflow_ends_after",
    "billable",
    "cdc_write_mode",
    "destination_ids",
    "has_workflow_id",
    "outside_schedule",
];

/// Whether the fields of a run are those of v3.
pub(crate) fn is_v3(fields: &Map<String, Value>) -> bool {
    fields.get("pipeline").and_then(Value::as_str) == Some("v3")
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

impl TryFrom<Map<String, Value>> for RunPlan {
    type Error = String;

    fn try_from(fields: Map<String, Value>) -> Result<Self, String> {
        let common = |(name, _): &(String, Value)| COMMON.contains(&name.as_str());
        let (common, behaviour): (Map<_, _>, Map<_, _>) = fields.into_iter().partition(common);
        let Common {
            pipeline,
            starts_after,
            never_starts,
            on_cancel,
            cancel_takes,
            workflow_ends_after,
            billable,
            cdc_write_mode,
            destination_ids,
            has_workflow_id,
            outside_schedule,
        } = read(common)?;
        let mut plan = match pipeline {
            Pipeline::V2 => read::<V2Fields>(behaviour)?.plan()?,
            Pipeline::V3 => RunPlan::from(read::<V3Plan>(behaviour)?),
        };
        plan.starts_after = starts_after.unwrap_or(plan.starts_after);
        plan.never_starts = never_starts;
        plan.on_cancel = on_cancel;
        plan.cancel_takes = cancel_takes.unwrap_or(plan.cancel_takes);
        plan.workflow_ends_after = workflow_ends_after;
        plan.billable = billable.unwrap_or(true);
        plan.cdc_write_mode = cdc_write_mode;
        plan.destination_ids = destination_ids;
        plan.has_workflow_id = has_workflow_id.unwrap_or(true);
        plan.outside_schedule = outside_schedule;
        Ok(plan)
    }
}

/// A behaviour by its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct V2Fields {
    hangs: Option<Hangs>,
    progresses: Option<Progresses>,
    logs_only: Option<LogsOnly>,
    completes: Option<Completes>,
    fails: Option<Fails>,
    billing_limit: Option<BillingLimit>,
}

impl V2Fields {
    fn plan(self) -> Result<RunPlan, String> {
        let Self {
            hangs,
            progresses,
            logs_only,
            completes,
            fails,
            billing_limit,
        } = self;
        let mut named = [
            hangs.map(Behaviour::from),
            progresses.map(Behaviour::from),
            logs_only.map(Behaviour::from),
            completes.map(Behaviour::from),
            fails.map(Behaviour::from),
            billing_limit.map(Behaviour::from),
        ]
        .into_iter()
        .flatten();
        match (named.next(), named.next()) {
            (Some(behaviour), None) => Ok(behaviour.into()),
            (None, None) => Ok(RunPlan::default()),
            _ => Err(
                "a run has one behaviour: hangs, progresses, logs_only, completes, fails or \
                      billing_limit"
                    .to_owned(),
            ),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Hangs {
    #[serde(deserialize_with = "period::option::deserialize")]
    after: Option<SignedDuration>,
    rows: u64,
    #[serde(deserialize_with = "period::option::deserialize")]
    swept_after: Option<SignedDuration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Progresses {
    rows_per_second: u64,
    #[serde(deserialize_with = "period::option::deserialize")]
    log_every: Option<SignedDuration>,
    #[serde(deserialize_with = "period::option::deserialize")]
    finishes_after: Option<SignedDuration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LogsOnly {
    #[serde(deserialize_with = "period::option::deserialize")]
    log_every: Option<SignedDuration>,
    #[serde(deserialize_with = "period::option::deserialize")]
    finishes_after: Option<SignedDuration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Completes {
    #[serde(deserialize_with = "period::deserialize")]
    after: SignedDuration,
    #[serde(default)]
    rows: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fails {
    #[serde(deserialize_with = "period::deserialize")]
    after: SignedDuration,
    #[serde(default)]
    rows: u64,
    error: String,
    #[serde(default)]
    friendly: Option<String>,
    #[serde(default)]
    non_retryable: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BillingLimit {
    #[serde(deserialize_with = "period::deserialize")]
    after: SignedDuration,
    #[serde(default)]
    too_low: bool,
}

impl From<Hangs> for Behaviour {
    fn from(hangs: Hangs) -> Self {
        Self::Hangs {
            after: hangs.after.unwrap_or_default(),
            rows: hangs.rows,
            swept_after: hangs.swept_after,
        }
    }
}

impl From<Progresses> for Behaviour {
    fn from(progresses: Progresses) -> Self {
        Self::Progresses {
            rows_per_second: progresses.rows_per_second,
            log_every: progresses.log_every.unwrap_or(LOG_EVERY),
            finishes_after: progresses.finishes_after,
        }
    }
}

impl From<LogsOnly> for Behaviour {
    fn from(logs_only: LogsOnly) -> Self {
        Self::LogsOnly {
            log_every: logs_only.log_every.unwrap_or(LOG_EVERY),
            finishes_after: logs_only.finishes_after,
        }
    }
}

impl From<Completes> for Behaviour {
    fn from(completes: Completes) -> Self {
        Self::Completes {
            after: completes.after,
            rows: completes.rows,
        }
    }
}

impl From<Fails> for Behaviour {
    fn from(fails: Fails) -> Self {
        Self::Fails {
            after: fails.after,
            rows: fails.rows,
            error: fails.error,
            friendly: fails.friendly,
            non_retryable: fails.non_retryable,
        }
    }
}

impl From<BillingLimit> for Behaviour {
    fn from(limit: BillingLimit) -> Self {
        Self::BillingLimit {
            after: limit.after,
            too_low: limit.too_low,
        }
    }
}
