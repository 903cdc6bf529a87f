//! Deadlines and counts around calls: no await without a deadline.

use std::{
    error::Error,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use kube::core::Status;

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
        let until = request.until;
        let exchange = self.inner.send(host, key, request);
        let answer = match until {
            Some(until) => before(until, Instant::now, exchange).await,
            None => exchange.await,
        };
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

/// Continues an exchange only until then, connecting included. The clock is read before each step, because a timer of a process
/// that was frozen may fire after the connection has continued.
async fn before(
    until: Instant,
    clock: impl Fn() -> Instant,
    exchange: impl Future<Output = Result<Response, TransportError>>,
) -> Result<Response, TransportError> {
    let (mut exchange, mut has_started) = (pin!(exchange), false);
    let mut ends = pin!(tokio::time::sleep_until(until.into()));
    poll_fn(|context| {
        if clock() >= until || ends.as_mut().poll(context).is_ready() {
            let why = "the leader's claim has expired".to_owned();
            return Poll::Ready(Err(if has_started {
                TransportError::NoAnswer(why)
            } else {
                TransportError::NotSent(why)
            }));
        }
        has_started = true;
        exchange.as_mut().poll(context)
    })
    .await
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
pub fn reason(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    if let Some(status) = refusal(error) {
        // kube's line ends with the whole answer as Rust prints it, and the sources repeat it.
        text = text.replace(&format!("ApiError: {status} ({status:?})"), &said(status));
        text = text.replace(&status.to_string(), &said(status));
        return crate::posthog::redact::text(&text, 400);
    }
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    // As kube and hyper name it.
    let text = text.replace(
        "ServiceError: client error (Connect)",
        "cannot connect to the API server",
    );
    crate::posthog::redact::text(&text, 400)
}

/// The answer of the API server that an error wraps.
fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Status> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(kube::Error::Api(status)) = error.downcast_ref() {
            return Some(status);
        }
        // What a watch reports in the middle.
        if let Some(status) = error.downcast_ref::<Box<Status>>() {
            return Some(status);
        }
        next = error.source();
    }
    None
}

/// True of a watch that the API server ends because it has forgotten the version at which the watch was. It does this at any time; the
/// watch then begins with a new list.
pub fn has_expired(error: &(dyn Error + 'static)) -> bool {
    refusal(error).is_some_and(|status| status.code == 410)
}

/// The API server's own sentence, or else its code.
pub fn said(status: &Status) -> String {
    if status.message.is_empty() {
        format!("the API server answered {} {}", status.code, status.reason)
    } else {
        status.message.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::runtime::watcher;

    use super::*;

    #[test]
    fn an_answer_of_the_api_server_is_not_shown_as_rust_prints_it() {
        let status = |message: &str| {
            Box::new(Status {
                code: 403,
                message: message.into(),
                reason: "Forbidden".into(),
                ..Status::default()
            })
        };
        let api = |message| kube::Error::Api(status(message));
        let code = "the API server answered 403 Forbidden";
        assert_eq!(reason(&api("no list")), "no list");
        assert_eq!(reason(&api("")), code);
        let list = watcher::Error::InitialListFailed(api("no list"));
        assert_eq!(
            reason(&list),
            "failed to perform initial object list: no list"
        );
        let broke = watcher::Error::WatchError(status("gone"));
        assert_eq!(
            reason(&broke),
            "error returned by apiserver during watch: gone"
        );
    }

    #[test]
    fn a_failed_connection_is_named_in_plain_words() {
        let refused = std::io::Error::other("client error (Connect)");
        let error = watcher::Error::InitialListFailed(kube::Error::Service(Box::new(refused)));
        assert_eq!(
            reason(&error),
            "failed to perform initial object list: cannot connect to the API server"
        );
    }

    #[test]
    fn a_watch_that_the_api_server_has_forgotten_is_no_failure() {
        let ended = |code| {
            let status = Status {
                code,
                ..Status::default()
            };
            has_expired(&watcher::Error::WatchError(Box::new(status)))
        };
        assert!(ended(410) && !ended(403) && !ended(500));
    }

    fn answered() -> Response {
        Response {
            status: 200,
            content_type: String::new(),
            retry_after: None,
            date: None,
            body: Vec::new(),
        }
    }

    /// An exchange that connects at its first step and sends at its second; how many steps it has made.
    async fn exchange(steps: &Cell<u32>) -> Result<Response, TransportError> {
        poll_fn(|context| {
            steps.set(steps.get() + 1);
            if steps.get() < 2 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Ok(answered()))
        })
        .await
    }

    #[tokio::test]
    async fn a_process_that_was_frozen_while_it_connected_sends_nothing_late() {
        let began = Instant::now();
        let (until, hour) = (began + Duration::from_mins(3), Duration::from_hours(1));
        for (frozen_after, expected, steps_made) in
            [(0, Err(true), 0), (1, Err(false), 1), (9, Ok(200), 2)]
        {
            let steps = Cell::new(0);
            let clock = || {
                if steps.get() < frozen_after {
                    began
                } else {
                    began + hour
                }
            };
            let answer = before(until, clock, exchange(&steps)).await;
            let outcome = match answer {
                Ok(response) => Ok(response.status),
                Err(error) => Err(matches!(error, TransportError::NotSent(_))),
            };
            assert_eq!(outcome, expected, "frozen after step {frozen_after}");
            assert_eq!(steps.get(), steps_made);
        }
    }
}
