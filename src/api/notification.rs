//! `spec.notifications`: receivers and the events that they are notified of.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;

use super::refs::SecretKeyRef;

/// A receiver that is notified when a person is needed. The Secrets must carry the label `warehousesync.dev/use:
/// notification`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type != 'Slack' || !has(self.hmacSecretRef)")
    .message("hmacSecretRef is only for type Webhook: Slack checks no signature"))]
#[x_kube(validation = Rule::new("self.type != 'Webhook' || has(self.hmacSecretRef)")
    .message("type Webhook needs hmacSecretRef: without a signature, anyone with the URL could forge messages"))]
pub struct Notification {
    /// Webhook: a CloudEvent in JSON, signed as defined by Standard Webhooks. Slack: a message for an incoming webhook
    /// of Slack.
    #[serde(rename = "type")]
    pub type_: NotificationType,
    /// The Secret, in the policy's namespace, and the key in it that holds the receiver's URL: https, at a host on the
    /// operator's list (--allowed-notify-host, by default empty).
    pub secret_ref: SecretKeyRef,
    /// Webhook only: the Secret and the key in it that holds the signing key of messages: `whsec_` and 24 to 64 random
    /// bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_secret_ref: Option<SecretKeyRef>,
    /// The events that it is notified of. Default: ApprovalRequired, Escalated, BreakerOpen, Recovered.
    #[serde(default = "Occasion::all")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.exists(o, o != 'Recovered')")
            .message("events needs one of ApprovalRequired, Escalated and BreakerOpen: Recovered is sent only after one of these")
    )]
    pub events: Vec<Occasion>,
}

/// Protocol of a receiver.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::IntoStaticStr,
)]
pub enum NotificationType {
    /// CloudEvents 1.0 in JSON, signed.
    Webhook,
    /// An incoming webhook of Slack.
    Slack,
}

impl NotificationType {
    /// Its name, as the spec has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Events that receivers can be notified of.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
pub enum Occasion {
    /// A proposal waits for a person.
    ApprovalRequired,
    /// An incident was escalated: the operator has stopped acting on it.
    Escalated,
    /// The circuit breaker is open: many sources fail at once, and the operator starts nothing.
    BreakerOpen,
    /// A situation of which the receiver was notified has ended.
    Recovered,
}

impl Occasion {
    /// Every occasion.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Every occasion: the default of a receiver's events.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    /// Its name, as the spec and metrics have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The `type` of its CloudEvents.
    #[must_use]
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::ApprovalRequired => "dev.warehousesync.approval-required",
            Self::Escalated => "dev.warehousesync.escalated",
            Self::BreakerOpen => "dev.warehousesync.breaker-open",
            Self::Recovered => "dev.warehousesync.recovered",
        }
    }
}
