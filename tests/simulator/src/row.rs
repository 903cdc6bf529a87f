//! What PostHog shows of its state: the rows of sources, schemas and jobs.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::cdc::CdcSpec;
use crate::clock::text;
use crate::column::{Column, columns};
use crate::simulator::Simulator;
use crate::state::{Job, Schema, Source, Status};
use crate::webhook::supports_webhooks;

/// How much of a schema a row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// As nested in the list of sources.
    Trimmed,
    /// As everywhere else.
    Full,
}

impl Simulator {
    pub(crate) fn source_row(&self, index: usize, depth: Depth) -> Value {
        self.source_rows(&[index], depth).pop().unwrap_or_default()
    }

    /// The rows of several sources, with one look through all schemas: there may be a hundred thousand.
    pub(crate) fn source_rows(&self, indexes: &[usize], depth: Depth) -> Vec<Value> {
        let mut schemas: HashMap<usize, Vec<&Schema>> =
            indexes.iter().map(|index| (*index, Vec::new())).collect();
        for schema in &self.schemas {
            if let Some(own) = schemas.get_mut(&schema.source) {
                own.push(schema);
            }
        }
        let row =
            |index: &usize| self.row_of(*index, depth, schemas.remove(index).unwrap_or_default());
        indexes.iter().map(row).collect()
    }

    fn row_of(&self, index: usize, depth: Depth, mut schemas: Vec<&Schema>) -> Value {
        let Some(source) = self.sources.get(index) else {
            return Value::Null;
        };
        schemas.sort_by(|one, other| one.spec.name.cmp(&other.spec.name));
        let last_run = schemas
            .iter()
            .flat_map(|schema| &schema.jobs)
            .filter(|job| job.status == Status::Completed)
            .map(|job| job.created_at)
            .max();
        let visible = schemas.iter().filter(|schema| !schema.spec.invisible);
        let rows: Vec<Value> = visible
            .map(|schema| match depth {
                Depth::Trimmed => trimmed(schema, source),
                Depth::Full => full(schema, source, &Value::Null),
            })
            .collect();
        let mut row = json!({
            "id": source.id,
            "created_at": text(source.created_at),
            "created_by": "ops@example.com",
            "created_via": "api",
            "status": source_status(source, &schemas),
            "source_type": source.spec.source_type,
            "latest_error": schemas.iter().find_map(|schema| shown_error(schema)),
            "prefix": source.spec.prefix,
            "description": source.spec.description,
            "access_method": source.spec.access_method,
            "direct_query_enabled": source.spec.access_method == "direct",
            "auto_sync_new_schemas": false,
            "auto_sync_schema_patterns": [],
            "engine": null,
            "last_run_at": last_run.map(text),
            "schemas": rows,
            "job_inputs": job_inputs(source),
            "revenue_analytics_config": {"enabled": false, "include_invoiceless_charges": true},
            "user_access_level": "editor",
            "supports_webhooks": supports_webhooks(source),
            "supports_column_selection": true,
            "api_version": null,
            "api_version_deprecation": null,
        });
        merge(&mut row, &source.spec.raw);
        if !self.instance.api.access_method {
            remove(&mut row, &["access_method".to_owned()]);
        }
        row
    }

    /// A schema by itself; only there does it say which source it belongs to.
    pub(crate) fn schema_row(&self, schema: &Schema, names_its_source: bool) -> Value {
        let Some(source) = self.sources.get(schema.source) else {
            return Value::Null;
        };
        let summary = if names_its_source {
            summary(source)
        } else {
            Value::Null
        };
        let mut row = full(schema, source, &summary);
        if !self.instance.api.access_method
            && let Some(summary) = row.get_mut("source")
        {
            remove(summary, &["access_method".to_owned()]);
        }
        row
    }
}

/// What a schema's row says of its source.
fn summary(source: &Source) -> Value {
    json!({
            "id": source.id,
            "source_type": source.spec.source_type,
            "access_method": source.spec.access_method,
            "supports_column_selection": true,
            "supports_row_filters": true,
            "requires_exact_column_metadata": false,
            "user_access_level": "editor",
            "api_version": null,
            "supported_api_versions": [],
    })
}

