//! Where a plan puts its faults: effects are counted, reads are not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use jiff::SignedDuration;

/// What goes wrong at an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process dies right before.
    CrashBefore,
    /// The process dies right after, before it learns the outcome.
    CrashAfter,
    /// It happens, and the caller gets an unknown outcome.
    AnswerLost,
    /// It does not happen, and the caller gets an unknown outcome.
    RequestLost,
    /// It does not happen, and the caller gets that error: connection refused, or the API server is away.
    NotSent,
    /// Somebody else changes the object right before.
    SecondWriter,
    /// The next read of the object is an old one.
    StaleRead,
    /// Another process leads from now on, and acts at once; this one knows.
    LeaderLost,
    /// The same, but this one was frozen and finds out only after its pass.
    LeaderFrozen,
    /// The claim of this process runs out right after; the next to lead begins when its pass has ended.
    ClaimRunsOut,
    /// It happens, and takes a minute by the operator's clock.
    TakesAMinute,
}

impl Fault {
    /// Those of leadership.
    pub const OF_LEADERS: [Self; 3] = [Self::LeaderLost, Self::LeaderFrozen, Self::ClaimRunsOut];

    /// Those of plans.
    pub const ALL: [Self; 10] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::AnswerLost,
        Self::RequestLost,
        Self::NotSent,
        Self::SecondWriter,
        Self::StaleRead,
        Self::LeaderLost,
        Self::LeaderFrozen,
        Self::ClaimRunsOut,
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
    succession: Option<Succession>,
    claim_ran_out: bool,
    clock_is_ahead_by: SignedDuration,
    undated: bool,
    added: Added,
}

/// Behind which texts of PostHog's answers a hostile one stands.
#[derive(Debug, Clone, Copy, Default)]
pub enum Added {
    #[default]
    Nothing,
    /// What PostHog's users and their databases can choose.
    ToTexts,
    /// Also what has a meaning: ids, states, types.
    ToAll,
}

/// Another process leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    /// Whether the previous one knows at once.
    pub known: bool,
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

    /// Lets this fault meet the effect that is `ahead` of the next one.
    pub fn plan_ahead(&self, ahead: usize, fault: Fault) {
        let mut inner = self.inner.lock().unwrap();
        let index = inner.effects.len() + ahead;
        inner.plan.insert(index, fault);
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

    /// Lets another process lead; returns when that has made its first pass.
    pub async fn be_succeeded(&self, known: bool) {
        self.inner.lock().unwrap().succession = Some(Succession { known });
        // The driver polls again.
        futures::pending!();
    }

    /// Some once after another process was to lead.
    pub fn take_succession(&self) -> Option<Succession> {
        self.inner.lock().unwrap().succession.take()
    }

    /// Sets the operator's clock ahead of PostHog's.
    pub fn set_clock_ahead(&self, by: SignedDuration) {
        self.inner.lock().unwrap().clock_is_ahead_by = by;
    }

    /// How far the operator's clock is ahead of PostHog's.
    pub fn clock_is_ahead_by(&self) -> SignedDuration {
        self.inner.lock().unwrap().clock_is_ahead_by
    }

    /// PostHog's answers say no more when they were made.
    pub fn hide_dates(&self) {
        self.inner.lock().unwrap().undated = true;
    }

    /// Whether PostHog's answers say when they were made.
    pub fn shows_dates(&self) -> bool {
        !self.inner.lock().unwrap().undated
    }

    /// PostHog's answers have a hostile text behind these.
    pub fn add_texts(&self, added: Added) {
        self.inner.lock().unwrap().added = added;
    }

    /// Behind which texts of PostHog's answers a hostile one stands.
    pub fn added_texts(&self) -> Added {
        self.inner.lock().unwrap().added
    }

    /// Ends the claim of the process that leads.
    pub fn run_out(&self) {
        self.inner.lock().unwrap().claim_ran_out = true;
    }

    /// True while nobody leads.
    pub fn ran_out(&self) -> bool {
        self.inner.lock().unwrap().claim_ran_out
    }

    /// True once after a claim ran out; then somebody leads again.
    pub fn take_ran_out(&self) -> bool {
        std::mem::take(&mut self.inner.lock().unwrap().claim_ran_out)
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
