//! Shutdown: one signal that many wait for, and how long running reconciles may take to end.

use std::time::Duration;

use tokio::sync::watch as signal;

/// How long a running reconcile may take to end after a signal: a call to `PostHog` may last 130 s.
const GRACE: Duration = Duration::from_secs(140);

/// Turns one signal into one that many can wait for.
pub(super) fn fan_out(stop: impl Future<Output = ()> + Send + 'static) -> signal::Receiver<bool> {
    let (sender, receiver) = signal::channel(false);
    tokio::spawn(async move {
        stop.await;
        tracing::info!("stopping: waiting for running reconciles to end");
        // Kept alive until the process ends: a dropped sender would look like a signal.
        let _ = sender.send(true);
        sender.closed().await;
    });
    receiver
}

pub(super) async fn stopped_now(mut stopped: signal::Receiver<bool>) {
    // An error means that the sender was dropped, with the runtime.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// After a signal: the grace period for running reconciles.
pub(super) async fn past_grace(stopped: signal::Receiver<bool>) {
    stopped_now(stopped).await;
    tokio::time::sleep(GRACE).await;
    tracing::warn!(
        "a reconcile did not end within {} s; stopping anyway",
        GRACE.as_secs()
    );
}
