//! What this process knows about its sends that may not be in status yet.
//!
//! A status write can fail after a call was sent, or fail so that it is unknown whether it was stored. The status alone would
//! then say "sent, outcome unknown" although this process knows the outcome. A crash empties the ledger: then the outcome really
//! is unknown.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use super::{calls::Outcome, spending::Spending};
use crate::{
    api::{
        proposal::{Phase, Proposal, meet},
        status::{Incident, SentInput, SourceState},
        validated::Project,
    },
    decide::approval::progress::{self, Sent},
};

/// How long an outcome is remembered that no status needed: an abandoned write may still be stored late.
const REMEMBER: SignedDuration = SignedDuration::from_mins(30);

/// One send: uid of the policy, where it is recorded in status, when it was about to be sent.
type Entry = (String, Place, Timestamp);

/// Where a send is recorded in status.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the incident of this table.
    Incident(String),
    /// As the credentials of this source.
    Credentials(String),
    /// As the webhook of this source.
    Webhook(String),
    /// As the inputs of the webhook of this source.
    WebhookInputs(String),
    /// In the execution of this proposal.
    Proposal(String),
}

/// How long a table or source that one policy acted on is closed to the other policies of this process: by then every watch has
/// delivered the result.
const CLAIM: SignedDuration = SignedDuration::from_mins(5);

/// Outcomes by send, and the tables that policies are currently acting on.
#[derive(Debug, Default)]
pub struct Ledger {
    outcomes: Mutex<HashMap<Entry, Outcome>>,
    cancelled: Mutex<HashSet<String>>,
    claims: Mutex<Vec<Claim>>,
    executions: Mutex<HashSet<String>>,
    /// Proposals that were read while they waited for their approval and are still in the status, by the uid of their policy.
    waiting: Mutex<HashMap<String, HashSet<String>>>,
    /// How much was sent to each project.
    pub spending: Spending,
}

/// A claim that was made or renewed, and when it was made before.
#[derive(Debug)]
pub struct Claimed {
    claim: Claim,
    before: Option<Timestamp>,
}

/// A policy acts on a table, or on a source as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    project: Project,
    source_id: String,
    /// Empty for the source as a whole.
    schema_id: String,
    /// The uid of the policy.
    uid: String,
    at: Timestamp,
}

impl Claim {
    /// Whether both are of the same table, or one of the other's source.
    fn meets(&self, other: &Self) -> bool {
        let place = (&*other.source_id, &*other.schema_id);
        self.project == other.project && meet((&self.source_id, &self.schema_id), place)
    }
}

impl Ledger {
    /// Records the outcome of a send.
    pub fn note(&self, uid: &str, place: Place, started_at: Timestamp, outcome: Outcome) {
        let mut known = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(.., at), _| started_at.duration_since(*at) < REMEMBER);
        known.insert((uid.to_owned(), place, started_at), outcome);
    }

    /// Claims a table, or with an empty `schema_id` a source as a whole, for the policy `uid`; none if another policy of this process has
    /// recently claimed it, its source, or one of its tables. Ownership is derived from watches, so two policies could both take
    /// themselves for the owner for a moment.
    pub fn claim(
        &self,
        project: &Project,
        source_id: &str,
        schema_id: &str,
        uid: &str,
        now: Timestamp,
    ) -> Option<Claimed> {
        let claim = Claim {
            project: project.clone(),
            source_id: source_id.to_owned(),
            schema_id: schema_id.to_owned(),
            uid: uid.to_owned(),
            at: now,
        };
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|known| now.duration_since(known.at).abs() < CLAIM);
        if claims
            .iter()
            .any(|known| known.uid != uid && known.meets(&claim))
        {
            return None;
        }
        let mut before = None;
        claims.retain(|known| {
            let is_same = known.schema_id == claim.schema_id && known.meets(&claim);
            if is_same {
                before = Some(known.at);
            }
            !is_same
        });
        claims.push(claim.clone());
        Some(Claimed { claim, before })
    }

    /// Undoes a claim under which nothing was sent: a policy that is held must not hold others.
    pub fn give_back(&self, claimed: Claimed) {
        let Claimed { mut claim, before } = claimed;
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|known| *known != claim);
        if let Some(at) = before {
            claim.at = at;
            claims.push(claim);
        }
    }

    /// Records that this process starts the execution of a proposal.
    pub fn begins(&self, intent_id: &str) {
        let mut own = self
            .executions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        own.insert(intent_id.to_owned());
    }

    /// The executions that this process has started, by the ids of their intents.
    pub fn executions(&self) -> HashSet<String> {
        let own = self
            .executions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        own.clone()
    }

    /// True if this process has started the execution of a proposal of which `proposal` knows nothing: the status that was read is older
    /// than that, perhaps restored from a backup.
    pub fn knows_more_than(&self, proposal: &Proposal) -> bool {
        let own = self
            .executions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_of_it = |intent_id: &String| {
            let id = intent_id.split_once('@').map(|(id, _)| id);
            id == Some(&proposal.id)
        };
        proposal.execution.is_none() && own.iter().any(is_of_it)
    }

    /// True if this process has read of a proposal while it waited for its approval. Of any other, a process before this one may have sent a call of
    /// which a status that was restored from a backup says nothing.
    pub fn saw_it_wait(&self, uid: &str, proposal: &Proposal) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        (waiting.get(uid)).is_some_and(|ids| ids.contains(&proposal.id))
    }

    /// Completes the executions of proposals, as read from status, with outcomes that are missing there, and remembers which of them wait.
    pub fn complete_proposals(&self, uid: &str, proposals: &mut [Proposal]) {
        self.note_waiting(uid, proposals);
        let known = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        for proposal in proposals {
            let execution = proposal.execution.as_ref();
            let Some(last) = execution.and_then(|execution| execution.steps.last()) else {
                continue;
            };
            if last.fate.is_some() || proposal.is_over() {
                continue;
            }
            let (place, at) = (Place::Proposal(proposal.id.clone()), last.started_at);
            if let Some(outcome) = known.get(&(uid.to_owned(), place, at)) {
                let sent = outcome.sent();
                progress::record(proposal, &sent, at);
            }
        }
    }

    fn note_waiting(&self, uid: &str, proposals: &[Proposal]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = waiting.remove(uid).unwrap_or_default();
        let saw_it_wait = |proposal: &&Proposal| {
            proposal.phase == Phase::AwaitingApproval || before.contains(&proposal.id)
        };
        let ids = proposals.iter().filter(saw_it_wait);
        let ids: HashSet<String> = ids.map(|proposal| proposal.id.clone()).collect();
        if !ids.is_empty() {
            waiting.insert(uid.to_owned(), ids);
        }
    }

    /// Records that a job is about to be cancelled; false if it was before, by any policy, including deleted ones.
    pub fn cancels(&self, job_id: &str) -> bool {
        let mut cancelled = self
            .cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        cancelled.insert(job_id.to_owned())
    }

    /// Reverts that for a cancel that certainly was not sent.
    pub fn did_not_cancel(&self, job_id: &str) {
        let mut cancelled = self
            .cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        cancelled.remove(job_id);
    }

    /// Completes incidents, as read from status, with outcomes that are missing there.
    pub fn complete(&self, uid: &str, incidents: &mut [Incident]) {
        let known = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        for incident in incidents {
            let schema_id = incident.schema_id.clone();
            for send in incident.sends.iter_mut().filter(|send| send.fate.is_none()) {
                let place = Place::Incident(schema_id.clone());
                let entry = (uid.to_owned(), place, send.started_at);
                if let Some(outcome) = known.get(&entry) {
                    outcome.clone().write_to(send);
                }
            }
        }
    }

    /// The same for what was sent to sources.
    pub fn complete_sources(&self, uid: &str, sources: &mut [SourceState]) {
        let known = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        for state in sources {
            for (place, sent_input) in
                sent_inputs(state).filter(|(_, sent_input)| sent_input.fate.is_none())
            {
                let entry = (uid.to_owned(), place, sent_input.at);
                if let Some(outcome) = known.get(&entry) {
                    *sent_input = outcome
                        .clone()
                        .sent_input(sent_input.hmac.clone(), sent_input.at);
                }
            }
        }
    }
}

