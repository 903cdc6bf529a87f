//! How an approved proposal moves from phase to phase: at most one call at a time, each recorded before it is sent, and sent again only
//! if it certainly was not sent before.

use jiff::{SignedDuration, Timestamp};

use super::{
    after_cancel::{self, reload_is_due},
    approved::Approved,
    facts, own_run,
    proof::{self, Proof},
};
use crate::{
    api::{
        Timings,
        proposal::{
            ExecutedStep, Execution, Material, Phase, Proposal, ProposedAction, ProposedCall,
        },
        status::Fate,
    },
    decide::{
        gate::Closed,
        proposal::steps,
        table::forbids_reload,
        words::{
            execution::{self as words, with_steps_done},
            incident::late_cancel,
        },
    },
    diagnose::{Diagnosis, Known},
    observe::{Live, Newest},
    posthog::redact,
};

/// Longest message of a proposal, in characters.
const MESSAGE_CAP: usize = 400;
/// How often a call is tried that certainly was not sent each time.
pub const TRIES: u32 = 3;
/// How many polls must have found no proof.
pub const POLLS: u32 = 3;

/// A proposal, and what fresh reads show, from which `known` is derived.
#[derive(Debug)]
pub struct Case<'a> {
    /// The proposal.
    pub proposal: &'a Proposal,
    /// What was read for it.
    pub live: &'a Live,
    /// All that is known.
    pub known: &'a Known<'a>,
    /// What was wrong before that was read.
    pub diagnosis: &'a Diagnosis,
    /// Whether this process knows that nothing was sent before the approval, because it has read of the proposal while it waited for that.
    pub saw_it_wait: bool,
}

/// What comes next.
#[derive(Debug)]
pub enum Progress {
    /// Nothing is sent; the proposal as it is now.
    Stay(Box<Proposal>),
    /// The call of a step, with the proposal as it must be written down before.
    Send(Approved, Box<Proposal>),
    /// What was read forbids its first call.
    Closed(Closed),
}

/// The call of step `place` of the approved material; none if this version does not know it.
fn step(material: &Material, place: usize) -> Option<Approved> {
    steps::write(material, material.steps.get(place)?).map(Approved::new)
}

/// What comes next.
#[must_use]
pub fn next(case: &Case<'_>) -> Progress {
    match case.proposal.phase {
        Phase::Approved => case.begin(),
        Phase::Executing => case.go_on(),
        Phase::Verifying => case.verify(false),
        _ => case.stay(),
    }
}

