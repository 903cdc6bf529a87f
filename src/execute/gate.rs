//! The live gate: reads the facts of a call right before it is sent. Earlier reads are not used here.

use jiff::{SignedDuration, Timestamp};

use super::{journal::Record, ledger::Ledger};
use crate::{
    api::{Timings, proposal::Proposal, status::Call},
    decide::{
        Blocked, Guard,
        approval::{self, Case},
        gate::{self, Closed},
        plan::{Basis, Kind, OfIncident, Order, Subject},
        safety::{self, Evidence, Permit, Run, TableEvidence, Webhook},
        words::closed,
    },
    diagnose::{self, Diagnosis, Verdict},
    observe::{Canary, Live, ReadsLog, RunProbe, observer::ProjectView},
    posthog::{Client, PostHogError, Transport, write::Write},
};

/// How long reads of one table are valid.
const OF_A_TABLE: SignedDuration = SignedDuration::from_secs(20);
/// How long reads of a source as a whole are valid: for some, `PostHog` queries the source or its vendor, which takes longer.
const OF_A_SOURCE: SignedDuration = SignedDuration::from_mins(2);

/// A call that may be sent, and what must be recorded before.
#[derive(Debug)]
pub struct Ready {
    /// The right to send it.
    pub permit: Permit,
    /// Its record in status before it is sent.
    pub record: Record,
    /// When the first of its reads started.
    pub read_from: Timestamp,
}

/// What the gate says.
#[derive(Debug)]
pub enum Gate {
    /// The call may be sent.
    Open(Box<Ready>),
    /// A guard holds it, or what was read forbids it.
    Held(Blocked),
    /// For a proposal: no call is due; this is its new state.
    Stays(Box<Proposal>),
}

/// Whether reads from `read_from` on are too old at `now`, by a clock that may have been set. The one rule for all kinds of orders.
#[must_use]
pub fn is_stale(subject: &Subject, read_from: Timestamp, now: Timestamp) -> bool {
    let holds = if subject.is_source() {
        OF_A_SOURCE
    } else {
        OF_A_TABLE
    };
    now.duration_since(read_from).abs() > holds
}

