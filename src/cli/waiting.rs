//! A transport that waits when `PostHog` asks for it. The operator would requeue; a command can only wait.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;

use super::progress::Progress;
use crate::{
    api::host::Host,
    posthog::{
        ApiKey, Transport,
        transport::{Request, Response, TransportError},
    },
};

/// How long one command waits in total. A key's limit per minute has reset by then, its limit per hour perhaps not.
pub(super) const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(3);
/// Wait after a 429 that does not say how long.
const DEFAULT_WAIT: Duration = Duration::from_mins(1);
/// Shortest wait: `Retry-After: 0` must not make a loop without a pause.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Sends through `inner`, and again after each wait that `PostHog` asks for. Only for reads: a 429 has no effect, and a
/// read may be repeated.
#[derive(Debug)]
pub(super) struct WaitingTransport<T> {
    inner: T,
    progress: Progress,
    /// Time left for waits; none once a wait was refused.
    left: Arc<Mutex<Option<Duration>>>,
}

/// Reports whether a wait was refused, also after the transport has been moved.
#[derive(Debug, Clone)]
pub(super) struct WaitBudget(Arc<Mutex<Option<Duration>>>);

impl<T> WaitingTransport<T> {
    pub(super) fn new(inner: T, progress: Progress) -> Self {
        Self {
            inner,
            progress,
            left: Arc::new(Mutex::new(Some(LONGEST_WAIT.unsigned_abs()))),
        }
    }

    pub(super) fn wait_budget(&self) -> WaitBudget {
        WaitBudget(self.left.clone())
    }

    /// Subtracts `wait` from the time left; false if it is too long, and from then on.
    fn grants(&self, wait: Duration) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.and_then(|left| left.checked_sub(wait));
        left.is_some()
    }
}

impl WaitBudget {
    /// True if `PostHog` asked for a longer wait than this command allows, so that later reads were skipped.
    pub(super) fn has_ended(&self) -> bool {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.is_none()
    }
}

impl<T: Transport> Transport for WaitingTransport<T> {
    async fn send(
        &self,
        host: &Host,
        key: &ApiKey,
        request: Request,
    ) -> Result<Response, TransportError> {
        loop {
            let answer = self.inner.send(host, key, request.clone()).await?;
            let wait = answer.retry_after.unwrap_or(DEFAULT_WAIT);
            let wait = wait.max(SHORTEST_WAIT);
            if answer.status != 429 || !self.grants(wait) {
                return Ok(answer);
            }
            self.progress.show(&format!(
                "rate limited by PostHog (429): waiting {} seconds",
                wait.as_secs()
            ));
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_waits_share_one_limit_and_none_follows_a_refused_one() {
        let transport = WaitingTransport::new((), Progress::new());
        let wait_budget = transport.wait_budget();
        let most = LONGEST_WAIT.unsigned_abs();
        assert!(
            transport.grants(most / 2) && transport.grants(most / 2) && !wait_budget.has_ended()
        );
        assert!(!transport.grants(SHORTEST_WAIT) && wait_budget.has_ended());
        assert!(
            !transport.grants(Duration::ZERO),
            "later waits are refused too"
        );
    }
}
