//! Ready, Reconciling and Stalled, which follow from one another as kstatus reads them.

use super::{ConditionFact, Truth};
use crate::api::{
    WarehouseSyncPolicyStatus,
    conditions::{READY, RECONCILING, Reason, STALLED},
};

/// What follows from `polled`, which is what was read, or why nothing was. `first` is true until something of this generation was
/// polled.
#[must_use]
pub fn readiness(polled: Result<String, (Reason, String)>, first: bool) -> [ConditionFact; 3] {
    let (ready, reason, message) = match polled {
        Ok(message) => (Truth::True, Reason::Polled, message),
        Err((reason, message)) => (Truth::False, reason, message),
    };
    let is_stalled = ready == Truth::False && reason.stalls();
    let is_reconciling = ready == Truth::False && !is_stalled && first;
    let reconciling = if is_reconciling {
        let message = format!("This generation has not been polled yet: {message}");
        ConditionFact::new(RECONCILING, Truth::True, Reason::FirstPoll, message)
    } else {
        let message = "This generation has been observed";
        ConditionFact::new(RECONCILING, Truth::False, Reason::Proceeding, message)
    };
    let stalled = if is_stalled {
        ConditionFact::new(STALLED, Truth::True, reason, message.clone())
    } else {
        let message = "No change by a person is required";
        ConditionFact::new(STALLED, Truth::False, Reason::Proceeding, message)
    };
    [
        ConditionFact::new(READY, ready, reason, message),
        reconciling,
        stalled,
    ]
}

/// True if nothing of this generation was polled yet, as the status tells.
#[must_use]
pub fn is_first(old: &WarehouseSyncPolicyStatus, generation: i64) -> bool {
    let was_first = old
        .condition(RECONCILING)
        .is_some_and(|known| known.status == Truth::True.as_str());
    old.observed_generation != Some(generation) || old.summary.is_none() || was_first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_person_can_fix_stalls_and_transient_errors_do_not() {
        let truth = |facts: &[ConditionFact], type_| {
            facts.iter().find(|s| s.type_ == type_).map(|s| s.truth)
        };
        let wrong_key = readiness(Err((Reason::KeyRejected, String::new())), true);
        assert_eq!(truth(&wrong_key, STALLED), Some(Truth::True));
        assert_eq!(truth(&wrong_key, RECONCILING), Some(Truth::False));
        let outage = readiness(Err((Reason::PostHogUnavailable, String::new())), true);
        assert_eq!(
            (truth(&outage, STALLED), truth(&outage, RECONCILING)),
            (Some(Truth::False), Some(Truth::True))
        );
        let later = readiness(Err((Reason::PostHogUnavailable, String::new())), false);
        assert_eq!(
            truth(&later, RECONCILING),
            Some(Truth::False),
            "a Flux wait must not hang on an outage"
        );
    }
}
