//! What a spec refers to: keys of Secrets, and sources.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use std::fmt;

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

/// The use of one key of a Secret by a policy: filling inputs of a source. The Secret's owner must allow exactly this
/// use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CredentialUse {
    /// The Secret, and the key in it.
    pub secret_ref: SecretKeyRef,
    /// The source, as the policy names it.
    pub source: SourceRef,
    /// Names of all inputs that the policy fills from this Secret, also from other keys of it; sorted.
    pub inputs: Vec<String>,
}

/// As [`SourceRef::parse`] reads it: `type=Stripe,prefix=prod`, `id=…`.
impl fmt::Display for SourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, type_, prefix } = self;
        let parts = [("id", id), ("type", type_), ("prefix", prefix)];
        let parts = parts
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        f.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}

impl SourceRef {
    /// Reads `id=…`, `type=…`, `prefix=…` or `type=…,prefix=…`. Everything after `prefix=` is the prefix.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mut named, mut rest) = (Self::default(), text);
        if let Some(id) = rest.strip_prefix("id=") {
            named.id = Some(id.to_owned());
            return Some(named);
        }
        if let Some(after) = rest.strip_prefix("type=") {
            let (type_, prefix) = after.split_once(',').unzip();
            named.type_ = Some(type_.unwrap_or(after).to_owned());
            rest = prefix.unwrap_or_default();
            if prefix.is_none() {
                return Some(named);
            }
        }
        named.prefix = Some(rest.strip_prefix("prefix=")?.to_owned());
        Some(named)
    }

    /// True if both name a source in the same way. Upper and lower case of a type or id do not matter.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let same = |one: &Option<String>, other: &Option<String>| match (one, other) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let Self { id, type_, prefix } = other;
        same(&self.id, id) && same(&self.type_, type_) && self.prefix == *prefix
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_names_the_same_source_when_it_is_read() {
        for text in [
            "id=0191",
            "type=Stripe",
            "prefix=prod",
            "prefix=",
            "type=Stripe,prefix=a,prefix=b",
        ] {
            assert_eq!(SourceRef::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "Stripe", "type=Stripe,", "prod,prefix=a", " id=1"] {
            assert_eq!(SourceRef::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_source_that_is_named_otherwise_is_another() {
        let read = |text| SourceRef::parse(text).unwrap();
        assert!(read("type=STRIPE,prefix=prod").is(&read("type=Stripe,prefix=prod")));
        for other in [
            "type=Stripe",
            "prefix=prod",
            "type=Stripe,prefix=Prod",
            "id=Stripe",
        ] {
            assert!(!read("type=Stripe,prefix=prod").is(&read(other)), "{other}");
        }
    }
}
