//! How many policies of a host are reconciled at a time: while one host answers slowly, the policies of the others must find room.

use std::collections::{HashMap, VecDeque};

use crate::api::{host::Host, validated::PolicyRef};

/// The reconciles that run, by host. Policies whose host is unknown, because they cannot be read, need no room: they are only reported.
#[derive(Debug)]
pub(super) struct Slots {
    /// Reconciles of one host at a time.
    of_host: usize,
    hosts: HashMap<Host, Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    running: usize,
    /// Policies that are due, in the order in which they became so.
    waiting: VecDeque<PolicyRef>,
}

impl Slots {
    /// With room for this many reconciles of each host.
    pub(super) fn new(of_host: usize) -> Self {
        Self {
            of_host,
            hosts: HashMap::new(),
        }
    }

    /// A policy is due: returned if it may start, and else kept until a reconcile of its host ends.
    pub(super) fn start(&mut self, at: PolicyRef, host: Option<&Host>) -> Option<PolicyRef> {
        let Some(host) = host else {
            return Some(at);
        };
        let taken = self.hosts.entry(host.clone()).or_default();
        if taken.running < self.of_host {
            taken.running += 1;
            Some(at)
        } else {
            taken.waiting.push_back(at);
            None
        }
    }

    /// A reconcile of the host has ended: returns the policy that starts next, if one waits.
    pub(super) fn end(&mut self, host: Option<&Host>) -> Option<PolicyRef> {
        let host = host?;
        let taken = self.hosts.get_mut(host)?;
        let next = taken.waiting.pop_front();
        if next.is_none() {
            taken.running = taken.running.saturating_sub(1);
            // At the start nearly all policies wait here.
            taken.waiting.shrink_to_fit();
        }
        if taken.running == 0 {
            self.hosts.remove(host);
        }
        next
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

    fn host(name: &str) -> Host {
        Host::parse(&format!("https://{name}")).unwrap()
    }

    #[test]
    fn a_host_without_room_holds_up_only_its_own_policies_and_in_order() {
        let mut slots = Slots::new(2);
        let (slow, fast) = (host("slow.example.com"), host("fast.example.com"));
        let (slow, fast) = (Some(&slow), Some(&fast));
        for name in ["a", "b"] {
            assert_eq!(slots.start(policy(name), slow), Some(policy(name)));
        }
        for name in ["c", "d"] {
            assert_eq!(slots.start(policy(name), slow), None);
        }
        for (name, of) in [("x", fast), ("unreadable", None)] {
            assert_eq!(slots.start(policy(name), of), Some(policy(name)));
        }
        assert_eq!(slots.end(fast), None);
        assert_eq!(slots.end(slow), Some(policy("c")));
        assert_eq!(slots.end(slow), Some(policy("d")));
        assert_eq!(slots.start(policy("e"), slow), None);
        assert_eq!(slots.end(slow), Some(policy("e")));
        for _ in ["d", "e"] {
            assert_eq!(slots.end(slow), None);
        }
        assert_eq!(slots.end(None), None);
        assert!(slots.hosts.is_empty(), "{slots:?}");
    }
}
