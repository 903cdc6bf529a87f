//! What was tried once is not tried again until something changes: only what provably did not leave counts as not tried.

use jiff::Timestamp;

use super::{Ask, Hold};
use crate::{
    api::status::{Fate, SentInput, SourceState},
    decide::plan::{Basis, Kind},
};

/// The same credentials, or the same registration of a webhook.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let Basis::Source(basis) = ask.basis else {
        return None;
    };
    let mut states = ask.known.state.sources.iter();
    let state = states.find(|state| state.id == ask.subject.source_id)?;
    let before = tried(given(state, ask.kind)?, &basis.hmac)?;
    let (at, became) = (seconds(before.at), became(before));
    let why = match ask.kind {
        Kind::Webhook => format!(
            "that was tried at {at}: {became}. It is not tried again until something changes; register it in PostHog (the source's Webhook tab)"
        ),
        _ => format!(
            "the same was handed over at {at}: {became}. Rotate it at the source and write the new value into {}",
            basis.from
        ),
    };
    Some(Hold::for_now(why))
}

const fn given(state: &SourceState, kind: Kind) -> Option<&SentInput> {
    match kind {
        Kind::Credentials => state.credentials.as_ref(),
        Kind::Webhook => state.webhook.as_ref(),
        Kind::WebhookInputs => state.webhook_inputs.as_ref(),
        Kind::Stuck
        | Kind::Reload
        | Kind::StaleReload
        | Kind::RenewedReload
        | Kind::Enable
        | Kind::Approved => None,
    }
}

/// Whether exactly this was given before.
#[must_use]
pub fn tried<'a>(before: &'a SentInput, hmac: &str) -> Option<&'a SentInput> {
    let left = before.fate != Some(Fate::NotSent);
    Some(before).filter(|_| left && before.hmac == hmac)
}

/// What became of it, in words.
fn became(handed: &SentInput) -> String {
    let said = if handed.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", handed.detail)
    };
    match handed.fate {
        Some(Fate::Accepted) => format!("PostHog took it{said}"),
        Some(Fate::Refused) => format!("PostHog refused it{said}"),
        Some(Fate::Unknown | Fate::NotSent) => {
            format!("it failed, or nobody knows whether it arrived{said}")
        }
        None => "the operator was interrupted, and nobody knows whether it arrived".to_owned(),
    }
}

fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
