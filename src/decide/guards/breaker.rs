//! `limits.breaker`. Many sources that fail at once have one cause, which is not in their tables: then nothing is started, except one
//! trial after a while.

use jiff::Timestamp;

use super::{Hold, OrderContext};
use crate::{
    api::{status::BreakerState, validated::Breaker},
    decide::plan::{Basis, Kind},
    diagnose::outage::CorrelatedFailure,
};

/// It is open. Its trial is always a reload.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    match of(context) {
        Opening::All => None,
        Opening::Trial => (context.kind == Kind::Approved)
            .then(|| Hold::for_now("circuit breaker open: one reload is tried first")),
        Opening::Nothing(why) => Some(Hold::for_now(why)),
    }
}

/// True if an attempt at a table that begins is the trial of an open breaker.
#[must_use]
pub fn is_trial(context: &OrderContext<'_>) -> bool {
    context.starts && matches!(context.basis, Basis::Incident(_)) && of(context) == Opening::Trial
}

fn of(context: &OrderContext<'_>) -> Opening {
    let limits = &context.known.policy.limits.breaker;
    opening(limits, context.plan.breaker.as_ref(), context.known.now)
}

/// The state of the breaker, given the sources that fail `together`, if enough of them do.
#[must_use]
pub fn next(
    limits: &Breaker,
    before: Option<&BreakerState>,
    together: Option<&CorrelatedFailure>,
    now: Timestamp,
) -> Option<BreakerState> {
    let Some(together) = together else {
        // It stays open for its whole cooldown, also when the sources recover: they may flap.
        return before
            .filter(|state| !cooled_down(limits, state, now))
            .cloned();
    };
    let CorrelatedFailure { bad, active, since } = together;
    let why = format!("{bad} of {active} sources have failed since {since}");
    Some(match before {
        Some(state) => BreakerState {
            why,
            ..state.clone()
        },
        None => BreakerState {
            open_since: now,
            trial_at: None,
            why,
        },
    })
}

/// An open breaker that a person asked to try again at once.
#[must_use]
pub fn reset(limits: &Breaker, open: BreakerState, now: Timestamp) -> BreakerState {
    BreakerState {
        open_since: now.checked_sub(limits.cooldown).unwrap_or(now),
        trial_at: None,
        ..open
    }
}

/// What the breaker allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// Everything: it is closed.
    All,
    /// One start, to see whether it is over.
    Trial,
    /// Nothing, for this reason.
    Nothing(String),
}

/// What may be started.
#[must_use]
pub fn opening(limits: &Breaker, state: Option<&BreakerState>, now: Timestamp) -> Opening {
    match state {
        None => Opening::All,
        Some(state) if cooled_down(limits, state, now) => Opening::Trial,
        Some(state) => {
            let until = last(state).checked_add(limits.cooldown).ok();
            let until = until.map_or_else(String::new, |at| format!("; next trial at {at}"));
            Opening::Nothing(format!("circuit breaker open: {}{until}", state.why))
        }
    }
}

fn last(state: &BreakerState) -> Timestamp {
    state.trial_at.unwrap_or(state.open_since)
}

fn cooled_down(limits: &Breaker, state: &BreakerState, now: Timestamp) -> bool {
    now.duration_since(last(state)) >= limits.cooldown
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::{
        api::status::Call,
        decide::{
            guards::fixture::{Situation, ago, of_incident, of_proposal, of_source},
            plan::Order,
        },
    };

    fn limits() -> Breaker {
        Breaker {
            min_sources: 3,
            max_bad_sources_percent: 50,
            within: SignedDuration::from_mins(10),
            cooldown: SignedDuration::from_mins(30),
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn together() -> CorrelatedFailure {
        CorrelatedFailure {
            bad: 7,
            active: 9,
            since: at(0),
        }
    }

    #[test]
    fn it_opens_tries_one_after_the_cool_down_and_closes_when_the_sources_recover() {
        let limits = limits();
        assert_eq!(opening(&limits, None, at(5)), Opening::All);
        let open = next(&limits, None, Some(&together()), at(5)).unwrap();
        let Opening::Nothing(why) = opening(&limits, Some(&open), at(34)) else {
            panic!("it is open");
        };
        assert!(
            why.contains("7 of 9 sources have failed since 1970-01-01T00:00:00Z"),
            "{why}"
        );
        assert_eq!(opening(&limits, Some(&open), at(35)), Opening::Trial);
        let tried = BreakerState {
            trial_at: Some(at(35)),
            ..open.clone()
        };
        assert!(matches!(
            opening(&limits, Some(&tried), at(64)),
            Opening::Nothing(_)
        ));
        assert_eq!(opening(&limits, Some(&tried), at(65)), Opening::Trial);
        // Recovered: closed, but not before the cool-down is over.
        assert!(next(&limits, Some(&open), None, at(20)).is_some());
        assert!(next(&limits, Some(&open), None, at(35)).is_none());
    }

    #[test]
    fn what_it_says_follows_the_sources_and_since_when_it_is_open_does_not() {
        let open = next(&limits(), None, Some(&together()), at(5)).unwrap();
        let more = CorrelatedFailure {
            bad: 8,
            ..together()
        };
        let later = next(&limits(), Some(&open), Some(&more), at(9)).unwrap();
        assert_eq!(later.open_since, at(5));
        assert!(later.why.starts_with("8 of 9 sources"), "{}", later.why);
    }

    #[test]
    fn a_person_can_request_a_trial_at_once() {
        let tried = BreakerState {
            open_since: at(0),
            trial_at: Some(at(35)),
            why: "x".into(),
        };
        let asked = reset(&limits(), tried, at(36));
        assert_eq!((asked.open_since, asked.trial_at), (at(6), None));
        assert_eq!(opening(&limits(), Some(&asked), at(36)), Opening::Trial);
    }

    #[test]
    fn the_trial_is_the_start_of_a_reload_and_nothing_else() {
        let waits = "circuit breaker open: one reload is tried first";
        let reload = || of_incident(Kind::Reload, Call::Reload);
        let continues = || Order {
            starts: false,
            ..reload()
        };
        for (order, open_for, trial, held) in [
            (reload(), None, false, None),
            (reload(), Some(30), true, None),
            (continues(), Some(30), false, None),
            (of_source(Kind::Webhook), Some(30), false, None),
            (of_proposal("a1"), Some(30), false, Some(waits)),
            (
                reload(),
                Some(29),
                false,
                Some("circuit breaker open: x; next trial at 2026-10-01T12:01:00Z"),
            ),
        ] {
            let what = format!(
                "{:?} after {open_for:?}, starts: {}",
                order.kind, order.starts
            );
            let mut situation = Situation::new(order);
            situation.policy.limits.breaker = limits();
            situation.plan.breaker = open_for.map(|minutes| BreakerState {
                open_since: ago(minutes),
                trial_at: None,
                why: "x".into(),
            });
            assert_eq!(situation.ask(is_trial), trial, "{what}");
            let hold = situation.ask(check).map(|hold| hold.why);
            assert_eq!(hold.as_deref(), held, "{what}");
        }
    }
}
