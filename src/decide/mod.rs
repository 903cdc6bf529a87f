//! What should happen?
//!
//! From the findings to the plan of one reconcile. [`orders`] say what is needed, [`guards`] what holds it, [`safety`] which
//! calls may be sent without a human, [`proposal`] and [`approval`] what needs approval and what was answered; [`incident`] advances
//! an incident from step to step, [`words`] holds the sentences, and [`planner`] combines all of it. Pure: time is an argument, and there is no client.

pub mod approval;
pub mod gate;
pub mod guards;
pub mod incident;
pub mod late_cancel;
pub mod orders;
pub mod ownership;
pub mod plan;
pub mod planner;
pub mod proposal;
pub mod safety;
pub mod table;
pub mod tried;
pub mod windows;
pub mod words;

pub use guards::{Blocked, Guard, OperatorLimits, OrderContext};
pub use plan::{Held, Order, Plan};
pub use planner::{Settings, decide};
