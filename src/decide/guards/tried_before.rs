//! What was tried once is not tried again until something changes. Only a call that was certainly not sent is not a try.

use jiff::Timestamp;

use super::{Ask, Hold};
use crate::{
    api::status::{Fate, Handover, SourceState},
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
            "tried at {at}: {became}. Not tried again until something changes; register it in PostHog (the source's Webhook tab)"
        ),
        _ => format!(
            "already sent at {at}: {became}. Rotate it at the source and write the new value into {}",
            basis.from
        ),
    };
    Some(Hold::for_now(why))
}

const fn given(state: &SourceState, kind: Kind) -> Option<&Handover> {
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

/// Whether exactly this was sent before.
#[must_use]
pub fn tried<'a>(before: &'a Handover, hmac: &str) -> Option<&'a Handover> {
    let left = before.fate != Some(Fate::NotSent);
    Some(before).filter(|_| left && before.hmac == hmac)
}

/// Its result, in words.
fn became(handed: &Handover) -> String {
    let said = if handed.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", handed.detail)
    };
    match handed.fate {
        Some(Fate::Accepted) => format!("PostHog accepted it{said}"),
        Some(Fate::Refused) => format!("PostHog refused it{said}"),
        Some(Fate::Unknown | Fate::NotSent) => {
            format!("it failed, or whether it arrived is unknown{said}")
        }
        None => "the operator was interrupted, and whether it arrived is unknown".to_owned(),
    }
}

fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
