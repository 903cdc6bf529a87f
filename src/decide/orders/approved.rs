//! The next step of a proposal that a person approved.

use jiff::Timestamp;

use crate::{
    api::{
        About, Timings,
        proposal::{Phase, Proposal, ProposedAction},
        status::Fate,
    },
    decide::{
        approval::{
            after_cancel::{is_to_be_seen, reload_is_due},
            progress::settle,
        },
        plan::{Basis, Kind, OfProposal, Order, Subject},
        proposal::{key::Key, steps},
        words::order as words,
    },
};

/// The order for the call that is due, subject to fresh reads; none while a proof is awaited, or if nothing is due.
#[must_use]
pub fn order(proposal: &Proposal, timings: &Timings, now: Timestamp) -> Option<Order> {
    let place = place(proposal, timings, now)?;
    let material = &proposal.material;
    let call = steps::write(material, material.steps.get(place)?)?;
    let (action, title) = (proposal.action, proposal.title());
    Some(Order {
        subject: Subject {
            about: About::proposal(proposal),
            title: title.to_owned(),
            ..subject(&Key::of_proposal(proposal))
        },
        kind: Kind::Approved,
        what: words::step(call.name(), action, title),
        why: words::APPROVED.to_owned(),
        starts: place == 0,
        basis: Basis::Proposal(OfProposal {
            id: proposal.id.clone(),
            action,
            steps_left: material.steps.len() - place,
        }),
        call,
    })
}

/// What a proposal of this key would be about, also before it is created.
#[must_use]
pub fn subject(key: &Key) -> Subject {
    Subject {
        source_id: key.source_id.clone(),
        schema_id: key.schema_id.clone().unwrap_or_default(),
        title: String::new(),
        about: About::default(),
    }
}

/// A proposal of this action that does not exist yet.
#[must_use]
pub const fn unmade(action: ProposedAction) -> Basis {
    Basis::Proposal(OfProposal {
        id: String::new(),
        action,
        steps_left: 0,
    })
}

/// Which of its steps is due.
fn place(proposal: &Proposal, timings: &Timings, now: Timestamp) -> Option<usize> {
    match proposal.phase {
        Phase::Approved => Some(0),
        Phase::Executing => {
            let settled = settle(proposal.clone(), timings, now);
            let last = proposal.started_steps().len().checked_sub(1)?;
            match proposal.started_steps()[last].fate {
                _ if reload_is_due(proposal, timings, now) => Some(last),
                Some(Fate::Unknown) | None if is_to_be_seen(proposal) => Some(last + 1),
                Some(Fate::NotSent) if settled.phase == Phase::Executing => Some(last),
                Some(Fate::Accepted) if settled.phase == Phase::Executing => Some(last + 1),
                Some(Fate::Accepted | Fate::NotSent | Fate::Refused | Fate::Unknown) | None => None,
            }
        }
        Phase::Verifying if reload_is_due(proposal, timings, now) => {
            proposal.started_steps().len().checked_sub(1)
        }
        Phase::AwaitingApproval
        | Phase::Verifying
        | Phase::Executed
        | Phase::Failed
        | Phase::OutcomeUnknown
        | Phase::Denied
        | Phase::Expired
        | Phase::Withdrawn
        | Phase::Superseded => None,
    }
}
