//! Hands over what the user's Secrets hold: live look where one is needed, intent, send, outcome.

use super::{
    Leads, Ledger,
    calls::{self, Outcome},
};
use crate::{
    api::{
        ValidatedPolicy,
        status::{Fate, Handover},
    },
    decide::{
        credentials::{Handing, What},
        gate::Closed,
        safety::{self, Known, Permit, Webhook},
    },
    observe::{Snapshot, WriteScope, observer::ProjectView},
    posthog::{Transport, write::Write},
};

/// What came of it.
#[derive(Debug)]
pub enum Ran {
    /// Nothing was sent and nothing written.
    GateClosed(Closed),
    /// It was tried.
    Sent(Handover),
}

/// Hands `handing` over, once, if this process `leads`. `intent` must have written it down, durably, before it returns.
pub async fn run<T: Transport, E>(
    policy: &ValidatedPolicy,
    view: &ProjectView<T>,
    ledger: &Ledger,
    leads: &Leads,
    snapshot: &Snapshot,
    handing: &Handing,
    intent: impl AsyncFnOnce(&Handover) -> Result<(), E>,
) -> Result<Ran, E> {
    let id = &handing.source_id;
    let permit = match permit(view, snapshot, handing).await {
        Ok(permit) => permit,
        Err(closed) => return Ok(Ran::GateClosed(closed)),
    };
    let at = view.client.now();
    let intended = Handover {
        hmac: handing.hmac.clone(),
        at,
        fate: None,
        detail: String::new(),
    };
    let written = intent(&intended).await;
    let outcome = match &written {
        Err(_) => Outcome::not_sent("the intent could not be written down first"),
        // The last thing before the call: writing the intent down may have taken as long as the claim had left.
        Ok(()) if !leads(calls::deadline(&permit)) => {
            Outcome::not_sent("this process no longer leads")
        }
        Ok(()) => calls::send(&view.client, permit).await,
    };
    if outcome.lacks_scope {
        view.set_write_scope(WriteScope::Missing);
    }
    ledger.note(&policy.uid, id, handing.what.as_str(), at, outcome.clone());
    written?;
    Ok(Ran::Sent(outcome.handover(handing.hmac.clone(), at)))
}

async fn permit<T: Transport>(
    view: &ProjectView<T>,
    snapshot: &Snapshot,
    handing: &Handing,
) -> Result<Permit, Closed> {
    let source_id = handing.source_id.clone();
    let mut sources = snapshot.sources.iter();
    let source = sources
        .find(|source| source.id == source_id)
        .ok_or("the source is not in PostHog's list just now")?;
    let mut known = Known::source(source).map_err(|e| e.to_string())?;
    let call = match &handing.what {
        What::Credentials(job_inputs) => Write::PatchSource {
            source_id,
            job_inputs: job_inputs.clone(),
        },
        What::Webhook => {
            known.webhook = webhook(view, &source_id).await?;
            Write::CreateWebhook { source_id }
        }
        What::WebhookInputs(inputs) => {
            known.webhook = webhook(view, &source_id).await?;
            let inputs = inputs.clone();
            Write::UpdateWebhookInputs { source_id, inputs }
        }
    };
    safety::permit(call, known).map_err(|why| why.to_string())
}

/// Asked right before: an answer of an hour ago could make a second endpoint at the vendor.
async fn webhook<T: Transport>(view: &ProjectView<T>, source_id: &str) -> Result<Webhook, Closed> {
    let info = view.client.webhook_info(source_id).await;
    info.map(|info| Webhook::of(&info))
        .map_err(|e| e.to_string())
}

/// True if it left, whatever came of it.
#[must_use]
pub fn has_left(handover: &Handover) -> bool {
    handover.fate != Some(Fate::NotSent)
}
