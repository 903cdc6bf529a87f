//! The producer of a run of v3: what its workflow does, step by step, from the job's row to the end of the extraction.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::clock::plus;
use crate::v3::V3Plan;

/// How long the workflow takes to write the end of a run that extracted nothing.
const FINALIZER: SignedDuration = SignedDuration::from_mins(1);

/// One thing that the producer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The job's row is there.
    Created,
    RepartitionStarts,
    /// An attempt begins; the first, or after another one.
    AttemptStarts(Begin),
    /// This many more rows are staged.
    Chunk(u64),
    /// An attempt ends, and another one will follow.
    AttemptEnds {
        handoff: bool,
        resumes: bool,
    },
    /// The last attempt has read everything.
    Complete,
    /// There was nothing to read.
    NothingExtracted,
    /// The workflow itself writes Completed.
    WorkflowCompletes,
    /// The last attempt fails for good.
    Fails,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    First,
    Again,
    Resumed,
}

pub(crate) type Script = VecDeque<(Timestamp, Step)>;

/// Everything that the producer of this run does, if nothing stops it.
pub(crate) fn script(plan: &V3Plan, created_at: Timestamp) -> Script {
    let mut script = Writer {
        at: created_at,
        steps: Script::new(),
        begin: Begin::First,
        left: plan.batches,
        plan,
    };
    script.push(Step::Created);
    script.wait(plan.start);
    if plan.repartition > SignedDuration::ZERO {
        script.push(Step::RepartitionStarts);
        script.wait(plan.repartition);
    }
    for attempt in &plan.attempts {
        let batches = attempt.batches.min(script.left);
        // One more part than batches: the attempt ends over what it does not get to stage.
        script.attempt(attempt.takes, batches, batches + 1);
        script.push(Step::AttemptEnds {
            handoff: attempt.handoff,
            resumes: attempt.resumes,
        });
        script.begin = Begin::Again;
        if attempt.resumes {
            script.left -= batches;
            script.begin = Begin::Resumed;
        } else {
            script.left = plan.batches;
        }
        script.wait(attempt.wait);
    }
    script.last_attempt();
    script.steps
}

struct Writer<'a> {
    at: Timestamp,
    steps: Script,
    begin: Begin,
    /// The batches that are not staged yet.
    left: u32,
    plan: &'a V3Plan,
}

impl Writer<'_> {
    fn push(&mut self, step: Step) {
        self.steps.push_back((self.at, step));
    }

    fn wait(&mut self, time: SignedDuration) {
        self.at = plus(self.at, time);
    }

    fn attempt(&mut self, takes: SignedDuration, batches: u32, parts: u32) {
        let from = self.at;
        self.push(Step::AttemptStarts(self.begin));
        let first = self.plan.batches - self.left;
        for batch in 1..=batches {
            self.at = plus(from, part_of(takes, batch, parts));
            self.push(Step::Chunk(self.rows_of(first + batch)));
        }
        self.at = plus(from, takes);
    }

    fn last_attempt(&mut self) {
        let begins = self.steps.len();
        let from = self.at;
        self.attempt(self.plan.extract, self.left, self.left);
        let end = match &self.plan.fails {
            Some(_) => Step::Fails,
            None if self.plan.batches == 0 => Step::NothingExtracted,
            None => Step::Complete,
        };
        self.push(end);
        if end == Step::NothingExtracted {
            self.wait(FINALIZER);
            self.push(Step::WorkflowCompletes);
        }
        if let Some(page) = self.plan.slow_page {
            let slow = plus(from, page.after);
            for (at, _) in self.steps.iter_mut().skip(begins + 1) {
                if *at > slow {
                    *at = plus(*at, page.lasts);
                }
            }
        }
    }

    /// The rows of a batch, counted from 1; the last one has what remains.
    fn rows_of(&self, batch: u32) -> u64 {
        let (rows, batches) = (self.plan.rows, u64::from(self.plan.batches.max(1)));
        let each = rows / batches;
        if u64::from(batch) == batches {
            rows - each * (batches - 1)
        } else {
            each
        }
    }
}

fn part_of(whole: SignedDuration, part: u32, parts: u32) -> SignedDuration {
    let millis = whole.as_millis() * i128::from(part) / i128::from(parts.max(1));
    SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
