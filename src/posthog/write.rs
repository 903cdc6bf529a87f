//! The calls that write: what each may contain, and its form on the wire.
//!
//! A closed list. Calls that the operator never sends cannot be expressed here: switching a table off, deleting a source or a table, switching change
//! data capture on or off, changing where a source is reached. A call that exists here may still not be sent: that takes a permit of
//! `decide/safety.rs`.

use std::time::Duration;

use serde_json::{Map, Value, json};
use strum::VariantNames as _;

use super::{
    bounds::MAX_LIST,
    client::{DEADLINE, LIVE_DEADLINE, MAX_ANSWER},
    inputs::Inputs,
    lax::segment,
    transport::{Method, Request},
};

/// A call that writes, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
pub enum Write {
    /// Cancels the run of the table that is newest when it arrives. 200 with an empty body, or with a sentence if there was no run and only the
    /// status was corrected. The job is Failed at once; its workflow may continue, even forever.
    #[strum(serialize = "cancel")]
    Cancel {
        /// The table.
        schema_id: String,
    },
    /// Requests a run. 200 proves nothing: while a run is in flight, the request is dropped. Works for a table that is switched off, too. 400
    /// `Monthly sync limit reached` while any table of the project is Paused, regardless of the bill.
    #[strum(serialize = "reload")]
    Reload {
        /// The table.
        schema_id: String,
    },
    /// Wipes and reimports the table. A 400 may leave a reset pending, which no field shows: the next run then wipes it.
    #[strum(serialize = "resync")]
    Resync {
        /// The table.
        schema_id: String,
    },
    /// Deletes the data of a table, at once and also beside a run. Keeps the error and starts nothing.
    #[strum(serialize = "delete data")]
    DeleteData {
        /// The table.
        schema_id: String,
    },
    /// Changes how a table is synced. Some changes wipe it, and a 400 may leave such a reset pending.
    #[strum(serialize = "change table")]
    PatchSchema(SchemaPatch),
    /// Changes several tables of one source. A 400 may come after some of them were changed.
    #[strum(serialize = "change tables")]
    BulkUpdateSchemas {
        /// The source.
        source_id: String,
        /// What changes.
        patches: Vec<SchemaPatch>,
    },
    /// Sends new `job_inputs`, which `PostHog` tries at the source. Neither reloads nor switches anything on. Secrets
    /// that are left out stay; those of change data capture are ignored silently.
    #[strum(serialize = "change source")]
    PatchSource {
        /// The source.
        source_id: String,
        /// What changes.
        job_inputs: Inputs,
    },
    /// Rereads the source's list of tables and deletes what `PostHog` has of those that vanished.
    #[strum(serialize = "refresh tables")]
    RefreshSchemas {
        /// The source.
        source_id: String,
    },
    /// Makes an endpoint at the vendor, another one each time. 200 also when it failed: `success` tells.
    #[strum(serialize = "create webhook")]
    CreateWebhook {
        /// The source.
        source_id: String,
    },
    /// Sends inputs of the webhook. They are stored even where the answer says that they failed.
    #[strum(serialize = "change webhook inputs")]
    UpdateWebhookInputs {
        /// The source.
        source_id: String,
        /// The inputs, for example `signing_secret`.
        inputs: Inputs,
    },
    /// Removes the webhook at `PostHog` and at the vendor. 400 while a table uses webhook sync.
    #[strum(serialize = "delete webhook")]
    DeleteWebhook {
        /// The source.
        source_id: String,
    },
    /// Resets every captured table, to be imported from its beginning, then recreates slot and publication. Where the database refuses that, it
    /// answers 400, and the tables are still reset. 409 while another repair is in progress.
    #[strum(serialize = "repair CDC")]
    RepairCdc {
        /// The source.
        source_id: String,
    },
}

/// A change of a table; what is not named stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaPatch {
    /// The table.
    pub schema_id: String,
    /// `should_sync: true`. Off is not for the operator to say. Wipes tables that sync by webhook or change data capture.
    pub switch_on: bool,
    /// Another `sync_type`.
    pub sync_type: Option<NewSyncType>,
    /// Another column by which new rows are found. Sent again unchanged, it may start a run: only for a real difference.
    pub incremental_field: Option<IncrementalField>,
    /// Another primary key. Refused while the table has data, unless it had no key.
    pub primary_key_columns: Option<Vec<String>>,
}

