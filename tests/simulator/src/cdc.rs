//! Change data capture of a source: what PostHog stores of it, and what it answers when it looks at the database.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::http;
use crate::message::Response;
use crate::patch::object;
use crate::row::merge;
use crate::simulator::{Call, Simulator};
use crate::state::{Schema, Source};

/// Change data capture of a source. That a scenario names it switches it on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that a scenario names"
)]
pub struct CdcSpec {
    /// Whether it is switched on. Switched off, PostHog keeps nothing of it.
    pub enabled: bool,
    /// `posthog` or `self_managed`.
    pub management_mode: String,
    /// Whether PostHog drops its own slot at the critical lag.
    pub auto_drop_slot: bool,
    /// The replication slot.
    pub slot_name: String,
    /// The publication.
    pub publication_name: String,
    /// Lag from which PostHog warns, in MB.
    pub lag_warning_threshold_mb: i64,
    /// Lag at which PostHog drops a slot of its own, in MB.
    pub lag_critical_threshold_mb: i64,
    /// Whether the schedule of the extraction is paused. Schemas still start runs.
    pub schedule_paused: bool,
    /// Whether the database has the slot.
    pub slot_exists: bool,
    /// Whether the database has the publication.
    pub publication_exists: bool,
    /// How far the slot is behind; shown as null without a slot.
    pub lag_bytes: Option<i64>,
    /// The tables of the publication; those of the source's CDC schemas, if none.
    pub published_tables: Option<Vec<String>>,
    /// What the check of prerequisites finds missing, a sentence each.
    pub errors: Vec<String>,
    /// What it finds only where the body names tables: keys, rights, ownership.
    pub table_errors: Vec<String>,
    /// Slots in use at the database, PostHog's own included, and how many there may be; not checked, if none.
    pub slots: Option<(u32, u32)>,
    /// Why slot and publication cannot be recreated: `repair_cdc` says so (400) after it has reset the tables.
    pub repair_fails: Option<String>,
    /// Why the database cannot be reached (400); the source's `probe_error`, if none.
    pub unreachable: Option<String>,
    /// Merged over what `cdc_status` answers, as the last thing.
    pub raw: Map<String, Value>,
}

impl Default for CdcSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            management_mode: "posthog".to_owned(),
            auto_drop_slot: true,
            slot_name: "posthog_slot".to_owned(),
            publication_name: "posthog_pub".to_owned(),
            lag_warning_threshold_mb: 1024,
            lag_critical_threshold_mb: 10240,
            schedule_paused: false,
            slot_exists: true,
            publication_exists: true,
            lag_bytes: Some(0),
            published_tables: None,
            errors: Vec::new(),
            table_errors: Vec::new(),
            slots: None,
            repair_fails: None,
            unreachable: None,
            raw: Map::new(),
        }
    }
}

impl CdcSpec {
    /// The same with these fields changed.
    pub(crate) fn with(&self, changes: &Map<String, Value>) -> Result<Self, String> {
        let mut fields = json!(self);
        merge(&mut fields, changes);
        serde_json::from_value(fields).map_err(|error| error.to_string())
    }

    /// What the check finds. The body decides what is checked: tables only where it names them, the publication only where somebody
    /// else manages it and the body names it. Slots are always counted, PostHog's own among them.
    fn missing(&self, body: &Map<String, Value>) -> Vec<String> {
        let mut missing = self.errors.clone();
        let tables = body.get("tables").and_then(Value::as_array);
        if tables.is_some_and(|tables| !tables.is_empty()) {
            missing.extend(self.table_errors.iter().cloned());
        }
        let own = body.get("cdc_management_mode") == Some(&json!("self_managed"));
        let publication = body.get("cdc_publication_name").and_then(Value::as_str);
        if let Some(name) = publication.filter(|_| own && !self.publication_exists) {
            missing.push(format!(
                "Publication '{name}' does not exist. Create it with the SQL shown in the setup, then check again."
            ));
        }
        if let Some((used, most)) = self.slots.filter(|(used, most)| used >= most) {
            missing.push(format!(
                "No replication slot capacity available ({used}/{most} slots in use). Increase max_replication_slots or drop unused slots."
            ));
        }
        missing
    }

