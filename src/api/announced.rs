//! `status.state.announced`: what was announced to whom.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{cause::RootCause, notification::Occasion};

/// Most announcements that a status remembers. What does not fit is told when there is room again.
pub const MAX_ANNOUNCEMENTS: usize = 64;

/// What was announced to whom.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Announced {
    /// What stands and somebody wants to know, and what is over and was told before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub announcements: Vec<Announcement>,
    /// Receivers at which the last try was given up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub failing: Vec<FailingChannel>,
}

impl Announced {
    /// True if there is nothing to remember.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.announcements.is_empty() && self.failing.is_empty()
    }
}

/// One thing that is announced once to each receiver.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// The id of its messages: the same in every try.
    #[schemars(length(max = 64))]
    pub id: String,
    /// What it is.
    pub occasion: Occasion,
    /// Id of the proposal or of the table; absent for the breaker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Id of the source; absent for the breaker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source_id: String,
    /// What people call the source; absent for the breaker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Name of the table; absent for what concerns the source as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// Why; absent for the breaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<RootCause>,
    /// Since when.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// How it came to its end; only of what is over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 400))]
    pub message: String,
    /// Receivers that are still to be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub owed: Vec<String>,
    /// Receivers that were told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub told: Vec<String>,
    /// Receivers that could not be told. They are told once they take another message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub gave_up: Vec<String>,
}

/// A receiver at which the last try was given up.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FailingChannel {
    /// The receiver.
    pub channel: String,
    /// When the first message was given up.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// Why, without any part of the URL.
    #[schemars(length(max = 400))]
    pub why: String,
    /// Tells the versions of its Secrets then from others: once they change, it is tried again.
    #[schemars(length(max = 64))]
    pub edition: String,
}
