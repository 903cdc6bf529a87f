//! `limits.backoff`: how long to wait after a failure. And a table that is synced in full is not reloaded for being stale more than
//! once a day.

use jiff::{SignedDuration, Timestamp};

use super::{Hold, OrderContext};
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
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let Basis::Incident(basis) = context.basis else {
        return None;
    };
    let why = if context.kind == Kind::StaleReload {
        in_full_lately(context, basis)
    } else {
        too_soon(context, basis)
    };
    why.map(Hold::for_now)
}

fn too_soon(context: &OrderContext<'_>, basis: &OfIncident) -> Option<String> {
    let attempt = basis.incident.attempt;
    let due = failed_last(context.known, &basis.incident)?
        .checked_add(wait(&context.known.policy.limits.backoff, attempt))
        .ok()?;
    (context.known.now < due).then(|| {
        let due = Timestamp::from_second(due.as_second()).unwrap_or(due);
        format!("spec.remediation.limits.backoff: attempt {attempt} not before {due}")
    })
}

fn in_full_lately(context: &OrderContext<'_>, basis: &OfIncident) -> Option<String> {
    let (known, id) = (context.known, &basis.incident.schema_id);
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
    use std::sync::Arc;

    use super::*;
    use crate::{
        api::status::{Call, SchemaState},
        decide::guards::fixture::{Situation, ago, of_incident},
        observe::Seen,
    };

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

    #[test]
    fn a_failed_table_waits_for_its_attempt_and_a_stale_one_for_the_day_after_a_full_reload() {
        let day = 24 * 60;
        let too_soon = "spec.remediation.limits.backoff: attempt 1 not before 2026-10-01T12:01:00Z";
        let in_full = "reloaded in full at 2026-09-30T12:01:00Z: at most once a day, because each full reload costs all its rows";
        for (kind, table, failed, reloaded, expected) in [
            (Kind::Reload, "a1", 9, day - 1, Some(too_soon)),
            (Kind::Reload, "a1", 10, day - 1, None),
            (Kind::Reload, "a1", 11, day - 1, None),
            (Kind::StaleReload, "a1", 9, day - 1, Some(in_full)),
            (Kind::StaleReload, "a1", 9, day, None),
            (Kind::StaleReload, "a1", 9, day + 1, None),
            (Kind::StaleReload, "b1", 9, day - 1, None),
        ] {
            let mut situation = Situation::new(of_incident(kind, Call::Reload));
            situation.incident().incident.schema_id = table.into();
            let seen = Arc::new(Seen::without_row(ago(failed)));
            situation.snapshot.runs.insert(table.into(), seen);
            // Not that of another table.
            situation.state.schemas = [("other", 0), (table, reloaded)]
                .map(|(id, at)| SchemaState {
                    reloaded_in_full: Some(ago(at)),
                    ..SchemaState::of(id.into())
                })
                .into();
            let held = situation.ask(check).map(|hold| hold.why);
            assert_eq!(
                held.as_deref(),
                expected,
                "{kind:?} {table} {failed} {reloaded}"
            );
        }
    }
}