fn full(schema: &Schema, source: &Source, summary: &Value) -> Value {
    let columns = columns(&schema.spec);
    let by_field = schema.has_incremental_field();
    let field = schema.spec.incremental_field.as_ref();
    let keys = schema.spec.primary_key_columns.as_ref();
    let set_up = schema.spec.sync_type.is_some();
    let field_type = schema.spec.incremental_field_type.as_ref();
    let mut row = json!({
        "incremental": schema.is("incremental") || schema.is("append"),
        "incremental_field": field.filter(|_| by_field),
        "incremental_field_type": field_type.filter(|_| by_field),
        "incremental_field_lookback_seconds": null,
        "sync_time_of_day": null,
        "full_refresh_interval_days": null,
        "full_refresh_time_of_day": null,
        "next_full_refresh_at": null,
        "description": null,
        "primary_key_columns": keys.filter(|_| set_up),
        "cdc_table_mode": schema.spec.cdc_table_mode.as_deref().unwrap_or("consolidated"),
        "incremental_sync_blocked": blocked(shown_error(schema)),
        "enabled_columns": null,
        "row_filters": null,
        "row_filter_columns": [],
        "available_columns": columns.iter().map(Column::available).collect::<Vec<_>>(),
        "source_column_metadata_available": true,
        "source": summary,
        "api_version": null,
        "api_version_deprecation": null,
        "user_access_level": if schema.spec.editor { "editor" } else { "viewer" },
    });
    if let (Some(row), Value::Object(common)) = (row.as_object_mut(), common(schema, source)) {
        row.extend(common);
    }
    if let Some(table) = row.get_mut("table").and_then(Value::as_object_mut) {
        table.insert("hogql_name".to_owned(), json!(hogql_name(schema, source)));
        let columns = columns.iter().map(Column::of_table).collect();
        table.insert("columns".to_owned(), Value::Array(columns));
        table.insert("user_access_level".to_owned(), json!("editor"));
    }
    merge(&mut row, &schema.spec.raw);
    remove(&mut row, &schema.spec.raw_remove);
    row
}

fn trimmed(schema: &Schema, source: &Source) -> Value {
    let mut row = common(schema, source);
    let raw = schema.spec.raw.clone().into_iter();
    // A value of a field that only full rows have must not turn up in a trimmed one.
    merge(
        &mut row,
        &raw.filter(|(name, _)| !ONLY_FULL.contains(&name.as_str()))
            .collect(),
    );
    remove(&mut row, &schema.spec.raw_remove);
    row
}

/// What full rows have and trimmed ones have not.
const ONLY_FULL: [&str; 21] = [
    "incremental",
    "incremental_field",
    "incremental_field_type",
    "incremental_field_lookback_seconds",
    "sync_time_of_day",
    "full_refresh_interval_days",
    "full_refresh_time_of_day",
    "next_full_refresh_at",
    "description",
    "primary_key_columns",
    "cdc_table_mode",
    "incremental_sync_blocked",
    "enabled_columns",
    "row_filters",
    "row_filter_columns",
    "available_columns",
    "source_column_metadata_available",
    "source",
    "api_version",
    "api_version_deprecation",
    "user_access_level",
];

fn common(schema: &Schema, source: &Source) -> Value {
    let table = schema.table.as_ref().map(|table| {
        json!({"id": table.id, "name": table_name(schema, source), "row_count": table.rows})
    });
    json!({
        "id": schema.id,
        "name": schema.spec.name,
        "label": schema.spec.label,
        "should_sync": schema.should_sync,
        "status": schema.status.map(Status::of_schema),
        "sync_type": schema.spec.sync_type,
        "last_synced_at": schema.last_synced_at.map(text),
        "sync_frequency": schema.spec.frequency,
        "latest_error": schema.latest_error,
        "table": table,
    })
}