impl Case<'_> {
    fn stay(&self) -> Progress {
        Progress::Stay(Box::new(self.proposal.clone()))
    }

    /// As it is, with another sentence.
    fn say(&self, message: String) -> Progress {
        Progress::Stay(Box::new(Proposal {
            message,
            ..self.proposal.clone()
        }))
    }

    fn become_(&self, phase: Phase, message: String) -> Progress {
        Progress::Stay(Box::new(Proposal {
            phase,
            message,
            ..self.proposal.clone()
        }))
    }

    /// Judges what was read: the first call depends on the finding, later ones on the effect of the first.
    fn facts(&self) -> Result<(), Closed> {
        let source_id = &self.proposal.target.source_id;
        let diagnosis = self.diagnosis.again(self.known, source_id);
        facts::hold(self.known, &diagnosis, self.live, self.proposal)
    }

    fn begin(&self) -> Progress {
        if let Err(closed) = self.facts() {
            return Progress::Closed(closed);
        }
        if !self.saw_it_wait
            && let Some(job) = own_run::of(self.live, self.proposal)
        {
            let why = words::may_be_own_run(&job.id);
            return self.become_(Phase::OutcomeUnknown, why);
        }
        let id = &self.proposal.target.schema_id;
        let newest = self
            .live
            .run_probe(id)
            .map(crate::observe::RunProbe::newest);
        let job_before = match newest {
            Some(Newest::Job(job, _)) => Some(job.id.clone()),
            Some(Newest::None | Newest::Unclear(_)) | None => None,
        };
        let row = self.live.row(id);
        let execution = Execution {
            intent_id: format!("{}@{}", self.proposal.id, self.known.now),
            job_before,
            rows_before: row
                .and_then(|row| row.table)
                .and_then(|table| table.row_count.get().copied()),
            rows_after: None,
            observed_job: None,
            deadline: None,
            polls: 0,
            steps: Vec::new(),
        };
        self.send(execution, 0, 1)
    }

    /// The intent to send step `place`, for the `tries`th time.
    fn send(&self, mut execution: Execution, place: usize, tries: u32) -> Progress {
        let material = &self.proposal.material;
        let Some((call, approved)) = material
            .steps
            .get(place)
            .and_then(|described| Some((described.call, step(material, place)?)))
        else {
            return self.become_(failed(place), words::UNKNOWN_CALL.to_owned());
        };
        execution.steps.truncate(place);
        execution.steps.push(ExecutedStep {
            call,
            started_at: self.known.now,
            tries,
            fate: None,
            http_status: None,
            finished_at: None,
            detail: String::new(),
        });
        execution.polls = 0;
        execution.deadline = None;
        let proposal = Proposal {
            phase: Phase::Executing,
            message: String::new(),
            execution: Some(execution),
            ..self.proposal.clone()
        };
        Progress::Send(approved, Box::new(proposal))
    }

    /// After a call whose outcome is in status, or never arrived.
    fn go_on(&self) -> Progress {
        let (Some(execution), Some(last)) = (
            &self.proposal.execution,
            self.proposal.started_steps().last(),
        ) else {
            return self.become_(Phase::OutcomeUnknown, words::NOT_IN_STATUS.to_owned());
        };
        let place = execution.steps.len() - 1;
        let settled = settle(self.proposal.clone(), self.known.timings, self.known.now);
        if settled.phase != Phase::Executing {
            return Progress::Stay(Box::new(settled));
        }
        match last.fate {
            Some(Fate::Accepted) => self.after_proof(execution, place),
            // The run itself shows whether it has ended; the answer does not.
            Some(Fate::Unknown) | None if after_cancel::is_to_be_seen(self.proposal) => {
                self.after_proof(execution, place)
            }
            Some(Fate::NotSent) => {
                let facts = if place == 0 { self.facts() } else { Ok(()) };
                match facts {
                    Err(closed) => Progress::Closed(closed),
                    Ok(()) => self.send(execution.clone(), place, last.tries + 1),
                }
            }
            Some(Fate::Refused | Fate::Unknown) | None => self.verify(true),
        }
    }

    /// The next step, once the effect of the previous one is visible.
    fn after_proof(&self, execution: &Execution, place: usize) -> Progress {
        let material = &self.proposal.material;
        if self.proposal.action == ProposedAction::Cancel {
            return self.after_cancel(execution, place);
        }
        let seen = material
            .steps
            .get(place)
            .and_then(|step| proof::of_step(step, material, self.live, self.known.timings));
        if seen != Some(true) {
            return self.wait(execution, &words::effect_not_seen(place), seen.is_some());
        }
        // Its tables would be wiped for a webhook that drops what it receives.
        let made = execution.steps.get(place);
        if let Some(lacks) =
            made.filter(|step| step.call == ProposedCall::CreateWebhook && !step.detail.is_empty())
        {
            let why = words::webhook_lacks(&lacks.detail);
            return self.become_(Phase::OutcomeUnknown, self.with_steps_done(why, place + 1));
        }
        self.send(execution.clone(), place + 1, 1)
    }

    /// The reload, once the cancelled run has ended and its table is quiet; none if a run has started since.
    fn after_cancel(&self, execution: &Execution, place: usize) -> Progress {
        let material = &self.proposal.material;
        let timings = self.known.timings;
        if proof::of_whole(self.proposal, self.live, timings, false) != Proof::Absent {
            return self.verify(false);
        }
        let cancel = material.steps.get(place);
        let rests = cancel.and_then(|step| proof::of_step(step, material, self.live, timings));
        if rests != Some(true) {
            return self.wait(execution, words::CANCEL_NOT_SEEN, rests.is_some());
        }
        self.reload(execution, place + 1, 1)
    }

    /// Sends the reload after a cancel for the `tries`th time, unless the table must no longer be reloaded.
    fn reload(&self, execution: &Execution, place: usize, tries: u32) -> Progress {
        let Some(row) = self.live.row(&self.proposal.target.schema_id) else {
            return self.say(words::WAITS_FOR_TABLE.to_owned());
        };
        match forbids_reload(&row) {
            Some(why) => {
                let message = self.with_steps_done(why.to_owned(), place);
                self.become_(Phase::OutcomeUnknown, message)
            }
            None => self.send(execution.clone(), place, tries),
        }
    }

    /// Continues as if the run that the operator's cancel hit had been the intended one. `PostHog` handles a cancel late once.
    fn after_late_cancel(&self, execution: &Execution, job: String) -> Progress {
        let mut proposal = self.proposal.clone();
        proposal.phase = Phase::Executing;
        proposal.message = late_cancel(format_args!("run {job}"));
        let mut execution = Execution {
            job_before: Some(job),
            observed_job: None,
            deadline: None,
            polls: 0,
            ..execution.clone()
        };
        execution.steps.truncate(1);
        proposal.execution = Some(execution);
        Progress::Stay(Box::new(proposal))
    }

    /// Looks for the proof of the whole. `lost`: the outcome of the last call is not known.
    fn verify(&self, lost: bool) -> Progress {
        let Some(execution) = &self.proposal.execution else {
            return self.become_(Phase::OutcomeUnknown, words::NOT_IN_STATUS.to_owned());
        };
        let is_cancel = self.proposal.action == ProposedAction::Cancel;
        // A run that begins after a cancel makes its reload unnecessary.
        let all_started = is_cancel || execution.steps.len() == self.proposal.material.steps.len();
        let proof = if all_started {
            proof::of_whole(self.proposal, self.live, self.known.timings, lost)
        } else {
            Proof::Absent
        };
        match proof {
            Proof::Done { job } => self.done(execution, job),
            Proof::AtWork(job) => {
                let mut proposal = self.proposal.clone();
                if is_cancel {
                    proposal.phase = Phase::Verifying;
                }
                proposal.message = words::in_progress(&job);
                proposal.execution = Some(Execution {
                    observed_job: Some(job),
                    deadline: None,
                    ..execution.clone()
                });
                Progress::Stay(Box::new(proposal))
            }
            Proof::Hit(job) => self.after_late_cancel(execution, job),
            Proof::Failed(why) => {
                let place = execution.steps.len().saturating_sub(1);
                self.become_(Phase::OutcomeUnknown, self.with_steps_done(why, place + 1))
            }
            Proof::Unread(why) => self.say(words::proof_not_read(&why)),
            Proof::Absent if reload_is_due(self.proposal, self.known.timings, self.known.now) => {
                let place = execution.steps.len().saturating_sub(1);
                let tries = execution.steps.last().map_or(0, |step| step.tries);
                self.reload(execution, place, tries + 1)
            }
            Proof::Absent if lost => self.wait(execution, words::ARRIVAL_UNKNOWN, true),
            Proof::Absent => self.wait(execution, words::NO_EFFECT_YET, true),
        }
    }

    fn done(&self, execution: &Execution, job: Option<String>) -> Progress {
        let row = self.live.row(&self.proposal.target.schema_id);
        let rows_after = row
            .and_then(|row| row.table)
            .and_then(|table| table.row_count.get().copied());
        let mut proposal = self.proposal.clone();
        proposal.phase = Phase::Executed;
        proposal.message = words::done(job.as_deref(), execution.rows_before.zip(rows_after));
        proposal.execution = Some(Execution {
            observed_job: job.or_else(|| execution.observed_job.clone()),
            rows_after,
            deadline: None,
            ..execution.clone()
        });
        Progress::Stay(Box::new(proposal))
    }

    /// Waits for what should show, until the deadline and three polls have passed. `polled`: this one could have shown it.
    fn wait(&self, execution: &Execution, why: &str, polled: bool) -> Progress {
        let now = self.known.now;
        let is_cancel = self.proposal.action == ProposedAction::Cancel;
        let patience = if is_cancel {
            self.known.timings.wait_new_job
        } else {
            self.known.timings.prove_within
        };
        let deadline = execution.deadline.unwrap_or_else(|| after(now, patience));
        let polls = (execution.polls + u32::from(polled)).min(POLLS);
        if now >= deadline && polls >= POLLS {
            let place = execution.steps.len().saturating_sub(1);
            let why = if is_cancel {
                words::left_to_do(execution)
            } else {
                why.to_owned()
            };
            return self.become_(Phase::OutcomeUnknown, self.with_steps_done(why, place));
        }
        let mut proposal = self.proposal.clone();
        proposal.message = words::waits_for_proof(why);
        proposal.execution = Some(Execution {
            deadline: Some(deadline),
            polls,
            ..execution.clone()
        });
        Progress::Stay(Box::new(proposal))
    }

    /// A sentence, and which steps were done before.
    fn with_steps_done(&self, why: String, done: usize) -> String {
        with_steps_done(self.proposal, why, done)
    }
}

