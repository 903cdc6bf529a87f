//! `PATCH` of `sync_type` and `cdc_table_mode`: what PostHog refuses, and when it reimports the table.

use serde_json::{Map, Value, json};

use crate::effect::Trigger;
use crate::http;
use crate::message::Response;
use crate::patch::needs_key;
use crate::simulator::{Call, Simulator};
use crate::state::Schema;
use crate::webhook::supports_webhooks;

const SYNC_TYPES: [&str; 6] = [
    "full_refresh",
    "incremental",
    "append",
    "webhook",
    "cdc",
    "xmin",
];
const TABLE_MODES: [&str; 3] = ["consolidated", "cdc_only", "both"];

/// What a `PATCH` says of how a table is synced.
pub(crate) struct SyncChange {
    pub(crate) to: Option<String>,
    table_mode: Option<String>,
}

impl SyncChange {
    pub(crate) fn checked(body: &Map<String, Value>) -> Result<Self, Response> {
        Ok(Self {
            to: choice(body, "sync_type", &SYNC_TYPES)?,
            table_mode: choice(body, "cdc_table_mode", &TABLE_MODES)?,
        })
    }

    fn changes_type(&self, schema: &Schema) -> bool {
        self.to.as_ref().is_some_and(|to| !schema.is(to))
    }

    /// Whether the table has to be reimported, where that is counted against the limit.
    fn counts(&self, schema: &Schema) -> bool {
        let crosses_xmin = schema.is("xmin") || self.to.as_deref() == Some("xmin");
        (self.changes_type(schema) && (crosses_xmin || leaves_cdc_only(schema)))
            || self.gains_target(schema)
    }

    /// A mode that fills a table which the old one did not fill.
    fn gains_target(&self, schema: &Schema) -> bool {
        let from = table_mode(schema);
        let stays = !self.changes_type(schema) && schema.is("cdc");
        stays && from != "both" && self.table_mode.as_ref().is_some_and(|to| to != from)
    }

    fn forces_reset(&self, schema: &Schema) -> bool {
        let starts_anew = matches!(self.to.as_deref(), Some("webhook" | "cdc"));
        self.counts(schema) || (self.changes_type(schema) && starts_anew)
    }
}

impl Simulator {
    pub(crate) fn check_sync_change(
        &self,
        index: usize,
        change: &SyncChange,
        call: &Call<'_>,
    ) -> Result<(), Response> {
        let Some(schema) = self.schemas.get(index) else {
            return Ok(());
        };
        if let Some(to) = &change.to {
            self.check_sync_type(index, schema, to)?;
        }
        if change.counts(schema) {
            self.check_not_paused(call.project)?;
        }
        Ok(())
    }

    /// Every type but webhook is checked against the customer's source.
    fn check_sync_type(&self, index: usize, schema: &Schema, to: &str) -> Result<(), Response> {
        let refuse = |text: &str| Err(http::validation(None, text));
        let Some(source) = self.sources.get(schema.source) else {
            return Ok(());
        };
        let (name, kind) = (&schema.spec.name, &source.spec.source_type);
        let postgres = kind == "Postgres";
        let captured = source.spec.cdc.as_ref().is_some_and(|cdc| cdc.enabled);
        let webhook_only = schema.spec.incremental_fields.get("webhook_only");
        let keys = schema.spec.primary_key_columns.as_ref();
        match to {
            "webhook" if !supports_webhooks(source) => {
                refuse("Failed to set up webhook: this source type does not support webhooks")
            }
            "webhook" => match &source.spec.probe_error {
                Some(error) => refuse(&format!("Failed to register webhook: {error}")),
                None => Ok(()),
            },
            _ if webhook_only == Some(&json!(true)) => refuse(&format!(
                "{name} can only be synced via webhooks — pick the Webhook sync method."
            )),
            "cdc" if !postgres => refuse(&format!("CDC is not supported for {kind} sources.")),
            "cdc" if !captured => refuse("CDC is not enabled for this team"),
            "cdc" if keys.is_none_or(Vec::is_empty) => refuse(&needs_key(name)),
            "xmin" if !postgres => {
                refuse("xmin replication is only available for Postgres sources.")
            }
            _ => {
                let seen = self.incremental_fields(index);
                seen.map(|_| ()).map_err(|error| {
                    let text = error.value()["message"].clone();
                    http::validation(None, text.as_str().unwrap_or_default())
                })
            }
        }
    }

    /// Says whether a run is to start.
    pub(crate) fn change_sync(&mut self, index: usize, change: SyncChange) -> bool {
        let now = self.now();
        let Some(schema) = self.schemas.get_mut(index) else {
            return false;
        };
        let source = schema.source;
        let changes_type = change.changes_type(schema);
        let forces_reset = change.forces_reset(schema);
        let leaves_the_log = changes_type && schema.is("cdc");
        let SyncChange { to, table_mode } = change;
        let to_webhook = to.as_deref() == Some("webhook");
        schema.spec.sync_type = to.or_else(|| schema.spec.sync_type.take());
        schema.spec.cdc_table_mode = table_mode.or_else(|| schema.spec.cdc_table_mode.take());
        if leaves_the_log {
            self.lose_position(index, now, Some(Trigger::Change));
        }
        if forces_reset {
            self.arm(index, Trigger::Change);
        }
        if to_webhook {
            self.register_webhook_if_missing(source);
        }
        forces_reset
    }
}

fn table_mode(schema: &Schema) -> &str {
    let mode = schema.spec.cdc_table_mode.as_deref();
    mode.unwrap_or("consolidated")
}

fn leaves_cdc_only(schema: &Schema) -> bool {
    schema.is("cdc") && table_mode(schema) == "cdc_only"
}

fn choice(
    body: &Map<String, Value>,
    field: &str,
    choices: &[&str],
) -> Result<Option<String>, Response> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let text = value.as_str().unwrap_or_default();
            if choices.contains(&text) {
                return Ok(Some(text.to_owned()));
            }
            let refusal = format!("\"{text}\" is not a valid choice.");
            Err(http::validation(Some(field), &refusal))
        }
    }
}
