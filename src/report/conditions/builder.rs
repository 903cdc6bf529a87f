//! From facts to the conditions of a status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::ConditionFact;
use crate::posthog::redact;

/// Longest message of a condition, in characters. The API allows 32,768; people read less.
const MESSAGE_CAP: usize = 1_000;

/// Puts the conditions of a status together.
///
/// ```
/// use jiff::Timestamp;
/// use warehouse_sync_operator::{
///     api::conditions::{READY, Reason},
///     report::conditions::{Conditions, ConditionFact, ConditionStatus},
/// };
///
/// let at = |second| Timestamp::from_second(second).unwrap();
/// let ready = || ConditionFact::new(READY, ConditionStatus::True, Reason::Polled, "PostHog was polled");
/// let first = Conditions::after(&[], 1, at(0)).say([ready()]).build();
/// let second = Conditions::after(&first, 2, at(60)).say([ready()]).build();
/// // The same is true since the same time, of another generation.
/// assert_eq!(second[0].last_transition_time, first[0].last_transition_time);
/// assert_eq!(second[0].observed_generation, Some(2));
/// ```
#[derive(Debug)]
pub struct Conditions<'a> {
    before: &'a [Condition],
    generation: i64,
    now: Timestamp,
    built: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// Those of a policy of this generation at `now`, after those of `before`.
    #[must_use]
    pub const fn after(before: &'a [Condition], generation: i64, now: Timestamp) -> Self {
        Self {
            before,
            generation,
            now,
            built: Vec::new(),
        }
    }

    /// What these facts say is so.
    #[must_use]
    pub fn say(mut self, facts: impl IntoIterator<Item = ConditionFact>) -> Self {
        for fact in facts {
            self.built.push(self.condition(fact));
        }
        self
    }

    /// What was said before of this fact's type is so still; if nothing was, the fact is.
    #[must_use]
    pub fn say_unless_known(mut self, fact: ConditionFact) -> Self {
        let Some(known) = self.known(fact.type_).cloned() else {
            return self.say([fact]);
        };
        self.built.push(Condition {
            observed_generation: Some(self.generation),
            ..known
        });
        self
    }

    /// The conditions, in the order in which they were said.
    #[must_use]
    pub fn build(self) -> Vec<Condition> {
        self.built
    }

    fn known(&self, type_: &str) -> Option<&'a Condition> {
        self.before.iter().find(|known| known.type_ == type_)
    }

    fn condition(&self, fact: ConditionFact) -> Condition {
        let ConditionFact {
            type_,
            truth,
            reason,
            message,
        } = fact;
        let status = truth.as_str();
        let same = self.known(type_).filter(|known| known.status == status);
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: redact::one_line(&message, MESSAGE_CAP),
            last_transition_time: same
                .map_or(Time(self.now), |known| known.last_transition_time.clone()),
            observed_generation: Some(self.generation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::conditions::{READY, Reason},
        report::conditions::ConditionStatus,
    };

    #[test]
    fn the_time_of_a_transition_moves_only_with_the_status() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let say = |before: &[Condition], truth, reason, generation, minute| {
            Conditions::after(before, generation, at(minute))
                .say([ConditionFact::new(READY, truth, reason, "")])
                .build()
        };
        let first = say(&[], ConditionStatus::False, Reason::KeyRejected, 1, 1);
        let second = say(
            &first,
            ConditionStatus::False,
            Reason::HostUnreachable,
            2,
            2,
        );
        assert_eq!(second[0].last_transition_time, Time(at(1)));
        assert_eq!(
            (second[0].reason.as_str(), second[0].observed_generation),
            ("HostUnreachable", Some(2))
        );
        let third = say(&second, ConditionStatus::True, Reason::Polled, 2, 3);
        assert_eq!(third[0].last_transition_time, Time(at(3)));
    }
}
