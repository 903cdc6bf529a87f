//! What the API key may do.

use super::{Hold, OrderContext};
use crate::observe::WriteScope;

/// Nothing is sent with a key that may only read.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    (context.known.snapshot.write_scope == WriteScope::Missing)
        .then(|| Hold::for_now("the API key lacks the scope external_data_source:write"))
}
