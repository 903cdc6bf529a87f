//! What the control routes change about schemas and sources while the simulator runs.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::column::Column;
use crate::data::DataSpec;
use crate::error::Error;
use crate::run::RunPlan;
use crate::scenario::{DeliveryLine, SourceSpec};
use crate::simulator::Simulator;
use crate::state::Status;

/// Changes of a schema; what is not named stays as it is.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SchemaChange {
    /// Its next runs.
    next_runs: Option<Vec<RunPlan>>,
    /// All runs after those.
    then: Option<RunPlan>,
    /// How the run in flight continues from now.
    run: Option<RunPlan>,
    /// Its newest run dies, and its job stays Running.
    kill: bool,
    /// Starts a run now.
    start: bool,
    /// Turns it on or off, as a human would.
    should_sync: Option<bool>,
    /// Its stored status, in the words of PostHog's database, independent of its jobs.
    status: Nullable<Status>,
    /// Its stored `latest_error`. An empty text is none.
    latest_error: Option<String>,
    /// Its `sync_frequency`, even one that PostHog would not accept.
    frequency: Nullable<String>,
    /// The rows of its table, if it has one.
    rows: Option<u64>,
    /// A line for the log of its newest run.
    log: Option<String>,
    /// Hides it from the key's owner, or shows it again.
    invisible: Option<bool>,
    editor: Option<bool>,
    table_gone: Option<bool>,
    trigger_fails: Option<bool>,
    cdc_broken: Option<bool>,
    /// An empty text clears it.
    probe_error: Option<String>,
    /// Replaces what is merged over the answer of `incremental_fields`.
    incremental_fields: Option<Map<String, Value>>,
    /// Replaces its columns.
    columns: Option<Vec<Column>>,
    /// Replaces what queries find; `at_ago` is relative to now.
    data: Option<DataSpec>,
    /// Replaces the values merged over its row.
    raw: Option<Map<String, Value>>,
    /// Replaces the fields removed from its row.
    raw_remove: Option<Vec<String>>,
    /// Replaces the values merged over the rows of its jobs.
    job_raw: Option<Map<String, Value>>,
}

/// Changes of a source; what is not named stays as it is.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SourceChange {
    /// The next runs of each of its schemas.
    next_runs: Option<Vec<RunPlan>>,
    /// All runs after those.
    then: Option<RunPlan>,
    /// Starts a run of each enabled schema now.
    start: bool,
    /// An empty text clears it.
    probe_error: Option<String>,
    /// Merged over what the scenario says of its webhook.
    webhook: Map<String, Value>,
    /// Replaces the lines of the log of its webhook; `ago` is relative to the start of the scenario.
    webhook_log: Option<Vec<DeliveryLine>>,
    /// Changes these fields of its change data capture; null takes it away.
    cdc: Nullable<Map<String, Value>>,
    /// Merged over its `job_inputs`.
    job_inputs: Map<String, Value>,
    stored_status: Option<String>,
    /// Replaces the values merged over its row.
    raw: Option<Map<String, Value>>,
    /// Applied to each of its schemas.
    schemas: Option<SchemaChange>,
}

/// A schema is named by its id, or by its name.
pub(crate) fn schema(
    simulator: &mut Simulator,
    id: &str,
    change: SchemaChange,
) -> Result<Value, String> {
    let id = simulator.schema_id(id).unwrap_or_else(|| id.to_owned());
    if let Some(data) = &change.data {
        data.check()?;
    }
    change
        .apply(simulator, &id)
        .map_err(|error| error.to_string())?;
    Ok(json!({ "id": id }))
}

