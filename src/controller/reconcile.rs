//! The reconcile core: list → suspects → looks → diagnose → decide → execute → report.
//!
//! Reaches `PostHog` and Kubernetes only through two narrow ports, and the time only through a function, so that the
//! deterministic simulation can drive it.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    beside::beside,
    obstacle,
    survey::{Budget, Survey, is_verifying},
};
use crate::{
    api::{
        About, Timings, ValidatedPolicy, WarehouseSyncPolicy, WarehouseSyncPolicyStatus,
        notification::Notification,
        proposal::{Phase, Proposal},
        status::{Call, Fate, Handover, Incident, STATE_FORMAT},
        validated::PolicyRef,
    },
    decide::{
        Action, Blocked, Guard, Held, Plan, approval,
        approval::gate,
        credentials::Handing,
        decide,
        incident::{self, Facts, Next},
        meanwhile,
        plan::{Settings, in_words},
        proposal,
        proposal::Seed,
    },
    diagnose::{Diagnosis, Known, diagnose},
    execute::{self, Leads, Ledger, approved, handover, run::Ran, spending::Wish},
    observe::{Live, Observer, Offers, Rival, Snapshot, observer::ProjectView},
    posthog::{ApiKey, Transport, client::Clock, guard::HostList, quota::Purpose, redact},
    report::{
        Kubernetes, KubernetesError, Metrics, StatusWriter, Story,
        compose::{self, Obstacle},
        events,
        gauges::Pass as Found,
        metrics::Outcome,
        notifications::{Channel, Channels, Outbox, channel, letter},
        story,
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
    /// The operator's list of hosts of receivers of notifications.
    pub notify_hosts: HostList,
    /// What waits to be told.
    pub outbox: Outbox,
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
    /// What was said in the log.
    pub story: Story,
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
    /// How it ended, for the metrics.
    pub outcome: Outcome,
    /// Policies that share a poll which was made just now.
    pub tell: Vec<PolicyRef>,
}

/// Why a pass could not observe, the policy if it can be read, and who shares the poll.
type Hindrance = (Obstacle, Option<ValidatedPolicy>, Vec<PolicyRef>);

/// What a pass knows of its policy.
struct Pass<'a, T> {
    policy: ValidatedPolicy,
    view: ProjectView<T>,
    /// The status at the beginning, completed by what this process knows.
    old: WarehouseSyncPolicyStatus,
    snapshot: Snapshot,
    /// The receivers of notifications.
    channels: Channels,
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
                outcome: Outcome::Gone,
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
            Err(hindrance) => self.hindered(&object, hindrance, &mut writer).await,
            Ok(pass) => {
                let known = Known {
                    policy: &pass.policy,
                    snapshot: &pass.snapshot,
                    state: &pass.old.state,
                    proposals: &pass.old.proposals,
                    timings: pass.timings,
                    now: pass.now,
                };
                let diagnosis = beside(&pass.snapshot, || diagnose(&known));
                let everywhere = &self.observer.everywhere;
                everywhere.note(&pass.policy.project, diagnosis.for_others.clone(), pass.now);
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
                let mut plan = beside(&pass.snapshot, || {
                    decide(&known, &diagnosis, &pass.old.incidents, &settings)
                });
                let execution = self.execute(&pass, &diagnosis, &mut plan, &mut writer);
                let again_in = Box::pin(execution).await?;
                // Only now: the status was written, so the policy was still there.
                self.check_leads(at)?;
                self.hand_to_outbox(&pass.policy, writer.written(), &pass.channels);
                self.story.held(at, &plan);
                let found = Found {
                    problems: &diagnosis.problems,
                    counts: diagnosis.summary(|_| false).schemas,
                    held: &plan.held,
                };
                let gauges = &self.metrics.gauges;
                let times = (pass.now, again_in);
                gauges.observed(at, &object, writer.written(), &found, times);
                Ok(Reconciled {
                    again_in: Some(again_in),
                    outcome: Outcome::Ok,
                    tell: pass.tell,
                })
            }
        }
    }

    /// The end of a pass that could not observe.
    async fn hindered(
        &self,
        object: &WarehouseSyncPolicy,
        (obstacle, policy, tell): Hindrance,
        writer: &mut StatusWriter<'_, K>,
    ) -> Result<Reconciled, KubernetesError> {
        let at = &writer.at().clone();
        let now = (self.clock)();
        let generation = object.metadata.generation.unwrap_or_default();
        let channels = match &policy {
            Some(policy) => self.channels(policy).await,
            None => Channels::default(),
        };
        let mut old = writer.written().clone();
        self.outbox.complete(at, &mut old.state.announced);
        let mut status =
            compose::hindered(policy.as_ref(), generation, &old, &obstacle, &channels, now);
        if let Some(policy) = &policy {
            // An annotation may be gone by the time that PostHog can be read again.
            let guard = self.kubernetes.approval_guard().await?;
            let notes = proposal::latch(policy, &guard, self.approvals, &mut status, now);
            for note in notes {
                status.remember(now, redact::one_line(&note, 240));
            }
        }
        self.story.hindered(at, &obstacle);
        writer.write(status, now).await?;
        writer.publish().await;
        if let Some(policy) = &policy {
            self.hand_to_outbox(policy, writer.written(), &channels);
        }
        let interval = policy.map_or(RETRY, |policy| policy.interval);
        let again_in = if obstacle.reason.stalls() {
            interval
        } else {
            interval.min(RETRY)
        };
        self.check_leads(at)?;
        let gauges = &self.metrics.gauges;
        gauges.hindered(at, object, writer.written(), (now, again_in));
        Ok(Reconciled {
            again_in: Some(again_in),
            outcome: Outcome::Hindered,
            tell,
        })
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
        self.story.forget(at);
        self.outbox.forget(at);
        self.metrics.gauges.forget(at);
    }

    /// The receivers of `spec.notifications`. What keeps one from being told keeps nothing else from being done.
    async fn channels(&self, policy: &ValidatedPolicy) -> Channels {
        let mut channels = Channels::default();
        for notification in &policy.notifications {
            match self.channel(policy, notification).await {
                Ok(channel) => channels.add(notification, channel),
                // The next pass reads it again.
                Err(error) => tracing::warn!(policy = %policy.at, "{error}"),
            }
        }
        channels
    }

    async fn channel(
        &self,
        policy: &ValidatedPolicy,
        notification: &Notification,
    ) -> Result<Result<Channel, String>, KubernetesError> {
        let (namespace, hosts) = (&policy.at.namespace, &self.notify_hosts);
        let read = |at| self.kubernetes.notification_secret(namespace, at);
        let url = match read(&notification.secret_ref).await? {
            Ok(url) => url,
            Err(refused) => return Ok(Err(refused.message)),
        };
        let signing = match &notification.hmac_secret_ref {
            Some(at) => match read(at).await? {
                Ok(signing) => Some(signing),
                Err(refused) => return Ok(Err(refused.message)),
            },
            None => None,
        };
        Ok(channel::open(
            notification,
            namespace,
            &url,
            signing.as_ref(),
            hosts,
        ))
    }

    /// Hands over what a written status owes to receivers. It is sent later, by somebody else.
    fn hand_to_outbox(
        &self,
        policy: &ValidatedPolicy,
        written: &WarehouseSyncPolicyStatus,
        channels: &Channels,
    ) {
        let owed = letter::owed(policy, written, channels);
        self.outbox
            .offer(&policy.at, &written.state.announced, owed);
    }

    /// Reads all that the decision may rest on, or finds what is in the way.
    async fn observe(
        &self,
        object: &WarehouseSyncPolicy,
    ) -> Result<Result<Pass<'_, T>, Hindrance>, KubernetesError> {
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
        let channels = self.channels(&policy).await;
        let approval_guard = self.kubernetes.approval_guard().await?;
        let view = self.observer.project(&policy.at, &policy.project, key);
        let mut old = object.status.clone().unwrap_or_default();
        self.ledger.complete(&policy.uid, &mut old.incidents);
        self.ledger
            .complete_sources(&policy.uid, &mut old.state.sources);
        self.ledger
            .complete_proposals(&policy.uid, &mut old.proposals);
        self.outbox.complete(&policy.at, &mut old.state.announced);

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
        let rivals = self.rivals(&policy);
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
            channels,
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
        plan: &mut Plan,
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
                &pass.channels,
                now,
            )
        };
        let hands_over = !plan.handings.is_empty();
        self.hand_over(pass, plan, writer, &compose).await?;
        self.act(pass, diagnosis, plan, writer, &compose).await?;
        // What was latched is written down before anything is done about it.
        writer.write(compose(plan), now).await?;
        writer.publish().await;
        for place in 0..plan.proposals.len() {
            self.carry_out(pass, plan, place, writer, &compose).await?;
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

    /// Hands over what of the user's Secrets is to be handed over.
    async fn hand_over(
        &self,
        pass: &Pass<'_, T>,
        plan: &mut Plan,
        writer: &mut StatusWriter<'_, K>,
        compose: &impl Fn(&Plan) -> WarehouseSyncPolicyStatus,
    ) -> Result<(), KubernetesError> {
        let now = pass.now;
        while !plan.handings.is_empty() {
            let handing = plan.handings[0].clone();
            let beside = (!self.claim(pass, &handing.source_id, ""))
                .then(|| Guard::Owner.says("another policy acts on this source just now"));
            let wish = wish(&pass.policy, &handing.source_id, true, false);
            if let Some(why) = beside.or_else(|| self.over_cap(pass, wish, plan)) {
                plan.handings.remove(0);
                let Handing {
                    source_id,
                    source,
                    words,
                    ..
                } = handing;
                plan.held
                    .push(Held::of_source(&source_id, &source, words, why));
                continue;
            }
            let intent = async |handover: &Handover| {
                self.check_leads(&pass.policy.at)?;
                let mut intended = plan.clone();
                intended.sent(Some(handover.at));
                intended.handed(&handing, handover.clone());
                writer.write(compose(&intended), now).await?;
                let about = About::source(&handing.source);
                story::decided(
                    &pass.policy.at,
                    &about,
                    &handing.words,
                    "the Secret of spec.credentials has it",
                );
                Ok(())
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
            self.note_handover(plan, &handing, ran);
            writer.write(compose(plan), now).await?;
            writer.publish().await;
        }
        Ok(())
    }

    /// Sends the calls of incidents.
    async fn act(
        &self,
        pass: &Pass<'_, T>,
        diagnosis: &Diagnosis,
        plan: &mut Plan,
        writer: &mut StatusWriter<'_, K>,
        compose: &impl Fn(&Plan) -> WarehouseSyncPolicyStatus,
    ) -> Result<(), KubernetesError> {
        let now = pass.now;
        while !plan.actions.is_empty() {
            let action = plan.actions[0].clone();
            let call = action.call;
            let schema_id = action.incident.schema_id.clone();
            let sends = &action.incident.sends;
            let starts = sends.iter().all(|send| send.fate == Some(Fate::NotSent));
            let wish = wish(&pass.policy, &schema_id, starts, call != Call::Reload);
            let beside = self.meanwhile(pass, diagnosis, plan, &action);
            if let Some(why) = beside.or_else(|| self.over_cap(pass, wish, plan)) {
                let action = plan.actions.remove(0);
                plan.held.push(Held::of(&action.incident, call, why));
                continue;
            }
            let intent = async |incident: &Incident| {
                self.check_leads(&pass.policy.at)?;
                let mut intended = plan.clone();
                intended.sent(incident.sends.last().map(|send| send.started_at));
                put(&mut intended.incidents, incident.clone());
                writer.write(compose(&intended), now).await?;
                let (about, what) = (About::incident(incident), in_words(call, incident));
                story::decided(&pass.policy.at, &about, &what, &incident.message);
                Ok(())
            };
            let (view, ledger, leads) = (&pass.view, &self.ledger, &self.leads);
            let ran = execute::run(&pass.policy, view, ledger, leads, action, intent).await?;
            let action = plan.actions.remove(0);
            if !matches!(&ran, Ran::Sent(incident) if has_left(incident)) {
                self.ledger.spending.give_back(wish);
            }
            self.note(pass, plan, &action, ran);
            writer.write(compose(plan), now).await?;
            writer.publish().await;
        }
        Ok(())
    }

    /// Claims the table of `action`; why it is not sent all the same, by what others of the project have done since the pass began.
    fn meanwhile(
        &self,
        pass: &Pass<'_, T>,
        diagnosis: &Diagnosis,
        plan: &Plan,
        action: &Action,
    ) -> Option<Blocked> {
        let Incident {
            source_id,
            schema_id,
            ..
        } = &action.incident;
        if !self.claim(pass, source_id, schema_id) {
            return Some(Guard::Owner.says("another policy acts on this table just now"));
        }
        // Only now: what another began before is told by now, or its claim is in the way.
        let snapshot = self.with_rivals_of_now(pass);
        let known = self.known(pass, plan, &snapshot);
        meanwhile(&known, diagnosis, action)
    }

    /// Claims what a proposal is about; why it is not sent all the same, by what others of the project have done since it was judged.
    fn beside(&self, pass: &Pass<'_, T>, plan: &Plan, proposal: &Proposal) -> Option<String> {
        let target = &proposal.target;
        if !self.claim(pass, &target.source_id, &target.schema_id) {
            return Some("another policy acts on this table or source just now".to_owned());
        }
        let snapshot = self.with_rivals_of_now(pass);
        let known = self.known(pass, plan, &snapshot);
        gate::stopped(&known, plan, proposal, self.approvals)
    }

    /// What the pass knows, and what the others of the project have done by now.
    fn with_rivals_of_now(&self, pass: &Pass<'_, T>) -> Snapshot {
        Snapshot {
            rivals: self.rivals(&pass.policy),
            ..pass.snapshot.clone()
        }
    }

    fn known<'a>(
        &self,
        pass: &'a Pass<'_, T>,
        plan: &'a Plan,
        snapshot: &'a Snapshot,
    ) -> Known<'a> {
        Known {
            policy: &pass.policy,
            snapshot,
            state: &pass.old.state,
            proposals: &plan.proposals,
            timings: pass.timings,
            now: (self.clock)(),
        }
    }

    fn claim(&self, pass: &Pass<'_, T>, source_id: &str, schema_id: &str) -> bool {
        let policy = &pass.policy;
        let now = (self.clock)();
        self.ledger
            .claim(&policy.project, source_id, schema_id, &policy.uid, now)
    }

    fn rivals(&self, policy: &ValidatedPolicy) -> Vec<Arc<Rival>> {
        self.kubernetes.rivals(&policy.at, &policy.project)
    }

    /// Counts a call, unless that would exceed the operator's own cap for the project: then why it is not sent.
    fn over_cap(&self, pass: &Pass<'_, T>, wish: Wish<'_>, plan: &Plan) -> Option<Blocked> {
        let rivals = pass.snapshot.rivals.iter();
        let told = rivals.flat_map(|rival| &rival.sends).chain(&plan.sends);
        let most = self.max_actions_per_hour;
        let spending = &self.ledger.spending;
        let taken = spending.take(wish, told.copied(), most, (self.clock)());
        (!taken).then(|| Guard::OperatorCap.says(OVER_CAP))
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
            let read_from = pass.view.client.now();
            match self.next_of(pass, plan, &proposal).await? {
                approval::Next::Stay(stays) => {
                    let goes_on = stays.phase != proposal.phase;
                    story::goes_on(&pass.policy.at, &proposal, &stays);
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
                    let over_cap = || Some(self.over_cap(pass, wish, plan)?.why);
                    if let Some(why) = self.beside(pass, plan, &proposal).or_else(over_cap) {
                        let held = held_back(&proposal, &why);
                        story::goes_on(&pass.policy.at, &proposal, &held);
                        plan.put(held, now);
                        writer.write(compose(plan), now).await?;
                        break;
                    }
                    let intent = async |intended: &Proposal| {
                        self.check_leads(&pass.policy.at)?;
                        let mut plan = plan.clone();
                        plan.sent(approved::last(intended).map(|step| step.started_at));
                        plan.put(intended.clone(), now);
                        writer.write(compose(&plan), now).await?;
                        let about = About::proposal(intended);
                        let call = approved::last(intended).map_or("", |step| step.call.as_str());
                        let what = format!(
                            "send {call} of {} for {}",
                            intended.action.as_str(),
                            intended.title()
                        );
                        story::decided(
                            &pass.policy.at,
                            &about,
                            &what,
                            "it was approved, and everything still holds",
                        );
                        Ok(())
                    };
                    let (policy, view) = ((&pass.policy, pass.timings), &pass.view);
                    let (ledger, leads) = (&self.ledger, &self.leads);
                    let step = (approved, *intended, read_from);
                    let ran = approved::run(policy, view, ledger, leads, step, intent).await?;
                    let tried = self.note_execution(plan, &pass.policy.at, &proposal, ran, now);
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
        let known = self.known(pass, plan, &pass.snapshot);
        let cap = self.max_actions_per_hour;
        let held = gate::held(&known, plan, proposal, self.approvals, cap);
        if let Some(why) = held.filter(|_| proposal.phase == Phase::Approved) {
            // Nothing has to be read to know that.
            return Ok(approval::Next::Stay(Box::new(held_back(proposal, &why))));
        }
        let live = Live::take(client, proposal.action, &proposal.target).await;
        let snapshot = Snapshot {
            approval_guard: self.kubernetes.approval_guard().await?,
            rivals: self.rivals(&pass.policy),
            ..live.over(&pass.snapshot)
        };
        let known = Known {
            snapshot: &snapshot,
            now: client.now(),
            ..known
        };
        let diagnosis = beside(&snapshot, || diagnose(&known));
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
        at: &PolicyRef,
        before: &Proposal,
        ran: approved::Ran,
        now: Timestamp,
    ) -> bool {
        let after = match ran {
            approved::Ran::GateClosed(why) => {
                let held = held_back(before, &why);
                story::goes_on(at, before, &held);
                plan.put(held, now);
                return false;
            }
            approved::Ran::Sent(after) => *after,
        };
        let last = approved::last(&after);
        let fate = last.and_then(|step| step.fate);
        let left = last.filter(|_| fate != Some(Fate::NotSent));
        plan.sent(left.map(|step| step.started_at));
        let call = last.map_or("", |step| step.call.as_str());
        self.metrics.sent(call, fate);
        story::answered(at, &after, call, fate, last.map_or("", |step| &step.detail));
        let left = left.is_some();
        plan.put(after, now);
        left
    }

    /// Puts what came of a handover into the plan.
    fn note_handover(&self, plan: &mut Plan, handing: &Handing, ran: handover::Ran) {
        let Handing { source, words, .. } = handing;
        let handed = match ran {
            handover::Ran::GateClosed(why) => {
                let held = Held::of_source(
                    &handing.source_id,
                    source,
                    words.clone(),
                    Guard::Facts.says(why),
                );
                plan.held.push(held);
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
        self.metrics.sent(call, handed.fate);
        // What did not leave leaves what was handed over before as it was.
        if handover::has_left(&handed) {
            plan.sent(Some(handed.at));
            plan.handed(handing, handed);
        }
    }

    /// Puts what came of an action into the plan.
    fn note(&self, pass: &Pass<'_, T>, plan: &mut Plan, action: &Action, ran: Ran) {
        match ran {
            Ran::GateClosed(why) => {
                let (incident, call) = (&action.incident, action.call);
                plan.held
                    .push(Held::of(incident, call, Guard::Facts.says(why)));
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
                self.metrics.sent(call, fate);
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

/// A proposal that waits for this reason.
fn held_back(proposal: &Proposal, why: &str) -> Proposal {
    Proposal {
        message: format!("held: {why}"),
        ..proposal.clone()
    }
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
