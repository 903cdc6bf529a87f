//! How many calls may be sent in an hour. What has been started reserves what it still needs.

use jiff::{SignedDuration, Timestamp};

use super::OrderContext;
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

/// How many calls are still to come with this order, including those reserved by calls that were sent.
#[must_use]
pub fn planned(context: &OrderContext<'_>) -> usize {
    let reserved: usize = context.others().map(reserved).sum();
    let wanted = match context.basis {
        Basis::Incident(basis) if basis.call == Call::Reload => 1,
        Basis::Incident(_) => 2,
        Basis::Source(_) => 1,
        Basis::Proposal(proposal) => proposal.steps_left,
    };
    reserved + context.plan.source_orders() + wanted
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
    use crate::decide::{
        guards::fixture::{Situation, incident, of_incident, of_proposal, of_source, sent},
        plan::Kind,
    };

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

    #[test]
    fn started_incidents_reserve_the_calls_that_they_still_need() {
        let not_sent = sent(Call::Cancel, Some(Fate::NotSent));
        let cancelled = sent(Call::Cancel, Some(Fate::Accepted));
        let enabled = sent(Call::Enable, None);
        let reloaded = sent(Call::Reload, Some(Fate::Unknown));
        for (step, sends, expected) in [
            (Step::Cancelling, vec![], 2),
            (Step::Cancelling, vec![not_sent], 2),
            (Step::Cancelling, vec![cancelled.clone()], 1),
            (Step::Cancelling, vec![enabled.clone()], 2),
            (Step::Enabling, vec![], 2),
            (Step::Enabling, vec![cancelled.clone()], 2),
            (Step::Enabling, vec![enabled], 1),
            (Step::WaitTerminal, vec![cancelled.clone()], 1),
            (Step::Settle, vec![cancelled.clone()], 1),
            (Step::Reloading, vec![], 1),
            (Step::Reloading, vec![cancelled.clone(), reloaded], 0),
            (Step::WaitNewJob, vec![], 0),
            (Step::WaitSuccess, vec![], 0),
            (Step::BackOff, vec![], 0),
            (Step::Recovered, vec![], 0),
            (Step::Escalated, vec![cancelled], 0),
        ] {
            let what = format!("{step:?} after {sends:?}");
            let started = Incident {
                sends,
                ..incident("a1", step)
            };
            assert_eq!(reserved(&started), expected, "{what}");
        }
    }

    #[test]
    fn an_order_needs_its_calls_and_so_do_the_others() {
        for (order, needs) in [
            (of_incident(Kind::Reload, Call::Reload), 1),
            (of_incident(Kind::Stuck, Call::Cancel), 2),
            (of_incident(Kind::Enable, Call::Enable), 2),
            (of_source(Kind::Webhook), 1),
            (of_proposal("a1"), 2),
        ] {
            let mut situation = Situation::new(order);
            assert_eq!(situation.ask(planned), needs, "{:?}", situation.order.kind);
            situation.plan.incidents = ["b1", "c1"].map(|id| incident(id, Step::Cancelling)).into();
            assert_eq!(situation.ask(planned), needs + 4);
            situation.plan.orders = vec![of_source(Kind::Webhook); 3];
            assert_eq!(situation.ask(planned), needs + 7);
        }
    }

    #[test]
    fn it_says_when_as_many_have_left_the_hour_as_are_too_many() {
        let until = |sends: &[i64], planned| {
            let sends: Vec<Timestamp> = sends.iter().map(|minute| at(*minute)).collect();
            let held = exceeds("x", &sends, planned, 3, at(50))?;
            Some(held.split_once(": ").unwrap().1.to_owned())
        };
        let said = "of 3 calls sent in the last hour";
        for (sends, planned, expected) in [
            (
                &[30, 10, 20][..],
                1,
                Some(format!("3 {said}; next possible at 1970-01-01T01:10:00Z")),
            ),
            (
                &[30, 10, 20],
                2,
                Some(format!("3 {said}; next possible at 1970-01-01T01:20:00Z")),
            ),
            (
                &[30, 10, 20],
                9,
                Some(format!("3 {said}; next possible at 1970-01-01T01:30:00Z")),
            ),
            (&[], 4, Some(format!("0 {said}"))),
            (&[], 3, None),
        ] {
            assert_eq!(until(sends, planned), expected, "{sends:?} and {planned}");
        }
    }
}
