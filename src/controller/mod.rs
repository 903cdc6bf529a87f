//! Wiring: watches, the reconcile driver, Secrets, leadership, shutdown. The only folder, with `cli`, that reads a clock.

pub mod absent;
pub mod approval_guard;
pub mod backoff;

pub mod as_other_policy;
mod clock;
mod context;
pub mod health;
pub mod kubernetes;
pub mod leadership;
pub mod lease;
pub mod not_ready;
pub mod notifier;
mod observed;
pub mod on_all_tables;
pub mod other_policies;
mod pace;
pub mod policies;
mod poll_failed;
pub mod queue;
mod receivers;
pub mod reconcile;
pub mod reconciler;
pub mod recorders;
pub mod run;
mod runner;
mod scope;
pub mod secret_use;
pub mod secrets;
mod slots;
pub mod startup;
mod status_writers;
mod stop;
pub mod survey;
pub mod timed;
mod turn;
pub mod watch;
mod watch_failures;
pub mod watched;

pub use clock::clock;
pub use health::ProcessHealth;
pub use reconciler::{Reconciled, Reconciler};
pub use run::{Options, run};
