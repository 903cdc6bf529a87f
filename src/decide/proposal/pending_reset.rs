//! Tables that a reload would fix, but whose next run may wipe their data: the reload needs approval.

use super::{
    draft::Draft,
    fit::{Fit, Wanted},
    steps::call,
};
use crate::{
    api::{
        proposal::{ProposedAction, ProposedCall},
        status::{Action, Severity},
    },
    decide::{approval::pending_reset, words::next_action as words},
    diagnose::{Cause, Known, Problem, causes::Remedy},
    posthog::wire::{Schema, Source},
};

/// True for a problem that a reload would fix if the next run could not wipe the table.
pub fn needs_a_reload(known: &Known<'_>, problem: &Problem) -> bool {
    let Some((id, _)) = &problem.table else {
        return false;
    };
    let reload = Remedy::Safe(Action::Reload);
    problem.severity == Severity::Error
        && Cause::of(problem.cause).remedy_for(problem.rule) == reload
        && has_pending_reset(known, id)
}

fn has_pending_reset(known: &Known<'_>, schema_id: &str) -> bool {
    pending_reset::by_anyone(known).contains_key(schema_id)
}

/// The reload, as a proposal.
pub fn reload(known: &Known<'_>, problem: &Problem, source: &Source, schema: &Schema) -> Wanted {
    let action = ProposedAction::Reload;
    let probed = known.snapshot.probes.details.get(schema.id.as_str());
    let fit = match probed.and_then(|probed| probed.answer.as_ref().ok()) {
        None => Fit::Open(words::SETTINGS_NOT_READ),
        Some(detail) => {
            let planned = (action, vec![call(ProposedCall::Reload)]);
            let about = (source, schema, detail);
            Fit::draft(Draft::of_table(
                known.policy,
                problem,
                about,
                planned,
                false,
            ))
        }
    };
    Wanted { action, fit }
}
