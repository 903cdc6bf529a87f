//! The plan of one pass: which incidents move, which calls are to be sent, and what is held back by which guard.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    approval::poison,
    attempt,
    credentials::{self, Handing},
    gate::Hanging,
    guards::{Blocked, Guard, breaker, budget, windows},
    incident::{self, Facts, Next},
    ownership::{Table, blocked_by, is_carried_out, is_in_flight, owned_by},
    proposal::{self, Key, Proposals, Said},
    safety::NextRun,
};
use crate::{
    api::{
        About,
        policy::{Mode, Switch},
        proposal::Proposal,
        status::{
            BreakerState, Call, Incident, MAX_INCIDENTS, RootCause, SourceState, Step, Suppressed,
        },
    },
    diagnose::{Diagnosis, Judged, Known, Verdict},
    observe::{Look, Newest, WriteScope},
    posthog::wire::SchemaStatus,
};

/// Why nothing is sent with a key that may only read.
pub(super) const LACKS_SCOPE: &str =
    "KeyLacksWriteScope: the API key lacks the scope external_data_source:write";

const NOT_LISTED: &str = "the table is not in PostHog's list just now";

/// How long a table that left `PostHog`'s list keeps its incident.
const GONE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// What is to happen in this pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The incidents as they stand before anything is sent.
    pub incidents: Vec<Incident>,
    /// What to send, each behind its live gate.
    pub actions: Vec<Action>,
    /// What would be sent, and what holds it back.
    pub held: Vec<Held>,
    /// Steps seen in this pass, for the history.
    pub notes: Vec<String>,
    /// What of the user's Secrets is to be handed over.
    pub handings: Vec<Handing>,
    /// What was handed over.
    pub sources: Vec<SourceState>,
    /// What is not proposed again for a while.
    pub suppressed: Vec<Suppressed>,
    /// Whether approvals count also while their guard does not stand.
    pub unguarded: bool,
    /// Requests of people that led to a proposal, by id of the table.
    pub requests: BTreeMap<String, String>,
    /// When calls were sent lately, those of this pass included.
    pub sends: Vec<Timestamp>,
    /// The breaker; none while it is closed.
    pub breaker: Option<BreakerState>,
    /// The request to begin anew that was last acted upon.
    pub reset_handled: Option<String>,
    /// What needs a person's approval. Described, never sent.
    pub proposals: Vec<Proposal>,
    /// What to say of findings that a proposal would mend.
    pub said: BTreeMap<Key, Said>,
}

/// What a decision rests on beside what is known.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The operator's own cap of calls to the project in an hour.
    pub max_actions_per_hour: usize,
    /// For proposals.
    pub proposals: proposal::Settings<'a>,
}

/// Why a table that may be armed is not reloaded.
const MAY_WIPE: &str =
    "an earlier call may have made the next run wipe the table: that needs approval";

/// A call to send for an incident. The permit is made only after its live gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The incident, which is in [`Plan::incidents`] only if it was opened before this pass.
    pub incident: Incident,
    /// What to send.
    pub call: Call,
    /// For a cancel: how far the run was when it was judged.
    pub hanging: Option<Hanging>,
    /// The table's name, as `PostHog` has it.
    pub name: String,
    /// Whether its source is certainly one that `PostHog` imports from.
    pub warehouse: bool,
    /// What its next run does to its data.
    pub next_run: NextRun,
}

/// Something that would be done, and the guard that stopped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Id of the table, or of the source.
    pub schema_id: String,
    /// What would be done.
    pub what: String,
    /// Which guard stopped it.
    pub guard: Guard,
    /// Why it did.
    pub blocked_by: String,
    /// What it is about.
    pub about: About,
}

