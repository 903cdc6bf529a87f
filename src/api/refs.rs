//! What a spec refers to: keys of Secrets, and sources.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// One key of a Secret in the policy's namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key below the Secret's `data`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A value that is in a Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FromSecret {
    /// The Secret, in the policy's namespace, and the key in it.
    pub secret_ref: SecretKeyRef,
}

/// One source: by its id, or by type and prefix.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.id) ? !has(self.type) && !has(self.prefix) : has(self.type) || has(self.prefix)")
    .message("name a source by its id, or by type, prefix or both"))]
pub struct SourceRef {
    /// Id of the source (UUID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub id: Option<String>,
    /// Type as PostHog names it, for example Postgres. Upper and lower case do not matter.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub type_: Option<String>,
    /// Prefix of the source, matched exactly; empty for a source without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub prefix: Option<String>,
}

impl SourceRef {
    /// True if this refers to a source of this type, prefix and id.
    #[must_use]
    pub fn matches(&self, source_type: &str, prefix: &str, id: &str) -> bool {
        let Self {
            id: own_id,
            type_,
            prefix: own_prefix,
        } = self;
        own_id
            .as_ref()
            .is_none_or(|own| own.eq_ignore_ascii_case(id))
            && type_
                .as_ref()
                .is_none_or(|own| own.eq_ignore_ascii_case(source_type))
            && own_prefix.as_ref().is_none_or(|own| own == prefix)
    }
}
