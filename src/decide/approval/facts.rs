//! What fresh reads must show right before the first call of an approved proposal: the finding still holds, and would lead to this
//! very proposal, with this id.

use jiff::SignedDuration;

use crate::{
    api::proposal::{Proposal, ProposedAction},
    decide::{
        gate::Closed,
        proposal::{fit::Fit, fitting::fitting, key::Key, material},
        words::closed,
    },
    diagnose::{Diagnosis, Known},
    observe::{Live, Newest, RunProbe},
    posthog::{
        redact,
        wire::{JobStatus, Schema, SchemaStatus},
    },
};

/// Whether it may start by fresh reads, from which `known` and `diagnosis` are derived.
pub fn hold(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    live: &Live,
    proposal: &Proposal,
) -> Result<(), Closed> {
    if let Some(why) = not_read(live) {
        return unread(why);
    }
    if proposal.id != material::id(&proposal.material) {
        return changed(closed::ID_DIFFERS);
    }
    let key = Key::of_proposal(proposal);
    match fitting(known, diagnosis)
        .remove(&key)
        .map(|wanted| wanted.fit)
    {
        Some(Fit::Draft(draft)) if draft.is(proposal) => {}
        Some(Fit::Draft(_)) => {
            return changed(closed::TARGET_CHANGED);
        }
        Some(Fit::Open(why)) => return unread(why),
        Some(Fit::Nothing(_)) | None => {
            return changed(closed::FINDING_GONE);
        }
    }
    // Without the runs nothing could be proved afterwards either: the previous job would be unknown.
    let run_probe = live.run_probe(&proposal.target.schema_id);
    if let Some(Newest::Unclear(why)) = run_probe.map(RunProbe::newest) {
        return unread(closed::runs_unknown(why));
    }
    match proposal.action {
        ProposedAction::Resync | ProposedAction::DeleteData | ProposedAction::RepairConfig => {
            no_run_near(known, live, proposal)
        }
        // PostHog cancels the runs of these tables, and resets them.
        ProposedAction::RepairCdc => no_run_of(live, |row| row.syncs_by("cdc")),
        ProposedAction::ReregisterWebhook => no_run_of(live, |row| row.syncs_by("webhook")),
        // What a cancel hits is read with the finding; the others leave a run as it is.
        ProposedAction::Cancel
        | ProposedAction::Reload
        | ProposedAction::Reenable
        | ProposedAction::RefreshSchemas => Ok(()),
    }
}

/// That no run is in progress of the tables of the source that are reset with it.
fn no_run_of(live: &Live, is_reset: impl Fn(&Schema) -> bool) -> Result<(), Closed> {
    let Some(source) = live.source() else {
        return unread(closed::SOURCE_NOT_READ);
    };
    for row in source.schemas.iter().filter(|row| is_reset(row)) {
        let name = redact::one_line(&row.name, 80);
        let run_probe = live.run_probe(&row.id);
        if let Some(Newest::Unclear(why)) = run_probe.map(RunProbe::newest) {
            return unread(closed::runs_of_unknown(&name, why));
        }
        if let Some(job) = run_probe.and_then(|read| read.unfinished().next()) {
            return changed(closed::not_ended_of(&job.id, &name));
        }
        if run_probe.is_none() && row.status() == SchemaStatus::Running {
            return changed(closed::is_running(&name));
        }
    }
    Ok(())
}

fn not_read(live: &Live) -> Option<String> {
    let source = live.source.as_ref().and_then(|read| read.as_ref().err());
    let detail = live.detail.as_ref().and_then(|read| read.as_ref().err());
    let cdc = live.cdc.as_ref().and_then(|read| read.as_ref().err());
    let check = live.prerequisites.as_ref();
    let check = check.and_then(|read| read.as_ref().err());
    let webhook = live.webhook.as_ref().and_then(|read| read.as_ref().err());
    let why = source.or(detail).or(cdc).or(check).or(webhook)?;
    Some(closed::target_not_read(why))
}

/// During a run, data would be written while it is deleted; and a run that starts right after would hide the result.
fn no_run_near(known: &Known<'_>, live: &Live, proposal: &Proposal) -> Result<(), Closed> {
    let id = &proposal.target.schema_id;
    let Some(run_probe) = live.run_probe(id) else {
        return unread(closed::RUNS_NOT_READ);
    };
    let (job, began) = match run_probe.newest() {
        Newest::Unclear(why) => return unread(closed::runs_unknown(why)),
        Newest::None => return Ok(()),
        Newest::Job(job, began) => (job, began),
    };
    if !matches!(
        job.status(),
        JobStatus::Completed | JobStatus::Failed | JobStatus::Billing
    ) {
        return changed(closed::not_ended(&job.id));
    }
    if let Some(older) = run_probe.unfinished().next() {
        return changed(closed::older_not_ended(&older.id));
    }
    let Some(row) = live.row(id) else {
        return unread(closed::TABLE_NOT_READ);
    };
    let Some(every) = row.frequency().filter(|_| row.is_on()) else {
        return Ok(());
    };
    let margin = no_send_within(every);
    let until_due = began
        .checked_add(every)
        .map(|due| due.duration_since(known.now));
    match until_due {
        Ok(wait) if wait.abs() <= margin => {
            changed(closed::run_due(began.checked_add(every).unwrap_or(began)))
        }
        _ => Ok(()),
    }
}

/// How far from a scheduled run nothing is sent that a run would hide, for a table that syncs this often.
pub(super) fn no_send_within(every: SignedDuration) -> SignedDuration {
    SignedDuration::from_mins(5).min(every / 4)
}

fn changed<A>(why: impl Into<String>) -> Result<A, Closed> {
    Err(Closed::Changed(why.into()))
}

fn unread<A>(why: impl Into<String>) -> Result<A, Closed> {
    Err(Closed::Unread(why.into()))
}