/// Decides what happens in this pass. `incidents` are those of before.
#[must_use]
pub fn decide(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    incidents: &[Incident],
    settings: &Settings<'_>,
) -> Plan {
    let max_actions_per_hour = settings.max_actions_per_hour;
    let Known {
        policy, state, now, ..
    } = *known;
    let limits = &policy.limits.breaker;
    let mut plan = Plan {
        sends: state.sends.clone(),
        breaker: breaker::next(
            limits,
            state.breaker.as_ref(),
            diagnosis.together.as_ref(),
            now,
        ),
        ..Plan::default()
    };
    let pass = Pass {
        known,
        diagnosis,
        max_actions_per_hour,
        poisoned: poison::by_anyone(known),
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
    for incident in incidents {
        let mut incident = incident.clone();
        if reset && pass.begins_anew(&mut incident, &mut plan) {
            continue;
        }
        pass.go_on(incident, &mut plan);
    }
    for judged in &diagnosis.judged {
        // One that a person reset is opened anew at once.
        let known_before = |incident: &&Incident| incident.schema_id == judged.schema_id;
        let open = plan
            .incidents
            .iter()
            .any(|incident| known_before(&incident));
        if !open && (reset || !incidents.iter().any(|incident| known_before(&incident))) {
            pass.consider(judged, &mut plan);
        }
    }
    credentials::consider(known, diagnosis, max_actions_per_hour, &mut plan);
    let Proposals {
        rows,
        mut said,
        notes,
        suppressed,
        requests,
    } = proposal::decide(known, diagnosis, &plan.incidents, &settings.proposals);
    proposal::tell_of_tables_that_are_off(known, diagnosis, &mut said);
    (plan.proposals, plan.said, plan.suppressed) = (rows, said, suppressed);
    plan.requests = requests;
    plan.unguarded = settings.proposals.approvals.allow_unguarded;
    plan.notes.extend(notes);
    plan
}

/// What speaks against `action` by what is `known` now, some time after the plan was made: others of the project may have acted.
#[must_use]
pub fn meanwhile(known: &Known<'_>, diagnosis: &Diagnosis, action: &Action) -> Option<Blocked> {
    let pass = Pass {
        known,
        diagnosis,
        max_actions_per_hour: usize::MAX,
        poisoned: poison::by_anyone(known),
    };
    let incident = &action.incident;
    pass.send_guard(incident).or_else(|| match action.call {
        Call::Cancel => pass.cancel_guard(incident),
        Call::Reload | Call::Enable => (pass.next_run(&incident.schema_id) != action.next_run)
            .then(|| Guard::Proposal.says(MAY_WIPE)),
    })
}

struct Pass<'a> {
    known: &'a Known<'a>,
    diagnosis: &'a Diagnosis,
    max_actions_per_hour: usize,
    poisoned: BTreeMap<String, Timestamp>,
}

