//! The only sender. Every call that writes takes this path:
//!
//! ```text
//! claim → caps → guards that hold every send → fresh reads and gate → intent → leads → send → outcome
//! ```
//! The table or source is claimed first: what another policy started before is known by then, or its claim conflicts. The intent is
//! in status before the call, and the outcome after, so that a call is sent again only if it certainly was not sent before. The call
//! ends with the claim to leadership: a process that was frozen sends nothing late.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Journal, Ledger,
    calls::{self, Outcome},
    gate::{self, Gate, Ready},
    journal::Record,
    ledger::Claimed,
    spending::NextCall,
};
use crate::{
    api::{
        Timings, ValidatedPolicy,
        proposal::Proposal,
        status::{Call, Fate, State},
    },
    decide::{
        Blocked, Guard, OperatorLimits, OrderContext, Plan,
        approval::{self, pending_reset},
        guards::chain,
        plan::{Basis, Order},
        words::closed,
    },
    diagnose::{Diagnosis, Known},
    observe::{Snapshot, WriteScope, observer::ProjectView},
    posthog::Transport,
    report::{Kubernetes, KubernetesError},
};

/// Until when this process leads, by the monotonic clock; none if it does not lead, or not for as long as a call with this deadline
/// may take.
pub type Leads = Arc<dyn Fn(Duration) -> Option<Instant> + Send + Sync>;

/// Sends the orders of one reconcile.
pub struct Sender<'a, T, K> {
    /// The policy.
    pub policy: &'a ValidatedPolicy,
    /// The project.
    pub view: &'a ProjectView<T>,
    /// Kubernetes.
    pub kubernetes: &'a K,
    /// What was observed before the decision.
    pub snapshot: &'a Snapshot,
    /// What is remembered of earlier reconciles.
    pub state: &'a State,
    /// What is wrong.
    pub diagnosis: &'a Diagnosis,
    /// The fixed durations.
    pub timings: &'a Timings,
    /// The limits that guards check.
    pub limits: OperatorLimits,
    /// What this process has sent.
    pub ledger: &'a Ledger,
    /// Whether it leads.
    pub leads: &'a Leads,
}

/// The result of an order.
#[derive(Debug)]
pub enum OrderResult {
    /// A guard holds it; only that was recorded.
    Held,
    /// It was not sent, for a recorded reason.
    NotSent,
    /// It was sent, with any outcome.
    Left,
    /// For a proposal: no call is due; this is its new state.
    Stays(Box<Proposal>),
}

