//! What a person has answered to a proposal.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        ValidatedPolicy,
        names::{ON_BEHALF, SERVICE_ACCOUNT},
        proposal::{ApprovalSeen, Proposal},
    },
    decide::{windows, words::approval as words},
    observe::ApprovalGuard,
    posthog::redact,
};

/// Longest name that is kept, in characters.
const NAME_CAP: usize = 256;

/// Which approvals are valid, by the operator's command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Accept them even while the admission policies are not in effect (`--allow-unguarded-approvals`).
    pub allow_unguarded: bool,
    /// Only those whose name the API server has checked (`--require-verified-approvals`).
    pub require_verified: bool,
    /// User names of `ServiceAccounts` through which people act (`--verified-service-accounts`): who uses any other is unknown.
    pub people: &'static [String],
}

impl Rules {
    /// True if a user of this name is a person, as far as is known.
    fn is_person(&self, name: &str) -> bool {
        !name.starts_with(SERVICE_ACCOUNT) || self.people.iter().any(|person| person == name)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalAnswer {
    /// None yet.
    None,
    /// Approved.
    Approved(ApprovalSeen),
    /// Denied, for this reason.
    Denied(String),
    /// An approval that is ignored, for this reason.
    Ignored(String),
}

/// The answer to `proposal`. A denial wins: it can do no harm, so it is valid even while the admission policies are not in effect.
#[must_use]
pub fn answer(
    policy: &ValidatedPolicy,
    guard: &ApprovalGuard,
    rules: Rules,
    proposal: &Proposal,
    now: Timestamp,
) -> ApprovalAnswer {
    if let Some(reason) = policy.answers.denial(&proposal.id) {
        return ApprovalAnswer::Denied(reason.to_owned());
    }
    let Some(by) = policy.answers.approval(&proposal.id) else {
        return ApprovalAnswer::None;
    };
    if by.trim().is_empty() || by == ON_BEHALF {
        return ApprovalAnswer::Ignored(words::NO_VALUE.to_owned());
    }
    if let Some(why) = unguarded(guard, rules) {
        return ApprovalAnswer::Ignored(why);
    }
    let verified = guard.is_active() && !by.starts_with(ON_BEHALF) && rules.is_person(by);
    if rules.require_verified && !verified {
        return ApprovalAnswer::Ignored(words::not_verified(by));
    }
    ApprovalAnswer::Approved(ApprovalSeen {
        by: redact::one_line(by, NAME_CAP),
        verified,
        observed_at: now,
    })
}

/// Why all approvals are ignored, if they are.
#[must_use]
pub fn unguarded(guard: &ApprovalGuard, rules: Rules) -> Option<String> {
    let broken = guard.broken.as_ref().filter(|_| !rules.allow_unguarded)?;
    Some(words::unguarded(broken))
}

/// True if the time to execute what was approved at `approved` has run out. Only time in open windows is counted.
#[must_use]
pub fn has_run_out(policy: &ValidatedPolicy, approved: Timestamp, now: Timestamp) -> bool {
    /// The most evaluations of the windows that one reconcile can afford.
    const MOST: i64 = 2_000;
    let span = now.duration_since(approved);
    if span < policy.execute_within {
        return false;
    }
    if policy.windows.is_empty() {
        return true;
    }
    let pace = SignedDuration::from_secs((span.as_secs() / MOST).max(60));
    let mut at = approved;
    let mut open = SignedDuration::ZERO;
    while at < now && open < policy.execute_within {
        if windows::closed(&policy.windows, at).is_none() {
            open += pace;
        }
        let Ok(next) = at.checked_add(pace) else {
            break;
        };
        at = next;
    }
    open >= policy.execute_within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_a_person_only_where_the_operator_was_given_its_name() {
        const ANNA: &str = "system:serviceaccount:people:anna";
        let listed = Rules {
            people: vec![ANNA.to_owned()].leak(),
            ..Rules::default()
        };
        for (rules, name, expected) in [
            (Rules::default(), "anna", true),
            (Rules::default(), ANNA, false),
            (listed, "anna", true),
            (listed, ANNA, true),
            (listed, "system:serviceaccount:people:anna2", false),
            (listed, "system:serviceaccount:flux-system:flux", false),
        ] {
            assert_eq!(rules.is_person(name), expected, "{name}");
        }
    }
}
