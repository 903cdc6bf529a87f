//! The source of the table is known to be broken as a whole.

use super::{Ask, Hold};

/// An action on one of its tables cannot help. An action on the source as a whole may.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    if ask.subject.is_source() {
        return None;
    }
    let why = ask.diagnosis.blocked.get(&ask.subject.schema_id)?;
    Some(Hold::for_now(why.clone()))
}
