//! `spec.overrides`: other health for single tables.

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

/// Other health for some tables of one source. What is absent here is as in `spec.health`.
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
    /// When a running sync counts as stuck. Fields that are absent in it have their own defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Stuck>,
    /// When a failed sync is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// When a table that says Completed counts as stale. Fields that are absent in it have their own defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Freshness>,
    /// Columns that together are different in each row, from 1 to 8: what only a person can know. Used in proposals only,
    /// where the primary key of a table is missing or not unique. Empty (default): what PostHog detects at the source, if
    /// anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    pub primary_keys: Vec<String>,
    /// The column by which new rows are found, once the one that PostHog goes by has gone from the source and more than one could
    /// take its place. Used in proposals only. Absent (default): the only column of the type of the old one, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub incremental_field: Option<String>,
}

/// Other health for some tables.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub(super) source: SourceRef,
    pub(super) health: Health,
    pub(super) primary_keys: Vec<String>,
    pub(super) incremental_field: Option<String>,
}

impl Override {
    /// `health` is what counts where this one says nothing.
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
