//! The driver of the decision: from what is known to the plan of one reconcile.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    approval::pending_reset,
    gate::StuckRun,
    guards::{Guard, OperatorLimits, OrderContext, breaker, chain},
    incident::{self, Facts, Next},
    orders,
    ownership::is_in_flight,
    plan::{Held, Order, Plan},
    proposal::{self, Proposals},
    tried,
    words::incident as words,
};
use crate::{
    api::status::{Call, Incident, MAX_INCIDENTS, Note, RootCause, Step},
    diagnose::{Cause, Diagnosis, Judged, Known, Verdict, causes::Reload, credentials::offers},
    observe::{Newest, RunProbe},
    posthog::wire::SchemaStatus,
};

/// How long a table that `PostHog` no longer lists keeps its incident.
const GONE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Settings of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The operator's own cap of calls to the project in an hour.
    pub max_actions_per_hour: usize,
    /// For proposals.
    pub proposals: proposal::ProposalSettings<'a>,
}

impl Settings<'_> {
    /// The limits that guards check.
    #[must_use]
    pub const fn limits(&self) -> OperatorLimits {
        OperatorLimits {
            max_actions_per_hour: self.max_actions_per_hour,
            approvals: self.proposals.approvals,
        }
    }
}

/// Decides what happens in this reconcile. `incidents` are those of the previous one.
#[must_use]
pub fn decide(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    incidents: &[Incident],
    settings: &Settings<'_>,
) -> Plan {
    let Known {
        policy, state, now, ..
    } = *known;
    let limits = &policy.limits.breaker;
    let mut plan = Plan {
        sends: state.sends.clone(),
        sources: state.sources.clone(),
        breaker: breaker::next(
            limits,
            state.breaker.as_ref(),
            diagnosis.together.as_ref(),
            now,
        ),
        ..Plan::default()
    };
    let planner = Planner {
        known,
        diagnosis,
        limits: settings.limits(),
        may_wipe: pending_reset::by_anyone(known),
    };
    let reset = policy.reset_at.is_some() && policy.reset_at != state.reset_handled;
    plan.reset_handled.clone_from(if reset {
        &policy.reset_at
    } else {
        &state.reset_handled
    });
    if reset {
        plan.breaker = plan.breaker.map(|open| breaker::reset(limits, open, now));
    }
    if !reset {
        plan.tried = tried::of_before(known);
    }
    planner.tables(incidents, reset, &mut plan);
    tried::forget(known, diagnosis, &mut plan.tried);
    planner.sources(&mut plan);
    let Proposals {
        rows,
        mut said,
        notes,
        suppressed,
        requests,
    } = proposal::decide(known, diagnosis, &plan, &settings.proposals);
    proposal::explain_tables_that_are_off(known, diagnosis, &mut said);
    (plan.proposals, plan.said, plan.suppressed) = (rows, said, suppressed);
    plan.requests = requests;
    plan.unguarded = settings.proposals.approvals.allow_unguarded;
    plan.notes.extend(notes.into_iter().map(Note::from));
    plan
}

struct Planner<'a> {
    known: &'a Known<'a>,
    diagnosis: &'a Diagnosis,
    limits: OperatorLimits,
    /// The tables whose next run may wipe their data.
    may_wipe: BTreeMap<String, Timestamp>,
}

