//! Deadlines and counts around calls: no await without a deadline.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    api::host::Host,
    posthog::{
        ApiKey, Transport,
        transport::{Request, Response, TransportError},
    },
    report::{KubernetesError, Metrics},
};

/// Deadline of a call to the API server.
pub const KUBERNETES_DEADLINE: Duration = Duration::from_secs(10);

/// A transport that is counted and timed.
#[derive(Debug)]
pub struct Counted<T> {
    inner: T,
    metrics: Metrics,
}

impl<T> Counted<T> {
    /// Counts what goes through `inner`.
    pub fn new(inner: T, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { inner, metrics })
    }
}

impl<T: Transport> Transport for Counted<T> {
    async fn send(
        &self,
        host: &Host,
        key: &ApiKey,
        request: Request,
    ) -> Result<Response, TransportError> {
        let (call, began) = (request.call, Instant::now());
        let answer = self.inner.send(host, key, request).await;
        let outcome = match &answer {
            Ok(response) => match response.status {
                200..=299 => "2xx",
                300..=399 => "3xx",
                401 => "401",
                403 => "403",
                429 => "429",
                400..=499 => "4xx",
                _ => "5xx",
            },
            Err(TransportError::NotSent(_)) => "not_sent",
            Err(TransportError::NoAnswer(_)) => "no_answer",
            Err(TransportError::TooLarge) => "too_large",
        };
        self.metrics.posthog(call, outcome, began.elapsed());
        answer
    }
}

/// Makes a call to the API server within the deadline, counted and timed.
pub async fn kubernetes<A>(
    metrics: &Metrics,
    call: &'static str,
    name: &str,
    future: impl Future<Output = Result<A, kube::Error>>,
) -> Result<A, kube::Error> {
    let began = Instant::now();
    let answer = tokio::time::timeout(KUBERNETES_DEADLINE, future)
        .await
        .unwrap_or_else(|_| {
            let late = format!("{call} {name}: no answer from the API server");
            let late = std::io::Error::new(std::io::ErrorKind::TimedOut, late);
            Err(kube::Error::Service(Box::new(late)))
        });
    let outcome = match &answer {
        Ok(_) => "ok",
        Err(kube::Error::Api(status)) if status.code == 404 => "not_found",
        Err(kube::Error::Api(status)) if status.code == 409 => "conflict",
        Err(kube::Error::Api(status)) if status.code == 403 => "forbidden",
        Err(kube::Error::Api(_)) => "refused",
        Err(_) => "failed",
    };
    metrics.kubernetes(call, outcome, began.elapsed());
    answer
}

/// An error of the API server or the connection to it, in the terms of the port.
pub fn failed(call: &str, name: &str, error: &kube::Error) -> KubernetesError {
    KubernetesError::Failed {
        what: format!("{call} {name}"),
        reason: reason(error),
    }
}

/// What an error says, with its sources: kube's own line often says only that something failed.
#[must_use]
pub fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    crate::posthog::redact::text(&text, 400)
}
