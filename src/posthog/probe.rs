//! What `PostHog` answers to probes of one table or one source. As everywhere on the wire: only the fields that
//! are used, each tolerant of values that this version does not know.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    lax::Lax,
    wire::{Schema, Source, Table},
};

/// A table alone, with the fields that the list omits.
#[derive(Debug, Clone, Deserialize)]
pub struct SchemaDetail {
    /// What the list says of it, too.
    #[serde(flatten)]
    pub row: Schema,
    /// The column by which new rows are found.
    #[serde(default)]
    pub incremental_field: Lax<String>,
    /// The type of that column.
    #[serde(default)]
    pub incremental_field_type: Lax<String>,
    /// `missing_primary_key` or `duplicate_primary_key`: the best sign of the two, better than any text.
    #[serde(default)]
    pub incremental_sync_blocked: Lax<String>,
    /// Columns of the declared primary key; null if none is declared.
    #[serde(default)]
    pub primary_key_columns: Option<Vec<String>>,
    /// The table in the warehouse; null before the first sync.
    #[serde(default, rename = "table")]
    pub stored: Option<StoredTable>,
}

impl SchemaDetail {
    /// The table as a row of the list.
    #[must_use]
    pub fn listed(&self) -> Schema {
        Schema {
            table: self.stored.as_ref().map(|stored| stored.table.clone()),
            ..self.row.clone()
        }
    }
}

/// A table in the warehouse, as queries see it.
#[derive(Debug, Clone, Deserialize)]
pub struct StoredTable {
    /// What the list says of it, too.
    #[serde(flatten)]
    pub table: Table,
    /// Its name in a query, for example `postgres.prod.orders`.
    #[serde(default)]
    pub hogql_name: Lax<String>,
    /// Its columns.
    #[serde(default)]
    pub columns: Vec<Column>,
}

/// A column.
#[derive(Debug, Clone, Deserialize)]
pub struct Column {
    /// Its name.
    #[serde(default)]
    pub name: Lax<String>,
}

/// What `PostHog` found when it looked at a table in the customer's source.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct IncrementalFields {
    /// Columns by which new rows could be found.
    pub incremental_fields: Vec<Field>,
    /// All columns, where the source tells them.
    pub available_columns: Vec<Field>,
    /// Columns of the primary key that the source declares.
    pub detected_primary_keys: Option<Vec<String>>,
    /// Whether it can be synced in no other way than by webhook.
    pub webhook_only: Lax<bool>,
    /// Whether it can be read whole each time.
    pub full_refresh_available: Lax<bool>,
}

impl IncrementalFields {
    /// Whether the source has a column of this name; none if the answer lists no column at all.
    #[must_use]
    pub fn has_column(&self, name: &str) -> Option<bool> {
        let mut columns = self
            .available_columns
            .iter()
            .chain(&self.incremental_fields)
            .filter_map(|column| column.field.get())
            .peekable();
        columns.peek()?;
        Some(columns.any(|column| column == name))
    }

    /// The same of every column, also of one that new rows cannot be found by; none if the source does not tell its columns.
    #[must_use]
    pub fn tells_of(&self, name: &str) -> Option<bool> {
        let mut columns = self
            .available_columns
            .iter()
            .filter_map(|column| column.field.get())
            .peekable();
        columns.peek()?;
        Some(columns.any(|column| column == name))
    }
}

/// A column in the customer's source.
#[derive(Debug, Clone, Deserialize)]
pub struct Field {
    /// Its name.
    #[serde(default)]
    pub field: Lax<String>,
    /// Its type as an incremental field, in `PostHog`'s words; only of those that can be one.
    #[serde(default)]
    pub field_type: Lax<String>,
}

/// How the webhook of a source stands, at `PostHog` and at the vendor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WebhookInfo {
    /// Whether the source can have one.
    pub supports_webhooks: Lax<bool>,
    /// Whether `PostHog` has its side of it. Says nothing of the vendor's.
    pub exists: Lax<bool>,
    /// Why it can never be made for the source as it is connected; null if nothing is known against it.
    pub auto_creation_blocked_reason: Lax<String>,
    /// `PostHog`'s side.
    pub hog_function: Option<HogFunction>,
    /// Its inputs by name, never with a secret value; an older `PostHog` does not tell.
    pub inputs: Value,
    /// The vendor's side; null if the source does not know it or may not read it: unknown, not broken.
    pub external_status: Option<ExternalStatus>,
    /// Events of enabled tables that the vendor does not send.
    pub missing_events: Option<Vec<String>>,
}

impl WebhookInfo {
    /// Why it cannot be registered, if that is known.
    #[must_use]
    pub fn creation_is_blocked(&self) -> Option<&str> {
        let reason = self.auto_creation_blocked_reason.get()?.trim();
        (!reason.is_empty()).then_some(reason)
    }

    /// Whether an input has a value; none if the answer does not contain inputs.
    #[must_use]
    pub fn has_input(&self, name: &str) -> Option<bool> {
        Some(self.inputs.as_object()?.get(name).is_some_and(is_set))
    }