/// What was sent to a source, and where it is recorded.
fn sent_inputs(state: &mut SourceState) -> impl Iterator<Item = (Place, &mut SentInput)> {
    let SourceState {
        id,
        credentials,
        webhook_inputs,
        webhook,
    } = state;
    [
        (Place::Credentials(id.clone()), credentials),
        (Place::WebhookInputs(id.clone()), webhook_inputs),
        (Place::Webhook(id.clone()), webhook),
    ]
    .into_iter()
    .filter_map(|(place, sent_input)| Some((place, sent_input.as_mut()?)))
}

impl Outcome {
    /// What a proposal needs of it.
    #[must_use]
    pub fn sent(&self) -> Sent {
        Sent {
            fate: self.fate,
            http_status: self.http_status,
            detail: self.detail.clone(),
        }
    }

    /// The record of a handover with this outcome.
    #[must_use]
    pub fn sent_input(self, hmac: String, at: Timestamp) -> SentInput {
        SentInput {
            hmac,
            at,
            fate: Some(self.fate),
            detail: self.detail,
            shown: false,
        }
    }

    /// Writes the outcome into the record of its send.
    pub fn write_to(self, send: &mut crate::api::status::Send) {
        let Self {
            fate,
            http_status,
            detail,
            lacks_scope: _,
        } = self;
        send.fate = Some(fate);
        send.http_status = http_status.map(i64::from);
        send.detail = detail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::host::Host;

    #[test]
    fn a_table_and_its_source_are_claimed_by_one_policy_at_a_time() {
        let ledger = Ledger::default();
        let project = Project {
            host: Host::parse("https://us.posthog.com").unwrap(),
            id: 1,
        };
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let claim = |source: &str, table: &str, by: &str, minute| {
            ledger
                .claim(&project, source, table, by, at(minute))
                .is_some()
        };
        assert!(claim("s", "a1", "first", 0));
        assert!(!claim("s", "a1", "second", 1));
        assert!(
            claim("s", "a1", "first", 2),
            "the one that has it may go on"
        );
        assert!(claim("s", "b2", "second", 2));
        assert!(!claim("s", "", "second", 3), "the source has a table");
        assert!(claim("other", "", "second", 3));
        assert!(!claim("other", "c3", "first", 4), "the table has a source");
        assert!(claim("s", "a1", "second", 8));
        assert!(claim("s", "", "second", 9));
    }

    #[test]
    fn a_claim_under_which_nothing_was_sent_holds_nobody() {
        let ledger = Ledger::default();
        let project = Project {
            host: Host::parse("https://us.posthog.com").unwrap(),
            id: 1,
        };
        let claim = |table: &str, by: &str, minute: i64| {
            let now = Timestamp::from_second(minute * 60).unwrap();
            ledger.claim(&project, "s", table, by, now)
        };
        ledger.give_back(claim("", "first", 0).unwrap());
        assert!(claim("a", "second", 1).is_some());
        ledger.give_back(claim("a", "second", 3).unwrap());
        assert!(claim("", "first", 4).is_none(), "that of minute 1 stays");
        assert!(claim("", "first", 6).is_some(), "and no longer");
    }
}
