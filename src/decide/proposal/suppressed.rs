//! What is not proposed again, and until when: what was denied or refused, until its finding has cleared; what was executed, until
//! something newer confirms the finding; what may have been executed, until its outcome is known.

use jiff::{SignedDuration, Timestamp};

use super::{cleared::has_cleared, key::Key, made::Proposals};
use crate::{
    api::{
        proposal::{Phase, Proposal, ProposedAction},
        status::Suppressed,
    },
    decide::words::next_action as words,
    diagnose::{Cause, Diagnosis, Known, causes::Origin},
    observe::{Newest, RunProbe},
    posthog::wire::{JobStatus, Schema},
};

/// Most that are remembered; the oldest goes.
const MAX: usize = 64;
/// How long nothing is done after an unknown outcome if no job shows it.
const UNKNOWN_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What is still suppressed.
pub fn still(known: &Known<'_>, diagnosis: &Diagnosis) -> Vec<Suppressed> {
    let before = known.state.suppressed.iter();
    before
        .filter(|row| !is_over(known, diagnosis, row))
        .cloned()
        .collect()
}

fn is_over(known: &Known<'_>, diagnosis: &Diagnosis, row: &Suppressed) -> bool {
    let key = Key {
        source_id: row.source_id.clone(),
        schema_id: row.schema_id.clone(),
        cause: row.cause,
    };
    let reset =
        known.policy.reset_at.is_some() && known.policy.reset_at != known.state.reset_handled;
    match row.phase {
        Phase::Denied => has_cleared(known, diagnosis, &key),
        Phase::Failed => reset || has_cleared(known, diagnosis, &key),
        Phase::Executed => has_cleared(known, diagnosis, &key) || later_job(known, row, |_| true),
        Phase::OutcomeUnknown => {
            let ended = |status| matches!(status, JobStatus::Completed | JobStatus::Failed);
            known.now.duration_since(row.since) >= UNKNOWN_FOR || later_job(known, row, ended)
        }
        _ => true,
    }
}

/// True if a job of an affected table started after that, other than the one that the proposal started.
fn later_job(known: &Known<'_>, row: &Suppressed, ended: impl Fn(JobStatus) -> bool) -> bool {
    let sources = known.snapshot.sources.iter();
    let of_source = sources.filter(|source| source.id == row.source_id);
    let touched = |schema: &&Schema| row.schema_id.as_ref().is_none_or(|id| schema.id == *id);
    let mut tables = of_source.flat_map(|source| &source.schemas).filter(touched);
    tables.any(|schema| {
        let run_probe = known
            .snapshot
            .seen(&schema.id)
            .and_then(|seen| seen.run_probe.as_ref());
        match run_probe.map(RunProbe::newest) {
            Some(Newest::Job(job, began)) => {
                began > row.since && row.job.as_ref() != Some(&job.id) && ended(job.status())
            }
            _ => false,
        }
    })
}

impl Proposals {
    /// Remembers what has just ended and is not to be proposed again at once.
    pub(super) fn note_endings(&mut self, known: &Known<'_>) {
        let before = |id: &str| known.proposals.iter().find(|row| row.id == id);
        let ended = self
            .rows
            .iter()
            .filter(|row| before(&row.id).is_some_and(|before| !before.is_over()) && row.is_over());
        let new: Vec<_> = ended.filter_map(|row| of(row, known.now)).collect();
        for row in new {
            remember(&mut self.suppressed, row);
        }
    }

    /// Why nothing is proposed for `key`, if that is so.
    pub(super) fn suppresses(&self, key: &Key, action: ProposedAction) -> Option<String> {
        let mut rows = self.suppressed.iter();
        let row = rows.find(|row| {
            row.source_id == key.source_id
                && row.schema_id == key.schema_id
                && row.cause == key.cause
                && row.action == action
        })?;
        Some(words::suppressed(action, row.phase))
    }
}

/// Adds a row, or replaces the one for the same finding.
pub(super) fn remember(rows: &mut Vec<Suppressed>, new: Suppressed) {
    rows.retain(|row| {
        (&row.source_id, &row.schema_id, row.action, row.cause)
            != (&new.source_id, &new.schema_id, new.action, new.cause)
    });
    if rows.len() >= MAX {
        rows.remove(0);
    }
    rows.push(new);
}

/// What is to be remembered of a proposal that ended at `now`, if anything.
pub(super) fn of(proposal: &Proposal, now: Timestamp) -> Option<Suppressed> {
    let suppresses = matches!(
        proposal.phase,
        Phase::Denied | Phase::Failed | Phase::Executed | Phase::OutcomeUnknown
    );
    let key = Key::of_proposal(proposal);
    // A repeated request is honoured, unless the first one may have been executed.
    let asked =
        Cause::of(key.cause).origin == Origin::Request && proposal.phase != Phase::OutcomeUnknown;
    let execution = proposal.execution.as_ref();
    (suppresses && !asked).then(|| Suppressed {
        source_id: key.source_id,
        schema_id: key.schema_id,
        action: proposal.action,
        cause: key.cause,
        phase: proposal.phase,
        since: now,
        job: execution.and_then(|execution| execution.observed_job.clone()),
    })
}