    /// The names of the inputs that it shows without a value.
    pub fn empty_inputs(&self) -> impl Iterator<Item = &str> {
        let inputs = self.inputs.as_object().into_iter().flatten();
        inputs
            .filter(|(_, shown)| !is_set(shown))
            .map(|(name, _)| name.as_str())
    }

    /// True if both sides certainly stand, as far as the vendor's can be read, and no event is missing.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let function = self.hog_function.as_ref();
        let vendor = self.external_status.as_ref().is_none_or(|external| {
            external.exists == Lax::Is(true)
                && external
                    .status
                    .get()
                    .is_some_and(|status| status == "enabled")
                && external.error == Lax::Null
        });
        self.exists == Lax::Is(true)
            && function.is_some_and(|function| {
                function.enabled == Lax::Is(true) && function.state() == FunctionState::Works
            })
            && vendor
            && self.missing_events.as_ref().is_none_or(Vec::is_empty)
            && self.empty_inputs().next().is_none()
    }
}

/// A secret is shown as `{"secret": true}`, anything else as `{"value": …}`.
fn is_set(shown: &Value) -> bool {
    let is_something =
        |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && *value != "";
    match shown {
        Value::Object(parts) => ["secret", "value"]
            .iter()
            .any(|part| parts.get(*part).is_some_and(is_something)),
        other => is_something(other),
    }
}

/// `PostHog`'s side of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HogFunction {
    /// UUID.
    #[serde(default)]
    pub id: Lax<String>,
    /// Whether it is switched on.
    #[serde(default)]
    pub enabled: Lax<bool>,
    /// How `PostHog`'s watcher rates it; see [`HogFunction::state`].
    #[serde(default)]
    pub status: Value,
}

/// How `PostHog`'s watcher rates its side of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionState {
    /// It takes events, or nothing is known against it.
    Works,
    /// It takes them late, from a queue of its own.
    Degraded,
    /// It takes none, although it is switched on.
    Disabled,
    /// The watcher did not answer.
    NoAnswer,
    /// A value that this version does not know.
    Unknown(String),
}

impl HogFunction {
    /// How the watcher rates it; only what is known to be good is good. The numbers are those of `HogWatcherState` in `PostHog`, and of
    /// its first version, which had 4; 0 is what the API says when the watcher does not answer. An old `PostHog` shows no rating.
    #[must_use]
    pub fn state(&self) -> FunctionState {
        let state = match &self.status {
            Value::Object(status) => status.get("state").unwrap_or(&Value::Null),
            other => other,
        };
        let text = state.as_str().map(str::to_lowercase);
        let says = |word: &str| text.as_ref().is_some_and(|text| text.contains(word));
        match (state.is_null(), state.as_i64()) {
            (true, _) | (_, Some(1)) => FunctionState::Works,
            (_, Some(0)) => FunctionState::NoAnswer,
            (_, Some(2 | 11)) => FunctionState::Degraded,
            (_, Some(3 | 4 | 12)) => FunctionState::Disabled,
            _ if text.as_deref() == Some("healthy") => FunctionState::Works,
            _ if says("disabled") => FunctionState::Disabled,
            _ if says("degraded") || says("overflow") => FunctionState::Degraded,
            _ => FunctionState::Unknown(state.to_string()),
        }
    }
}

/// The vendor's side of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExternalStatus {
    /// Whether the vendor has it.
    #[serde(default)]
    pub exists: Lax<bool>,
    /// `enabled`, or what the vendor calls the contrary.
    #[serde(default)]
    pub status: Lax<String>,
    /// Why the vendor's side could not be read; mostly a permission that the key lacks.
    #[serde(default)]
    pub error: Lax<String>,
}

/// How change data capture of a source stands. `PostHog` asks the database for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CdcStatus {
    /// Whether it is switched on.
    pub enabled: Lax<bool>,
    /// `posthog` or `self_managed`: who manages slot and publication.
    pub management_mode: Lax<String>,
    /// The replication slot.
    pub slot_name: Lax<String>,
    /// The publication.
    pub publication_name: Lax<String>,
    /// Lag from which `PostHog` warns, in MB.
    pub lag_warning_threshold_mb: Lax<i64>,
    /// Lag at which `PostHog` drops a slot of its own, in MB.
    pub lag_critical_threshold_mb: Lax<i64>,
    /// Whether the schedule stands still.
    pub schedule_paused: Lax<bool>,
    /// Whether the database still has the slot.
    pub slot_exists: Lax<bool>,
    /// Whether the database still has the publication.
    pub publication_exists: Lax<bool>,
    /// How far the slot is behind, in bytes.
    pub lag_bytes: Lax<i64>,
}

