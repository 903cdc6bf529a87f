//! `spec.health`: the expected health, as a user writes it and as the rest of the operator reads it.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::SignedDuration;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cel::{self, Floor, between, up_to},
    data_check::DataCheckSpec,
    duration::{DurationError, DurationText},
    invalid::InvalidPolicy,
};

const AFTER: Floor = Floor {
    field: "after",
    hours: 1,
    why: "healthy runs can take that long",
};

/// Why no silence may be judged before that.
const CLEANUP: &str = "PostHog itself ends runs that look abandoned for 6h, and the operator must not act before that";

const NO_PROGRESS_FOR: Floor = Floor {
    field: "noProgressFor",
    hours: 6,
    why: CLEANUP,
};

const LOADING_SILENT_FOR: Floor = Floor {
    field: "loadingSilentFor",
    hours: 6,
    why: CLEANUP,
};

/// The value that a floor applies to.
type Of = fn(&Health) -> SignedDuration;

/// Fields with a minimum. Below it, healthy runs would not be safe.
const FLOORS: [(Floor, Of); 3] = [
    (AFTER, |health| health.stuck_after),
    (NO_PROGRESS_FOR, |health| health.no_progress_for),
    (LOADING_SILENT_FOR, |health| health.loading_silent_for),
];

/// The rules of the CRD that enforce these minimums, in `spec.health` and in `spec.overrides`.
pub(super) fn floors() -> Vec<Rule> {
    cel::floors(&FLOORS.map(|(floor, _)| floor))
}

/// The expected health.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthSpec {
    /// When a running sync is stuck.
    pub stuck: Stuck,
    /// When a failed sync is reported.
    pub failing: Failing,
    /// When a table is stale: no run of it has completed for too long.
    pub freshness: Freshness,
    /// How often the webhooks of sources are checked.
    pub webhooks: Webhooks,
    /// How often change data capture of sources is checked, and from which lag a Warning is reported.
    pub cdc: Cdc,
    /// Checks of the data itself, each on one table. They run queries in PostHog, after a new completed sync and at most
    /// hourly, and need an API key with the scope `query:read`. Empty (default): none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub data_checks: Vec<DataCheckSpec>,
    /// How long a table must stay healthy before its incident is closed, from 0s to 24h. Default: 10m.
    #[schemars(extend("x-kubernetes-validations" = between("healthyFor", "0s", "24h", "10m")))]
    pub healthy_for: DurationText,
}

/// When a running sync is stuck.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Stuck {
    /// A run younger than this is never stuck. From 1h (shorter only for a host on 127.0.0.1) to 720h. Default: 6h.
    #[schemars(extend("x-kubernetes-validations" = up_to(&AFTER, "720h", "6h")))]
    pub after: DurationText,
    /// How long a run that reads from the source may be silent, with no new rows and no log line, before it is dead.
    /// From 6h (shorter only for a host on 127.0.0.1) to 720h. Default: 12h. PostHog itself ends runs that it finds abandoned for 6h.
    #[schemars(extend("x-kubernetes-validations" = up_to(&NO_PROGRESS_FOR, "720h", "12h")))]
    pub no_progress_for: DurationText,
    /// How long a run that waits for PostHog's loader, is being loaded, or is in an unknown phase may be silent before
    /// its cancel is proposed. A healthy run can be silent for hours in these phases, so it is never cancelled without
    /// approval. From 6h (shorter only for a host on 127.0.0.1) to 720h. Default: 24h.
    #[schemars(extend("x-kubernetes-validations" = up_to(&LOADING_SILENT_FOR, "720h", "24h")))]
    pub loading_silent_for: DurationText,
}

/// When a failed sync is reported.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Failing {
    /// How long ago the newest run must have failed before it is reported, from 0s to 24h. Default: 5m.
    #[serde(rename = "for")]
    #[schemars(extend("x-kubernetes-validations" = between("for", "0s", "24h", "5m")))]
    pub for_: DurationText,
}

/// When a table is stale, whatever its status: no run of it has completed for too long. Its schedule may have stopped
/// without an error. A run that finds no new rows is a completed run.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [Rule::new("self.errorAfterIntervals >= self.warnAfterIntervals")
    .message("errorAfterIntervals must be at least warnAfterIntervals")]))]
pub struct Freshness {
    /// Report a Warning when no run has completed for this many of the table's own sync intervals, from 2 to 1000.
    /// Default: 2.
    #[schemars(with = "i64", range(min = 2, max = 1000))]
    pub warn_after_intervals: i64,
    /// Report an Error when no run has completed for this many of the table's own sync intervals, from 2 to 1000.
    /// Default: 4.
    #[schemars(with = "i64", range(min = 2, max = 1000))]
    pub error_after_intervals: i64,
    /// Report an Error when no run has completed for this long, regardless of the table's sync interval, from 1m to
    /// 8760h. Absent (default): only the intervals are checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = between("maxAge", "1m", "8760h", "26h")))]
    pub max_age: Option<DurationText>,
    /// Whether the time of each table's last completed run is exported as the metric
    /// warehouse_sync_table_last_success_timestamp_seconds, with the names of source and table as labels. At most 1,000
    /// tables of a policy: if more are selected, none is exported, and the condition Ready says what to do. Default:
    /// false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub export: bool,
}

