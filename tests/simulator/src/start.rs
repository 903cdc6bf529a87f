//! How a run starts: what keeps it out, whom it takes the place of, and the rows that it makes.

use jiff::{SignedDuration, Timestamp};

use crate::clock::plus;
use crate::effect::{EffectKind, Trigger};
use crate::extraction::release_lock;
use crate::id::Kind;
use crate::line::{self, Level, Line};
use crate::queue::{LOCK_LASTS, V3Run};
use crate::run::{Behaviour, RunPlan};
use crate::scenario::SchemaSpec;
use crate::settle::{TAKEN_OVER, keeps_its_table, new_job};
use crate::simulator::Simulator;
use crate::state::{Job, Schema, Status, Workflow};
use crate::v3::Phase;
use crate::watchdog::Harm;

/// How long after a job the row of its companion table is made.
const COMPANION: SignedDuration = SignedDuration::from_millis(20);

/// What a start writes to the log of the table, and whether it continues.
struct Verdict {
    says: Vec<(Level, &'static str)>,
    admitted: bool,
    /// The jobs that it ends: their places.
    takes_over: Vec<usize>,
}

/// What PostHog makes of a run that may be in the way of a start.
enum Judged {
    /// Its producer still works.
    Extracts,
    /// The queue has work of it, and the loader was there lately.
    Loads,
    /// PostHog does not know.
    Unclear,
    /// Nothing is left of it, or the loader has not done anything for it for hours.
    Stale,
}

impl Simulator {
    pub(crate) fn start_job(&mut self, index: usize, at: Timestamp) {
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        let Some(Workflow::Starting { plan, trigger, .. }) = schema.workflow.take() else {
            return;
        };
        let (id, run_id) = (self.ids.next(Kind::Job), self.ids.next(Kind::Run));
        let v3 = matches!(plan.behaviour, Behaviour::V3(_));
        let asks = v3 || self.has_active(index);
        if asks && !self.get_in(index, at, &run_id, trigger) {
            self.put_back(index, plan);
            self.note(index, at, EffectKind::TriggerDeferred, Some(trigger));
            return;
        }
        self.make_job(index, at, (id, run_id), plan, trigger);
    }

    pub(crate) fn has_active(&self, index: usize) -> bool {
        let schema = self.schemas.get(index);
        schema.is_some_and(|schema| !schema.v3.active.is_empty())
    }

    /// What was planned for the run that does not come is the plan of the next one.
    fn put_back(&mut self, index: usize, plan: RunPlan) {
        self.edit(index, |schema| {
            if schema.spec.then != plan {
                schema.next_runs.push_front(plan);
            }
        });
    }

    fn make_job(
        &mut self,
        index: usize,
        at: Timestamp,
        (id, run_id): (String, String),
        plan: RunPlan,
        trigger: Trigger,
    ) {
        let lock = self.instance.lock && !self.instance.queue_runs;
        let two_rows = self
            .schemas
            .get(index)
            .is_some_and(|schema| makes_two_rows(&schema.spec, &plan));
        let companion_id = two_rows.then(|| self.ids.next(Kind::Job));
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        let v2_died = |job: &&mut Job| job.is_running() && job.v3.is_none();
        for dead in schema.jobs.iter_mut().filter(v2_died) {
            dead.end(at, Status::Failed, Some(TAKEN_OVER.to_owned()));
        }
        let mut job = new_job(id, run_id.clone(), at, plan);
        let outside = job.v3.is_some() && job.plan.outside_schedule;
        schema.workflow = (!outside).then_some(Workflow::Running);
        if job.v3.is_some() {
            if lock {
                schema.v3.lock = Some((run_id, at));
            }
            schema.v3.active.push(schema.jobs.len());
        }
        let companion = companion_id.map(|id| companion_of(&mut job, id));
        schema.jobs.push(job);
        let place = schema.jobs.len() - 1;
        if let Some(companion) = companion {
            schema.v3.active.push(schema.jobs.len());
            schema.jobs.push(companion);
        }
        schema.paint(Status::Running);
        let wipes = schema.reset_pending && !keeps_its_table(schema);
        if wipes && let Some(table) = &mut schema.table {
            table.rows = 0;
        }
        if lock {
            self.say_all(
                (index, place),
                at,
                crate::extraction::Voice::Producer,
                &[line::LOCK_RESULT],
            );
        }
        self.note_job(index, place, at, EffectKind::RunStarted, Some(trigger));
        if wipes {
            self.note_job(index, place, at, EffectKind::TableWiped, Some(trigger));
            self.lose_position(index, at, Some(trigger));
        }
    }

    /// Whether a start gets past the runs that are there; ends those whose place it takes.
    fn get_in(&mut self, index: usize, at: Timestamp, run_id: &str, trigger: Trigger) -> bool {
        let Some(schema) = self.schemas.get(index) else {
            return false;
        };
        let verdict = if self.instance.queue_runs {
            queue_verdict(schema)
        } else if self.instance.lock {
            self.lock_verdict(schema, at)
        } else {
            Verdict {
                says: Vec::new(),
                admitted: true,
                takes_over: Vec::new(),
            }
        };
        self.write_lines(index, at, run_id, &verdict.says);
        for place in &verdict.takes_over {
            self.watch_start(index, *place, at, trigger, Harm::RunFailedByReload);
            self.edit(index, |schema| {
                if let Some(job) = schema.jobs.get_mut(*place) {
                    job.end(at, Status::Failed, Some(TAKEN_OVER.to_owned()));
                }
                release_lock(schema, *place);
            });
            self.note_job(index, *place, at, EffectKind::RunEnded, None);
        }
        if verdict.admitted {
            self.watch_beside(index, at, trigger);
        }
        verdict.admitted
    }

