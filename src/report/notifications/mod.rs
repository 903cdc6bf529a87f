//! Notifications: who is notified when a person is needed, of what, with which text.
//!
//! [`announced`] keeps in status which receiver was notified of what; [`letter`] writes the texts; [`outbox`] decides what to
//! send when. All of it is pure. A [`Courier`] sends, outside any reconcile.

pub mod announced;
pub mod channel;
pub mod cloud_event;
pub mod letter;
pub mod outbox;
pub mod signature;
pub mod slack;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use channel::{Channel, Channels};
pub use letter::Letter;
pub use outbox::Outbox;

/// A message as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Its content type.
    pub content_type: &'static str,
    /// Headers beside it.
    pub headers: Vec<(&'static str, String)>,
    /// The body, byte by byte what was signed.
    pub body: String,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// 2xx: it was accepted.
    Taken,
    /// Anything else, or nothing.
    NotTaken {
        /// Why, without any part of the URL.
        why: String,
        /// True if a retry may succeed.
        passes: bool,
        /// How long the receiver asks to wait.
        wait: Option<Duration>,
    },
}

/// The narrow port to receivers. Two users: the real client, and tests.
pub trait Courier: Send + Sync + 'static {
    /// Sends one message to a receiver, once, before a deadline.
    fn deliver(&self, to: &Channel, parcel: Parcel) -> impl Future<Output = Reply> + Send;
}

/// The message of a notification in the receiver's format, signed as of `now`.
#[must_use]
pub fn parcel(letter: &Letter, to: &Channel, held_back: usize, now: jiff::Timestamp) -> Parcel {
    match &to.signing_key {
        None => Parcel {
            content_type: "application/json",
            headers: Vec::new(),
            body: slack::message(letter, held_back).to_string(),
        },
        Some(key) => {
            let body = cloud_event::compose(letter, held_back).to_string();
            Parcel {
                content_type: "application/cloudevents+json; charset=utf-8",
                headers: signature::headers(key, &letter.id, now, &body),
                body,
            }
        }
    }
}
