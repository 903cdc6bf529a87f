//! The reconcile core: observe → diagnose → decide → send → report. Read [`Reconciler::reconcile`] first; each step is a module.
//!
//! | step | where | with a client? |
//! |---|---|---|
//! | read policy, Secrets, list, probes | `controller/observed.rs`, `controller/survey.rs` | yes |
//! | judge each table, and what it comes to | `diagnose` | no |
//! | what should happen, and what holds it back | `decide/planner.rs` | no |
//! | send it | `execute/send.rs` | yes |
//! | say it | `report` | Kubernetes only |
//!
//! Reaches `PostHog` and Kubernetes only through two narrow ports, and the time only through a function, so that the
//! deterministic simulation can drive it.

use jiff::SignedDuration;

use super::{
    observed::Observed,
    on_all_tables::on_all_tables,
    pace::{again_in, purpose},
    reconciler::{Reconciled, Reconciler},
};
use crate::{
    api::{WarehouseSyncPolicy, answers::Answers, status::STATE_FORMAT, validated::PolicyRef},
    decide::{OperatorLimits, Plan, Settings, decide, orders::approved, plan::Basis, proposal},
    diagnose::{Diagnosis, diagnose},
    execute::{Journal, OrderResult, Sender},
    posthog::{Transport, redact},
    report::{
        Kubernetes, KubernetesError, StatusWriter, compose, decision_log, events,
        gauges::PollResult, metrics::ReconcileOutcome,
    },
};

impl<T: Transport, K: Kubernetes> Reconciler<T, K> {
    /// Reconciles one policy.
    pub async fn reconcile(&self, at: &PolicyRef) -> Result<Reconciled, KubernetesError> {
        let Some(object) = self.kubernetes.policy(at).await? else {
            return Ok(self.gone(at));
        };
        self.check_format(at, &object).await?;
        self.check_writer(at, &object).await?;
        let mut writer = StatusWriter::new(&*self.kubernetes, &self.metrics, &object, at.clone());
        self.latch_denials(&object, &mut writer).await?;
        let observed = self.observe(at, &object, writer.written()).await?;
        // That may have taken minutes.
        self.check_leads(at)?;
        let observed = match observed {
            Ok(observed) => observed,
            Err(failed) => return self.poll_failed(&object, failed, &mut writer).await,
        };
        let diagnosis = self.diagnose(&observed);
        let mut plan = self.decide(&observed, &diagnosis);
        let sending = self.send(&observed, &diagnosis, &mut plan, &mut writer);
        let again_in = Box::pin(sending).await?;
        // Only now: the status was written, so the policy was still there.
        self.check_leads(at)?;
        self.publish(&object, &observed, (&diagnosis, &plan), &writer, again_in);
        Ok(Reconciled {
            again_in: Some(again_in),
            outcome: ReconcileOutcome::Ok,
            trigger: observed.trigger,
        })
    }

    /// Writes down who was denied what, before anything else can fail. If somebody has changed the object since, it is read again.
    async fn latch_denials(
        &self,
        object: &WarehouseSyncPolicy,
        writer: &mut StatusWriter<'_, K>,
    ) -> Result<(), KubernetesError> {
        let now = (self.clock)();
        let mut status = writer.written().clone();
        let notes = proposal::latch_denials(&Answers::new(&object.metadata), &mut status, now);
        if notes.is_empty() {
            return Ok(());
        }
        for note in notes {
            status.remember(now, redact::one_line(&note, 240));
        }
        writer.write(status, now).await?;
        writer.publish().await;
        Ok(())
    }

    fn gone(&self, at: &PolicyRef) -> Reconciled {
        self.forget(at);
        Reconciled {
            again_in: None,
            outcome: ReconcileOutcome::Gone,
            trigger: Vec::new(),
        }
    }

    /// Nothing is written to a policy that a newer binary has written: an apply would remove what this one does not know.
    async fn check_format(
        &self,
        at: &PolicyRef,
        object: &WarehouseSyncPolicy,
    ) -> Result<(), KubernetesError> {
        let Some(why) = too_new(object) else {
            return Ok(());
        };
        self.forget(at);
        let notice = events::left_alone(&why);
        self.kubernetes.publish(object, notice).await;
        let at = at.clone();
        Err(KubernetesError::NotUnderstood { at, why })
    }

    /// Nothing is polled for a policy whose status belongs to another operator: it could not be written.
    async fn check_writer(
        &self,
        at: &PolicyRef,
        object: &WarehouseSyncPolicy,
    ) -> Result<(), KubernetesError> {
        let Some(why) = self.kubernetes.other_writer(&at.namespace).await? else {
            return Ok(());
        };
        self.forget(at);
        let notice = events::left_alone(&why);
        self.kubernetes.publish(object, notice).await;
        let at = at.clone();
        Err(KubernetesError::OtherWriter { at, why })
    }

    fn diagnose(&self, observed: &Observed<T>) -> Diagnosis {
        let known = observed.known(&self.timings);
        let diagnosis = on_all_tables(&observed.snapshot.sources, || diagnose(&known));
        let (everywhere, project) = (&self.observer.all_projects, &observed.policy.project);
        everywhere.note(project, diagnosis.for_other_projects.clone(), observed.now);
        diagnosis
    }

