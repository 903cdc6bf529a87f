//! The reconcile core: list → suspects → looks → diagnose → decide → execute → report.
//!
//! Reaches `PostHog` and Kubernetes only through two narrow ports, and the time only through a function, so that the
//! deterministic simulation can drive it.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    obstacle,
    survey::{Budget, Survey, is_verifying},
};
use crate::{
    api::{
        Timings, ValidatedPolicy, WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        proposal::{Phase, Proposal},
        status::{Call, Fate, Handover, Incident, STATE_FORMAT},
        validated::PolicyRef,
    },
    decide::{
        Action, Held, Plan, approval,
        approval::gate,
        credentials::Handing,
        decide,
        incident::{self, Facts, Next},
        plan::Settings,
        plan::in_words,
        proposal,
        proposal::Seed,
    },
    diagnose::{Diagnosis, Known, diagnose, outage},
    execute::{self, Leads, Ledger, approved, handover, run::Ran, spending::Wish},
    observe::{Live, Observer, Offers, Snapshot, observer::ProjectView},
    posthog::{ApiKey, Transport, client::Clock, guard::HostList, quota::Purpose, redact},
    report::{
        Kubernetes, KubernetesError, Metrics, StatusWriter,
        compose::{self, Obstacle},
        events,
        metrics::SendLabels,
    },
};

/// How soon a poll that failed is tried again, at the latest.
const RETRY: SignedDuration = SignedDuration::from_secs(30);

/// Reconciles policies.
pub struct Reconciler<T, K> {
    /// What is shared between policies of one project and key.
    pub observer: Observer<T>,
    /// Kubernetes.
    pub kubernetes: Arc<K>,
    /// The operator's list of hosts.
    pub hosts: HostList,
    /// The fixed durations.
    pub timings: Timings,
    /// Calls that may be sent to one project in an hour, by all policies on it together.
    pub max_actions_per_hour: usize,
    /// Which approvals count.
    pub approvals: approval::Rules,
    /// Sends whose outcome the status may not know.
    pub ledger: Ledger,
    /// Whether this process leads.
    pub leads: Leads,
    /// Metrics.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub seed: DrawSeed,
}

/// Draws a seed; none if the system has no random numbers to give.
pub type DrawSeed = Arc<dyn Fn() -> Option<Seed> + Send + Sync>;

/// What comes after a reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// When to come back; none if the policy is gone.
    pub again_in: Option<SignedDuration>,
    /// Policies that share a poll which was made just now.
    pub tell: Vec<PolicyRef>,
}

/// What a pass knows of its policy.
struct Pass<'a, T> {
    policy: ValidatedPolicy,
    view: ProjectView<T>,
    /// The status at the beginning, completed by what this process knows.
    old: WarehouseSyncPolicyStatus,
    snapshot: Snapshot,
    now: Timestamp,
    tell: Vec<PolicyRef>,
    timings: &'a Timings,
}

