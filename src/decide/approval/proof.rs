//! What proves that a call did what it should. A 200 alone does not.

use super::after_cancel::hit;
use crate::{
    api::{
        Timings,
        proposal::{Execution, Material, Proposal, ProposedAction, ProposedCall, ProposedStep},
    },
    decide::words::execution as words,
    observe::{Live, Newest, RunProbe},
    posthog::{
        lax::Lax,
        probe::SchemaDetail,
        wire::{Job, JobStatus},
    },
};

/// What fresh reads show about a proposal that was sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is done.
    Done {
        /// The job that did it, if it takes one.
        job: Option<String>,
    },
    /// This job is doing it.
    AtWork(String),
    /// For a cancel: it has probably hit this job, a later one than intended.
    Hit(String),
    /// Its job has failed, for this reason.
    Failed(String),
    /// Nothing shows that it is done.
    Absent,
    /// It could not be read, for this reason.
    Unread(String),
}

/// What proves the whole of `proposal`. `lost`: the answer to its last call is unknown, so that a job alone proves nothing.
pub fn of_whole(proposal: &Proposal, live: &Live, timings: &Timings, lost: bool) -> Proof {
    let Some(execution) = &proposal.execution else {
        return Proof::Absent;
    };
    let schema_id = &proposal.target.schema_id;
    match proposal.action {
        ProposedAction::Resync => job(live, schema_id, execution, lost),
        ProposedAction::DeleteData if lost => Proof::Absent,
        // For a cancel only the answer to its reload can be lost here: any run that completes after the cancelled one is the proof.
        ProposedAction::DeleteData => job(live, schema_id, execution, false),
        ProposedAction::Cancel => match job(live, schema_id, execution, false) {
            Proof::Failed(why) => match own_hit(proposal, live, timings) {
                Some(job) => Proof::Hit(job),
                None => Proof::Failed(why),
            },
            other => other,
        },
        ProposedAction::Reload => match job(live, schema_id, execution, false) {
            Proof::AtWork(job) => Proof::Done { job: Some(job) },
            Proof::Failed(_) => Proof::Done { job: None },
            other => other,
        },
        // Proved by its answer, which is read when it arrives.
        ProposedAction::RefreshSchemas => Proof::Absent,
        ProposedAction::RepairConfig | ProposedAction::Reenable => {
            values(&proposal.material, live, timings)
        }
        ProposedAction::RepairCdc => captured(live, execution),
        ProposedAction::ReregisterWebhook => webhook(live),
    }
}

/// Whether the effect of one step can be seen; none if it could not be read.
pub fn of_step(
    step: &ProposedStep,
    material: &Material,
    live: &Live,
    timings: &Timings,
) -> Option<bool> {
    match step.call {
        ProposedCall::PatchSchema => live.detail().map(|detail| has_values(step, detail)),
        ProposedCall::DeleteData => {
            let row = live.row(material.schema_id.as_ref()?)?;
            Some(row.table.is_none())
        }
        ProposedCall::PatchTables => Some(tables_have_values(step, live)?),
        ProposedCall::DeleteWebhook | ProposedCall::CreateWebhook => {
            let info = live.webhook.as_ref()?.as_ref().ok()?;
            let there = *info.exists.get()?;
            Some(there == (step.call == ProposedCall::CreateWebhook))
        }
        ProposedCall::Cancel => {
            let run_probe = live.run_probe(material.schema_id.as_ref()?)?;
            has_rested(run_probe, step.job_id.as_deref()?, timings)
        }
        // A job is at work or done: what follows does not have to wait for its end.
        ProposedCall::Resync
        | ProposedCall::Reload
        | ProposedCall::RefreshSchemas
        | ProposedCall::RepairCdc => Some(true),
    }
}

/// The job after the cancelled one, if our cancel has probably hit it; only once.
fn own_hit(proposal: &Proposal, live: &Live, timings: &Timings) -> Option<String> {
    let execution = proposal.execution.as_ref()?;
    let meant = proposal.material.steps.first()?.job_id.as_ref();
    let is_first = execution.job_before.as_ref() == meant;
    let run_probe = live
        .run_probe(&proposal.target.schema_id)
        .filter(|_| is_first)?;
    hit(execution, run_probe, timings.settle).map(|job| job.id.clone())
}