/// What is to be checked of a database for change data capture. `PostHog` checks only what the body names: without tables neither keys
/// nor rights, and a publication only if it knows who manages it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct CdcCheck {
    /// Who manages slot and publication; none if it is not known.
    #[serde(
        rename = "cdc_management_mode",
        skip_serializing_if = "Option::is_none"
    )]
    pub management_mode: Option<String>,
    /// The publication; none if it is not known.
    #[serde(
        rename = "cdc_publication_name",
        skip_serializing_if = "Option::is_none"
    )]
    pub publication_name: Option<String>,
    /// The captured tables, by name.
    pub tables: Vec<String>,
}

impl CdcCheck {
    /// Everything that change data capture of a source needs; `status` is its current state, as far as it is known.
    #[must_use]
    pub fn of(source: &Source, status: Option<&CdcStatus>) -> Self {
        let captured =
            (source.schemas.iter()).filter(|schema| schema.syncs_by("cdc") && schema.is_on());
        let said = |field: fn(&CdcStatus) -> &Lax<String>| {
            let said = status.and_then(|status| field(status).get());
            said.filter(|said| !said.is_empty()).cloned()
        };
        Self {
            // Another word would be refused.
            management_mode: said(|status| &status.management_mode)
                .filter(|mode| matches!(mode.as_str(), "posthog" | "self_managed")),
            publication_name: said(|status| &status.publication_name),
            tables: captured.map(|schema| schema.name.to_string()).collect(),
        }
    }
}

/// Whether a database fulfils what change data capture needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CdcPrerequisites {
    /// Whether it does.
    pub valid: bool,
    /// What is missing, a sentence each.
    #[serde(default)]
    pub errors: Vec<String>,
}

impl CdcPrerequisites {
    /// What is missing; empty if nothing is. `PostHog` counts its own slot: if the database `has_slot`, the last place is not missing.
    #[must_use]
    pub fn missing(&self, has_slot: bool) -> Vec<String> {
        const UNNAMED: &str = "PostHog does not show what";
        if self.valid {
            return Vec::new();
        }
        let is_own_place = |error: &str| {
            let error = error.to_lowercase();
            has_slot && error.contains("no replication slot capacity")
        };
        let missing = self.errors.iter().filter(|error| !is_own_place(error));
        if self.errors.is_empty() {
            vec![UNNAMED.to_owned()]
        } else {
            missing.cloned().collect()
        }
    }
}

/// Answer to a query.
#[derive(Debug, Clone, Deserialize)]
pub struct QueryAnswer {
    /// The rows.
    pub results: Vec<Vec<Value>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_alone_is_read_with_its_row() {
        let json = r#"{"id":"a1","name":"public.orders","status":"Failed","should_sync":true,"sync_type":"incremental",
            "sync_frequency":"6hour","incremental_field":"updated_at","incremental_sync_blocked":"duplicate_primary_key",
            "primary_key_columns":null,"table":{"id":"t","hogql_name":"postgres.prod.orders","row_count":3,
            "columns":[{"name":"id","type":"integer"}]},"available_columns":[]}"#;
        let detail: SchemaDetail = serde_json::from_str(json).unwrap();
        assert_eq!(detail.row.id, "a1");
        assert_eq!(detail.stored.unwrap().columns[0].name, Lax::Is("id".into()));
    }

    #[test]
    fn answers_without_any_known_field_are_read_as_unknown() {
        assert_eq!(
            serde_json::from_str::<WebhookInfo>("{}").unwrap(),
            WebhookInfo::default()
        );
        assert_eq!(
            serde_json::from_str::<CdcStatus>(r#"{"lag_bytes":"many"}"#)
                .unwrap()
                .lag_bytes,
            Lax::Odd
        );
    }

    #[test]
    fn an_input_is_set_if_posthog_shows_its_marker_or_a_value() {
        for (shown, expected) in [
            (r#"{"k":{"secret":true}}"#, Some(true)),
            (r#"{"k":{"value":"u"}}"#, Some(true)),
            (r#"{"k":{"secret":true,"value":null}}"#, Some(true)),
            (r#"{"k":null}"#, Some(false)),
            (r#"{"k":{}}"#, Some(false)),
            (r#"{"k":{"value":null}}"#, Some(false)),
            (r#"{"k":{"value":""}}"#, Some(false)),
            (r#"{"k":{"secret":false}}"#, Some(false)),
            ("{}", Some(false)),
            ("null", None),
            ("[]", None),
        ] {
            let info = format!(r#"{{"exists":true,"inputs":{shown}}}"#);
            let info: WebhookInfo = serde_json::from_str(&info).unwrap();
            assert_eq!(info.has_input("k"), expected, "{shown}");
        }
        assert_eq!(WebhookInfo::default().has_input("k"), None);
    }

    #[test]
    fn an_answer_that_lists_no_column_does_not_say_that_one_was_deleted() {
        let fields: IncrementalFields =
            serde_json::from_str(r#"{"incremental_fields":[]}"#).unwrap();
        assert_eq!(fields.has_column("id"), None);
        let fields: IncrementalFields =
            serde_json::from_str(r#"{"available_columns":[{"field":"id"}]}"#).unwrap();
        assert_eq!(
            (fields.has_column("id"), fields.has_column("gone")),
            (Some(true), Some(false))
        );
    }
}
