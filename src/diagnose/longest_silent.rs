//! The run whose silence is judged next: it decides which other runs are read beside it.

use jiff::{SignedDuration, Timestamp};

use super::{known::desired_health, stuck::silent_for};
use crate::{
    api::{ValidatedPolicy, validated::Health},
    observe::{Seen, Snapshot},
};

/// The table that has been silent for longest, if that is nearly long enough to be judged; since when, and its desired health.
#[must_use]
pub fn longest_silent<'a>(
    policy: &'a ValidatedPolicy,
    snapshot: &'a Snapshot,
) -> Option<(&'a str, Timestamp, &'a Health)> {
    snapshot
        .selected()
        .filter_map(|(source, schema)| {
            let seen = snapshot.seen(&schema.id)?;
            let silent = silent_for(seen)?;
            let health = desired_health(policy, source, schema);
            let nearly = health.no_progress_for - health.no_progress_for / 8;
            let since = proved_from(seen, silent)?;
            (silent >= nearly).then_some((silent, schema.id.as_str(), since, health))
        })
        .max_by_key(|(silent, ..): &(SignedDuration, _, _, _)| *silent)
        .map(|(_, id, since, health)| (id, since, health))
}

/// What a canary must be newer than: the begin of the silence. By `PostHog`'s clock alone, its end shows how long the silence lasts, too.
fn proved_from(seen: &Seen, silent: SignedDuration) -> Option<Timestamp> {
    let mark = seen.mark.as_ref()?;
    if seen.run_probe.as_ref()?.is_dated {
        return Some(mark.since);
    }
    mark.log_at?.checked_add(silent - silent / 8).ok()
}
