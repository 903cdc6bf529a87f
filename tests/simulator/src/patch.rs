//! `PATCH` of schemas: the fields that the simulator knows, and what they trigger.

use serde_json::{Map, Value, json};

use crate::clock::plus;
use crate::effect::{EffectKind, Trigger};
use crate::http;
use crate::load::next_due;
use crate::message::Response;
use crate::simulator::{Call, Simulator};
use crate::state::{Job, Schema};
use crate::sync_type::SyncChange;
use crate::times;

/// Writable at PostHog, but not simulated: refused, so that no test takes them for written.
const NOT_SIMULATED: [&str; 8] = [
    "incremental_field_lookback_seconds",
    "sync_time_of_day",
    "full_refresh_interval_days",
    "full_refresh_time_of_day",
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
        let changes = self.checked(index, &body, call)?;
        self.apply(index, changes)?;
        if !self.instance.api.patch_keeps_sync_type && !body.contains_key("sync_type") {
            self.edit(index, |schema| schema.spec.sync_type = None);
        }
        self.retrieve_schema(index)
    }

    /// The changes of a body, if PostHog would make them. Nothing is changed yet.
    pub(crate) fn checked(
        &self,
        index: usize,
        body: &Map<String, Value>,
        call: &Call<'_>,
    ) -> Result<Changes, Response> {
        if let Some(field) = NOT_SIMULATED
            .iter()
            .find(|field| body.contains_key(**field))
        {
            return Err(http::not_simulated(&format!("a PATCH of {field}")));
        }
        let schema = self
            .schemas
            .get(index)
            .ok_or_else(|| http::not_found("Not found."))?;
        let changes = Changes::checked(body, schema)?;
        self.check_sync_change(index, &changes.sync, call)?;
        Ok(changes)
    }

    /// Writes first and starts a run afterwards, if the changes need one: when that fails, what is written stays.
    pub(crate) fn apply(&mut self, index: usize, changes: Changes) -> Result<(), Response> {
        let now = self.now();
        let Changes {
            should_sync,
            sync,
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
        let mut starts = self.change_sync(index, sync);
        if let Some(field) = field {
            starts |= self.change_incremental_field(index, field.as_str());
        }
        if let Some(on) = should_sync {
            starts |= self.switch(index, on);
        }
        let schedule = self.schedule;
        self.edit(index, |schema| {
            schema.next_due = next_due(schema, schedule, now);
        });
        if starts {
            self.check_trigger(index)?;
            self.trigger(index, now, Trigger::Change);
        }
        Ok(())
    }

    /// A field whose largest stored value PostHog does not know triggers a full import; the same field again triggers a run
    /// while there is no value yet. Says whether a run is to start.
    fn change_incremental_field(&mut self, index: usize, field: Option<&str>) -> bool {
        let Some(schema) = self.schemas.get_mut(index) else {
            return false;
        };
        let changed = schema.spec.incremental_field.as_deref() != field;
        let known = field.is_some_and(|field| is_candidate(schema, field));
        schema.spec.incremental_field = field.map(str::to_owned);
        if !changed {
            return schema.position.is_none();
        }
        if known || schema.table.is_none() {
            return false;
        }
        self.arm(index, Trigger::Change);
        true
    }

    /// The next run wipes the table. PostHog forgets its place in the database's log at once.
    pub(crate) fn arm(&mut self, index: usize, why: Trigger) {
        let now = self.now();
        self.edit(index, |schema| schema.reset_pending = true);
        self.note(index, now, EffectKind::ResetArmed, Some(why));
        if self
            .schemas
            .get(index)
            .is_some_and(|schema| schema.is("cdc"))
        {
            self.lose_position(index, now, Some(why));
        }
    }

    /// Turns a schema on or off, by a request or by a human. Says whether a run is to start.
    pub(crate) fn switch(&mut self, index: usize, on: bool) -> bool {
        let now = self.now();
        let Some(schema) = self.schemas.get_mut(index) else {
            return false;
        };
        let was_on = std::mem::replace(&mut schema.should_sync, on);
        if !on {
            schema.next_due = None;
            let loads = schema
                .v3
                .active
                .iter()
                .any(|place| schema.jobs.get(*place).is_some_and(Job::is_running));
            if schema.workflow.is_some() || loads {
                schema.teardown_at = Some(plus(now, TEARDOWN));
            }
            if was_on {
                self.note(index, now, EffectKind::Disabled, None);
            }
            return false;
        }
        let had_schedule = std::mem::replace(&mut schema.has_schedule, true);
        // Also where no run has ever completed: a table that webhooks have filled is wiped too.
        let forces_reset = !was_on && (schema.is("webhook") || schema.is("cdc"));
        schema.teardown_at = None;
        if !was_on {
            self.note(index, now, EffectKind::Enabled, None);
        }
        if forces_reset {
            self.arm(index, Trigger::Change);
        }
        let schedule = self.schedule;
        self.edit(index, |schema| {
            schema.next_due = next_due(schema, schedule, now);
        });
        forces_reset || !had_schedule
    }
}

