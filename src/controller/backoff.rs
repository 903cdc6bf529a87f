//! How long a broken watch waits before it tries again.

use std::time::Duration;

use kube::runtime::utils::Backoff;

const FIRST: Duration = Duration::from_millis(200);
const LAST: Duration = Duration::from_secs(2);

/// From 0.2 s, doubling, to 2 s. kube's default goes to 30 s and more: after an outage of half a minute the controller
/// would be deaf for another minute.
#[derive(Debug, Clone)]
pub struct WatchBackoff(Duration);

impl Default for WatchBackoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.0;
        self.0 = (now * 2).min(LAST);
        Some(now)
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.0 = FIRST;
    }
}
