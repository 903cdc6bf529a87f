//! Metrics. Labels are bounded: never the name of an object, except of tables that a policy exports. `docs/metrics.md` says of each what it means and what to do.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{
        EncodeLabelSet,
        text::{encode_eof, encode_registry},
    },
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use strum::VariantArray as _;

use super::gauges::{self, Gauges};
use crate::{
    api::{notification::Occasion, status::Fate},
    posthog::{Gates, write::Write},
};

/// Prefix of every name, except the metrics of the process.
const PREFIX: &str = "warehouse_sync";

/// Upper bounds of the buckets for request times, in seconds; the last is the longest deadline.
const BUCKETS: [f64; 8] = [0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 30.0, 130.0];

/// Upper bounds of the buckets for the times of reconciles, in seconds: one may read and send for minutes.
const RECONCILE_BUCKETS: [f64; 8] = [0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0];

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Which call.
    pub call: &'static str,
    /// From a closed list.
    pub outcome: &'static str,
}

/// Labels of a namespace that is to be watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListedLabels {
    /// As `--namespace` names it; not `namespace`, which Prometheus sets itself.
    listed: String,
}

/// The outcome as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// From a closed list.
    pub outcome: &'static str,
}

/// Labels of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NotificationLabels {
    /// What it was about, as `spec.notifications[].events` names it.
    pub r#type: &'static str,
    /// `delivered`, `retried` or `given_up`.
    pub outcome: &'static str,
}

/// Labels of a request's time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    call: &'static str,
}

type Times = Family<CallLabels, Histogram, fn() -> Histogram>;

/// How a reconcile can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ReconcileOutcome {
    /// It succeeded, and `PostHog` was polled.
    Ok,
    /// It succeeded, and the status says why `PostHog` could not be polled.
    PollFailed,
    /// Someone changed the object during the reconcile.
    Conflict,
    /// The object was deleted during the reconcile.
    Gone,
    /// Leadership was lost during the reconcile.
    NotLeading,
    /// A request to the API server failed.
    Failed,
    /// Spec or status have values that this version does not understand.
    NotUnderstood,
    /// The admission policies let another operator write its status.
    OtherWriter,
    /// It ended by a bug of the operator.
    Panicked,
}

impl ReconcileOutcome {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }
}

/// All metrics of the process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    posthog_requests: Family<RequestLabels, Counter>,
    posthog_seconds: Times,
    kubernetes_requests: Family<RequestLabels, Counter>,
    kubernetes_seconds: Times,
    reconciles: Family<OutcomeLabels, Counter>,
    reconcile_seconds: Histogram,
    sends: Family<RequestLabels, Counter>,
    namespace_missing: Family<ListedLabels, Gauge>,
    /// Failures of watches.
    pub watch_failures: Counter<u64, AtomicU64>,
    /// Status writes.
    pub status_writes: Counter<u64, AtomicU64>,
    /// Attempts to deliver notifications.
    pub notifications: Family<NotificationLabels, Counter>,
    /// 1 if this process leads.
    pub leader: Gauge,
    /// What is wrong now.
    pub gauges: Gauges,
    /// The gates of API keys, which know how much of their limits is used.
    pub gates: Gates,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Default for Metrics {
    /// Rare counters start at zero: an increase from nothing to one is not visible to `increase()`.
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            posthog_requests: Family::default(),
            posthog_seconds: Times::new_with_constructor(histogram),
            kubernetes_requests: Family::default(),
            kubernetes_seconds: Times::new_with_constructor(histogram),
            reconciles: Family::default(),
            reconcile_seconds: Histogram::new(RECONCILE_BUCKETS),
            sends: Family::default(),
            namespace_missing: Family::default(),
            watch_failures: Counter::default(),
            status_writes: Counter::default(),
            notifications: Family::default(),
            leader: Gauge::default(),
            gauges: Gauges::default(),
            gates: Gates::default(),
        };
        for &outcome in ReconcileOutcome::ALL {
            let _ = metrics.reconciles.get_or_create(&of_outcome(outcome));
        }
        for &call in Write::NAMES {
            for &fate in Fate::ALL {
                let _ = metrics.sends.get_or_create(&of_send(call, fate));
            }
        }
        for occasion in Occasion::ALL {
            for outcome in ["delivered", "retried", "given_up"] {
                let labels = NotificationLabels {
                    r#type: occasion.as_str(),
                    outcome,
                };
                let _ = metrics.notifications.get_or_create(&labels);
            }
        }
        metrics.registry = Arc::new(metrics.registered());
        metrics
    }
}

