//! Numbers that mean something: only in the form in which HTTP clients and drivers write their codes.

use super::word::is_word;

/// The text right before an HTTP status.
const BEFORE_STATUS: &[&str] = &[
    "http",
    "http/1.0",
    "http/1.1",
    "http/2",
    "http/2.0",
    "http/3",
    "status",
    "status_code",
    "statuscode",
    "status-code",
    "httpstatus",
    "http_status",
    "httpstatuscode",
    "http_code",
    "http_status_code",
    "http code",
    "status code",
    "http error",
    "httperror",
    "http-error",
    "httpstatuserror",
    "httpexception",
    "apierror",
    "apiexception",
    "api error",
    "response code",
    "responsecode",
    "response_code",
    "response",
    "http response",
    "responded",
    "responded with",
    "response with",
    "answered",
    "answered with",
    "replied with",
    "returned",
    "returned a",
    "returned an",
    "returned with",
    "returned error",
    "returned code",
    "received",
    "received a",
    "got",
    "got a",
    "request failed with",
    "request failed",
    "failed with",
    "failed with error",
    "server error",
    "client error",
    "clientresponseerror",
    "responseerror",
    "error response",
    "with a",
    "too many",
    "unexpected response",
    "unexpected status",
    "unexpected status code",
];

/// The text right before an HTTP status if the text mentions HTTP elsewhere.
const BEFORE_CODE: &[&str] = &[
    "code",
    "error code",
    "errorcode",
    "error_code",
    "error",
    "err",
];

/// Words that show that a text is about HTTP.
const HTTP_WORDS: &[&str] = &[
    "http",
    " api ",
    " api:",
    "rest ",
    "url",
    "request",
    "endpoint",
    "unauthorized",
    "forbidden",
    "gateway",
    "oauth",
    "token",
    "webhook",
    "response",
    "unauthenticated",
    "permission_denied",
    "resource_exhausted",
    "cloudflare",
];

/// The text right after any HTTP status.
const AFTER_STATUS: &[&str] = &[
    "client error",
    "server error",
    "response",
    "error response",
    "http",
    "post ",
    "get ",
    "put ",
    "patch ",
    "for url",
    "error for",
    "request failed",
    "status code",
    "message=",
    "error:",
    "error from",
    "error from",
    "error while",
    "when ",
];

/// The names of statuses.
const NAMES: &[(&str, &[&str])] = &[
    ("400", &["bad request"]),
    (
        "401",
        &[
            "unauthorized",
            "unauthorised",
            "authorization required",
            "unauthenticated",
            "not authorized",
            "invalid",
        ],
    ),
    ("402", &["payment required"]),
    (
        "403",
        &[
            "forbidden",
            "access denied",
            "permission denied",
            "permission_denied",
        ],
    ),
    ("404", &["not found", "not_found"]),
    ("405", &["method not allowed"]),
    ("407", &["proxy auth"]),
    ("408", &["request time"]),
    ("409", &["conflict"]),
    ("410", &["gone"]),
    ("422", &["unprocessable"]),
    (
        "429",
        &[
            "too many",
            "rate limit",
            "resource_exhausted",
            "quota",
            "throttl",
            "exhausted",
        ],
    ),
    ("500", &["internal", "server error"]),
    ("502", &["bad gateway", "proxy error"]),
    (
        "503",
        &[
            "service unavailable",
            "service temporarily",
            "backend",
            "unavailable",
            "slow down",
            "slowdown",
        ],
    ),
    ("504", &["gateway time", "deadline"]),
    ("520", &["web server", "origin", "unknown error"]),
    ("521", &["web server", "origin"]),
    ("522", &["connection timed", "origin"]),
    ("523", &["origin"]),
    ("524", &["a timeout"]),
    ("525", &["ssl handshake"]),
    ("529", &["overloaded", "site is"]),
];

/// What is counted, and makes a status a number like any other: `returned 500 rows`.
const COUNTED: &[&str] = &[
    "bytes",
    "columns",
    "entries",
    "errors in",
    "events",
    "files",
    "items",
    "lines",
    "messages",
    "objects",
    "pages",
    "records",
    "results",
    "rows",
    "tables",
    "tickets",
    "users",
    "values",
];

