//! A transport that waits when `PostHog` asks it to. The operator does something else meanwhile and comes back; a command that a
//! person waits for has nothing else to do.

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

/// How long one command waits in all. A key's limit for a minute has passed by then; that for an hour may not have.
pub(super) const PATIENCE: SignedDuration = SignedDuration::from_mins(3);
/// Wait after a 429 that does not say how long.
const DEFAULT_WAIT: Duration = Duration::from_mins(1);
/// Shortest wait: `Retry-After: 0` must not make a loop without a pause.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Sends through `inner`, again after each wait that `PostHog` asks for. Only for what reads: a 429 has no effect, and a read
/// may be repeated.
#[derive(Debug)]
pub(super) struct Patient<T> {
    inner: T,
    progress: Progress,
    /// How much patience is left; none once a wait was refused.
    left: Arc<Mutex<Option<Duration>>>,
}

/// Tells, also after the transport was given away, whether a wait was refused.
#[derive(Debug, Clone)]
pub(super) struct Patience(Arc<Mutex<Option<Duration>>>);

impl<T> Patient<T> {
    pub(super) fn new(inner: T, progress: Progress) -> Self {
        Self {
            inner,
            progress,
            left: Arc::new(Mutex::new(Some(PATIENCE.unsigned_abs()))),
        }
    }

    pub(super) fn patience(&self) -> Patience {
        Patience(self.left.clone())
    }

    /// Takes `wait` off the patience; false if it is more than is left, and from then on.
    fn grants(&self, wait: Duration) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.and_then(|left| left.checked_sub(wait));
        left.is_some()
    }
}

impl Patience {
    /// True if `PostHog` asked for a longer wait than this command makes, so that what came after was not read.
    pub(super) fn has_ended(&self) -> bool {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.is_none()
    }
}

impl<T: Transport> Transport for Patient<T> {
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
            self.progress.says(&format!(
                "PostHog asks to wait {} seconds (429: the key's limit is used up)",
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
    fn patience_is_for_all_waits_together_and_ends_for_good() {
        let patient = Patient::new((), Progress::new());
        let patience = patient.patience();
        let most = PATIENCE.unsigned_abs();
        assert!(patient.grants(most / 2) && patient.grants(most / 2) && !patience.has_ended());
        assert!(!patient.grants(SHORTEST_WAIT) && patience.has_ended());
        assert!(
            !patient.grants(Duration::ZERO),
            "what came after was not read either"
        );
    }
}
