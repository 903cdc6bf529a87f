//! `incremental_fields`: reads the source live.

use serde_json::{Value, json};

use crate::column::{Column, columns};
use crate::http;
use crate::message::Response;
use crate::row::merge;
use crate::simulator::Simulator;
use crate::state::Schema;

impl Simulator {
    pub(crate) fn incremental_fields(&self, index: usize) -> Result<Response, Response> {
        let schema = self
            .schemas
            .get(index)
            .ok_or_else(|| http::not_found("Not found."))?;
        let source_error = self
            .sources
            .get(schema.source)
            .and_then(|source| source.spec.probe_error.as_deref());
        if let Some(error) = source_error.or(schema.spec.probe_error.as_deref()) {
            if !self.instance.api.answers_400 {
                return Err(http::server_error());
            }
            return Err(http::message(error));
        }
        if schema.spec.table_gone {
            return Err(http::message(&format!(
                "Schema with name {} not found",
                schema.spec.name
            )));
        }
        Ok(Response::json(200, &live_read(schema)))
    }
}

/// The fields by which the table can be synced incrementally.
pub(crate) fn candidates(schema: &Schema) -> Vec<Value> {
    live_read(schema)["incremental_fields"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn live_read(schema: &Schema) -> Value {
    let candidates: Vec<Value> = schema
        .spec
        .incremental_field
        .iter()
        .map(|field| candidate(schema, field))
        .collect();
    let columns = columns(&schema.spec);
    let mut live_read = json!({
        "incremental_available": !candidates.is_empty(),
        "append_available": !candidates.is_empty(),
        "incremental_fields": candidates,
        "cdc_available": null,
        "xmin_available": false,
        "full_refresh_available": true,
        "supports_webhooks": false,
        "webhook_only": false,
        "available_columns": columns.iter().map(Column::at_source).collect::<Vec<_>>(),
        "detected_primary_keys": schema.spec.primary_key_columns,
        "primary_key_detection_supported": true,
    });
    merge(&mut live_read, &schema.spec.incremental_fields);
    live_read
}

fn candidate(schema: &Schema, field: &str) -> Value {
    let kind = schema
        .spec
        .incremental_field_type
        .as_deref()
        .unwrap_or("timestamp");
    json!({
        "label": field,
        "type": kind,
        "field": field,
        "field_type": kind,
        "nullable": false,
        "is_indexed": true,
    })
}