/// The text right before a driver's error number.
const BEFORE_NUMBER: &[&str] = &[
    "error",
    "errors",
    "error code",
    "errorcode",
    "error_code",
    "code",
    "errno",
    "err",
    "msg",
    "message",
    "number",
    "error number",
    "sqlcode",
    "sql error",
    "mysql error",
    "server error",
    "native error",
    "errcode",
    "errornumber",
];

/// Whether `token` is an HTTP status in HTTP context; `before` is the masked text before it.
pub fn is_http(token: &str, before: &str, after: &str) -> bool {
    let is_status = token.len() == 3 && (token.starts_with('4') || token.starts_with('5'));
    let is_count = after
        .strip_prefix(' ')
        .is_some_and(|rest| COUNTED.iter().any(|word| rest.starts_with(word)));
    if !is_status || is_count {
        return false;
    }
    let head = trimmed(before);
    let raised = before
        .strip_suffix('(')
        .is_some_and(|word| word.ends_with("error") || word.ends_with("exception"));
    // All that Cloudflare says in plain text: `error code: 522`.
    let is_all = before == "error code: " && after.is_empty();
    is_all
        || (raised && after.starts_with(','))
        || ends_with_any(head, BEFORE_STATUS)
        || follows(token, after)
        || (ends_with_any(head, BEFORE_CODE) && speaks_of_http(before, after))
        // `[429]` and `(403)` beside a word of HTTP.
        || (before.ends_with(['[', '(']) && after.starts_with([']', ')']) && speaks_of_http(before, after))
}

fn follows(token: &str, after: &str) -> bool {
    let tail = after.trim_start_matches([' ', ':', '-', ',', ')', ']', '.', '(', '"', '\'', '<']);
    if after.len() - tail.len() > 4 {
        return false;
    }
    let named = NAMES
        .iter()
        .find(|(status, _)| *status == token)
        .is_some_and(|(_, names)| names.iter().any(|name| tail.starts_with(name)));
    named || AFTER_STATUS.iter().any(|words| tail.starts_with(words)) || is_word_error(tail)
}

/// `500 error`, but not `403 errors in rows`.
fn is_word_error(tail: &str) -> bool {
    tail.strip_prefix("error")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ',', ')', '!', '\n']))
}

fn speaks_of_http(before: &str, after: &str) -> bool {
    let (before, after) = (last(before, 120), first(after, 120));
    HTTP_WORDS
        .iter()
        .any(|word| before.contains(word) || after.contains(word))
}

/// Whether `token` is a driver's error number in its form: `(1045, "…")`, `error 18456`, `Code: 516.`, `250001 (08001):`.
pub fn is_code(token: &str, before: &str, after: &str) -> bool {
    if token.len() > 6 {
        return false;
    }
    let in_tuple = before.ends_with('(') && after.starts_with(',');
    let snowflake = token.len() == 6 && after.starts_with(" (");
    in_tuple || snowflake || ends_with_any(trimmed(before), BEFORE_NUMBER)
}

/// Whether `token` is an SQLSTATE in its form: `SQLSTATE 42P01`, `[42S02]`, `(28000)`.
pub fn is_sql_state(token: &str, before: &str, after: &str) -> bool {
    if token.len() != 5 || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    let enclosed = (before.ends_with('[') && after.starts_with(']'))
        || (before.ends_with('(') && after.starts_with(')'))
        || (before.ends_with("('") && after.starts_with("',"));
    enclosed
        || ends_with_any(
            trimmed(before),
            &["sqlstate", "sql state", "sql_state", "pgcode", "estado sql"],
        )
}

fn trimmed(before: &str) -> &str {
    last(before, 64).trim_end_matches([
        ' ', ':', '=', '[', '(', '"', '\'', '<', '>', '{', '#', '-', ',',
    ])
}

fn ends_with_any(text: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| {
        text.strip_suffix(ending)
            .is_some_and(|rest| !rest.as_bytes().last().copied().is_some_and(is_word))
    })
}

fn last(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn first(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