/// Whether a cancelled run has ended and its table has been quiet since: `PostHog` skips a start right after a cancel, but still answers
/// 200. None if that is unknown.
fn has_rested(run_probe: &RunProbe, job_id: &str, timings: &Timings) -> Option<bool> {
    let job = run_probe.job(job_id)?;
    match job.status() {
        JobStatus::Running => Some(false),
        JobStatus::Completed | JobStatus::Failed | JobStatus::Billing => {
            let ended = *job.finished_at.get()?;
            let is_quiet = run_probe.has_rested(timings, run_probe.at).ok()?;
            Some(is_quiet && run_probe.began.duration_since(ended) >= timings.settle)
        }
        JobStatus::Unknown => None,
    }
}

/// The first job after the previous one.
fn job(live: &Live, schema_id: &str, execution: &Execution, lost: bool) -> Proof {
    let Some(run_probe) = live.run_probe(schema_id) else {
        return Proof::Unread(words::TABLE_NOT_READ.to_owned());
    };
    let first = match run_probe.first_after(execution.job_before.as_deref()) {
        Err(why) => return Proof::Unread(why.to_owned()),
        Ok(None) => return Proof::Absent,
        Ok(Some(job)) => job,
    };
    let id = || first.id.clone();
    match first.status() {
        JobStatus::Completed if lost && !has_all_rows(first, execution) => Proof::Absent,
        JobStatus::Completed => Proof::Done { job: Some(id()) },
        JobStatus::Failed => Proof::Failed(words::run_failed(&id())),
        JobStatus::Running => Proof::AtWork(id()),
        other => Proof::Unread(words::run_has_status(&id(), other)),
    }
}

/// A run that reads as many rows as there were has started from the beginning; one that continues reads fewer.
fn has_all_rows(job: &Job, execution: &Execution) -> bool {
    match (job.rows_synced.get(), execution.rows_before) {
        (Some(rows), Some(before)) => {
            rows.saturating_mul(10) >= before.saturating_mul(9) && before > 0
        }
        _ => false,
    }
}

/// Whether the tables say what every PATCH of the proposal asked for.
fn values(material: &Material, live: &Live, timings: &Timings) -> Proof {
    let patches = material.steps.iter().filter(|step| {
        matches!(
            step.call,
            ProposedCall::PatchSchema | ProposedCall::PatchTables
        )
    });
    for step in patches {
        match of_step(step, material, live, timings) {
            Some(true) => {}
            Some(false) => return Proof::Absent,
            None => return Proof::Unread(words::TABLE_NOT_READ.to_owned()),
        }
    }
    Proof::Done { job: None }
}

fn has_values(step: &ProposedStep, detail: &SchemaDetail) -> bool {
    let field = step.incremental_field.as_ref();
    let same = |wanted: &Vec<String>| detail.primary_key_columns.as_ref() == Some(wanted);
    field.is_none_or(|field| detail.incremental_field.get() == Some(field))
        && step.primary_key_columns.as_ref().is_none_or(same)
        && (!step.switch_on || detail.row.is_on())
}

fn tables_have_values(step: &ProposedStep, live: &Live) -> Option<bool> {
    let source = live.source()?;
    let has = |id: &String| {
        let row = source.schemas.iter().find(|row| row.id == *id);
        row.is_some_and(|row| {
            (!step.switch_on || row.is_on())
                && step.sync_type.as_ref().is_none_or(|by| row.syncs_by(by))
        })
    };
    Some(step.schema_ids.iter().all(has))
}

/// A repair is done when the slot is there and every captured table was imported after it.
fn captured(live: &Live, execution: &Execution) -> Proof {
    let has_slot = match &live.cdc {
        Some(Ok(status)) => status.slot_exists == Lax::Is(true),
        Some(Err(why)) => return Proof::Unread(why.clone()),
        None => return Proof::Absent,
    };
    let Some(sent) = execution.steps.first().map(|step| step.started_at) else {
        return Proof::Absent;
    };
    if !has_slot || live.run_probes.is_empty() {
        return Proof::Absent;
    }
    for (_, run_probe) in &live.run_probes {
        match run_probe.newest() {
            Newest::Unclear(why) => return Proof::Unread(why.to_owned()),
            Newest::Job(job, created) if created >= sent => match job.status() {
                JobStatus::Completed => {}
                JobStatus::Failed => return Proof::Failed(words::run_failed(&job.id)),
                _ => return Proof::AtWork(job.id.clone()),
            },
            Newest::None | Newest::Job(..) => return Proof::Absent,
        }
    }
    Proof::Done { job: None }
}

fn webhook(live: &Live) -> Proof {
    match &live.webhook {
        Some(Ok(info)) if info.is_healthy() => Proof::Done { job: None },
        Some(Err(why)) => Proof::Unread(why.clone()),
        None | Some(Ok(_)) => Proof::Absent,
    }
}
