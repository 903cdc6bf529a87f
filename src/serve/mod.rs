//! Health, readiness and metrics over HTTP.
//!
//! Three endpoints: is the process alive (`/livez`), can it do its work (`/readyz`, which names what is pending), what
//! has it done (`/metrics`). The health of syncs is not among them: it is in the status of policies.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::IntoResponse,
    routing::get,
};
use jiff::Timestamp;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    controller::ProcessHealth,
    posthog::client::Clock,
    report::{Metrics, exposition::Format},
};

/// The address for health and metrics is in use or not allowed.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {0}: {1}. Choose another address with --bind")]
pub struct BindError(SocketAddr, std::io::Error);

/// Serves on `address` until the process ends.
pub async fn start(
    address: SocketAddr,
    health: ProcessHealth,
    metrics: Metrics,
    clock: Clock,
) -> Result<JoinHandle<std::io::Result<()>>, BindError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| BindError(address, e))?;
    if let Ok(bound) = listener.local_addr() {
        tracing::info!("serving health and metrics on http://{bound}");
    }
    let app = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(health)
        .route(
            "/metrics",
            get(async move |asked: HeaderMap| encode(&asked, &metrics, clock())),
        );
    Ok(tokio::spawn(
        async move { axum::serve(listener, app).await },
    ))
}

async fn readyz(State(health): State<ProcessHealth>) -> impl IntoResponse {
    let pending = health.what_is_pending().join("; ");
    if pending.is_empty() {
        let reading = health.reading().into_iter();
        let reading = reading.map(|list| format!("reading {list}\n"));
        let missing = |name| format!("namespace {name} does not exist\n");
        let absent = health.absent.all().into_iter().map(missing);
        let notes: String = reading.chain(absent).collect();
        (StatusCode::OK, format!("ok\n{notes}"))
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("pending: {pending}\n"),
        )
    }
}

fn encode(asked: &HeaderMap, metrics: &Metrics, now: Timestamp) -> impl IntoResponse + use<> {
    let accept = asked.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    match metrics.encode(now) {
        Ok(text) => (
            StatusCode::OK,
            [(CONTENT_TYPE, format.content_type())],
            format.of(text),
        ),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(CONTENT_TYPE, "text/plain")],
            format!("{error}\n"),
        ),
    }
}