pub(crate) fn job_row(job: &Job, schema: &Schema, now: Timestamp) -> Value {
    let mut row = json!({
        "id": job.id,
        "created_at": text(job.created_at),
        "created_by": null,
        "finished_at": job.finished_at.map(text),
        "status": job.status.of_job(),
        "schema": {
            "id": schema.id,
            "name": schema.spec.name,
            "label": schema.spec.label,
            "should_sync": schema.should_sync,
            "last_synced_at": schema.last_synced_at.map(text),
            "sync_type": schema.spec.sync_type,
        },
        "rows_synced": job.rows(now),
        "latest_error": job.latest_error,
        "workflow_run_id": Some(&job.run_id).filter(|_| job.plan.has_workflow_id),
        "cdc_write_mode": job.plan.cdc_write_mode,
        "billable": job.plan.billable,
        "destination_ids": job.plan.destination_ids,
    });
    merge(&mut row, &schema.spec.job_raw);
    row
}

/// A source's status is made up from its schemas; the stored one shows only when they have nothing to say.
fn source_status(source: &Source, schemas: &[&Schema]) -> String {
    let active = |wanted: Status| {
        schemas.iter().any(|schema| {
            let counts =
                schema.should_sync || (wanted != Status::Failed && schema.latest_error.is_some());
            counts && schema.status == Some(wanted)
        })
    };
    [
        Status::Failed,
        Status::BillingLimitReached,
        Status::BillingLimitTooLow,
        Status::Paused,
        Status::Running,
        Status::Completed,
    ]
    .into_iter()
    .find(|status| active(*status))
    .map_or_else(
        || source.spec.stored_status.clone(),
        |status| status.of_schema().to_owned(),
    )
}

/// What its row says, be it by `raw`: what is derived from a text must fit the text that is shown.
fn shown_error(schema: &Schema) -> Option<&str> {
    match schema.spec.raw.get("latest_error") {
        Some(raw) => raw.as_str(),
        None => schema.latest_error.as_deref(),
    }
}

/// What the scenario says wins over what follows from `cdc`.
fn job_inputs(source: &Source) -> Map<String, Value> {
    let cdc = source.spec.cdc.as_ref();
    let mut inputs = cdc.map(CdcSpec::inputs).unwrap_or_default();
    inputs.extend(source.spec.job_inputs.clone());
    inputs
}

/// PostHog derives this from the text of the last error.
fn blocked(latest_error: Option<&str>) -> Option<&'static str> {
    let error = latest_error?;
    if error.contains("Primary key required for incremental syncs")
        || error.contains("needs a primary key to sync")
    {
        return Some("missing_primary_key");
    }
    let repeated = error.contains("primary keys for this table are not unique")
        || error.contains("primary key set for this table isn't unique");
    repeated.then_some("duplicate_primary_key")
}

pub(crate) fn table_name(schema: &Schema, source: &Source) -> String {
    let bare = schema.spec.name.rsplit('.').next().unwrap_or_default();
    let kind = source.spec.source_type.to_lowercase();
    match &source.spec.prefix {
        Some(prefix) => format!("{prefix}_{kind}_{bare}"),
        None => format!("{kind}_{bare}"),
    }
}

pub(crate) fn hogql_name(schema: &Schema, source: &Source) -> String {
    let bare = schema.spec.name.rsplit('.').next().unwrap_or_default();
    let kind = source.spec.source_type.to_lowercase();
    match &source.spec.prefix {
        Some(prefix) => format!("{kind}.{prefix}.{bare}"),
        None => format!("{kind}.{bare}"),
    }
}

pub(crate) fn merge(row: &mut Value, over: &Map<String, Value>) {
    if let Some(row) = row.as_object_mut() {
        row.extend(over.clone());
    }
}

pub(crate) fn remove(row: &mut Value, names: &[String]) {
    if let Some(row) = row.as_object_mut() {
        for name in names {
            row.remove(name);
        }
    }
}
