//! `status.state.announced`: which notifications each receiver has been sent.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{cause::RootCause, notification::Occasion};

/// Most announcements that a status remembers. The others are sent when there is room again.
pub const MAX_ANNOUNCEMENTS: usize = 64;

/// Which notifications each receiver has been sent.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Announced {
    /// Situations that receivers want to be notified of, and ended situations of which they have been notified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub announcements: Vec<Announcement>,
    /// Receivers for which the last delivery was given up.
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

/// A situation of which each receiver is notified once.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// Id of its messages, the same in each attempt.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Kind of the situation.
    pub occasion: Occasion,
    /// Id of the proposal or of the table; absent for the breaker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Id of the source; absent for the breaker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source_id: String,
    /// Name of the source; absent for the breaker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Name of the table; absent for the whole source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// Cause; absent for the breaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<RootCause>,
    /// Since when.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// How it ended; absent while it has not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 400))]
    pub message: String,
    /// Receivers that have not been notified yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub owed: Vec<String>,
    /// Receivers that have been notified.
    #[serde(default, skip_serializing_if = "Vec::is_empty", alias = "notified")]
    #[schemars(length(max = 4))]
    pub notified: Vec<String>,
    /// Receivers to which delivery failed. They are notified once they accept another message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub gave_up: Vec<String>,
}

/// A receiver for which the last delivery was given up.
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
    /// Identifies the versions of its Secrets at that time: once they change, delivery is retried.
    #[schemars(length(max = 64))]
    pub edition: String,
}
