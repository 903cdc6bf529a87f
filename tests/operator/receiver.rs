//! A receiver of notifications on this machine: keeps every request byte by byte, and answers as configured.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};

use crate::support::wait_until;

/// The reaction to a request.
#[derive(Debug, Clone)]
pub enum Manner {
    /// Answers with this status.
    Status(u16),
    /// Answers with a redirect to this URL.
    Redirect(String),
    /// Never answers.
    Silence,
}

/// A received request.
#[derive(Debug, Clone)]
pub struct Got {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name);
        let value = value.unwrap_or_else(|| panic!("{name} is missing: {self:?}"));
        value.to_str().unwrap().to_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Inner {
    got: Vec<Got>,
    /// The answers to the next requests, in order; then each gets 200.
    manners: VecDeque<Manner>,
    always: Option<Manner>,
}

/// A receiver that runs until the process ends.
pub struct Receiver {
    pub url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    pub fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(receive).with_state(inner.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        Self { url, inner }
    }

    /// Sets the answers to the next requests.
    pub fn next(&self, manners: &[Manner]) {
        self.inner.lock().unwrap().manners.extend(manners.to_vec());
    }

    /// Sets the answer to every other request.
    pub fn always(&self, manner: Manner) {
        self.inner.lock().unwrap().always = Some(manner);
    }

    pub fn got(&self) -> Vec<Got> {
        self.inner.lock().unwrap().got.clone()
    }

    /// Waits for this many requests.
    pub fn wait_for(&self, count: usize) -> Vec<Got> {
        wait_until(&format!("{count} notifications"), || {
            let got = self.got();
            if got.len() >= count {
                Ok(got)
            } else {
                Err(format!("{} came in", got.len()))
            }
        })
    }
}

async fn receive(
    State(inner): State<Arc<Mutex<Inner>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let manner = {
        let mut inner = inner.lock().unwrap();
        inner.got.push(Got {
            path: uri.path().to_owned(),
            headers,
            body: body.to_vec(),
        });
        let next = inner.manners.pop_front().or_else(|| inner.always.clone());
        next.unwrap_or(Manner::Status(200))
    };
    match manner {
        Manner::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Manner::Redirect(to) => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response()
        }
        Manner::Silence => std::future::pending().await,
    }
}
