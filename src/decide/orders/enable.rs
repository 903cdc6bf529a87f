//! Tables that `PostHog` switched off: they are switched on again once their problem is proved to be fixed.

use super::{incident::IncidentStart, reload::ended_job, rotated::were_rotated};
use crate::{
    api::status::{Call, Step},
    decide::table::is_wiped_when_switched_on,
    diagnose::{
        Cause, Judged, Known, Verdict,
        causes::Reload,
        fix::{Fix, SwitchedOff},
    },
};

/// Whether a table is to be switched on again.
#[must_use]
pub fn begins(known: &Known<'_>, judged: &Judged) -> Option<IncidentStart> {
    match &judged.verdict {
        Verdict::Disabled {
            after: Some(failure),
            by_posthog: Some(_),
        } if is_fixed_for_good(known, judged) => Some(IncidentStart {
            cause: failure.cause,
            step: Step::Enabling,
            call: Call::Enable,
            job_id: None,
            baseline_job_id: ended_job(known, judged)?,
        }),
        _ => None,
    }
}

/// True if the reason why `PostHog` switched the table off is proved to be fixed, and switching it on costs no rows.
fn is_fixed_for_good(known: &Known<'_>, judged: &Judged) -> bool {
    let row = known.snapshot.row(&judged.source_id, &judged.schema_id);
    let Some((source, schema)) = row.filter(|(_, schema)| !is_wiped_when_switched_on(schema))
    else {
        return false;
    };
    let failure = judged.verdict.failure();
    let rejected =
        failure.is_some_and(|failure| Cause::of(failure.cause).reload == Reload::AfterRotation);
    let off = SwitchedOff::new(
        known.state,
        known.snapshot,
        (source, schema),
        &judged.verdict,
    );
    rejected && were_rotated(known, judged) || off.is_some_and(|off| off.fix() == Fix::Proved)
}
