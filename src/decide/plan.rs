//! The types of the plan of one reconcile: which incidents move, which calls are to be sent, and what is held back by which guard.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use strum::VariantArray as _;

use super::{
    gate::StuckRun,
    guards::{Blocked, Guard},
    proposal::key::Key,
    safety::known::NextRun,
};
use crate::{
    api::{
        About,
        proposal::{Proposal, ProposedAction},
        status::{BreakerState, Call, Incident, Note, SourceState, Suppressed, Tried},
    },
    posthog::write::Write,
};

/// What is to happen in this reconcile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The incidents before anything is sent.
    pub incidents: Vec<Incident>,
    /// What to send, one after the other, each after its live gate.
    pub orders: Vec<Order>,
    /// What would be sent, and what holds it back.
    pub held: Vec<Held>,
    /// Steps seen in this reconcile, for the history.
    pub notes: Vec<Note>,
    /// What PostHog was sent from the user's Secrets, by source.
    pub sources: Vec<SourceState>,
    /// How often a repair of a table was started in incidents that are closed, by id of the table, until it is healthy.
    pub tried: BTreeMap<String, Tried>,
    /// What is not proposed again for a while.
    pub suppressed: Vec<Suppressed>,
    /// Whether approvals are valid even while the admission policies are not in effect.
    pub unguarded: bool,
    /// Requests of people that led to a proposal, by id of the table.
    pub requests: BTreeMap<String, String>,
    /// When calls were sent in the last hour, those of this reconcile included.
    pub sends: Vec<Timestamp>,
    /// The breaker; none while it is closed.
    pub breaker: Option<BreakerState>,
    /// The reset that was last handled.
    pub reset_handled: Option<String>,
    /// What needs a person's approval. Described, never sent.
    pub proposals: Vec<Proposal>,
    /// The next action of findings for which a proposal fits.
    pub said: BTreeMap<Key, NextStep>,
}

/// A call to send. The permit is made only behind its live gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The table or the source that it is about.
    pub subject: Subject,
    /// The call.
    pub call: Write,
    /// What kind of order it is, for guards.
    pub kind: Kind,
    /// What sending it does, in words.
    pub what: String,
    /// Why it is sent, as a sentence.
    pub why: String,
    /// Whether it starts something; otherwise it continues what was started, which guards of the start do not hold.
    pub starts: bool,
    /// Where it is recorded in status, and the facts of its decision.
    pub basis: Basis,
}

/// A table, or a source as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Id of the source.
    pub source_id: String,
    /// Id of the table; empty for the source as a whole.
    pub schema_id: String,
    /// What people call it.
    pub title: String,
    /// Its names, for the log.
    pub about: About,
}

impl Subject {
    /// The id of the table, or of the source as a whole.
    #[must_use]
    pub fn id(&self) -> &str {
        if self.schema_id.is_empty() {
            &self.source_id
        } else {
            &self.schema_id
        }
    }

    /// True for a source as a whole.
    #[must_use]
    pub fn is_source(&self) -> bool {
        self.schema_id.is_empty()
    }
}

/// Kinds of orders. Each guard in the chain names those that it never holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::VariantArray)]
pub enum Kind {
    /// Cancel a stuck run and reload its table.
    Stuck,
    /// Reload a table that failed with a transient cause.
    Reload,
    /// Reload a table that is stale.
    StaleReload,
    /// Reload a table whose credentials were renewed.
    RotationReload,
    /// Switch a table on again whose problem is proved to be fixed.
    Enable,
    /// New credentials of a source.
    Credentials,
    /// A webhook for a source that lacks it.
    Webhook,
    /// New inputs of a webhook.
    WebhookInputs,
    /// A step of a proposal that a person approved.
    Approved,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = Self::VARIANTS;
}

/// Where an order is recorded in status, and the facts of its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Basis {
    /// As a send of an incident.
    Incident(Box<OfIncident>),
    /// In the state of its source.
    Source(OfSource),
    /// As a step of a proposal.
    Proposal(OfProposal),
}

/// The facts of an order for an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfIncident {
    /// The incident, which is in [`Plan::incidents`] only if it was opened before this reconcile.
    pub incident: Incident,
    /// The call, as the incident records it.
    pub call: Call,
    /// For a cancel: how far the run was when it was judged.
    pub hanging: Option<StuckRun>,
    /// The table's name, as `PostHog` has it.
    pub name: String,
    /// Whether its source is certainly one that `PostHog` imports from.
    pub warehouse: bool,
    /// What its next run does to its data.
    pub next_run: NextRun,
}

/// The facts of a step of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfProposal {
    /// The id of the proposal; empty for one that does not exist yet.
    pub id: String,
    /// Its action.
    pub action: ProposedAction,
    /// How many calls are still to come, this one included.
    pub steps_left: usize,
}

/// The facts of an order for a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfSource {
    /// The Secret that it comes from, in words; empty for a webhook.
    pub from: String,
    /// What distinguishes its content from another.
    pub hmac: String,
    /// For a new webhook: the inputs that the Secret has for it. `PostHog` knows better ones, unless it says that it lacks
    /// them.
    pub has_inputs: Option<String>,
}

/// What a finding shows about its proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextStep {
    /// The action that fits.
    pub action: ProposedAction,
    /// What comes next, as a sentence.
    pub next: String,
}

/// An order, and the guard that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Id of the table, or of the source.
    pub schema_id: String,
    /// What would be done.
    pub what: String,
    /// What kind of order it is.
    pub kind: Kind,
    /// The guard that holds it.
    pub guard: Guard,
    /// Why, with the name of the guard.
    pub blocked_by: String,
    /// What it is about.
    pub about: About,
}

impl Held {
    /// Records that an order is held.
    #[must_use]
    pub fn new(order: &Order, blocked: &Blocked) -> Self {
        Self {
            schema_id: order.subject.id().to_owned(),
            what: order.what.clone(),
            kind: order.kind,
            guard: blocked.guard,
            blocked_by: blocked.to_string(),
            about: order.subject.about.clone(),
        }
    }
}

impl Plan {
    /// Records a send. Only then are old ones forgotten, so that a poll without news changes nothing.
    pub fn sent(&mut self, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        self.sends = last_hour(&self.sends, at).collect();
        self.sends.push(at);
    }

    /// The orders for incidents.
    pub fn incident_orders(&self) -> impl Iterator<Item = &OfIncident> {
        self.orders.iter().filter_map(|order| match &order.basis {
            Basis::Incident(basis) => Some(&**basis),
            Basis::Source(_) | Basis::Proposal(_) => None,
        })
    }

    /// How many orders are for sources.
    #[must_use]
    pub fn source_orders(&self) -> usize {
        let of_source = |order: &&Order| matches!(order.basis, Basis::Source(_));
        self.orders.iter().filter(of_source).count()
    }

    /// Removes an order from the list: it was sent, or is held.
    pub fn done(&mut self, order: &Order) {
        self.orders.retain(|planned| planned != order);
    }

    /// Adds an incident, or replaces the one of its table.
    pub fn put_incident(&mut self, incident: Incident) {
        let mut known = self.incidents.iter_mut();
        match known.find(|known| known.schema_id == incident.schema_id) {
            Some(known) => *known = incident,
            None => self.incidents.push(incident),
        }
    }
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The sends of the last hour.
pub fn last_hour(sends: &[Timestamp], now: Timestamp) -> impl Iterator<Item = Timestamp> {
    sends
        .iter()
        .copied()
        .filter(move |at| now.duration_since(*at) < HOUR)
}
