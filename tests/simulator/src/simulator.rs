//! The simulator itself: a request goes in, an outcome comes out, and time moves when it is told to.

use jiff::{SignedDuration, Timestamp};

use crate::auth::{self, Key};
use crate::clock::{Clock, Ticker};
use crate::control;
use crate::effect::{Effect, EffectKind, Trigger};
use crate::error::Error;
use crate::fault::{self, Fault};
use crate::http;
use crate::id::Ids;
use crate::journal::Logged;
use crate::load::{self, Loader};
use crate::message::{Answer, Outcome, Request, Response};
use crate::route::{Path, Route, SchemaAction, SourceAction};
use crate::run::RunPlan;
use crate::scenario::{KeySpec, RateLimits, Scenario};
use crate::state::{Schema, Source, Status};
use crate::throttle::Throttle;

/// A simulated PostHog.
#[derive(Debug, Clone)]
pub struct Simulator {
    pub(crate) clock: Ticker,
    pub(crate) ids: Ids,
    pub(crate) project: u64,
    pub(crate) other_projects: Vec<u64>,
    pub(crate) keys: Vec<Key>,
    pub(crate) limits: RateLimits,
    pub(crate) throttle: Throttle,
    pub(crate) schedule: bool,
    pub(crate) sources: Vec<Source>,
    pub(crate) schemas: Vec<Schema>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) requests: Vec<Logged>,
    pub(crate) base_url: String,
}

/// A request that has got past keys, scopes and limits.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) project: u64,
}

impl Simulator {
    /// The state at the start of a scenario.
    pub fn from_scenario(scenario: &Scenario, clock: Clock) -> Result<Self, Error> {
        let clock = Ticker::start(clock);
        let mut ids = Ids::default();
        let mut loader = Loader {
            ids: &mut ids,
            start: clock.now(),
            schedule: scenario.schedule,
        };
        let (sources, schemas) = loader.sources(scenario)?;
        Ok(Self {
            clock,
            ids,
            project: scenario.project,
            other_projects: scenario.other_projects.clone(),
            keys: load::keys(&scenario.keys),
            limits: scenario.rate_limits,
            throttle: Throttle::default(),
            schedule: scenario.schedule,
            sources,
            schemas,
            faults: scenario.faults.clone(),
            effects: Vec::new(),
            requests: Vec::new(),
            base_url: "http://posthog.invalid".to_owned(),
        })
    }

    /// The simulator's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves time on, and lets happen what becomes due.
    pub fn advance(&mut self, by: SignedDuration) {
        self.clock.advance(by);
        self.settle();
    }

    /// Sets the time. Set back, nothing that has happened is undone.
    pub fn set_now(&mut self, now: Timestamp) {
        self.clock.set(now);
        self.settle();
    }

    /// Tells a simulator with [`Clock::Real`] what the system's clock says. Without effect on a manual clock.
    pub fn observe_wall_clock(&mut self, wall: Timestamp) {
        self.clock.observe(wall);
        self.settle();
    }

    /// What `next` in lists begins with. The server sets it to its own address.
    pub fn set_base_url(&mut self, url: &str) {
        url.trim_end_matches('/').clone_into(&mut self.base_url);
    }

    /// Answers a request.
    pub fn handle(&mut self, request: &Request) -> Outcome {
        self.settle();
        if let Some(response) = control::handle(self, request) {
            return response.into();
        }
        let fault = fault::take(&mut self.faults, request);
        let outcome = match &fault {
            Some(kind) => kind.apply(|| self.answer(request)),
            None => self.answer(request).into(),
        };
        self.log(request, &outcome, fault.as_ref().map(fault::FaultKind::name));
        outcome
    }

