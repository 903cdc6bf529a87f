//! The simulator behind HTTP, on a thread and a runtime of its own, so that it does not depend on that of a test.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::HeaderName;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use crate::error::Error;
use crate::message::{Answer, Outcome, Partial, Request, Response};
use crate::simulator::Simulator;
use crate::watchdog::Watchdog;

/// How long the part of a body that does get through is given to leave before the connection is dropped.
const BEFORE_CUT: Duration = Duration::from_millis(30);

/// How a server is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The port on 127.0.0.1; 0 is any that is free.
    pub port: u16,
    /// Whether a line for each request goes to standard error.
    pub log_requests: bool,
}

/// A simulator that is served over HTTP until this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    options: Options,
    state: Arc<Mutex<Simulator>>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Serves on any free port of 127.0.0.1.
    pub fn start(simulator: Simulator) -> Result<Self, Error> {
        Self::start_with(simulator, Options::default())
    }

    /// Serves on that port of 127.0.0.1.
    pub fn start_at(simulator: Simulator, port: u16) -> Result<Self, Error> {
        let log_requests = false;
        Self::start_with(simulator, Options { port, log_requests })
    }

    /// Serves as the options say.
    pub fn start_with(simulator: Simulator, options: Options) -> Result<Self, Error> {
        let mut server = Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)),
            options,
            state: Arc::new(Mutex::new(simulator)),
            running: None,
        };
        server.restart()?;
        let url = server.url();
        server.simulator().set_base_url(&url);
        Ok(server)
    }

    /// The address, `http://127.0.0.1:…` without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The simulator, up to date. No request is answered while the guard is held.
    pub fn simulator(&self) -> MutexGuard<'_, Simulator> {
        lock(&self.state)
    }

    /// Fails the test that drops it if a run that was alive was harmed.
    #[must_use]
    pub fn watchdog(&self) -> Watchdog {
        Watchdog(Arc::clone(&self.state))
    }

    /// Closes the port and every connection. The simulator stays.
    pub fn stop(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            // Both fail only if the thread has ended already, which is the purpose.
            stop.send(()).ok();
            thread.join().ok();
        }
    }

    /// Opens the same port again, with the same simulator. Closes it first if it is open.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop();
        let failed = |port: u16| move |source: io::Error| Error::Start { port, source };
        let listener = TcpListener::bind(self.address).map_err(failed(self.address.port()))?;
        self.address = listener.local_addr().map_err(failed(self.address.port()))?;
        listener
            .set_nonblocking(true)
            .map_err(failed(self.address.port()))?;
        let (stop, stopped) = oneshot::channel();
        let state = Arc::clone(&self.state);
        let log_requests = self.options.log_requests;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed(self.address.port()))?;
        let thread = std::thread::Builder::new()
            .name("posthog-simulator".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, state, log_requests, stopped));
            })
            .map_err(failed(self.address.port()))?;
        self.running = Some(Running { stop, thread });
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A panic of a test that held the guard must not end the others' simulator.
fn lock(state: &Mutex<Simulator>) -> MutexGuard<'_, Simulator> {
    let mut simulator = state.lock().unwrap_or_else(PoisonError::into_inner);
    simulator.observe_wall_clock(Timestamp::now());
    simulator
}

/// Returns when it is stopped; the runtime's end then drops the connections.
async fn serve(
    listener: TcpListener,
    state: Arc<Mutex<Simulator>>,
    log_requests: bool,
    mut stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: it passes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service =
                service_fn(move |request| answer(Arc::clone(&state), log_requests, request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A connection that ends badly is what cuts are, and what clients do.
            drop(connection.await);
        });
    }
}

/// An error drops the connection, before the headers if it is the service's, within the body if it is the body's.
async fn answer(
    state: Arc<Mutex<Simulator>>,
    log_requests: bool,
    request: hyper::Request<Incoming>,
) -> io::Result<hyper::Response<Payload>> {
    let request = read(request).await?;
    let outcome = {
        let mut simulator = lock(&state);
        let before = simulator.requests().len();
        let outcome = simulator.handle(&request);
        if log_requests && let Some(logged) = simulator.requests().get(before) {
            eprintln!(
                "{:.0} {} {} -> {}{}",
                logged.at,
                logged.method,
                request.path_and_query,
                logged
                    .status
                    .map_or_else(|| "cut".to_owned(), |status| status.to_string()),
                logged
                    .fault
                    .map(|fault| format!(" [{fault}]"))
                    .unwrap_or_default()
            );
        }
        outcome
    };
    if let Some(delay) = outcome.delay {
        tokio::time::sleep(delay).await;
    }
    respond(outcome)
}

