//! Work on all tables of a project.

use crate::posthog::{offload::offload, wire::Source};

/// From how many tables on it takes milliseconds. Below, another thread costs more than it saves.
const MANY: usize = 2_000;

/// Does `work` on all tables of `sources`. For a large project, that may take a second.
pub fn beside<R>(sources: &[Source], work: impl FnOnce() -> R) -> R {
    let tables: usize = sources.iter().map(|source| source.schemas.len()).sum();
    if tables < MANY { work() } else { offload(work) }
}
