//! `POST query/`: not a database, but answers to the two kinds of query that [`crate::sql`] understands, and the log of a webhook.

use serde_json::{Value, json};

use crate::column::{Column, columns};
use crate::http;
use crate::message::Response;
use crate::patch::object;
use crate::row::{hogql_name, table_name};
use crate::simulator::{Call, Simulator};
use crate::sql::{self, Asked, Query};
use crate::state::Schema;

impl Simulator {
    pub(crate) fn query(&self, call: &Call<'_>) -> Result<Response, Response> {
        let refused = |text: String| http::validation(None, &text);
        let text = hogql(&call.request.body)?;
        if let Some(function) = sql::webhook_log(&text) {
            return Ok(self.webhook_log(function, call.project));
        }
        let Query {
            table,
            names,
            asked,
        } = sql::parse(&text).map_err(refused)?;
        let schema = self
            .queried(&table, call.project)
            .ok_or_else(|| refused(format!("Unknown table `{table}`.")))?;
        let known = columns(&schema.spec);
        let column = |name: &String| {
            let found = known.iter().find(|column| column.name == *name);
            found.ok_or_else(|| refused(sql::unresolved(name)))
        };
        let (types, row) = match &asked {
            Asked::Duplicates(keys) => {
                keys.iter().try_for_each(|key| column(key).map(drop))?;
                let (groups, rows) = schema.duplicates(keys);
                (vec!["UInt64", "UInt64"], json!([groups, rows]))
            }
            Asked::Newest(name) => {
                let column = column(name)?;
                (vec![stored_as(column)], json!([schema.newest(column)]))
            }
        };
        let types: Vec<Value> = names
            .iter()
            .zip(types)
            .map(|(name, kind)| json!([name, kind]))
            .collect();
        Ok(Response::json(
            200,
            &json!({"columns": names, "types": types, "results": [row], "hasMore": false}),
        ))
    }

    /// Newest first. An unknown function has no lines.
    fn webhook_log(&self, function: &str, project: u64) -> Response {
        let mut sources = self.sources.iter();
        let source = sources.find(|source| source.id == function && source.project == project);
        let mut lines: Vec<_> = (source.iter())
            .flat_map(|source| {
                source
                    .spec
                    .webhook_log
                    .iter()
                    .map(move |line| (*source, line))
            })
            .collect();
        lines.sort_by_key(|(_, line)| line.ago);
        let rows: Vec<Value> = (lines.into_iter())
            .map(|(source, line)| {
                let start = crate::clock::plus(source.created_at, source.spec.created_ago);
                let at = crate::clock::minus(start, line.ago);
                json!([crate::clock::text(at), line.level, line.message])
            })
            .collect();
        let columns = ["timestamp", "level", "message"];
        let types = [
            ["timestamp", "DateTime64(6, 'UTC')"],
            ["level", "String"],
            ["message", "String"],
        ];
        let answer = json!({"columns": columns, "types": types, "results": rows, "hasMore": false});
        Response::json(200, &answer)
    }

    /// The table of that name, dotted or as it is stored. One that the key's owner may not see is not there.
    fn queried(&self, table: &str, project: u64) -> Option<&Schema> {
        self.schemas.iter().find(|schema| {
            let source = self.sources.get(schema.source);
            let named = source.is_some_and(|source| {
                source.project == project
                    && (hogql_name(schema, source) == table || table_name(schema, source) == table)
            });
            named && schema.table.is_some() && !schema.spec.invisible
        })
    }
}

/// The text of a request's `HogQLQuery`.
fn hogql(body: &[u8]) -> Result<String, Response> {
    let body = object(body)?;
    let Some(query) = body.get("query").and_then(Value::as_object) else {
        return Err(http::validation(Some("query"), "This field is required."));
    };
    match query.get("kind").and_then(Value::as_str) {
        Some("HogQLQuery") => {}
        kind => {
            let kind = kind.unwrap_or("no kind");
            return Err(http::not_simulated(&format!("a query of {kind}")));
        }
    }
    let text = query.get("query").and_then(Value::as_str);
    text.filter(|text| !text.trim().is_empty())
        .map(str::to_owned)
        .ok_or_else(|| http::validation(None, "Empty query"))
}

fn stored_as(column: &Column) -> &'static str {
    match column.kind.as_str() {
        "integer" => "Nullable(Int64)",
        "float" => "Nullable(Float64)",
        "decimal" => "Nullable(Decimal(76, 32))",
        "datetime" => "Nullable(DateTime64(6, 'UTC'))",
        "date" => "Nullable(Date)",
        "boolean" => "Nullable(Bool)",
        _ => "Nullable(String)",
    }
}