/// The sync types that a webhook table takes while its webhook is registered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum NewSyncType {
    /// `full_refresh`
    FullRefresh,
    /// `webhook`: the table is wiped.
    Webhook,
}

/// A column by which new rows are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncrementalField {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: FieldType,
}

/// Type of a column by which new rows are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum FieldType {
    /// `integer`
    Integer,
    /// `numeric`
    Numeric,
    /// `datetime`
    DateTime,
    /// `date`
    Date,
    /// `timestamp`
    Timestamp,
    /// `objectid`
    ObjectId,
}

impl NewSyncType {
    /// Parses `PostHog`'s name; none for a type that the operator does not use.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        word.parse().ok()
    }

    /// `PostHog`'s name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl FieldType {
    /// Parses `PostHog`'s name; none for a type that this version does not know.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        word.parse().ok()
    }

    /// `PostHog`'s name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl SchemaPatch {
    fn fields(&self) -> Map<String, Value> {
        let Self {
            schema_id: _,
            switch_on,
            sync_type,
            incremental_field,
            primary_key_columns,
        } = self;
        let mut fields = Map::new();
        if *switch_on {
            fields.insert("should_sync".into(), json!(true));
        }
        if let Some(sync_type) = sync_type {
            fields.insert("sync_type".into(), json!(sync_type.as_str()));
        }
        if let Some(IncrementalField { name, kind }) = incremental_field {
            fields.insert("incremental_field".into(), json!(name));
            fields.insert("incremental_field_type".into(), json!(kind.as_str()));
        }
        if let Some(columns) = primary_key_columns {
            fields.insert("primary_key_columns".into(), json!(columns));
        }
        fields
    }

    /// Whether the change can make the next run wipe the table, be it answered with an error.
    const fn may_arm_a_reset(&self) -> bool {
        self.switch_on || self.sync_type.is_some() || self.incremental_field.is_some()
    }
}

/// The refusals of a repair that come before it resets the tables. After any other, they are already to be reimported.
fn is_refused_unrepaired(refusal: &str) -> bool {
    const BEFORE_ANY_EFFECT: [&str; 4] = [
        "cdc is not enabled on this source",
        "there are no active cdc schemas on this source to repair",
        "cdc looks healthy on this source",
        "cdc is not supported for source type",
    ];
    let refusal = refusal.trim().to_lowercase();
    BEFORE_ANY_EFFECT
        .iter()
        .any(|known| refusal.starts_with(known))
}

