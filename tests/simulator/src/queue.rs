//! What PostHog has of a table's runs of v3: their batches in the queue, and who holds the table's lock.

use jiff::{SignedDuration, Timestamp};

use crate::clock::plus;
use crate::instance::Downtimes;
use crate::line::Line;
use crate::producer::{Script, script};
use crate::run::{Behaviour, RunPlan};
use crate::state::{Job, Schema};
use crate::v3::{DeadWorkflow, Phase, V3Plan};

/// Rows of the queue are thrown away after that time.
const RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long after a batch was given up PostHog writes it to the job.
const RECONCILES_AFTER: SignedDuration = SignedDuration::from_secs(300);
/// How long a lock outlives its last use.
pub(crate) const LOCK_LASTS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A table, as the loader sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    /// The runs of v3 that PostHog is not done with: places in the list of jobs, oldest first.
    pub(crate) active: Vec<usize>,
    /// When the loader last did something for any of them.
    pub(crate) progressed_at: Option<Timestamp>,
    /// Who holds the lock of the table: a run's id, and since when.
    pub(crate) lock: Option<(String, Timestamp)>,
    /// Nothing happens to its runs before that: the time of its last event, or of the last change from outside.
    pub(crate) clock: Option<Timestamp>,
    /// Lines of starts that came to nothing: their run's id, and the line.
    pub(crate) lines: Vec<(String, Line)>,
}

/// A run of v3, as PostHog's inside has it.
#[derive(Debug, Clone)]
pub(crate) struct V3Run {
    pub(crate) plan: V3Plan,
    /// What its producer still does.
    pub(crate) steps: Script,
    /// Its producer is the workflow that Temporal has for the table.
    pub(crate) owns_workflow: bool,
    /// As far as the producer has come; [`V3Run::phase`] is the whole truth.
    pub(crate) produced: Phase,
    pub(crate) extracted_at: Option<Timestamp>,
    /// The rows of the batch that is staged and not in the queue yet: the producer holds one back.
    pub(crate) held: Option<u64>,
    pub(crate) batches: Vec<Batch>,
    /// When the loader first picked up one of its batches.
    pub(crate) picked_at: Option<Timestamp>,
    /// When the loader last did something for it.
    pub(crate) progressed_at: Option<Timestamp>,
    pub(crate) dies_at: Option<Timestamp>,
    pub(crate) dead: Option<Dead>,
    /// Its job has ended, and the loader drops its remaining batches.
    pub(crate) dropped: bool,
    /// When the loader gave up one of its batches, and why.
    pub(crate) given_up: Option<(Timestamp, String)>,
    /// The second row of a sync with `cdc_table_mode: both`.
    pub(crate) companion: bool,
}

/// What has died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dead {
    /// The producer: what it has staged is still loaded.
    Producer(DeadWorkflow),
    /// What the loader has of it: nothing happens any more.
    Queue,
}

#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) staged_at: Timestamp,
    /// Not before that is it picked up (again).
    pub(crate) ready_at: Timestamp,
    pub(crate) is_final: bool,
    pub(crate) tries: u32,
    pub(crate) state: BatchState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchState {
    Pending,
    /// In the loader's hands since `from`; its next step is at `until`.
    Executing {
        stage: Stage,
        from: Timestamp,
        until: Timestamp,
    },
    Done,
    Failed,
}

/// What the loader does with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Writing,
    /// Only the final one.
    Compacting,
    /// Only the final one.
    Registering,
}

impl Batch {
    pub(crate) fn new(at: Timestamp, is_final: bool) -> Self {
        Self {
            staged_at: at,
            ready_at: at,
            is_final,
            tries: 0,
            state: BatchState::Pending,
        }
    }

    pub(crate) fn is_executing(&self) -> bool {
        matches!(self.state, BatchState::Executing { .. })
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.state, BatchState::Done | BatchState::Failed)
    }
}

impl V3Run {
    /// None for a run of another pipeline.
    pub(crate) fn of(plan: &RunPlan, created_at: Timestamp) -> Option<Box<Self>> {
        let Behaviour::V3(v3) = &plan.behaviour else {
            return None;
        };
        Some(Box::new(Self {
            steps: script(v3, created_at),
            owns_workflow: !plan.outside_schedule,
            produced: Phase::Starting,
            extracted_at: None,
            held: None,
            batches: Vec::new(),
            picked_at: None,
            progressed_at: None,
            dies_at: v3
                .dies_while_extracting()
                .map(|after| plus(created_at, after)),
            dead: None,
            dropped: false,
            given_up: None,
            companion: false,
            plan: (**v3).clone(),
        }))
    }

