//! Who may use the page: the browser that opened the link, and no page of another site.
//!
//! The page can approve a deletion, and every program and website on this machine can send requests to 127.0.0.1. So each
//! request must name this address as its host (against DNS rebinding), come from no other origin (against forged forms),
//! and carry the cookie that the link gave, once, to the first browser that opened it. Browsers send cookies to all ports of an
//! address: everything is below a random path, to which the cookie belongs, so that other programs do not receive it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{RawQuery, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{CACHE_CONTROL, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::cli::plugin::PluginError;

/// Where the link leads, below the path of the page.
pub(super) const START: &str = "/start";

/// Headers of every answer. No script and no style but the page's own files; no frame around it; no other site learns of
/// it. `same-origin` and not `no-referrer`: with the latter, browsers send `Origin: null` with the page's own forms.
const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=()",
    ),
];

const NOT_OPENED: &str = "This browser has not opened the link that `kubectl wsp ui` printed, or its session has ended.\n\
     Open the link. Each link works once: for another one, end the command and start it again.\n";

/// What a request must show.
pub(super) struct Access {
    /// The address, as the header `Host` names it.
    host: String,
    /// The path of the page: a slash, and what no other program can guess.
    path: String,
    /// Name and value of the cookie. The name has the port: another page may have its own.
    cookie: String,
    /// The token of the link, until a browser has used it.
    token: Mutex<Option<String>>,
}

impl Access {
    /// For a page on this port of 127.0.0.1, with a new token.
    pub(super) fn new(port: u16) -> Result<Arc<Self>, PluginError> {
        Ok(Arc::new(Self {
            host: format!("127.0.0.1:{port}"),
            path: format!("/{}", random()?),
            cookie: format!("wsp-{port}={}", random()?),
            token: Mutex::new(Some(random()?)),
        }))
    }

    /// The link to open; empty after its token has been used.
    pub(super) fn link(&self) -> String {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.as_ref().map_or_else(String::new, |token| {
            format!("http://{}{}{START}?token={token}", self.host, self.path)
        })
    }

    /// The path of the page.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Why a request is refused.
    fn refuses(&self, request: &Request) -> Option<(StatusCode, &'static str)> {
        let (headers, uri) = (request.headers(), request.uri());
        let other_authority = uri
            .authority()
            .is_some_and(|named| named.as_str() != self.host);
        if only(headers, HOST) != Some(self.host.as_bytes()) || other_authority {
            return Some((StatusCode::FORBIDDEN, "The request is for another host.\n"));
        }
        let own = format!("http://{}", self.host);
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let origin_is_fine = match headers.get(ORIGIN) {
            None => reads,
            Some(_) => only(headers, ORIGIN) == Some(own.as_bytes()),
        };
        if !origin_is_fine {
            return Some((
                StatusCode::FORBIDDEN,
                "The request comes from another site.\n",
            ));
        }
        let below = uri.path().strip_prefix(&self.path);
        if below == Some(START) {
            return None;
        }
        if uri.query().is_some() {
            return Some((
                StatusCode::BAD_REQUEST,
                "This page takes nothing from its address.\n",
            ));
        }
        (!self.has_session(headers)).then_some((StatusCode::FORBIDDEN, NOT_OPENED))
    }

    fn has_session(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).iter();
        cookies
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
            .any(|cookie| same(cookie.trim_ascii(), self.cookie.as_bytes()))
    }

    /// Uses the token up, if it is the right one.
    fn take(&self, offered: &str) -> bool {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |token: &mut String| same(token.as_bytes(), offered.as_bytes());
        token.take_if(fits).is_some()
    }
}

/// Refuses what is not from the browser that opened the link, and adds the headers to every answer.
pub(super) async fn guard(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match access.refuses(&request) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Gives the first browser that opens the link its cookie, and leads to an address without the token.
pub(super) async fn start(
    State(access): State<Arc<Access>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let location = (LOCATION, access.path.clone());
    if access.has_session(&headers) {
        return (StatusCode::SEE_OTHER, [location]).into_response();
    }
    let query = query.unwrap_or_default();
    let mut values = form_urlencoded::parse(query.as_bytes());
    let token = values.find(|(name, _)| name == "token");
    if !token.is_some_and(|(_, token)| access.take(&token)) {
        return (StatusCode::FORBIDDEN, NOT_OPENED).into_response();
    }
    let cookie = format!(
        "{}; Path={}; HttpOnly; SameSite=Strict",
        access.cookie, access.path
    );
    (StatusCode::SEE_OTHER, [location, (SET_COOKIE, cookie)]).into_response()
}

/// The value of a header that occurs once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes())
}

/// Compared in a time that does not depend on where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// 256 random bits, in hexadecimal digits.
fn random() -> Result<String, PluginError> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| PluginError::refused("this machine gives no random numbers"))?;
    let digits = |byte: &u8| [byte >> 4, byte & 15];
    let digits = bytes.iter().flat_map(digits);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    Ok(digits.collect())
}
