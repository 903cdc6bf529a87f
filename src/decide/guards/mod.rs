//! What keeps the operator from becoming the problem: each guard holds back the start of something, and says why.

pub mod backoff;
pub mod breaker;
pub mod budget;
mod guard;
pub mod windows;

pub use guard::{Blocked, Guard};
