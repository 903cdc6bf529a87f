//! `PATCH` of schemas and sources: the fields that the simulator knows, with what they set off.

use serde_json::{Map, Value, json};

use crate::clock::plus;
use crate::effect::{Effect, EffectKind, Trigger};
use crate::http;
use crate::load::next_due;
use crate::message::Response;
use crate::row::{Depth, merge};
use crate::simulator::{Call, Simulator};
use crate::state::Schema;
use crate::times;

/// Writable at PostHog, and not simulated: refused, lest a test believe them written.
const NOT_SIMULATED: [&str; 10] = [
    "sync_type",
    "incremental_field_lookback_seconds",
    "sync_time_of_day",
    "full_refresh_interval_days",
    "full_refresh_time_of_day",
    "cdc_table_mode",
    "enabled_columns",
    "row_filters",
    "api_version",
    "apply_sync_defaults",
];

/// How long after `should_sync: false` a run in flight is torn down.
const TEARDOWN: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

impl Simulator {
    /// Fields that are read-only or unknown are ignored, as PostHog does.
    pub(crate) fn patch_schema(
        &mut self,
        index: usize,
        call: &Call<'_>,
    ) -> Result<Response, Response> {
        let body = object(&call.request.body)?;
        if let Some(field) = NOT_SIMULATED
            .iter()
            .find(|field| body.contains_key(**field))
        {
            return Err(http::not_simulated(&format!("a PATCH of {field}")));
        }
        let Some(schema) = self.schemas.get(index) else {
            return Err(http::not_found("Not found."));
        };
        let changes = Changes::checked(&body, schema)?;
        self.apply(index, changes);
        self.retrieve_schema(index)
    }

    fn apply(&mut self, index: usize, changes: Changes) {
        let now = self.now();
        let Changes {
            should_sync,
            frequency,
            keys,
            field,
            field_type,
        } = changes;
        self.edit(index, |schema| {
            schema.spec.frequency = frequency.or_else(|| schema.spec.frequency.take());
            if let Some(keys) = keys {
                schema.spec.primary_key_columns = Some(keys).filter(|keys| !keys.is_empty());
            }
            if let Some(field_type) = field_type {
                schema.spec.incremental_field_type = field_type.as_str().map(str::to_owned);
            }
        });
        if let Some(field) = field {
            self.change_incremental_field(index, field.as_str());
        }
        if let Some(on) = should_sync {
            self.switch(index, on);
        }
        let schedule = self.schedule;
        self.edit(index, |schema| {
            schema.next_due = next_due(schema, schedule, now);
        });
    }

    /// A field whose largest stored value PostHog cannot tell sets off a full import.
    fn change_incremental_field(&mut self, index: usize, field: Option<&str>) {
        let now = self.now();
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        let changed = schema.spec.incremental_field.as_deref() != field;
        let known = field.is_some_and(|field| is_candidate(schema, field));
        schema.spec.incremental_field = field.map(str::to_owned);
        if changed && !known && schema.table.is_some() {
            schema.reset_armed = true;
            self.note(index, now, EffectKind::ResetArmed, Some(Trigger::Change));
            self.trigger(index, now, Trigger::Change);
        }
    }

    /// Turns a schema on or off, by a request or by a human.
    pub(crate) fn switch(&mut self, index: usize, on: bool) {
        let now = self.now();
        let Some(schema) = self.schemas.get_mut(index) else {
            return;
        };
        let was_on = std::mem::replace(&mut schema.should_sync, on);
        if !on {
            schema.next_due = None;
            if schema.workflow.is_some() {
                schema.teardown_at = Some(plus(now, TEARDOWN));
            }
            if was_on {
                self.note(index, now, EffectKind::Disabled, None);
            }
            return;
        }
        let had_schedule = std::mem::replace(&mut schema.has_schedule, true);
        let forces_reset = !was_on
            && (schema.is("webhook") || schema.is("cdc"))
            && schema.last_synced_at.is_some();
        schema.reset_armed |= forces_reset;
        schema.teardown_at = None;
        if !was_on {
            self.note(index, now, EffectKind::Enabled, None);
        }
        if forces_reset {
            self.note(index, now, EffectKind::ResetArmed, Some(Trigger::Change));
        }
        if forces_reset || !had_schedule {
            self.trigger(index, now, Trigger::Change);
        }
        let schedule = self.schedule;
        self.edit(index, |schema| {
            schema.next_due = next_due(schema, schedule, now);
        });
    }

    /// New credentials neither reload nor enable anything.
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
        let now = self.now();
        let Some(source) = self.sources.get_mut(index) else {
            return Err(http::not_found("Not found."));
        };
        if let Some(inputs) = body.get("job_inputs").and_then(Value::as_object) {
            check_inputs(
                inputs,
                source.spec.accepts_inputs.as_ref(),
                source.spec.probe_error.as_deref(),
            )?;
            source.spec.probe_error = None;
            store_visible(&mut source.spec.job_inputs, inputs);
            self.effects.push(Effect {
                at: now,
                kind: EffectKind::InputsChanged,
                trigger: None,
                source_id: source.id.clone(),
                schema_id: None,
                schema: None,
                job_id: None,
            });
        }
        if let Some(description) = body.get("description") {
            source.spec.description = description.as_str().map(str::to_owned);
        }
        Ok(Response::json(200, &self.source_row(index, Depth::Full)))
    }
}

/// A `PATCH` of a schema that may be applied.
struct Changes {
    should_sync: Option<bool>,
    frequency: Option<String>,
    /// Empty takes the key away, as null does.
    keys: Option<Vec<String>>,
    /// A text or null.
    field: Option<Value>,
    /// A text or null.
    field_type: Option<Value>,
}

