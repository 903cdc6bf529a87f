//! Silent runs whose cancel needs approval: they may still be loading, or another run of the table was cancelled before, or the policy
//! requires approval.

use super::{
    draft::Draft,
    fit::{Fit, Wanted},
    steps::{call, cancel},
};
use crate::{
    api::proposal::{ProposedAction, ProposedCall},
    decide::orders::stuck,
    diagnose::{Diagnosis, Known, Problem, Verdict, stuck::Silence},
    posthog::wire::Source,
};

/// True for a problem of a silent run that is cancelled only with approval.
pub fn is_for_a_person(known: &Known<'_>, diagnosis: &Diagnosis, problem: &Problem) -> bool {
    silence(known, diagnosis, problem).is_some()
}

/// The silent run that a problem is about, if its cancel needs approval.
fn silence<'a>(
    known: &Known<'_>,
    diagnosis: &'a Diagnosis,
    problem: &Problem,
) -> Option<&'a Silence> {
    let (id, _) = problem.table.as_ref()?;
    let silence = match &diagnosis.of(id)?.verdict {
        Verdict::Silent(silence) => Some(silence),
        Verdict::StuckJob(silence) => stuck::is_for_a_person(known, id).then_some(silence),
        _ => None,
    }?;
    (!survived_a_cancel(known, id, silence)).then_some(silence)
}

/// True for a run that the operator has cancelled and that is still Running: no run is cancelled twice, and its incident says
/// what a person has to do.
fn survived_a_cancel(known: &Known<'_>, schema_id: &str, silence: &Silence) -> bool {
    let mut states = known.state.schemas.iter();
    let state = states.find(|state| state.id == schema_id);
    let cancelled = state.and_then(|state| state.cancelled);
    cancelled.is_some_and(|at| silence.began <= at)
}

/// The cancel of the run and a reload, as a proposal.
pub fn cancel_and_reload(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    problem: &Problem,
    source: &Source,
) -> Option<Wanted> {
    let silence = silence(known, diagnosis, problem)?;
    let (id, _) = problem.table.as_ref()?;
    let schema = source.schemas.iter().find(|schema| schema.id == *id)?;
    let steps = vec![cancel(silence.job_id.clone()), call(ProposedCall::Reload)];
    let planned = (ProposedAction::Cancel, steps);
    let draft = Draft::of_row(known.policy, problem, (source, schema), planned);
    Some(Wanted {
        action: ProposedAction::Cancel,
        fit: Fit::draft(draft),
    })
}