/// A source is named by its id, its prefix or its type.
pub(crate) fn source(
    simulator: &mut Simulator,
    id: &str,
    change: SourceChange,
) -> Result<Value, String> {
    let id = simulator.source_id(id).unwrap_or_else(|| id.to_owned());
    let said = |error: Error| error.to_string();
    let SourceChange {
        next_runs,
        then,
        start,
        probe_error,
        webhook,
        webhook_log,
        cdc,
        job_inputs,
        stored_status,
        raw,
        schemas,
    } = change;
    if let Some(data) = schemas.as_ref().and_then(|each| each.data.as_ref()) {
        data.check()?;
    }
    let mut refused = Ok(());
    simulator
        .change_source(&id, |spec| {
            refused = set_cdc(spec, cdc);
            if refused.is_err() {
                return;
            }
            set_text(&mut spec.probe_error, probe_error);
            spec.webhook.extend(webhook);
            set(&mut spec.webhook_log, webhook_log);
            spec.job_inputs.extend(job_inputs);
            set(&mut spec.stored_status, stored_status);
            set(&mut spec.raw, raw);
        })
        .map_err(said)?;
    refused?;
    let mut each = schemas.unwrap_or_default();
    each.next_runs = next_runs.or(each.next_runs);
    each.then = then.or(each.then);
    let start = std::mem::take(&mut each.start) || start;
    let ids = simulator.schema_ids(&id);
    for schema in &ids {
        each.clone().apply(simulator, schema).map_err(said)?;
        if start && simulator.should_sync(schema) == Some(true) {
            simulator.start_run(schema).map_err(said)?;
        }
    }
    Ok(json!({ "id": id, "schemas": ids.len() }))
}

impl SchemaChange {
    fn apply(self, simulator: &mut Simulator, id: &str) -> Result<(), Error> {
        let Self {
            next_runs,
            then,
            run,
            kill,
            start,
            should_sync,
            status,
            latest_error,
            frequency,
            rows,
            log,
            invisible,
            editor,
            table_gone,
            trigger_fails,
            cdc_broken,
            probe_error,
            incremental_fields,
            columns,
            data,
            raw,
            raw_remove,
            job_raw,
        } = self;
        let now = simulator.now();
        let says_data = data.is_some();
        simulator.change_schema(id, |spec| {
            set(&mut spec.then, then);
            frequency.write_to(&mut spec.frequency);
            set(&mut spec.invisible, invisible);
            set(&mut spec.editor, editor);
            set(&mut spec.table_gone, table_gone);
            set(&mut spec.trigger_fails, trigger_fails);
            set(&mut spec.cdc_broken, cdc_broken);
            set_text(&mut spec.probe_error, probe_error);
            set(&mut spec.incremental_fields, incremental_fields);
            set(&mut spec.columns, columns);
            set(&mut spec.data, data);
            set(&mut spec.raw, raw);
            set(&mut spec.raw_remove, raw_remove);
            set(&mut spec.job_raw, job_raw);
        })?;
        let schema = simulator.schema_mut(id)?;
        if says_data {
            schema.data_since = now;
        }
        status.write_to(&mut schema.status);
        set_text(&mut schema.latest_error, latest_error);
        if let (Some(table), Some(rows)) = (&mut schema.table, rows) {
            table.rows = rows;
        }
        if let Some(runs) = next_runs {
            simulator.set_next_runs(id, runs)?;
        }
        if let Some(plan) = run {
            simulator.change_run(id, plan)?;
        }
        if kill {
            simulator.kill_run(id)?;
        }
        if let Some(on) = should_sync {
            simulator.set_should_sync(id, on)?;
        }
        if let Some(line) = log {
            simulator.write_log(id, &line)?;
        }
        if start {
            simulator.start_run(id)?;
        }
        Ok(())
    }
}

fn set<T>(place: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *place = new;
    }
}

/// An empty text takes it away.
fn set_text(place: &mut Option<String>, new: Option<String>) {
    set(
        place,
        new.map(|text| Some(text).filter(|text| !text.is_empty())),
    );
}

fn set_cdc(spec: &mut SourceSpec, change: Nullable<Map<String, Value>>) -> Result<(), String> {
    match change {
        Nullable::Kept => {}
        Nullable::Null => spec.cdc = None,
        Nullable::Set(fields) => {
            spec.cdc = Some(spec.cdc.clone().unwrap_or_default().with(&fields)?);
        }
    }
    Ok(())
}

/// A field for which null is something else than nothing.
#[derive(Clone, Default)]
enum Nullable<T> {
    #[default]
    Kept,
    Null,
    Set(T),
}

impl<T> Nullable<T> {
    fn write_to(self, place: &mut Option<T>) {
        match self {
            Self::Kept => {}
            Self::Null => *place = None,
            Self::Set(value) => *place = Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nullable<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Option::deserialize(from).map(|value| value.map_or(Self::Null, Self::Set))
    }
}
