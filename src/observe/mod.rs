//! What is true now?
//!
//! One shared list of a project for each API key, and probes of single runs, on request. Says nothing about what is
//! wrong: that is `diagnose`.

pub mod approval_guard;
pub mod canary;
pub mod changes;
pub mod credential_values;
pub mod data;
pub mod deliveries;
pub mod live;
pub mod observer;
pub mod other_projects;
pub mod probes;
pub mod progress;
pub mod readings;
pub mod run_probe;
pub mod snapshot;
pub mod sources;
pub mod table_log;
pub mod words;

pub use approval_guard::ApprovalGuard;
pub use canary::Canary;
pub use changes::Changes;
pub use credential_values::CredentialValues;
pub use deliveries::Deliveries;
pub use live::Live;
pub use observer::{Observer, ProjectView};
pub use other_projects::OtherProjects;
pub use probes::{Probe, Probes};
pub use progress::Seen;
pub use readings::{Reading, Readings};
pub use run_probe::{Log, Newest, ReadsLog, RunProbe, Streak};
pub use snapshot::{OtherPolicy, Snapshot, WriteScope};
pub use sources::Sources;
pub use table_log::{RunPhase, TableLog};
pub use words::{Pipeline, Words};
