//! What is known about each root cause: one row each, total over the enum. Nothing else in the code distinguishes causes.
//!
//! Code that decides by a cause uses its row, and matches on the row's fields without `_ =>`: a new cause is one row, a new
//! fact about causes one field, and the compiler names every place that must handle it. A test of the
//! repository finds decisions by cause that are made elsewhere. `cause` says what the fields mean, `rows` holds the rows.

mod cause;
mod rows;
pub mod rules;

pub use cause::{
    Advice, AppliesTo, Cause, ClearedBy, FixedBy, Origin, Proposes, Reads, Reload, Remedy, Scope,
    StrongerSignal,
};

#[cfg(test)]
mod tests;