    fn decide(&self, observed: &Observed<T>, diagnosis: &Diagnosis) -> Plan {
        let own_executions = self.ledger.executions();
        let seed = (self.seed)();
        let settings = Settings {
            max_actions_per_hour: self.max_actions_per_hour,
            proposals: proposal::ProposalSettings {
                seed: seed.as_ref(),
                approvals: self.approvals,
                own_executions: &own_executions,
            },
        };
        let known = observed.known(&self.timings);
        on_all_tables(&observed.snapshot.sources, || {
            decide(&known, diagnosis, &observed.old.incidents, &settings)
        })
    }

    /// Sends what the plan says, one call after the other, and reports. Returns when to come back.
    async fn send(
        &self,
        observed: &Observed<T>,
        diagnosis: &Diagnosis,
        plan: &mut Plan,
        writer: &mut StatusWriter<'_, K>,
    ) -> Result<SignedDuration, KubernetesError> {
        let Observed {
            policy,
            view,
            old,
            snapshot,
            channels,
            now,
            trigger: _,
        } = observed;
        let compose =
            |plan: &Plan| compose::observed(policy, old, snapshot, diagnosis, plan, channels, *now);
        let mut journal = Journal {
            writer,
            compose: &compose,
            snapshot,
            timings: &self.timings,
            metrics: &self.metrics,
            now: *now,
        };
        let sender = Sender {
            policy,
            view,
            kubernetes: &*self.kubernetes,
            snapshot,
            state: &old.state,
            diagnosis,
            timings: &self.timings,
            limits: OperatorLimits {
                max_actions_per_hour: self.max_actions_per_hour,
                approvals: self.approvals,
            },
            ledger: &self.ledger,
            leads: &self.leads,
        };
        let gives = (plan.orders.iter()).any(|order| matches!(order.basis, Basis::Source(_)));
        while let Some(order) = plan.orders.first().cloned() {
            let result = sender.send(plan, &order, &mut journal).await?;
            if !matches!(result, OrderResult::Held) {
                journal.write(plan).await?;
            }
        }
        // What was approved is written down before anything is done about it.
        journal.write(plan).await?;
        for place in 0..plan.proposals.len() {
            carry_out(&sender, plan, place, &mut journal).await?;
        }
        let (timings, at) = (&self.timings, view.client.now());
        let again_in = again_in(policy, &plan.incidents, &plan.proposals, timings, at);
        // What was given to a source shows soon.
        let soon = self.timings.verify_every;
        let again_in = if gives { again_in.min(soon) } else { again_in };
        let purpose = purpose(policy, &plan.incidents, &plan.proposals, timings, at);
        Ok(again_in.max(view.pace(purpose)))
    }

    /// Reports what was found and done to receivers, log and metrics.
    fn publish(
        &self,
        object: &WarehouseSyncPolicy,
        observed: &Observed<T>,
        (diagnosis, plan): (&Diagnosis, &Plan),
        writer: &StatusWriter<'_, K>,
        again_in: SignedDuration,
    ) {
        let (at, status) = (writer.at(), writer.written());
        self.hand_to_outbox(&observed.policy, status, &observed.channels);
        self.decision_log.held(at, plan);
        let found = PollResult {
            problems: &diagnosis.problems,
            counts: diagnosis.summary(|_| false).schemas,
            held: &plan.held,
            instance: &observed.snapshot.instance,
            exported: &diagnosis.exported,
        };
        let times = (observed.now, again_in);
        let gauges = &self.metrics.gauges;
        gauges.observed(at, object, status, &found, times);
    }
}

/// Advances approved proposals as far as possible now: sends due calls, one after the other, and checks for the proof.
async fn carry_out<T: Transport, K: Kubernetes>(
    sender: &Sender<'_, T, K>,
    plan: &mut Plan,
    place: usize,
    journal: &mut Journal<'_, '_, K>,
) -> Result<(), KubernetesError> {
    while plan.proposals[place].phase.is_in_progress() {
        let before = plan.proposals[place].clone();
        let now = sender.view.client.now();
        let result = match approved::order(&before, sender.timings, now) {
            Some(order) => sender.send(plan, &order, journal).await?,
            None => sender.verify(plan, &before).await?,
        };
        let continues = match result {
            OrderResult::Left => true,
            OrderResult::Held | OrderResult::NotSent => false,
            OrderResult::Stays(stays) => {
                decision_log::continues(&sender.policy.at, &before, &stays);
                let continues = stays.phase != before.phase;
                proposal::put(plan, *stays, journal.now);
                continues
            }
        };
        journal.write(plan).await?;
        if !continues {
            break;
        }
    }
    Ok(())
}

/// Why this binary must not touch a policy whose status a newer one has written.
fn too_new(object: &WarehouseSyncPolicy) -> Option<String> {
    let found = object.status.as_ref()?.state.format?;
    (found > STATE_FORMAT).then(|| {
        format!(
            "the policy is skipped: a newer operator has written its state in format {found}, which this operator (formats up to \
             {STATE_FORMAT}) would destroy. Run the newer operator again"
        )
    })
}
