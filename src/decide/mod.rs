//! What should happen?
//!
//! Which calls are safe, who owns a table, what holds an action back, how an incident goes from step to step, and the plan
//! that comes of it. Pure: time is an argument, and there is no client.

pub mod approval;
pub mod attempt;
pub mod credentials;
pub mod gate;
pub mod guards;
pub mod incident;
pub mod ownership;
pub mod plan;
pub mod proposal;
pub mod safety;

pub use guards::{Blocked, Guard};
pub use plan::{Action, Held, Plan, decide, meanwhile};
