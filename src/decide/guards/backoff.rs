//! How long to wait after a failure.

use jiff::SignedDuration;

use crate::api::validated::Backoff;

/// How long to wait before attempt number `attempt`, from 1.
#[must_use]
pub fn wait(backoff: &Backoff, attempt: i64) -> SignedDuration {
    let Backoff {
        initial,
        factor,
        max,
    } = *backoff;
    let mut wait = initial;
    for _ in 1..attempt {
        if wait >= max {
            break;
        }
        wait = wait.checked_mul(factor).unwrap_or(max);
    }
    wait.min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_longer_by_the_factor_up_to_the_most() {
        let backoff = Backoff {
            initial: SignedDuration::from_mins(10),
            factor: 3,
            max: SignedDuration::from_mins(100),
        };
        let waits: Vec<i64> = (1..6).map(|n| wait(&backoff, n).as_mins()).collect();
        assert_eq!(waits, [10, 30, 90, 100, 100]);
        assert_eq!(wait(&backoff, i64::MAX).as_mins(), 100);
        let constant = Backoff {
            factor: 1,
            ..backoff
        };
        assert_eq!(wait(&constant, 1_000_000).as_mins(), 10);
    }
}