    fn log(&mut self, request: &Request, outcome: &Outcome, fault: Option<&'static str>) {
        let label = |token: &str| {
            let key = self.keys.iter().find(|key| key.spec.token == token);
            key.map_or_else(|| "unknown".to_owned(), |key| key.label.clone())
        };
        let key = auth::token(request).map(label);
        self.requests.push(Logged {
            at: self.now(),
            method: request.method.clone(),
            path: request.path().to_owned(),
            query: request.query().to_owned(),
            key,
            user_agent: request.user_agent.clone(),
            status: match &outcome.answer {
                Answer::Response(response) => Some(response.status),
                Answer::Cut(sent) => sent.as_ref().map(|sent| sent.response.status),
            },
            fault,
            body: request.body.clone(),
        });
    }

    fn answer(&mut self, request: &Request) -> Response {
        self.route(request).unwrap_or_else(|refusal| refusal)
    }

    fn route(&mut self, request: &Request) -> Result<Response, Response> {
        let path = Path::parse(request.path()).ok_or_else(|| http::not_found("Endpoint not found."))?;
        let key = auth::authenticate(&self.keys, request, &self.base_url)?;
        let project = self.resolve_project(&path.project, key)?;
        key.check_project(project)?;
        let methods = path.route.methods();
        let allowed = methods.iter().find(|(method, _)| *method == request.method);
        if let Some((_, scope)) = allowed {
            key.check_scope(*scope)?;
        }
        let token = key.spec.token.clone();
        if let Some(seconds) = self.throttle.count(&token, self.clock.now(), self.limits) {
            return Err(http::throttled(seconds));
        }
        if allowed.is_none() {
            let names: Vec<&str> = methods.iter().map(|(method, _)| *method).collect();
            return Err(http::wrong_method(&request.method, &names.join(", ")));
        }
        self.dispatch(&path.route, &Call { request, project })
    }

    fn resolve_project(&self, text: &str, key: &Key) -> Result<u64, Response> {
        let number = if text == "@current" {
            Some(key.spec.current_project.unwrap_or(self.project))
        } else {
            text.parse().ok()
        };
        let exists = |number: &u64| {
            *number == self.project
                || self.other_projects.contains(number)
                || self.sources.iter().any(|source| source.project == *number)
        };
        number.filter(exists).ok_or_else(|| http::not_found("Project not found."))
    }

    fn dispatch(&mut self, route: &Route, call: &Call<'_>) -> Result<Response, Response> {
        let method = call.request.method.as_str();
        match route {
            Route::Foreign(what) => Err(http::not_simulated(what)),
            Route::Sources if method == "GET" => self.list_sources(call),
            Route::Schemas => self.list_schemas(call),
            Route::Source(id) if method == "GET" => self.retrieve_source(self.find_source(id, call)?),
            Route::Source(id) if method == "PATCH" => self.patch_source(self.find_source(id, call)?, call),
            Route::Schema(id) if method == "GET" => self.retrieve_schema(self.find_schema(id, call)?),
            Route::Schema(id) if method == "PATCH" => self.patch_schema(self.editable(id, call)?, call),
            Route::Sources | Route::Source(_) | Route::Schema(_) => {
                Err(http::not_simulated(&format!("{method} {}", call.request.path())))
            }
            Route::SourceAction(id, action) => {
                let source = self.find_source(id, call)?;
                match action {
                    SourceAction::Jobs => self.jobs(source, call),
                    SourceAction::Reload => self.reload_source(source, call),
                    SourceAction::WebhookInfo => Ok(self.webhook_info(source)),
                    SourceAction::CreateWebhook => self.create_webhook(source),
                }
            }
            Route::SchemaAction(id, SchemaAction::Logs) => self.logs(self.find_schema(id, call)?, call),
            Route::SchemaAction(id, action) => {
                let schema = self.editable(id, call)?;
                match action {
                    SchemaAction::Cancel => self.cancel(schema),
                    SchemaAction::Reload => self.reload(schema, call),
                    SchemaAction::Resync => self.resync(schema, call),
                    SchemaAction::DeleteData => Ok(self.delete_data(schema)),
                    SchemaAction::IncrementalFields => self.incremental_fields(schema),
                    SchemaAction::Logs => self.logs(schema, call),
                }
            }
        }
    }