/// A `PATCH` of a schema that may be applied.
pub(crate) struct Changes {
    should_sync: Option<bool>,
    sync: SyncChange,
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
            sync: SyncChange::checked(body)?,
            frequency: frequency(body)?,
            keys: body.get("primary_key_columns").map(strings),
            field: body.get("incremental_field").cloned(),
            field_type: body.get("incremental_field_type").cloned(),
        };
        check_config(body, schema, changes.sync_type(schema))?;
        changes.check_keys(schema)?;
        changes.check_enabling(schema)?;
        Ok(changes)
    }

    /// As it will be.
    fn sync_type<'a>(&'a self, schema: &'a Schema) -> Option<&'a str> {
        let new = self.sync.to.as_deref();
        new.or(schema.spec.sync_type.as_deref())
    }

    fn keys<'a>(&'a self, schema: &'a Schema) -> &'a [String] {
        let new = self.keys.as_ref();
        let keys = new.or(schema.spec.primary_key_columns.as_ref());
        keys.map(Vec::as_slice).unwrap_or_default()
    }

    /// A key may be set on a table that has none; one that has merged rows may not be changed.
    fn check_keys(&self, schema: &Schema) -> Result<(), Response> {
        let incremental = self.sync_type(schema) == Some("incremental");
        let old = schema
            .spec
            .primary_key_columns
            .as_ref()
            .filter(|keys| !keys.is_empty());
        let changed = self
            .keys
            .as_ref()
            .is_some_and(|new| old.is_some_and(|old| old != new));
        if schema.is("incremental") && changed && schema.table.is_some() {
            return Err(http::validation(
                None,
                "Primary key cannot be changed after data has been synced. Delete the \
                synced data first, then change the primary key.",
            ));
        }
        let name = &schema.spec.name;
        let touched = self.keys.is_some() || self.sync.to.is_some();
        if incremental && touched && self.keys(schema).is_empty() {
            return Err(http::validation(
                None,
                &format!(
                    "'{name}' has no primary key to sync incrementally on. Choose a \
                primary key for it, or switch it to full table replication."
                ),
            ));
        }
        // Without columns of the scenario's, those of the table are a guess.
        let known = |key: &String| schema.spec.columns.iter().any(|own| own.name == *key);
        let missing = self.keys.iter().flatten().find(|key| !known(key));
        match missing.filter(|_| !schema.spec.columns.is_empty()) {
            Some(key) => Err(http::validation(
                None,
                &format!("'{name}' has no column named {key} to merge on."),
            )),
            None => Ok(()),
        }
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
        let Some(sync_type) = self.sync_type(schema) else {
            return Err(http::validation(
                None,
                "Sync type must be set up first before enabling schema",
            ));
        };
        if sync_type == "cdc" && !schema.should_sync && self.keys(schema).is_empty() {
            return Err(http::validation(None, &needs_key(&schema.spec.name)));
        }
        Ok(())
    }
}

/// What is said of a table without a key that is to be captured.
pub(crate) fn needs_key(name: &str) -> String {
    format!(
        "CDC requires a primary key on table '{name}'. Add a primary key on the source table and retry."
    )
}

/// Some fields mean something only to some sync types.
fn check_config(
    body: &Map<String, Value>,
    schema: &Schema,
    sync_type: Option<&str>,
) -> Result<(), Response> {
    let fields: &[&str] = match sync_type {
        Some("incremental" | "append" | "webhook") => &["cdc_table_mode"],
        Some("cdc") => &["incremental_field", "incremental_field_type"],
        _ => &[
            "incremental_field",
            "incremental_field_type",
            "primary_key_columns",
            "cdc_table_mode",
        ],
    };
    let given = fields.iter().copied();
    let given = given.filter(|field| body.get(*field).is_some_and(|value| !value.is_null()));
    let given: Vec<&str> = given.collect();
    if given.is_empty() {
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
