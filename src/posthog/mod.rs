//! How do we call `PostHog`?
//!
//! Wire types, the client with its reading calls, errors, the guard over hosts, redaction. The calls that write are only
//! described here (`write`, `answer`): they are sent in `execute/calls.rs` and need a permit. Nothing in this folder knows Kubernetes or a policy.

pub mod answer;
pub mod authorities;
pub mod bounds;
pub mod client;
mod connection;
pub mod error;
pub mod gates;
pub mod guard;
pub mod http;
pub mod id;
pub mod inputs;
pub mod instance;
pub mod key;
pub mod lax;
mod names;
pub mod offload;
pub mod probe;
pub mod proxy;
pub mod quota;
pub mod redact;
pub mod run_log;
pub mod secrets;
pub mod transport;
pub mod visible;
pub mod webhook_fields;
pub mod wire;
pub mod write;

pub use client::Client;
pub use error::PostHogError;
pub use gates::Gates;
pub use key::ApiKey;
pub use transport::Transport;