    pub(crate) fn phase(&self) -> Phase {
        let stage = self.batches.iter().find_map(|batch| match batch.state {
            BatchState::Executing { stage, .. } => Some(stage),
            BatchState::Pending | BatchState::Done | BatchState::Failed => None,
        });
        match (self.extracted_at, stage) {
            (None, _) => self.produced,
            (Some(_), Some(Stage::Compacting | Stage::Registering)) => Phase::PostLoad,
            (Some(_), _) if self.produced == Phase::Ending => Phase::Ending,
            (Some(_), Some(Stage::Writing)) => Phase::Loading,
            (Some(_), None) if self.picked_at.is_some() => Phase::Loading,
            (Some(_), None) => Phase::Queued,
        }
    }

    /// Its workflow still runs, at least according to Temporal.
    pub(crate) fn workflow_is_open(&self) -> bool {
        let gone = self.dropped || self.extracted_at.is_some();
        !gone && self.dead != Some(Dead::Producer(DeadWorkflow::Gone))
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.batches.iter().any(|batch| !batch.is_terminal())
    }

    /// Nothing will ever happen to it that the loader or the producer does.
    pub(crate) fn is_over(&self) -> bool {
        !self.is_pending() && self.steps.is_empty()
    }

    /// Whether the loader has done nothing for it for that long, as the takeover of its lock judges.
    pub(crate) fn is_stale(&self, at: Timestamp, after: Option<SignedDuration>) -> bool {
        let since = self.progressed_at.or_else(|| self.oldest_waiting());
        let stale = after.zip(since);
        stale.is_some_and(|(after, since)| plus(since, after) <= at)
    }

    fn oldest_waiting(&self) -> Option<Timestamp> {
        let waiting = self.batches.iter().filter(|batch| !batch.is_terminal());
        waiting.map(|batch| batch.staged_at).min()
    }

    /// The loader drops the remaining batches; the producer does nothing more.
    pub(crate) fn drop_rest(&mut self) {
        self.steps.clear();
        self.dies_at = None;
        self.held = None;
        self.dropped = true;
    }

    /// The workflow has ended in the middle of the extraction.
    pub(crate) fn die_without_workflow(&mut self) {
        self.steps.clear();
        self.dies_at = None;
        self.held = None;
        self.owns_workflow = false;
        self.dead = Some(Dead::Producer(DeadWorkflow::Gone));
    }

    /// All batches that are not done are failed, as the sweeps do it.
    pub(crate) fn fail_batches(&mut self) {
        self.steps.clear();
        self.dies_at = None;
        for batch in self.batches.iter_mut().filter(|batch| !batch.is_terminal()) {
            batch.state = BatchState::Failed;
        }
    }
}

/// What happens next to a table's runs of v3. The number is the job's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum V3Event {
    Dies(usize),
    Produces(usize),
    /// The loader picks up the next batch.
    Picks(usize),
    /// The loader goes down over a batch.
    Interrupted(usize),
    /// The loader is done with a stage of a batch.
    Advances(usize),
    /// The loader finds the batches of a job that is over.
    Drops(usize),
    /// PostHog writes to the job that its batch was given up.
    Reconciles(usize),
    /// The sweep for runs that the loader abandoned.
    Sweeps(usize),
    /// The rows of the queue are thrown away.
    Expires(usize),
}

type Due = (Timestamp, V3Event);

/// What happens next, and when.
pub(crate) fn next_event(
    schema: &Schema,
    down: &Downtimes,
    stale_after: Option<SignedDuration>,
) -> Option<Due> {
    let runs = || {
        let active = schema.v3.active.iter();
        active.filter_map(|place| Some((*place, schema.jobs.get(*place)?.v3.as_deref()?)))
    };
    let dies = runs().filter_map(|(place, run)| Some((run.dies_at?, V3Event::Dies(place))));
    let produces =
        runs().filter_map(|(place, run)| Some((run.steps.front()?.0, V3Event::Produces(place))));
    let reconciles = runs().filter_map(|(place, run)| {
        let (at, _) = run.given_up.as_ref()?;
        let at = down.up_at(plus(*at, RECONCILES_AFTER))?;
        run.is_pending().then_some((at, V3Event::Reconciles(place)))
    });
    let expires = runs().filter_map(|(place, run)| {
        Some((
            plus(run.oldest_waiting()?, RETENTION),
            V3Event::Expires(place),
        ))
    });
    let sweeps = runs().filter_map(|(place, run)| {
        let at = sweep_at(schema, run, down, stale_after?)?;
        Some((at, V3Event::Sweeps(place)))
    });
    // The order decides between events of one moment: a run that dies does so before it is worked on.
    let events = dies
        .chain(produces)
        .chain(loader_event(schema, down))
        .chain(reconciles)
        .chain(sweeps)
        .chain(expires);
    let in_order = |(at, event)| (schema.v3.clock.map_or(at, |clock| clock.max(at)), event);
    events.map(in_order).min_by_key(|(at, _)| *at)
}

