//! What must hold right before the first call of an approved proposal.
//!
//! First what costs nothing to ask ([`held`]): the policy's own fields, the approval, windows, budgets, breaker, ownership. Then
//! what was read anew for it ([`facts`]): the finding still holds, and would lead to this very proposal, with this id.

use jiff::SignedDuration;

use super::{Answer, answer, answer::Rules};
use crate::{
    api::proposal::{Proposal, ProposedAction},
    decide::{
        Plan,
        guards::{breaker, budget, windows},
        ownership::{is_carried_out, is_in_flight},
        proposal::{
            Key,
            fitting::{Fit, fitting},
            forbidden::forbidden,
            material,
        },
    },
    diagnose::{Diagnosis, Known},
    observe::{Live, Newest},
    posthog::wire::JobStatus,
};

/// Why it is not begun now.
pub type Closed = String;

/// What stops every call of a proposal, also the later ones.
pub fn stopped(
    known: &Known<'_>,
    plan: &Plan,
    proposal: &Proposal,
    rules: Rules,
) -> Option<Closed> {
    let key = Key::of_proposal(proposal);
    let forbidden = forbidden(known, &plan.incidents, &key, proposal.action);
    forbidden
        .map(|forbidden| forbidden.why)
        .or_else(|| answer::unguarded(&known.snapshot.approval_guard, rules))
}

/// What holds back the beginning, as far as it can be told without reading anything.
pub fn held(
    known: &Known<'_>,
    plan: &Plan,
    proposal: &Proposal,
    rules: Rules,
    max_actions_per_hour: usize,
) -> Option<Closed> {
    stopped(known, plan, proposal, rules)
        .or_else(|| windows::hold(&known.policy.windows, known.now).map(|held| held.why))
        .or_else(|| denied(known, proposal, rules))
        .or_else(|| {
            let reserved: usize = plan.incidents.iter().map(budget::reserved).sum();
            let planned = reserved + proposal.material.steps.len();
            budget::hold(known, &plan.sends, planned, max_actions_per_hour).map(|held| held.why)
        })
        .or_else(|| beside(plan, proposal))
        .or_else(|| {
            let limits = &known.policy.limits.breaker;
            match breaker::pass(limits, plan.breaker.as_ref(), known.now) {
                breaker::Pass::All => None,
                breaker::Pass::Trial => {
                    Some("breaker open: it lets one reload pass first".to_owned())
                }
                breaker::Pass::Nothing(held) => Some(held.why),
            }
        })
}

/// A denial that came after the approval was seen.
fn denied(known: &Known<'_>, proposal: &Proposal, rules: Rules) -> Option<Closed> {
    let Known { policy, now, .. } = *known;
    let guard = &known.snapshot.approval_guard;
    match answer::answer(policy, guard, rules, proposal, now) {
        Answer::No(reason) => Some(format!("it was denied: {reason}")),
        // The annotation may be gone by now: status remembers.
        Answer::None | Answer::Yes(_) | Answer::Inert(_) => None,
    }
}

/// What else is under way on the same table or source.
fn beside(plan: &Plan, proposal: &Proposal) -> Option<Closed> {
    let target = &proposal.target;
    let whole_source = target.schema_id.is_empty();
    let mut incidents = plan
        .incidents
        .iter()
        .filter(|incident| is_in_flight(incident));
    let touched = incidents.find(|incident| {
        incident.schema_id == target.schema_id
            || whole_source && incident.source_id == target.source_id
    });
    if let Some(incident) = touched {
        return Some(format!("an incident of {} is under way", incident.schema));
    }
    let mut others = plan
        .proposals
        .iter()
        .filter(|other| other.id != proposal.id && is_carried_out(other));
    let other = others.find(|other| (other.target).meets(&target.source_id, &target.schema_id))?;
    Some(format!("proposal {} is under way", other.id))
}

/// What fresh reads say against it. `known` and `diagnosis` are made of them.
pub fn facts(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    live: &Live,
    proposal: &Proposal,
) -> Result<(), Closed> {
    if let Some(why) = unread(live) {
        return Err(why);
    }
    if proposal.id != material::id(&proposal.material) {
        return Err("its id is not the one of its material".to_owned());
    }
    let key = Key::of_proposal(proposal);
    match fitting(known, diagnosis)
        .remove(&key)
        .map(|wanted| wanted.fit)
    {
        Some(Fit::Draft(draft)) if draft.is(proposal) => {}
        Some(Fit::Draft(_)) => {
            return Err("what would be done, or to what, has changed".to_owned());
        }
        Some(Fit::Open(why)) => return Err(why.to_owned()),
        Some(Fit::Nothing(_)) | None => {
            return Err("the finding does not hold just now".to_owned());
        }
    }
    // An unread look proves nothing afterwards either: the job before it would not be known.
    let look = live.look(&proposal.target.schema_id);
    if let Some(Newest::Unclear(why)) = look.map(crate::observe::Look::newest) {
        return Err(format!("its runs are not known just now: {why}"));
    }
    let touches_a_run = matches!(
        proposal.action,
        ProposedAction::Resync | ProposedAction::DeleteData | ProposedAction::RepairConfig
    );
    if touches_a_run {
        no_run_near(known, live, proposal)?;
    }
    Ok(())
}

fn unread(live: &Live) -> Option<Closed> {
    let source = live.source.as_ref().and_then(|read| read.as_ref().err());
    let detail = live.detail.as_ref().and_then(|read| read.as_ref().err());
    let cdc = live.cdc.as_ref().and_then(|read| read.as_ref().err());
    let webhook = live.webhook.as_ref().and_then(|read| read.as_ref().err());
    let why = source.or(detail).or(cdc).or(webhook)?;
    Some(format!("what it touches could not be read: {why}"))
}

/// Beside a run the data would be written while it is deleted; and one that begins right after would hide what came of it.
fn no_run_near(known: &Known<'_>, live: &Live, proposal: &Proposal) -> Result<(), Closed> {
    let id = &proposal.target.schema_id;
    let look = live.look(id).ok_or("its runs could not be read")?;
    let (job, began) = match look.newest() {
        Newest::Unclear(why) => return Err(format!("its runs are not known just now: {why}")),
        Newest::None => return Ok(()),
        Newest::Job(job, began) => (job, began),
    };
    if !matches!(
        job.status(),
        JobStatus::Completed | JobStatus::Failed | JobStatus::Billing
    ) {
        return Err(format!("run {} has not ended", job.id));
    }
    let row = live.row(id).ok_or("the table could not be read")?;
    let Some(every) = row
        .frequency()
        .filter(|_| row.should_sync == crate::posthog::lax::Lax::Is(true))
    else {
        return Ok(());
    };
    let margin = SignedDuration::from_mins(5).min(every / 4);
    let until_due = began
        .checked_add(every)
        .map(|due| due.duration_since(known.now));
    match until_due {
        Ok(wait) if wait.abs() <= margin => Err(format!(
            "a scheduled run is due at about {}",
            began.checked_add(every).unwrap_or(began)
        )),
        _ => Ok(()),
    }
}
