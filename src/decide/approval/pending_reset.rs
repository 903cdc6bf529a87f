//! Tables whose next run may wipe their data, because a call that resets them got an error, or was accepted but started no run, or got
//! an unknown answer. `PostHog` does not show this. It is over when a later run has completed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    api::{
        proposal::{ExecutedStep, Phase, Proposal, ProposedCall, ProposedStep},
        status::{Fate, State},
    },
    diagnose::Known,
    observe::Snapshot,
    posthog::wire::Schema,
};

/// The tables, by id, and since when: those remembered in `state`, and those that `proposals` have added since.
#[must_use]
pub fn reset_pending_since(
    state: &State,
    proposals: &[Proposal],
    snapshot: &Snapshot,
    now: Timestamp,
) -> BTreeMap<String, Timestamp> {
    let mut reset_pending_since = BTreeMap::new();
    for row in &state.schemas {
        if let Some(since) = row.reset_pending_since {
            reset_pending_since.insert(row.id.clone(), since);
        }
    }
    for proposal in proposals {
        for (id, since) in pending(proposal, snapshot) {
            let known = reset_pending_since.entry(id).or_insert(since);
            *known = since.max(*known);
        }
    }
    reset_pending_since.retain(|id, since| !has_run_since(snapshot, id, *since, now));
    reset_pending_since
}

/// The same, including the tables of other policies of the project.
#[must_use]
pub fn by_anyone(known: &Known<'_>) -> BTreeMap<String, Timestamp> {
    let now = known.now;
    let mut all = reset_pending_since(known.state, known.proposals, known.snapshot, now);
    let other_policies = known.snapshot.other_policies.iter();
    for (id, since) in other_policies.flat_map(|other_policy| &other_policy.reset_pending_since) {
        if !has_run_since(known.snapshot, id, *since, now) {
            all.entry(id.clone()).or_insert(*since);
        }
    }
    all
}

fn pending(proposal: &Proposal, snapshot: &Snapshot) -> Vec<(String, Timestamp)> {
    let started = proposal.started_steps().iter();
    let steps = started.zip(&proposal.material.steps);
    let pending = steps.filter(|(sent, _)| may_have_requested_a_reset(proposal, sent));
    pending
        .flat_map(|(sent, step)| {
            let ids = touched(proposal, step, snapshot);
            ids.into_iter().map(|id| (id, sent.started_at))
        })
        .collect()
}

/// Whether a call may have an effect that does not show. A call that was not sent has none. An accepted one shows once it is
/// proved; while the proof is awaited the proposal holds every other call, and without proof the next run may still wipe the table. For
/// a repair it is known which refusals come before any effect.
fn may_have_requested_a_reset(proposal: &Proposal, sent: &ExecutedStep) -> bool {
    match sent.fate {
        Some(Fate::NotSent) => false,
        Some(Fate::Accepted) => proposal.is_over() && proposal.phase != Phase::Executed,
        Some(Fate::Refused) => sent.call != ProposedCall::RepairCdc,
        None | Some(Fate::Unknown) => true,
    }
}

/// Ids of the tables that the next run may wipe after a step.
fn touched(proposal: &Proposal, step: &ProposedStep, snapshot: &Snapshot) -> Vec<String> {
    let target = &proposal.target;
    let row = |id: &str| snapshot.row(&target.source_id, id).map(|(_, row)| row);
    let resets_when_on = |id: &str| {
        let plain = |row: &Schema| !row.syncs_by("webhook") && !row.syncs_by("cdc");
        !row(id).is_some_and(plain)
    };
    match step.call {
        ProposedCall::Resync => vec![target.schema_id.clone()],
        ProposedCall::PatchSchema => {
            let id = &target.schema_id;
            let resets = step.incremental_field.is_some() || step.switch_on && resets_when_on(id);
            resets.then(|| id.clone()).into_iter().collect()
        }
        ProposedCall::PatchTables => {
            let ids = step.schema_ids.iter();
            let resets = |id: &&String| step.sync_type.is_some() || resets_when_on(id);
            ids.filter(resets).cloned().collect()
        }
        ProposedCall::RepairCdc => {
            let mut sources = snapshot.sources.iter();
            let source = sources.find(|source| source.id == target.source_id);
            let captured = (source.into_iter().flat_map(|source| &source.schemas))
                .filter(|schema| schema.syncs_by("cdc"));
            captured.map(|schema| schema.id.to_string()).collect()
        }
        ProposedCall::DeleteData
        | ProposedCall::Cancel
        | ProposedCall::Reload
        | ProposedCall::RefreshSchemas
        | ProposedCall::DeleteWebhook
        | ProposedCall::CreateWebhook => Vec::new(),
    }
}

/// True if a run that began after `since` has completed.
fn has_run_since(snapshot: &Snapshot, schema_id: &str, since: Timestamp, now: Timestamp) -> bool {
    let mut rows = snapshot.sources.iter().flat_map(|source| &source.schemas);
    rows.find(|row| row.id == schema_id)
        .is_some_and(|row| row.has_synced_since(since, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_may_have_started_before_the_call_proves_nothing() {
        let since: Timestamp = "2026-10-01T12:00:00Z".parse().unwrap();
        let now: Timestamp = "2026-10-01T12:10:00Z".parse().unwrap();
        for (status, began, proves) in [
            ("Completed", "2026-10-01T11:00:00Z", false),
            ("Completed", "2026-10-01T12:04:00Z", false),
            ("Completed", "2026-10-01T12:06:00Z", true),
            // Another run has started since, or failed.
            ("Running", "2026-10-01T12:06:00Z", true),
            ("Failed", "2026-10-01T12:06:00Z", true),
            // No run begins later than now.
            ("Completed", "2026-10-01T12:36:00Z", false),
            ("Completed", "2036-10-01T12:06:00Z", false),
        ] {
            let row = serde_json::json!({"id": "a", "name": "a", "status": status, "last_synced_at": began});
            let row: Schema = serde_json::from_value(row).unwrap();
            assert_eq!(row.has_synced_since(since, now), proves, "{status} {began}");
        }
    }
}
