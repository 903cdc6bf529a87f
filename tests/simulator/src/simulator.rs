//! The simulator itself: a request goes in, an outcome comes out, and time moves only on request.

use jiff::{SignedDuration, Timestamp};

use crate::auth::{self, Key};
use crate::clock::{Clock, Ticker, plus};
use crate::control;
use crate::effect::Effect;
use crate::error::Error;
use crate::fault::{self, Fault};
use crate::http;
use crate::id::Ids;
use crate::instance::{Downtimes, InstanceSpec};
use crate::journal::Logged;
use crate::load::{self, Loader};
use crate::message::{Answer, Outcome, Request, Response};
use crate::route::{Path, Route, SchemaAction, SourceAction};
use crate::scenario::{RateLimits, Scenario};
use crate::state::{Schema, Source};
use crate::throttle::{Throttle, Windows};
use crate::watchdog::Violation;

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
    /// Requests that PostHog has not got to yet.
    pub(crate) late: Vec<(Timestamp, Request)>,
    pub(crate) instance: InstanceSpec,
    pub(crate) down: Downtimes,
    pub(crate) effects: Vec<Effect>,
    pub(crate) violations: Vec<Violation>,
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
            lock: scenario.instance.lock && !scenario.instance.queue_runs,
        };
        let (sources, schemas) = loader.sources(scenario)?;
        let down = Downtimes::of(&scenario.instance.loader_down, clock.now());
        let mut simulator = Self {
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
            late: Vec::new(),
            instance: scenario.instance.clone(),
            down,
            effects: Vec::new(),
            violations: Vec::new(),
            requests: Vec::new(),
            base_url: "http://posthog.invalid".to_owned(),
        };
        simulator.catch_up();
        Ok(simulator)
    }

    /// What runs of v3 have done before the start happens now. A status that the scenario names stays.
    fn catch_up(&mut self) {
        let started: Vec<usize> = (0..self.schemas.len())
            .filter(|index| self.has_active(*index))
            .collect();
        if started.is_empty() {
            return;
        }
        self.settle();
        for index in started {
            self.edit(index, |schema| {
                let newest = schema.jobs.last().filter(|job| job.is_running());
                let status = schema.spec.status.or(newest.map(|job| job.status));
                schema.status = status.or(schema.status);
            });
        }
    }

    /// The simulator's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Advances the time, and does everything that is due until then.
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
            Some(fault::FaultKind::HandledLate { by }) => {
                self.late.push((plus(self.now(), *by), request.clone()));
                fault::given_up_after(*by)
            }
            Some(kind) => kind.apply(|| self.answer(request)),
            None => self.answer(request).into(),
        };
        self.log(
            request,
            &outcome,
            fault.as_ref().map(fault::FaultKind::name),
        );
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

    pub(crate) fn answer(&mut self, request: &Request) -> Response {
        self.route(request).unwrap_or_else(|refusal| refusal)
    }

    fn route(&mut self, request: &Request) -> Result<Response, Response> {
        let path =
            Path::parse(request.path()).ok_or_else(|| http::not_found("Endpoint not found."))?;
        let key = auth::authenticate(&self.keys, request, &self.base_url)?;
        let project = self.resolve_project(&path.project, key)?;
        key.check_project(project)?;
        self.has(&path.route, key)?;
        let methods = path.route.methods();
        let allowed = methods.iter().find(|(method, _)| *method == request.method);
        if let Some((_, scope)) = allowed {
            key.check_scope(*scope)?;
        }
        let windows = Windows::of(&path.route, &key.spec.token, self.limits);
        if let Some(seconds) = self.throttle.count(&windows, self.clock.now()) {
            return Err(http::throttled(seconds));
        }
        if allowed.is_none() {
            // A key needs a scope of the action, and a wrong method is no action: not 405.
            return Err(http::denied(
                "This action does not support personal API key access",
            ));
        }
        self.dispatch(&path.route, &Call { request, project })
    }

    /// What an old PostHog has not, and whom it does not let in. Its queries are as today's.
    fn has(&self, route: &Route, key: &Key) -> Result<(), Response> {
        let api = self.instance.api;
        if !api.cancel && matches!(route, Route::SchemaAction(_, SchemaAction::Cancel)) {
            return Err(http::not_found("Endpoint not found."));
        }
        if !api.scoped_keys && !key.spec.legacy && *route != Route::Query {
            return Err(http::denied(
                "This action does not support Personal API Key access",
            ));
        }
        Ok(())
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
        number
            .filter(exists)
            .ok_or_else(|| http::not_found("Project not found."))
    }

    fn dispatch(&mut self, route: &Route, call: &Call<'_>) -> Result<Response, Response> {
        let method = call.request.method.as_str();
        match route {
            Route::Foreign(what) => Err(http::not_simulated(what)),
            Route::Query => self.query(call),
            Route::Sources if method == "GET" => Ok(self.list_sources(call)),
            Route::Schemas => Ok(self.list_schemas(call)),
            Route::Source(id) if method == "GET" => {
                Ok(self.retrieve_source(self.find_source(id, call)?))
            }
            Route::Source(id) if method == "PATCH" => {
                self.patch_source(self.find_source(id, call)?, call)
            }
            Route::Schema(id) if method == "GET" => {
                self.retrieve_schema(self.find_schema(id, call)?)
            }
            Route::Schema(id) if method == "PATCH" => {
                self.patch_schema(self.editable(id, call)?, call)
            }
            Route::Sources | Route::Source(_) | Route::Schema(_) => Err(http::not_simulated(
                &format!("{method} {}", call.request.path()),
            )),
            Route::SourceAction(id, action) => {
                let source = self.find_source(id, call)?;
                match action {
                    SourceAction::Jobs => self.jobs(source, call),
                    SourceAction::Reload => self.reload_source(source, call),
                    SourceAction::WebhookInfo => Ok(self.webhook_info(source)),
                    SourceAction::CreateWebhook => self.create_webhook(source, call),
                    SourceAction::UpdateWebhookInputs => self.update_webhook_inputs(source, call),
                    SourceAction::DeleteWebhook => self.delete_webhook(source),
                    SourceAction::RefreshSchemas => self.refresh_schemas(source),
                    SourceAction::BulkUpdateSchemas => self.bulk_update_schemas(source, call),
                    SourceAction::RepairCdc => self.repair_cdc(source),
                    SourceAction::ResumeCdc => Err(http::denied(
                        "This action does not support personal API key access",
                    )),
                    SourceAction::CdcStatus => self.cdc_status(source),
                    SourceAction::CheckCdc => self.check_cdc(source, call),
                }
            }
            Route::SchemaAction(id, SchemaAction::Logs) => {
                self.logs(self.find_schema(id, call)?, call)
            }
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
        let found = self
            .sources
            .iter()
            .position(|source| source.id == id && source.project == call.project);
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
    pub(crate) fn editable(&self, id: &str, call: &Call<'_>) -> Result<usize, Response> {
        let index = self.find_schema(id, call)?;
        match self.schemas.get(index) {
            Some(schema) if !schema.spec.editor => {
                Err(http::denied("You do not have editor access to this table."))
            }
            _ => Ok(index),
        }
    }
}
