//! The measurements at one size, one after the other, on one operator process.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use posthog_simulator::{EffectKind, Logged, RunPlan};
use tokio::time::sleep;

use crate::{
    data::memory::Resident,
    operator::Operator,
    say,
    stage::{Size, Stage, id, is_wide},
    statuses::Statuses,
};

/// How long anything may take that is waited for, beyond intervals.
const PATIENCE: Duration = Duration::from_mins(20);
/// How long it takes beyond an interval until nothing changes any more.
const SETTLES: Duration = Duration::from_secs(30);
/// Polls of the steady window.
const WINDOW: u32 = 2;

pub struct Figures {
    pub size: Size,
    pub ready_after: Duration,
    /// From the start until every policy says that it is Ready.
    pub all_ready_after: Duration,
    pub busiest_second_at_start: usize,
    pub memory_at_start: Resident,
    pub memory: Resident,
    pub lists: Lists,
    pub steady_writes: f64,
    pub processors: f64,
    pub writes_of_a_change: f64,
    pub finding: Latency,
    pub action: Latency,
    pub request: Latency,
    pub refused: usize,
}

/// Lists of sources in the steady window.
pub struct Lists {
    /// Requests of a poll, of a project with ten sources, and of one with 250 if there is one.
    pub per_poll: f64,
    pub per_wide_poll: Option<f64>,
    /// All requests of a key in an hour, from those in the window; of the project with ten sources that made most.
    pub requests_per_hour: f64,
}

/// How long something took, in seconds, each time, in rising order.
pub struct Latency {
    pub seconds: Vec<f64>,
    pub wanted: usize,
}

impl Latency {
    fn of(times: impl Iterator<Item = SignedDuration>, wanted: usize) -> Self {
        let mut seconds: Vec<f64> = times.map(|time| time.as_secs_f64().max(0.0)).collect();
        seconds.sort_by(f64::total_cmp);
        Self { seconds, wanted }
    }

    /// The time that this percentage does not exceed.
    pub fn percentile(&self, percent: usize) -> Option<f64> {
        let place = (self.seconds.len() * percent).div_ceil(100).max(1) - 1;
        self.seconds.get(place).copied()
    }
}

pub fn measure(stage: &Stage, samples: usize) -> Figures {
    stage.runtime.block_on(Run::start(stage, samples))
}

struct Run<'a> {
    stage: &'a Stage,
    operator: Operator,
    statuses: Statuses,
}

