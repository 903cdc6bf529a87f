//! Who leads: candidates against a model of the API server, in any order of looks, writes, crashes and lost answers; and what a
//! process does that leads no more. Leader loss at each effect is among the faults of `plans.rs`.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use proptest::prelude::*;
use warehouse_sync_operator::{
    api::status::Fate,
    controller::lease::{Candidate, LeaseWrite, Times},
};

use crate::{
    faults::{Fault, Faults},
    scenarios::{ENFORCE, STUCK},
    world::World,
};

const PROCESSES: usize = 3;

/// Deadline of the calls that are sent.
const CALL: Duration = Duration::from_secs(30);

/// What happens next. Numbers say to which process.
#[derive(Debug, Clone)]
enum Event {
    /// Time passes, in ms.
    Wait(u64),
    /// The next part of a step: question, answer, write, answer. The message may be lost.
    Step { process: usize, lost: bool },
    /// It sends a call if its claim covers it.
    Send(usize),
    /// It dies, and another takes its place.
    Crash(usize),
    /// It ends as at SIGTERM, and another takes its place.
    Release(usize),
    /// A write that seemed lost arrives.
    Stray,
}

fn event() -> impl Strategy<Value = Event> {
    let process = || 0..PROCESSES;
    prop_oneof![
        3 => (0_u64..3_000).prop_map(Event::Wait),
        1 => (0_u64..60_000).prop_map(Event::Wait),
        1 => (100_000_u64..200_000).prop_map(Event::Wait),
        12 => (process(), prop::bool::weighted(0.1)).prop_map(|(process, lost)| Event::Step { process, lost }),
        4 => process().prop_map(Event::Send),
        1 => process().prop_map(Event::Crash),
        1 => process().prop_map(Event::Release),
        1 => Just(Event::Stray),
    ]
}

/// Where a process is in its step.
enum Stage {
    Idle,
    Answered(Option<Lease>),
    Writing(Instant, LeaseWrite),
    Written(Instant, bool),
}

struct Process {
    candidate: Candidate,
    stage: Stage,
    /// Its clocks are not those of the others, and the one for people may stand still.
    ahead: Duration,
    wall: Option<SignedDuration>,
}

struct Model {
    base: Instant,
    time: Duration,
    lease: Option<Lease>,
    version: u64,
    processes: Vec<Process>,
    made: usize,
    strays: Vec<LeaseWrite>,
    /// Until when a call may be in flight, and whose it is.
    call: Option<(Duration, String)>,
}

impl Model {
    fn new(clocks: &[(u64, Option<i64>)]) -> Self {
        let mut model = Self {
            base: Instant::now(),
            time: Duration::ZERO,
            lease: None,
            version: 0,
            processes: Vec::new(),
            made: 0,
            strays: Vec::new(),
            call: None,
        };
        for (ahead, wall) in clocks {
            let process = Process {
                candidate: model.candidate(),
                stage: Stage::Idle,
                ahead: Duration::from_secs(*ahead),
                wall: wall.map(SignedDuration::from_secs),
            };
            model.processes.push(process);
        }
        model
    }

    fn candidate(&mut self) -> Candidate {
        self.made += 1;
        Candidate::new(format!("process {}", self.made), Times::PRODUCTION)
    }

    fn now(&self, process: usize) -> Instant {
        self.base + self.processes[process].ahead + self.time
    }

    fn wall(&self, process: usize) -> Timestamp {
        let passed = SignedDuration::try_from(self.time).unwrap();
        match self.processes[process].wall {
            Some(off) => Timestamp::UNIX_EPOCH + passed + off,
            None => Timestamp::UNIX_EPOCH,
        }
    }

    /// As the API server does it; true if it was carried out.
    fn land(&mut self, write: LeaseWrite) -> bool {
        let mut lease = match (write, &self.lease) {
            (LeaseWrite::Create(lease), None) => lease,
            (LeaseWrite::Replace(lease), Some(stored))
                if lease.metadata.resource_version == stored.metadata.resource_version =>
            {
                lease
            }
            _ => return false,
        };
        // A write that changes nothing leaves the version.
        if self.lease.as_ref() != Some(&lease) {
            self.version += 1;
            lease.metadata.resource_version = Some(self.version.to_string());
            self.lease = Some(lease);
        }
        true
    }

    fn step(&mut self, process: usize, lost: bool) {
        let (now, wall) = (self.now(process), self.wall(process));
        let stage = std::mem::replace(&mut self.processes[process].stage, Stage::Idle);
        let candidate = &mut self.processes[process].candidate;
        self.processes[process].stage = match stage {
            Stage::Idle => Stage::Answered(self.lease.clone()),
            Stage::Answered(_) if lost => Stage::Idle,
            Stage::Answered(found) => match candidate.saw(found.as_ref(), now, wall) {
                Some(write) => Stage::Writing(now, write),
                None => Stage::Idle,
            },
            Stage::Writing(_, write) if lost => {
                self.strays.push(write);
                Stage::Idle
            }
            Stage::Writing(started, write) => Stage::Written(started, self.land(write)),
            Stage::Written(started, true) if !lost => {
                candidate.wrote(started);
                Stage::Idle
            }
            Stage::Written(..) => Stage::Idle,
        };
    }

    fn leads(&self, process: usize, call: Duration) -> bool {
        let claim = self.processes[process].candidate.claim();
        claim.is_some_and(|claim| claim.covers(self.now(process), call))
    }

