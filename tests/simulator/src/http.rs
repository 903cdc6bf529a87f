//! PostHog's error bodies: three hand-made shapes beside the framework's own, exactly where PostHog uses which.

use serde_json::{Value, json};

use crate::message::Response;

/// Shape 1, the framework's: `{"type","code","detail","attr"}`.
pub(crate) fn framework(status: u16, kind: &str, code: &str, detail: &str) -> Response {
    with_attr(status, kind, code, detail, &Value::Null)
}

fn with_attr(status: u16, kind: &str, code: &str, detail: &str, attr: &Value) -> Response {
    Response::json(
        status,
        &json!({"type": kind, "code": code, "detail": detail, "attr": attr}),
    )
}

/// Shape 2: `{"message"}`.
pub(crate) fn message(text: &str) -> Response {
    Response::json(400, &json!({ "message": text }))
}

/// Shape 3: `{"detail"}`, without type and code.
pub(crate) fn detail(status: u16, text: &str) -> Response {
    Response::json(status, &json!({ "detail": text }))
}

/// A request that breaks a rule; `attr` names the field if the rule is the field's own.
pub(crate) fn validation(attr: Option<&str>, text: &str) -> Response {
    with_attr(400, "validation_error", "invalid_input", text, &json!(attr))
}

pub(crate) fn not_found(text: &str) -> Response {
    framework(404, "invalid_request", "not_found", text)
}

pub(crate) fn denied(text: &str) -> Response {
    framework(403, "authentication_error", "permission_denied", text)
}

pub(crate) fn unparsable(text: &str) -> Response {
    framework(
        400,
        "invalid_request",
        "parse_error",
        &format!("JSON parse error - {text}"),
    )
}

pub(crate) fn server_error() -> Response {
    framework(500, "server_error", "error", "A server error occurred.")
}

pub(crate) fn throttled(seconds: i64) -> Response {
    let unit = if seconds == 1 { "second" } else { "seconds" };
    let text = format!("Request was throttled. Expected available in {seconds} {unit}.");
    framework(429, "throttled_error", "throttled", &text).header("Retry-After", seconds.to_string())
}

/// PostHog has this route, the simulator does not. A client must never mistake that for an answer of PostHog's.
pub(crate) fn not_simulated(what: &str) -> Response {
    framework(
        501,
        "simulator_error",
        "not_simulated",
        &format!("posthog-simulator does not imitate {what}"),
    )
}

/// The body PostHog would send with a status, for a fault that names only the status.
pub(crate) fn typical(status: u16) -> Response {
    match status {
        401 => framework(
            401,
            "authentication_error",
            "authentication_failed",
            "Personal API key found in request Authorization header is invalid.",
        ),
        403 => denied("You do not have permission to perform this action."),
        404 => not_found("Not found."),
        429 => throttled(37),
        400 => validation(None, "Invalid input."),
        502 | 504 => Response::text(
            status,
            "text/html",
            format!("<html><head><title>{status}</title></head><body>upstream</body></html>"),
        ),
        503 => framework(
            503,
            "server_error",
            "service_unavailable",
            "The database is temporarily unavailable.",
        )
        .header("Retry-After", "5"),
        _ if status >= 500 => {
            framework(status, "server_error", "error", "A server error occurred.")
        }
        _ => Response::json(status, &json!({})),
    }
}
