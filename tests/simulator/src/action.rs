//! The reads that are more than a row, and the calls that act: cancel, reload, resync, delete_data.

use jiff::Timestamp;
use serde_json::Value;

use crate::clock::plus;
use crate::effect::{EffectKind, Trigger};
use crate::extraction::Voice;
use crate::http;
use crate::line::{self, Level};
use crate::listing::{Page, found, time_parameter};
use crate::log_line;
use crate::message::{Request, Response};
use crate::row::{Depth, job_row, remove};
use crate::run::OnCancel;
use crate::settle::stop_job;
use crate::simulator::{Call, Simulator};
use crate::state::{Job, Schema, Status, Workflow};
use crate::watchdog::Harm;

/// The list of jobs is cut off there, over the whole source.
const MOST_JOBS: usize = 50;

const LIMIT_REACHED: &str =
    "Monthly sync limit reached. Please increase your billing limit to resume syncing.";
const NO_FREQUENCY: &str = "This table has no sync frequency, so its sync cannot be scheduled. Set a sync frequency first.";

impl Simulator {
    pub(crate) fn list_sources(&self, call: &Call<'_>) -> Response {
        let search = call.request.parameter("search");
        let mut sources: Vec<usize> = (0..self.sources.len())
            .filter(|index| {
                self.sources.get(*index).is_some_and(|source| {
                    let prefix = source.spec.prefix.as_deref().unwrap_or_default();
                    source.project == call.project
                        && found(search.as_deref(), &[&source.spec.source_type, prefix])
                })
            })
            .collect();
        sources.sort_by_key(|index| {
            std::cmp::Reverse(self.sources.get(*index).map(|source| source.created_at))
        });
        let page = Page::of(call.request, &self.base_url);
        let shown = sources.get(page.range(sources.len())).unwrap_or_default();
        let rows = Value::Array(self.source_rows(shown, Depth::Trimmed));
        page.answer_part(sources.len(), &rows)
    }

    pub(crate) fn retrieve_source(&self, source: usize) -> Response {
        Response::json(200, &self.source_row(source, Depth::Full))
    }

    pub(crate) fn list_schemas(&self, call: &Call<'_>) -> Response {
        let search = call.request.parameter("search");
        let mut schemas: Vec<&Schema> = self.schemas_of_project(call.project);
        schemas.retain(|schema| {
            !schema.spec.invisible && found(search.as_deref(), &[&schema.spec.name])
        });
        schemas.sort_by_key(|schema| std::cmp::Reverse(schema.created_at));
        let page = Page::of(call.request, &self.base_url);
        let shown = schemas.get(page.range(schemas.len())).unwrap_or_default();
        let rows = shown
            .iter()
            .map(|schema| self.schema_row(schema, false))
            .collect();
        page.answer_part(schemas.len(), &rows)
    }

    pub(crate) fn retrieve_schema(&self, index: usize) -> Result<Response, Response> {
        let schema = self
            .schemas
            .get(index)
            .ok_or_else(|| http::not_found("Not found."))?;
        Ok(Response::json(200, &self.schema_row(schema, true)))
    }

    pub(crate) fn logs(&self, index: usize, call: &Call<'_>) -> Result<Response, Response> {
        let schema = self
            .schemas
            .get(index)
            .ok_or_else(|| http::not_found("Not found."))?;
        log_line::logs(schema, call.request, self)
    }

    /// Newest first, cut off over the whole source: a busy table pushes the jobs of the others out.
    pub(crate) fn jobs(&self, source: usize, call: &Call<'_>) -> Result<Response, Response> {
        let api = self.instance.api;
        let (after, before) = job_times(call.request).map_err(|refusal| {
            if api.answers_400 {
                refusal
            } else {
                http::server_error()
            }
        })?;
        let names = if api.jobs_filter {
            call.request.parameters("schemas")
        } else {
            Vec::new()
        };
        let wanted = |schema: &&Schema| {
            schema.source == source && (names.is_empty() || names.contains(&schema.spec.name))
        };
        let mut jobs: Vec<(&Job, &Schema)> = self
            .schemas
            .iter()
            .filter(wanted)
            .flat_map(|schema| schema.jobs.iter().map(move |job| (job, schema)))
            .filter(|(job, _)| {
                after.is_none_or(|after| job.created_at > after)
                    && before.is_none_or(|before| job.created_at < before)
            })
            .collect();
        jobs.sort_by_key(|(job, _)| std::cmp::Reverse(job.created_at));
        jobs.truncate(MOST_JOBS);
        let rows: Vec<Value> = jobs
            .into_iter()
            .map(|(job, schema)| {
                let mut row = job_row(job, schema, self.now());
                if !api.finished_at {
                    remove(&mut row, &["finished_at".to_owned()]);
                }
                row
            })
            .collect();
        Ok(Response::json(200, &Value::Array(rows)))
    }

