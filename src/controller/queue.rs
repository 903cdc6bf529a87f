//! When each policy is reconciled next.
//!
//! kube's `Controller` keeps several copies of an object's reference for this, 1.4 KiB of each policy, and puts all watches behind one
//! back-off. Here a policy takes some 150 bytes, and its name is not copied.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::api::validated::PolicyRef;

/// Policies that wait for their turn. Cheap to clone; one task takes from it.
#[derive(Debug, Clone, Default)]
pub struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    turns: Mutex<Turns>,
    /// Tells the task that waits that the first turn may be an earlier one, or allowed now.
    changed: Notify,
}

/// A policy is either due or running, never both: so it is never reconciled twice at a time.
#[derive(Debug, Default)]
struct Turns {
    /// When each policy that waits is due.
    due: HashMap<PolicyRef, Instant>,
    /// The same in order of time.
    order: BTreeSet<(Instant, PolicyRef)>,
    /// Those that are being reconciled, and when they are due again, if something has asked for it meanwhile.
    running: HashMap<PolicyRef, Option<Instant>>,
}

impl Queue {
    /// A policy is due now; if it is being reconciled, once more right after that.
    pub fn trigger(&self, at: &PolicyRef) {
        self.turns().add(at, Instant::now());
        self.0.changed.notify_one();
    }

    /// The next policy that is due, as soon as one is. It is not given out again before [`Queue::done`].
    pub async fn next(&self) -> PolicyRef {
        loop {
            let first = match self.turns().take(Instant::now()) {
                Ok(at) => return at,
                Err(first) => first,
            };
            let changed = self.0.changed.notified();
            match first {
                Some(first) => {
                    let _ = tokio::time::timeout_at(first, changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// A reconcile is over; the policy is due again after `wait`, if at all, or earlier if something has asked for it meanwhile.
    pub fn done(&self, at: &PolicyRef, wait: Option<Duration>) {
        // What overflows is never.
        let again = wait.and_then(|wait| Instant::now().checked_add(wait));
        self.turns().done(at, again);
        self.0.changed.notify_one();
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.0.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    /// The earliest time counts.
    fn add(&mut self, at: &PolicyRef, due: Instant) {
        if let Some(asked) = self.running.get_mut(at) {
            *asked = Some(asked.map_or(due, |before| before.min(due)));
            return;
        }
        if let Some(before) = self.due.get(at).copied() {
            if before <= due {
                return;
            }
            self.order.remove(&(before, at.clone()));
        }
        self.due.insert(at.clone(), due);
        self.order.insert((due, at.clone()));
    }

    /// The first policy, if it is due; else when it will be.
    fn take(&mut self, now: Instant) -> Result<PolicyRef, Option<Instant>> {
        let (due, _) = self.order.first().ok_or(None)?;
        if *due > now {
            return Err(Some(*due));
        }
        let (_, at) = self.order.pop_first().ok_or(None)?;
        self.due.remove(&at);
        self.running.insert(at.clone(), None);
        Ok(at)
    }

    fn done(&mut self, at: &PolicyRef, again: Option<Instant>) {
        let asked = self.running.remove(at).flatten();
        if self.running.is_empty() {
            // At the start nearly all policies run, or wait for room on their host.
            self.running.shrink_to_fit();
        }
        if let Some(due) = asked.into_iter().chain(again).min() {
            self.add(at, due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str) -> PolicyRef {
        PolicyRef {
            namespace: "data".into(),
            name: name.into(),
        }
    }

    /// Turns, at times in seconds after the first.
    struct World {
        turns: Turns,
        began: Instant,
    }

    impl World {
        fn new() -> Self {
            Self {
                turns: Turns::default(),
                began: Instant::now(),
            }
        }

        fn at(&self, second: u64) -> Instant {
            self.began + Duration::from_secs(second)
        }

        fn add(&mut self, name: &str, due: u64) {
            let due = self.at(due);
            self.turns.add(&policy(name), due);
        }

        fn done(&mut self, name: &str, again: Option<u64>) {
            let again = again.map(|again| self.at(again));
            self.turns.done(&policy(name), again);
        }

        /// The policies that are due at this second, in order. They are running then.
        fn take(&mut self, second: u64) -> Vec<String> {
            let now = self.at(second);
            let due = std::iter::from_fn(|| self.turns.take(now).ok());
            due.map(|at| at.name.to_string()).collect()
        }
    }

    #[test]
    fn the_policy_that_has_waited_longest_is_first() {
        let mut world = World::new();
        for (name, due) in [("b", 2), ("a", 3), ("c", 1), ("later", 9)] {
            world.add(name, due);
        }
        assert_eq!(world.take(3), ["c", "b", "a"]);
        assert_eq!(world.turns.take(world.began), Err(Some(world.at(9))));
        assert_eq!(world.take(9), ["later"]);
        assert_eq!(world.turns.take(world.at(99)), Err(None));
    }

    #[test]
    fn a_policy_that_is_triggered_often_is_reconciled_once_at_the_earliest_time() {
        let mut world = World::new();
        for due in [5, 2, 7] {
            world.add("a", due);
        }
        assert_eq!(world.take(1), [""; 0]);
        assert_eq!(world.take(2), ["a"]);
        world.done("a", None);
        assert_eq!(world.take(99), [""; 0]);
    }

    #[test]
    fn a_policy_is_never_reconciled_twice_at_a_time_and_right_again_if_it_was_triggered_meanwhile()
    {
        let mut world = World::new();
        world.add("a", 0);
        assert_eq!(world.take(0), ["a"]);
        for due in [4, 1] {
            world.add("a", due);
        }
        assert_eq!(world.take(60), [""; 0], "it is running");
        world.done("a", Some(120));
        assert_eq!(world.take(1), ["a"], "the trigger is earlier");
        world.done("a", None);
        assert_eq!(world.take(999), [""; 0], "one time counts, the earliest");
    }

    #[test]
    fn a_policy_comes_again_when_its_reconcile_said() {
        let mut world = World::new();
        world.add("a", 0);
        world.take(0);
        world.done("a", Some(30));
        assert_eq!(world.take(29), [""; 0]);
        world.add("a", 40);
        assert_eq!(world.take(30), ["a"]);
    }

    #[tokio::test]
    async fn a_trigger_wakes_the_task_that_waits() {
        let queue = Queue::default();
        let (next, ()) = tokio::join!(queue.next(), async { queue.trigger(&policy("a")) });
        assert_eq!(next, policy("a"));
        queue.done(&policy("a"), Some(Duration::MAX));
        let (next, ()) = tokio::join!(queue.next(), async { queue.trigger(&policy("b")) });
        assert_eq!(next, policy("b"), "what waits forever holds up nothing");
    }

    #[tokio::test]
    async fn the_task_that_waits_wakes_when_the_first_policy_is_due() {
        let queue = Queue::default();
        queue.trigger(&policy("a"));
        let first = queue.next().await;
        queue.done(&first, Some(Duration::from_millis(1)));
        assert_eq!(queue.next().await, first);
    }
}
