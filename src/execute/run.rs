//! Sends one planned call: gate, intent, send, outcome.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    Ledger,
    calls::{self, Outcome},
};
use crate::{
    api::{
        ValidatedPolicy,
        status::{Call, Fate, Incident, Send},
    },
    decide::{
        Action,
        gate::{self, Closed},
        safety::{self, Known, Permit, Run, Table},
    },
    observe::{Look, WriteScope, observer::ProjectView},
    posthog::{
        Transport,
        write::{SchemaPatch, Write},
    },
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

/// Whether this process leads, and still will for as long as a call with this deadline may take.
pub type Leads = Arc<dyn Fn(Duration) -> bool + std::marker::Send + Sync>;

/// Longest time from the first read of the live gate to the send. What was seen any earlier may no longer hold.
const GATE_HOLDS: SignedDuration = SignedDuration::from_secs(20);
/// Why nothing is sent although the gate was open.
pub(super) const TOOK_TOO_LONG: &str =
    "what it rests on was read so long ago that it may have changed";

/// Whether too much time has passed by `now` since `read_from`, by a clock that may have been set.
pub(super) fn is_over(holds: SignedDuration, read_from: Timestamp, now: Timestamp) -> bool {
    now.duration_since(read_from).abs() > holds
}

/// Runs `action`: the live gate on fresh reads, then `intent` (which must have put the incident into the status, durably,
/// before it returns), then the call, once, if this process `leads`.
pub async fn run<T: Transport, E>(
    policy: &ValidatedPolicy,
    view: &ProjectView<T>,
    ledger: &Ledger,
    leads: &Leads,
    action: Action,
    intent: impl AsyncFnOnce(&Incident) -> Result<(), E>,
) -> Result<Ran, E> {
    let now = || view.client.now();
    let read_from = now();
    let permit = match permit(view, &action).await {
        Ok(permit) => permit,
        Err(closed) => return Ok(Ran::GateClosed(closed)),
    };
    if is_over(GATE_HOLDS, read_from, now()) {
        return Ok(Ran::GateClosed(TOOK_TOO_LONG.to_owned()));
    }
    let Action {
        mut incident, call, ..
    } = action;
    let job = incident.job_id.clone().filter(|_| call == Call::Cancel);
    if job.as_ref().is_some_and(|job| !ledger.cancels(job)) {
        return Ok(Ran::GateClosed(
            "this job was cancelled before: no job is cancelled twice".to_owned(),
        ));
    }
    let started_at = now();
    record(&mut incident, call, started_at);
    let written = intent(&incident).await;
    let outcome = match &written {
        // Whether or not the write landed: this process knows that nothing was sent.
        Err(_) => Outcome::not_sent("the intent could not be written down first"),
        Ok(()) if is_over(GATE_HOLDS, read_from, now()) => Outcome::not_sent(TOOK_TOO_LONG),
        // The last thing before the call: writing the intent down may have taken as long as the claim had left.
        Ok(()) if !leads(calls::deadline(&permit)) => {
            Outcome::not_sent("this process no longer leads")
        }
        Ok(()) => calls::send(&view.client, permit).await,
    };
    if outcome.lacks_scope {
        view.set_write_scope(WriteScope::Missing);
    }
    if let Some(job) = job.filter(|_| outcome.fate == Fate::NotSent) {
        ledger.did_not_cancel(&job);
    }
    ledger.note(
        &policy.uid,
        &incident.schema_id,
        call.as_str(),
        started_at,
        outcome.clone(),
    );
    written?;
    if let Some(send) = incident.sends.last_mut() {
        outcome.write_to(send);
    }
    Ok(Ran::Sent(Box::new(incident)))
}

/// The live gate. Nothing that was read before counts here.
async fn permit<T: Transport>(view: &ProjectView<T>, action: &Action) -> Result<Permit, Closed> {
    let Action {
        incident,
        call,
        hanging,
        name,
        warehouse,
        next_run,
    } = action;
    let (source_id, schema_id) = (&incident.source_id, &incident.schema_id);
    let live = Look::take(&view.client, source_id, schema_id, name, None).await;
    let (call, table) = match (call, hanging) {
        (Call::Cancel, Some(hanging)) => {
            let table = Table {
                run: Run::StillHangs(gate::still_hangs(schema_id, hanging, &live)?),
                ..Table::unknown(schema_id)
            };
            let call = Write::Cancel {
                schema_id: schema_id.clone(),
            };
            (call, table)
        }
        (Call::Cancel, None) => return Err("it is not known how far the run was".to_owned()),
        (Call::Enable, _) => {
            let schema = view
                .client
                .schema(schema_id)
                .await
                .map_err(|e| e.to_string())?;
            let table = Table {
                // The plan has no such action of a table that PostHog was not seen to switch off.
                disabled_by_posthog: true,
                next_run: *next_run,
                ..Table::listed(&schema.row)
            };
            let call = Write::PatchSchema(SchemaPatch {
                schema_id: schema_id.clone(),
                switch_on: true,
                ..SchemaPatch::default()
            });
            (call, table)
        }
        (Call::Reload, _) => {
            let schema = view
                .client
                .schema(schema_id)
                .await
                .map_err(|e| e.to_string())?;
            let table = Table {
                run: Run::Nothing(gate::nothing_runs(incident, &live, &schema.row)?),
                next_run: *next_run,
                ..Table::listed(&schema.row)
            };
            let call = Write::Reload {
                schema_id: schema_id.clone(),
            };
            (call, table)
        }
    };
    let known = Known::one_table(source_id, *warehouse, table).map_err(|e| e.to_string())?;
    safety::permit(call, known).map_err(|why| why.to_string())
}

fn record(incident: &mut Incident, call: Call, started_at: Timestamp) {
    if incident.sends.len() >= MAX_SENDS
        && let Some(position) = incident
            .sends
            .iter()
            .position(|send| send.fate == Some(Fate::NotSent))
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
