//! Which completed run of another table to read next, so that the silence of a run can be judged.

use jiff::Timestamp;

use super::{longest_silent::longest_silent, stuck::may_be_canary, suspects::Suspect};
use crate::{
    api::ValidatedPolicy,
    observe::{Canary, Pipeline, Snapshot, TableLog},
    posthog::wire::Schema,
};

/// The table whose newest completed run should be read now; none if no run needs it, or nothing new could be learned.
#[must_use]
pub fn wanted(policy: &ValidatedPolicy, snapshot: &Snapshot, now: Timestamp) -> Option<Suspect> {
    let (silent_id, since, health) = longest_silent(policy, snapshot)?;
    let marks_phases = marks_phases(snapshot, silent_id);
    let proves = |canary: &Canary| {
        // A run that marks the phases of its extraction is judged beside one that does, too.
        let is_alike = if marks_phases {
            canary.loader_logs && canary.pipeline == Pipeline::V3
        } else {
            canary.loader_logs || canary.pipeline == Pipeline::V2
        };
        canary.schema_id != silent_id && canary.has_lines && canary.extracted_at > since && is_alike
    };
    if snapshot.canaries.iter().any(proves) {
        return None;
    }
    let lately =
        |canary: &Canary| now.duration_since(canary.read_at).abs() < health.no_progress_for / 48;
    if snapshot.canaries.iter().any(lately) {
        return None;
    }
    snapshot
        .rows()
        .filter(|(source, schema)| schema.id != silent_id && may_be_canary(source, schema))
        .filter(|(_, schema)| tells_something_new(snapshot, schema))
        .max_by_key(|(_, schema)| schema.last_synced_at.get().copied())
        .map(|(source, schema)| Suspect::new(source, schema))
}

/// The table that synced last of those that the policy does not select.
#[must_use]
pub fn newest(snapshot: &Snapshot) -> Option<Suspect> {
    let selected = |id: &str| {
        let mut selected = snapshot.selected();
        selected.any(|(_, schema)| schema.id == id)
    };
    snapshot
        .rows()
        .filter(|(source, schema)| may_be_canary(source, schema) && !selected(&schema.id))
        .max_by_key(|(_, schema)| schema.last_synced_at.get().copied())
        .map(|(source, schema)| Suspect::new(source, schema))
}

fn marks_phases(snapshot: &Snapshot, schema_id: &str) -> bool {
    let run_probe = snapshot
        .seen(schema_id)
        .and_then(|seen| seen.run_probe.as_ref());
    let log = run_probe.and_then(|run_probe| run_probe.log.read());
    log.is_some_and(TableLog::marks_phases)
}

/// False if the run that its table's last success came from was read already.
fn tells_something_new(snapshot: &Snapshot, schema: &Schema) -> bool {
    let began = schema.last_synced_at.get();
    !snapshot.canaries.iter().any(|canary| {
        canary.schema_id == schema.id && began.is_some_and(|began| *began <= canary.finished_at)
    })
}
