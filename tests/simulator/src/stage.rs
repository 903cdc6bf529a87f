//! What the test driver may do: inspect what happened, and change things without the client.

use crate::auth::Key;
use crate::effect::{Effect, EffectKind, Trigger};
use crate::error::Error;
use crate::fault::Fault;
use crate::instance::InstanceSpec;
use crate::journal::Logged;
use crate::line::{Level, Line};
use crate::load::{Loader, next_due};
use crate::queue::{V3Run, is_alive};
use crate::run::RunPlan;
use crate::scenario::{KeySpec, RateLimits, SourceSpec};
use crate::simulator::Simulator;
use crate::state::{Schema, Status};
use crate::throttle::Throttle;
use crate::v3::Phase;

impl Simulator {
    /// Every request so far, in order.
    #[must_use]
    pub fn requests(&self) -> &[Logged] {
        &self.requests
    }

    /// How many requests had that method and that text in their path.
    #[must_use]
    pub fn count(&self, method: &str, path_contains: &str) -> usize {
        let fits =
            |logged: &&Logged| logged.method == method && logged.path.contains(path_contains);
        self.requests.iter().filter(fits).count()
    }

    /// Forgets the requests so far; what happened stays known.
    pub fn forget_requests(&mut self) {
        self.requests.clear();
    }

    /// Everything that happened so far, in order.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// What happened of that kind.
    #[must_use]
    pub fn effects_of(&self, kind: EffectKind) -> Vec<&Effect> {
        self.effects
            .iter()
            .filter(|effect| effect.kind == kind)
            .collect()
    }

    /// How many cancels took effect on that job.
    #[must_use]
    pub fn cancels_of(&self, job_id: &str) -> usize {
        let fits = |effect: &&&Effect| effect.job_id.as_deref() == Some(job_id);
        self.effects_of(EffectKind::Cancelled)
            .iter()
            .filter(fits)
            .count()
    }

    /// The reloads of that schema from which a job came.
    #[must_use]
    pub fn reloads_that_started(&self, schema_id: &str) -> Vec<&Effect> {
        let mut started = self.effects_of(EffectKind::RunStarted);
        started.retain(|effect| {
            effect.trigger == Some(Trigger::Reload)
                && effect.schema_id.as_deref() == Some(schema_id)
        });
        started
    }

    /// Puts a fault in the way of requests, behind those already there.
    pub fn add_fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Adds a key, or replaces the one with the same token.
    pub fn put_key(&mut self, key: KeySpec) {
        let number = self.keys.len() + 1;
        let mut key = Key::new(key, number);
        if let Some(old) = self
            .keys
            .iter_mut()
            .find(|old| old.spec.token == key.spec.token)
        {
            if key.spec.label.is_none() {
                key.label.clone_from(&old.label);
            }
            *old = key;
        } else {
            self.keys.push(key);
        }
    }

