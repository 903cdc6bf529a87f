//! What the producer of a run of v3 does when its time has come.

use jiff::{SignedDuration, Timestamp};

use crate::clock::plus;
use crate::line::{self, Level};
use crate::producer::{Begin, Step};
use crate::queue::{Batch, BatchState, Dead, V3Run};
use crate::settle::{complete, fail};
use crate::simulator::Simulator;
use crate::state::{Job, Schema, Workflow};
use crate::v3::{DeadWorkflow, Phase};

/// Who writes a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    Producer,
    Loader,
}

impl Simulator {
    /// Writes a line of a run, if there is a way from its writer to the log of the table.
    pub(crate) fn say(
        &mut self,
        (index, place): (usize, usize),
        at: Timestamp,
        voice: Voice,
        (level, message): (Level, &str),
    ) {
        let lines = self.instance.lines;
        let Some(job) = self
            .schemas
            .get_mut(index)
            .and_then(|schema| schema.jobs.get_mut(place))
        else {
            return;
        };
        let Some(run) = job.v3.as_deref() else {
            return;
        };
        let heard = match voice {
            // The lines of a run that is not billed stand under another id than the table's.
            Voice::Producer => job.plan.billable && !run.companion,
            Voice::Loader => lines == crate::instance::Lines::All && !run.plan.silent,
        };
        if heard && lines != crate::instance::Lines::None {
            let message = message.to_owned();
            // Gives lines of one moment different times, as a clock with microseconds does.
            let last = job
                .lines
                .last()
                .map(|last| plus(last.at, SignedDuration::from_micros(1)));
            let at = last.map_or(at, |next| next.max(at));
            job.lines.push(line::Line { at, level, message });
        }
    }

    pub(crate) fn say_all(
        &mut self,
        run: (usize, usize),
        at: Timestamp,
        voice: Voice,
        messages: &[&str],
    ) {
        for message in messages {
            self.say(run, at, voice, (Level::Info, message));
        }
    }

    pub(crate) fn run_mut(&mut self, index: usize, place: usize) -> Option<&mut V3Run> {
        let job = self.schemas.get_mut(index)?.jobs.get_mut(place)?;
        job.v3.as_deref_mut()
    }

    /// The next step of a producer.
    pub(crate) fn produce(&mut self, index: usize, place: usize, at: Timestamp) {
        let Some((_, step)) = self
            .run_mut(index, place)
            .and_then(|run| run.steps.pop_front())
        else {
            return;
        };
        let run = (index, place);
        let say = |simulator: &mut Self, messages: &[&str]| {
            simulator.say_all(run, at, Voice::Producer, messages);
        };
        match step {
            Step::Created => {
                let created = format!(
                    "Created external data job for external data source {}",
                    self.source_of(index)
                );
                say(self, &[&created]);
            }
            Step::RepartitionStarts => self.reach(run, Phase::Repartitioning),
            Step::AttemptStarts(begin) => {
                self.reach(run, Phase::Extracting);
                say(self, &line::ATTEMPT_STARTS);
                self.begin_attempt(run, at, begin);
            }
            Step::Chunk(rows) => {
                if self.stage(run, at, rows) {
                    say(self, &[line::BATCH_INSERTED]);
                }
                say(self, &[&format!("Updating rows_synced with +{rows}")]);
            }
            Step::AttemptEnds { handoff, resumes } => self.end_attempt(run, at, handoff, resumes),
            Step::Complete => {
                say(
                    self,
                    &[
                        line::FINALIZING,
                        line::BATCH_INSERTED,
                        line::EXTRACTED,
                        line::CLEANING_UP,
                    ],
                );
                if self.instance.queue_runs {
                    say(self, &[line::QUEUE_RUN_HANDED]);
                }
                self.insert_held(run, at, true);
                self.extraction_is_over(run, at);
            }
            Step::NothingExtracted => {
                say(self, &[line::NO_BATCHES, line::CLEANING_UP]);
                self.reach(run, Phase::Ending);
                let dies = self
                    .run_mut(index, place)
                    .is_some_and(|run| run.plan.dies_in(Phase::Ending).is_some());
                if dies {
                    self.kill(run, at);
                }
            }
            Step::WorkflowCompletes => self.end_without_rows(run, at),
            Step::Fails => self.fail_extraction(run, at),
        }
    }