impl Metrics {
    fn registered(&self) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register(
            "build",
            "Version of the operator",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "leader",
            "1 if this process is the leader, 0 if it is a standby",
            self.leader.clone(),
        );
        registry.register(
            "reconciles",
            "Reconciles by outcome",
            self.reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Duration of reconciles",
            Unit::Seconds,
            self.reconcile_seconds.clone(),
        );
        registry.register(
            "sends",
            "Calls to PostHog (requests that change something), by call and outcome",
            self.sends.clone(),
        );
        registry.register(
            "notifications",
            "Attempts to deliver notifications, by type and outcome",
            self.notifications.clone(),
        );
        registry.register(
            "namespace_missing",
            "1 for each namespace of --namespace that does not exist",
            self.namespace_missing.clone(),
        );
        registry.register(
            "watch_failures",
            "Failures of watches, which are restarted",
            self.watch_failures.clone(),
        );
        registry.register("status_writes", "Status writes", self.status_writes.clone());
        registry.register(
            "posthog_requests",
            "Requests to PostHog by call and outcome",
            self.posthog_requests.clone(),
        );
        registry.register_with_unit(
            "posthog_request_duration",
            "Duration of requests to PostHog by call",
            Unit::Seconds,
            self.posthog_seconds.clone(),
        );
        registry.register(
            "kubernetes_requests",
            "Requests to the API server by call and outcome",
            self.kubernetes_requests.clone(),
        );
        registry.register_with_unit(
            "kubernetes_request_duration",
            "Duration of requests to the API server by call",
            Unit::Seconds,
            self.kubernetes_seconds.clone(),
        );
        registry
    }

    /// Counts and times a request to `PostHog`.
    pub fn posthog(&self, call: &'static str, outcome: &'static str, took: Duration) {
        self.posthog_requests
            .get_or_create(&RequestLabels { call, outcome })
            .inc();
        self.posthog_seconds
            .get_or_create(&CallLabels { call })
            .observe(took.as_secs_f64());
    }

    /// Counts and times a request to the API server.
    pub fn kubernetes(&self, call: &'static str, outcome: &'static str, took: Duration) {
        self.kubernetes_requests
            .get_or_create(&RequestLabels { call, outcome })
            .inc();
        self.kubernetes_seconds
            .get_or_create(&CallLabels { call })
            .observe(took.as_secs_f64());
    }

    /// Shows whether a namespace that is to be watched does not exist.
    pub fn namespace_missing(&self, namespace: &str, is_missing: bool) {
        let labels = ListedLabels {
            listed: namespace.to_owned(),
        };
        let gauge = self.namespace_missing.get_or_create(&labels);
        gauge.set(i64::from(is_missing));
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, outcome: ReconcileOutcome) {
        self.reconciles.get_or_create(&of_outcome(outcome)).inc();
    }

    /// Times a reconcile.
    pub fn reconcile_took(&self, took: Duration) {
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// Counts a call that changes something. If its outcome is not known, it counts as unknown.
    pub fn sent(&self, call: &'static str, fate: Fate) {
        let labels = of_send(call, fate);
        self.sends.get_or_create(&labels).inc();
    }

    /// Everything in the OpenMetrics text format, as it is at `now`.
    pub fn encode(&self, now: Timestamp) -> Result<String, std::fmt::Error> {
        let usage = self.gates.usage(now);
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &self.gauges.registry(PREFIX, &usage, now))?;
        encode_registry(&mut text, &gauges::process())?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

fn of_outcome(outcome: ReconcileOutcome) -> OutcomeLabels {
    OutcomeLabels {
        outcome: outcome.as_str(),
    }
}

fn of_send(call: &'static str, fate: Fate) -> RequestLabels {
    RequestLabels {
        call,
        outcome: fate.as_str(),
    }
}

#[cfg(test)]
mod tests;
