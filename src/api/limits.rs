//! `spec.remediation.limits`: how much may be done at once and again.

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

/// How much the operator may do at once and again.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitsSpec {
    /// How many incidents may be in flight at a time, from 1 to 50; one counts until its new run has been seen. Default: 2.
    #[schemars(with = "i64", range(min = 1, max = 50))]
    pub max_concurrent: i64,
    /// How often one incident may be tried before a human is asked, from 1 to 10. Default: 3.
    #[schemars(with = "i64", range(min = 1, max = 10))]
    pub attempts_per_incident: i64,
    /// How many calls the operator may send in an hour for this policy, from 1 to 1000; the operator's own cap
    /// (--max-actions-per-hour) holds beside it. Default: 20.
    #[schemars(with = "i64", range(min = 1, max = 1000))]
    pub max_actions_per_hour: i64,
    /// How long to wait after a failure before the table is reloaded.
    pub backoff: BackoffSpec,
    /// When the operator stops itself, because so much fails at once that the cause is not in single tables.
    pub breaker: BreakerSpec,
}

/// How long to wait after a failure: `initial`, and with each attempt of an incident `factor` times longer, up to `max`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BackoffSpec {
    /// Before the first reload, counted from the end of the failed run, from 1s to 24h. Default: 10m.
    #[schemars(extend("x-kubernetes-validations" = between("initial", "1s", "24h", "10m")))]
    pub initial: DurationText,
    /// By how much longer with each attempt, from 1 to 10. Default: 2.
    #[schemars(with = "i64", range(min = 1, max = 10))]
    pub factor: i64,
    /// At most, from 1s to 168h. Default: 6h.
    #[schemars(extend("x-kubernetes-validations" = between("max", "1s", "168h", "6h")))]
    pub max: DurationText,
}

/// When the operator stops itself: many sources turned bad at once. Sources are counted, not tables, over the whole project.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BreakerSpec {
    /// How many sources at least, from 2 to 1000. Default: 3.
    #[schemars(with = "i64", range(min = 2, max = 1000))]
    pub min_sources: i64,
    /// Which share of the active sources at least, in percent from 1 to 100. Default: 50.
    #[schemars(with = "i64", range(min = 1, max = 100))]
    pub max_bad_sources_percent: i64,
    /// Within which time their runs failed, from 1m to 24h. Default: 10m.
    #[schemars(extend("x-kubernetes-validations" = between("within", "1m", "24h", "10m")))]
    pub within: DurationText,
    /// How long the operator then starts nothing, before it tries one table, from 1s to 168h. Default: 30m.
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

/// How much may be done at once and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many incidents at a time.
    pub max_concurrent: usize,
    /// How many tries of one incident.
    pub attempts_per_incident: i64,
    /// How many calls in an hour.
    pub max_actions_per_hour: usize,
    /// How long to wait after a failure.
    pub backoff: Backoff,
    /// When so much fails at once that nothing is started.
    pub breaker: Breaker,
}

/// How long to wait after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// At first.
    pub initial: SignedDuration,
    /// By how much longer each time.
    pub factor: i32,
    /// At most.
    pub max: SignedDuration,
}

/// When so much fails at once that nothing is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// How many sources at least.
    pub min_sources: usize,
    /// Which share of the active sources at least, in percent.
    pub max_bad_sources_percent: usize,
    /// Within which time.
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
