//! What should happen?
//!
//! From what is wrong to the plan of one reconcile. [`orders`] say what is wanted, [`guards`] what holds it back, [`safety`] which
//! calls may be sent without a human, [`proposal`] and [`approval`] what a human is asked and has answered; [`incident`] moves what was
//! begun from step to step, and [`planner`] brings all of it together. Pure: time is an argument, and there is no client.

pub mod approval;
pub mod gate;
pub mod guards;
pub mod incident;
pub mod orders;
pub mod ownership;
pub mod plan;
pub mod planner;
pub mod proposal;
pub mod safety;
pub mod table;
pub mod tried;
pub mod windows;

pub use guards::{Ask, Blocked, Guard, Limits};
pub use plan::{Held, Order, Plan};
pub use planner::{Settings, decide};
