//! Notes about proposals in the history.

use crate::api::proposal::{Phase, Proposal};

/// How the message of a proposal begins that a guard holds.
pub const HELD: &str = "held: ";

/// The note about a step of a proposal.
#[must_use]
pub fn note(proposal: &Proposal) -> String {
    let Proposal {
        id, phase, message, ..
    } = proposal;
    let by = match (phase, &proposal.approval) {
        (Phase::Approved, Some(seen)) => format!(" by {}", seen.by),
        _ => String::new(),
    };
    let why = if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    };
    let title = proposal.title();
    format!("{title}: proposal {id} {}{by}{why}", in_a_word(*phase))
}

/// The note about a new proposal.
pub(crate) fn proposed(proposal: &Proposal) -> String {
    let (title, action) = (proposal.title(), proposal.action.as_str());
    format!("{title}: {action} proposed as {}", proposal.id)
}

/// A phase, in a word or a few.
pub const fn in_a_word(phase: Phase) -> &'static str {
    match phase {
        Phase::AwaitingApproval => "waits for approval",
        Phase::Approved => "is approved",
        Phase::Executing => "is being executed",
        Phase::Verifying => "is being verified",
        Phase::Executed => "was executed",
        Phase::Failed => "failed",
        Phase::OutcomeUnknown => "has an unknown outcome",
        Phase::Denied => "was denied",
        Phase::Expired => "expired",
        Phase::Withdrawn => "was withdrawn",
        Phase::Superseded => "was superseded",
    }
}