    /// What a source's `job_inputs` show of it: texts, without their meaning.
    pub(crate) fn inputs(&self) -> Map<String, Value> {
        let python = |value: bool| if value { "True" } else { "False" };
        let inputs = json!({
            "cdc_enabled": python(self.enabled),
            "cdc_management_mode": self.management_mode,
            "cdc_slot_name": self.slot_name,
            "cdc_publication_name": self.publication_name,
            "cdc_auto_drop_slot": python(self.auto_drop_slot),
            "cdc_lag_warning_threshold_mb": self.lag_warning_threshold_mb.to_string(),
            "cdc_lag_critical_threshold_mb": self.lag_critical_threshold_mb.to_string(),
            "cdc_consistent_point": "0/16B3748",
        });
        match inputs {
            Value::Object(inputs) if self.enabled => inputs,
            _ => Map::new(),
        }
    }
}

impl Simulator {
    /// Looks at the database, but not if CDC is off: then there is nothing to look for.
    pub(crate) fn cdc_status(&self, index: usize) -> Result<Response, Response> {
        let source = self.with_cdc(index)?;
        let Some(cdc) = source.spec.cdc.as_ref().filter(|cdc| cdc.enabled) else {
            return Ok(Response::json(200, &json!({"enabled": false})));
        };
        reach(source).map_err(|error| {
            http::message(&format!(
                "Could not connect to source to read CDC status: {error}"
            ))
        })?;
        let mut status = json!({
            "enabled": true,
            "management_mode": cdc.management_mode,
            "slot_name": cdc.slot_name,
            "publication_name": cdc.publication_name,
            "lag_warning_threshold_mb": cdc.lag_warning_threshold_mb,
            "lag_critical_threshold_mb": cdc.lag_critical_threshold_mb,
            "schedule_paused": cdc.schedule_paused,
            "slot_exists": cdc.slot_exists,
            "publication_exists": cdc.publication_exists,
            "lag_bytes": cdc.lag_bytes.filter(|_| cdc.slot_exists),
            "published_tables": self.published(index, cdc),
        });
        merge(&mut status, &cdc.raw);
        Ok(Response::json(200, &status))
    }

    /// Works without CDC, too: it is how one finds out whether it could be switched on.
    pub(crate) fn check_cdc(&self, index: usize, call: &Call<'_>) -> Result<Response, Response> {
        let source = self.with_cdc(index)?;
        let body = if call.request.body.is_empty() {
            Map::new()
        } else {
            object(&call.request.body)?
        };
        let mode = body.get("cdc_management_mode");
        if mode.is_some_and(|mode| mode != "posthog" && mode != "self_managed") {
            return Err(http::message(
                "cdc_management_mode must be 'posthog' or 'self_managed'.",
            ));
        }
        reach(source).map_err(|error| {
            http::message(&format!(
                "Could not connect to source to check prerequisites: {error}"
            ))
        })?;
        let cdc = source.spec.cdc.as_ref();
        let errors = cdc.map_or_else(Vec::new, |cdc| cdc.missing(&body));
        Ok(Response::json(
            200,
            &json!({"valid": errors.is_empty(), "errors": errors}),
        ))
    }

    pub(crate) fn with_cdc(&self, index: usize) -> Result<&Source, Response> {
        let source = self
            .sources
            .get(index)
            .ok_or_else(|| http::not_found("Not found."))?;
        let spec = &source.spec;
        if spec.source_type == "Postgres" && spec.access_method != "direct" {
            return Ok(source);
        }
        Err(http::message(&format!(
            "CDC is not supported for source type: {}",
            spec.source_type
        )))
    }

    fn published(&self, source: usize, cdc: &CdcSpec) -> Vec<String> {
        let captured = |schema: &&Schema| schema.source == source && schema.is("cdc");
        match &cdc.published_tables {
            _ if !cdc.publication_exists => Vec::new(),
            Some(tables) => tables.clone(),
            None => {
                let captured = self.schemas.iter().filter(captured);
                captured.map(|schema| schema.spec.name.clone()).collect()
            }
        }
    }
}

/// Whether the database answers.
pub(crate) fn reach(source: &Source) -> Result<(), &str> {
    let own = source.spec.cdc.as_ref();
    let own = own.and_then(|cdc| cdc.unreachable.as_deref());
    own.or(source.spec.probe_error.as_deref())
        .map_or(Ok(()), Err)
}