impl<T: Transport, K: Kubernetes> Reconciler<T, K> {
    /// One pass over one policy.
    pub async fn reconcile(&self, at: &PolicyRef) -> Result<Reconciled, KubernetesError> {
        let Some(object) = self.kubernetes.policy(at).await? else {
            self.forget(at);
            return Ok(Reconciled {
                again_in: None,
                tell: Vec::new(),
            });
        };
        if let Some(why) = too_new(&object) {
            // Nothing is written: an apply would remove what this binary does not know.
            self.forget(at);
            let notice = events::left_alone(&why);
            self.kubernetes.publish(&object, notice).await;
            return Err(KubernetesError::NotUnderstood {
                at: at.clone(),
                why,
            });
        }
        let mut writer = StatusWriter::new(&*self.kubernetes, &self.metrics, &object, at.clone());
        let observed = self.observe(&object).await?;
        // That may have taken minutes.
        self.check_leads(at)?;
        match observed {
            Err((obstacle, policy, tell)) => {
                let now = (self.clock)();
                let generation = object.metadata.generation.unwrap_or_default();
                let mut status = compose::hindered(
                    policy.as_ref(),
                    generation,
                    writer.written(),
                    &obstacle,
                    now,
                );
                if let Some(policy) = &policy {
                    // An annotation may be gone by the time that PostHog can be read again.
                    let guard = self.kubernetes.approval_guard().await?;
                    let notes = proposal::latch(policy, &guard, self.approvals, &mut status, now);
                    for note in notes {
                        status.remember(now, redact::one_line(&note, 240));
                    }
                }
                tracing::warn!(policy = %at, reason = %obstacle.reason, "{}", obstacle.message);
                writer.write(status, now).await?;
                writer.publish().await;
                let interval = policy.map_or(RETRY, |policy| policy.interval);
                let again_in = Some(if obstacle.reason.stalls() {
                    interval
                } else {
                    interval.min(RETRY)
                });
                Ok(Reconciled { again_in, tell })
            }
            Ok(pass) => {
                let known = Known {
                    policy: &pass.policy,
                    snapshot: &pass.snapshot,
                    state: &pass.old.state,
                    proposals: &pass.old.proposals,
                    timings: pass.timings,
                    now: pass.now,
                };
                let diagnosis = diagnose(&known);
                let everywhere = &self.observer.everywhere;
                everywhere.note(&pass.policy.project, outage::told(&known), pass.now);
                let own_executions = self.ledger.executions();
                let seed = (self.seed)();
                let settings = Settings {
                    max_actions_per_hour: self.max_actions_per_hour,
                    proposals: proposal::Settings {
                        seed: seed.as_ref(),
                        approvals: self.approvals,
                        own_executions: &own_executions,
                    },
                };
                let plan = decide(&known, &diagnosis, &pass.old.incidents, &settings);
                let again_in = Box::pin(self.execute(&pass, &diagnosis, plan, &mut writer)).await?;
                // Only now: the status was written, so the policy was still there.
                let counts = diagnosis.summary(|_| false).schemas;
                self.check_leads(at)?;
                let proposals = &writer.written().proposals;
                let gauges = &self.metrics.gauges;
                gauges.set(at, &diagnosis.problems, &counts, proposals);
                Ok(Reconciled {
                    again_in: Some(again_in),
                    tell: pass.tell,
                })
            }
        }
    }

    /// A pass that is under way when leadership is lost ends here. What came of a call is written all the same: it goes through
    /// only if the next leader has not written yet, which then need not find it out.
    fn check_leads(&self, at: &PolicyRef) -> Result<(), KubernetesError> {
        if (self.leads)(Duration::ZERO) {
            Ok(())
        } else {
            Err(KubernetesError::NotLeading(at.clone()))
        }
    }

    /// Forgets a policy that is gone, or another's to look after.
    pub fn forget(&self, at: &PolicyRef) {
        self.observer.forget(at);
        self.metrics.gauges.forget(at);
    }

    /// Reads all that the decision may rest on, or finds what is in the way.
    async fn observe(
        &self,
        object: &WarehouseSyncPolicy,
    ) -> Result<
        Result<Pass<'_, T>, (Obstacle, Option<ValidatedPolicy>, Vec<PolicyRef>)>,
        KubernetesError,
    > {
        let policy = match ValidatedPolicy::new(object) {
            Ok(policy) => policy,
            Err(error) => return Ok(Err((error.into(), None, Vec::new()))),
        };
        if let Err(error) = self.hosts.check(&policy.project.host) {
            return Ok(Err((error.into(), Some(policy), Vec::new())));
        }
        let key = match self
            .kubernetes
            .api_key(&policy.at.namespace, &policy.api_key)
            .await?
        {
            Ok(key) => key,
            Err(refused) => return Ok(Err((refused.into(), Some(policy), Vec::new()))),
        };
        let offers = self.offers(&policy, &key).await?;
        let approval_guard = self.kubernetes.approval_guard().await?;
        let view = self.observer.project(&policy.at, &policy.project, key);
        let mut old = object.status.clone().unwrap_or_default();
        self.ledger.complete(&policy.uid, &mut old.incidents);
        self.ledger
            .complete_sources(&policy.uid, &mut old.state.sources);
        self.ledger
            .complete_proposals(&policy.uid, &mut old.proposals);

        let asked = policy.requested_at.is_some() && policy.requested_at != old.state.poll_handled;
        let polled = if asked {
            view.poll(SignedDuration::ZERO, Purpose::Repair).await
        } else {
            let purpose = purpose(&policy, &old.incidents, &old.proposals);
            view.poll(self.max_age(&policy, &old), purpose).await
        };
        if asked && polled.fresh && polled.listed.is_ok() {
            old.state.poll_handled.clone_from(&policy.requested_at);
        }
        let tell = if polled.fresh {
            view.others()
        } else {
            Vec::new()
        };
        let sources = match polled.listed {
            Ok(sources) => sources,
            Err(error) => {
                return Ok(Err((
                    obstacle::of_poll(&error, &policy),
                    Some(policy),
                    tell,
                )));
            }
        };
        let now = (self.clock)();
        if let Some(obstacle) = obstacle::of_vanished(&sources, &old, &self.timings, now) {
            return Ok(Err((obstacle, Some(policy), tell)));
        }
        let rivals = self.kubernetes.rivals(&policy.at, &policy.project);
        let survey = Survey {
            policy: &policy,
            view: &view,
            state: &old.state,
            incidents: &old.incidents,
            proposals: &old.proposals,
            timings: &self.timings,
            budget: Budget::RECONCILE,
            every_run: false,
            progress: &|_, _| {},
        };
        let elsewhere = self.observer.everywhere.but(&policy.project, now);
        // Boxed, so that it takes memory only from here on: at the start a thousand passes wait for their lists.
        let snapshot = Box::pin(survey.make(sources, rivals, elsewhere)).await;
        let snapshot = Snapshot {
            offers,
            approval_guard,
            slowed: view.pace(Purpose::Poll) > policy.interval,
            ..snapshot
        };
        Ok(Ok(Pass {
            policy,
            view,
            old,
            snapshot,
            // Looks may have taken minutes.
            now: (self.clock)(),
            tell,
            timings: &self.timings,
        }))
    }

