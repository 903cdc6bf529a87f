//! Time: everything that was due up to now happens, in the order in which it was due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::{SignedDuration, Timestamp};

use crate::clock::plus;
use crate::effect::{Effect, EffectKind, Trigger};
use crate::id::Kind;
use crate::load::interval;
use crate::queue::{self, V3Event, V3Run};
use crate::run::{Behaviour, RunPlan};
use crate::simulator::Simulator;
use crate::state::{Job, Schema, Status, Table, Workflow};

/// Failed runs in a row after which starts are deferred.
const GIVE_UP_AFTER: u32 = 5;
const SHORTEST_GAP: SignedDuration = SignedDuration::from_mins(10);
const LONGEST_GAP: SignedDuration = SignedDuration::from_hours(1);

/// The end of a job whose workflow died without cleaning up, when the next run replaces it.
pub(crate) const TAKEN_OVER: &str = "A previous sync run did not shut down cleanly and was still marked as running. PostHog \
                          cleaned it up so syncing can continue. No action is needed.";

enum Event {
    JobStarts,
    JobEnds,
    WorkflowEnds,
    Teardown,
    Due,
    V3(V3Event),
}

impl Simulator {
    /// Lets everything happen that is due, requests that PostHog gets to late among it.
    pub(crate) fn settle(&mut self) {
        let now = self.now();
        self.late.sort_by_key(|(at, _)| *at);
        while self.late.first().is_some_and(|(at, _)| *at <= now) {
            let (at, request) = self.late.remove(0);
            self.settle_until(at);
            self.clock.hold(Some(at));
            drop(self.answer(&request));
            self.clock.hold(None);
        }
        self.settle_until(now);
    }

    fn settle_until(&mut self, now: Timestamp) {
        let all = 0..self.schemas.len();
        let mut due: BinaryHeap<Reverse<(Timestamp, usize)>> =
            all.filter_map(|index| self.due(index, now)).collect();
        while let Some(Reverse((at, index))) = due.pop() {
            match self.next_event(index) {
                Some((_, Event::JobStarts)) => self.start_job(index, at),
                Some((_, Event::JobEnds)) => self.end_job(index, at),
                Some((_, Event::WorkflowEnds)) => {
                    self.edit(index, |schema| schema.workflow = None);
                }
                Some((_, Event::Teardown)) => self.tear_down(index, at),
                Some((_, Event::Due)) => self.fire_schedule(index, at),
                Some((_, Event::V3(event))) => self.v3_happens(index, at, event),
                None => {}
            }
            // What happens to a schema makes nothing due but its own next event.
            due.extend(self.due(index, now));
        }
    }

    fn due(&self, index: usize, now: Timestamp) -> Option<Reverse<(Timestamp, usize)>> {
        let (at, _) = self.next_event(index)?;
        (at <= now).then_some(Reverse((at, index)))
    }

    pub(crate) fn edit(&mut self, index: usize, change: impl FnOnce(&mut Schema)) {
        if let Some(schema) = self.schemas.get_mut(index) {
            change(schema);
        }
    }

    fn next_event(&self, index: usize) -> Option<(Timestamp, Event)> {
        let schema = self.schemas.get(index)?;
        let own = own_event(schema);
        if schema.v3.active.is_empty() {
            return own;
        }
        let of_v3 = queue::next_event(schema, &self.down, self.instance.stale_after);
        let of_v3 = of_v3.map(|(at, event)| (at, Event::V3(event)));
        // What was to come is not kept waiting by a start at the same moment.
        of_v3.into_iter().chain(own).min_by_key(|(at, _)| *at)
    }

    /// Something that happened to the newest job.
    pub(crate) fn note(
        &mut self,
        index: usize,
        at: Timestamp,
        kind: EffectKind,
        trigger: Option<Trigger>,
    ) {
        let jobs = self
            .schemas
            .get(index)
            .map_or(0, |schema| schema.jobs.len());
        let about_job = !matches!(
            kind,
            EffectKind::TriggerDropped | EffectKind::TriggerDeferred
        );
        let place = if about_job {
            jobs.wrapping_sub(1)
        } else {
            jobs
        };
        self.note_job(index, place, at, kind, trigger);
    }

    /// Something that happened to that job of the table.
    pub(crate) fn note_job(
        &mut self,
        index: usize,
        place: usize,
        at: Timestamp,
        kind: EffectKind,
        trigger: Option<Trigger>,
    ) {
        let Some(schema) = self.schemas.get(index) else {
            return;
        };
        self.effects.push(Effect {
            at,
            kind,
            trigger,
            source_id: self
                .sources
                .get(schema.source)
                .map(|source| source.id.clone())
                .unwrap_or_default(),
            schema_id: Some(schema.id.clone()),
            schema: Some(schema.spec.name.clone()),
            job_id: schema.jobs.get(place).map(|job| job.id.clone()),
        });
    }

