//! `PATCH sources/{id}/bulk_update_schemas/`: what a `PATCH` of each schema would do, in one request.

use serde_json::{Map, Value};

use crate::http;
use crate::message::Response;
use crate::patch::{Changes, object};
use crate::simulator::{Call, Simulator};

impl Simulator {
    /// Refused as a whole while anything in it is wrong. What fails while it is written leaves the others written.
    pub(crate) fn bulk_update_schemas(
        &mut self,
        source: usize,
        call: &Call<'_>,
    ) -> Result<Response, Response> {
        let body = object(&call.request.body)?;
        let entries = body.get("schemas").and_then(Value::as_array);
        let entries =
            entries.ok_or_else(|| http::validation(Some("schemas"), "This field is required."))?;
        let mut checked = Vec::new();
        for entry in entries {
            checked.push(self.entry(source, entry, call)?);
        }
        let indices: Vec<usize> = checked.iter().map(|(index, _)| *index).collect();
        let mut failed = Vec::new();
        for (index, changes) in checked {
            if self.apply(index, changes).is_err() {
                failed.push(self.name_of(index));
            }
        }
        if !failed.is_empty() {
            return Err(http::framework(
                400,
                "validation_error",
                "bulk_schema_save_failed",
                &format!("Failed to update schemas: {}", failed.join(", ")),
            ));
        }
        let rows = indices.iter().filter_map(|index| self.schemas.get(*index));
        let rows = rows.map(|schema| self.schema_row(schema, true)).collect();
        Ok(Response::json(200, &Value::Array(rows)))
    }

    fn entry(
        &self,
        source: usize,
        entry: &Value,
        call: &Call<'_>,
    ) -> Result<(usize, Changes), Response> {
        let empty = Map::new();
        let fields = entry.as_object().unwrap_or(&empty);
        let id = fields.get("id").and_then(Value::as_str).unwrap_or_default();
        let index = self.editable(id, call)?;
        let own = self.schemas.get(index).map(|schema| schema.source);
        if own != Some(source) {
            return Err(http::not_found("Not found."));
        }
        Ok((index, self.checked(index, fields, call)?))
    }

    fn name_of(&self, index: usize) -> String {
        let schema = self.schemas.get(index);
        schema.map_or_else(String::new, |schema| schema.spec.name.clone())
    }
}