impl Run<'_> {
    async fn start(stage: &Stage, samples: usize) -> Figures {
        let began = (Instant::now(), Timestamp::now());
        let statuses = Statuses::watch(&stage.client);
        let operator = stage.operator(&[]).await;
        let ready_after = operator.ready_after;
        say(&format!("ready after {ready_after:?}"));
        let mut run = Run {
            stage,
            operator,
            statuses,
        };
        run.wait("every policy to be Ready", |run| {
            run.statuses.ready() == stage.size.policies
        })
        .await;
        let all_ready_after = began.0.elapsed();
        let memory_at_start = run.operator.memory();
        say(&format!(
            "all are Ready after {all_ready_after:?}; {memory_at_start:?}"
        ));
        let busiest_second_at_start = busiest_second(&run.requests_since(began.1));
        // The admission policies have just been installed here, and are trusted a little later: another write.
        sleep(stage.interval + SETTLES).await;
        say("the steady polls");
        let (lists, steady_writes, processors) = run.steady().await;
        let memory = run.operator.memory();
        say(&format!(
            "{steady_writes} status writes, {processors:.3} processors; {memory:?}; one table changes"
        ));
        let writes_of_a_change = run.one_change().await;
        say("failures");
        let finding = run.findings(samples).await;
        say("requests by annotation");
        let request = run.requested_polls(samples).await;
        say("runs that hang");
        let action = run.actions(samples).await;
        let refused = run
            .requests_since(began.1)
            .iter()
            .filter(|sent| !matches!(sent.status, Some(200..300)))
            .count();
        Figures {
            size: stage.size,
            ready_after,
            all_ready_after,
            busiest_second_at_start,
            memory_at_start,
            memory,
            lists,
            steady_writes,
            processors,
            writes_of_a_change,
            finding,
            action,
            request,
            refused,
        }
    }

    /// Two intervals in which nothing happens.
    async fn steady(&mut self) -> (Lists, f64, f64) {
        let window = self.stage.interval * WINDOW;
        let (since, writes) = (Timestamp::now(), self.operator.status_writes().await);
        let processors = self.operator.processor_seconds();
        sleep(window).await;
        let writes = self.operator.status_writes().await - writes;
        let processors = (self.operator.processor_seconds() - processors) / window.as_secs_f64();
        (
            self.lists(&self.requests_since(since), window),
            writes,
            processors,
        )
    }

    fn lists(&self, requests: &[Logged], window: Duration) -> Lists {
        let of = |project: usize| {
            let path = format!("/api/projects/{}/external_data_sources/", id(project));
            let lists: Vec<_> = requests.iter().filter(|sent| sent.path == path).collect();
            let polls = lists
                .iter()
                .filter(|sent| sent.query.contains("offset=0"))
                .count();
            lists.len() as f64 / polls.max(1) as f64
        };
        let of_key = |project: usize| {
            let path = format!("/api/projects/{}/", id(project));
            requests
                .iter()
                .filter(|sent| sent.path.starts_with(&path))
                .count()
        };
        let size = self.stage.size;
        let narrow = || (0..size.projects()).filter(|project| !is_wide(*project, size));
        let most = narrow().map(of_key).max().unwrap_or_default();
        Lists {
            per_poll: narrow().map(of).fold(0.0, f64::max),
            per_wide_poll: is_wide(0, size).then(|| of(0)),
            requests_per_hour: most as f64 * 3600.0 / window.as_secs_f64(),
        }
    }

    /// Status writes until well after one table of one policy has failed.
    async fn one_change(&mut self) -> f64 {
        let before = self.operator.status_writes().await;
        let table = self.stage.tables(1, 1).remove(0);
        self.fail(&table);
        self.wait("the finding", |run| run.statuses.found(&table).is_some())
            .await;
        sleep(self.stage.interval * 3 / 2).await;
        self.operator.status_writes().await - before
    }

    /// From the end of a run that failed, which is to be reported at once, to the finding; spread over two intervals.
    async fn findings(&mut self, samples: usize) -> Latency {
        let tables = self.stage.tables(2, samples);
        let step = self.stage.interval * 2 / u32::try_from(samples).unwrap();
        for table in &tables {
            self.fail(table);
            sleep(step).await;
        }
        self.wait_at_most(self.stage.interval * 3, |run| {
            tables
                .iter()
                .all(|table| run.statuses.found(table).is_some())
        })
        .await;
        let ended = self.effects(EffectKind::RunEnded);
        let times = tables.iter().filter_map(|table| {
            let (_, at) = ended.iter().find(|(schema_id, _)| schema_id == table)?;
            Some(self.statuses.found(table)?.duration_since(*at))
        });
        Latency::of(times, samples)
    }

    fn fail(&self, schema_id: &str) {
        let plan = RunPlan::fails(
            SignedDuration::ZERO,
            "FATAL: password authentication failed for user \"posthog\"",
        );
        self.begin(schema_id, plan);
    }

    fn begin(&self, schema_id: &str, plan: RunPlan) {
        let mut simulator = self.stage.posthog.simulator();
        simulator.set_next_runs(schema_id, [plan]).unwrap();
        simulator.start_run(schema_id).unwrap();
    }

    /// From the status that reports a run that hangs to its cancel. Two runs of a project: more would be an outage. Runs of other tables complete
    /// during that time; without them no run is considered dead.
    async fn actions(&mut self, samples: usize) -> Latency {
        let size = self.stage.size;
        let projects = (0..size.projects())
            .filter(|project| !is_wide(*project, size))
            .count();
        let samples = samples.min(2 * projects);
        let tables = self.stage.tables(3, samples);
        for table in &tables {
            self.begin(table, RunPlan::hangs());
        }
        let all_done = |run: &Self| {
            let cancelled = run.effects(EffectKind::Cancelled);
            tables
                .iter()
                .all(|id| cancelled.iter().any(|(schema_id, _)| schema_id == id))
        };
        let canaries = self.stage.tables(4, projects);
        for _ in 0..5 {
            for table in &canaries {
                let plan = RunPlan::completes(SignedDuration::from_millis(100), 1);
                self.begin(table, plan);
            }
            let a_while = self.stage.interval + Duration::from_secs(4);
            if self.wait_at_most(a_while, all_done).await {
                break;
            }
        }
        // The watch that delivers the findings may be a little behind.
        sleep(Duration::from_secs(1)).await;
        let cancelled = self.effects(EffectKind::Cancelled);
        let times = tables.iter().filter_map(|id| {
            let (_, at) = cancelled.iter().find(|(schema_id, _)| schema_id == id)?;
            Some(at.duration_since(self.statuses.found(id)?))
        });
        Latency::of(times, samples)
    }

    /// From an annotation to the request that it asks for.
    async fn requested_polls(&mut self, samples: usize) -> Latency {
        let mut times = Vec::new();
        for sample in 0..samples {
            let project = sample % self.stage.size.projects();
            let number = sample % self.stage.size.each();
            let path = format!("/api/projects/{}/external_data_sources/", id(project));
            let at = Timestamp::now();
            self.stage
                .request_poll(project, number, &at.to_string())
                .await;
            let sent = |run: &Self| {
                let simulator = run.stage.posthog.simulator();
                let newest_first = simulator
                    .requests()
                    .iter()
                    .rev()
                    .take_while(|sent| sent.at >= at);
                newest_first
                    .filter(|sent| sent.path == path)
                    .map(|sent| sent.at)
                    .last()
            };
            self.wait_at_most(Duration::from_mins(1), |run| sent(run).is_some())
                .await;
            times.extend(sent(self).map(|sent| sent.duration_since(at)));
        }
        Latency::of(times.into_iter(), samples)
    }

    fn effects(&self, kind: EffectKind) -> Vec<(String, Timestamp)> {
        let simulator = self.stage.posthog.simulator();
        let effects = simulator.effects_of(kind).into_iter();
        effects
            .filter_map(|effect| Some((effect.schema_id.clone()?, effect.at)))
            .collect()
    }

    fn requests_since(&self, since: Timestamp) -> Vec<Logged> {
        let simulator = self.stage.posthog.simulator();
        simulator
            .requests()
            .iter()
            .filter(|sent| sent.at >= since)
            .cloned()
            .collect()
    }

    async fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let came = self.wait_at_most(PATIENCE, done).await;
        assert!(came, "waited in vain for {what}: {}", self.operator.log());
    }

    async fn wait_at_most(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let began = Instant::now();
        while !done(self) {
            self.operator.check();
            if began.elapsed() > limit {
                return false;
            }
            sleep(Duration::from_millis(20)).await;
        }
        true
    }
}

/// The most requests in any second.
fn busiest_second(requests: &[Logged]) -> usize {
    let from = |(first, sent): (usize, &Logged)| {
        let within = requests[first..].iter();
        within
            .take_while(|other| other.at.duration_since(sent.at).as_secs() < 1)
            .count()
    };
    requests
        .iter()
        .enumerate()
        .map(from)
        .max()
        .unwrap_or_default()
}