    /// What the Secrets of `spec.credentials` hold.
    async fn offers(
        &self,
        policy: &ValidatedPolicy,
        key: &ApiKey,
    ) -> Result<Offers, KubernetesError> {
        let mut offers = Offers::default();
        for at in policy.secrets() {
            let (namespace, project) = (&policy.at.namespace, policy.project.id);
            let value = self
                .kubernetes
                .source_secret(namespace, &at, project)
                .await?;
            offers.add(at, value.map_err(|refused| refused.message), key);
        }
        Ok(offers)
    }

    /// How old a list may be. A tenth less than the interval, so that a policy that comes a little early does not have to
    /// wait for a whole interval more.
    fn max_age(&self, policy: &ValidatedPolicy, old: &WarehouseSyncPolicyStatus) -> SignedDuration {
        self.again_in(policy, &old.incidents, &old.proposals) * 9 / 10
    }

    fn again_in(
        &self,
        policy: &ValidatedPolicy,
        incidents: &[Incident],
        proposals: &[Proposal],
    ) -> SignedDuration {
        match purpose(policy, incidents, proposals) {
            Purpose::Repair => policy.interval.min(self.timings.verify_every),
            Purpose::Poll | Purpose::Probe => policy.interval,
        }
    }

    /// Sends what the plan says, one call after the other, and reports.
    async fn execute(
        &self,
        pass: &Pass<'_, T>,
        diagnosis: &Diagnosis,
        mut plan: Plan,
        writer: &mut StatusWriter<'_, K>,
    ) -> Result<SignedDuration, KubernetesError> {
        // One time for all that this pass writes: a condition that changes in it changes once.
        let now = pass.now;
        let compose = |plan: &Plan| {
            compose::observed(
                &pass.policy,
                &pass.old,
                &pass.snapshot,
                diagnosis,
                plan,
                now,
            )
        };
        let hands_over = !plan.handings.is_empty();
        while !plan.handings.is_empty() {
            let handing = plan.handings[0].clone();
            let wish = wish(&pass.policy, &handing.source_id, true, false);
            if !self.may_send(pass, wish, &plan) {
                plan.handings.remove(0);
                plan.held.push(Held {
                    schema_id: handing.source_id,
                    what: handing.words,
                    blocked_by: OVER_CAP.to_owned(),
                });
                continue;
            }
            let intent = async |handover: &Handover| {
                self.check_leads(&pass.policy.at)?;
                let mut intended = plan.clone();
                intended.sent(Some(handover.at));
                intended.handed(&handing, handover.clone());
                writer.write(compose(&intended), now).await
            };
            let ran = handover::run(
                &pass.policy,
                &pass.view,
                &self.ledger,
                &self.leads,
                &pass.snapshot,
                &handing,
                intent,
            )
            .await?;
            plan.handings.remove(0);
            if !matches!(&ran, handover::Ran::Sent(handed) if handover::has_left(handed)) {
                self.ledger.spending.give_back(wish);
            }
            self.note_handover(&mut plan, &handing, ran);
            tracing::info!(policy = %pass.policy.at, source = %handing.source, call = handing.what.as_str(), "{}", plan.notes.last().map_or("", String::as_str));
            writer.write(compose(&plan), now).await?;
            writer.publish().await;
        }
        while !plan.actions.is_empty() {
            let action = plan.actions[0].clone();
            let call = action.call;
            let schema_id = action.incident.schema_id.clone();
            let sends = &action.incident.sends;
            let starts = sends.iter().all(|send| send.fate == Some(Fate::NotSent));
            let wish = wish(&pass.policy, &schema_id, starts, call != Call::Reload);
            if !self.may_send(pass, wish, &plan) {
                let action = plan.actions.remove(0);
                plan.held
                    .push(Held::of(&action.incident, call, OVER_CAP.to_owned()));
                continue;
            }
            let intent = async |incident: &Incident| {
                self.check_leads(&pass.policy.at)?;
                let mut intended = plan.clone();
                intended.sent(incident.sends.last().map(|send| send.started_at));
                put(&mut intended.incidents, incident.clone());
                writer.write(compose(&intended), now).await
            };
            let (view, ledger, leads) = (&pass.view, &self.ledger, &self.leads);
            let ran = execute::run(&pass.policy, view, ledger, leads, action, intent).await?;
            let action = plan.actions.remove(0);
            if !matches!(&ran, Ran::Sent(incident) if has_left(incident)) {
                self.ledger.spending.give_back(wish);
            }
            self.note(pass, &mut plan, &action, ran);
            tracing::info!(policy = %pass.policy.at, schema = %action.incident.schema, ?call, "{}", plan.notes.last().or(plan.held.last().map(|held| &held.blocked_by)).map_or("", String::as_str));
            writer.write(compose(&plan), now).await?;
            writer.publish().await;
        }
        // What was latched is written down before anything is done about it.
        writer.write(compose(&plan), now).await?;
        writer.publish().await;
        for place in 0..plan.proposals.len() {
            self.carry_out(pass, &mut plan, place, writer, &compose)
                .await?;
        }
        let again_in = self.again_in(&pass.policy, &plan.incidents, &plan.proposals);
        let again_in = if hands_over {
            again_in.min(self.timings.verify_every)
        } else {
            again_in
        };
        let purpose = purpose(&pass.policy, &plan.incidents, &plan.proposals);
        Ok(again_in.max(pass.view.pace(purpose)))
    }

