//! `spec.overrides`: a different expected health for some tables.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{
    health::{Failing, Freshness, Health, HealthSpec, Stuck},
    invalid::InvalidPolicy,
    refs::SourceRef,
};

/// A different expected health for some tables of one source. Absent sections are as in `spec.health`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OverrideSpec {
    /// The sources of the tables.
    pub source: SourceRef,
    /// Globs on the tables' names, for example `public.*`.
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 256), regex(pattern = r"^[^\[\]{}\\]+$"))
    )]
    pub schemas: Vec<String>,
    /// When a running sync is stuck. Absent fields of it have their defaults, not the values of `spec.health`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Stuck>,
    /// When a failed sync is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// When a table is stale. Absent fields of it have their defaults, not the values of
    /// `spec.health`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Freshness>,
    /// Columns whose combination is different in each row, from 1 to 8. Only a person can know this. They are used only
    /// in proposals, where the primary key of a table is missing or not unique. Empty (default): the key that PostHog
    /// detects at the source, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    pub primary_keys: Vec<String>,
    /// The incremental field to propose if the current one was removed from the source and several columns could
    /// replace it. Used only in proposals. Absent (default): the only column with the type of the old one, if there is
    /// exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub incremental_field: Option<String>,
}

/// A different expected health for some tables.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub(super) source: SourceRef,
    pub(super) health: Health,
    pub(super) primary_keys: Vec<String>,
    pub(super) incremental_field: Option<String>,
}

impl Override {
    /// `health` applies where this one is absent.
    pub(super) fn new(own: &OverrideSpec, health: &HealthSpec) -> Result<Self, InvalidPolicy> {
        let OverrideSpec {
            source,
            schemas: _,
            stuck,
            failing,
            freshness,
            primary_keys,
            incremental_field,
        } = own;
        Ok(Self {
            source: source.clone(),
            health: Health::new(
                "overrides[]",
                stuck.as_ref().unwrap_or(&health.stuck),
                failing.as_ref().unwrap_or(&health.failing),
                freshness.as_ref().unwrap_or(&health.freshness),
            )?,
            primary_keys: primary_keys.clone(),
            incremental_field: incremental_field.clone(),
        })
    }
}