/// One batch at a time for each table, the older run's before the newer's.
fn loader_event(schema: &Schema, down: &Downtimes) -> Option<Due> {
    let runs = || {
        let active = schema.v3.active.iter();
        active.filter_map(|place| Some((*place, schema.jobs.get(*place)?)))
    };
    for (place, job) in runs() {
        let run = job.v3.as_deref()?;
        let executing = run.batches.iter().find_map(|batch| match batch.state {
            BatchState::Executing { from, until, .. } => Some((from, until)),
            BatchState::Pending | BatchState::Done | BatchState::Failed => None,
        });
        if let Some((from, until)) = executing {
            // A batch of a dead run keeps the whole table waiting.
            if run.dead == Some(Dead::Queue) {
                return None;
            }
            return Some(match down.goes_down(from, until) {
                Some(at) => (at, V3Event::Interrupted(place)),
                None => (until, V3Event::Advances(place)),
            });
        }
    }
    runs().find_map(|(place, job)| {
        let run = job.v3.as_deref()?;
        let batch = run.batches.iter().find(|batch| !batch.is_terminal())?;
        if run.dropped {
            let at = batch.ready_at.max(job.finished_at?);
            return Some((down.up_at(at)?, V3Event::Drops(place)));
        }
        if run.dead == Some(Dead::Queue) || run.given_up.is_some() {
            return None;
        }
        let at = match (run.plan.queue, run.picked_at) {
            // It waits for a slot, counted from the end of the extraction.
            (Some(queue), None) => plus(run.extracted_at?, queue).max(batch.ready_at),
            _ => batch.ready_at,
        };
        Some((down.up_at(at)?, V3Event::Picks(place)))
    })
}

/// Progress anywhere in the table spares all of its runs, and so does a batch in the hands of a loader that lives.
fn sweep_at(
    schema: &Schema,
    run: &V3Run,
    down: &Downtimes,
    stale_after: SignedDuration,
) -> Option<Timestamp> {
    let waiting = run.oldest_waiting()?;
    let held = schema.v3.active.iter().any(|place| {
        let run = schema.jobs.get(*place).and_then(|job| job.v3.as_deref());
        run.is_some_and(|run| {
            run.dead != Some(Dead::Queue) && run.batches.iter().any(Batch::is_executing)
        })
    });
    if held || run.dropped || run.given_up.is_some() {
        return None;
    }
    let own = run.progressed_at.unwrap_or(waiting);
    let progress = schema.v3.progressed_at.map_or(own, |group| group.max(own));
    down.sweep_at(plus(progress, stale_after))
}

/// Whether a job runs, and will continue by itself.
pub(crate) fn is_alive(schema: &Schema, place: usize, now: Timestamp) -> bool {
    let Some(job) = schema.jobs.get(place).filter(|job| job.is_running()) else {
        return false;
    };
    match job.v3.as_deref() {
        Some(run) => run.dead.is_none() && run.given_up.is_none(),
        None => v2_is_alive(schema, job, place, now),
    }
}

/// Of v2, only the newest run has a workflow.
fn v2_is_alive(schema: &Schema, job: &Job, place: usize, now: Timestamp) -> bool {
    let hangs = match &job.plan.behaviour {
        Behaviour::Hangs { after, .. } => plus(job.since, *after) <= now,
        Behaviour::Progresses { .. }
        | Behaviour::LogsOnly { .. }
        | Behaviour::Completes { .. }
        | Behaviour::Fails { .. }
        | Behaviour::BillingLimit { .. }
        | Behaviour::V3(_) => false,
    };
    let newest = place + 1 == schema.jobs.len();
    let runs = matches!(schema.workflow, Some(crate::state::Workflow::Running));
    newest && runs && !hangs
}
