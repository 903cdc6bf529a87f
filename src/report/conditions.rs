//! Conditions after the Kubernetes API conventions: `observedGeneration` on each, and `lastTransitionTime` moves only when
//! the status does.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::conditions::{READY, RECONCILING, Reason, STALLED};

/// Longest message of a condition, in characters. The API allows 32,768; people read less.
const MESSAGE_CAP: usize = 1_000;

/// A condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Truth {
    /// True.
    True,
    /// False.
    False,
    /// Unknown.
    Unknown,
}

impl Truth {
    /// As it stands in a condition.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What a condition says.
#[derive(Debug, Clone)]
pub struct Saying {
    /// Type.
    pub type_: &'static str,
    /// Status.
    pub truth: Truth,
    /// Reason.
    pub reason: Reason,
    /// Message.
    pub message: String,
}

/// The conditions that say `sayings`, given the ones before.
#[must_use]
pub fn compose(
    old: &[Condition],
    sayings: Vec<Saying>,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let compose_one = |Saying {
                           type_,
                           truth,
                           reason,
                           message,
                       }: Saying| {
        let status = truth.as_str();
        let since = old
            .iter()
            .find(|c| c.type_ == type_ && c.status == status)
            .map_or(Time(now), |c| c.last_transition_time.clone());
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: crate::posthog::redact::one_line(&message, MESSAGE_CAP),
            last_transition_time: since,
            observed_generation: Some(generation),
        }
    };
    sayings.into_iter().map(compose_one).collect()
}

/// Ready, Reconciling and Stalled, which follow from one another as kstatus reads them. `polled` is what was read, or why
/// not; `first` is true until something of this generation was polled.
#[must_use]
pub fn readiness(polled: Result<String, (Reason, String)>, first: bool) -> Vec<Saying> {
    let (ready, reason, message) = match polled {
        Ok(message) => (Truth::True, Reason::Polled, message),
        Err((reason, message)) => (Truth::False, reason, message),
    };
    let stalled = ready == Truth::False && reason.stalls();
    let reconciling = ready == Truth::False && !stalled && first;
    let proceeding = |text: &str| (Truth::False, Reason::Proceeding, text.to_owned());
    let (stalled, stalled_reason, stalled_message) = if stalled {
        (Truth::True, reason, message.clone())
    } else {
        proceeding("Nothing needs a human to go on")
    };
    let (reconciling, reconciling_reason, reconciling_message) = if reconciling {
        (
            Truth::True,
            Reason::FirstPoll,
            format!("This generation has not been polled yet: {message}"),
        )
    } else {
        proceeding("This generation has been taken up")
    };
    vec![
        Saying {
            type_: READY,
            truth: ready,
            reason,
            message,
        },
        Saying {
            type_: RECONCILING,
            truth: reconciling,
            reason: reconciling_reason,
            message: reconciling_message,
        },
        Saying {
            type_: STALLED,
            truth: stalled,
            reason: stalled_reason,
            message: stalled_message,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_transition_moves_only_with_the_status() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let say = |truth, reason| {
            vec![Saying {
                type_: READY,
                truth,
                reason,
                message: String::new(),
            }]
        };
        let first = compose(&[], say(Truth::False, Reason::KeyRejected), 1, at(1));
        let second = compose(&first, say(Truth::False, Reason::HostUnreachable), 2, at(2));
        assert_eq!(second[0].last_transition_time, Time(at(1)));
        assert_eq!(
            (second[0].reason.as_str(), second[0].observed_generation),
            ("HostUnreachable", Some(2))
        );
        let third = compose(&second, say(Truth::True, Reason::Polled), 2, at(3));
        assert_eq!(third[0].last_transition_time, Time(at(3)));
    }

    #[test]
    fn what_only_a_human_can_mend_stalls_and_what_may_pass_does_not() {
        let truth =
            |sayings: &[Saying], type_| sayings.iter().find(|s| s.type_ == type_).map(|s| s.truth);
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