    /// The next run reads the source from its beginning.
    pub(crate) fn lose_position(&mut self, index: usize, at: Timestamp, trigger: Option<Trigger>) {
        let schema = self.schemas.get_mut(index);
        if schema.and_then(|schema| schema.position.take()).is_some() {
            self.note(index, at, EffectKind::PositionLost, trigger);
        }
    }

    /// Something that happened to a source and to none of its schemas.
    pub(crate) fn note_source(&mut self, index: usize, kind: EffectKind) {
        let Some(source) = self.sources.get(index) else {
            return;
        };
        self.effects.push(Effect {
            at: self.now(),
            kind,
            trigger: None,
            source_id: source.id.clone(),
            schema_id: None,
            schema: None,
            job_id: None,
        });
    }

    /// Requests a run from Temporal. The caller does not learn whether one starts.
    pub(crate) fn trigger(&mut self, index: usize, at: Timestamp, trigger: Trigger) {
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        if schema.workflow.is_some() {
            self.note(index, at, EffectKind::TriggerDropped, Some(trigger));
            return;
        }
        if schema.spec.cdc_broken || deferred(schema, at) {
            self.note(index, at, EffectKind::TriggerDeferred, Some(trigger));
            return;
        }
        let plan = schema
            .next_runs
            .pop_front()
            .unwrap_or_else(|| schema.spec.then.clone());
        if plan.never_starts {
            self.note(index, at, EffectKind::TriggerDeferred, Some(trigger));
            return;
        }
        schema.has_schedule = true;
        let at = plus(at, plan.starts_after);
        schema.workflow = Some(Workflow::Starting { at, plan, trigger });
    }

    fn end_job(&mut self, index: usize, at: Timestamp) {
        let table = self.ids.clone().next(Kind::Table);
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        let Some(behaviour) = schema.jobs.last().map(|job| job.plan.behaviour.clone()) else {
            return;
        };
        let place = schema.jobs.len() - 1;
        schema.workflow = None;
        schema.teardown_at = None;
        let mut disabled = false;
        match behaviour {
            Behaviour::Hangs { .. } => {
                fail(
                    schema,
                    place,
                    at,
                    "Sync got stuck and was reset by PostHog",
                    None,
                );
            }
            Behaviour::Fails {
                error,
                friendly,
                non_retryable,
                ..
            } => {
                fail(schema, place, at, &error, friendly.as_deref());
                disabled = non_retryable && schema.should_sync;
            }
            Behaviour::BillingLimit { too_low, .. } => hit_limit(schema, place, at, too_low),
            Behaviour::Completes { .. }
            | Behaviour::Progresses { .. }
            | Behaviour::LogsOnly { .. }
            | Behaviour::V3(_) => {
                if complete(schema, place, at, table) {
                    self.ids.next(Kind::Table);
                }
            }
        }
        self.note(index, at, EffectKind::RunEnded, None);
        if disabled {
            self.disable_itself(index, at);
        }
    }

    /// PostHog switches a table off after a failure that a retry would not fix.
    pub(crate) fn disable_itself(&mut self, index: usize, at: Timestamp) {
        self.edit(index, |schema| {
            schema.should_sync = false;
            schema.next_due = None;
        });
        self.note(index, at, EffectKind::AutoDisabled, None);
    }

    /// A run that has just completed although a cancel was on its way.
    pub(crate) fn complete_now(&mut self, index: usize) {
        let now = self.now();
        let table = self.ids.next(Kind::Table);
        self.edit(index, |schema| {
            let Some(place) = schema.jobs.len().checked_sub(1) else {
                return;
            };
            schema.workflow = None;
            schema.teardown_at = None;
            complete(schema, place, now, table);
            if let Some(run) = schema
                .jobs
                .get_mut(place)
                .and_then(|job| job.v3.as_deref_mut())
            {
                run.fail_batches();
            }
            crate::extraction::release_lock(schema, place);
        });
        self.note(index, now, EffectKind::RunEnded, None);
    }

    fn tear_down(&mut self, index: usize, at: Timestamp) {
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        schema.teardown_at = None;
        schema.workflow = None;
        let newest = schema.jobs.len().wrapping_sub(1);
        let running = |place: &usize| schema.jobs.get(*place).is_some_and(Job::is_running);
        let older = schema
            .v3
            .active
            .iter()
            .copied()
            .filter(|place| *place != newest);
        for place in older.chain([newest]).filter(running).collect::<Vec<_>>() {
            self.edit(index, |schema| {
                stop_job(
                    schema,
                    place,
                    at,
                    "Sync stopped because syncing was turned off",
                );
            });
            self.note_job(index, place, at, EffectKind::RunEnded, None);
        }
    }

    fn fire_schedule(&mut self, index: usize, at: Timestamp) {
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        let interval = interval(&schema.spec);
        schema.next_due = interval.map(|interval| plus(at, interval));
        self.trigger(index, at, Trigger::Schedule);
    }
}