impl Planner<'_> {
    /// Continues the incidents of the previous reconcile, and opens new ones.
    fn tables(&self, incidents: &[Incident], reset: bool, plan: &mut Plan) {
        for incident in incidents {
            let mut incident = incident.clone();
            if reset && self.starts_again(&mut incident, plan) {
                continue;
            }
            self.go_on(incident, plan);
        }
        for judged in &self.diagnosis.judged {
            // One that a person reset is opened again at once.
            let known_before = |incident: &&Incident| incident.schema_id == judged.schema_id;
            let open = plan
                .incidents
                .iter()
                .any(|incident| known_before(&incident));
            if !open && (reset || !incidents.iter().any(|incident| known_before(&incident))) {
                self.consider(judged, plan);
            }
        }
    }

    /// What is sent to sources from the user's Secrets. This comes first, because tables recover by it.
    fn sources(&self, plan: &mut Plan) {
        let known = self.known;
        let offers = offers(known);
        let mut first = 0;
        for source in known.snapshot.selected_sources() {
            let offer = offers.iter().find(|offer| offer.source.id == source.id);
            let content = offer.and_then(|offer| offer.job_inputs.as_ref());
            let credentials = content.and_then(|content| {
                orders::credentials::order(known, self.diagnosis, source, content)
            });
            let mut states = plan.sources.iter_mut();
            let state = states.find(|state| state.id == source.id);
            let webhook = orders::webhook::order(known, source, offer, state);
            for order in credentials.into_iter().chain(webhook) {
                if self.allows(&order, plan) {
                    plan.orders.insert(first, order);
                    first += 1;
                }
            }
        }
    }

    /// Evaluates the guards and records what they hold. An order that is the trial of an open breaker uses the trial up.
    fn allows(&self, order: &Order, plan: &mut Plan) -> bool {
        let ask = OrderContext {
            known: self.known,
            diagnosis: self.diagnosis,
            plan,
            limits: self.limits,
            may_wipe: &self.may_wipe,
            kind: order.kind,
            subject: &order.subject,
            basis: &order.basis,
            starts: order.starts,
        };
        if let Some(blocked) = chain::holds(&ask) {
            plan.held.push(Held::new(order, &blocked));
            return false;
        }
        let is_trial = breaker::is_trial(&ask) && chain::check(Guard::Breaker, order.kind);
        if let Some(state) = plan.breaker.as_mut().filter(|_| is_trial) {
            state.trial_at = Some(self.known.now);
        }
        true
    }

    fn order(&self, incident: &Incident, call: Call, starts: bool) -> Order {
        let may_wipe = self.may_wipe.contains_key(&incident.schema_id);
        let known = (self.known, self.diagnosis);
        orders::incident::order(known, incident, call, starts, may_wipe)
    }

    /// Advances an open incident.
    fn go_on(&self, mut incident: Incident, plan: &mut Plan) {
        let before = (incident.step, incident.attempt);
        let row = self
            .known
            .snapshot
            .row(&incident.source_id, &incident.schema_id);
        let facts = Facts {
            run_probe: self.known.snapshot.fresh_run_probe(&incident.schema_id),
            row: row.map(|(_, schema)| schema),
            timings: self.known.timings,
            now: self.known.now,
        };
        let next = incident::advance(&mut incident, &facts);
        let again = match next {
            Next::Wait => self.again(&mut incident, plan),
            Next::Send(_) | Next::Close(_) => None,
        };
        // Reloading only leads to the call, which has a note of its own.
        if before != (incident.step, incident.attempt) && incident.step != Step::Reloading {
            plan.notes
                .push(format!("{}: {}", incident.schema, incident.message).into());
        }
        let over = match &next {
            Next::Close(reason) => Some(reason.clone()),
            Next::Send(Call::Cancel) if self.moves_again(&incident) => {
                Some(words::NO_LONGER_STUCK.to_owned())
            }
            Next::Wait if again.is_none() => self.why_over(&mut incident),
            Next::Send(_) | Next::Wait => None,
        };
        if let Some(reason) = over {
            tried::closed(self.known, &mut plan.tried, &incident);
            plan.notes.push(Note::closing(&incident, &reason));
            return;
        }
        let order = match next {
            Next::Send(call) => {
                let order = self.order(&incident, call, false);
                self.allows(&order, plan).then_some(order)
            }
            Next::Wait | Next::Close(_) => again,
        };
        plan.orders.extend(order);
        plan.incidents.push(incident);
    }

    /// What a person's reset does to an incident: true if it is removed from the list. A job that was cancelled once
    /// is never cancelled again, so an incident about it stays until another job is stuck.
    fn starts_again(&self, incident: &mut Incident, plan: &mut Plan) -> bool {
        if incident.step != Step::Escalated {
            return false;
        }
        if incident.job_id.is_none() {
            plan.notes.push(Note::closing(incident, words::RESET));
            return true;
        }
        let judged = self.diagnosis.of(&incident.schema_id);
        if matches!(judged.map(|judged| &judged.verdict), Some(Verdict::StuckJob(silence)) if incident.job_id.as_ref() != Some(&silence.job_id))
        {
            incident.step = Step::Recovered;
            incident.attempt = 0;
        }
        false
    }

    /// Why an incident without a next step is closed, if it is.
    fn why_over(&self, incident: &mut Incident) -> Option<String> {
        let listed = self
            .known
            .snapshot
            .row(&incident.source_id, &incident.schema_id)
            .is_some();
        let gone = !listed && self.known.now.duration_since(incident.step_since) >= GONE_AFTER;
        let healthy = self.is_healthy(incident);
        let reason = if let Some(reason) = self.overtaken(incident) {
            reason
        } else if gone {
            words::NOT_LISTED.to_owned()
        } else if incident::healed(
            incident,
            healthy,
            self.known.policy.healthy_for,
            self.known.now,
        ) {
            words::HEALTHY_AGAIN.to_owned()
        } else {
            return None;
        };
        Some(words::closed(&reason))
    }

    /// Whether the table is healthy: only if it is listed as Completed. None while a run is in progress, which may be
    /// stuck: that time is neither counted nor does it reset the count.
    fn is_healthy(&self, incident: &Incident) -> Option<bool> {
        let row = self
            .known
            .snapshot
            .row(&incident.source_id, &incident.schema_id);
        let judged = self.diagnosis.of(&incident.schema_id);
        match (
            row.map(|(_, schema)| schema.status()),
            judged.map(|judged| &judged.verdict),
        ) {
            (Some(SchemaStatus::Completed), None) => Some(true),
            (Some(SchemaStatus::Running), None) => None,
            (Some(SchemaStatus::Running), Some(verdict)) if verdict.is_running() => None,
            _ => Some(false),
        }
    }

    /// Why an incident that has ended is obsolete: the table now has another problem.
    fn overtaken(&self, incident: &Incident) -> Option<String> {
        if is_in_flight(incident) && incident.step != Step::BackOff {
            return None;
        }
        let judged = self.diagnosis.of(&incident.schema_id)?;
        let newest = self
            .known
            .snapshot
            .seen(&incident.schema_id)
            .and_then(|seen| seen.run_probe.as_ref());
        let handled = [incident.job_id.as_ref(), incident.new_job_id.as_ref()];
        let later_job = matches!(newest.map(RunProbe::newest), Some(Newest::Job(job, _)) if !handled.contains(&Some(&job.id)));
        match &judged.verdict {
            // This is what the incident is about: one without success is not started again and again.
            Verdict::Disabled {
                by_posthog: Some(at),
                ..
            } if incident.opened_at >= *at => None,
            Verdict::Disabled { .. } => Some(words::OFF.to_owned()),
            Verdict::Billing => Some(words::BILLING.to_owned()),
            // The same problem continues: a new incident would start its count of attempts again.
            Verdict::Failing { failure, .. }
                if reload(incident.cause).is_retried() && reload(failure.cause).is_retried() =>
            {
                None
            }
            // Escalated stays escalated, even if the next run fails with another cause.
            Verdict::Failing { failure, .. }
                if incident.step == Step::Escalated
                    && reload(incident.cause).is_retried()
                    && reload(failure.cause) == Reload::Never =>
            {
                None
            }
            Verdict::Failing { .. } if later_job || incident.step == Step::BackOff => {
                Some(words::OTHER_REASON.to_owned())
            }
            _ => None,
        }
    }

    /// After a reload without success: the next attempt, once nothing holds it, or the escalation after the last one.
    fn again(&self, incident: &mut Incident, plan: &mut Plan) -> Option<Order> {
        let judged = self.diagnosis.of(&incident.schema_id)?;
        let (next, call) = orders::first(self.known, judged)?;
        if !continues(incident, &next) {
            return None;
        }
        let attempt = incident.attempt + 1;
        if attempt > self.known.policy.limits.attempts_per_incident {
            self.escalate(incident, &next);
            return None;
        }
        let next = Incident {
            attempt,
            opened_at: incident.opened_at,
            ..next
        };
        let order = self.order(&next, call, true);
        if !self.allows(&order, plan) {
            return None;
        }
        *incident = next;
        Some(order)
    }

    fn escalate(&self, incident: &mut Incident, next: &Incident) {
        incident.step = Step::Escalated;
        incident.step_since = self.known.now;
        incident.deadline = None;
        let what = words::failed_too(next.job_id.as_deref(), &next.message);
        incident.message = words::after_attempts(&what, incident.attempt);
    }

    /// Opens an incident for a table that needs a call, if every guard lets it.
    fn consider(&self, judged: &Judged, plan: &mut Plan) {
        let Some((mut incident, call)) = orders::first(self.known, judged) else {
            return;
        };
        let before = plan.tried.get(&judged.schema_id);
        let before = before.map_or(0, |tried| tried.attempts);
        if let Some(most) = tried::most(self.known, incident.cause).filter(|_| before > 0) {
            if before >= most {
                self.give_up(&incident, before, plan);
                return;
            }
            incident.attempt = before + 1;
        }
        let order = self.order(&incident, call, true);
        if self.allows(&order, plan) {
            plan.orders.push(order);
        }
    }

    /// Escalates a table whose attempts are used up, including those for other causes.
    fn give_up(&self, next: &Incident, before: i64, plan: &mut Plan) {
        if !self.known.policy.may_act() || plan.incidents.len() >= MAX_INCIDENTS {
            return;
        }
        let mut incident = Incident {
            attempt: before,
            ..next.clone()
        };
        self.escalate(&mut incident, next);
        plan.notes
            .push(format!("{}: {}", incident.schema, incident.message).into());
        plan.incidents.push(incident);
    }

    /// True if a read that could decide it shows that the incident's run is not stuck.
    fn moves_again(&self, incident: &Incident) -> bool {
        let seen = self.known.snapshot.seen(&incident.schema_id);
        StuckRun::of(self.known, self.diagnosis, incident).is_none()
            && seen.is_some_and(|seen| seen.unclear.is_none())
            && self
                .known
                .snapshot
                .fresh_run_probe(&incident.schema_id)
                .is_some()
    }
}

/// True if `next` is a further attempt for the problem of `incident`: another run that is stuck, or that failed too.
fn continues(incident: &Incident, next: &Incident) -> bool {
    let over = matches!(
        incident.step,
        Step::WaitSuccess | Step::BackOff | Step::Recovered
    );
    let same_trouble = match reload(incident.cause) {
        Reload::AfterCancel => next.job_id.is_some() && incident.job_id != next.job_id,
        Reload::AfterBackOff | Reload::AfterCheck => {
            reload(next.cause).is_retried() && incident.baseline_job_id != next.baseline_job_id
        }
        Reload::Never | Reload::Stale | Reload::AfterRotation => false,
    };
    over && same_trouble
}

const fn reload(cause: RootCause) -> Reload {
    Cause::of(cause).reload
}