    fn source_of(&self, index: usize) -> String {
        let source = self
            .schemas
            .get(index)
            .and_then(|schema| self.sources.get(schema.source));
        source.map(|source| source.id.clone()).unwrap_or_default()
    }

    fn reach(&mut self, (index, place): (usize, usize), phase: Phase) {
        if let Some(run) = self.run_mut(index, place) {
            run.produced = phase;
        }
    }

    /// Puts the batch that was held back into the queue, and holds back the next. Says whether there was one.
    fn stage(&mut self, at_run: (usize, usize), at: Timestamp, rows: u64) -> bool {
        let inserted = self.insert_held(at_run, at, false);
        let (index, place) = at_run;
        if let Some(job) = self
            .schemas
            .get_mut(index)
            .and_then(|schema| schema.jobs.get_mut(place))
        {
            job.rows_before += rows;
            if let Some(run) = job.v3.as_deref_mut() {
                run.held = Some(rows);
            }
        }
        inserted
    }

    fn insert_held(
        &mut self,
        (index, place): (usize, usize),
        at: Timestamp,
        is_final: bool,
    ) -> bool {
        let Some(run) = self.run_mut(index, place) else {
            return false;
        };
        let held = run.held.take().is_some();
        if held {
            run.batches.push(Batch::new(at, is_final));
        }
        held
    }

    /// An attempt that does not resume reads everything again; what an older one has in the queue is mostly dropped.
    fn begin_attempt(&mut self, at_run: (usize, usize), at: Timestamp, begin: Begin) {
        let (index, place) = at_run;
        let stale_after = self.instance.stale_after;
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        let (incremental, full) = (schema.has_incremental_field(), schema.is("full_refresh"));
        let Some(job) = schema.jobs.get_mut(place) else {
            return;
        };
        match begin {
            Begin::First => {}
            Begin::Resumed => {
                let text = if incremental {
                    line::RESUMES_INCREMENTAL
                } else {
                    line::RESUMES
                };
                self.say_all(at_run, at, Voice::Producer, &[text]);
            }
            Begin::Again => {
                job.rows_before = 0;
                let Some(run) = job.v3.as_deref_mut() else {
                    return;
                };
                run.held = None;
                let spared = !full && run.progressed_at.is_some() && !run.is_stale(at, stale_after);
                if !spared {
                    for batch in &mut run.batches {
                        if batch.state == BatchState::Pending {
                            batch.state = BatchState::Failed;
                        }
                    }
                }
            }
        }
    }

    fn end_attempt(&mut self, at_run: (usize, usize), at: Timestamp, handoff: bool, resumes: bool) {
        let queue = self.instance.queue_runs;
        let text = match (handoff, queue) {
            (false, false) => Some(line::ATTEMPT_FAILED),
            (false, true) => Some(line::QUEUE_RUN_RETRIED),
            (true, false) => None,
            (true, true) => Some(line::QUEUE_RUN_REQUEUED),
        };
        if let Some(text) = text {
            self.say(at_run, at, Voice::Producer, (Level::Error, text));
        }
        if resumes && self.insert_held(at_run, at, false) {
            self.say_all(at_run, at, Voice::Producer, &[line::BATCH_INSERTED]);
        }
        self.say_all(at_run, at, Voice::Producer, &[line::CLEANING_UP]);
    }

    /// The workflow ends, and with it what Temporal knows of the run. The lock stays with the run.
    fn extraction_is_over(&mut self, (index, place): (usize, usize), at: Timestamp) {
        let Some(run) = self.run_mut(index, place) else {
            return;
        };
        run.extracted_at = Some(at);
        if let Some(after) = run.plan.dies_in(Phase::Queued) {
            run.dies_at = Some(plus(at, after));
        }
        let owned = std::mem::take(&mut run.owns_workflow);
        self.edit(index, |schema| {
            if owned && matches!(schema.workflow, Some(Workflow::Running)) {
                schema.workflow = None;
            }
        });
    }

