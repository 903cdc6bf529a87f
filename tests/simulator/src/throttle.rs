//! Rate limits: two sliding windows for each key.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::clock::plus;
use crate::scenario::RateLimits;

#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle {
    burst: BTreeMap<String, VecDeque<Timestamp>>,
    sustained: BTreeMap<String, VecDeque<Timestamp>>,
}

impl Throttle {
    /// Counts a request, or says for how many seconds there is no room for one. Each window counts by itself: a
    /// request that one refuses may count in the other.
    pub(crate) fn count(&mut self, token: &str, now: Timestamp, limits: RateLimits) -> Option<i64> {
        if !limits.enabled {
            return None;
        }
        let minute = SignedDuration::from_mins(1);
        let hour = SignedDuration::from_hours(1);
        let burst = take(
            self.burst.entry(token.to_owned()).or_default(),
            now,
            minute,
            limits.burst_per_minute,
        );
        let sustained = take(
            self.sustained.entry(token.to_owned()).or_default(),
            now,
            hour,
            limits.sustained_per_hour,
        );
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