    fn find_source(&self, id: &str, call: &Call<'_>) -> Result<usize, Response> {
        let found = self.sources.iter().position(|source| source.id == id && source.project == call.project);
        found.ok_or_else(|| http::not_found("Not found."))
    }

    fn find_schema(&self, id: &str, call: &Call<'_>) -> Result<usize, Response> {
        let found = self.schemas.iter().position(|schema| {
            let project = self.sources.get(schema.source).map(|source| source.project);
            schema.id == id && !schema.spec.invisible && project == Some(call.project)
        });
        found.ok_or_else(|| http::not_found("Not found."))
    }

    /// A schema that the key's owner may change.
    fn editable(&self, id: &str, call: &Call<'_>) -> Result<usize, Response> {
        let index = self.find_schema(id, call)?;
        match self.schemas.get(index) {
            Some(schema) if !schema.spec.editor => {
                Err(http::denied("You do not have editor access to this table."))
            }
            _ => Ok(index),
        }
    }
}

/// For tests: what happened, and changes from outside.
impl Simulator {
    /// Every request so far, in order.
    #[must_use]
    pub fn requests(&self) -> &[Logged] {
        &self.requests
    }

    /// How many requests had that method and that text in their path.
    #[must_use]
    pub fn count(&self, method: &str, path_contains: &str) -> usize {
        let fits = |logged: &&Logged| logged.method == method && logged.path.contains(path_contains);
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
        self.effects.iter().filter(|effect| effect.kind == kind).collect()
    }

    /// How many cancels took effect on that job.
    #[must_use]
    pub fn cancels_of(&self, job_id: &str) -> usize {
        let fits = |effect: &&&Effect| effect.job_id.as_deref() == Some(job_id);
        self.effects_of(EffectKind::Cancelled).iter().filter(fits).count()
    }

