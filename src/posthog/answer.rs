//! What `PostHog` answers to the calls that write. As everywhere on the wire: only what is used, and tolerant.

use serde::Deserialize;

use super::{
    PostHogError,
    client::decode,
    lax::Lax,
    probe::SchemaDetail,
    transport::Response,
    wire::{Detail, Source},
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
            | Write::DeleteData { .. } => {
                // An empty body is the usual one.
                let said = serde_json::from_slice(&response.body);
                Ok(Self::Taken(said.unwrap_or_default()))
            }
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
