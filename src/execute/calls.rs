//! The calls that write. Each needs a [`Permit`], which only the safety table makes, and is sent once.

use std::time::Duration;

use crate::{
    api::status::Fate,
    decide::safety::Permit,
    posthog::{
        Client, PostHogError, Transport,
        client::{DEADLINE, MAX_ANSWER},
        redact,
        transport::{Method, Request},
        wire::Detail,
    },
};

/// Longest sentence of an answer that is kept, in characters.
const DETAIL_CAP: usize = 200;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// In one word.
    pub fate: Fate,
    /// The HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// What `PostHog` or the connection said, redacted.
    pub detail: String,
    /// True if the key turned out to lack the write scope.
    pub lacks_scope: bool,
}

impl Outcome {
    /// The outcome of a call that was not even tried.
    #[must_use]
    pub fn not_sent(detail: impl Into<String>) -> Self {
        Self {
            fate: Fate::NotSent,
            http_status: None,
            detail: detail.into(),
            lacks_scope: false,
        }
    }
}

/// How long the permitted call may take.
#[must_use]
pub const fn deadline(_: &Permit) -> Duration {
    DEADLINE
}

/// Sends the permitted call, once. Never an error: whatever happens is an outcome that must be written down.
pub async fn send<T: Transport>(client: &Client<T>, permit: Permit) -> Outcome {
    let request = Request {
        call: "write",
        method: Method::Post,
        deadline: deadline(&permit),
        path: client.path(&permit.into_path()),
        max_body: MAX_ANSWER,
        body: None,
    };
    match client.send(request).await {
        Ok(response) => {
            let said: Option<Detail> = serde_json::from_slice(&response.body).ok();
            let detail =
                said.and_then(|said| said.detail.get().map(|text| redact::text(text, DETAIL_CAP)));
            Outcome {
                fate: Fate::Accepted,
                http_status: Some(response.status),
                detail: detail.unwrap_or_default(),
                lacks_scope: false,
            }
        }
        Err(error) => of_error(&error),
    }
}

fn of_error(error: &PostHogError) -> Outcome {
    let lacks_scope = error.lacks_scope("external_data_source:write");
    let (fate, http_status) = match error {
        PostHogError::NotSent { .. } | PostHogError::Waiting { .. } => (Fate::NotSent, None),
        // Turned away before anything was looked at: throttling, authentication, scope.
        PostHogError::RateLimited { .. } => (Fate::NotSent, Some(429)),
        PostHogError::Refused { status: 401, .. } => (Fate::NotSent, Some(401)),
        PostHogError::Refused { status: 403, .. } if lacks_scope => (Fate::NotSent, Some(403)),
        PostHogError::Refused { status, .. } if *status < 500 => (Fate::Refused, Some(*status)),
        PostHogError::Refused { status, .. } => (Fate::Unknown, Some(*status)),
        PostHogError::NoAnswer { .. } | PostHogError::Unexpected { .. } => (Fate::Unknown, None),
    };
    let detail = match error {
        PostHogError::Refused { detail, .. } => redact::one_line(detail, DETAIL_CAP),
        other => redact::one_line(&other.to_string(), DETAIL_CAP),
    };
    Outcome {
        fate,
        http_status,
        detail,
        lacks_scope,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, detail: &str) -> Outcome {
        of_error(&PostHogError::Refused {
            call: "write",
            status,
            detail: detail.into(),
        })
    }

    #[test]
    fn only_what_was_turned_away_before_it_was_looked_at_counts_as_not_sent() {
        let waiting = PostHogError::RateLimited {
            call: "write",
            wait: jiff::SignedDuration::from_secs(1),
        };
        assert_eq!(of_error(&waiting).fate, Fate::NotSent);
        assert_eq!(refused(401, "x").fate, Fate::NotSent);
        let scope = refused(
            403,
            "API key missing required scope 'external_data_source:write'",
        );
        assert_eq!((scope.fate, scope.lacks_scope), (Fate::NotSent, true));
        assert_eq!(
            refused(403, "You do not have editor access to this table.").fate,
            Fate::Refused
        );
        assert_eq!(
            refused(400, "The sync already finished.").fate,
            Fate::Refused
        );
        for status in [500, 502, 503, 504] {
            assert_eq!(
                refused(status, "x").fate,
                Fate::Unknown,
                "{status} may have had its effect"
            );
        }
        let lost = PostHogError::NoAnswer {
            call: "write",
            host: "h".into(),
            reason: "x".into(),
        };
        assert_eq!(of_error(&lost).fate, Fate::Unknown);
    }
}
