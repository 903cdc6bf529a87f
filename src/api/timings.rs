//! The fixed durations of remediation, which no field sets.

use jiff::SignedDuration;

/// How long each wait of the stuck-run procedure lasts, and how soon to check again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// How long a table may be in status Running without a running job. `PostHog` may defer a start by up to an hour.
    pub phantom_after: SignedDuration,
    /// How long a cancelled job may take to end.
    pub wait_terminal: SignedDuration,
    /// Pause between the end of a cancelled job and the reload: a run started right after a cancel is skipped, although
    /// `PostHog` answers 200 and shows Running.
    pub settle: SignedDuration,
    /// When the reload is sent again if no new job has appeared, counted from the first reload.
    pub reload_again: [SignedDuration; 2],
    /// How long after the first reload a new job may take to appear.
    pub wait_new_job: SignedDuration,
    /// How long the effect of a call may take to show if it needs no job.
    pub prove_within: SignedDuration,
    /// How often an incident is checked while its outcome is being verified.
    pub verify_every: SignedDuration,
    /// How long an empty list is treated as an error if there were sources before.
    pub trust_empty_after: SignedDuration,
}

impl Timings {
    /// The durations of production.
    pub const PRODUCTION: Self = Self {
        phantom_after: SignedDuration::from_mins(75),
        wait_terminal: SignedDuration::from_mins(15),
        settle: SignedDuration::from_mins(3),
        reload_again: [SignedDuration::from_mins(15), SignedDuration::from_mins(75)],
        wait_new_job: SignedDuration::from_mins(150),
        prove_within: SignedDuration::from_mins(10),
        verify_every: SignedDuration::from_secs(15),
        trust_empty_after: SignedDuration::from_hours(24),
    };

    /// How long a table's log must have been quiet before it is reloaded after a cancel. Longer than the difference
    /// between clocks.
    #[must_use]
    pub fn quiet_after_cancel(&self) -> SignedDuration {
        self.settle * 3
    }

    /// How long after a call its effect is checked every `verify_every`: ten minutes, 40 polls.
    #[must_use]
    pub fn effect_visible_within(&self) -> SignedDuration {
        self.verify_every * 40
    }

    /// The same, `factor` times shorter: for demos and tests against a host on this machine.
    #[must_use]
    pub fn divided_by(factor: u32) -> Self {
        let Self {
            phantom_after,
            wait_terminal,
            settle,
            reload_again,
            wait_new_job,
            prove_within,
            verify_every,
            trust_empty_after,
        } = Self::PRODUCTION;
        let shorter =
            |duration: SignedDuration| duration / i32::try_from(factor.max(1)).unwrap_or(i32::MAX);
        Self {
            phantom_after: shorter(phantom_after),
            wait_terminal: shorter(wait_terminal),
            settle: shorter(settle),
            reload_again: reload_again.map(shorter),
            wait_new_job: shorter(wait_new_job),
            prove_within: shorter(prove_within),
            verify_every: shorter(verify_every),
            trust_empty_after: shorter(trust_empty_after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_divides_every_duration() {
        assert_eq!(Timings::divided_by(1), Timings::PRODUCTION);
        assert_eq!(Timings::divided_by(0), Timings::PRODUCTION);
        let fast = Timings::divided_by(60);
        assert_eq!(fast.settle, SignedDuration::from_secs(3));
        assert_eq!(fast.reload_again[1], SignedDuration::from_secs(75));
        assert_eq!(fast.verify_every, SignedDuration::from_millis(250));
    }
}
