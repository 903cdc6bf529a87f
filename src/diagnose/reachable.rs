//! Whether `PostHog` can connect to a source now, with its stored settings. Its answers to live reads show it, and they outrank the text of an older
//! run: a password that a person has fixed since then needs no rotation.

use jiff::Timestamp;

use crate::{
    observe::{Snapshot, probes::Probed},
    posthog::{PostHogError, probe::CdcStatus, wire::Source},
};

/// When `PostHog` last got into the source; none if it was not asked, or was turned away since.
#[must_use]
pub fn at(snapshot: &Snapshot, source: &Source) -> Option<Timestamp> {
    let probes = &snapshot.probes;
    let shows = |status: &CdcStatus| {
        // Switched off, PostHog does not look.
        status.slot_exists.get().is_some() || status.publication_exists.get().is_some()
    };
    let capture = probes.cdc.get(&source.id);
    let capture = capture.and_then(|probed| reached_at(probed, shows));
    let check = probes.prerequisites.get(&source.id);
    let check = check.and_then(|probed| reached_at(probed, |_| true));
    let columns = (source.schemas.iter())
        .filter_map(|schema| probes.fields.get(schema.id.as_str()))
        .filter_map(|probed| reached_at(probed, |_| true));
    let newest = columns
        .chain(capture)
        .chain(check)
        .max_by_key(|(at, _)| *at);
    newest.and_then(|(at, got_in)| got_in.then_some(at))
}

/// When an answer arrived that shows it, and whether `PostHog` got in; of two at once a refusal counts.
fn reached_at<A>(probed: &Probed<A>, shows: impl Fn(&A) -> bool) -> Option<(Timestamp, bool)> {
    match &probed.answer {
        Ok(answer) => shows(answer).then_some((probed.at, true)),
        Err(PostHogError::Refused {
            status: 400,
            detail,
            ..
        }) if !is_about_one_table(detail) => Some((probed.at, false)),
        Err(_) => None,
    }
}

/// `PostHog` got in, and did not find the table.
fn is_about_one_table(detail: &str) -> bool {
    let detail = detail.to_lowercase();
    detail.starts_with("schema with name") || detail.starts_with("could not discover schema")
}