    /// Counts a call, unless that would exceed the operator's own cap for the project.
    fn may_send(&self, pass: &Pass<'_, T>, wish: Wish<'_>, plan: &Plan) -> bool {
        let rivals = pass.snapshot.rivals.iter();
        let told = rivals.flat_map(|rival| &rival.sends).chain(&plan.sends);
        let most = self.max_actions_per_hour;
        let spending = &self.ledger.spending;
        spending.take(wish, told.copied(), most, (self.clock)())
    }

    /// Takes what was approved as far as it comes now: reads what it touches, sends what may be sent, one call after the other,
    /// and looks for the proof.
    async fn carry_out(
        &self,
        pass: &Pass<'_, T>,
        plan: &mut Plan,
        place: usize,
        writer: &mut StatusWriter<'_, K>,
        compose: &impl Fn(&Plan) -> WarehouseSyncPolicyStatus,
    ) -> Result<(), KubernetesError> {
        let now = pass.now;
        while plan.proposals[place].phase.is_under_way() {
            let proposal = plan.proposals[place].clone();
            self.check_leads(&pass.policy.at)?;
            match self.next_of(pass, plan, &proposal).await? {
                approval::Next::Stay(stays) => {
                    let goes_on = stays.phase != proposal.phase;
                    plan.put(*stays, now);
                    writer.write(compose(plan), now).await?;
                    writer.publish().await;
                    if !goes_on {
                        break;
                    }
                }
                approval::Next::Send(approved, intended) => {
                    let begun = intended.execution.iter().flat_map(|e| &e.steps).count();
                    let starts = begun <= 1;
                    let reserves = begun < intended.material.steps.len();
                    let subject = intended.subject_id().to_owned();
                    let wish = wish(&pass.policy, &subject, starts, reserves);
                    if !self.may_send(pass, wish, plan) {
                        let message = format!("held: {OVER_CAP}");
                        plan.put(
                            Proposal {
                                message,
                                ..proposal
                            },
                            now,
                        );
                        writer.write(compose(plan), now).await?;
                        break;
                    }
                    let intent = async |intended: &Proposal| {
                        self.check_leads(&pass.policy.at)?;
                        let mut plan = plan.clone();
                        plan.sent(approved::last(intended).map(|step| step.started_at));
                        plan.put(intended.clone(), now);
                        writer.write(compose(&plan), now).await
                    };
                    let (policy, view) = ((&pass.policy, pass.timings), &pass.view);
                    let (ledger, leads) = (&self.ledger, &self.leads);
                    let step = (approved, *intended);
                    let ran = approved::run(policy, view, ledger, leads, step, intent).await?;
                    let tried = self.note_execution(plan, &proposal, ran, now);
                    if !tried {
                        self.ledger.spending.give_back(wish);
                    }
                    writer.write(compose(plan), now).await?;
                    writer.publish().await;
                    if !tried {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// What comes next of a proposal that was approved, by what is read for it now.
    async fn next_of(
        &self,
        pass: &Pass<'_, T>,
        plan: &Plan,
        proposal: &Proposal,
    ) -> Result<approval::Next, KubernetesError> {
        let client = &pass.view.client;
        let known = Known {
            policy: &pass.policy,
            snapshot: &pass.snapshot,
            state: &pass.old.state,
            proposals: &plan.proposals,
            timings: pass.timings,
            now: client.now(),
        };
        let cap = self.max_actions_per_hour;
        let held = gate::held(&known, plan, proposal, self.approvals, cap);
        if let Some(why) = held.filter(|_| proposal.phase == Phase::Approved) {
            // Nothing has to be read to know that.
            let message = format!("held: {why}");
            return Ok(approval::Next::Stay(Box::new(Proposal {
                message,
                ..proposal.clone()
            })));
        }
        let live = Live::take(client, proposal.action, &proposal.target).await;
        let snapshot = Snapshot {
            approval_guard: self.kubernetes.approval_guard().await?,
            ..live.over(&pass.snapshot)
        };
        let known = Known {
            snapshot: &snapshot,
            now: client.now(),
            ..known
        };
        let diagnosis = diagnose(&known);
        Ok(approval::next(&approval::Case {
            proposal,
            live: &live,
            known: &known,
            diagnosis: &diagnosis,
            plan,
            rules: self.approvals,
            max_actions_per_hour: cap,
        }))
    }

    /// Puts what came of a call of a proposal into the plan; false if it did not leave.
    fn note_execution(
        &self,
        plan: &mut Plan,
        before: &Proposal,
        ran: approved::Ran,
        now: Timestamp,
    ) -> bool {
        let after = match ran {
            approved::Ran::GateClosed(why) => {
                let message = format!("held: {why}");
                let held = Proposal {
                    message,
                    ..before.clone()
                };
                plan.put(held, now);
                return false;
            }
            approved::Ran::Sent(after) => *after,
        };
        let last = approved::last(&after);
        let fate = last.and_then(|step| step.fate);
        let left = last.filter(|_| fate != Some(Fate::NotSent));
        plan.sent(left.map(|step| step.started_at));
        let labels = SendLabels {
            call: "approved",
            fate: fate.map_or("", in_a_word),
        };
        self.metrics.sends.get_or_create(&labels).inc();
        tracing::info!(proposal = %after.id, table = after.title(), phase = ?after.phase, "{}", after.message);
        let left = left.is_some();
        plan.put(after, now);
        left
    }

    /// Puts what came of a handover into the plan.
    fn note_handover(&self, plan: &mut Plan, handing: &Handing, ran: handover::Ran) {
        let Handing { source, words, .. } = handing;
        let handed = match ran {
            handover::Ran::GateClosed(blocked_by) => {
                plan.held.push(Held {
                    schema_id: handing.source_id.clone(),
                    what: words.clone(),
                    blocked_by,
                });
                return;
            }
            handover::Ran::Sent(handed) => handed,
        };
        let (call, fate) = (handing.what.as_str(), handed.fate.map_or("", in_a_word));
        let said = if handed.detail.is_empty() {
            String::new()
        } else {
            format!(" ({})", handed.detail)
        };
        plan.notes.push(format!("{source}: {call} {fate}{said}"));
        self.metrics
            .sends
            .get_or_create(&SendLabels { call, fate })
            .inc();
        // What did not leave leaves what was handed over before as it was.
        if handover::has_left(&handed) {
            plan.sent(Some(handed.at));
            plan.handed(handing, handed);
        }
    }

    /// Puts what came of an action into the plan.
    fn note(&self, pass: &Pass<'_, T>, plan: &mut Plan, action: &Action, ran: Ran) {
        let what = in_words(action.call, &action.incident);
        match ran {
            Ran::GateClosed(blocked_by) => {
                plan.held.push(Held {
                    schema_id: action.incident.schema_id.clone(),
                    what,
                    blocked_by,
                });
            }
            Ran::Sent(mut incident) => {
                let send = incident.sends.last();
                let left = send.filter(|send| send.fate != Some(Fate::NotSent));
                plan.sent(left.map(|send| send.started_at));
                let fate = send.and_then(|send| send.fate);
                let said = send
                    .map(|send| send.detail.as_str())
                    .filter(|said| !said.is_empty());
                let call = action.call.as_str();
                plan.notes.push(format!(
                    "{}: {call} {}{}",
                    incident.schema,
                    fate.map_or("", in_a_word),
                    said.map_or_else(String::new, |said| format!(" ({said})"))
                ));
                self.metrics
                    .sends
                    .get_or_create(&SendLabels {
                        call,
                        fate: fate.map_or("", in_a_word),
                    })
                    .inc();
                let row = pass
                    .snapshot
                    .row(&incident.source_id, &incident.schema_id)
                    .map(|(_, schema)| schema);
                let facts = Facts {
                    look: None,
                    row,
                    timings: pass.timings,
                    now: (self.clock)(),
                };
                match incident::advance(&mut incident, &facts) {
                    Next::Close(reason) => {
                        plan.notes.push(format!("{}: {reason}", incident.schema));
                        plan.incidents
                            .retain(|known| known.schema_id != incident.schema_id);
                    }
                    // What is to be sent again is sent at the next pass, behind its gate.
                    Next::Wait | Next::Send(_) => put(&mut plan.incidents, *incident),
                }
            }
        }
    }
}

/// What the polls of a policy are for. What is held back by the mode may be so for long; it is not worth a poll every few seconds.
fn purpose(policy: &ValidatedPolicy, incidents: &[Incident], proposals: &[Proposal]) -> Purpose {
    let verifies = incidents.iter().any(is_verifying) || proposals.iter().any(awaits_proof);
    if policy.may_act() && verifies {
        Purpose::Repair
    } else {
        Purpose::Poll
    }
}

/// Why a call waits of which another policy has just taken the last place.
const OVER_CAP: &str = "--max-actions-per-hour of the operator, for all policies of the project: all calls of the hour are taken";

const fn wish<'a>(
    policy: &'a ValidatedPolicy,
    id: &'a str,
    starts: bool,
    reserves: bool,
) -> Wish<'a> {
    Wish {
        project: &policy.project,
        uid: policy.uid.as_str(),
        id,
        starts,
        reserves,
    }
}

/// True if the newest call of an incident left, whatever came of it.
fn has_left(incident: &Incident) -> bool {
    let send = incident.sends.last();
    send.is_some_and(|send| send.fate != Some(Fate::NotSent))
}

const fn in_a_word(fate: Fate) -> &'static str {
    match fate {
        Fate::Accepted => "accepted",
        Fate::Refused => "refused",
        Fate::NotSent => "not sent",
        Fate::Unknown => "of unknown fate",
    }
}

fn put(incidents: &mut Vec<Incident>, incident: Incident) {
    match incidents
        .iter_mut()
        .find(|known| known.schema_id == incident.schema_id)
    {
        Some(known) => *known = incident,
        None => incidents.push(incident),
    }
}

/// True for a proposal of which something is to be seen soon.
fn awaits_proof(proposal: &Proposal) -> bool {
    match proposal.phase {
        Phase::Executing => true,
        // A run at work may last for days.
        Phase::Verifying => {
            (proposal.execution.as_ref()).is_some_and(|execution| execution.observed_job.is_none())
        }
        _ => false,
    }
}

/// Why this binary must not touch a policy whose status a newer one has written.
fn too_new(object: &WarehouseSyncPolicy) -> Option<String> {
    let found = object.status.as_ref()?.state.format?;
    (found > STATE_FORMAT).then(|| {
        format!(
            "the policy is left alone: a newer operator has written what must be remembered in a format ({found}) that this one, which \
             knows formats up to {STATE_FORMAT}, would destroy. Run the newer operator again"
        )
    })
}