async fn read(request: hyper::Request<Incoming>) -> io::Result<Request> {
    let (head, body) = request.into_parts();
    let header = |name: HeaderName| head.headers.get(name)?.to_str().ok().map(str::to_owned);
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Request {
        method: head.method.as_str().to_owned(),
        path_and_query: head
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        authorization: header(hyper::header::AUTHORIZATION),
        user_agent: header(hyper::header::USER_AGENT),
        body: body.to_vec(),
    })
}

fn respond(outcome: Outcome) -> io::Result<hyper::Response<Payload>> {
    match outcome.answer {
        Answer::Cut(None) => Err(io::Error::other("cut before the headers")),
        Answer::Cut(Some(Partial { response, promised })) => {
            let body = Bytes::from(response.body.clone());
            build(
                &response,
                promised,
                Payload::Partial {
                    body: Some(body),
                    wait: None,
                },
            )
        }
        Answer::Response(response) => {
            let body = Bytes::from(response.body.clone());
            let length = body.len();
            let payload = match outcome.bytes_per_second {
                Some(rate) => Payload::Slow {
                    body,
                    rate,
                    wait: None,
                },
                None => Payload::Whole(Some(body)),
            };
            build(&response, length, payload)
        }
    }
}

fn build(
    response: &Response,
    length: usize,
    payload: Payload,
) -> io::Result<hyper::Response<Payload>> {
    let mut answer = hyper::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        answer = answer.header(name, value);
    }
    if response.status != 204 && response.status != 304 {
        answer = answer.header(hyper::header::CONTENT_LENGTH, length);
    }
    answer.body(payload).map_err(io::Error::other)
}

/// A body that comes at once, comes in drops, or never comes to its end.
enum Payload {
    Whole(Option<Bytes>),
    Slow {
        body: Bytes,
        rate: u32,
        wait: Option<Pin<Box<Sleep>>>,
    },
    Partial {
        body: Option<Bytes>,
        wait: Option<Pin<Box<Sleep>>>,
    },
}

impl hyper::body::Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Poll::Ready(
                body.take()
                    .filter(|body| !body.is_empty())
                    .map(|body| Ok(Frame::data(body))),
            ),
            Self::Slow { body, rate, wait } => poll_slow(body, *rate, wait, context),
            Self::Partial { body, wait } => poll_partial(body, wait, context),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(
                u64::try_from(body.as_ref().map_or(0, Bytes::len)).unwrap_or(0),
            ),
            // Said by the header.
            Self::Slow { .. } | Self::Partial { .. } => SizeHint::default(),
        }
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, io::Error>>>;

fn poll_slow(
    body: &mut Bytes,
    rate: u32,
    wait: &mut Option<Pin<Box<Sleep>>>,
    context: &mut Context<'_>,
) -> Polled {
    if body.is_empty() {
        return Poll::Ready(None);
    }
    let sleep =
        wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_secs(1) / rate)));
    if sleep.as_mut().poll_is_pending(context) {
        return Poll::Pending;
    }
    *wait = None;
    Poll::Ready(Some(Ok(Frame::data(body.split_to(1)))))
}

fn poll_partial(
    body: &mut Option<Bytes>,
    wait: &mut Option<Pin<Box<Sleep>>>,
    context: &mut Context<'_>,
) -> Polled {
    if let Some(body) = body.take().filter(|body| !body.is_empty()) {
        return Poll::Ready(Some(Ok(Frame::data(body))));
    }
    let sleep = wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(BEFORE_CUT)));
    if sleep.as_mut().poll_is_pending(context) {
        return Poll::Pending;
    }
    Poll::Ready(Some(Err(io::Error::other("cut within the body"))))
}

/// Reads better at its two uses than a `match` on `Poll`.
trait IsPending {
    fn poll_is_pending(self, context: &mut Context<'_>) -> bool;
}

impl IsPending for Pin<&mut Sleep> {
    fn poll_is_pending(self, context: &mut Context<'_>) -> bool {
        std::future::Future::poll(self, context).is_pending()
    }
}
