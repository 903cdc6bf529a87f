//! What commands and the page of `kubectl wsp ui` say in the same words. What only one command says is beside it.

use crate::api::proposal::ApprovalSeen;

/// What a change of `spec.suspend` led to.
pub(super) const fn suspended(is_suspended: bool) -> &'static str {
    if is_suspended {
        "suspended: no call that changes something in PostHog is sent"
    } else {
        "resumed"
    }
}

/// Who says who approved.
pub(super) const fn verified(approval: &ApprovalSeen) -> &'static str {
    if approval.verified {
        "verified by the API server"
    } else {
        "not verified"
    }
}
