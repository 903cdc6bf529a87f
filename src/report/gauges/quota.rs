//! How much of the limits of API keys is used. Over keys and hosts only the extremes count: every key has the same share, and
//! the one that has least left is the one that is slowed.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::posthog::quota::Usage;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    limit: &'static str,
    window: &'static str,
}

/// The most that is used and the least that is left of any key.
pub fn register(usage: &[Usage], registry: &mut Registry) {
    let used: Family<Labels, Gauge> = Family::default();
    let remaining: Family<Labels, Gauge> = Family::default();
    for one in usage {
        let labels = Labels {
            limit: one.limit,
            window: one.window,
        };
        let most = used.get(&labels).map_or(0, |gauge| gauge.get());
        used.get_or_create(&labels).set(most.max(count(one.used)));
        let least = remaining.get(&labels).map_or(i64::MAX, |gauge| gauge.get());
        remaining
            .get_or_create(&labels)
            .set(least.min(count(one.remaining)));
    }
    registry.register(
        "posthog_quota_used",
        "Requests in the rate-limit window, of the API key that has used most of the operator's share",
        used,
    );
    registry.register(
        "posthog_quota_remaining",
        "Requests left in the rate-limit window within the operator's share, of the API key with the fewest left",
        remaining,
    );
}

fn count(calls: usize) -> i64 {
    i64::try_from(calls).unwrap_or(i64::MAX)
}
