//! `spec.remediation.limits`: how much may be done at a time and per incident.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cel::between,
    duration::{DurationError, DurationText},
};

/// How much the operator may do at a time and per incident.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitsSpec {
    /// How many incidents may be in progress at a time, from 1 to 50. An incident is in progress until its new run has
    /// appeared. Default: 2.
    #[schemars(with = "i64", range(min = 1, max = 50))]
    pub max_concurrent: i64,
    /// How many attempts an incident gets before it is escalated to a person, from 1 to 10. Default: 3.
    #[schemars(with = "i64", range(min = 1, max = 10))]
    pub attempts_per_incident: i64,
    /// How many calls the operator may send in an hour for this policy, from 1 to 1000. The limit of the whole operator
    /// (--max-actions-per-hour) also applies. Default: 20.
    #[schemars(with = "i64", range(min = 1, max = 1000))]
    pub max_actions_per_hour: i64,
    /// How long to wait after a failure before the table is reloaded.
    pub backoff: BackoffSpec,
    /// The circuit breaker: when the operator starts nothing, because many sources fail at once and the cause is not in
    /// single tables.
    pub breaker: BreakerSpec,
}

/// How long to wait after a failure: first `initial`, then `factor` times longer with each attempt of an incident, up
/// to `max`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BackoffSpec {
    /// Wait before the first reload, counted from the end of the failed run, from 1s to 24h. Default: 10m.
    #[schemars(extend("x-kubernetes-validations" = between("initial", "1s", "24h", "10m")))]
    pub initial: DurationText,
    /// Factor by which the wait grows with each attempt, from 1 to 10. Default: 2.
    #[schemars(with = "i64", range(min = 1, max = 10))]
    pub factor: i64,
    /// Longest wait, from 1s to 168h. Default: 6h.
    #[schemars(extend("x-kubernetes-validations" = between("max", "1s", "168h", "6h")))]
    pub max: DurationText,
}

/// When the circuit breaker opens: many sources failed at once. It counts sources, not tables, in the whole project.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BreakerSpec {
    /// The least number of failing sources, from 2 to 1000. Default: 3.
    #[schemars(with = "i64", range(min = 2, max = 1000))]
    pub min_sources: i64,
    /// The least share of the active sources that must fail, in percent from 1 to 100. Default: 50.
    #[schemars(with = "i64", range(min = 1, max = 100))]
    pub max_bad_sources_percent: i64,
    /// The time within which their runs failed, from 1m to 24h. Default: 10m.
    #[schemars(extend("x-kubernetes-validations" = between("within", "1m", "24h", "10m")))]
    pub within: DurationText,
    /// How long the operator then starts nothing before it tries one table, from 1s to 168h. Default: 30m.
    #[schemars(extend("x-kubernetes-validations" = between("cooldown", "1s", "168h", "30m")))]
    pub cooldown: DurationText,
}

impl Default for LimitsSpec {
    fn default() -> Self {
        Self {
            max_concurrent: 2,
            attempts_per_incident: 3,
            max_actions_per_hour: 20,
            backoff: BackoffSpec::default(),
            breaker: BreakerSpec::default(),
        }
    }
}

impl Default for BackoffSpec {
    fn default() -> Self {
        Self {
            initial: "10m".into(),
            factor: 2,
            max: "6h".into(),
        }
    }
}

impl Default for BreakerSpec {
    fn default() -> Self {
        Self {
            min_sources: 3,
            max_bad_sources_percent: 50,
            within: "10m".into(),
            cooldown: "30m".into(),
        }
    }
}

/// How much may be done at a time and per incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many incidents may be in progress at a time.
    pub max_concurrent: usize,
    /// How many attempts an incident gets.
    pub attempts_per_incident: i64,
    /// How many calls in an hour.
    pub max_actions_per_hour: usize,
    /// How long to wait after a failure.
    pub backoff: Backoff,
    /// When the circuit breaker opens.
    pub breaker: Breaker,
}

/// How long to wait after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub initial: SignedDuration,
    /// Factor by which it grows with each attempt.
    pub factor: i32,
    /// The longest wait.
    pub max: SignedDuration,
}

/// When the circuit breaker opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// The least number of failing sources.
    pub min_sources: usize,
    /// The least share of the active sources, in percent.
    pub max_bad_sources_percent: usize,
    /// The time within which their runs failed.
    pub within: SignedDuration,
    /// How long nothing is started.
    pub cooldown: SignedDuration,
}

impl Limits {
    pub(super) fn new(limits: &LimitsSpec) -> Result<Self, DurationError> {
        let LimitsSpec {
            max_concurrent,
            attempts_per_incident,
            max_actions_per_hour,
            backoff,
            breaker,
        } = limits;
        let count = |value: i64| usize::try_from(value).unwrap_or(0);
        Ok(Self {
            max_concurrent: count(*max_concurrent),
            attempts_per_incident: *attempts_per_incident,
            max_actions_per_hour: count(*max_actions_per_hour),
            backoff: Backoff {
                initial: backoff.initial.read("remediation.limits.backoff.initial")?,
                factor: i32::try_from(backoff.factor).unwrap_or(10).clamp(1, 10),
                max: backoff.max.read("remediation.limits.backoff.max")?,
            },
            breaker: Breaker {
                min_sources: count(breaker.min_sources).max(2),
                max_bad_sources_percent: count(breaker.max_bad_sources_percent).max(1),
                within: breaker.within.read("remediation.limits.breaker.within")?,
                cooldown: breaker
                    .cooldown
                    .read("remediation.limits.breaker.cooldown")?,
            },
        })
    }
}
