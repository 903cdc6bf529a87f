//! What keeps the operator from becoming the problem: each guard holds back an order, and says why.
//!
//! A guard is a file here and a line of [`chain::CHAIN`], the one list of them, in order. A file says whether its guard holds an
//! order; the line says when it is asked, and of which kinds of orders it is not.

pub mod approval;
pub mod ask;
pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod chain;
pub mod facts;
pub mod guard;
pub mod max_actions_per_hour;
pub mod max_concurrent;
pub mod mode;
pub mod operator_cap;
pub mod owner;
pub mod proposal;
pub mod source;
pub mod state_full;
pub mod suspend;
pub mod switch;
pub mod tried_before;
pub mod window;
pub mod write_scope;

pub use ask::{Ask, Limits};
pub use guard::{Blocked, Guard, Hold};
