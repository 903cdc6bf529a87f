//! Whether a source was sent new credentials recently.

use jiff::Timestamp;

use crate::{
    api::status::Fate,
    diagnose::{Judged, Known},
    observe::{Newest, RunProbe, Seen},
};

/// True if the source was sent new credentials after the table's newest run started, or may have been: then a reload is worth a try.
#[must_use]
pub fn were_rotated(known: &Known<'_>, judged: &Judged) -> bool {
    let seen = known.snapshot.seen(&judged.schema_id);
    let began = match seen.and_then(Seen::readable).map(RunProbe::newest) {
        Some(Newest::Job(job, _)) => job.created_at.get().copied(),
        Some(Newest::None) => seen.map(|seen| seen.text_since),
        Some(Newest::Unclear(_)) | None => None,
    };
    began.is_some_and(|began| since(known, &judged.source_id, began))
}

fn since(known: &Known<'_>, source_id: &str, failed_at: Timestamp) -> bool {
    let mut states = known.state.sources.iter();
    let state = states.find(|state| state.id == source_id);
    let sent_input = state.and_then(|state| state.credentials.as_ref());
    sent_input.is_some_and(|sent_input| {
        sent_input.at >= failed_at
            && !matches!(sent_input.fate, Some(Fate::NotSent | Fate::Refused))
    })
}
