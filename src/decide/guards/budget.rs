//! How many calls may be sent in an hour. What has been started reserves what it still needs.

use jiff::{SignedDuration, Timestamp};

use super::{Blocked, Guard};
use crate::{
    api::status::{Call, Fate, Incident, Step},
    decide::ownership::is_in_flight,
    diagnose::Known,
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The sends of the last hour.
pub fn last_hour(sends: &[Timestamp], now: Timestamp) -> impl Iterator<Item = Timestamp> {
    sends
        .iter()
        .copied()
        .filter(move |at| now.duration_since(*at) < HOUR)
}

/// How many calls an incident still needs: a cancel reserves its reload.
#[must_use]
pub fn reserved(incident: &Incident) -> usize {
    let sent = |call| {
        let left = |fate| fate != Some(Fate::NotSent);
        let mut sends = incident.sends.iter();
        sends.any(|send| send.call == call && left(send.fate))
    };
    if !is_in_flight(incident) || sent(Call::Reload) {
        return 0;
    }
    match incident.step {
        Step::Cancelling if !sent(Call::Cancel) => 2,
        Step::Enabling if !sent(Call::Enable) => 2,
        Step::Enabling | Step::Cancelling | Step::WaitTerminal | Step::Settle | Step::Reloading => {
            1
        }
        Step::WaitNewJob
        | Step::WaitSuccess
        | Step::BackOff
        | Step::Recovered
        | Step::Escalated => 0,
    }
}

/// Why a start is held back by the policy's own number of calls in an hour, or by the operator's for the whole project, if
/// `planned` more are still to come with it. `sends` are the policy's own.
#[must_use]
pub fn hold(
    known: &Known<'_>,
    sends: &[Timestamp],
    planned: usize,
    operators: usize,
) -> Option<Blocked> {
    let own = "spec.remediation.limits.maxActionsPerHour";
    let most = known.policy.limits.max_actions_per_hour;
    let held = holds(own, sends, planned, most, known.now);
    let held = held.map(|why| Guard::MaxActionsPerHour.says(why));
    held.or_else(|| {
        let rivals = known.snapshot.rivals.iter();
        let all: Vec<Timestamp> = rivals
            .flat_map(|rival| &rival.sends)
            .chain(sends)
            .copied()
            .collect();
        let cap = "--max-actions-per-hour of the operator, for all policies of the project";
        let why = holds(cap, &all, planned, operators, known.now)?;
        Some(Guard::OperatorCap.says(why))
    })
}

/// Why a start is held back by `limit`, of at most `most` calls in an hour, if `planned` more are still to come with it.
#[must_use]
fn holds(
    limit: &str,
    sends: &[Timestamp],
    planned: usize,
    most: usize,
    now: Timestamp,
) -> Option<String> {
    let mut recent: Vec<Timestamp> = last_hour(sends, now).collect();
    recent.sort_unstable();
    let all = recent.len() + planned;
    if all <= most {
        return None;
    }
    // As many as are too many must leave the hour first.
    let until = recent.get((all - most - 1).min(recent.len().saturating_sub(1)));
    let until = until.and_then(|at| at.checked_add(HOUR).ok());
    let until = until.map_or_else(String::new, |at| format!(", until {}", whole(at)));
    Some(format!(
        "{limit}: {} of {most} calls were sent in the last hour{until}",
        recent.len()
    ))
}

fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn only_the_last_hour_counts_and_what_is_reserved() {
        let sends = [at(0), at(10), at(70)];
        assert_eq!(
            last_hour(&sends, at(70)).count(),
            1,
            "an hour is over at its end"
        );
        assert_eq!(holds("x", &sends, 2, 3, at(70)), None);
        assert!(holds("x", &sends, 3, 3, at(70)).is_some());
        let held = holds("x", &sends, 2, 3, at(69)).unwrap();
        assert!(
            held.contains("2 of 3") && held.contains("01:10:00"),
            "{held}"
        );
    }
}
