//! The request log.

use jiff::Timestamp;
use serde::Serialize;

/// One request that arrived. The control routes are not logged.
#[derive(Debug, Clone, Serialize)]
pub struct Logged {
    /// When it arrived, by the simulator's clock.
    pub at: Timestamp,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without `?`.
    pub query: String,
    /// The label of the key, `unknown` for a key that does not exist; never the token.
    pub key: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// What was answered; `None` if the connection was dropped before the headers.
    pub status: Option<u16>,
    /// The name of the fault that was put in its way.
    pub fault: Option<&'static str>,
    /// The body; kept out of the control routes' answers, since it may hold credentials.
    #[serde(skip)]
    pub body: Vec<u8>,
}
