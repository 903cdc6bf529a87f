//! A run that may have been started by a call of which status says nothing: etcd was restored to an older state, and the process that sent the call is
//! gone.

use jiff::{SignedDuration, Timestamp};

use super::facts::no_send_within;
use crate::{
    api::proposal::{Proposal, ProposedAction},
    observe::Live,
    posthog::wire::{CLOCKS_AGREE, Job},
};

/// The newest run of the table that began after the approval of a resync and that no schedule explains.
pub fn of<'a>(live: &'a Live, proposal: &Proposal) -> Option<&'a Job> {
    match proposal.action {
        ProposedAction::Resync => {}
        // Once one of these was executed, its finding or material is another, or repeating it loses nothing.
        ProposedAction::DeleteData
        | ProposedAction::RepairConfig
        | ProposedAction::RefreshSchemas
        | ProposedAction::RepairCdc
        | ProposedAction::Reenable
        | ProposedAction::Cancel
        | ProposedAction::Reload
        | ProposedAction::ReregisterWebhook => return None,
    }
    let approved = proposal.approval.as_ref()?.observed_at;
    let id = &proposal.target.schema_id;
    let (row, run_probe) = (live.row(id)?, live.run_probe(id)?);
    let every = row.frequency().filter(|_| row.is_on());
    let runs: Vec<(&Job, Timestamp)> = run_probe.runs().collect();
    let since = runs
        .iter()
        .take_while(|(_, began)| approved.duration_since(*began) <= CLOCKS_AGREE);
    let mut unexplained = since.enumerate().filter(|(place, (_, began))| {
        let before = runs.get(place + 1).map(|(_, before)| *before);
        !before
            .zip(every)
            .is_some_and(|(before, every)| is_scheduled(*began, before, every))
    });
    unexplained.next().map(|(_, (job, _))| *job)
}

/// True for a run that began when the schedule was due. No call is sent near that time, and its run begins within seconds, so half of the distance is enough.
fn is_scheduled(began: Timestamp, before: Timestamp, every: SignedDuration) -> bool {
    let late = began.duration_since(before) - every;
    late.abs() <= no_send_within(every) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_began_when_the_schedule_was_due_is_explained_by_it() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let hour = SignedDuration::from_hours(1);
        for (minute, expected) in [
            (57, false),
            (58, true),
            (60, true),
            (62, true),
            (63, false),
            (30, false),
            (120, false),
        ] {
            assert_eq!(is_scheduled(at(minute), at(0), hour), expected, "{minute}");
        }
    }
}