/// Reads the facts of `order`, and judges them. `known` is what was known before, `diagnosis` what followed from it.
pub async fn open<T: Transport>(
    view: &ProjectView<T>,
    (known, diagnosis): (&diagnose::Known<'_>, &Diagnosis),
    order: &Order,
    ledger: &Ledger,
) -> Gate {
    let now = || view.client.now();
    let read_from = now();
    let judged = match &order.basis {
        Basis::Incident(basis) => of_incident(&view.client, known.timings, order, basis)
            .await
            .map(|permit| (permit, Record::incident(basis, now()))),
        Basis::Source(basis) => of_source(&view.client, order)
            .await
            .map(|permit| (permit, Record::source(basis, now()))),
        Basis::Proposal(basis) => {
            let mut proposals = known.proposals.iter();
            match proposals.find(|row| row.id == basis.id) {
                None => Err(refused(&closed::PROPOSAL_GONE)),
                Some(proposal) => match next(view, (known, diagnosis), proposal, ledger).await {
                    approval::Progress::Stay(stays) => return Gate::Stays(stays),
                    approval::Progress::Closed(closed) => Err(closed),
                    approval::Progress::Send(approved, intended) => {
                        let stands = canary_of_cancel(&view.client, diagnosis, order).await;
                        stands.map(|()| {
                            let permit = safety::permit_approved(approved);
                            (permit, Record::Proposal(intended))
                        })
                    }
                },
            }
        }
    };
    match judged {
        Ok((permit, record)) => Gate::Open(Box::new(Ready {
            permit,
            record,
            read_from,
        })),
        Err(closed) => Gate::Held(Guard::Facts.says(closed.to_string())),
    }
}

/// The canary must still be listed when a run is cancelled for its silence.
async fn canary_holds<T: Transport>(
    client: &Client<T>,
    canary: Option<&Canary>,
) -> Result<(), Closed> {
    match canary {
        Some(canary) if !canary.still_holds(client).await => {
            Err(Closed::Unread(closed::canary_not_listed(&canary.name)))
        }
        Some(_) | None => Ok(()),
    }
}

/// The same for the cancel of a proposal.
async fn canary_of_cancel<T: Transport>(
    client: &Client<T>,
    diagnosis: &Diagnosis,
    order: &Order,
) -> Result<(), Closed> {
    let judged = diagnosis.of(&order.subject.schema_id);
    match (&order.call, judged.map(|judged| &judged.verdict)) {
        (Write::Cancel { .. }, Some(Verdict::Silent(silence) | Verdict::StuckJob(silence))) => {
            canary_holds(client, silence.canary.as_ref()).await
        }
        _ => Ok(()),
    }
}

fn unread(error: &PostHogError) -> Closed {
    Closed::Unread(error.to_string())
}

fn refused(why: &dyn ToString) -> Closed {
    Closed::Changed(why.to_string())
}

async fn of_incident<T: Transport>(
    client: &Client<T>,
    timings: &Timings,
    order: &Order,
    basis: &OfIncident,
) -> Result<Permit, Closed> {
    let OfIncident {
        incident,
        call,
        hanging,
        name,
        warehouse,
        next_run,
    } = basis;
    let (source_id, schema_id) = (&incident.source_id, &incident.schema_id);
    // After a cancel the table must be quiet, too.
    let reads_log = if incident.job_id.is_some() {
        ReadsLog::Always
    } else {
        ReadsLog::OfRunning
    };
    let table = (source_id.as_str(), schema_id.as_str(), name.as_str());
    let live = RunProbe::take(client, table, None, reads_log).await;
    if let (Call::Cancel, Some(hanging)) = (call, hanging) {
        canary_holds(client, hanging.canary.as_ref()).await?;
    }
    let table = match (call, hanging) {
        (Call::Cancel, Some(hanging)) => TableEvidence {
            run: Run::StillStuck(gate::still_stuck(schema_id, hanging, &live)?),
            ..TableEvidence::unknown(schema_id)
        },
        (Call::Cancel, None) => return Err(refused(&closed::PROGRESS_UNKNOWN)),
        (Call::Enable, _) => {
            let schema = client.schema(schema_id).await.map_err(|e| unread(&e))?;
            TableEvidence {
                // The plan has no such order for a table that PostHog was not observed switching off.
                disabled_by_posthog: true,
                next_run: *next_run,
                ..TableEvidence::listed(&schema.row)
            }
        }
        (Call::Reload, _) => {
            let schema = client.schema(schema_id).await.map_err(|e| unread(&e))?;
            TableEvidence {
                run: Run::Nothing(gate::no_run_in_progress(
                    (incident, timings),
                    &live,
                    &schema.row,
                )?),
                next_run: *next_run,
                ..TableEvidence::listed(&schema.row)
            }
        }
    };
    let known = Evidence::one_table(source_id, *warehouse, table).map_err(|why| refused(&why))?;
    safety::permit(order.call.clone(), known).map_err(|why| refused(&why))
}

/// An hour-old answer could lead to a second endpoint at the vendor, or send credentials to a source that has been replaced.
async fn of_source<T: Transport>(client: &Client<T>, order: &Order) -> Result<Permit, Closed> {
    let source_id = &order.subject.source_id;
    let source = client.source(source_id).await.map_err(|e| unread(&e))?;
    let mut known = Evidence::source(&source).map_err(|why| refused(&why))?;
    if order.kind != Kind::Credentials {
        let info = client.webhook_info(source_id).await;
        known.webhook = Webhook::of(&info.map_err(|e| unread(&e))?);
    }
    safety::permit(order.call.clone(), known).map_err(|why| refused(&why))
}

/// What comes next for a proposal, whether a call is due or a proof is awaited.
pub async fn next<T: Transport>(
    view: &ProjectView<T>,
    (known, diagnosis): (&diagnose::Known<'_>, &Diagnosis),
    proposal: &Proposal,
    ledger: &Ledger,
) -> approval::Progress {
    let live = Live::take(&view.client, proposal.action, &proposal.target).await;
    let snapshot = live.over(known.snapshot, &known.policy.selector);
    let known = diagnose::Known {
        snapshot: &snapshot,
        now: view.client.now(),
        ..*known
    };
    approval::next(&Case {
        proposal,
        live: &live,
        known: &known,
        diagnosis,
        saw_it_wait: ledger.saw_it_wait(&known.policy.uid, proposal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guards::fixture::{now, of_proposal};

    #[test]
    fn reads_count_for_twenty_seconds_those_of_a_source_for_two_minutes_by_either_clock() {
        for (schema_id, seconds, expected) in [
            ("a1", 20, false),
            ("a1", 21, true),
            ("a1", -20, false),
            ("a1", -21, true),
            ("", 120, false),
            ("", 121, true),
        ] {
            let read_from = now() - SignedDuration::from_secs(seconds);
            let subject = of_proposal(schema_id).subject;
            let stale = is_stale(&subject, read_from, now());
            assert_eq!(stale, expected, "{schema_id:?} after {seconds} s");
        }
    }
}