impl Write {
    /// All names of calls.
    pub const NAMES: &'static [&'static str] = Self::VARIANTS;

    /// The one name of the call: on the wire, in status, events, metrics and the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// Whether the call may have had its effect, or half of it, though it was answered 400 with this text.
    #[must_use]
    pub fn may_have_acted(&self, refusal: &str) -> bool {
        match self {
            Self::RepairCdc { .. } => !is_refused_unrepaired(refusal),
            Self::Resync { .. }
            | Self::BulkUpdateSchemas { .. }
            | Self::UpdateWebhookInputs { .. } => true,
            Self::PatchSchema(patch) => patch.may_arm_a_reset(),
            Self::Cancel { .. }
            | Self::Reload { .. }
            | Self::DeleteData { .. }
            | Self::PatchSource { .. }
            | Self::RefreshSchemas { .. }
            | Self::CreateWebhook { .. }
            | Self::DeleteWebhook { .. } => false,
        }
    }

    /// The request; `path` puts the rest of a path below the project's.
    #[must_use]
    pub fn request(&self, path: impl Fn(&str) -> String) -> Request {
        let (method, rest) = self.endpoint();
        Request {
            call: self.name(),
            method,
            path: path(&rest),
            deadline: self.deadline(),
            until: None,
            max_body: match self {
                // Answered with whole rows, of as many tables as the source has.
                Self::PatchSource { .. } | Self::BulkUpdateSchemas { .. } => MAX_LIST,
                _ => MAX_ANSWER,
            },
            body: self.body().map(|body| body.to_string()),
        }
    }

    fn endpoint(&self) -> (Method, String) {
        let schema =
            |id: &str, action: &str| format!("external_data_schemas/{}/{action}", segment(id));
        let source =
            |id: &str, action: &str| format!("external_data_sources/{}/{action}", segment(id));
        match self {
            Self::Cancel { schema_id } => (Method::Post, schema(schema_id, "cancel/")),
            Self::Reload { schema_id } => (Method::Post, schema(schema_id, "reload/")),
            Self::Resync { schema_id } => (Method::Post, schema(schema_id, "resync/")),
            Self::DeleteData { schema_id } => (Method::Delete, schema(schema_id, "delete_data/")),
            Self::PatchSchema(patch) => (Method::Patch, schema(&patch.schema_id, "")),
            Self::BulkUpdateSchemas { source_id, .. } => {
                (Method::Patch, source(source_id, "bulk_update_schemas/"))
            }
            Self::PatchSource { source_id, .. } => (Method::Patch, source(source_id, "")),
            Self::RefreshSchemas { source_id } => {
                (Method::Post, source(source_id, "refresh_schemas/"))
            }
            Self::CreateWebhook { source_id } => {
                (Method::Post, source(source_id, "create_webhook/"))
            }
            Self::UpdateWebhookInputs { source_id, .. } => {
                (Method::Post, source(source_id, "update_webhook_inputs/"))
            }
            Self::DeleteWebhook { source_id } => {
                (Method::Post, source(source_id, "delete_webhook/"))
            }
            Self::RepairCdc { source_id } => (Method::Post, source(source_id, "repair_cdc/")),
        }
    }

    fn body(&self) -> Option<Value> {
        match self {
            Self::PatchSchema(patch) => Some(Value::Object(patch.fields())),
            Self::BulkUpdateSchemas { patches, .. } => {
                let schemas = patches.iter().map(|patch| {
                    let mut fields = patch.fields();
                    fields.insert("id".into(), json!(patch.schema_id));
                    Value::Object(fields)
                });
                Some(json!({"schemas": schemas.collect::<Vec<_>>()}))
            }
            Self::PatchSource { job_inputs, .. } => Some(json!({"job_inputs": job_inputs.json()})),
            Self::UpdateWebhookInputs { inputs, .. } => Some(json!({"inputs": inputs.json()})),
            Self::CreateWebhook { .. } => Some(json!({})),
            Self::Cancel { .. }
            | Self::Reload { .. }
            | Self::Resync { .. }
            | Self::DeleteData { .. }
            | Self::RefreshSchemas { .. }
            | Self::DeleteWebhook { .. }
            | Self::RepairCdc { .. } => None,
        }
    }

    /// `PostHog` answers some of them from its own database, for others it asks source or vendor first.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        match self {
            Self::Cancel { .. }
            | Self::Reload { .. }
            | Self::Resync { .. }
            | Self::DeleteData { .. } => DEADLINE,
            Self::PatchSchema(_)
            | Self::BulkUpdateSchemas { .. }
            | Self::PatchSource { .. }
            | Self::RefreshSchemas { .. }
            | Self::CreateWebhook { .. }
            | Self::UpdateWebhookInputs { .. }
            | Self::DeleteWebhook { .. }
            | Self::RepairCdc { .. } => LIVE_DEADLINE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_leads_to_another_endpoint() {
        let path = |id: &str| {
            let [schema_id, source_id] = [id, id].map(str::to_owned);
            let calls = [
                Write::Reload { schema_id },
                Write::PatchSource {
                    source_id,
                    job_inputs: Inputs::default(),
                },
            ];
            calls.map(|call| call.request(str::to_owned).path)
        };
        for id in [
            "a/resync/?x=",
            "a/../b",
            "..",
            ".",
            "a?b",
            "a#b",
            "a%2Fresync%2F%3F",
            "a\\b",
            "a;b",
            "a b",
            "",
            "é",
        ] {
            let expected = [
                "external_data_schemas/not-an-id/reload/",
                "external_data_sources/not-an-id/",
            ];
            assert_eq!(path(id), expected, "{id:?}");
        }
        let uuid = "0196f0aa-0000-7000-8000-0000000000a1";
        let [reload, _] = path(uuid);
        assert_eq!(reload, format!("external_data_schemas/{uuid}/reload/"));
    }
}
