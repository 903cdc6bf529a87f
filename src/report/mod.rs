//! What do people see?
//!
//! The status and its one writer, conditions, events, metrics. Composing them is pure; only the writer reaches Kubernetes,
//! through a narrow port.

pub mod compose;
pub mod conditions;
pub mod decision_log;
mod event_reason;
pub mod events;
pub mod exposition;
pub mod gauges;
pub mod kubernetes;
pub mod metrics;
mod next_action;
pub mod not_ready;
pub mod notifications;
mod state_rows;
pub mod words;
pub mod writer;

pub use decision_log::DecisionLog;
pub use event_reason::EventReason;
pub use kubernetes::{Kubernetes, KubernetesError};
pub use metrics::Metrics;
pub use writer::StatusWriter;