impl<T: Transport, K: Kubernetes> Sender<'_, T, K> {
    /// Sends `order`, once, unless something holds it. The result is put into the plan; the intent is in status already, the outcome
    /// is written by the caller.
    pub async fn send(
        &self,
        plan: &mut Plan,
        order: &Order,
        journal: &mut Journal<'_, '_, K>,
    ) -> Result<OrderResult, KubernetesError> {
        self.check_leads()?;
        let claimed = match self.claim(order) {
            Ok(claimed) => claimed,
            Err(blocked) => {
                journal.held(plan, order, &blocked);
                return Ok(OrderResult::Held);
            }
        };
        let result = self.claimed(plan, order, journal).await;
        if !matches!(result, Ok(OrderResult::Left)) {
            self.ledger.give_back(claimed);
        }
        result
    }

    /// The path after the claim.
    async fn claimed(
        &self,
        plan: &mut Plan,
        order: &Order,
        journal: &mut Journal<'_, '_, K>,
    ) -> Result<OrderResult, KubernetesError> {
        let next_call = self.next_call(order);
        if let Some(blocked) = self.over_cap(next_call, plan) {
            journal.held(plan, order, &blocked);
            return Ok(OrderResult::Held);
        }
        let result = self.go(plan, order, journal).await;
        if !matches!(result, Ok(OrderResult::Left)) {
            self.ledger.spending.give_back(next_call);
        }
        result
    }

    /// The path after the claim and the caps.
    async fn go(
        &self,
        plan: &mut Plan,
        order: &Order,
        journal: &mut Journal<'_, '_, K>,
    ) -> Result<OrderResult, KubernetesError> {
        match self.gate(plan, order).await? {
            Gate::Open(ready) => self.exchange(plan, order, *ready, journal).await,
            Gate::Stays(proposal) => Ok(OrderResult::Stays(proposal)),
            Gate::Held(blocked) => {
                journal.held(plan, order, &blocked);
                Ok(OrderResult::Held)
            }
        }
    }

    /// The guards, with the latest state of other policies, then the live gate.
    async fn gate(&self, plan: &Plan, order: &Order) -> Result<Gate, KubernetesError> {
        let snapshot = self.snapshot_of_now(order).await?;
        let known = self.known(&snapshot, plan);
        let may_wipe = pending_reset::by_anyone(&known);
        let ask = OrderContext {
            known: &known,
            diagnosis: self.diagnosis,
            plan,
            limits: self.limits,
            may_wipe: &may_wipe,
            kind: order.kind,
            subject: &order.subject,
            basis: &order.basis,
            starts: order.starts,
        };
        let blocked = match order.basis {
            Basis::Incident(_) | Basis::Source(_) => chain::holds_send(&ask),
            // It was just created: the guards that hold a start have not been evaluated.
            Basis::Proposal(_) => chain::holds(&ask),
        };
        Ok(match blocked {
            Some(blocked) => Gate::Held(blocked),
            None => gate::open(self.view, (&known, self.diagnosis), order, self.ledger).await,
        })
    }

    /// What was observed, with the latest state of the other policies of the project.
    async fn snapshot_of_now(&self, order: &Order) -> Result<Snapshot, KubernetesError> {
        let other_policies = self
            .kubernetes
            .other_policies(&self.policy.at, &self.policy.project);
        let approval_guard = match order.basis {
            Basis::Incident(_) | Basis::Source(_) => self.snapshot.approval_guard.clone(),
            Basis::Proposal(_) => self.kubernetes.approval_guard().await?,
        };
        Ok(Snapshot {
            other_policies,
            approval_guard,
            ..self.snapshot.clone()
        })
    }

    /// The state of a proposal without a due call, from what is read for it now.
    pub async fn verify(
        &self,
        plan: &Plan,
        proposal: &Proposal,
    ) -> Result<OrderResult, KubernetesError> {
        self.check_leads()?;
        let known = self.known(self.snapshot, plan);
        Ok(
            match gate::next(self.view, (&known, self.diagnosis), proposal, self.ledger).await {
                approval::Progress::Stay(stays) => OrderResult::Stays(stays),
                // A call takes the road of all calls, at the next turn.
                approval::Progress::Send(..) | approval::Progress::Closed(_) => OrderResult::Held,
            },
        )
    }

    fn known<'k>(&'k self, snapshot: &'k Snapshot, plan: &'k Plan) -> Known<'k> {
        Known {
            policy: self.policy,
            snapshot,
            state: self.state,
            proposals: &plan.proposals,
            timings: self.timings,
            now: self.view.client.now(),
        }
    }

    /// Intent, leadership, call, outcome.
    async fn exchange(
        &self,
        plan: &mut Plan,
        order: &Order,
        ready: Ready,
        journal: &mut Journal<'_, '_, K>,
    ) -> Result<OrderResult, KubernetesError> {
        let Ready {
            permit,
            record,
            read_from,
        } = ready;
        let is_stale = || gate::is_stale(&order.subject, read_from, self.view.client.now());
        let job = cancels(order);
        let why = if is_stale() {
            Some(closed::FACTS_TOO_OLD)
        } else if job.is_some_and(|job| !self.ledger.cancels(job)) {
            Some("not cancelled again: this run was cancelled before")
        } else if self.was_begun(plan, order) {
            Some(closed::STATUS_IS_OLDER)
        } else {
            None
        };
        if let Some(why) = why {
            journal.held(plan, order, &Guard::Facts.says(why));
            return Ok(OrderResult::Held);
        }
        let written = match self.check_leads() {
            Ok(()) => journal.intent(plan, order, &record).await,
            Err(error) => Err(error),
        };
        let outcome = match &written {
            // Whether or not the write was stored: this process knows that nothing was sent.
            Err(_) => Outcome::not_sent("the intent could not be written to status"),
            Ok(()) if is_stale() => Outcome::not_sent(closed::FACTS_TOO_OLD),
            // The last check before the call: writing the intent may have outlasted the claim.
            Ok(()) => match (self.leads)(calls::deadline(&permit)) {
                None => Outcome::not_sent("this replica is no longer the leader"),
                Some(until) => {
                    self.begins(&record);
                    calls::send(&self.view.client, permit, until).await
                }
            },
        };
        if outcome.lacks_scope {
            self.view.set_write_scope(WriteScope::Missing);
        }
        let left = outcome.fate != Fate::NotSent;
        if let Some(job) = job.filter(|_| !left) {
            self.ledger.did_not_cancel(job);
        }
        if let Some(at) = record.started_at() {
            let (uid, place) = (&self.policy.uid, record.place(order));
            self.ledger.note(uid, place, at, outcome.clone());
        }
        written?;
        journal.outcome(plan, order, record, &outcome, self.view.client.now());
        Ok(if left {
            OrderResult::Left
        } else {
            OrderResult::NotSent
        })
    }

    /// A proposal that this process executes remains its own, even if the admission policies were not in effect for a while.
    fn begins(&self, record: &Record) {
        if let Record::Proposal(proposal) = record
            && let Some(execution) = &proposal.execution
        {
            self.ledger.begins(&execution.intent_id);
        }
    }

    /// True for a proposal that this process has begun to execute before, although status does not say so.
    fn was_begun(&self, plan: &Plan, order: &Order) -> bool {
        let Basis::Proposal(basis) = &order.basis else {
            return false;
        };
        let mut proposals = plan.proposals.iter();
        let own = proposals.find(|row| row.id == basis.id);
        own.is_some_and(|row| self.ledger.knows_more_than(row))
    }

    /// A reconcile that is in progress when leadership is lost sends and records nothing more.
    fn check_leads(&self) -> Result<(), KubernetesError> {
        match (self.leads)(Duration::ZERO) {
            Some(_) => Ok(()),
            None => Err(KubernetesError::NotLeading(self.policy.at.clone())),
        }
    }

    /// Claims the table or source of the order, or says why it is not sent: another policy of this process has claimed it.
    fn claim(&self, order: &Order) -> Result<Claimed, Blocked> {
        let subject = &order.subject;
        let (policy, now) = (self.policy, self.view.client.now());
        let claimed = self.ledger.claim(
            &policy.project,
            &subject.source_id,
            &subject.schema_id,
            &policy.uid,
            now,
        );
        let what = if subject.is_source() {
            "source"
        } else {
            "table"
        };
        claimed.ok_or_else(|| Guard::Owner.says(format!("another policy is acting on this {what}")))
    }

    /// Counts a call; returns why it is not sent if that would exceed the operator's cap for the project.
    fn over_cap(&self, next_call: NextCall<'_>, plan: &Plan) -> Option<Blocked> {
        let other_policies = self.snapshot.other_policies.iter();
        let sent = other_policies
            .flat_map(|other_policy| &other_policy.sends)
            .chain(&plan.sends);
        let (most, now) = (self.limits.max_actions_per_hour, self.view.client.now());
        let is_taken = self
            .ledger
            .spending
            .take(next_call, sent.copied(), most, now);
        (!is_taken).then(|| Guard::OperatorCap.says(OVER_CAP))
    }

    fn next_call<'w>(&'w self, order: &'w Order) -> NextCall<'w> {
        let (starts, reserves) = starts_and_reserves(order);
        NextCall {
            project: &self.policy.project,
            uid: &self.policy.uid,
            id: order.subject.id(),
            starts,
            reserves,
        }
    }
}

