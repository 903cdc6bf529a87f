//! The narrow port to `PostHog`: one request, one answer.
//!
//! Two users: [`super::http::HttpTransport`], and the deterministic simulation of the tests, which has no sockets.

use std::{
    fmt,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::api::host::Host;

use super::ApiKey;

/// Method of a request. `PostHog`'s API has more; the operator has no use for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Starts something, or reads with a live call to the source.
    Post,
    /// Changes a source or a table.
    Patch,
    /// Deletes the data of a table.
    Delete,
}

impl Method {
    /// As HTTP writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A request without host and key.
#[derive(Clone)]
pub struct Request {
    /// A bounded name of the endpoint, for metrics and messages.
    pub call: &'static str,
    /// Method.
    pub method: Method,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// When the whole exchange is given up.
    pub deadline: Duration,
    /// When nothing more may be done about it, by the clock of the machine that no one sets: the end of the claim to leadership under
    /// which it is sent. None for what only reads.
    pub until: Option<Instant>,
    /// Largest body that is read, after decompression, in bytes.
    pub max_body: usize,
    /// JSON to send along; none for a request without a body.
    pub body: Option<String>,
}

/// The body may hold secrets on their way to `PostHog`.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_str();
        write!(f, "{method} {} ({})", self.path, self.call)
    }
}

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`; empty if absent.
    pub content_type: String,
    /// `Retry-After`, read, if there was one that could be.
    pub retry_after: Option<Duration>,
    /// `Date`, read: what the clock of the other side says, if it says so.
    pub date: Option<Timestamp>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// The request was certainly not sent.
    NotSent(String),
    /// The request may have left.
    NoAnswer(String),
    /// The answer was larger than `max_body`.
    TooLarge,
}

/// Sends requests.
pub trait Transport: Send + Sync + 'static {
    /// Sends `request` to `host` with `key`, once, and reads the whole answer before the deadline.
    fn send(
        &self,
        host: &Host,
        key: &ApiKey,
        request: Request,
    ) -> impl Future<Output = Result<Response, TransportError>> + Send;
}

/// Longest `Retry-After` that is respected.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Reads a `Retry-After` header: seconds or an HTTP date. Absurd values are cut to one hour, unreadable ones are none.
#[must_use]
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit()) {
        return Some(
            header
                .parse()
                .map_or(LONGEST_WAIT, Duration::from_secs)
                .min(LONGEST_WAIT),
        );
    }
    let at = date(header)?;
    Some(
        Duration::try_from(at.duration_since(now))
            .unwrap_or(Duration::ZERO)
            .min(LONGEST_WAIT),
    )
}

/// Reads an HTTP date, such as that of a `Date` header; none if it cannot be read.
#[must_use]
pub fn date(header: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(header).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_or_date_and_capped() {
        let now = "2026-10-01T00:00:00Z".parse().unwrap();
        let read = |header| retry_after(header, now);
        assert_eq!(read("37"), Some(Duration::from_secs(37)));
        assert_eq!(
            read("Thu, 01 Oct 2026 00:01:00 GMT"),
            Some(Duration::from_mins(1))
        );
        assert_eq!(read("Wed, 30 Sep 2026 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("99999999999999999999999"), Some(LONGEST_WAIT));
        assert_eq!(read("Fri, 01 Oct 2027 00:00:00 GMT"), Some(LONGEST_WAIT));
        for odd in ["", "-5", "soon", "1.5"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