impl Changes {
    fn checked(body: &Map<String, Value>, schema: &Schema) -> Result<Self, Response> {
        let changes = Self {
            should_sync: body.get("should_sync").map(boolean).transpose()?,
            frequency: frequency(body)?,
            keys: body.get("primary_key_columns").map(strings),
            field: body.get("incremental_field").cloned(),
            field_type: body.get("incremental_field_type").cloned(),
        };
        check_config(body, schema)?;
        changes.check_keys(schema)?;
        changes.check_enabling(schema)?;
        Ok(changes)
    }

    /// A key may be set on a table that has none; one that has merged rows may not be changed.
    fn check_keys(&self, schema: &Schema) -> Result<(), Response> {
        let Some(new) = &self.keys else { return Ok(()) };
        let old = schema
            .spec
            .primary_key_columns
            .as_ref()
            .filter(|keys| !keys.is_empty());
        if schema.is("incremental") && old.is_some_and(|old| old != new) && schema.table.is_some() {
            return Err(http::validation(
                None,
                "Primary key cannot be changed after data has been synced. Delete the \
                synced data first, then change the primary key.",
            ));
        }
        if schema.is("incremental") && new.is_empty() {
            return Err(http::validation(
                None,
                &format!(
                    "'{}' has no primary key to sync incrementally on. Choose a \
                primary key for it, or switch it to full table replication.",
                    schema.spec.name
                ),
            ));
        }
        Ok(())
    }

    fn check_enabling(&self, schema: &Schema) -> Result<(), Response> {
        if self.should_sync != Some(true) {
            return Ok(());
        }
        if self.frequency.is_none() && schema.spec.frequency.is_none() {
            return Err(http::validation(
                Some("sync_frequency"),
                "This table has no sync frequency, so its sync \
                cannot be scheduled. Set a sync frequency first.",
            ));
        }
        if schema.spec.sync_type.is_none() {
            return Err(http::validation(
                None,
                "Sync type must be set up first before enabling schema",
            ));
        }
        let keyless = schema
            .spec
            .primary_key_columns
            .as_ref()
            .is_none_or(Vec::is_empty);
        if schema.is("cdc") && !schema.should_sync && keyless {
            return Err(http::validation(
                None,
                &format!(
                    "CDC requires a primary key on table '{}'. Add a primary key \
                on the source table and retry.",
                    schema.spec.name
                ),
            ));
        }
        Ok(())
    }
}

/// Some fields mean something only to some sync types.
fn check_config(body: &Map<String, Value>, schema: &Schema) -> Result<(), Response> {
    let applies = ["incremental", "append", "webhook"]
        .iter()
        .any(|sync_type| schema.is(sync_type));
    let given = [
        "incremental_field",
        "incremental_field_type",
        "primary_key_columns",
    ]
    .into_iter()
    .filter(|field| body.get(*field).is_some_and(|value| !value.is_null()));
    let given: Vec<&str> = given.collect();
    if applies || given.is_empty() {
        return Ok(());
    }
    let sync_type = schema.spec.sync_type.as_deref().unwrap_or("not set");
    let text = format!(
        "{} cannot be applied to a schema with sync type {sync_type} on its own. Include sync_type in the same \
         request to change the sync type.",
        given.join(", ")
    );
    Err(http::validation(None, &text))
}

fn frequency(body: &Map<String, Value>) -> Result<Option<String>, Response> {
    let Some(value) = body.get("sync_frequency").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let text = value.as_str().unwrap_or_default();
    if times::ACCEPTED.contains(&text) {
        return Ok(Some(text.to_owned()));
    }
    let text = if text == "never" {
        "\"never\" is not a sync frequency. Set should_sync to false to stop syncing this table."
            .to_owned()
    } else {
        format!(
            "\"{text}\" is not a valid sync frequency. The fastest sync frequency is 5 minutes."
        )
    };
    Err(http::validation(Some("sync_frequency"), &text))
}

pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, Response> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| http::unparsable(&error.to_string()))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(http::validation(
            None,
            "Invalid data. Expected a dictionary.",
        )),
    }
}

fn boolean(value: &Value) -> Result<bool, Response> {
    value
        .as_bool()
        .ok_or_else(|| http::validation(Some("should_sync"), "Must be a valid boolean."))
}

fn strings(value: &Value) -> Vec<String> {
    let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
    values
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn is_candidate(schema: &Schema, field: &str) -> bool {
    crate::probe::candidates(schema)
        .iter()
        .any(|candidate| candidate["field"] == json!(field))
}

fn check_inputs(
    given: &Map<String, Value>,
    accepted: Option<&Map<String, Value>>,
    error: Option<&str>,
) -> Result<(), Response> {
    let right = match accepted {
        Some(accepted) => accepted
            .iter()
            .all(|(name, value)| given.get(name) == Some(value)),
        None => error.is_none(),
    };
    if right {
        return Ok(());
    }
    let text = error.unwrap_or("We couldn't validate those credentials. Check them and try again.");
    Err(http::validation(None, text))
}

/// Secrets are never shown again, not even masked. Those of CDC are not PATCHed at all.
fn store_visible(stored: &mut Map<String, Value>, given: &Map<String, Value>) {
    const SHOWN: [&str; 5] = ["host", "port", "database", "user", "schema"];
    let shown = given
        .iter()
        .filter(|(name, _)| SHOWN.contains(&name.as_str()));
    let shown: Map<String, Value> = shown
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut row = Value::Object(std::mem::take(stored));
    merge(&mut row, &shown);
    if let Value::Object(row) = row {
        *stored = row;
    }
}
