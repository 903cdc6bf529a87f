//! The webhook of a source: one where there is none, and new inputs for one that is there.

use jiff::Timestamp;

use super::credentials::subject;
use crate::{
    api::status::SourceState,
    decide::{
        guards::tried_before::tried,
        plan::{Basis, Kind, OfSource, Order},
        safety::Webhook,
        words::order as words,
    },
    diagnose::{
        Known,
        credentials::{Content, SourceCredentials},
        webhooks,
    },
    posthog::{lax::Lax, wire::Source, write::Write},
};

/// The order for the webhook of a source, if any; `state` is what is remembered of the source. Forgets the result of the
/// registration once the webhook exists.
#[must_use]
pub fn order(
    known: &Known<'_>,
    source: &Source,
    offer: Option<&SourceCredentials<'_>>,
    mut state: Option<&mut SourceState>,
) -> Option<Order> {
    let probed = known.snapshot.probes.webhooks.get(&source.id)?;
    let info = probed.answer.as_ref().ok()?;
    if webhooks::tables(known, source).next().is_none() || info.supports_webhooks == Lax::Is(false)
    {
        return None;
    }
    let registered = Webhook::of(info);
    if registered == Webhook::Registered
        && let Some(state) = state.as_deref_mut()
    {
        state.webhook = None;
    }
    match registered {
        webhook @ (Webhook::NotRegistered | Webhook::GoneAtVendor) => {
            Some(register(source, offer, webhook))
        }
        Webhook::Registered => {
            let content = offer.and_then(|offer| offer.webhook_inputs.as_ref())?;
            let missing = webhooks::missing_inputs(known, source, info);
            let shown = Shown {
                lacks: content
                    .inputs
                    .names()
                    .any(|name| missing.iter().any(|m| m == name)),
                has_all: content
                    .inputs
                    .names()
                    .all(|name| info.has_input(name) == Some(true)),
                at: probed.at,
            };
            push(source, content, &shown, state)
        }
        Webhook::Unknown => None,
    }
}

/// Once, until the state of the webhook or a Secret changes: each call creates one more endpoint at the vendor.
fn register(source: &Source, offer: Option<&SourceCredentials<'_>>, webhook: Webhook) -> Order {
    let hmac_of = |content: Option<&Content>| content.map(|content| content.hmac.clone());
    let has_inputs = hmac_of(offer.and_then(|offer| offer.webhook_inputs.as_ref()));
    let own = hmac_of(offer.and_then(|offer| offer.job_inputs.as_ref())).unwrap_or_default();
    let inputs = has_inputs.clone().unwrap_or_default();
    let subject = subject(source);
    Order {
        call: Write::CreateWebhook {
            source_id: source.id.clone(),
        },
        kind: Kind::Webhook,
        what: words::webhook(&subject.title),
        why: words::NO_WEBHOOK.to_owned(),
        starts: true,
        basis: Basis::Source(OfSource {
            from: String::new(),
            hmac: format!("{webhook:?} {own} {inputs}"),
            has_inputs,
        }),
        subject,
    }
}

/// What `PostHog` shows of the inputs that a Secret has.
struct Shown {
    /// One of them is missing.
    lacks: bool,
    /// All are set.
    has_all: bool,
    /// When it showed that.
    at: Timestamp,
}

/// Once for each content, and again if `PostHog` no longer has it: someone recreated the webhook.
fn push(
    source: &Source,
    content: &Content,
    shown: &Shown,
    state: Option<&mut SourceState>,
) -> Option<Order> {
    let before = state.and_then(|state| state.webhook_inputs.as_mut());
    if let Some(before) = before {
        before.shown |= shown.has_all && shown.at > before.at;
        let is_gone = before.shown && shown.lacks && shown.at > before.at;
        if tried(before, &content.hmac).is_some() && !is_gone {
            return None;
        }
    }
    let Content { inputs, hmac, from } = content;
    let subject = subject(source);
    Some(Order {
        call: Write::UpdateWebhookInputs {
            source_id: source.id.clone(),
            inputs: inputs.clone(),
        },
        kind: Kind::WebhookInputs,
        what: words::webhook_inputs(from, &subject.title),
        why: words::FROM_SECRET.to_owned(),
        starts: true,
        basis: Basis::Source(OfSource {
            from: from.clone(),
            hmac: hmac.clone(),
            has_inputs: None,
        }),
        subject,
    })
}
