//! How many calls this process has sent to each project in the last hour.
//!
//! The operator's cap for all policies of a project is evaluated on their statuses. Two policies that start in the same second
//! do not know about each other yet: so each start is also counted here, right before.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::api::validated::Project;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The calls of the last hour, by project.
#[derive(Debug, Default)]
pub struct Spending(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    /// When the first call was counted: earlier calls are only in statuses.
    began: Option<Timestamp>,
    calls: HashMap<Project, Vec<Call>>,
}

#[derive(Debug)]
struct Call {
    uid: String,
    id: String,
    at: Timestamp,
    /// Whether another call of the same table is still to come.
    reserves: bool,
}

/// A call that is about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct NextCall<'a> {
    /// The project.
    pub project: &'a Project,
    /// Uid of the policy.
    pub uid: &'a str,
    /// Id of the table or source.
    pub id: &'a str,
    /// Whether it starts something. What has started may finish: it is counted, and never held.
    pub starts: bool,
    /// Whether a reload is to come after it.
    pub reserves: bool,
}

impl Spending {
    /// Counts a call, if there are not more than `most` with it. `recorded` are the sends that statuses record.
    pub fn take(
        &self,
        next_call: NextCall<'_>,
        recorded: impl Iterator<Item = Timestamp>,
        most: usize,
        now: Timestamp,
    ) -> bool {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let began = *spent.began.get_or_insert(now);
        spent.calls.retain(|_, calls| {
            calls.retain(|call| now.duration_since(call.at) < HOUR);
            !calls.is_empty()
        });
        let calls = spent.calls.entry(next_call.project.clone()).or_default();
        let own = |call: &&mut Call| call.uid == next_call.uid && call.id == next_call.id;
        for call in calls.iter_mut().filter(own) {
            // The reserved call is sent now, or the order starts again.
            call.reserves = false;
        }
        let earlier = recorded.filter(|at| *at < began && now.duration_since(*at) < HOUR);
        let reserved = calls.iter().filter(|call| call.reserves).count();
        let wanted = 1 + usize::from(next_call.reserves);
        if next_call.starts && earlier.count() + calls.len() + reserved + wanted > most {
            return false;
        }
        calls.push(Call {
            uid: next_call.uid.to_owned(),
            id: next_call.id.to_owned(),
            at: now,
            reserves: next_call.reserves,
        });
        true
    }

    /// Reverts that for a call that was not sent. What was started before it still needs a call.
    pub fn give_back(&self, next_call: NextCall<'_>) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(calls) = spent.calls.get_mut(next_call.project) else {
            return;
        };
        let own = |call: &Call| call.uid == next_call.uid && call.id == next_call.id;
        if let Some(place) = calls.iter().rposition(own) {
            calls.remove(place);
        }
        if let Some(started) = calls.iter_mut().rfind(|call| own(call)) {
            started.reserves = !next_call.starts;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::host::Host;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn a_cancel_reserves_its_reload_and_an_unsent_call_is_not_counted() {
        let project = Project {
            host: Host::parse("https://us.posthog.com").unwrap(),
            id: 1,
        };
        let spending = Spending::default();
        let next_call = |uid, starts, reserves| NextCall {
            project: &project,
            uid,
            id: "a1",
            starts,
            reserves,
        };
        let recorded = [at(-61), at(-30), at(0)];
        let take =
            |next_call, minute| spending.take(next_call, recorded.into_iter(), 4, at(minute));
        // One earlier call is counted, and two for the cancel.
        assert!(take(next_call("a", true, true), 0));
        assert!(!take(next_call("b", true, true), 0));
        assert!(take(next_call("b", true, false), 0));
        assert!(!take(next_call("c", true, false), 0));
        spending.give_back(next_call("b", true, false));
        assert!(take(next_call("c", true, false), 0));
        assert!(take(next_call("a", false, false), 5), "its own reload");
        assert!(!take(next_call("d", true, false), 29));
        assert!(
            take(next_call("d", true, false), 31),
            "the earlier one is older than an hour"
        );
    }

    #[test]
    fn what_a_call_that_did_not_leave_was_to_end_still_has_its_place() {
        let project = Project {
            host: Host::parse("https://us.posthog.com").unwrap(),
            id: 1,
        };
        let spending = Spending::default();
        let next_call = |uid, starts, reserves| NextCall {
            project: &project,
            uid,
            id: "a1",
            starts,
            reserves,
        };
        let take = |next_call, minute| spending.take(next_call, std::iter::empty(), 3, at(minute));
        assert!(
            take(next_call("a", true, true), 0),
            "a cancel, and its reload"
        );
        assert!(take(next_call("a", false, false), 1), "the reload");
        spending.give_back(next_call("a", false, false));
        assert!(take(next_call("b", true, false), 2), "two are taken");
        assert!(
            !take(next_call("c", true, false), 2),
            "the third is the reload's"
        );
    }
}
