//! `limits.backoff`: how long to wait after a failure. And a table that is synced in full is not reloaded for being stale more than
//! once a day.

use jiff::{SignedDuration, Timestamp};

use super::{Ask, Hold};
use crate::{
    api::validated::Backoff,
    decide::{
        orders::reload::failed_last,
        plan::{Basis, Kind, OfIncident},
        table::{IN_FULL_EVERY, costs_all_rows},
    },
};

/// It is too soon.
#[must_use]
pub fn asks(ask: &Ask<'_>) -> Option<Hold> {
    let Basis::Incident(basis) = ask.basis else {
        return None;
    };
    let why = if ask.kind == Kind::StaleReload {
        in_full_lately(ask, basis)
    } else {
        too_soon(ask, basis)
    };
    why.map(Hold::for_now)
}

fn too_soon(ask: &Ask<'_>, basis: &OfIncident) -> Option<String> {
    let attempt = basis.incident.attempt;
    let due = failed_last(ask.known, &basis.incident)?
        .checked_add(wait(&ask.known.policy.limits.backoff, attempt))
        .ok()?;
    (ask.known.now < due).then(|| {
        let due = Timestamp::from_second(due.as_second()).unwrap_or(due);
        format!("spec.remediation.limits.backoff: attempt {attempt} not before {due}")
    })
}

fn in_full_lately(ask: &Ask<'_>, basis: &OfIncident) -> Option<String> {
    let (known, id) = (ask.known, &basis.incident.schema_id);
    let (_, schema) = known.snapshot.row(&basis.incident.source_id, id)?;
    let mut states = known.state.schemas.iter();
    let at = states.find(|state| state.id == *id)?.reloaded_in_full?;
    (costs_all_rows(schema) && known.now.duration_since(at) < IN_FULL_EVERY).then(|| {
        format!(
            "reloaded in full at {at}: at most once a day, because each full reload costs all its rows"
        )
    })
}

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
