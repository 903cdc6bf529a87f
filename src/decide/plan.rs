//! The plan of one pass: which incidents move, which calls are to be sent, and what is held back by which guard.

use jiff::{SignedDuration, Timestamp};

use super::{
    gate::Hanging,
    incident::{self, Facts, Next},
    ownership::{Table, is_in_flight, owned_by},
};
use crate::{
    api::{
        Timings, ValidatedPolicy,
        policy::{Mode, Switch},
        status::{Call, Incident, MAX_INCIDENTS, RootCause, Step},
    },
    diagnose::{Diagnosis, Judged, Verdict},
    observe::{Look, Newest, Snapshot, WriteScope},
    posthog::{redact, wire::SchemaStatus},
};

const NOT_LISTED: &str = "the table is not in PostHog's list just now";
const OFF: &str = "spec.remediation.cancelStuck is Off";

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
}

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
}

/// Something that would be done, and the guard that stopped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Id of the table.
    pub schema_id: String,
    /// What would be done.
    pub what: String,
    /// Why it is not.
    pub blocked_by: String,
}

/// Decides what happens in this pass.
#[must_use]
pub fn decide(
    policy: &ValidatedPolicy,
    snapshot: &Snapshot,
    diagnosis: &Diagnosis,
    incidents: &[Incident],
    timings: &Timings,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let pass = Pass {
        policy,
        snapshot,
        diagnosis,
        timings,
        now,
    };
    for incident in incidents {
        pass.go_on(incident.clone(), &mut plan);
    }
    for judged in &diagnosis.judged {
        if !incidents
            .iter()
            .any(|incident| incident.schema_id == judged.schema_id)
        {
            pass.consider(judged, &mut plan);
        }
    }
    plan
}

struct Pass<'a> {
    policy: &'a ValidatedPolicy,
    snapshot: &'a Snapshot,
    diagnosis: &'a Diagnosis,
    timings: &'a Timings,
    now: Timestamp,
}

