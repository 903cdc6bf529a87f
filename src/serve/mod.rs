//! Health, readiness and metrics over HTTP.
//!
//! Three questions, three answers: is the process alive (`/livez`), can it do its work (`/readyz`, naming what is pending),
//! what has it done (`/metrics`). The health of syncs is none of them: it is in the status of policies.

use std::net::SocketAddr;

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{controller::Health, report::Metrics};

/// The address for health and metrics is taken or not allowed.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {0}: {1}. Choose another address with --bind")]
pub struct BindError(SocketAddr, std::io::Error);

/// Serves on `address` until the process ends.
pub async fn start(
    address: SocketAddr,
    health: Health,
    metrics: Metrics,
) -> Result<JoinHandle<std::io::Result<()>>, BindError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| BindError(address, e))?;
    if let Ok(bound) = listener.local_addr() {
        tracing::info!("health and metrics on http://{bound}");
    }
    let app = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(health)
        .route("/metrics", get(async move || encode(&metrics)));
    Ok(tokio::spawn(
        async move { axum::serve(listener, app).await },
    ))
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let pending = health.what_is_pending().join("; ");
    if pending.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("pending: {pending}\n"),
        )
    }
}

fn encode(metrics: &Metrics) -> impl IntoResponse + use<> {
    match metrics.encode() {
        Ok(text) => (
            StatusCode::OK,
            [(
                CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        ),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(CONTENT_TYPE, "text/plain")],
            format!("{error}\n"),
        ),
    }
}
