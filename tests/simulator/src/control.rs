//! The control routes, `/_simulator/…`: what the library's methods do, for those who stand behind HTTP.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock::text;
use crate::fault::Fault;
use crate::message::{Request, Response};
use crate::period;
use crate::row::{Depth, job_row};
use crate::run::RunPlan;
use crate::scenario::KeySpec;
use crate::simulator::Simulator;

/// None if the request is for PostHog.
pub(crate) fn handle(simulator: &mut Simulator, request: &Request) -> Option<Response> {
    let path = request.path().strip_prefix("/_simulator/")?;
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let answer = match (request.method.as_str(), parts.as_slice()) {
        ("POST", ["advance"]) => advance(simulator, request),
        ("GET", ["requests"]) => Ok(json!(simulator.requests())),
        ("DELETE", ["requests"]) => {
            simulator.forget_requests();
            Ok(json!({}))
        }
        ("GET", ["effects"]) => Ok(json!(simulator.effects())),
        ("GET", ["state"]) => Ok(state(simulator)),
        ("POST", ["faults"]) => body::<Fault>(request).map(|fault| {
            simulator.add_fault(fault);
            json!({})
        }),
        ("DELETE", ["faults"]) => {
            simulator.clear_faults();
            Ok(json!({}))
        }
        ("POST" | "PUT", ["keys"]) => body::<KeySpec>(request).map(|key| {
            simulator.put_key(key);
            json!({})
        }),
        ("DELETE", ["keys", token]) => Ok(json!({"removed": simulator.remove_key(token)})),
        ("POST", ["schemas", id]) => change(simulator, id, request),
        _ => {
            return Some(Response::json(
                404,
                &json!({"error": "no such control route"}),
            ));
        }
    };
    Some(match answer {
        Ok(answer) => Response::json(200, &answer),
        Err(error) => Response::json(400, &json!({ "error": error })),
    })
}

fn body<'a, T: Deserialize<'a>>(request: &'a Request) -> Result<T, String> {
    serde_json::from_slice(&request.body).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    #[serde(deserialize_with = "period::deserialize")]
    by: jiff::SignedDuration,
}

fn advance(simulator: &mut Simulator, request: &Request) -> Result<Value, String> {
    let Advance { by } = body(request)?;
    simulator.advance(by);
    Ok(json!({"now": text(simulator.now())}))
}

/// What can be changed about a schema while the simulator runs; what is not named stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// Its next runs.
    next_runs: Option<Vec<RunPlan>>,
    /// How the run in flight goes on from now.
    run: Option<RunPlan>,
    /// Starts a run now.
    #[serde(default)]
    start: bool,
    /// Turns it on or off, as a human would.
    should_sync: Option<bool>,
    /// Replaces the values merged over its row.
    raw: Option<Map<String, Value>>,
    /// Replaces the fields removed from its row.
    raw_remove: Option<Vec<String>>,
    /// A line for the log of its newest run.
    log: Option<String>,
    table_gone: Option<bool>,
    trigger_fails: Option<bool>,
    cdc_broken: Option<bool>,
    /// An empty text mends it.
    probe_error: Option<String>,
}

/// A schema is named by its id, or by its name.
fn change(simulator: &mut Simulator, id: &str, request: &Request) -> Result<Value, String> {
    let Change {
        next_runs,
        run,
        start,
        should_sync,
        raw,
        raw_remove,
        log,
        table_gone,
        trigger_fails,
        cdc_broken,
        probe_error,
    } = body(request)?;
    let id = simulator.schema_id(id).unwrap_or_else(|| id.to_owned());
    let said = |error: crate::Error| error.to_string();
    simulator
        .change_schema(&id, |spec| {
            spec.raw = raw.unwrap_or_else(|| std::mem::take(&mut spec.raw));
            spec.raw_remove = raw_remove.unwrap_or_else(|| std::mem::take(&mut spec.raw_remove));
            spec.table_gone = table_gone.unwrap_or(spec.table_gone);
            spec.trigger_fails = trigger_fails.unwrap_or(spec.trigger_fails);
            spec.cdc_broken = cdc_broken.unwrap_or(spec.cdc_broken);
            if let Some(error) = probe_error {
                spec.probe_error = Some(error).filter(|error| !error.is_empty());
            }
        })
        .map_err(said)?;
    if let Some(runs) = next_runs {
        simulator.set_next_runs(&id, runs).map_err(said)?;
    }
    if let Some(plan) = run {
        simulator.change_run(&id, plan).map_err(said)?;
    }
    if let Some(on) = should_sync {
        simulator.set_should_sync(&id, on).map_err(said)?;
    }
    if let Some(line) = log {
        simulator.write_log(&id, &line).map_err(said)?;
    }
    if start {
        simulator.start_run(&id).map_err(said)?;
    }
    Ok(json!({ "id": id }))
}

fn state(simulator: &Simulator) -> Value {
    let now = simulator.now();
    let sources: Vec<Value> = (0..simulator.sources.len())
        .map(|index| simulator.source_row(index, Depth::Trimmed))
        .collect();
    let schemas = simulator.schemas.iter().map(|schema| {
        let jobs: Vec<Value> = schema
            .jobs
            .iter()
            .rev()
            .map(|job| job_row(job, schema, now))
            .collect();
        json!({
            "row": simulator.schema_row(schema, true),
            "jobs": jobs,
            "run_in_flight": schema.workflow.is_some(),
            "reset_armed": schema.reset_armed,
            "failed_in_a_row": schema.failed_in_a_row,
            "next_due": schema.next_due.map(text),
        })
    });
    json!({"now": text(now), "sources": sources, "schemas": schemas.collect::<Vec<_>>()})
}
