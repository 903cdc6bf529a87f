//! Metrics. Labels are bounded: never the name of an object.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use super::gauges::Gauges;

/// Upper bounds of the buckets for request times, in seconds; the last is the longest deadline.
const BUCKETS: [f64; 8] = [0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 30.0, 130.0];

/// Labels of a request to `PostHog`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Which call.
    pub call: &'static str,
    /// An HTTP status class, `not_sent` or `no_answer`.
    pub outcome: &'static str,
}

/// Labels of what has an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// From a closed list.
    pub outcome: &'static str,
}

/// Labels of a send.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SendLabels {
    /// `cancel` or `reload`.
    pub call: &'static str,
    /// What became of it.
    pub fate: &'static str,
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

/// All metrics of the process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Requests to `PostHog`.
    pub posthog_requests: Family<RequestLabels, Counter>,
    posthog_seconds: Times,
    /// Requests to the API server by the operator's own calls.
    pub kubernetes_requests: Family<RequestLabels, Counter>,
    kubernetes_seconds: Times,
    /// Reconciles.
    pub reconciles: Family<OutcomeLabels, Counter>,
    /// Statuses written.
    pub status_writes: Counter<u64, AtomicU64>,
    /// Calls that write, sent to `PostHog`.
    pub sends: Family<SendLabels, Counter>,
    /// Notifications, one for each try.
    pub notifications: Family<NotificationLabels, Counter>,
    /// 1 if this process leads.
    pub leader: Gauge,
    /// What is wrong now.
    pub gauges: Gauges,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("warehouse_sync");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the operator", version);
        let posthog_requests = Family::default();
        registry.register(
            "posthog_requests",
            "Requests to PostHog by call and outcome",
            posthog_requests.clone(),
        );
        let posthog_seconds = Times::new_with_constructor(histogram);
        registry.register(
            "posthog_request_seconds",
            "Time of requests to PostHog by call",
            posthog_seconds.clone(),
        );
        let kubernetes_requests = Family::default();
        registry.register(
            "kubernetes_requests",
            "Requests to the API server by call and outcome",
            kubernetes_requests.clone(),
        );
        let kubernetes_seconds = Times::new_with_constructor(histogram);
        registry.register(
            "kubernetes_request_seconds",
            "Time of requests to the API server by call",
            kubernetes_seconds.clone(),
        );
        let reconciles = Family::default();
        registry.register("reconciles", "Reconciles by outcome", reconciles.clone());
        let status_writes = Counter::default();
        registry.register("status_writes", "Statuses written", status_writes.clone());
        let leader = Gauge::default();
        registry.register(
            "leader",
            "1 if this process leads, 0 if it stands by",
            leader.clone(),
        );
        let sends = Family::default();
        registry.register(
            "sends",
            "Calls that write, sent to PostHog, by call and fate",
            sends.clone(),
        );
        let notifications = Family::default();
        registry.register(
            "notifications",
            "Notifications by type and by what came of each try",
            notifications.clone(),
        );
        let gauges = Gauges::registered(&mut registry);
        Self {
            registry: Arc::new(registry),
            posthog_requests,
            posthog_seconds,
            kubernetes_requests,
            kubernetes_seconds,
            reconciles,
            status_writes,
            sends,
            notifications,
            leader,
            gauges,
        }
    }
}

impl Metrics {
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

    /// Everything in the OpenMetrics text format.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_encoded_with_their_labels() {
        let metrics = Metrics::default();
        metrics.posthog("list sources", "2xx", Duration::from_millis(20));
        metrics.status_writes.inc();
        let text = metrics.encode().unwrap();
        assert!(
            text.contains(
                r#"warehouse_sync_posthog_requests_total{call="list sources",outcome="2xx"} 1"#
            ),
            "{text}"
        );
        assert!(
            text.contains("warehouse_sync_status_writes_total 1") && text.ends_with("# EOF\n"),
            "{text}"
        );
    }
}