impl Pass<'_> {
    /// Moves an incident that was opened before.
    fn go_on(&self, mut incident: Incident, plan: &mut Plan) {
        let before = (incident.step, incident.attempt);
        let row = self
            .known
            .snapshot
            .row(&incident.source_id, &incident.schema_id);
        let facts = Facts {
            look: self.known.snapshot.fresh_look(&incident.schema_id),
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
                .push(format!("{}: {}", incident.schema, incident.message));
        }
        let over = match &next {
            Next::Close(reason) => Some(reason.clone()),
            Next::Send(Call::Cancel) if self.moves_again(&incident) => {
                Some("the run no longer hangs; it is left alone".to_owned())
            }
            Next::Wait if again.is_none() => self.why_over(&mut incident),
            Next::Send(_) | Next::Wait => None,
        };
        if let Some(reason) = over {
            plan.notes.push(format!("{}: {reason}", incident.schema));
            return;
        }
        match (next, again) {
            (Next::Send(call), _) | (Next::Wait, Some(call)) => self.want(&incident, call, plan),
            (Next::Wait, None) | (Next::Close(_), _) => {}
        }
        plan.incidents.push(incident);
    }

    /// What a person's request to begin anew does to an incident: true if it leaves the list. A job that was cancelled once
    /// is never cancelled again, so an incident about it stays until another job hangs.
    fn begins_anew(&self, incident: &mut Incident, plan: &mut Plan) -> bool {
        if incident.step != Step::Escalated {
            return false;
        }
        if incident.job_id.is_none() {
            plan.notes.push(format!(
                "{}: the incident is closed, because a person asked to begin anew",
                incident.schema
            ));
            return true;
        }
        let judged = self.diagnosis.of(&incident.schema_id);
        if matches!(judged.map(|judged| &judged.verdict), Some(Verdict::StuckJob { job_id, .. }) if incident.job_id.as_ref() != Some(job_id))
        {
            incident.step = Step::Recovered;
            incident.attempt = 0;
        }
        false
    }

    /// Why an incident for which nothing is to be done leaves the list, if it does.
    fn why_over(&self, incident: &mut Incident) -> Option<String> {
        let listed = self
            .known
            .snapshot
            .row(&incident.source_id, &incident.schema_id)
            .is_some();
        let gone = !listed && self.known.now.duration_since(incident.step_since) >= GONE_AFTER;
        let well = self.is_well(incident);
        let reason = if let Some(reason) = self.overtaken(incident) {
            reason
        } else if gone {
            "it has left PostHog's list".to_owned()
        } else if incident::healed(
            incident,
            well,
            self.known.policy.healthy_for,
            self.known.now,
        ) {
            "healthy again".to_owned()
        } else {
            return None;
        };
        Some(format!("{reason}; the incident is closed"))
    }

    /// Whether the table is well: only if it is listed as Completed. None while a run is in progress, which may be one that
    /// hangs: that neither counts nor begins anew.
    fn is_well(&self, incident: &Incident) -> Option<bool> {
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
            (Some(SchemaStatus::Running), None | Some(Verdict::Running)) => None,
            _ => Some(false),
        }
    }

    /// Why an incident that has ended has nothing more to say: something else is the matter with the table now.
    fn overtaken(&self, incident: &Incident) -> Option<String> {
        if is_in_flight(incident) && incident.step != Step::BackOff {
            return None;
        }
        let judged = self.diagnosis.of(&incident.schema_id)?;
        let newest = self
            .known
            .snapshot
            .seen(&incident.schema_id)
            .and_then(|seen| seen.look.as_ref());
        let handled = [incident.job_id.as_ref(), incident.new_job_id.as_ref()];
        let later_job = matches!(newest.map(Look::newest), Some(Newest::Job(job, _)) if !handled.contains(&Some(&job.id)));
        match &judged.verdict {
            // It is what the incident is about: one that came to nothing is not begun again and again.
            Verdict::Disabled {
                by_posthog: Some(at),
                ..
            } if incident.opened_at >= *at => None,
            Verdict::Disabled { .. } => Some("syncing was switched off".to_owned()),
            Verdict::Billing => Some("billing holds the table back".to_owned()),
            // The same trouble goes on: a new incident would begin to count from one again.
            Verdict::Failing { failure, .. }
                if attempt::is_reloaded(incident.cause) && attempt::is_reloaded(failure.cause) =>
            {
                None
            }
            Verdict::Failing { .. } if later_job || incident.step == Step::BackOff => {
                Some("a later run failed for another reason".to_owned())
            }
            _ => None,
        }
    }

    /// If what came of a reload is no better: the next attempt, once nothing holds it back, or the end of them.
    fn again(&self, incident: &mut Incident, plan: &mut Plan) -> Option<Call> {
        let judged = self.diagnosis.of(&incident.schema_id)?;
        let (next, call) = attempt::first(self.known, judged)?;
        if !goes_on(incident, &next) {
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
        if let Some(blocked) = self.hold(&next, call, plan) {
            plan.held.push(Held::of(&next, call, blocked));
            return None;
        }
        *incident = next;
        Some(call)
    }

    fn escalate(&self, incident: &mut Incident, next: &Incident) {
        incident.step = Step::Escalated;
        incident.step_since = self.known.now;
        incident.deadline = None;
        let what = match &next.job_id {
            Some(job_id) => format!("job {job_id} hangs too"),
            None => next.message.clone(),
        };
        incident.message = format!(
            "{what}, after {} attempts: somebody has to look at the source",
            incident.attempt
        );
    }

    /// Opens an incident for a table that needs a call, if every guard lets it.
    fn consider(&self, judged: &Judged, plan: &mut Plan) {
        let Some((incident, call)) = attempt::first(self.known, judged) else {
            return;
        };
        if let Some(blocked) = self.hold(&incident, call, plan) {
            plan.held.push(Held::of(&incident, call, blocked));
            return;
        }
        self.want(&incident, call, plan);
    }

    /// What holds back the start of an attempt. A trial that the breaker lets pass is used up by it.
    fn hold(&self, incident: &Incident, call: Call, plan: &mut Plan) -> Option<Blocked> {
        let Known { policy, now, .. } = *self.known;
        let held = self
            .send_guard(incident)
            .or_else(|| self.proposal_guard(incident))
            .or_else(|| attempt::holds(self.known, incident, incident.attempt))
            .or_else(|| windows::hold(&policy.windows, now))
            .or_else(|| self.start_guard(incident, call, plan));
        // The breaker never holds what comes after a fix.
        let after_fix =
            incident.step == Step::Enabling || incident.cause == RootCause::CredentialsInvalid;
        if held.is_some() || after_fix {
            return held;
        }
        match breaker::pass(&policy.limits.breaker, plan.breaker.as_ref(), now) {
            breaker::Pass::All => None,
            breaker::Pass::Nothing(reason) => Some(reason),
            breaker::Pass::Trial => {
                if let Some(state) = &mut plan.breaker {
                    state.trial_at = Some(now);
                }
                None
            }
        }
    }

    /// What holds back the start of an attempt for the sake of what a person approved, or has to.
    fn proposal_guard(&self, incident: &Incident) -> Option<Blocked> {
        let mut proposals = self.known.proposals.iter();
        let under_way = proposals.find(|row| {
            is_carried_out(row) && row.target.meets(&incident.source_id, &incident.schema_id)
        });
        if let Some(proposal) = under_way {
            let why = format!("proposal {} is under way", proposal.id);
            return Some(Guard::Proposal.says(why));
        }
        (self.next_run(&incident.schema_id) == NextRun::MayWipe)
            .then(|| Guard::Proposal.says(MAY_WIPE))
    }

    fn next_run(&self, schema_id: &str) -> NextRun {
        if self.poisoned.contains_key(schema_id) {
            NextRun::MayWipe
        } else {
            NextRun::Ordinary
        }
    }

    /// What holds back the start of an attempt for the sake of the number of them. One that is under way is not held back
    /// by these: a cancel reserves its reload.
    fn start_guard(&self, incident: &Incident, call: Call, plan: &Plan) -> Option<Blocked> {
        let limits = &self.known.policy.limits;
        let started = plan.actions.iter().map(|action| &action.incident);
        let others = || {
            plan.incidents
                .iter()
                .filter(|old| !started.clone().any(|new| new.schema_id == old.schema_id))
                .chain(started.clone())
                .filter(|other| other.schema_id != incident.schema_id)
        };
        let waits_for_a_job = |incident: &&Incident| {
            is_in_flight(incident) && !matches!(incident.step, Step::WaitSuccess | Step::BackOff)
        };
        let under_way = others().filter(waits_for_a_job).count();
        if under_way >= limits.max_concurrent {
            return Some(Guard::MaxConcurrent.says(format!(
                "spec.remediation.limits.maxConcurrent: {under_way} of {} incidents are under way",
                limits.max_concurrent
            )));
        }
        if plan.incidents.len() + plan.actions.len() >= MAX_INCIDENTS {
            return Some(Guard::StateFull.says("StateFull: the list of incidents is full"));
        }
        let reserved: usize = others().map(budget::reserved).sum();
        let wanted = if call == Call::Reload { 1 } else { 2 };
        budget::hold(
            self.known,
            &plan.sends,
            reserved + wanted,
            self.max_actions_per_hour,
        )
    }

    /// What holds back every send.
    fn send_guard(&self, incident: &Incident) -> Option<Blocked> {
        if self.known.policy.mode == Mode::Observe {
            return Some(Guard::Mode.says("spec.mode is Observe"));
        }
        if self.known.policy.suspend {
            return Some(Guard::Suspend.says("spec.suspend is true"));
        }
        if self.known.snapshot.write_scope == WriteScope::Missing {
            return Some(Guard::WriteScope.says(LACKS_SCOPE));
        }
        let Some((source, schema)) = self
            .known
            .snapshot
            .row(&incident.source_id, &incident.schema_id)
        else {
            return Some(Guard::Facts.says(NOT_LISTED));
        };
        if !source.is_warehouse() {
            return Some(Guard::Facts.says(super::safety::NotWarehouse.to_string()));
        }
        let table = Table {
            source_type: source.type_name(),
            prefix: source.prefix_name(),
            source_id: &source.id,
            schema_id: &schema.id,
            name: &schema.name,
        };
        let in_flight = !incident.sends.is_empty();
        let owner = owned_by(
            self.known.policy,
            in_flight,
            &self.known.snapshot.rivals,
            &table,
            self.known.now,
        )?;
        Some(blocked_by(self.known.policy, owner, "table"))
    }

    fn want(&self, incident: &Incident, call: Call, plan: &mut Plan) {
        let hanging = self.hanging(incident);
        let doubts = || match call {
            Call::Cancel if hanging.is_none() => {
                Some(Guard::Facts.says("the run is not seen to hang any more"))
            }
            Call::Cancel => self.cancel_guard(incident),
            Call::Enable if !self.seen_disabled(incident) => Some(
                Guard::Facts
                    .says("nobody saw PostHog switch the table off: a person may have done it"),
            ),
            Call::Reload | Call::Enable => None,
        };
        let row = self
            .known
            .snapshot
            .row(&incident.source_id, &incident.schema_id);
        match (self.send_guard(incident).or_else(doubts), row) {
            (None, Some((source, schema))) => plan.actions.push(Action {
                incident: incident.clone(),
                call,
                hanging,
                name: schema.name.clone(),
                warehouse: source.is_warehouse(),
                next_run: self.next_run(&schema.id),
            }),
            (blocked, _) => {
                let blocked = blocked.unwrap_or_else(|| Guard::Facts.says(NOT_LISTED));
                plan.held.push(Held::of(incident, call, blocked));
            }
        }
    }

    /// Whether `PostHog` was seen to switch the incident's table off.
    fn seen_disabled(&self, incident: &Incident) -> bool {
        let judged = self.diagnosis.of(&incident.schema_id);
        let seen = Verdict::is_disabled_by_posthog;
        judged.is_some_and(|judged| seen(&judged.verdict))
    }

    /// True if a look that could tell says that the incident's run does not hang.
    fn moves_again(&self, incident: &Incident) -> bool {
        let seen = self.known.snapshot.seen(&incident.schema_id);
        self.hanging(incident).is_none()
            && seen.is_some_and(|seen| seen.unclear.is_none())
            && self
                .known
                .snapshot
                .fresh_look(&incident.schema_id)
                .is_some()
    }

    /// What holds back a cancel, also the one of a later attempt.
    fn cancel_guard(&self, incident: &Incident) -> Option<Blocked> {
        if self.known.policy.cancel_stuck.switch() == Switch::Off {
            return Some(Guard::Switch.says("spec.remediation.cancelStuck is Off"));
        }
        if self.diagnosis.of(&incident.schema_id).is_none() {
            return Some(Guard::Facts.says("the policy does not select this table"));
        }
        let job = incident.job_id.as_ref()?;
        let already = self
            .known
            .snapshot
            .rivals
            .iter()
            .any(|rival| rival.cancelled.contains(job));
        already.then(|| {
            Guard::Owner.says(format!(
                "another policy has cancelled job {job} before: no job is cancelled twice"
            ))
        })
    }

    /// How far the incident's run was when it was judged stuck.
    fn hanging(&self, incident: &Incident) -> Option<Hanging> {
        let seen = self
            .known
            .snapshot
            .seen(&incident.schema_id)
            .filter(|seen| seen.frozen)?;
        let mark = seen
            .mark
            .as_ref()
            .filter(|mark| mark.running && mark.job_id == incident.job_id)?;
        Some(Hanging {
            job_id: mark.job_id.clone()?,
            rows: mark.rows,
            log_at: mark.log_at,
        })
    }
}

