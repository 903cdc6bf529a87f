//! Notifications: which receivers are notified when a person is needed, and with which text.
//!
//! [`announced`] keeps in status which receiver got which notification; [`message`] writes the texts; [`outbox`] decides what to
//! send when. All of it is pure. A [`NotificationSender`] sends, outside any reconcile.

pub mod announced;
pub mod channel;
pub mod cloud_event;
pub mod message;
pub mod outbox;
pub mod signature;
pub mod slack;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use channel::{Channel, Channels};
pub use message::Message;
pub use outbox::Outbox;

/// A message as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationRequest {
    /// Its content type.
    pub content_type: &'static str,
    /// Headers beside it.
    pub headers: Vec<(&'static str, String)>,
    /// The body, byte by byte what was signed.
    pub body: String,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiverAnswer {
    /// 2xx: it was accepted.
    Accepted,
    /// Anything else, or nothing.
    NotAccepted {
        /// Why, without any part of the URL.
        why: String,
        /// True if a retry may succeed.
        passes: bool,
        /// How long the receiver asks to wait.
        wait: Option<Duration>,
    },
}

/// The narrow port to receivers. Two users: the real client, and tests.
pub trait NotificationSender: Send + Sync + 'static {
    /// Sends one message to a receiver, once, before a deadline.
    fn deliver(
        &self,
        to: &Channel,
        parcel: NotificationRequest,
    ) -> impl Future<Output = ReceiverAnswer> + Send;
}

/// The message of a notification in the receiver's format, signed as of `now`.
#[must_use]
pub fn parcel(
    message: &Message,
    to: &Channel,
    held_back: usize,
    now: jiff::Timestamp,
) -> NotificationRequest {
    match &to.signing_key {
        None => NotificationRequest {
            content_type: "application/json",
            headers: Vec::new(),
            body: slack::message(message, held_back).to_string(),
        },
        Some(key) => {
            let body = cloud_event::compose(message, held_back).to_string();
            NotificationRequest {
                content_type: "application/cloudevents+json; charset=utf-8",
                headers: signature::headers(key, &message.id, now, &body),
                body,
            }
        }
    }
}
