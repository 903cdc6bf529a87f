//! What a person has answered to a proposal.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        ValidatedPolicy,
        names::{ON_BEHALF, SERVICE_ACCOUNT},
        proposal::{ApprovalSeen, Proposal},
    },
    decide::windows,
    observe::ApprovalGuard,
    posthog::redact,
};

/// Longest name that is kept, in characters.
const NAME_CAP: usize = 256;

/// Which approvals count, by the operator's command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Believe them also while the guard does not stand (`--allow-unguarded-approvals`).
    pub allow_unguarded: bool,
    /// Only those whose name the API server has checked (`--require-verified-approvals`).
    pub require_verified: bool,
    /// User names of `ServiceAccounts` that people act through (`--verified-service-accounts`): of no other is it known who is behind it.
    pub people: &'static [String],
}

impl Rules {
    /// True if a user of this name is a person, as far as can be known.
    fn is_person(&self, name: &str) -> bool {
        !name.starts_with(SERVICE_ACCOUNT) || self.people.iter().any(|person| person == name)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// None yet.
    None,
    /// Yes.
    Yes(ApprovalSeen),
    /// No, for this reason.
    No(String),
    /// There is a yes, and it does not count, for this reason.
    Inert(String),
}

/// The answer to `proposal`. No wins: it can do no harm, so it also counts while the guard does not stand.
#[must_use]
pub fn answer(
    policy: &ValidatedPolicy,
    guard: &ApprovalGuard,
    rules: Rules,
    proposal: &Proposal,
    now: Timestamp,
) -> Reply {
    if let Some(reason) = policy.answers.denial(&proposal.id) {
        return Reply::No(reason.to_owned());
    }
    let Some(by) = policy.answers.approval(&proposal.id) else {
        return Reply::None;
    };
    if by.trim().is_empty() || by == ON_BEHALF {
        let why = "its approval has no value: it must be the user name of who approves";
        return Reply::Inert(why.to_owned());
    }
    if let Some(why) = unguarded(guard, rules) {
        return Reply::Inert(why);
    }
    let verified = guard.is_active() && !by.starts_with(ON_BEHALF) && rules.is_person(by);
    if rules.require_verified && !verified {
        let why = format!(
            "the operator runs with --require-verified-approvals, and nobody has checked who {by:?} is: approve it with kubectl as yourself"
        );
        return Reply::Inert(why);
    }
    Reply::Yes(ApprovalSeen {
        by: redact::one_line(by, NAME_CAP),
        verified,
        observed_at: now,
    })
}

/// Why no approval counts, if none does.
#[must_use]
pub fn unguarded(guard: &ApprovalGuard, rules: Rules) -> Option<String> {
    let broken = guard.broken.as_ref().filter(|_| !rules.allow_unguarded)?;
    Some(format!("ApprovalGuardActive is False: {broken}"))
}

/// True if what was approved at `approved` has had its time. Only the time counts in which the windows were open.
#[must_use]
pub fn has_run_out(policy: &ValidatedPolicy, approved: Timestamp, now: Timestamp) -> bool {
    /// As many looks at the windows as a pass can afford.
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