    /// Lines of a start that has no job: they have the id of its own run.
    fn write_lines(
        &mut self,
        index: usize,
        at: Timestamp,
        run_id: &str,
        lines: &[(Level, &'static str)],
    ) {
        if self.instance.lines == crate::instance::Lines::None {
            return;
        }
        self.edit(index, |schema| {
            schema.v3.lines.extend(lines.iter().map(|(level, message)| {
                let line = Line {
                    at,
                    level: *level,
                    message: (*message).to_owned(),
                };
                (run_id.to_owned(), line)
            }));
        });
    }

    /// The lock decides; any other run in status Running is judged too, once the lock is there.
    fn lock_verdict(&self, schema: &Schema, at: Timestamp) -> Verdict {
        let mut verdict = Verdict {
            says: Vec::new(),
            admitted: true,
            takes_over: Vec::new(),
        };
        let held = |(run, since): &&(String, Timestamp)| {
            let holds = schema.jobs.iter().any(|job| job.run_id == *run);
            holds && at < plus(*since, LOCK_LASTS)
        };
        let holder = schema.v3.lock.as_ref().filter(held).map(|(run, _)| run);
        let places = schema.v3.active.iter().copied();
        for place in places {
            let Some(job) = schema.jobs.get(place) else {
                continue;
            };
            let Some(run) = job.v3.as_deref() else {
                continue;
            };
            let holds = holder == Some(&job.run_id);
            // Temporal does not see a run of another start, and its lock is too young to be distinguished from an old one.
            let races = holds && run.workflow_is_open() && run.phase() == Phase::Starting;
            match self.judge(run, at) {
                Judged::Stale if job.is_running() => {
                    if holds {
                        verdict.says.push((Level::Warning, line::LOCK_TAKEN));
                    }
                    verdict.says.push((Level::Warning, line::STALE_ENDED));
                    verdict.takes_over.push(place);
                }
                Judged::Extracts if holds && !races => verdict.admitted = false,
                Judged::Loads if holds => {
                    verdict.says.push((Level::Info, line::LOCK_IS_HELD));
                    verdict.admitted = false;
                }
                Judged::Unclear if holds => {
                    verdict.says.push((Level::Warning, line::LOCK_UNCLEAR));
                    verdict.admitted = false;
                }
                Judged::Stale | Judged::Extracts | Judged::Loads | Judged::Unclear => {}
            }
        }
        if !verdict.admitted {
            // Nothing is ended by a start that does not get the lock.
            verdict.takes_over.clear();
            verdict
                .says
                .retain(|(_, text)| *text == line::LOCK_IS_HELD || *text == line::LOCK_UNCLEAR);
            verdict.says.push((Level::Info, line::LOCK_RESULT));
        }
        verdict
    }

    /// From the same evidence as PostHog: workflow, batches, and the loader's progress with this run alone.
    fn judge(&self, run: &V3Run, at: Timestamp) -> Judged {
        if run.workflow_is_open() {
            Judged::Extracts
        } else if self.instance.takeover_ambiguous {
            Judged::Unclear
        } else if run.is_pending() && !run.is_stale(at, self.instance.stale_after) {
            Judged::Loads
        } else {
            Judged::Stale
        }
    }
}

/// Any row that says Running keeps a run of the queue out, even if its workflow is dead.
fn queue_verdict(schema: &Schema) -> Verdict {
    let running = |job: &&Job| job.is_running();
    let repartitions = |job: &Job| {
        let run = job.v3.as_deref();
        run.is_some_and(|run| run.phase() == Phase::Repartitioning && run.dead.is_none())
    };
    let in_the_way = schema.jobs.iter().rev().find(running);
    let text = in_the_way.map(|job| {
        if repartitions(job) {
            line::QUEUE_RUN_SKIPPED_REPARTITION
        } else {
            line::QUEUE_RUN_SKIPPED
        }
    });
    Verdict {
        says: text.into_iter().map(|text| (Level::Info, text)).collect(),
        admitted: text.is_none(),
        takes_over: Vec::new(),
    }
}

/// Whether a sync of the table makes a row for each of two tables.
pub(crate) fn makes_two_rows(spec: &SchemaSpec, plan: &RunPlan) -> bool {
    let both = spec.cdc_table_mode.as_deref() == Some("both");
    spec.sync_type.as_deref() == Some("cdc") && both && matches!(plan.behaviour, Behaviour::V3(_))
}

/// The second row of a sync, for the table that keeps every change.
pub(crate) fn companion_of(job: &mut Job, id: String) -> Job {
    let mode = &mut job.plan.cdc_write_mode;
    mode.get_or_insert_with(|| "incremental_merge".to_owned());
    let mut companion = job.clone();
    companion.id = id;
    companion.created_at = plus(job.created_at, COMPANION);
    companion.plan.cdc_write_mode = Some("scd2_append".to_owned());
    if let Some(run) = companion.v3.as_deref_mut() {
        run.companion = true;
        run.owns_workflow = false;
        for (at, _) in &mut run.steps {
            *at = plus(*at, COMPANION);
        }
    }
    companion
}
