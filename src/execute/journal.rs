//! What is recorded of an order: the intent before it is sent, the outcome after. Knows where an order is recorded in status: as a send
//! of an incident, in the state of a source, or as a step of a proposal.

use jiff::Timestamp;

use super::{calls::Outcome, ledger::Place};
use crate::{
    api::{
        Timings, WarehouseSyncPolicyStatus,
        proposal::Proposal,
        status::{Fate, Incident, Note, Send, SentInput, SourceState},
    },
    decide::{
        Blocked, Held, Plan,
        approval::progress,
        incident::{self, Facts, Next},
        plan::{Basis, Kind, OfIncident, OfSource, Order},
        proposal, words,
    },
    observe::Snapshot,
    report::{Kubernetes, KubernetesError, Metrics, StatusWriter, decision_log},
};

/// Most sends that an incident remembers; the oldest that was never sent is removed.
const MAX_SENDS: usize = 6;

/// The record of an order in status.
#[derive(Debug, Clone)]
pub enum Record {
    /// As the newest send of an incident.
    Incident(Box<Incident>),
    /// In the state of its source.
    Source(SentInput),
    /// As the newest step of a proposal.
    Proposal(Box<Proposal>),
}

impl Record {
    /// The intent to send a call of an incident.
    #[must_use]
    pub fn incident(basis: &OfIncident, now: Timestamp) -> Self {
        let mut incident = basis.incident.clone();
        make_room(&mut incident.sends);
        incident.sends.push(Send {
            call: basis.call,
            started_at: now,
            fate: None,
            http_status: None,
            detail: String::new(),
        });
        Self::Incident(Box::new(incident))
    }

    /// The intent to send something to a source.
    #[must_use]
    pub fn source(basis: &OfSource, now: Timestamp) -> Self {
        Self::Source(SentInput {
            hmac: basis.hmac.clone(),
            at: now,
            fate: None,
            detail: String::new(),
            shown: false,
        })
    }

    /// When the call is, or was, about to be sent.
    #[must_use]
    pub fn started_at(&self) -> Option<Timestamp> {
        match self {
            Self::Incident(incident) => incident.sends.last().map(|send| send.started_at),
            Self::Source(sent_input) => Some(sent_input.at),
            Self::Proposal(proposal) => proposal.started_steps().last().map(|step| step.started_at),
        }
    }

    /// Where it is recorded.
    #[must_use]
    pub fn place(&self, order: &Order) -> Place {
        let source_id = || order.subject.source_id.clone();
        match (self, order.kind) {
            (Self::Incident(incident), _) => Place::Incident(incident.schema_id.clone()),
            (Self::Proposal(proposal), _) => Place::Proposal(proposal.id.clone()),
            (Self::Source(_), Kind::Credentials) => Place::Credentials(source_id()),
            (Self::Source(_), Kind::Webhook) => Place::Webhook(source_id()),
            (Self::Source(_), _) => Place::WebhookInputs(source_id()),
        }
    }

    /// The same, with the outcome of the call.
    fn with(self, outcome: &Outcome, timings: &Timings, now: Timestamp) -> Self {
        match self {
            Self::Incident(mut incident) => {
                if let Some(send) = incident.sends.last_mut() {
                    outcome.clone().write_to(send);
                }
                Self::Incident(incident)
            }
            Self::Source(SentInput { hmac, at, .. }) => {
                Self::Source(outcome.clone().sent_input(hmac, at))
            }
            Self::Proposal(intended) => {
                let after = progress::after_call(*intended, &outcome.sent(), timings, now);
                Self::Proposal(Box::new(after))
            }
        }
    }

    /// Puts it into the plan.
    fn put(self, plan: &mut Plan, order: &Order, now: Timestamp) {
        match self {
            Self::Incident(incident) => plan.put_incident(*incident),
            Self::Source(sent_input) => put_source(plan, order, sent_input),
            Self::Proposal(proposal) => proposal::put(plan, *proposal, now),
        }
    }
}

/// Records orders and their outcomes.
pub struct Journal<'a, 'w, K> {
    /// The writer of status.
    pub writer: &'a mut StatusWriter<'w, K>,
    /// The status that results from a plan.
    pub compose: &'a (dyn Fn(&Plan) -> WarehouseSyncPolicyStatus + std::marker::Send + Sync),
    /// What was observed.
    pub snapshot: &'a Snapshot,
    /// The fixed durations.
    pub timings: &'a Timings,
    /// Metrics.
    pub metrics: &'a Metrics,
    /// One time for all that a reconcile writes: a condition that changes in it changes once.
    pub now: Timestamp,
}

impl<K: Kubernetes> Journal<'_, '_, K> {
    /// Writes the status that results from the plan, and publishes what changed.
    pub async fn write(&mut self, plan: &Plan) -> Result<(), KubernetesError> {
        self.writer.write((self.compose)(plan), self.now).await?;
        self.writer.publish().await;
        Ok(())
    }

