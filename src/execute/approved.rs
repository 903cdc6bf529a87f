//! Sends one call of an approved proposal: intent, send, outcome. What must hold before it is `decide`'s to say, on what was
//! read right before.

use jiff::{SignedDuration, Timestamp};

use super::{
    Leads, Ledger,
    calls::{self, Outcome},
    ledger::EXECUTE,
    run::{TOOK_TOO_LONG, is_over},
};
use crate::{
    api::{
        Timings, ValidatedPolicy,
        proposal::{ExecutedStep, Proposal},
    },
    decide::{
        approval::{Approved, progress},
        gate::Closed,
        safety,
    },
    observe::{WriteScope, observer::ProjectView},
    posthog::Transport,
};

/// Longest time from the first read that a step rests on to its send: a repair of a whole source reads each of its tables.
const GATE_HOLDS: SignedDuration = SignedDuration::from_mins(2);

/// What came of it.
#[derive(Debug)]
pub enum Ran {
    /// Nothing was sent and nothing written.
    GateClosed(Closed),
    /// It was tried; this is how the proposal stands.
    Sent(Box<Proposal>),
}

/// Sends the step of `intended`, once, if this process `leads`. What it rests on was read from `read_from` on. `intent` must have
/// written `intended` down, durably, before it returns.
pub async fn run<T: Transport, E>(
    (policy, timings): (&ValidatedPolicy, &Timings),
    view: &ProjectView<T>,
    ledger: &Ledger,
    leads: &Leads,
    (approved, intended, read_from): (Approved, Proposal, Timestamp),
    intent: impl AsyncFnOnce(&Proposal) -> Result<(), E>,
) -> Result<Ran, E> {
    let now = || view.client.now();
    if is_over(GATE_HOLDS, read_from, now()) {
        return Ok(Ran::GateClosed(TOOK_TOO_LONG.to_owned()));
    }
    let permit = safety::permit_approved(approved);
    let written = intent(&intended).await;
    let outcome = match &written {
        // Whether or not the write landed: this process knows that nothing was sent.
        Err(_) => Outcome::not_sent("the intent could not be written down first"),
        Ok(()) if is_over(GATE_HOLDS, read_from, now()) => Outcome::not_sent(TOOK_TOO_LONG),
        // The last thing before the call: writing the intent down may have taken as long as the claim had left.
        Ok(()) if !leads(calls::deadline(&permit)) => {
            Outcome::not_sent("this process no longer leads")
        }
        Ok(()) => {
            if let Some(execution) = &intended.execution {
                ledger.begins(&execution.intent_id);
            }
            calls::send(&view.client, permit).await
        }
    };
    if outcome.lacks_scope {
        view.set_write_scope(WriteScope::Missing);
    }
    let sent = outcome.sent();
    if let Some(ExecutedStep { started_at, .. }) = last(&intended) {
        ledger.note(&policy.uid, &intended.id, EXECUTE, *started_at, outcome);
    }
    written?;
    let after = progress::after_call(intended, &sent, timings, now());
    Ok(Ran::Sent(Box::new(after)))
}

/// The step that is, or was, about to be sent.
#[must_use]
pub fn last(proposal: &Proposal) -> Option<&ExecutedStep> {
    proposal.execution.as_ref()?.steps.last()
}
