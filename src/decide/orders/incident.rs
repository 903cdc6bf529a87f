//! Orders for incidents.

use crate::{
    api::{
        About,
        status::{Call, Incident, RootCause, Step},
    },
    decide::{
        gate::StuckRun,
        plan::{Basis, Kind, OfIncident, Order, Subject},
        safety::NextRun,
        words::order as words,
    },
    diagnose::{Cause, Diagnosis, Judged, Known, Verdict, causes::Reload, words::no_run_since},
    posthog::{
        redact,
        write::{SchemaPatch, Write},
    },
};

/// How an incident starts.
#[derive(Debug)]
pub struct IncidentStart {
    /// What it is about.
    pub cause: RootCause,
    /// Its first step.
    pub step: Step,
    /// The call of that step.
    pub call: Call,
    /// The job that is cancelled, if one is.
    pub job_id: Option<String>,
    /// The newest job; none if there is none.
    pub baseline_job_id: Option<String>,
}

impl IncidentStart {
    /// With a reload.
    #[must_use]
    pub const fn reload(cause: RootCause, baseline_job_id: Option<String>) -> Self {
        Self {
            cause,
            step: Step::Reloading,
            call: Call::Reload,
            job_id: None,
            baseline_job_id,
        }
    }

    /// The incident.
    #[must_use]
    pub fn opened(self, known: &Known<'_>, judged: &Judged) -> Incident {
        let Self {
            cause,
            step,
            call,
            job_id,
            baseline_job_id,
        } = self;
        let deadline = (call != Call::Reload).then_some(known.timings.wait_terminal);
        Incident {
            schema_id: judged.schema_id.clone(),
            schema: redact::one_line(&judged.schema, 160),
            source: judged.source.clone(),
            source_id: judged.source_id.clone(),
            cause,
            step,
            attempt: 1,
            job_id,
            baseline_job_id,
            new_job_id: None,
            opened_at: known.now,
            step_since: known.now,
            deadline: deadline.and_then(|wait| known.now.checked_add(wait).ok()),
            healthy_since: None,
            sends: Vec::new(),
            message: why(&judged.verdict),
        }
    }
}

fn why(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Failing { failure, .. }
            if Cause::of(failure.cause).reload == Reload::AfterRotation =>
        {
            words::CREDENTIALS_RENEWED.to_owned()
        }
        Verdict::Failing { failure, .. } => words::may_be_transient(failure.cause.as_str()),
        Verdict::Disabled {
            after: Some(failure),
            ..
        } => words::fixed_since(failure.cause.as_str()),
        Verdict::Stale(late) => no_run_since(late.since),
        stuck => stuck.why_stuck().unwrap_or_default(),
    }
}

/// The order to send `call` for `incident`. `starts`: it starts a new attempt. `may_wipe`: the table's next run may wipe its data.
#[must_use]
pub fn order(
    (known, diagnosis): (&Known<'_>, &Diagnosis),
    incident: &Incident,
    call: Call,
    starts: bool,
    may_wipe: bool,
) -> Order {
    let row = known.snapshot.row(&incident.source_id, &incident.schema_id);
    let schema_id = incident.schema_id.clone();
    let next_run = if may_wipe {
        NextRun::MayWipe
    } else {
        NextRun::Ordinary
    };
    Order {
        subject: Subject {
            source_id: incident.source_id.clone(),
            schema_id: schema_id.clone(),
            title: incident.schema.clone(),
            about: About::incident(incident),
        },
        call: match call {
            Call::Cancel => Write::Cancel { schema_id },
            Call::Reload => Write::Reload { schema_id },
            Call::Enable => Write::PatchSchema(SchemaPatch {
                schema_id,
                switch_on: true,
                ..SchemaPatch::default()
            }),
        },
        kind: kind(incident, call, starts),
        what: words::of_incident(call, incident),
        why: incident.message.clone(),
        starts,
        basis: Basis::Incident(Box::new(OfIncident {
            incident: incident.clone(),
            call,
            hanging: StuckRun::of(known, diagnosis, incident),
            name: row.map_or_else(|| incident.schema.clone(), |(_, row)| row.name.to_string()),
            warehouse: row.is_some_and(|(source, _)| source.is_warehouse()),
            next_run,
        })),
    }
}

fn kind(incident: &Incident, call: Call, starts: bool) -> Kind {
    match (call, Cause::of(incident.cause).reload) {
        (Call::Enable, _) => Kind::Enable,
        (Call::Cancel, _) => Kind::Stuck,
        (Call::Reload, Reload::AfterCancel) if starts => Kind::Stuck,
        (Call::Reload, Reload::Stale) => Kind::StaleReload,
        (Call::Reload, Reload::AfterRotation) => Kind::RotationReload,
        // A reload after a cancel, or after switching on, is like any other reload.
        (
            Call::Reload,
            Reload::AfterCancel | Reload::AfterBackOff | Reload::AfterCheck | Reload::Never,
        ) => Kind::Reload,
    }
}
