//! Ready, Reconciling and Stalled, which follow from one another as kstatus reads them.

use super::{ConditionFact, ConditionStatus};
use crate::api::{
    WarehouseSyncPolicyStatus,
    conditions::{READY, RECONCILING, Reason, STALLED},
};

/// What follows from `polled`, which is what was read, or why nothing was. `first` is true until something of this generation was
/// polled.
#[must_use]
pub fn readiness(polled: Result<String, (Reason, String)>, first: bool) -> [ConditionFact; 3] {
    let (ready, reason, message) = match polled {
        Ok(message) => (ConditionStatus::True, Reason::Polled, message),
        Err((reason, message)) => (ConditionStatus::False, reason, message),
    };
    let is_stalled = ready == ConditionStatus::False && reason.stalls();
    let is_reconciling = ready == ConditionStatus::False && !is_stalled && first;
    let reconciling = if is_reconciling {
        let message = format!("This generation has not been polled yet: {message}");
        ConditionFact::new(
            RECONCILING,
            ConditionStatus::True,
            Reason::FirstPoll,
            message,
        )
    } else {
        let message = "This generation has been observed";
        ConditionFact::new(
            RECONCILING,
            ConditionStatus::False,
            Reason::Proceeding,
            message,
        )
    };
    let stalled = if is_stalled {
        ConditionFact::new(STALLED, ConditionStatus::True, reason, message.clone())
    } else {
        let message = "No change by a person is required";
        ConditionFact::new(STALLED, ConditionStatus::False, Reason::Proceeding, message)
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
        .is_some_and(|known| known.status == ConditionStatus::True.as_str());
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
        assert_eq!(truth(&wrong_key, STALLED), Some(ConditionStatus::True));
        assert_eq!(truth(&wrong_key, RECONCILING), Some(ConditionStatus::False));
        let outage = readiness(Err((Reason::PostHogUnavailable, String::new())), true);
        assert_eq!(
            (truth(&outage, STALLED), truth(&outage, RECONCILING)),
            (Some(ConditionStatus::False), Some(ConditionStatus::True))
        );
        let later = readiness(Err((Reason::PostHogUnavailable, String::new())), false);
        assert_eq!(
            truth(&later, RECONCILING),
            Some(ConditionStatus::False),
            "a Flux wait must not hang on an outage"
        );
    }
}
