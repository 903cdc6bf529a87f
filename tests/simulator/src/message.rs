//! A request and what comes back, without any HTTP library's types, so that a simulation needs none.

use std::time::Duration;

use serde_json::Value;

/// A request as it arrives.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The target in the request line: `/api/projects/1/external_data_sources/?limit=100`.
    pub path_and_query: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request with this key and no body.
    #[must_use]
    pub fn new(method: &str, path_and_query: &str, token: &str) -> Self {
        Self {
            method: method.to_owned(),
            path_and_query: path_and_query.to_owned(),
            authorization: Some(format!("Bearer {token}")),
            ..Self::default()
        }
    }

    /// The same request with a JSON body.
    #[must_use]
    pub fn with_json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self
    }

    pub(crate) fn path(&self) -> &str {
        self.path_and_query
            .split_once('?')
            .map_or(self.path_and_query.as_str(), |(path, _)| path)
    }

    pub(crate) fn query(&self) -> &str {
        self.path_and_query
            .split_once('?')
            .map_or("", |(_, query)| query)
    }

    /// The first value of a query parameter; an empty one counts as absent, as PostHog has it.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name)
            .into_iter()
            .next()
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn parameters(&self, name: &str) -> Vec<String> {
        form_urlencoded::parse(self.query().as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }
}

/// The outcome of a request.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the client gets to see.
    pub answer: Answer,
    /// How long the answer is held back. Its effect has happened already.
    pub delay: Option<Duration>,
    /// How fast the body drips out; at once, if none.
    pub bytes_per_second: Option<u32>,
}

/// What the client gets to see of the answer.
#[derive(Debug, Clone)]
pub enum Answer {
    /// All of it.
    Response(Response),
    /// The connection is dropped: before the headers if `None`, else in the middle of the body. Whether the effect
    /// has happened depends on the fault.
    Cut(Option<Partial>),
}

/// The part of an answer that left before the connection was dropped.
#[derive(Debug, Clone)]
pub struct Partial {
    /// Status, headers, and the part of the body that was sent.
    pub response: Response,
    /// The `Content-Length` that was promised.
    pub promised: usize,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// Headers, without `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The first header of that name, in upper or lower case.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Self {
            answer: Answer::Response(response),
            delay: None,
            bytes_per_second: None,
        }
    }
}

impl Outcome {
    /// The whole answer, if the connection was not dropped.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match &self.answer {
            Answer::Response(response) => Some(response),
            Answer::Cut(_) => None,
        }
    }
}