/// The proposal after a call whose intent it has, at `now`.
#[must_use]
pub fn after_call(
    mut proposal: Proposal,
    outcome: &Sent,
    timings: &Timings,
    now: Timestamp,
) -> Proposal {
    record(&mut proposal, outcome, now);
    settle(proposal, timings, now)
}

/// Records the outcome of the last call.
pub fn record(proposal: &mut Proposal, outcome: &Sent, now: Timestamp) {
    let execution = proposal.execution.as_mut();
    if let Some(last) = execution.and_then(|execution| execution.steps.last_mut()) {
        last.fate = Some(outcome.fate);
        last.http_status = outcome.http_status;
        last.finished_at = Some(now);
        last.detail.clone_from(&outcome.detail);
    }
}

/// What a proposal becomes by the outcome of its last call alone.
#[must_use]
pub fn settle(mut proposal: Proposal, timings: &Timings, now: Timestamp) -> Proposal {
    let Some(last) = proposal.started_steps().last().cloned() else {
        return proposal;
    };
    let (action, place) = (proposal.action, proposal.started_steps().len() - 1);
    let is_last = place + 1 == proposal.material.steps.len();
    let detail = &last.detail;
    let mut wait = None;
    let (phase, message) = match last.fate {
        Some(Fate::Accepted) if is_last && action == ProposedAction::RefreshSchemas => {
            (Phase::Executed, words::done_as_answered(detail))
        }
        Some(Fate::Accepted) if is_last => {
            wait = Some(proof_deadline(action, timings));
            (Phase::Verifying, String::new())
        }
        Some(Fate::Refused) => (
            failed(place),
            with_steps_done(&proposal, words::refused(detail), place),
        ),
        Some(Fate::NotSent) if last.tries >= TRIES => {
            let why = words::never_sent(TRIES, detail);
            (failed(place), with_steps_done(&proposal, why, place))
        }
        Some(Fate::NotSent) => (Phase::Executing, words::not_sent(detail)),
        // An error after which the call may still take effect: no proof could be distinguished from a scheduled run.
        Some(Fate::Unknown) if last.http_status == Some(400) => {
            let why = words::may_take_effect(detail);
            (
                Phase::OutcomeUnknown,
                with_steps_done(&proposal, why, place),
            )
        }
        Some(Fate::Unknown) => (Phase::Executing, words::arrival_unknown(detail)),
        Some(Fate::Accepted) | None => return proposal,
    };
    proposal.phase = phase;
    proposal.message = redact::text(&message, MESSAGE_CAP);
    if let (Some(wait), Some(execution)) = (wait, &mut proposal.execution) {
        execution.deadline = Some(after(now, wait));
    }
    proposal
}

/// The outcome of a call that was sent, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its fate.
    pub fate: Fate,
    /// The HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// What was said.
    pub detail: String,
}

/// What a proposal becomes if step `place` was refused: if it was the first, nothing has changed.
const fn failed(place: usize) -> Phase {
    if place == 0 {
        Phase::Failed
    } else {
        Phase::OutcomeUnknown
    }
}

/// How long the proof may take: where it takes a job, until that job shows.
const fn proof_deadline(action: ProposedAction, timings: &Timings) -> SignedDuration {
    match action {
        ProposedAction::Resync
        | ProposedAction::DeleteData
        | ProposedAction::RepairCdc
        | ProposedAction::Reload
        | ProposedAction::Cancel => timings.wait_new_job,
        ProposedAction::RepairConfig
        | ProposedAction::RefreshSchemas
        | ProposedAction::Reenable
        | ProposedAction::ReregisterWebhook => timings.prove_within,
    }
}

fn after(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(now)
}