    /// Records that an order is held.
    pub fn held(&self, plan: &mut Plan, order: &Order, blocked: &Blocked) {
        plan.done(order);
        plan.held.push(Held::new(order, blocked));
        if let Basis::Proposal(basis) = &order.basis {
            let mut proposals = plan.proposals.iter_mut();
            if let Some(proposal) = proposals.find(|row| row.id == basis.id) {
                proposal.message = format!("{}{blocked}", words::note::HELD);
            }
        }
    }

    /// Records, durably, that `order` is about to be sent. Nothing may happen between this and the call.
    pub async fn intent(
        &mut self,
        plan: &Plan,
        order: &Order,
        record: &Record,
    ) -> Result<(), KubernetesError> {
        let mut intended = plan.clone();
        intended.sent(record.started_at());
        record.clone().put(&mut intended, order, self.now);
        self.writer
            .write((self.compose)(&intended), self.now)
            .await?;
        let at = self.writer.at();
        decision_log::decided(at, &order.subject.about, &order.what, &order.why);
        Ok(())
    }

    /// Records the outcome of a call in the plan, in metrics and in the log.
    pub fn outcome(
        &self,
        plan: &mut Plan,
        order: &Order,
        record: Record,
        outcome: &Outcome,
        now: Timestamp,
    ) {
        plan.done(order);
        let call = order.call.name();
        let Outcome { fate, detail, .. } = outcome;
        let left = *fate != Fate::NotSent;
        plan.sent(record.started_at().filter(|_| left));
        plan.notes.push(note(order, *fate, detail).into());
        self.metrics.sent(call, *fate);
        // An accepted call of an incident is reported by an event.
        let has_event = matches!(record, Record::Incident(_)) && *fate == Fate::Accepted;
        if !has_event {
            let at = self.writer.at();
            decision_log::answered(at, &order.subject.about, call, *fate, detail);
        }
        match record.with(outcome, self.timings, now) {
            Record::Incident(incident) => self.go_on(plan, *incident, now),
            // A call that was not sent changes nothing about earlier calls.
            Record::Source(_) if !left => {}
            record @ (Record::Source(_) | Record::Proposal(_)) => {
                record.put(plan, order, self.now);
            }
        }
    }

    /// Advances an incident by the answer.
    fn go_on(&self, plan: &mut Plan, mut incident: Incident, now: Timestamp) {
        let row = self
            .snapshot
            .row(&incident.source_id, &incident.schema_id)
            .map(|(_, schema)| schema);
        let facts = Facts {
            run_probe: None,
            row,
            timings: self.timings,
            now,
        };
        match incident::advance(&mut incident, &facts) {
            Next::Close(reason) => {
                plan.notes.push(Note::closing(&incident, &reason));
                plan.incidents
                    .retain(|known| known.schema_id != incident.schema_id);
            }
            // What is to be sent again is sent at the next reconcile, after its gate.
            Next::Wait | Next::Send(_) => plan.put_incident(incident),
        }
    }
}

/// The note about a call in the history.
fn note(order: &Order, fate: Fate, detail: &str) -> String {
    let (title, call) = (&order.subject.title, order.call.name());
    let became = match fate {
        Fate::Accepted => "accepted",
        Fate::Refused => "refused",
        Fate::NotSent => "not sent",
        Fate::Unknown => "outcome unknown",
    };
    if detail.is_empty() {
        format!("{title}: {call} {became}")
    } else {
        format!("{title}: {call} {became} ({detail})")
    }
}

fn make_room(sends: &mut Vec<Send>) {
    let mut not_sent = sends.iter().map(|send| send.fate == Some(Fate::NotSent));
    if sends.len() >= MAX_SENDS
        && let Some(position) = not_sent.position(|not_sent| not_sent)
    {
        sends.remove(position);
    }
}

fn put_source(plan: &mut Plan, order: &Order, sent_input: SentInput) {
    let Basis::Source(basis) = &order.basis else {
        return;
    };
    let id = &order.subject.source_id;
    if !plan.sources.iter().any(|state| state.id == *id) {
        plan.sources.push(SourceState {
            id: id.clone(),
            ..SourceState::default()
        });
    }
    let Some(state) = plan.sources.iter_mut().find(|state| state.id == *id) else {
        return;
    };
    match order.kind {
        Kind::Credentials => state.credentials = Some(sent_input),
        Kind::Webhook => {
            let taken = sent_input.fate == Some(Fate::Accepted) && sent_input.detail.is_empty();
            // A new endpoint has a secret of its own, which PostHog knows: that of an older one must not replace it.
            if let Some(hmac) = basis.has_inputs.clone().filter(|_| taken) {
                state.webhook_inputs = Some(SentInput {
                    hmac,
                    detail: String::new(),
                    shown: true,
                    ..sent_input.clone()
                });
            }
            state.webhook = Some(sent_input);
        }
        _ => state.webhook_inputs = Some(sent_input),
    }
}
