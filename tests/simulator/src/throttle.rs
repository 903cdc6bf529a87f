//! Rate limits: two sliding windows for each key.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::clock::plus;
use crate::route::Route;
use crate::scenario::RateLimits;

#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle {
    burst: BTreeMap<String, VecDeque<Timestamp>>,
    sustained: BTreeMap<String, VecDeque<Timestamp>>,
}

/// What a request counts in: its key's windows, of which queries have some of their own.
pub(crate) struct Windows {
    name: String,
    enabled: bool,
    in_minute: u32,
    in_hour: u32,
}

impl Windows {
    pub(crate) fn of(route: &Route, token: &str, limits: RateLimits) -> Self {
        let enabled = limits.enabled;
        if *route == Route::Query {
            return Self {
                name: format!("{token} query"),
                enabled,
                in_minute: limits.queries_per_minute,
                in_hour: limits.queries_per_hour,
            };
        }
        Self {
            name: token.to_owned(),
            enabled,
            in_minute: limits.burst_per_minute,
            in_hour: limits.sustained_per_hour,
        }
    }
}

impl Throttle {
    /// Counts a request, or says for how many seconds there is no room for one. Each window counts by itself: a
    /// request that one refuses may count in the other.
    pub(crate) fn count(&mut self, windows: &Windows, now: Timestamp) -> Option<i64> {
        if !windows.enabled {
            return None;
        }
        let minute = SignedDuration::from_mins(1);
        let hour = SignedDuration::from_hours(1);
        let burst = self.burst.entry(windows.name.clone()).or_default();
        let burst = take(burst, now, minute, windows.in_minute);
        let sustained = self.sustained.entry(windows.name.clone()).or_default();
        let sustained = take(sustained, now, hour, windows.in_hour);
        burst.max(sustained)
    }
}

fn take(
    seen: &mut VecDeque<Timestamp>,
    now: Timestamp,
    window: SignedDuration,
    most: u32,
) -> Option<i64> {
    while seen
        .front()
        .is_some_and(|first| plus(*first, window) <= now)
    {
        seen.pop_front();
    }
    if seen.len() < usize::try_from(most).unwrap_or(usize::MAX) {
        seen.push_back(now);
        return None;
    }
    let free_at = seen.front().map_or(now, |first| plus(*first, window));
    let wait = free_at.duration_since(now);
    Some(wait.as_secs() + i64::from(wait.subsec_nanos() > 0))
}
