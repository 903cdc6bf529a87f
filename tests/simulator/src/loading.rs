//! What PostHog's loader does, and the sweeps that live in it.

use jiff::{SignedDuration, Timestamp};

use crate::clock::plus;
use crate::effect::EffectKind;
use crate::extraction::{Voice, release_lock};
use crate::id::Kind;
use crate::line::{self, Level};
use crate::queue::{Batch, BatchState, Stage, V3Event};
use crate::settle::{TAKEN_OVER, complete, fail};
use crate::simulator::Simulator;
use crate::state::{Schema, Status};
use crate::v3::{MOST_TRIES, Phase};

/// How long after the loader went down over a batch another one may take it.
const LEASE: SignedDuration = SignedDuration::from_secs(300);
/// How long a batch that failed waits, times its tries.
const BACKOFF: SignedDuration = SignedDuration::from_secs(15);

const STRANDED: &str =
    "run abandoned before completion (no loader progress; reconciled from queue)";
const EXPIRED: &str = "batches aged out of retention without being processed";

impl Simulator {
    pub(crate) fn v3_happens(&mut self, index: usize, at: Timestamp, event: V3Event) {
        self.edit(index, |schema| schema.v3.clock = Some(at));
        match event {
            V3Event::Dies(place) => self.kill((index, place), at),
            V3Event::Produces(place) => self.produce(index, place, at),
            V3Event::Picks(place) => self.pick((index, place), at),
            V3Event::Interrupted(place) => self.interrupt(index, place, at),
            V3Event::Advances(place) => self.load((index, place), at),
            V3Event::Drops(place) => self.drop_batches((index, place), at),
            V3Event::Reconciles(place) => {
                let run = self.run_mut(index, place);
                let why = run.and_then(|run| run.given_up.clone()).map(|(_, why)| why);
                self.give_up_run((index, place), at, &why.unwrap_or_default());
            }
            V3Event::Sweeps(place) => self.give_up_run((index, place), at, STRANDED),
            V3Event::Expires(place) => self.give_up_run((index, place), at, EXPIRED),
        }
        self.edit(index, forget_what_is_over);
    }

    /// Something that the sweeps count as the loader's progress.
    fn progress(&mut self, (index, place): (usize, usize), at: Timestamp) {
        self.edit(index, |schema| schema.v3.progressed_at = Some(at));
        if let Some(run) = self.run_mut(index, place) {
            run.progressed_at = Some(at);
        }
    }

    fn pick(&mut self, at_run: (usize, usize), at: Timestamp) {
        let (index, place) = at_run;
        let Some(run) = self.run_mut(index, place) else {
            return;
        };
        let until = plus(at, run.plan.load_per_batch);
        if run.picked_at.is_none() {
            run.picked_at = Some(at);
            if let Some(after) = run.plan.dies_in(Phase::Loading) {
                run.dies_at = Some(plus(at, after));
            }
        }
        let Some(batch) = run.batches.iter_mut().find(|batch| !batch.is_terminal()) else {
            return;
        };
        batch.tries += 1;
        batch.state = BatchState::Executing {
            stage: Stage::Writing,
            from: at,
            until,
        };
        let companion = run.companion;
        let mut messages = line::BATCH_BEGINS;
        if companion {
            messages[3] = line::WRITES_SCD2;
        }
        self.say_all(at_run, at, Voice::Loader, &messages);
        self.progress(at_run, at);
    }

    /// The loader is down: its lease expires, and once a loader is back it starts the batch again.
    fn interrupt(&mut self, index: usize, place: usize, at: Timestamp) {
        let Some(run) = self.run_mut(index, place) else {
            return;
        };
        if let Some(batch) = run.batches.iter_mut().find(|batch| batch.is_executing()) {
            batch.state = BatchState::Pending;
            batch.ready_at = plus(at, LEASE);
        }
    }

    fn load(&mut self, at_run: (usize, usize), at: Timestamp) {
        let (index, place) = at_run;
        let Some(run) = self.run_mut(index, place) else {
            return;
        };
        let (post_load, dropped) = (run.plan.post_load, run.dropped);
        let Some(number) = run.batches.iter().position(Batch::is_executing) else {
            return;
        };
        let Some(batch) = run.batches.get_mut(number) else {
            return;
        };
        let BatchState::Executing { stage, .. } = batch.state else {
            return;
        };
        let half = post_load / 2;
        match stage {
            Stage::Writing
                if fails(run.plan.load_fails.as_ref(), number, batch.tries) && !dropped =>
            {
                self.fail_batch(at_run, number, at);
            }
            Stage::Writing => {
                let continues = batch.is_final && !dropped;
                let was_final = batch.is_final;
                batch.state = if continues {
                    BatchState::Executing {
                        stage: Stage::Compacting,
                        from: at,
                        until: plus(at, half),
                    }
                } else {
                    BatchState::Done
                };
                if continues && let Some(after) = run.plan.dies_in(Phase::PostLoad) {
                    run.dies_at = Some(plus(at, after));
                }
                self.say_all(at_run, at, Voice::Loader, &line::BATCH_WRITTEN);
                if continues {
                    self.say_all(at_run, at, Voice::Loader, &line::POST_LOAD_BEGINS);
                } else {
                    let last = if was_final {
                        line::JOB_WAS_OVER
                    } else {
                        line::BATCH_DONE
                    };
                    self.say_all(at_run, at, Voice::Loader, &[last]);
                }
                self.progress(at_run, at);
            }
            Stage::Compacting => {
                batch.state = BatchState::Executing {
                    stage: Stage::Registering,
                    from: at,
                    until: plus(at, post_load - half),
                };
                let files = format!("Preparing S3 files - total parquet files: {}", number + 1);
                self.say_all(at_run, at, Voice::Loader, &[&files]);
                self.say_all(at_run, at, Voice::Loader, &line::REGISTERS);
                self.edit(index, |schema| {
                    schema.last_synced_at = schema.jobs.get(place).map(|job| job.created_at);
                });
            }
            Stage::Registering => {
                batch.state = BatchState::Done;
                run.produced = Phase::Ending;
                let dies = run.plan.dies_in(Phase::Ending).is_some();
                self.say_all(at_run, at, Voice::Loader, &[line::REGISTERED]);
                self.progress(at_run, at);
                if dies {
                    self.kill(at_run, at);
                } else {
                    self.complete_run(at_run, at);
                }
            }
        }
    }

