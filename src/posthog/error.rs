//! What can go wrong with a call to `PostHog`.

use jiff::{SignedDuration, Timestamp};

/// How the refusal of an action that keys may not use is worded, in lower case: the capitals changed between versions.
const CLOSED_TO_KEYS: &str = "does not support personal api key access";

/// What to do where every key with scopes is refused.
pub const KEYS_WITHOUT_SCOPES: &str = "This PostHog is from about August 2025 or earlier and refuses every API key with scopes for this request, even with the scope *. \
     Upgrade PostHog; until then only a key without scopes can read, and nothing is written";

/// Why a call gave no usable answer. Every text in it is redacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostHogError {
    /// The request was certainly not sent: DNS, connection or TLS failed.
    #[error("{call}: no connection to {host}: {reason}")]
    NotSent {
        /// Which call.
        call: &'static str,
        /// The host.
        host: String,
        /// What the connection said.
        reason: String,
    },
    /// The request may have left, but no whole answer came back.
    #[error("{call}: no answer from {host}: {reason}")]
    NoAnswer {
        /// Which call.
        call: &'static str,
        /// The host.
        host: String,
        /// What the connection said.
        reason: String,
    },
    /// This process waits, because `PostHog` asked it to.
    #[error(
        "{call}: PostHog rate limits this key (429); requests that count against the same limit wait"
    )]
    Waiting {
        /// Which call.
        call: &'static str,
        /// Until when.
        until: Timestamp,
    },
    /// This process waits, because the operator's own share of the key's limits is used up.
    #[error("{call}: the operator's share of this API key's limits (--quota-share) is used up")]
    OverShare {
        /// Which call.
        call: &'static str,
        /// Until when.
        until: Timestamp,
    },
    /// 429.
    #[error(
        "{call}: PostHog rate limits this key (429); requests that count against the same limit wait"
    )]
    RateLimited {
        /// Which call.
        call: &'static str,
        /// How long.
        wait: SignedDuration,
    },
    /// Any other status of 400 or more.
    #[error("{call}: PostHog answered {status}: {detail}")]
    Refused {
        /// Which call.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// The sentence in the body.
        detail: String,
    },
    /// More than this process takes.
    #[error("{call}: {found}")]
    TooLarge {
        /// Which call.
        call: &'static str,
        /// How much was found, and how much is taken.
        found: String,
    },
    /// A status that means success with a body that is not what the API sends, or a redirect.
    #[error("{call}: {reason}")]
    Unexpected {
        /// Which call.
        call: &'static str,
        /// What was odd about it.
        reason: String,
    },
}

impl PostHogError {
    /// True if the key lacks the scope that this call needs.
    #[must_use]
    pub fn lacks_scope(&self, scope: &str) -> bool {
        matches!(self, Self::Refused { status: 403, detail, .. } if detail.contains(scope))
    }

    /// True if the action is closed to API keys with scopes. `PostHog` of August 2025 answers this for every action on sources and tables, with any
    /// scope; today's for actions that it never opens to keys.
    #[must_use]
    pub fn is_closed_to_keys(&self) -> bool {
        matches!(self, Self::Refused { status: 403, detail, .. }
            if detail.to_ascii_lowercase().contains(CLOSED_TO_KEYS))
    }
}
