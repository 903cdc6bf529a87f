//! Which guard it is that holds something back: a closed list, so that it can be counted.

use std::fmt;

use strum::VariantArray as _;

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
    /// `spec.suspend` is true.
    Suspend,
    /// A switch of `spec.remediation` is Off.
    Switch,
    /// The API key may not write.
    WriteScope,
    /// Another policy owns the table or source.
    Owner,
    /// Something that a person approved is under way, or has to be approved first.
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
    /// What a status can remember is full.
    StateFull,
    /// The same was tried before, and nothing has changed since.
    TriedBefore,
    /// What it rests on is not certain, or no longer holds right before the call.
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

    /// That it holds something back, for this reason.
    #[must_use]
    pub fn says(self, why: impl Into<String>) -> Blocked {
        Blocked {
            guard: self,
            why: why.into(),
        }
    }
}

/// What holds something back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Which guard.
    pub guard: Guard,
    /// The sentence that status shows.
    pub why: String,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
