//! The webhook of a source: one where there is none, and new inputs for one that is there.

use super::credentials::{FROM_SECRET, subject};
use crate::{
    api::status::SourceState,
    decide::{
        guards::tried_before::tried,
        plan::{Basis, Kind, OfSource, Order},
        safety::Webhook,
    },
    diagnose::{
        Known,
        credentials::{Content, Offer},
        webhooks,
    },
    posthog::{lax::Lax, wire::Source, write::Write},
};

/// What is wanted of the webhook of a source; `state` is what is remembered of the source. Forgets how the registration went
/// once the webhook is there.
#[must_use]
pub fn order(
    known: &Known<'_>,
    source: &Source,
    offer: Option<&Offer<'_>>,
    state: Option<&mut SourceState>,
) -> Option<Order> {
    let probed = known.snapshot.probes.webhooks.get(&source.id)?;
    let info = probed.answer.as_ref().ok()?;
    if webhooks::tables(known, source).next().is_none() || info.supports_webhooks == Lax::Is(false)
    {
        return None;
    }
    match Webhook::of(info) {
        webhook @ (Webhook::NotRegistered | Webhook::GoneAtVendor) => {
            Some(register(source, offer, webhook))
        }
        Webhook::Registered => {
            let content = offer.and_then(|offer| offer.webhook_inputs.as_ref());
            push(source, content, state)
        }
        Webhook::Unknown => None,
    }
}

/// Once, until the state of the webhook or a Secret changes: each call makes one more endpoint at the vendor.
fn register(source: &Source, offer: Option<&Offer<'_>>, webhook: Webhook) -> Order {
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
        what: format!("register the webhook of {}", subject.title),
        why: FROM_SECRET.to_owned(),
        starts: true,
        basis: Basis::Source(OfSource {
            from: String::new(),
            hmac: format!("{webhook:?} {own} {inputs}"),
            has_inputs,
        }),
        subject,
    }
}

fn push(
    source: &Source,
    content: Option<&Content>,
    state: Option<&mut SourceState>,
) -> Option<Order> {
    let before = state.and_then(|state| {
        state.webhook = None;
        state.webhook_inputs.as_ref()
    });
    let Content { inputs, hmac, from } = content?;
    if before.and_then(|before| tried(before, hmac)).is_some() {
        return None;
    }
    let subject = subject(source);
    Some(Order {
        call: Write::UpdateWebhookInputs {
            source_id: source.id.clone(),
            inputs: inputs.clone(),
        },
        kind: Kind::WebhookInputs,
        what: format!("push {from} into the webhook of {}", subject.title),
        why: FROM_SECRET.to_owned(),
        starts: true,
        basis: Basis::Source(OfSource {
            from: from.clone(),
            hmac: hmac.clone(),
            has_inputs: None,
        }),
        subject,
    })
}
