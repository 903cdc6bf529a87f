//! The transport of production: reqwest over rustls.

use std::{fmt, time::Duration};

use futures::StreamExt;
use reqwest::{
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER},
    redirect, retry,
};

use super::{
    ApiKey,
    authorities::Authorities,
    client::Clock,
    connection,
    guard::HostList,
    names::Names,
    proxy,
    transport::{self, Method, Request, Response, Transport, TransportError},
};
use crate::api::host::Host;

/// Connecting takes this long at most; the deadline of the whole call is the request's own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After how long an idle connection is not used again: earlier than load balancers close it (usually 60 s and more). A call on a
/// connection that the other end is just closing has an unknown outcome.
const IDLE: Duration = Duration::from_secs(30);

/// The HTTP clients of the operator: one for hosts elsewhere, one for this machine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clients {
    remote: reqwest::Client,
    loopback: reqwest::Client,
}

impl Clients {
    /// Makes them, each tuned as its user needs it. For calls that leave the machine: over https only, through the proxy that the
    /// environment names, trusting the machine's authorities and these. Fails if TLS cannot be set up, for example without any
    /// CA certificate on the machine.
    pub fn new(
        authorities: &Authorities,
        tuned: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            remote: tuned(builder())
                .https_only(true)
                .tls_certs_merge(authorities.certificates())
                .build()?,
            // A proxy for the outside world must not see what goes to this machine.
            loopback: tuned(builder()).no_proxy().build()?,
        })
    }

    /// The one for a host.
    #[must_use]
    pub fn of(&self, host: &Host) -> &reqwest::Client {
        if host.is_http_loopback() {
            &self.loopback
        } else {
            &self.remote
        }
    }
}

/// What follows no redirect and repeats nothing.
fn builder() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder();
    let builder = if cfg!(target_env = "musl") {
        builder.dns_resolver(Names::of_the_machine())
    } else {
        builder
    };
    builder
        .user_agent(concat!(
            "warehouse-sync-operator/",
            env!("CARGO_PKG_VERSION")
        ))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE)
        // A redirect could carry a key to another host.
        .redirect(redirect::Policy::none())
        // A repeated POST could start something twice; repeating is decided where the consequences are known.
        .retry(retry::never())
}

/// Sends requests over HTTP. Cheap to clone.
#[derive(Clone)]
pub struct HttpTransport {
    clients: Clients,
    hosts: HostList,
    clock: Clock,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// Sends to `hosts` only. By `clock` it reads until when an answer asks to wait.
    pub fn new(
        hosts: HostList,
        authorities: &Authorities,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let clients = Clients::new(authorities, |builder| builder)?;
        Ok(Self {
            clients,
            hosts,
            clock,
        })
    }

    async fn exchange(
        &self,
        host: &Host,
        key: &ApiKey,
        request: &Request,
    ) -> Result<Response, TransportError> {
        // Checked here too, at the last line before the network, in case a caller forgot it.
        self.hosts
            .check(host)
            .map_err(|e| TransportError::NotSent(e.to_string()))?;
        let mut bearer = HeaderValue::from_str(&key.bearer()).map_err(|_| {
            TransportError::NotSent("the key contains characters that cannot be sent".into())
        })?;
        bearer.set_sensitive(true);
        let client = self.clients.of(host);
        let url = format!("{host}{}", request.path);
        let builder = match request.method {
            Method::Get => client.get(url),
            Method::Post => client.post(url),
            Method::Patch => client.patch(url),
            Method::Delete => client.delete(url),
        };
        let builder = match &request.body {
            Some(json) => builder
                .header(CONTENT_TYPE, "application/json")
                .body(json.clone()),
            None => builder,
        };
        let answer = builder
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json")
            .timeout(request.deadline)
            .send()
            .await
            .map_err(|e| failure(&e, host))?;
        let header = |name| {
            answer
                .headers()
                .get(name)
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let (status, content_type, wait, date) = (
            answer.status().as_u16(),
            header(CONTENT_TYPE),
            header(RETRY_AFTER),
            header(DATE),
        );
        let body = read_body(answer, request.max_body, host).await?;
        Ok(Response {
            status,
            content_type,
            retry_after: transport::retry_after(&wait, (self.clock)()),
            date: transport::date(&date),
            body,
        })
    }
}

impl Transport for HttpTransport {
    async fn send(
        &self,
        host: &Host,
        key: &ApiKey,
        request: Request,
    ) -> Result<Response, TransportError> {
        self.exchange(host, key, &request).await
    }
}

/// Reads chunk by chunk, so that a body (or what a small compressed one unfolds into) never exceeds the cap in memory.
async fn read_body(
    answer: reqwest::Response,
    max: usize,
    host: &Host,
) -> Result<Vec<u8>, TransportError> {
    // What it promises is room enough; a promise that is not kept costs no more than the cap.
    let promised = answer.content_length().unwrap_or_default();
    let promised = usize::try_from(promised).unwrap_or(usize::MAX);
    let mut body = Vec::with_capacity(promised.min(max));
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| failure(&e, host))?;
        if body.len() + chunk.len() > max {
            return Err(TransportError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why there is no answer, without the URL.
#[must_use]
pub fn failure(error: &reqwest::Error, host: &Host) -> TransportError {
    let proxy = if host.is_http_loopback() {
        None
    } else {
        proxy::toward(host.as_str())
    };
    let reason = if error.is_timeout() && !error.is_connect() {
        "the deadline passed".to_owned()
    } else {
        connection::words(error, proxy.as_deref())
    };
    // Name resolution, connecting and the TLS handshake come before the first byte of a request.
    if error.is_connect() || error.is_builder() {
        TransportError::NotSent(reason)
    } else {
        TransportError::NoAnswer(reason)
    }
}
