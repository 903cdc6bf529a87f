//! `CloudEvents` 1.0 in structured mode: one JSON object that says what it is, of which policy, and what happened.

use serde_json::{Map, Value, json};

use super::message::Message;

/// The event of a notification; `held_back` is how many more wait for the same receiver because of its rate limit.
#[must_use]
pub fn compose(message: &Message, held_back: usize) -> Value {
    let Message {
        id,
        occasion,
        since,
        content,
    } = message;
    // It has no map with keys other than texts, so it can be written.
    let mut data = serde_json::to_value(content).unwrap_or_default();
    if let (Some(data), true) = (data.as_object_mut(), held_back > 0) {
        data.insert("heldBack".to_owned(), json!(held_back));
    }
    let event: Map<String, Value> = [
        ("specversion", json!("1.0")),
        ("id", json!(id)),
        (
            "source",
            json!(format!(
                "/apis/warehousesync.dev/v1alpha1/namespaces/{}/warehousesyncpolicies/{}",
                content.namespace, content.policy
            )),
        ),
        ("type", json!(occasion.event_type())),
        ("subject", json!(content.title())),
        ("time", json!(since)),
        ("datacontenttype", json!("application/json")),
        ("data", data),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    Value::Object(event)
}