    fn end_without_rows(&mut self, at_run: (usize, usize), at: Timestamp) {
        let (index, place) = at_run;
        self.extraction_is_over(at_run, at);
        let table = self.ids.next(crate::id::Kind::Table);
        self.edit(index, |schema| {
            let before = schema.last_synced_at;
            complete(schema, place, at, table);
            schema.last_synced_at = before;
            release_lock(schema, place);
        });
        let updated = "Updated external data job with for external data source";
        let text = format!("{updated} {} to status Completed", self.source_of(index));
        self.say_all(at_run, at, Voice::Producer, &[&text]);
        self.note_job(index, place, at, crate::effect::EffectKind::RunEnded, None);
    }

    /// An incremental table keeps what is staged: the loader drains it before the next run's.
    fn fail_extraction(&mut self, at_run: (usize, usize), at: Timestamp) {
        let (index, place) = at_run;
        let Some(failure) = self
            .run_mut(index, place)
            .and_then(|run| run.plan.fails.clone())
        else {
            return;
        };
        let source = self.source_of(index);
        let table = self
            .schemas
            .get(index)
            .map(|schema| schema.id.clone())
            .unwrap_or_default();
        let failed = format!(
            "External data job failed for external data schema {table} with error: {}",
            failure.error
        );
        let updated = format!(
            "Updated external data job with for external data source {source} to status Failed"
        );
        self.say(
            at_run,
            at,
            Voice::Producer,
            (Level::Error, line::ATTEMPT_FAILED),
        );
        self.say_all(at_run, at, Voice::Producer, &[line::CLEANING_UP]);
        self.say(at_run, at, Voice::Producer, (Level::Error, &failed));
        self.say_all(at_run, at, Voice::Producer, &[&updated]);
        self.extraction_is_over(at_run, at);
        let mut disabled = false;
        self.edit(index, |schema| {
            fail(
                schema,
                place,
                at,
                &failure.error,
                failure.friendly.as_deref(),
            );
            let keeps = schema.keeps_a_position();
            release_lock(schema, place);
            if let Some(run) = schema
                .jobs
                .get_mut(place)
                .and_then(|job| job.v3.as_deref_mut())
            {
                run.dies_at = None;
                run.held = None;
                run.dropped = !keeps;
            }
            disabled = failure.non_retryable && schema.should_sync;
        });
        self.note_job(index, place, at, crate::effect::EffectKind::RunEnded, None);
        if disabled {
            self.disable_itself(index, at);
        }
    }

    /// The run stops for good. Its job stays Running.
    pub(crate) fn kill(&mut self, (index, place): (usize, usize), at: Timestamp) {
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        schema.v3.clock = schema.v3.clock.max(Some(at));
        let Some(run) = schema
            .jobs
            .get_mut(place)
            .and_then(|job| job.v3.as_deref_mut())
        else {
            return;
        };
        run.dies_at = None;
        run.steps.clear();
        run.held = None;
        let later = |death: crate::v3::Death| {
            matches!(
                death.phase,
                Phase::Queued | Phase::Loading | Phase::PostLoad
            )
        };
        let dead = if run.extracted_at.is_some() || run.plan.dies.is_some_and(later) {
            run.extracted_at.get_or_insert(at);
            Dead::Queue
        } else {
            Dead::Producer(
                run.plan
                    .dies
                    .map(|death| death.workflow)
                    .unwrap_or_default(),
            )
        };
        run.dead = Some(dead);
        let ends = dead != Dead::Producer(DeadWorkflow::Wedged);
        if ends && std::mem::take(&mut run.owns_workflow) {
            schema.workflow = None;
        }
    }
}

/// Lets go of the table's lock, if this run holds it and no other row of the same run still needs it.
pub(crate) fn release_lock(schema: &mut Schema, place: usize) {
    let Some((holder, _)) = &schema.v3.lock else {
        return;
    };
    let holds = |job: &Job| job.run_id == *holder;
    let mut others = schema.jobs.iter().enumerate();
    let needed = others.any(|(other, job)| other != place && holds(job) && job.is_running());
    if schema.jobs.get(place).is_some_and(holds) && !needed {
        schema.v3.lock = None;
    }
}
