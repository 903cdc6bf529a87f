//! Sends one planned call: gate, intent, send, outcome.

use jiff::Timestamp;

use super::{Ledger, calls};
use crate::{
    api::{
        ValidatedPolicy,
        status::{Call, Incident, Send},
    },
    decide::{
        Action,
        gate::{self, Closed},
        safety::{self, Permit},
    },
    observe::{Look, WriteScope, observer::ProjectView},
    posthog::Transport,
};

/// Most sends that an incident remembers; the oldest that never left makes room.
const MAX_SENDS: usize = 6;

/// What came of an action.
#[derive(Debug)]
pub enum Ran {
    /// The live gate was closed; nothing was sent and nothing written.
    GateClosed(Closed),
    /// The call was tried; its outcome stands in the incident.
    Sent(Box<Incident>),
}

/// Runs `action`: the live gate on fresh reads, then `intent` (which must have put the incident into the status, durably,
/// before it returns), then the call, once. `clock` tells the time at each step.
pub async fn run<T: Transport, E>(
    policy: &ValidatedPolicy,
    view: &ProjectView<T>,
    ledger: &Ledger,
    action: Action,
    clock: &(dyn Fn() -> Timestamp + Sync),
    intent: impl AsyncFnOnce(&Incident) -> Result<(), E>,
) -> Result<Ran, E> {
    let permit = match permit(view, &action, clock()).await {
        Ok(permit) => permit,
        Err(closed) => return Ok(Ran::GateClosed(closed)),
    };
    if !ledger.claim(
        &policy.project,
        &action.incident.schema_id,
        &policy.uid,
        clock(),
    ) {
        return Ok(Ran::GateClosed(
            "another policy acts on this table just now".to_owned(),
        ));
    }
    let Action {
        mut incident, call, ..
    } = action;
    let started_at = clock();
    record(&mut incident, call, started_at);
    if let Err(error) = intent(&incident).await {
        // Whether or not the write landed: this process knows that nothing was sent.
        let outcome = calls::Outcome::not_sent("the intent could not be written down first");
        ledger.note(&policy.uid, &incident.schema_id, call, started_at, outcome);
        return Err(error);
    }
    let outcome = calls::send(&view.client, permit).await;
    if outcome.lacks_scope {
        view.set_write_scope(WriteScope::Missing);
    }
    ledger.note(
        &policy.uid,
        &incident.schema_id,
        call,
        started_at,
        outcome.clone(),
    );
    if let Some(send) = incident.sends.last_mut() {
        outcome.write_to(send);
    }
    Ok(Ran::Sent(Box::new(incident)))
}

/// The live gate. Nothing that was read before counts here.
async fn permit<T: Transport>(
    view: &ProjectView<T>,
    action: &Action,
    now: Timestamp,
) -> Result<Permit, Closed> {
    let Action {
        incident,
        call,
        hanging,
        warehouse,
    } = action;
    let live = Look::take(
        &view.client,
        now,
        &incident.source_id,
        &incident.schema_id,
        &incident.schema,
    )
    .await;
    match (call, hanging) {
        (Call::Cancel, Some(hanging)) => {
            let proof = gate::still_hangs(&incident.schema_id, hanging, &live)?;
            safety::cancel(*warehouse, proof).map_err(|e| e.to_string())
        }
        (Call::Cancel, None) => Err("it is not known how far the run was".to_owned()),
        (Call::Reload, _) => {
            let schema = view
                .client
                .schema(&incident.schema_id)
                .await
                .map_err(|e| e.to_string())?;
            let proof = gate::nothing_runs(incident, &live, &schema)?;
            safety::reload(*warehouse, proof).map_err(|e| e.to_string())
        }
    }
}

fn record(incident: &mut Incident, call: Call, started_at: Timestamp) {
    if incident.sends.len() >= MAX_SENDS
        && let Some(position) = incident
            .sends
            .iter()
            .position(|send| send.fate == Some(crate::api::status::Fate::NotSent))
    {
        incident.sends.remove(position);
    }
    incident.sends.push(Send {
        call,
        started_at,
        fate: None,
        http_status: None,
        detail: String::new(),
    });
}
