//! What is not proposed again, and until when: what was denied or refused, until its finding has cleared; what was done, until
//! something newer confirms the finding; what may have been done, until it can be known.

use jiff::{SignedDuration, Timestamp};

use super::{cleared::has_cleared, key::Key, made::Proposals};
use crate::{
    api::{
        proposal::{Phase, Proposal, ProposedAction},
        status::Suppressed,
    },
    diagnose::{Cause, Diagnosis, Known, causes::Origin},
    observe::{Look, Newest},
    posthog::wire::{JobStatus, Schema},
};

/// Most that are remembered; the oldest goes.
const MAX: usize = 64;
/// How long nothing is done after an unknown outcome if no job tells more.
const UNKNOWN_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What is still suppressed of what was before.
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

/// True if a job of a table that was touched began after that, other than the one that came of it.
fn later_job(known: &Known<'_>, row: &Suppressed, ended: impl Fn(JobStatus) -> bool) -> bool {
    let sources = known.snapshot.sources.iter();
    let of_source = sources.filter(|source| source.id == row.source_id);
    let touched = |schema: &&Schema| row.schema_id.as_ref().is_none_or(|id| schema.id == *id);
    let mut tables = of_source.flat_map(|source| &source.schemas).filter(touched);
    tables.any(|schema| {
        let look = known
            .snapshot
            .seen(&schema.id)
            .and_then(|seen| seen.look.as_ref());
        match look.map(Look::newest) {
            Some(Newest::Job(job, began)) => {
                began > row.since && row.job.as_ref() != Some(&job.id) && ended(job.status())
            }
            _ => false,
        }
    })
}

impl Proposals {
    /// Takes note of what has just ended in a way after which it is not proposed again at once.
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
        let what = action.as_str();
        Some(match row.phase {
            Phase::Denied => format!("Nothing: {what} was proposed and denied."),
            Phase::Failed => format!(
                "A human: {what} was approved, and PostHog refused it; see status.proposals. It is proposed again once you annotate reconcile.warehousesync.dev/resetAt."
            ),
            Phase::Executed => format!(
                "Nothing yet: {what} was done as approved; the next sync will show whether that helped."
            ),
            _ => format!(
                "A human: {what} was approved, and nobody knows how far it came; see status.proposals, and the table in PostHog."
            ),
        })
    }
}

/// Puts a row among others, in place of one for the same.
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
    // Who asks again means it; only what may have been done is looked after first.
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
