//! What is not the same twice: the clock of the system, and random numbers. Everybody else is given them.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{decide::proposal::Seed, posthog::client::Clock};

/// The clock of the system. Milliseconds are what people can read, and more than any decision needs.
#[must_use]
pub fn clock() -> Clock {
    Arc::new(|| {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    })
}

pub(super) fn draw_seed() -> Option<Seed> {
    let mut seed = Seed::default();
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut seed).ok()?;
    Some(seed)
}
