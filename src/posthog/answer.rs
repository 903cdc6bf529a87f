//! What `PostHog` answers to the calls that write. As everywhere on the wire: only what is used, and tolerant.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    PostHogError,
    client::decode,
    lax::Lax,
    probe::SchemaDetail,
    redact,
    transport::Response,
    wire::{Detail, ErrorBody, Source},
    write::Write,
};

/// The answer to a call that was accepted.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Nothing, or a sentence. Says that `PostHog` accepted the call, not that a run started.
    Taken(Detail),
    /// The table as it is now.
    Schema(Box<SchemaDetail>),
    /// The tables as they are now.
    Schemas(Vec<SchemaDetail>),
    /// The source as it is now; secrets are left out.
    Source(Box<Source>),
    /// The change of the list of tables.
    Refreshed(Refreshed),
    /// Done, or failed: with 200, only the body tells.
    Done(Done),
}

/// What `refresh_schemas` did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Refreshed {
    /// Tables that `PostHog` did not know.
    pub added: Lax<i64>,
    /// Tables whose rows `PostHog` deleted, because they vanished from the source.
    pub deleted: Lax<i64>,
}

/// What the calls on webhooks and change data capture say of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Done {
    /// Whether it worked. Anything but true is a failure of which it is not known how far it went.
    pub success: Lax<bool>,
    /// Why not.
    pub error: Lax<String>,
    /// Inputs that a new webhook still lacks.
    pub pending_inputs: Vec<String>,
}

impl Answer {
    /// Reads the answer to `call`.
    pub fn read(call: &Write, response: &Response) -> Result<Self, PostHogError> {
        let name = call.name();
        match call {
            Write::Cancel { .. }
            | Write::Reload { .. }
            | Write::Resync { .. }
            | Write::DeleteData { .. } => taken(name, response).map(Self::Taken),
            Write::PatchSchema(_) => decode(name, response).map(Self::Schema),
            Write::BulkUpdateSchemas { .. } => decode(name, response).map(Self::Schemas),
            Write::PatchSource { .. } => decode(name, response).map(Self::Source),
            Write::RefreshSchemas { .. } => decode(name, response).map(Self::Refreshed),
            Write::CreateWebhook { .. }
            | Write::UpdateWebhookInputs { .. }
            | Write::DeleteWebhook { .. }
            | Write::RepairCdc { .. } => decode(name, response).map(Self::Done),
        }
    }
}

/// The answer of a call that says little of itself. An empty body is the usual one. What is no object, or says that something
/// failed, is not `PostHog`'s: a proxy, or a version that is not known, may have done nothing.
fn taken(call: &'static str, response: &Response) -> Result<Detail, PostHogError> {
    if response.body.trim_ascii().is_empty() {
        return Ok(Detail::default());
    }
    let said: Map<String, Value> = decode(call, response)?;
    let says = |field: &&str| said.get(*field).is_some_and(|value| !is_nothing(value));
    let is_error = said.get("code").is_some_and(Value::is_string);
    let fails = said.get("success") == Some(&Value::Bool(false));
    if is_error || fails || ["error", "errors"].iter().any(says) {
        let why = ErrorBody::deserialize(Value::Object(said))
            .ok()
            .and_then(ErrorBody::text)
            .unwrap_or_default();
        let reason = format!(
            "the response says that it failed: {}",
            redact::text(&why, 200)
        );
        return Err(PostHogError::Unexpected { call, reason });
    }
    Ok(Detail::deserialize(Value::Object(said)).unwrap_or_default())
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}