    /// Removes a key. Says whether there was one.
    pub fn remove_key(&mut self, token: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.spec.token != token);
        self.keys.len() < before
    }

    /// Changes the limits on requests, and forgets the requests counted so far.
    pub fn set_rate_limits(&mut self, limits: RateLimits) {
        self.limits = limits;
        self.throttle = Throttle::default();
    }

    /// The id of the first schema of that name.
    #[must_use]
    pub fn schema_id(&self, name: &str) -> Option<String> {
        self.schemas
            .iter()
            .find(|schema| schema.spec.name == name)
            .map(|schema| schema.id.clone())
    }

    /// The id of the first source of that prefix, or else of that type.
    #[must_use]
    pub fn source_id(&self, prefix_or_type: &str) -> Option<String> {
        let by_prefix = self
            .sources
            .iter()
            .find(|source| source.spec.prefix.as_deref() == Some(prefix_or_type));
        let by_type = || {
            self.sources
                .iter()
                .find(|source| source.spec.source_type == prefix_or_type)
        };
        by_prefix.or_else(by_type).map(|source| source.id.clone())
    }

    /// The ids of a source's schemas, in the order of the scenario.
    #[must_use]
    pub fn schema_ids(&self, source_id: &str) -> Vec<String> {
        let Ok(source) = self.source_index(source_id) else {
            return Vec::new();
        };
        let own = self.schemas.iter().filter(|schema| schema.source == source);
        own.map(|schema| schema.id.clone()).collect()
    }

    /// Sources and schemas with their ids, one line each.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            let prefix = source.spec.prefix.as_deref().unwrap_or("-");
            lines.push(format!(
                "source {} {} {prefix}",
                source.id, source.spec.source_type
            ));
            for schema in self.schemas.iter().filter(|schema| schema.source == index) {
                let status = schema.status.map_or("null", Status::of_schema);
                lines.push(format!(
                    "  schema {} {} {status}",
                    schema.id, schema.spec.name
                ));
            }
        }
        lines
    }

    /// The id of a schema's newest job.
    #[must_use]
    pub fn newest_job(&self, schema_id: &str) -> Option<String> {
        self.schema(schema_id)
            .and_then(|schema| schema.jobs.last())
            .map(|job| job.id.clone())
    }

    /// A schema's stored status.
    #[must_use]
    pub fn status(&self, schema_id: &str) -> Option<Status> {
        self.schema(schema_id).and_then(|schema| schema.status)
    }

    /// Whether a schema is enabled.
    #[must_use]
    pub fn should_sync(&self, schema_id: &str) -> Option<bool> {
        self.schema(schema_id).map(|schema| schema.should_sync)
    }

    /// Whether the next run of a schema would wipe its table, which the API never shows.
    #[must_use]
    pub fn reset_pending(&self, schema_id: &str) -> bool {
        self.schema(schema_id)
            .is_some_and(|schema| schema.reset_pending)
    }

    /// The rows of a schema's table; none if it has no table.
    #[must_use]
    pub fn rows(&self, schema_id: &str) -> Option<u64> {
        let table = self.schema(schema_id)?.table.as_ref()?;
        Some(table.rows)
    }

    /// How far a schema's source has been read, which the API never shows.
    #[must_use]
    pub fn position(&self, schema_id: &str) -> Option<u64> {
        self.schema(schema_id)?.position
    }

    /// The next runs of a schema, instead of those that were planned.
    pub fn set_next_runs(
        &mut self,
        schema_id: &str,
        runs: impl IntoIterator<Item = RunPlan>,
    ) -> Result<(), Error> {
        self.schema_mut(schema_id)?.next_runs = runs.into_iter().collect();
        Ok(())
    }

    /// Starts a run now, as its schedule would. Whether this creates a job depends on the plan.
    pub fn start_run(&mut self, schema_id: &str) -> Result<(), Error> {
        let index = self.schema_index(schema_id)?;
        let now = self.now();
        self.trigger(index, now, Trigger::Schedule);
        Ok(())
    }

    /// Changes how the newest, running job continues from now on.
    pub fn change_run(&mut self, schema_id: &str, plan: RunPlan) -> Result<(), Error> {
        let now = self.now();
        let schema = self.schema_mut(schema_id)?;
        if let Some(job) = schema.jobs.last_mut().filter(|job| job.is_running()) {
            job.rows_before = job.rows(now);
            job.since = now;
            job.v3 = V3Run::of(&plan, now);
            job.plan = plan;
            schema.v3.clock = Some(now);
            let place = schema.jobs.len() - 1;
            let active = &mut schema.v3.active;
            active.retain(|other| *other != place);
            if schema.jobs.last().is_some_and(|job| job.v3.is_some()) {
                active.push(place);
            }
        }
        Ok(())
    }

    /// Writes a line into the log of a schema's newest job.
    pub fn write_log(&mut self, schema_id: &str, message: &str) -> Result<(), Error> {
        let now = self.now();
        if let Some(job) = self.schema_mut(schema_id)?.jobs.last_mut() {
            job.lines.push(Line {
                at: now,
                level: Level::Info,
                message: message.to_owned(),
            });
        }
        Ok(())
    }

    /// Changes what a scenario says about a schema beyond its runs: `raw`, `probe_error`, `trigger_fails`,
    /// `cdc_broken`, … Fields about the start (`run`, `jobs`, `rows`) have no effect any more.
    pub fn change_schema(
        &mut self,
        schema_id: &str,
        change: impl FnOnce(&mut crate::SchemaSpec),
    ) -> Result<(), Error> {
        let (now, schedule) = (self.now(), self.schedule);
        let schema = self.schema_mut(schema_id)?;
        let (data, frequency) = (schema.spec.data.clone(), schema.spec.frequency.clone());
        change(&mut schema.spec);
        if schema.spec.data != data {
            schema.data_since = now;
        }
        if schema.spec.frequency != frequency {
            schema.next_due = next_due(schema, schedule, now);
        }
        Ok(())
    }

    /// Changes what a scenario says about a source: `probe_error`, `webhook`, `cdc`, `job_inputs`, `raw`, … Fields about
    /// the start (`created_ago`, `schemas`) have no effect any more.
    pub fn change_source(
        &mut self,
        source_id: &str,
        change: impl FnOnce(&mut SourceSpec),
    ) -> Result<(), Error> {
        let index = self.source_index(source_id)?;
        if let Some(source) = self.sources.get_mut(index) {
            change(&mut source.spec);
        }
        Ok(())
    }

    /// Ends a workflow without its clean-up: one that outlived a cancelled run, or one that dies and leaves its job
    /// Running until the next run takes over.
    pub fn end_workflow(&mut self, schema_id: &str) -> Result<(), Error> {
        let now = self.now();
        let schema = self.schema_mut(schema_id)?;
        schema.workflow = None;
        let run = schema.jobs.last_mut().filter(|job| job.is_running());
        let run = run.and_then(|job| job.v3.as_deref_mut());
        if let Some(run) = run.filter(|run| run.workflow_is_open()) {
            run.die_without_workflow();
            schema.v3.clock = Some(now);
        }
        Ok(())
    }

    /// The newest run dies now, wherever it is, and its job stays Running.
    pub fn kill_run(&mut self, schema_id: &str) -> Result<(), Error> {
        let now = self.now();
        let index = self.schema_index(schema_id)?;
        let Some(place) = self
            .schemas
            .get(index)
            .and_then(|schema| schema.jobs.len().checked_sub(1))
        else {
            return Ok(());
        };
        if self.run_mut(index, place).is_some() {
            self.kill((index, place), now);
            return Ok(());
        }
        let job = self
            .schemas
            .get(index)
            .and_then(|schema| schema.jobs.get(place));
        let Some(plan) = job.map(|job| job.plan.clone()) else {
            return Ok(());
        };
        let hangs = RunPlan::hangs().behaviour;
        self.change_run(
            schema_id,
            RunPlan {
                behaviour: hangs,
                ..plan
            },
        )
    }

    /// The lock of a table is lost, as when Redis forgets it: nothing blocks the next start.
    pub fn lose_lock(&mut self, schema_id: &str) -> Result<(), Error> {
        self.schema_mut(schema_id)?.v3.lock = None;
        Ok(())
    }

    /// Stops the loader, for every table.
    pub fn stop_loader(&mut self) {
        let now = self.now();
        self.down.stop(now);
    }

    /// Starts the loader again.
    pub fn start_loader(&mut self) {
        let now = self.now();
        self.down.start(now);
    }

    /// Whether a job runs and will continue by itself. The API does not say.
    #[must_use]
    pub fn run_is_alive(&self, job_id: &str) -> bool {
        self.schemas.iter().any(|schema| {
            let place = schema.jobs.iter().position(|job| job.id == job_id);
            place.is_some_and(|place| is_alive(schema, place, self.now()))
        })
    }

    /// Where a run of v3 is. None for one of v2, and for one that has ended.
    #[must_use]
    pub fn phase(&self, job_id: &str) -> Option<Phase> {
        let jobs = self.schemas.iter().flat_map(|schema| &schema.jobs);
        let job = jobs
            .filter(|job| job.is_running())
            .find(|job| job.id == job_id)?;
        job.v3.as_deref().map(V3Run::phase)
    }

    /// Changes what kind of PostHog it is. Its `loader_down` has no effect any more.
    pub fn change_instance(&mut self, change: impl FnOnce(&mut InstanceSpec)) {
        change(&mut self.instance);
    }

    /// Sets a schema's `should_sync`, as a human would in the web interface: without a request of the client's.
    pub fn set_should_sync(&mut self, schema_id: &str, on: bool) -> Result<(), Error> {
        let index = self.schema_index(schema_id)?;
        if self.switch(index, on) {
            let now = self.now();
            self.trigger(index, now, Trigger::Change);
        }
        Ok(())
    }

    /// Sets a schema's stored status and `latest_error`, independent of its jobs.
    pub fn set_status(
        &mut self,
        schema_id: &str,
        status: Option<Status>,
        latest_error: Option<&str>,
    ) -> Result<(), Error> {
        let schema = self.schema_mut(schema_id)?;
        schema.status = status;
        schema.latest_error = latest_error.map(str::to_owned);
        Ok(())
    }

    /// Sets the rows of a schema's table, as a sync would leave them.
    pub fn set_rows(&mut self, schema_id: &str, rows: u64) -> Result<(), Error> {
        let schema = self.schema_mut(schema_id)?;
        if let Some(table) = &mut schema.table {
            table.rows = rows;
        }
        Ok(())
    }

    /// The answer to every live read of a source, for example `Invalid credentials`; `None` clears it.
    pub fn set_source_probe_error(
        &mut self,
        source_id: &str,
        error: Option<&str>,
    ) -> Result<(), Error> {
        self.change_source(source_id, |source| {
            source.probe_error = error.map(str::to_owned);
        })
    }

    /// Removes a schema, as a human would in the web interface.
    pub fn remove_schema(&mut self, schema_id: &str) -> Result<(), Error> {
        let index = self.schema_index(schema_id)?;
        self.schemas.remove(index);
        Ok(())
    }

    /// Adds a schema to a source, as PostHog's discovery does. Gives its id.
    pub fn add_schema(
        &mut self,
        source_id: &str,
        spec: crate::SchemaSpec,
    ) -> Result<String, Error> {
        let source = self.source_index(source_id)?;
        let now = self.now();
        let schedule = self.schedule;
        let mut loader = Loader {
            ids: &mut self.ids,
            start: now,
            schedule,
            lock: self.instance.lock && !self.instance.queue_runs,
        };
        let schema = loader.schema(source, spec, now);
        let id = schema.id.clone();
        self.schemas.push(schema);
        Ok(id)
    }

    fn schema(&self, id: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.id == id)
    }

    pub(crate) fn source_index(&self, id: &str) -> Result<usize, Error> {
        let found = self.sources.iter().position(|source| source.id == id);
        found.ok_or_else(|| Error::Unknown {
            kind: "source",
            name: id.to_owned(),
        })
    }

    pub(crate) fn schema_index(&self, id: &str) -> Result<usize, Error> {
        let found = self.schemas.iter().position(|schema| schema.id == id);
        found.ok_or_else(|| Error::Unknown {
            kind: "schema",
            name: id.to_owned(),
        })
    }

    pub(crate) fn schema_mut(&mut self, id: &str) -> Result<&mut Schema, Error> {
        let found = self.schemas.iter_mut().find(|schema| schema.id == id);
        found.ok_or_else(|| Error::Unknown {
            kind: "schema",
            name: id.to_owned(),
        })
    }
}
