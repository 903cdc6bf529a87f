//! What the API key may do.

use super::{Ask, Hold};
use crate::observe::WriteScope;

/// Nothing is sent with a key that may only read.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    (ask.known.snapshot.write_scope == WriteScope::Missing)
        .then(|| Hold::for_now("the API key lacks the scope external_data_source:write"))
}
