//! What a single look can say of runs in progress. The operator looks for hours before it calls a run stuck; whoever asks once
//! on the command line gets what `PostHog`'s own times say, as a warning and with a doubt.

use jiff::Timestamp;

use super::{
    advice::advice,
    problem::{Problem, in_words},
    verdict::{Diagnosis, Judged, Known, Verdict, seconds},
};
use crate::{
    api::status::{Confidence, RootCause, Severity},
    observe::{Log, Newest},
    posthog::wire::JobStatus,
};

/// Adds a warning for each run that looks stuck.
pub fn add(known: &Known<'_>, diagnosis: &mut Diagnosis) {
    let warnings: Vec<Problem> = diagnosis
        .judged
        .iter()
        .filter(|judged| judged.verdict == Verdict::Running)
        .filter_map(|judged| problem(known, judged))
        .collect();
    diagnosis.problems.extend(warnings);
}

fn problem(known: &Known<'_>, judged: &Judged) -> Option<Problem> {
    let look = known.snapshot.seen(&judged.schema_id)?.look.as_ref()?;
    let (since, message) = match look.newest() {
        Newest::Unclear(_) => return None,
        Newest::Job(job, began) if job.status() == JobStatus::Running => {
            let silent_since = silent(known, began, &look.log)?;
            let message = format!(
                "job {} has been Running since {}, and its log has been silent for {}",
                job.id,
                seconds(began),
                in_words(known.now.duration_since(silent_since))
            );
            (Some(silent_since), message)
        }
        // A run may be deferred for up to an hour after it was asked for.
        Newest::Job(job, began) => {
            let ended = job.finished_at.get().copied().unwrap_or(began);
            if known.now.duration_since(ended) < known.timings.phantom_after {
                return None;
            }
            (
                Some(ended),
                "it says Running, but no job of it runs".to_owned(),
            )
        }
        Newest::None => (None, "it says Running, but it has no job".to_owned()),
    };
    Some(Problem {
        table: Some((judged.schema_id.clone(), judged.schema.clone())),
        severity: Severity::Warning,
        confidence: Confidence::Low,
        since,
        evidence: vec![
            "this is a single look: a run that works silently looks the same; look again later whether its rows have moved".to_owned(),
        ],
        advice: advice(RootCause::Stuck),
        ..Problem::of_source(
            judged.source.clone(),
            &judged.source_id,
            RootCause::Stuck,
            "run/looks-stuck",
            message,
        )
    })
}

/// Since when a run that is old enough has been silent for long enough, by `PostHog`'s own times.
fn silent(known: &Known<'_>, began: Timestamp, log: &Log) -> Option<Timestamp> {
    let last = match log {
        Log::Newest(at) => at.unwrap_or(began),
        Log::NotRead | Log::Unreadable(_) => return None,
    };
    let old = known.now.duration_since(began) >= known.policy.stuck_after;
    (old && known.now.duration_since(last) >= known.policy.no_progress_for).then_some(last)
}