/// How often webhooks are checked.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhooks {
    /// How often the state of a source's webhook is read from PostHog, from 5m to 24h. Only for sources with a table
    /// that is synced by webhook. Default: 1h.
    #[schemars(extend("x-kubernetes-validations" = between("checkEvery", "5m", "24h", "1h")))]
    pub check_every: DurationText,
}

/// How change data capture is checked.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Cdc {
    /// How often the state of a source's change data capture is read from PostHog, from 5m to 24h. Only for sources
    /// with a table that is synced by CDC. Default: 1h.
    #[schemars(extend("x-kubernetes-validations" = between("checkEvery", "5m", "24h", "1h")))]
    pub check_every: DurationText,
    /// Report a Warning when the lag reaches this percentage of the source's lag_critical_threshold_mb, the lag at which
    /// PostHog drops its replication slot. From 1 to 100. Default: 50.
    #[schemars(with = "i64", range(min = 1, max = 100))]
    pub lag_warn_percent: i64,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            stuck: Stuck::default(),
            failing: Failing::default(),
            freshness: Freshness::default(),
            webhooks: Webhooks::default(),
            cdc: Cdc::default(),
            data_checks: Vec::new(),
            healthy_for: "10m".into(),
        }
    }
}

impl Default for Stuck {
    fn default() -> Self {
        Self {
            after: "6h".into(),
            no_progress_for: "12h".into(),
            loading_silent_for: "24h".into(),
        }
    }
}

impl Default for Failing {
    fn default() -> Self {
        Self { for_: "5m".into() }
    }
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            warn_after_intervals: 2,
            error_after_intervals: 4,
            max_age: None,
            export: false,
        }
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            check_every: "1h".into(),
        }
    }
}

impl Default for Cdc {
    fn default() -> Self {
        Self {
            check_every: "1h".into(),
            lag_warn_percent: 50,
        }
    }
}

/// The expected health of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// When a run is stuck.
    pub stuck_after: SignedDuration,
    /// How long a run that extracts may be silent.
    pub no_progress_for: SignedDuration,
    /// How long a run in any other phase may be silent.
    pub loading_silent_for: SignedDuration,
    /// How long a failure must last.
    pub failing_for: SignedDuration,
    /// After how many of its own intervals without a completed run a table is stale: a Warning, and an Error.
    pub stale_after: (i32, i32),
    /// After how long without a completed run a table is stale, regardless of its interval.
    pub max_age: Option<SignedDuration>,
    /// Whether the time of its last completed run is exported as a metric.
    pub export: bool,
}

impl Health {
    /// Reads these sections, which are below `field` of the spec.
    pub(super) fn new(
        field: &str,
        stuck: &Stuck,
        failing: &Failing,
        freshness: &Freshness,
    ) -> Result<Self, DurationError> {
        let Stuck {
            after,
            no_progress_for,
            loading_silent_for,
        } = stuck;
        let Failing { for_ } = failing;
        let Freshness {
            warn_after_intervals,
            error_after_intervals,
            max_age,
            export,
        } = freshness;
        let read = |text: &DurationText, name: &str| text.read(&format!("{field}.{name}"));
        Ok(Self {
            stuck_after: read(after, "stuck.after")?,
            no_progress_for: read(no_progress_for, "stuck.noProgressFor")?,
            loading_silent_for: read(loading_silent_for, "stuck.loadingSilentFor")?,
            failing_for: read(for_, "failing.for")?,
            stale_after: (
                intervals(*warn_after_intervals),
                intervals(*error_after_intervals),
            ),
            max_age: max_age
                .as_ref()
                .map(|text| read(text, "freshness.maxAge"))
                .transpose()?,
            export: *export,
        })
    }

    /// Refuses values below a minimum. The CRD does this too, but an object may be older than its rules, and the safety
    /// of a healthy run must not depend on them.
    pub(super) fn check_floors(&self) -> Result<(), InvalidPolicy> {
        let below = FLOORS
            .iter()
            .find(|(floor, of)| of(self) < SignedDuration::from_hours(floor.hours));
        below.map_or(Ok(()), |(Floor { field, hours, .. }, _)| {
            Err(InvalidPolicy::TooShort {
                field,
                hours: *hours,
            })
        })
    }
}

/// A number of intervals, clamped to the CRD's bounds.
fn intervals(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX).clamp(2, 1000)
}
