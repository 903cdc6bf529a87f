//! What fresh reads must show right before the first call of an approved proposal: the finding still holds, and would lead to this
//! very proposal, with this id.

use jiff::SignedDuration;

use crate::{
    api::proposal::{Proposal, ProposedAction},
    decide::{
        gate::Closed,
        proposal::{fit::Fit, fitting::fitting, key::Key, material},
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
        return changed("its id does not match its material");
    }
    let key = Key::of_proposal(proposal);
    match fitting(known, diagnosis)
        .remove(&key)
        .map(|wanted| wanted.fit)
    {
        Some(Fit::Draft(draft)) if draft.is(proposal) => {}
        Some(Fit::Draft(_)) => {
            return changed("the action or its target has changed");
        }
        Some(Fit::Open(why)) => return unread(why),
        Some(Fit::Nothing(_)) | None => {
            return changed("the finding does not currently hold");
        }
    }
    // Without the runs nothing could be proved afterwards either: the previous job would be unknown.
    let run_probe = live.run_probe(&proposal.target.schema_id);
    if let Some(Newest::Unclear(why)) = run_probe.map(RunProbe::newest) {
        return unread(format!("its runs are unknown: {why}"));
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
        return unread("the source could not be read");
    };
    for row in source.schemas.iter().filter(|row| is_reset(row)) {
        let name = redact::one_line(&row.name, 80);
        let run_probe = live.run_probe(&row.id);
        if let Some(Newest::Unclear(why)) = run_probe.map(RunProbe::newest) {
            return unread(format!("the runs of {name} are unknown: {why}"));
        }
        if let Some(job) = run_probe.and_then(|read| read.unfinished().next()) {
            return changed(format!("run {} of {name} has not ended", job.id));
        }
        if run_probe.is_none() && row.status() == SchemaStatus::Running {
            return changed(format!("{name} is Running"));
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
    Some(format!("its target could not be read: {why}"))
}

/// During a run, data would be written while it is deleted; and a run that starts right after would hide the result.
fn no_run_near(known: &Known<'_>, live: &Live, proposal: &Proposal) -> Result<(), Closed> {
    let id = &proposal.target.schema_id;
    let Some(run_probe) = live.run_probe(id) else {
        return unread("its runs could not be read");
    };
    let (job, began) = match run_probe.newest() {
        Newest::Unclear(why) => return unread(format!("its runs are unknown: {why}")),
        Newest::None => return Ok(()),
        Newest::Job(job, began) => (job, began),
    };
    if !matches!(
        job.status(),
        JobStatus::Completed | JobStatus::Failed | JobStatus::Billing
    ) {
        return changed(format!("run {} has not ended", job.id));
    }
    if let Some(older) = run_probe.unfinished().next() {
        return changed(format!("an older run, {}, has not ended", older.id));
    }
    let Some(row) = live.row(id) else {
        return unread("the table could not be read");
    };
    let Some(every) = row.frequency().filter(|_| row.is_on()) else {
        return Ok(());
    };
    let margin = SignedDuration::from_mins(5).min(every / 4);
    let until_due = began
        .checked_add(every)
        .map(|due| due.duration_since(known.now));
    match until_due {
        Ok(wait) if wait.abs() <= margin => changed(format!(
            "a scheduled run is due at about {}",
            began.checked_add(every).unwrap_or(began)
        )),
        _ => Ok(()),
    }
}

fn changed<A>(why: impl Into<String>) -> Result<A, Closed> {
    Err(Closed::Changed(why.into()))
}

fn unread<A>(why: impl Into<String>) -> Result<A, Closed> {
    Err(Closed::Unread(why.into()))
}