/// What happens next to it, but for its runs of v3.
fn own_event(schema: &Schema) -> Option<(Timestamp, Event)> {
    let of_workflow = match &schema.workflow {
        None => None,
        Some(Workflow::Starting { at, .. }) => Some((*at, Event::JobStarts)),
        Some(Workflow::Lingering { until }) => until.map(|until| (until, Event::WorkflowEnds)),
        Some(Workflow::Running) => {
            schema
                .jobs
                .last()
                .filter(|job| job.v3.is_none())
                .and_then(|job| {
                    let after = job.plan.behaviour.ends_after()?;
                    Some((plus(job.since, after), Event::JobEnds))
                })
        }
    };
    let events = [
        of_workflow,
        schema.teardown_at.map(|at| (at, Event::Teardown)),
        schema.next_due.map(|at| (at, Event::Due)),
    ];
    events.into_iter().flatten().min_by_key(|(at, _)| *at)
}

pub(crate) fn new_job(id: String, run_id: String, at: Timestamp, plan: RunPlan) -> Job {
    Job {
        v3: V3Run::of(&plan, at),
        id,
        run_id,
        created_at: at,
        finished_at: None,
        status: Status::Running,
        latest_error: None,
        plan,
        since: at,
        rows_before: 0,
        rows_at_end: None,
        last_log_before: None,
        lines: Vec::new(),
    }
}

/// Whether a start now would return without a job, because the schema keeps failing.
fn deferred(schema: &Schema, at: Timestamp) -> bool {
    let Some(doublings) = schema.failed_in_a_row.checked_sub(GIVE_UP_AFTER) else {
        return false;
    };
    let gap = SHORTEST_GAP
        .checked_mul(1 << doublings.min(8))
        .map_or(LONGEST_GAP, |gap| gap.min(LONGEST_GAP));
    schema
        .last_failed_at
        .is_some_and(|failed| at < plus(failed, gap))
}

/// A table that only webhooks fill cannot be filled again, so PostHog keeps it.
pub(crate) fn keeps_its_table(schema: &Schema) -> bool {
    schema
        .spec
        .incremental_fields
        .get("webhook_only")
        .and_then(serde_json::Value::as_bool)
        == Some(true)
}

/// Ends a job well. Says whether a table was made.
pub(crate) fn complete(schema: &mut Schema, place: usize, at: Timestamp, table_id: String) -> bool {
    let Some(job) = schema.jobs.get_mut(place) else {
        return false;
    };
    job.end(at, Status::Completed, None);
    let (started, rows) = (job.created_at, job.rows(at));
    let replaces = schema.is("full_refresh");
    let made = schema.table.is_none();
    let table = schema.table.get_or_insert(Table {
        id: table_id,
        rows: 0,
    });
    table.rows = if replaces { rows } else { table.rows + rows };
    let read = table.rows;
    if schema.keeps_a_position() {
        schema.position = schema.position.max(Some(read));
    }
    schema.failed_in_a_row = 0;
    schema.reset_pending = false;
    schema.last_synced_at = Some(started);
    schema.paint(Status::Completed);
    schema.latest_error = None;
    made
}

pub(crate) fn fail(
    schema: &mut Schema,
    place: usize,
    at: Timestamp,
    error: &str,
    friendly: Option<&str>,
) {
    if let Some(job) = schema.jobs.get_mut(place) {
        job.end(at, Status::Failed, Some(error.to_owned()));
    }
    schema.failed_in_a_row += 1;
    schema.last_failed_at = Some(at);
    schema.paint(Status::Failed);
    schema.latest_error = Some(friendly.unwrap_or(error).to_owned());
}

/// A run at the billing limit keeps the text of an earlier failure.
fn hit_limit(schema: &mut Schema, place: usize, at: Timestamp, too_low: bool) {
    let status = if too_low {
        Status::BillingLimitTooLow
    } else {
        Status::BillingLimitReached
    };
    let name = schema.spec.name.clone();
    let error = too_low
        .then(|| format!("Your account will hit your Data Warehouse billing limits syncing {name} with 250000 rows"));
    if let Some(job) = schema.jobs.get_mut(place) {
        job.end(at, status, error);
    }
    schema.paint(status);
}

/// Ends a job on request, which is not a failure of the source. The loader drops its remaining batches.
pub(crate) fn stop_job(schema: &mut Schema, place: usize, at: Timestamp, text: &str) {
    if let Some(job) = schema.jobs.get_mut(place) {
        job.end(at, Status::Failed, Some(text.to_owned()));
        if let Some(run) = job.v3.as_deref_mut() {
            run.drop_rest();
            schema.v3.clock = schema.v3.clock.max(Some(at));
        }
    }
    let pending = |job: &Job| job.v3.as_deref().is_some_and(V3Run::is_pending);
    if !schema.jobs.get(place).is_some_and(pending) {
        crate::extraction::release_lock(schema, place);
    }
    schema.teardown_at = None;
    schema.paint(Status::Failed);
    schema.latest_error = Some(text.to_owned());
}
