//! Where a plan puts its faults: effects are counted, reads are not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// What goes wrong at an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process dies right before.
    CrashBefore,
    /// The process dies right after, before it learns the outcome.
    CrashAfter,
    /// It happens, and the caller is told that nobody knows.
    AnswerLost,
    /// It does not happen, and the caller is told that nobody knows.
    RequestLost,
    /// It does not happen, and the caller is told so: connection refused, or the API server is away.
    NotSent,
    /// Somebody else changes the object right before.
    SecondWriter,
    /// The next read of the object is an old one.
    StaleRead,
}

impl Fault {
    pub const ALL: [Self; 7] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::AnswerLost,
        Self::RequestLost,
        Self::NotSent,
        Self::SecondWriter,
        Self::StaleRead,
    ];
}

/// Counts effects and says which fault meets each.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    plan: BTreeMap<usize, Fault>,
    effects: Vec<String>,
    crashed: bool,
}

impl Faults {
    pub fn new(plan: &[(usize, Fault)]) -> Self {
        let inner = Inner {
            plan: plan.iter().copied().collect(),
            ..Inner::default()
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// The fault of the next effect.
    pub fn next(&self, effect: &str) -> Option<Fault> {
        let mut inner = self.inner.lock().unwrap();
        let index = inner.effects.len();
        inner.effects.push(effect.to_owned());
        inner.plan.get(&index).copied()
    }

    /// Marks the process as dead and never returns: the driver drops the future.
    pub async fn crash<A>(&self) -> A {
        self.inner.lock().unwrap().crashed = true;
        std::future::pending().await
    }

    /// True once after a crash.
    pub fn take_crash(&self) -> bool {
        std::mem::take(&mut self.inner.lock().unwrap().crashed)
    }

    /// What happened so far, in order.
    pub fn effects(&self) -> Vec<String> {
        self.inner.lock().unwrap().effects.clone()
    }
}
