//! `PATCH` of sources: new connection settings, merged into the stored ones and checked against the source.

use serde_json::{Map, Value};

use crate::effect::EffectKind;
use crate::http;
use crate::message::Response;
use crate::patch::object;
use crate::row::Depth;
use crate::simulator::{Call, Simulator};
use crate::state::Source;

/// The containers into which a `PATCH` is merged; anything else is replaced.
const CONTAINERS: [&str; 5] = [
    "auth_method",
    "auth_type",
    "authentication",
    "registered_app",
    "ssh_tunnel",
];

/// The stored settings as the API shows them: without secrets and without fields that PostHog does not know.
const SHOWN: [&str; 5] = ["host", "port", "database", "user", "schema"];

impl Simulator {
    /// New credentials neither reload nor enable anything, and change no status.
    pub(crate) fn patch_source(
        &mut self,
        index: usize,
        call: &Call<'_>,
    ) -> Result<Response, Response> {
        let body = object(&call.request.body)?;
        if let Some(field) = body
            .keys()
            .find(|field| !["job_inputs", "description"].contains(&field.as_str()))
        {
            return Err(http::not_simulated(&format!(
                "a PATCH of a source's {field}"
            )));
        }
        let Some(source) = self.sources.get_mut(index) else {
            return Err(http::not_found("Not found."));
        };
        let inputs = body.get("job_inputs").and_then(Value::as_object);
        let changed = match inputs {
            Some(inputs) => change_inputs(source, inputs)?,
            None => false,
        };
        if let Some(description) = body.get("description") {
            source.spec.description = description.as_str().map(str::to_owned);
        }
        if changed {
            self.note_source(index, EffectKind::InputsChanged);
        }
        Ok(Response::json(200, &self.source_row(index, Depth::Full)))
    }
}

/// Says whether anything has changed: otherwise nothing is checked against the source.
fn change_inputs(source: &mut Source, given: &Map<String, Value>) -> Result<bool, Response> {
    let mut stored = source.spec.job_inputs.clone();
    stored.extend(source.secrets.clone());
    let merged = merged(&stored, given);
    if merged == stored {
        return Ok(false);
    }
    check_reentry(&stored, &merged, given)?;
    check_accepted(source, &merged)?;
    source.spec.probe_error = None;
    let (shown, hidden): (Map<_, _>, Map<_, _>) = merged.into_iter().partition(|(name, _)| {
        SHOWN.contains(&name.as_str()) || source.spec.job_inputs.contains_key(name)
    });
    source.spec.job_inputs = shown;
    source.secrets = hidden;
    Ok(true)
}

fn merged(stored: &Map<String, Value>, given: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = stored.clone();
    for (name, value) in given {
        // Pinned: those of change data capture are PostHog's own, and silently left as they are.
        if name.starts_with("cdc_") || keeps_the_stored(name, value) {
            continue;
        }
        let value = match (stored.get(name), value) {
            (Some(Value::Object(old)), Value::Object(new))
                if CONTAINERS.contains(&name.as_str()) =>
            {
                Value::Object(merged_container(old, new))
            }
            _ => value.clone(),
        };
        merged.insert(name.clone(), value);
    }
    merged
}

/// Another selection takes only what comes with it.
fn merged_container(old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let selection = new.get("selection");
    if selection.is_some() && selection != old.get("selection") {
        return new.clone();
    }
    let mut merged = old.clone();
    for (name, value) in new {
        if !keeps_the_stored(name, value) {
            merged.insert(name.clone(), value.clone());
        }
    }
    merged
}

/// An empty secret is none.
fn keeps_the_stored(name: &str, value: &Value) -> bool {
    is_secret(name) && value == ""
}

fn is_secret(name: &str) -> bool {
    let parts = ["password", "secret", "token", "key", "passphrase"];
    parts.iter().any(|part| name.contains(part))
}

/// Redirecting a connection requires its secret: otherwise a stored one could be sent anywhere.
fn check_reentry(
    stored: &Map<String, Value>,
    merged: &Map<String, Value>,
    given: &Map<String, Value>,
) -> Result<(), Response> {
    let moved = |name: &str| stored.contains_key(name) && stored.get(name) != merged.get(name);
    let reentered = given
        .iter()
        .any(|(name, value)| is_secret(name) && value != "");
    let text = if reentered {
        None
    } else if moved("host") {
        Some("Changing the connection host requires re-entering your credentials.")
    } else if moved("ssh_tunnel") {
        Some("Changing the SSH tunnel requires re-entering your database credentials.")
    } else {
        None
    };
    text.map_or(Ok(()), |text| Err(http::validation(None, text)))
}

fn check_accepted(source: &Source, merged: &Map<String, Value>) -> Result<(), Response> {
    let error = source.spec.probe_error.as_deref();
    let right = match &source.spec.accepts_inputs {
        Some(accepted) => accepted
            .iter()
            .all(|(name, value)| merged.get(name) == Some(value)),
        None => error.is_none(),
    };
    if right {
        return Ok(());
    }
    let text = error.unwrap_or("We couldn't validate those credentials. Check them and try again.");
    Err(http::validation(None, text))
}