impl Plan {
    /// Takes note of a send. Only then are old ones forgotten: a steady poll changes nothing.
    pub fn sent(&mut self, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        self.sends = budget::last_hour(&self.sends, at).collect();
        self.sends.push(at);
    }
}

impl Held {
    /// That a call of an incident is held back.
    #[must_use]
    pub fn of(incident: &Incident, call: Call, blocked: Blocked) -> Self {
        Self {
            schema_id: incident.schema_id.clone(),
            what: in_words(call, incident),
            guard: blocked.guard,
            blocked_by: blocked.why,
            about: About::incident(incident),
        }
    }

    /// That something for a source, in these words, is held back.
    #[must_use]
    pub fn of_source(source_id: &str, source: &str, what: String, blocked: Blocked) -> Self {
        Self {
            schema_id: source_id.to_owned(),
            what,
            guard: blocked.guard,
            blocked_by: blocked.why,
            about: About::source(source),
        }
    }
}

/// True if `next` is a further attempt at what `incident` was opened for: another run that hangs, or that failed too.
fn goes_on(incident: &Incident, next: &Incident) -> bool {
    let over = matches!(
        incident.step,
        Step::WaitSuccess | Step::BackOff | Step::Recovered
    );
    let same_trouble = match incident.cause {
        RootCause::Stuck => next.job_id.is_some() && incident.job_id != next.job_id,
        cause if attempt::is_reloaded(cause) => {
            attempt::is_reloaded(next.cause) && incident.baseline_job_id != next.baseline_job_id
        }
        _ => false,
    };
    over && same_trouble
}

/// What sending `call` for `incident` does, in words.
#[must_use]
pub fn in_words(call: Call, incident: &Incident) -> String {
    match call {
        Call::Cancel => format!(
            "cancel job {} of {}, then reload it",
            incident.job_id.as_deref().unwrap_or("?"),
            incident.schema
        ),
        Call::Reload => format!("reload {}", incident.schema),
        Call::Enable => format!(
            "switch {} on again, which PostHog switched off, then reload it",
            incident.schema
        ),
    }
}
