//! The control routes, `/_simulator/…`: what the library's methods do, for those who stand behind HTTP.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::change;
use crate::clock::text;
use crate::fault::Fault;
use crate::message::{Request, Response};
use crate::period;
use crate::queue::{V3Run, is_alive};
use crate::row::{Depth, job_row};
use crate::scenario::KeySpec;
use crate::simulator::Simulator;
use crate::state::Schema;

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
        ("GET", ["violations"]) => Ok(json!(simulator.violations())),
        ("DELETE", ["violations"]) => Ok(json!(simulator.take_violations())),
        ("GET", ["state"]) => Ok(state(simulator)),
        ("POST", ["loader"]) => body(request).map(|Loader { down }| {
            if down {
                simulator.stop_loader();
            } else {
                simulator.start_loader();
            }
            json!({})
        }),
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
        ("POST", ["schemas", id]) => {
            body(request).and_then(|change| change::schema(simulator, id, change))
        }
        ("POST", ["sources", id]) => {
            body(request).and_then(|change| change::source(simulator, id, change))
        }
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Loader {
    down: bool,
}

fn advance(simulator: &mut Simulator, request: &Request) -> Result<Value, String> {
    let Advance { by } = body(request)?;
    simulator.advance(by);
    Ok(json!({"now": text(simulator.now())}))
}

/// What the API hides of the jobs that say Running, newest first.
fn running(schema: &Schema, now: jiff::Timestamp) -> Vec<Value> {
    let jobs = schema.jobs.iter().enumerate().rev();
    let running = jobs
        .filter(|(_, job)| job.is_running())
        .map(|(place, job)| {
            let phase = job.v3.as_deref().map(V3Run::phase);
            json!({"id": job.id, "phase": phase, "alive": is_alive(schema, place, now)})
        });
    running.collect()
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
            "running": running(schema, now),
            "reset_pending": schema.reset_pending,
            "position": schema.position,
            "failed_in_a_row": schema.failed_in_a_row,
            "next_due": schema.next_due.map(text),
        })
    });
    json!({"now": text(now), "sources": sources, "schemas": schemas.collect::<Vec<_>>()})
}
