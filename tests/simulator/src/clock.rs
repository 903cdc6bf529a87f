//! The simulator's time. It moves by hand, or after the system's clock; the state machine only ever sees `now`.

use jiff::{SignedDuration, Timestamp};

/// How a simulator's time moves.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// Stands at this instant until `advance` or `set_now` moves it.
    Manual(Timestamp),
    /// Follows the system's clock.
    Real {
        /// How far ahead of the system's clock it starts (behind, if negative).
        offset: SignedDuration,
        /// Virtual seconds for each real second; 1 is real time.
        speed: u32,
    },
}

impl Clock {
    /// The system's clock, neither shifted nor sped up.
    #[must_use]
    pub fn real() -> Self {
        Self::Real {
            offset: SignedDuration::ZERO,
            speed: 1,
        }
    }
}

/// A clock that has been started.
#[derive(Debug, Clone)]
pub(crate) struct Ticker {
    now: Timestamp,
    /// What it says instead, while something is made up for that happened before.
    held_at: Option<Timestamp>,
    real: Option<Real>,
}

#[derive(Debug, Clone)]
struct Real {
    wall_origin: Timestamp,
    origin: Timestamp,
    speed: u32,
}

impl Ticker {
    pub(crate) fn start(clock: Clock) -> Self {
        match clock {
            Clock::Manual(now) => Self {
                now,
                held_at: None,
                real: None,
            },
            Clock::Real { offset, speed } => {
                let wall_origin = whole_micros(Timestamp::now());
                let origin = plus(wall_origin, offset);
                Self {
                    now: origin,
                    held_at: None,
                    real: Some(Real {
                        wall_origin,
                        origin,
                        speed,
                    }),
                }
            }
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.held_at.unwrap_or(self.now)
    }

    /// Says this time until it is let go (`None`).
    pub(crate) fn hold(&mut self, at: Option<Timestamp>) {
        self.held_at = at;
    }

    /// Follows the system's clock, which the caller has read. Never backwards: a request after another is not earlier.
    pub(crate) fn observe(&mut self, wall: Timestamp) {
        if let Some(real) = &self.real {
            let passed = wall.duration_since(real.wall_origin);
            let passed = passed
                .checked_mul(i32::try_from(real.speed).unwrap_or(i32::MAX))
                .unwrap_or(passed);
            self.now = self.now.max(whole_micros(plus(real.origin, passed)));
        }
    }

    pub(crate) fn advance(&mut self, by: SignedDuration) {
        self.now = plus(self.now, by);
        if let Some(real) = &mut self.real {
            real.origin = plus(real.origin, by);
        }
    }

    pub(crate) fn set(&mut self, now: Timestamp) {
        self.advance(now.duration_since(self.now));
    }
}

/// PostHog keeps microseconds: a time that a client sends back must be the one that it was shown.
fn whole_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// Adds, and stays at the end of representable time instead of failing.
pub(crate) fn plus(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

/// Subtracts, and stays at the beginning of representable time instead of failing.
pub(crate) fn minus(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(at)
}

/// As PostHog writes times: UTC, microseconds only if there are any.
pub(crate) fn text(at: Timestamp) -> String {
    if at.subsec_nanosecond() / 1000 == 0 {
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    } else {
        at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }
}