    fn schemas_of_project(&self, project: u64) -> Vec<&Schema> {
        let of_project = |schema: &&Schema| {
            self.sources
                .get(schema.source)
                .is_some_and(|source| source.project == project)
        };
        self.schemas.iter().filter(of_project).collect()
    }

    /// Looks at the newest job of the schema, whichever the client meant.
    pub(crate) fn cancel(&mut self, index: usize) -> Result<Response, Response> {
        let now = self.now();
        let Some(schema) = self.schemas.get_mut(index) else {
            return Err(http::not_found("Not found."));
        };
        let Some(job) = schema.jobs.last().filter(|job| job.is_running()) else {
            return self.heal(index);
        };
        let plan = job.plan.clone();
        let place = schema.jobs.len() - 1;
        if !plan.has_workflow_id {
            return Err(http::detail(400, "No running sync to cancel."));
        }
        self.watch(index, place, now, Harm::RunCancelled);
        match plan.on_cancel {
            OnCancel::Refused => Err(http::detail(
                400,
                "Could not cancel the running sync. Please try again.",
            )),
            OnCancel::AlreadyFinished => {
                self.complete_now(index);
                Err(http::detail(400, "The sync already finished."))
            }
            OnCancel::JobSurvives => {
                self.note(index, now, EffectKind::CancelIgnored, None);
                Ok(Response::empty(200))
            }
            OnCancel::Ends | OnCancel::WorkflowSurvives => {
                let until = match plan.on_cancel {
                    OnCancel::Ends => Some(plus(now, plan.cancel_takes)),
                    _ => plan.workflow_ends_after.map(|after| plus(now, after)),
                };
                self.stop_cancelled(index, now, until);
                self.note(index, now, EffectKind::Cancelled, None);
                Ok(Response::empty(200))
            }
        }
    }

    /// The job is Failed first. What Temporal has of it ends a little later, and the loader drops the rest.
    fn stop_cancelled(&mut self, index: usize, now: Timestamp, until: Option<Timestamp>) {
        let queue_runs = self.instance.queue_runs;
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        let place = schema.jobs.len().saturating_sub(1);
        let run = schema.jobs.get(place).and_then(|job| job.v3.as_deref());
        let (of_v3, owns) = (run.is_some(), run.is_none_or(|run| run.owns_workflow));
        let extracts = run.is_some_and(|run| run.extracted_at.is_none());
        stop_job(schema, place, now, "Sync cancelled by user");
        if owns {
            schema.workflow = Some(Workflow::Lingering { until });
        }
        if of_v3 && extracts && queue_runs {
            let cancelled = (Level::Info, line::QUEUE_RUN_CANCELLED);
            self.say((index, place), now, Voice::Producer, cancelled);
        }
    }

    /// A schema that says Running without a running job takes over what its newest job says.
    fn heal(&mut self, index: usize) -> Result<Response, Response> {
        let now = self.now();
        let Some(schema) = self.schemas.get_mut(index) else {
            return Err(http::not_found("Not found."));
        };
        if schema.status != Some(Status::Running) || schema.spec.cdc_broken {
            return Err(http::detail(400, "No running sync to cancel."));
        }
        match schema.jobs.last() {
            Some(job) => {
                schema.status = Some(job.status);
                schema.latest_error.clone_from(&job.latest_error);
            }
            None => schema.status = Some(Status::Failed),
        }
        self.note(index, now, EffectKind::StatusHealed, None);
        Ok(http::detail(
            200,
            "No sync was running. The sync status has been updated.",
        ))
    }

    /// 200 says that Temporal was asked, and no more.
    pub(crate) fn reload(&mut self, index: usize, call: &Call<'_>) -> Result<Response, Response> {
        self.check_startable(index, call)?;
        self.check_trigger(index)?;
        let now = self.now();
        self.trigger(index, now, Trigger::Reload);
        self.edit(index, |schema| schema.paint(Status::Running));
        Ok(Response::empty(200))
    }

    /// The reset is pending before the start is tried: a later 400 does not undo it.
    pub(crate) fn resync(&mut self, index: usize, call: &Call<'_>) -> Result<Response, Response> {
        self.check_startable(index, call)?;
        let now = self.now();
        self.edit(index, |schema| schema.failed_in_a_row = 0);
        let still_ends = self.cancel_for_resync(index);
        self.arm(index, Trigger::Resync);
        self.check_trigger(index)?;
        self.trigger(index, now, Trigger::Resync);
        self.edit(index, |schema| {
            schema.paint(Status::Running);
            if let (Some(until), Some(Workflow::Starting { at, .. })) =
                (still_ends, &mut schema.workflow)
            {
                *at = (*at).max(until);
            }
        });
        Ok(Response::empty(200))
    }

