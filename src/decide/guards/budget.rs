//! How many calls may be sent in an hour. What has been started reserves what it still needs.

use jiff::{SignedDuration, Timestamp};

use super::Ask;
use crate::{
    api::status::{Call, Fate, Incident, Step},
    decide::{
        ownership::is_in_flight,
        plan::{Basis, last_hour},
    },
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

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

/// How many calls are still to come with this order, including those reserved by what was started.
#[must_use]
pub fn planned(ask: &Ask<'_>) -> usize {
    let reserved: usize = ask.others().map(reserved).sum();
    let wanted = match ask.basis {
        Basis::Incident(basis) if basis.call == Call::Reload => 1,
        Basis::Incident(_) => 2,
        Basis::Source(_) => 1,
        Basis::Proposal(proposal) => proposal.steps_left,
    };
    reserved + ask.plan.source_orders() + wanted
}

/// Why `limit`, of at most `most` calls in an hour, holds a start, if `planned` more calls are still to come with it.
#[must_use]
pub fn exceeds(
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
    let until = until.map_or_else(String::new, |at| {
        format!("; next possible at {}", whole(at))
    });
    Some(format!(
        "{limit}: {} of {most} calls sent in the last hour{until}",
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
        assert_eq!(exceeds("x", &sends, 2, 3, at(70)), None);
        assert!(exceeds("x", &sends, 3, 3, at(70)).is_some());
        let held = exceeds("x", &sends, 2, 3, at(69)).unwrap();
        assert!(
            held.contains("2 of 3") && held.contains("01:10:00"),
            "{held}"
        );
    }
}
