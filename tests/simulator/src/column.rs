//! The columns of a table: those that a scenario names, or those that follow from its other fields.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::scenario::SchemaSpec;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// `integer`, `float`, `decimal`, `string`, `datetime`, `date`, `boolean`, …
    #[serde(rename = "type", default = "string")]
    pub kind: String,
    /// Whether it may be null at the source.
    #[serde(default)]
    pub nullable: bool,
}

fn string() -> String {
    "string".to_owned()
}

impl Column {
    fn new(name: &str, kind: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            nullable: false,
        }
    }

    /// In the `columns` of a table.
    pub(crate) fn of_table(&self) -> Value {
        json!({"name": self.name, "type": self.kind})
    }

    /// In the `available_columns` of a schema's row.
    pub(crate) fn available(&self) -> Value {
        json!({"name": self.name, "data_type": self.kind, "is_nullable": self.nullable})
    }

    /// The columns in the answer of `incremental_fields`.
    pub(crate) fn at_source(&self) -> Value {
        json!({"field": self.name, "label": self.name, "type": self.kind, "nullable": self.nullable})
    }
}

/// By default the primary key, the incremental field, and the columns that `data` mentions.
pub(crate) fn columns(spec: &SchemaSpec) -> Vec<Column> {
    if !spec.columns.is_empty() {
        return spec.columns.clone();
    }
    let keys = spec.primary_key_columns.iter().flatten();
    let keys = keys.map(|name| Column::new(name, "integer"));
    let kind = kind_of(spec.incremental_field_type.as_deref());
    let field = spec.incremental_field.iter();
    let field = field.map(|name| Column::new(name, kind));
    let newest = spec.data.newest.iter();
    let newest = newest.map(|own| Column::new(&own.column, "datetime"));
    let twice = spec.data.duplicates.iter().flat_map(|own| &own.columns);
    let twice = twice.map(|name| Column::new(name, "string"));
    let mut columns: Vec<Column> = Vec::new();
    for column in keys.chain(field).chain(newest).chain(twice) {
        if !columns.iter().any(|known| known.name == column.name) {
            columns.push(column);
        }
    }
    columns
}

/// What a table's column is called that an incremental field of this type comes to be in.
fn kind_of(incremental_field_type: Option<&str>) -> &'static str {
    match incremental_field_type {
        Some("integer") => "integer",
        Some("numeric") => "decimal",
        Some("date") => "date",
        Some("objectid" | "xid") => "string",
        _ => "datetime",
    }
}