    /// Stops the run that is in the way. Gives when it will have ended; a run that survives stays in the way.
    fn cancel_for_resync(&mut self, index: usize) -> Option<Timestamp> {
        let now = self.now();
        let schema = self.schemas.get_mut(index)?;
        let newest = schema.jobs.last().filter(|job| job.is_running())?;
        let (plan, place) = (newest.plan.clone(), schema.jobs.len() - 1);
        self.watch(index, place, now, Harm::RunCancelled);
        let schema = self.schemas.get_mut(index)?;
        match plan.on_cancel {
            OnCancel::Ends | OnCancel::AlreadyFinished => {
                stop_job(
                    schema,
                    place,
                    now,
                    "This sync run was cancelled before it finished. This usually happens when a \
                    newer run replaces it or the source is paused.",
                );
                schema.workflow = None;
                self.note(index, now, EffectKind::Cancelled, Some(Trigger::Resync));
                Some(plus(now, plan.cancel_takes))
            }
            OnCancel::WorkflowSurvives | OnCancel::JobSurvives | OnCancel::Refused => None,
        }
    }

    /// No guard for a run in flight, no new run, and the text of the last failure stays.
    pub(crate) fn delete_data(&mut self, index: usize) -> Response {
        let now = self.now();
        let direct = self.is_direct(index);
        let Some(schema) = self.schemas.get_mut(index) else {
            return Response::empty(200);
        };
        if direct {
            schema.should_sync = false;
            schema.table = None;
        } else if schema.table.take().is_some() {
            schema.status = None;
            schema.last_synced_at = None;
            self.note(index, now, EffectKind::DataDeleted, None);
            self.lose_position(index, now, None);
        }
        Response::empty(200)
    }

    /// Only enabled schemas are touched; the answer does not mention an error with one of them.
    pub(crate) fn reload_source(
        &mut self,
        source: usize,
        call: &Call<'_>,
    ) -> Result<Response, Response> {
        let of_source = |schema: &&Schema| schema.source == source && schema.should_sync;
        if self
            .schemas
            .iter()
            .filter(of_source)
            .any(|schema| !schema.spec.editor)
        {
            return Err(http::denied(
                "You do not have editor access to every table in this source.",
            ));
        }
        if self
            .sources
            .get(source)
            .is_some_and(|source| source.spec.access_method == "direct")
        {
            return self.refresh_schemas(source);
        }
        self.check_not_paused(call.project)?;
        let now = self.now();
        let enabled = (0..self.schemas.len()).filter(|index| {
            self.schemas
                .get(*index)
                .is_some_and(|schema| of_source(&schema))
        });
        for index in enabled.collect::<Vec<_>>() {
            if self.check_trigger(index).is_ok() {
                self.trigger(index, now, Trigger::SourceReload);
                self.edit(index, |schema| schema.paint(Status::Running));
            }
        }
        if let Some(source) = self.sources.get_mut(source) {
            "Running".clone_into(&mut source.spec.stored_status);
        }
        Ok(Response::empty(200))
    }

    pub(crate) fn is_direct(&self, index: usize) -> bool {
        let source = self
            .schemas
            .get(index)
            .and_then(|schema| self.sources.get(schema.source));
        source.is_some_and(|source| source.spec.access_method == "direct")
    }

    /// The bill is not checked: any Paused schema of the project is enough.
    pub(crate) fn check_not_paused(&self, project: u64) -> Result<(), Response> {
        let paused = self
            .schemas_of_project(project)
            .iter()
            .any(|schema| schema.status == Some(Status::Paused));
        if paused {
            Err(http::message(LIMIT_REACHED))
        } else {
            Ok(())
        }
    }

    fn check_startable(&self, index: usize, call: &Call<'_>) -> Result<(), Response> {
        self.check_not_paused(call.project)?;
        let has_frequency = self
            .schemas
            .get(index)
            .is_some_and(|schema| schema.spec.frequency.is_some());
        if has_frequency {
            Ok(())
        } else {
            Err(http::validation(Some("sync_frequency"), NO_FREQUENCY))
        }
    }

    pub(crate) fn check_trigger(&self, index: usize) -> Result<(), Response> {
        let fails = self
            .schemas
            .get(index)
            .is_some_and(|schema| schema.spec.trigger_fails);
        if fails {
            Err(http::detail(
                400,
                "Couldn't start the sync. Try again in a few minutes.",
            ))
        } else {
            Ok(())
        }
    }
}

type Times = (Option<Timestamp>, Option<Timestamp>);

fn job_times(request: &Request) -> Result<Times, Response> {
    let bad = |()| http::validation(None, "after and before must be ISO 8601 timestamps.");
    Ok((
        time_parameter(request, "after").map_err(bad)?,
        time_parameter(request, "before").map_err(bad)?,
    ))
}
