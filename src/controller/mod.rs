//! Wiring: watches, the reconcile driver, Secrets, leadership, shutdown. The only folder, with `cli`, that reads a clock.

pub mod approval_guard;
pub mod backoff;
pub mod beside;
mod clock;
mod context;
pub mod health;
pub mod kubernetes;
pub mod leadership;
pub mod lease;
mod leftovers;
pub mod notifier;
mod observed;
pub mod obstacle;
mod pace;
mod poll_failed;
mod receivers;
pub mod reconcile;
pub mod reconciler;
pub mod recorders;
pub mod released;
pub mod rivals;
pub mod run;
mod scope;
pub mod secrets;
pub mod startup;
mod stop;
pub mod survey;
pub mod timed;
pub mod told;
mod turn;
pub mod watch;
pub mod watched;

pub use clock::clock;
pub use health::ProcessHealth;
pub use reconciler::{Reconciled, Reconciler};
pub use run::{Options, run};