    fn send(&mut self, process: usize) {
        if !self.leads(process, CALL) {
            return;
        }
        let name = self.processes[process].candidate.identity().to_owned();
        if let Some((until, other)) = &self.call {
            assert!(
                *until <= self.time || *other == name,
                "{name} and {other} send at the same time"
            );
        }
        self.call = Some((self.time + CALL, name));
    }

    fn replace(&mut self, process: usize) {
        let next = self.candidate();
        let gone = &mut self.processes[process];
        gone.candidate = next;
        if let Stage::Writing(_, write) = std::mem::replace(&mut gone.stage, Stage::Idle) {
            self.strays.push(write);
        }
    }

    fn release(&mut self, process: usize) {
        let name = self.processes[process].candidate.identity();
        // The real one waits for its calls.
        let busy = |(until, whose): &(Duration, String)| *until > self.time && whose == name;
        if self.call.as_ref().is_some_and(busy) {
            return;
        }
        let (found, wall) = (self.lease.clone(), self.wall(process));
        let candidate = &mut self.processes[process].candidate;
        if let Some(lease) = candidate.release(found.as_ref(), wall) {
            self.land(LeaseWrite::Replace(lease));
        }
        self.replace(process);
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Wait(ms) => self.time += Duration::from_millis(ms),
            Event::Step { process, lost } => self.step(process, lost),
            Event::Send(process) => self.send(process),
            Event::Crash(process) => self.replace(process),
            Event::Release(process) => self.release(process),
            Event::Stray => {
                if let Some(write) = self.strays.pop() {
                    self.land(write);
                }
            }
        }
    }

    fn leaders(&self) -> usize {
        (0..PROCESSES)
            .filter(|process| self.leads(*process, Duration::ZERO))
            .count()
    }

    /// How long a process that is alone and hears everything takes to lead.
    fn time_to_lead(&mut self, process: usize) -> Duration {
        let started = self.time;
        while !self.leads(process, Duration::ZERO) {
            self.step(process, false);
            if matches!(self.processes[process].stage, Stage::Idle) {
                self.time += self.processes[process].candidate.pause(self.now(process));
            }
            assert!(self.time < started + 2 * Times::PRODUCTION.lease);
        }
        self.time.saturating_sub(started)
    }
}

fn clocks() -> impl Strategy<Value = Vec<(u64, Option<i64>)>> {
    let wall = prop::option::of(-1_000_000_i64..1_000_000);
    prop::collection::vec((0_u64..1_000_000, wall), PROCESSES)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_two_processes_ever_lead_at_once_and_one_that_is_alone_soon_does(
        clocks in clocks(),
        events in prop::collection::vec(event(), 1..160),
    ) {
        let mut model = Model::new(&clocks);
        for event in &events {
            model.happen(event);
            prop_assert!(model.leaders() <= 1, "two lead after {event:?}");
        }
        let took = model.time_to_lead(0);
        prop_assert!(took <= Times::PRODUCTION.lease + Duration::from_secs(2), "{took:?}");
    }
}

/// The place of the write that puts the intent of the cancel into the status.
fn intent() -> usize {
    let mut world = World::new(STUCK, ENFORCE, Faults::default());
    world.run_until_cancelled(1);
    let effects = world.faults.effects();
    effects.iter().position(|what| what == "cancel").unwrap() - 1
}

#[test]
fn a_claim_that_runs_out_before_the_send_keeps_it_from_being_sent() {
    let plan = [(intent(), Fault::ClaimRunsOut)];
    let mut world = World::new(STUCK, ENFORCE, Faults::new(&plan));
    let end = world.now() + SignedDuration::from_hours(20);
    while world.status().incidents.is_empty() {
        assert!(world.now() < end, "no incident began");
        world.run_for(SignedDuration::from_secs(1));
    }
    let send = world.status().incidents[0].sends[0].clone();
    assert_eq!(send.fate, Some(Fate::NotSent));
    assert_eq!(send.detail, "this replica is no longer the leader");
    assert_eq!(world.count("cancel"), 0);
    // And the next leader sends it.
    world.run_for(SignedDuration::from_hours(1));
    assert_eq!((world.count("cancel"), world.count("reload")), (1, 1));
    assert!(world.status().incidents.is_empty());
}

#[test]
fn a_process_that_does_not_lead_writes_nothing_and_sends_nothing() {
    let mut world = World::new(STUCK, ENFORCE, Faults::default());
    for _ in 0..100 {
        world.faults.run_out();
        world.reconcile_as_leader();
        world
            .simulator
            .lock()
            .unwrap()
            .advance(SignedDuration::from_mins(10));
    }
    assert!(world.faults.effects().is_empty());
    assert_eq!(world.count("cancel") + world.count("reload"), 0);
}

// --- Several installations ------------------------------------------------------------------------------------------

#[test]
fn a_policy_whose_status_another_operator_writes_is_not_polled_until_it_is_this_operators() {
    let mut world = World::new(STUCK, ENFORCE, Faults::default());
    world.cluster.set_other_writer(Some("it is another's"));
    world.reconcile();
    assert!(world.simulator.lock().unwrap().requests().is_empty());
    assert!(world.status().conditions.is_empty());
    let [event] = &world.cluster.events()[..] else {
        panic!("{:?}", world.cluster.events())
    };
    assert_eq!(event.note, "it is another's");
    world.cluster.set_other_writer(None);
    world.run_until_cancelled(1);
}
