//! What does a user write and read?
//!
//! The custom resource `WarehouseSyncPolicy`: its spec, its status, the names of conditions, reasons, labels and
//! annotations, and the checks that turn a spec into a [`ValidatedPolicy`]. No client and no clock in this folder.

mod about;
pub mod action;
pub mod announced;
pub mod answers;
pub mod cause;
mod cel;
pub mod conditions;
pub mod data_check;
pub mod duration;
pub mod finding;
pub mod glob;
pub mod health;
pub mod history;
pub mod host;
pub mod incident;
pub mod invalid;
pub mod limits;
pub mod names;
pub mod notification;
pub mod overrides;
pub mod policy;
pub mod proposal;
pub mod refs;
pub mod remediation;
pub mod selector;
pub mod state;
pub mod status;
pub mod timings;
pub mod validated;
pub mod window;

pub use about::About;
pub use policy::{WarehouseSyncPolicy, WarehouseSyncPolicySpec};
pub use status::WarehouseSyncPolicyStatus;
pub use timings::Timings;
pub use validated::ValidatedPolicy;
