//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Short enough not to delay a test, long enough to leave the processor to the awaited process.
const POLL: Duration = Duration::from_millis(20);

/// Asks `condition` until it has an answer: `None` when there was none within `limit`.
pub(crate) fn wait_for<T, E>(
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = condition()? {
            return Ok(Some(answer));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}
