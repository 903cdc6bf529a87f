//! What the history says of a proposal.

use crate::api::proposal::{Phase, Proposal};

/// What a step of a proposal leaves in the history.
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

/// A phase, in a word or a few.
pub const fn in_a_word(phase: Phase) -> &'static str {
    match phase {
        Phase::AwaitingApproval => "waits",
        Phase::Approved => "is approved",
        Phase::Executing => "is being executed",
        Phase::Verifying => "is being verified",
        Phase::Executed => "is executed",
        Phase::Failed => "failed",
        Phase::OutcomeUnknown => "has an unknown outcome",
        Phase::Denied => "was denied",
        Phase::Expired => "expired",
        Phase::Withdrawn => "withdrawn",
        Phase::Superseded => "superseded",
    }
}