impl Pass<'_> {
    /// Moves an incident that was opened before.
    fn go_on(&self, mut incident: Incident, plan: &mut Plan) {
        let before = (incident.step, incident.attempt);
        let row = self.snapshot.row(&incident.source_id, &incident.schema_id);
        let facts = Facts {
            look: self.snapshot.fresh_look(&incident.schema_id),
            row: row.map(|(_, schema)| schema),
            timings: self.timings,
            now: self.now,
        };
        let next = incident::advance(&mut incident, &facts);
        let again = next == Next::Wait && self.stuck_again(&mut incident);
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
            Next::Wait if !again => self.why_over(&mut incident),
            Next::Send(_) | Next::Wait => None,
        };
        if let Some(reason) = over {
            plan.notes.push(format!("{}: {reason}", incident.schema));
            return;
        }
        match next {
            Next::Send(call) => self.want(&incident, call, plan),
            Next::Wait if again => self.want(&incident, Call::Cancel, plan),
            Next::Wait | Next::Close(_) => {}
        }
        plan.incidents.push(incident);
    }

    /// Why an incident for which nothing is to be done leaves the list, if it does.
    fn why_over(&self, incident: &mut Incident) -> Option<String> {
        let listed = self
            .snapshot
            .row(&incident.source_id, &incident.schema_id)
            .is_some();
        let gone = !listed && self.now.duration_since(incident.step_since) >= GONE_AFTER;
        let well = self.is_well(incident);
        let reason = if let Some(reason) = self.overtaken(incident) {
            reason
        } else if gone {
            "it has left PostHog's list".to_owned()
        } else if incident::healed(incident, well, self.policy.healthy_for, self.now) {
            "healthy again".to_owned()
        } else {
            return None;
        };
        Some(format!("{reason}; the incident is closed"))
    }

    /// Whether the table is well: only if it is listed as Completed. None while a run is in progress, which may be one that
    /// hangs: that neither counts nor begins anew.
    fn is_well(&self, incident: &Incident) -> Option<bool> {
        let row = self.snapshot.row(&incident.source_id, &incident.schema_id);
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
        if is_in_flight(incident) {
            return None;
        }
        let judged = self.diagnosis.of(&incident.schema_id)?;
        let newest = self
            .snapshot
            .seen(&incident.schema_id)
            .and_then(|seen| seen.look.as_ref());
        let handled = [incident.job_id.as_ref(), incident.new_job_id.as_ref()];
        let later_job = matches!(newest.map(Look::newest), Some(Newest::Job(job, _)) if !handled.contains(&Some(&job.id)));
        match &judged.verdict {
            Verdict::Disabled { .. } => Some("syncing was switched off".to_owned()),
            Verdict::Billing => Some("billing holds the table back".to_owned()),
            Verdict::Failing { .. } if later_job => Some("a later run failed".to_owned()),
            _ => None,
        }
    }

    /// If the run that came of a reload hangs too: the next attempt, or the end of them.
    fn stuck_again(&self, incident: &mut Incident) -> bool {
        let hangs = self.diagnosis.of(&incident.schema_id);
        let Some((judged, Verdict::StuckJob { job_id, .. })) =
            hangs.map(|judged| (judged, &judged.verdict))
        else {
            return false;
        };
        let over = matches!(incident.step, Step::WaitSuccess | Step::Recovered);
        if !over || incident.job_id.as_ref() == Some(job_id) {
            return false;
        }
        if incident.attempt >= self.policy.attempts_per_incident {
            incident.step = Step::Escalated;
            incident.step_since = self.now;
            incident.message = format!(
                "job {job_id} hangs too, after {} attempts: somebody has to look at the source",
                incident.attempt
            );
            return false;
        }
        let Some((next, _)) = self.open(judged) else {
            return false;
        };
        *incident = Incident {
            attempt: incident.attempt + 1,
            opened_at: incident.opened_at,
            ..next
        };
        true
    }

    /// Opens an incident for a table that hangs, if every guard lets it.
    fn consider(&self, judged: &Judged, plan: &mut Plan) {
        let Some((incident, call)) = self.open(judged) else {
            return;
        };
        if let Some(blocked_by) = self.start_guard(plan) {
            let what = in_words(call, &incident);
            plan.held.push(Held {
                schema_id: incident.schema_id,
                what,
                blocked_by,
            });
            return;
        }
        self.want(&incident, call, plan);
    }

    /// The incident of a table that hangs, at its first step, and the call that it begins with.
    fn open(&self, judged: &Judged) -> Option<(Incident, Call)> {
        let (step, call, job_id, baseline_job_id, deadline) = match &judged.verdict {
            Verdict::StuckJob { job_id, .. } => {
                let deadline = self.now.checked_add(self.timings.wait_terminal).ok();
                (
                    Step::Cancelling,
                    Call::Cancel,
                    Some(job_id.clone()),
                    Some(job_id.clone()),
                    deadline,
                )
            }
            // There is nothing to cancel, and a reload cannot kill a run.
            Verdict::StuckWithoutJob { newest_job_id, .. } => (
                Step::Reloading,
                Call::Reload,
                None,
                newest_job_id.clone(),
                None,
            ),
            _ => return None,
        };
        let incident = Incident {
            schema_id: judged.schema_id.clone(),
            schema: redact::one_line(&judged.schema, 160),
            source: judged.source.clone(),
            source_id: judged.source_id.clone(),
            cause: RootCause::Stuck,
            step,
            attempt: 1,
            job_id,
            baseline_job_id,
            new_job_id: None,
            opened_at: self.now,
            step_since: self.now,
            deadline,
            healthy_since: None,
            sends: Vec::new(),
            message: judged.verdict.why_stuck().unwrap_or_default(),
        };
        Some((incident, call))
    }

    /// What holds back the start of an incident. One that is under way is not held back by these: a cancel reserves its
    /// reload.
    fn start_guard(&self, plan: &Plan) -> Option<String> {
        if self.policy.cancel_stuck == Switch::Off {
            return Some(OFF.to_owned());
        }
        let waiting_for_a_job =
            |incident: &&Incident| is_in_flight(incident) && incident.step != Step::WaitSuccess;
        let started = plan.actions.iter().map(|action| &action.incident);
        let under_way = plan.incidents.iter().filter(waiting_for_a_job).count()
            + started
                .filter(|new| {
                    !plan
                        .incidents
                        .iter()
                        .any(|old| old.schema_id == new.schema_id)
                })
                .count();
        if under_way >= self.policy.max_concurrent {
            return Some(format!(
                "spec.remediation.limits.maxConcurrent: {under_way} of {} incidents are under way",
                self.policy.max_concurrent
            ));
        }
        (plan.incidents.len() + plan.actions.len() >= MAX_INCIDENTS)
            .then(|| "StateFull: the list of incidents is full".to_owned())
    }

    /// What holds back every send.
    fn send_guard(&self, incident: &Incident) -> Option<String> {
        if self.policy.mode == Mode::Observe {
            return Some("spec.mode is Observe".to_owned());
        }
        if self.policy.suspend {
            return Some("spec.suspend is true".to_owned());
        }
        if self.snapshot.write_scope == WriteScope::Missing {
            return Some(
                "KeyLacksWriteScope: the API key lacks the scope external_data_source:write"
                    .to_owned(),
            );
        }
        let Some((source, schema)) = self.snapshot.row(&incident.source_id, &incident.schema_id)
        else {
            return Some(NOT_LISTED.to_owned());
        };
        if !source.is_warehouse() {
            return Some(super::safety::NotWarehouse.to_string());
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
            self.policy,
            in_flight,
            &self.snapshot.rivals,
            &table,
            self.now,
        )?;
        Some(if owner.namespace == self.policy.at.namespace {
            format!("BlockedBy: policy {} owns this table", owner.name)
        } else {
            "BlockedBy: a policy in another namespace owns this table".to_owned()
        })
    }

    fn want(&self, incident: &Incident, call: Call, plan: &mut Plan) {
        let hanging = self.hanging(incident);
        let doubts = || match call {
            Call::Cancel if hanging.is_none() => {
                Some("the run is not seen to hang any more".to_owned())
            }
            Call::Cancel => self.cancel_guard(incident),
            Call::Reload => None,
        };
        let row = self.snapshot.row(&incident.source_id, &incident.schema_id);
        match (self.send_guard(incident).or_else(doubts), row) {
            (None, Some((source, schema))) => plan.actions.push(Action {
                incident: incident.clone(),
                call,
                hanging,
                name: schema.name.clone(),
                warehouse: source.is_warehouse(),
            }),
            (blocked_by, _) => plan.held.push(Held {
                schema_id: incident.schema_id.clone(),
                what: in_words(call, incident),
                blocked_by: blocked_by.unwrap_or_else(|| NOT_LISTED.to_owned()),
            }),
        }
    }

    /// True if a look that could tell says that the incident's run does not hang.
    fn moves_again(&self, incident: &Incident) -> bool {
        let seen = self.snapshot.seen(&incident.schema_id);
        self.hanging(incident).is_none()
            && seen.is_some_and(|seen| seen.unclear.is_none())
            && self.snapshot.fresh_look(&incident.schema_id).is_some()
    }

    /// What holds back a cancel, also the one of a later attempt.
    fn cancel_guard(&self, incident: &Incident) -> Option<String> {
        if self.policy.cancel_stuck == Switch::Off {
            return Some(OFF.to_owned());
        }
        if self.diagnosis.of(&incident.schema_id).is_none() {
            return Some("the policy does not select this table".to_owned());
        }
        let job = incident.job_id.as_ref()?;
        let already = self
            .snapshot
            .rivals
            .iter()
            .any(|rival| rival.cancelled.contains(job));
        already.then(|| {
            format!("another policy has cancelled job {job} before: no job is cancelled twice")
        })
    }

    /// How far the incident's run was when it was judged stuck.
    fn hanging(&self, incident: &Incident) -> Option<Hanging> {
        let seen = self
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
    }
}