    /// The reloads of that schema from which a job came.
    #[must_use]
    pub fn reloads_that_started(&self, schema_id: &str) -> Vec<&Effect> {
        let mut started = self.effects_of(EffectKind::RunStarted);
        started.retain(|effect| {
            effect.trigger == Some(Trigger::Reload) && effect.schema_id.as_deref() == Some(schema_id)
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
        if let Some(old) = self.keys.iter_mut().find(|old| old.spec.token == key.spec.token) {
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
        self.schemas.iter().find(|schema| schema.spec.name == name).map(|schema| schema.id.clone())
    }

    /// The id of the first source of that prefix, or else of that type.
    #[must_use]
    pub fn source_id(&self, prefix_or_type: &str) -> Option<String> {
        let by_prefix = self.sources.iter().find(|source| source.spec.prefix.as_deref() == Some(prefix_or_type));
        let by_type = || self.sources.iter().find(|source| source.spec.source_type == prefix_or_type);
        by_prefix.or_else(by_type).map(|source| source.id.clone())
    }

    /// Sources and schemas with their ids, one line each.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            let prefix = source.spec.prefix.as_deref().unwrap_or("-");
            lines.push(format!("source {} {} {prefix}", source.id, source.spec.source_type));
            for schema in self.schemas.iter().filter(|schema| schema.source == index) {
                let status = schema.status.map_or("null", Status::of_schema);
                lines.push(format!("  schema {} {} {status}", schema.id, schema.spec.name));
            }
        }
        lines
    }

    /// The id of a schema's newest job.
    #[must_use]
    pub fn newest_job(&self, schema_id: &str) -> Option<String> {
        self.schema(schema_id).and_then(|schema| schema.jobs.last()).map(|job| job.id.clone())
    }

    /// A schema's stored status.
    #[must_use]
    pub fn status(&self, schema_id: &str) -> Option<Status> {
        self.schema(schema_id).and_then(|schema| schema.status)
    }

    /// Whether the next run of a schema would wipe its table, which the API never shows.
    #[must_use]
    pub fn reset_armed(&self, schema_id: &str) -> bool {
        self.schema(schema_id).is_some_and(|schema| schema.reset_armed)
    }

    /// What a schema's next runs will do, instead of what was planned.
    pub fn set_next_runs(&mut self, schema_id: &str, runs: impl IntoIterator<Item = RunPlan>) -> Result<(), Error> {
        self.schema_mut(schema_id)?.next_runs = runs.into_iter().collect();
        Ok(())
    }

    /// Starts a run now, as its schedule would. Whether a job comes of it depends on the plan.
    pub fn start_run(&mut self, schema_id: &str) -> Result<(), Error> {
        let index = self.schema_index(schema_id)?;
        let now = self.now();
        self.trigger(index, now, Trigger::Schedule);
        Ok(())
    }

    /// Changes how the newest, running job goes on from now on.
    pub fn change_run(&mut self, schema_id: &str, plan: RunPlan) -> Result<(), Error> {
        let now = self.now();
        let schema = self.schema_mut(schema_id)?;
        if let Some(job) = schema.jobs.last_mut().filter(|job| job.is_running()) {
            job.rows_before = job.rows(now);
            job.since = now;
            job.plan = plan;
        }
        Ok(())
    }

    /// Writes a line into the log of a schema's newest job.
    pub fn write_log(&mut self, schema_id: &str, message: &str) -> Result<(), Error> {
        let now = self.now();
        if let Some(job) = self.schema_mut(schema_id)?.jobs.last_mut() {
            job.lines.push((now, message.to_owned()));
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
        change(&mut self.schema_mut(schema_id)?.spec);
        Ok(())
    }

    /// Ends the workflow that outlived a cancelled run.
    pub fn end_workflow(&mut self, schema_id: &str) -> Result<(), Error> {
        self.schema_mut(schema_id)?.workflow = None;
        Ok(())
    }

    /// Sets a schema's `should_sync`, as a human would in the web interface: without a request of the client's.
    pub fn set_should_sync(&mut self, schema_id: &str, on: bool) -> Result<(), Error> {
        let index = self.schema_index(schema_id)?;
        self.switch(index, on);
        Ok(())
    }

    /// Sets a schema's stored status and `latest_error`, whatever its jobs say.
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

    /// What every live look at a source is answered, for example `Invalid credentials`; `None` mends it.
    pub fn set_source_probe_error(&mut self, source_id: &str, error: Option<&str>) -> Result<(), Error> {
        let found = self.sources.iter_mut().find(|source| source.id == source_id);
        let source = found.ok_or_else(|| Error::Unknown {
            kind: "source",
            name: source_id.to_owned(),
        })?;
        source.probe_error = error.map(str::to_owned);
        Ok(())
    }

    /// Removes a schema, as a human would in the web interface.
    pub fn remove_schema(&mut self, schema_id: &str) -> Result<(), Error> {
        let index = self.schema_index(schema_id)?;
        self.schemas.remove(index);
        Ok(())
    }

    /// Adds a schema to a source, as PostHog's discovery does. Gives its id.
    pub fn add_schema(&mut self, source_id: &str, spec: crate::SchemaSpec) -> Result<String, Error> {
        let found = self.sources.iter().position(|source| source.id == source_id);
        let source = found.ok_or_else(|| Error::Unknown {
            kind: "source",
            name: source_id.to_owned(),
        })?;
        let now = self.now();
        let schedule = self.schedule;
        let mut loader = Loader { ids: &mut self.ids, start: now, schedule };
        let schema = loader.schema(source, spec, now);
        let id = schema.id.clone();
        self.schemas.push(schema);
        Ok(id)
    }

    fn schema(&self, id: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.id == id)
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