/// Why a call waits if another policy has just used the last one.
const OVER_CAP: &str =
    "--max-actions-per-hour, for all policies of the project: all calls of the last hour are used";

/// Whether something begins with the call, and whether another one is to come after it.
fn starts_and_reserves(order: &Order) -> (bool, bool) {
    match &order.basis {
        Basis::Incident(basis) => {
            let mut sends = basis.incident.sends.iter();
            let starts = sends.all(|send| send.fate == Some(Fate::NotSent));
            (starts, basis.call != Call::Reload)
        }
        Basis::Source(_) => (true, false),
        Basis::Proposal(basis) => (order.starts, basis.steps_left > 1),
    }
}

/// The job that is cancelled, if one is.
fn cancels(order: &Order) -> Option<&str> {
    match &order.basis {
        Basis::Incident(basis) if basis.call == Call::Cancel => basis.incident.job_id.as_deref(),
        Basis::Incident(_) | Basis::Source(_) | Basis::Proposal(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{
        guards::fixture::{of_incident, of_proposal, of_source, sent},
        plan::Kind,
    };

    /// An order for an incident of run `j` that has sent these calls.
    fn after(call: Call, sends: &[(Call, Option<Fate>)]) -> Order {
        let mut order = of_incident(Kind::Stuck, call);
        if let Basis::Incident(basis) = &mut order.basis {
            basis.incident.job_id = Some("j".into());
            basis.incident.sends = sends
                .iter()
                .map(|(call, fate)| sent(*call, *fate))
                .collect();
        }
        order
    }

    fn step(starts: bool, steps_left: usize) -> Order {
        let mut order = of_proposal("a1");
        order.starts = starts;
        if let Basis::Proposal(basis) = &mut order.basis {
            basis.steps_left = steps_left;
        }
        order
    }

    #[test]
    fn a_call_reserves_its_follow_up_and_what_has_started_may_finish() {
        let (cancel, enable, reload) = (Call::Cancel, Call::Enable, Call::Reload);
        for (what, order, expected) in [
            ("a cancel", after(cancel, &[]), (true, true)),
            (
                "one that did not leave",
                after(cancel, &[(cancel, Some(Fate::NotSent))]),
                (true, true),
            ),
            ("switching on", after(enable, &[]), (true, true)),
            ("a reload", after(reload, &[]), (true, false)),
            (
                "the reload after a cancel",
                after(reload, &[(cancel, Some(Fate::Accepted))]),
                (false, false),
            ),
            (
                "the same, of unknown fate",
                after(reload, &[(cancel, None)]),
                (false, false),
            ),
            ("a webhook", of_source(Kind::Webhook), (true, false)),
            ("the only step", step(true, 1), (true, false)),
            ("the first of two", step(true, 2), (true, true)),
            ("the second of three", step(false, 2), (false, true)),
        ] {
            assert_eq!(starts_and_reserves(&order), expected, "{what}");
        }
    }

    #[test]
    fn only_a_cancel_cancels_the_run_of_its_incident() {
        assert_eq!(cancels(&after(Call::Cancel, &[])), Some("j"));
        for order in [
            after(Call::Reload, &[]),
            after(Call::Enable, &[]),
            of_source(Kind::Webhook),
            of_proposal("a1"),
        ] {
            assert_eq!(cancels(&order), None, "{order:?}");
        }
    }
}
