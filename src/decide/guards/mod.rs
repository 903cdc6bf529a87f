//! What keeps the operator from becoming the problem: each guard can hold an order, and says why.
//!
//! A guard is a file here and a line of [`chain::CHAIN`], the one list of them, in order. A file says whether its guard holds an
//! order; the line says when it is asked, and of which kinds of orders it is not.

pub mod approval;
pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod chain;
pub mod context;
pub mod facts;
#[cfg(test)]
pub(crate) mod fixture;
pub mod max_actions_per_hour;
pub mod max_concurrent;
pub mod mode;
pub mod operator_cap;
pub mod owner;
pub mod proposal;
pub mod source;
pub mod state_full;
pub mod suspend;
pub mod switch;
pub mod tried_before;
pub mod window;
pub mod write_scope;

use std::fmt;

use strum::VariantArray as _;

pub use context::{OperatorLimits, OrderContext};

/// A guard, as metrics and logs name it. `docs/guards.md` says what each does and how it is lifted.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
pub enum Guard {
    /// `spec.mode` is Observe.
    Mode,
    /// `spec.suspend` is true, or the policy is being deleted.
    Suspend,
    /// A switch of `spec.remediation` is Off.
    Switch,
    /// The API key may not write.
    WriteScope,
    /// Another policy owns the table or source.
    Owner,
    /// The source of the table is broken as a whole.
    Source,
    /// Approvals are currently ignored, or a person denied what was approved.
    Approval,
    /// Something that a person approved is in progress, or has to be approved first.
    Proposal,
    /// The time is outside the windows.
    Window,
    /// `limits.maxConcurrent`.
    MaxConcurrent,
    /// `limits.maxActionsPerHour`.
    MaxActionsPerHour,
    /// The operator's own `--max-actions-per-hour`.
    OperatorCap,
    /// `limits.backoff`, and full reloads at most once a day.
    Backoff,
    /// `limits.breaker`.
    Breaker,
    /// The lists that a status can hold are full.
    StateFull,
    /// The same was tried before, and nothing has changed since.
    TriedBefore,
    /// A fact that it requires is uncertain, or no longer true right before the call.
    Facts,
}

impl Guard {
    /// Every guard.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The guard that a sentence of a status names, as [`Blocked`] writes it.
    #[must_use]
    pub fn named_in(sentence: &str) -> Option<Self> {
        let (_, after) = sentence.rsplit_once("(guard ")?;
        let (name, _) = after.split_once(')')?;
        Self::ALL.iter().copied().find(|one| one.as_str() == name)
    }

    /// A hold by this guard, for this reason.
    #[must_use]
    pub fn says(self, why: impl Into<String>) -> Blocked {
        Blocked {
            guard: self,
            why: why.into(),
        }
    }
}

/// Why a guard holds an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The sentence that status shows.
    pub why: String,
    /// Whether it also ends existing proposals: only a person can change it.
    pub lasts: bool,
}

impl Hold {
    /// It holds until it is over.
    #[must_use]
    pub fn for_now(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            lasts: false,
        }
    }

    /// It holds until a person changes something.
    #[must_use]
    pub fn for_good(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            lasts: true,
        }
    }
}

/// A guard that holds an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Which guard.
    pub guard: Guard,
    /// Why, as a sentence.
    pub why: String,
}

/// As status shows it: why, and the name of the guard.
impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (guard {})", self.why, self.guard.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_is_found_in_what_status_shows() {
        for guard in Guard::ALL {
            let shown = format!("Held: a. Reason: {}.", guard.says("b (guard x)"));
            assert_eq!(Guard::named_in(&shown), Some(*guard), "{shown}");
        }
        for other in ["", "(guard Window", "(guard Windows)", "approval of rs-1"] {
            assert_eq!(Guard::named_in(other), None, "{other}");
        }
    }
}