    fn fail_batch(&mut self, at_run: (usize, usize), number: usize, at: Timestamp) {
        let (index, place) = at_run;
        let Some(run) = self.run_mut(index, place) else {
            return;
        };
        let why = run
            .plan
            .load_fails
            .as_ref()
            .map(|fails| fails.error.clone());
        let Some(batch) = run.batches.get_mut(number) else {
            return;
        };
        let tries = batch.tries;
        batch.ready_at = plus(at, BACKOFF * i32::try_from(tries).unwrap_or(1));
        batch.state = BatchState::Pending;
        let last = tries >= MOST_TRIES;
        if last {
            run.given_up = Some((at, why.unwrap_or_default()));
        }
        let said = if last {
            (Level::Error, line::BATCH_GIVEN_UP)
        } else {
            (Level::Warning, line::BATCH_RETRIED)
        };
        self.say(at_run, at, Voice::Loader, said);
        if !last {
            self.progress(at_run, at);
        }
    }

    /// The end that the loader writes. A run that a takeover had ended becomes Completed.
    fn complete_run(&mut self, at_run: (usize, usize), at: Timestamp) {
        let (index, place) = at_run;
        let Some(job) = self
            .schemas
            .get(index)
            .and_then(|schema| schema.jobs.get(place))
        else {
            return;
        };
        let taken_over =
            job.status == Status::Failed && job.latest_error.as_deref() == Some(TAKEN_OVER);
        let ends = job.is_running() || taken_over;
        let companion = job.v3.as_deref().is_some_and(|run| run.companion);
        self.edit(index, |schema| release_lock(schema, place));
        if !ends {
            self.say_all(
                at_run,
                at,
                Voice::Loader,
                &[line::JOB_WAS_OVER, line::BATCH_DONE],
            );
            return;
        }
        let table = self.ids.next(Kind::Table);
        self.edit(index, |schema| {
            let rows = schema.table.as_ref().map(|table| table.rows);
            complete(schema, place, at, table);
            if let (true, Some(table)) = (companion, &mut schema.table) {
                table.rows = rows.unwrap_or_default();
            }
        });
        self.say_all(at_run, at, Voice::Loader, &[line::JOB_DONE]);
        self.say_all(at_run, at, Voice::Loader, &line::AFTER_THE_END);
        self.say_all(at_run, at, Voice::Loader, &[line::BATCH_DONE]);
        self.note_job(index, place, at, EffectKind::RunEnded, None);
    }

    /// The remaining batches of a cancelled job are not loaded.
    fn drop_batches(&mut self, at_run: (usize, usize), at: Timestamp) {
        let (index, place) = at_run;
        let Some(run) = self.run_mut(index, place) else {
            return;
        };
        let mut dropped = 0;
        for batch in run.batches.iter_mut().filter(|batch| !batch.is_terminal()) {
            batch.state = BatchState::Failed;
            dropped += 1;
        }
        for _ in 0..dropped {
            self.say(
                at_run,
                at,
                Voice::Loader,
                (Level::Warning, line::BATCH_DROPPED),
            );
        }
        self.edit(index, |schema| release_lock(schema, place));
    }

    /// PostHog fails the batches first and the job, if it still runs, after them.
    fn give_up_run(&mut self, at_run: (usize, usize), at: Timestamp, why: &str) {
        let (index, place) = at_run;
        let Some(run) = self.run_mut(index, place) else {
            return;
        };
        run.fail_batches();
        run.held = None;
        let owned = std::mem::take(&mut run.owns_workflow) && run.dead.is_none();
        let mut ended = false;
        self.edit(index, |schema| {
            if owned {
                schema.workflow = None;
            }
            release_lock(schema, place);
            ended = schema
                .jobs
                .get(place)
                .is_some_and(crate::state::Job::is_running);
            if ended {
                fail(schema, place, at, why, None);
            }
        });
        if ended {
            self.note_job(index, place, at, EffectKind::RunEnded, None);
        }
    }
}

/// Whether this try of a batch, counted from 0, fails.
fn fails(failure: Option<&crate::v3::LoadFailure>, number: usize, tries: u32) -> bool {
    failure.is_some_and(|failure| {
        usize::try_from(failure.batch).is_ok_and(|batch| batch == number + 1)
            && tries <= failure.times
    })
}

/// A run of which the queue has nothing left and whose job is over is a row among others.
fn forget_what_is_over(schema: &mut Schema) {
    let jobs = &schema.jobs;
    schema.v3.active.retain(|place| {
        let job = jobs.get(*place);
        job.is_some_and(|job| {
            job.is_running() || job.v3.as_deref().is_some_and(|run| !run.is_over())
        })
    });
}
