//! Who harms a run that is alive. PostHog does not know; the simulator does.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use crate::effect::Trigger;
use crate::queue::is_alive;
use crate::simulator::Simulator;
use crate::v3::Phase;

/// What was done to a run that is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// A cancel was aimed at it, or hit it, also if PostHog refused or lost it.
    RunCancelled,
    /// A start that a client asked for took its place: PostHog made it Failed.
    RunFailedByReload,
    /// A start that a client asked for extracts beside it: on top of a loading run of an instance without the lock, or
    /// in the start-up window of a run that Temporal does not see.
    RunStartedBeside,
}

/// A run that was alive and was harmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// When.
    pub at: Timestamp,
    /// How.
    pub harm: Harm,
    /// The schema's name.
    pub schema: String,
    /// The job that was harmed.
    pub job_id: String,
    /// Where a run of v3 was; none for one of v2.
    pub phase: Option<Phase>,
}

/// Fails the test that drops it if a run that was alive was harmed, unless the test took the violations
/// ([`Simulator::take_violations`]).
#[derive(Debug)]
pub struct Watchdog(pub Arc<Mutex<Simulator>>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mut simulator = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let violations = simulator.take_violations();
        drop(simulator);
        assert!(
            violations.is_empty(),
            "runs that were alive were harmed: {violations:#?}"
        );
    }
}

impl Simulator {
    /// The runs that were harmed while they were alive, since they were last taken.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The same, and forgets them: for a test that harms a run on purpose.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// Takes note if the run is alive.
    pub(crate) fn watch(&mut self, index: usize, place: usize, at: Timestamp, harm: Harm) {
        let Some(schema) = self.schemas.get(index) else {
            return;
        };
        let Some(job) = schema
            .jobs
            .get(place)
            .filter(|_| is_alive(schema, place, at))
        else {
            return;
        };
        self.violations.push(Violation {
            at,
            harm,
            schema: schema.spec.name.clone(),
            job_id: job.id.clone(),
            phase: job.v3.as_deref().map(crate::queue::V3Run::phase),
        });
    }

    /// The same, if it was a client who asked for the start.
    pub(crate) fn watch_start(
        &mut self,
        index: usize,
        place: usize,
        at: Timestamp,
        trigger: Trigger,
        harm: Harm,
    ) {
        match trigger {
            Trigger::Reload | Trigger::Resync | Trigger::SourceReload => {
                self.watch(index, place, at, harm);
            }
            Trigger::Change | Trigger::Repair | Trigger::Schedule => {}
        }
    }

    /// A start that got in although runs of the table are alive.
    pub(crate) fn watch_beside(&mut self, index: usize, at: Timestamp, trigger: Trigger) {
        let places = self
            .schemas
            .get(index)
            .map(|schema| schema.v3.active.clone());
        for place in places.unwrap_or_default() {
            self.watch_start(index, place, at, trigger, Harm::RunStartedBeside);
        }
    }
}
