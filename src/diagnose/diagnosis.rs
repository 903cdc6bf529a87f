//! The diagnosis of a project: the verdict on every selected table, what somebody should know, and the counts.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::OnceLock,
};

use super::{
    blocked::BlockedTables,
    exported::{self, Exported},
    judge,
    known::Known,
    outage::{CorrelatedFailure, FailedSources},
    problem::Problem,
    problems,
    source_facts::SourceFacts,
    suspects, switched_off,
    verdict::{Judged, Verdict},
};
use crate::{
    api::status::{SchemaCounts, SourceCounts, Summary, WentOff},
    observe::{OtherProjects, Seen},
    posthog::{
        redact,
        wire::{Schema, Source},
    },
};

/// The verdicts on all selected tables.
#[derive(Debug, Clone, Default)]
pub struct Diagnosis {
    /// Every table that is not Healthy, in the order of the list.
    pub judged: Vec<Judged>,
    /// What somebody should know, most severe first.
    pub problems: Vec<Problem>,
    /// Why nothing is done to tables by themselves whose source is broken as a whole.
    pub blocked: BlockedTables,
    /// The sources that failed together, if there are enough of them for the breaker to open.
    pub together: Option<CorrelatedFailure>,
    /// Ids of the tables that suffer from an outage of `PostHog`.
    pub in_outage: HashSet<String>,
    /// What was seen to be switched off and is still off.
    pub went_off: Vec<WentOff>,
    /// What policies of other projects may know of the sources of this one.
    pub for_other_projects: OtherProjects,
    /// The tables of which a metric says when they last succeeded.
    pub exported: Exported,
    /// Each source of which a table is selected.
    sources: Vec<Part>,
    /// Where each table stands in `judged`, by its id. Made when it is first needed.
    places: OnceLock<HashMap<String, usize>>,
}

/// What is said of the selected tables of one source.
#[derive(Debug, Clone)]
struct Part {
    source_id: String,
    /// Where its tables stand in [`Diagnosis::judged`].
    judged: Range<usize>,
    schemas: SchemaCounts,
    is_healthy: bool,
}

/// Judges every selected table.
#[must_use]
pub fn diagnose(known: &Known<'_>) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    for (source, tables) in known.snapshot.sources.selected() {
        diagnosis.judge(known, source, tables);
    }
    diagnosis.conclude(known)
}

impl Diagnosis {
    /// The diagnosis after one source was read again: its tables are judged from what is `known` now, the verdicts on all others stay.
    #[must_use]
    pub fn again(&self, known: &Known<'_>, source_id: &str) -> Self {
        let mut diagnosis = Self::default();
        for (source, tables) in known.snapshot.sources.selected() {
            let part = self.sources.iter().find(|part| part.source_id == source.id);
            match part.filter(|part| part.source_id != source_id) {
                Some(part) => diagnosis.push(
                    part.clone(),
                    self.judged
                        .get(part.judged.clone())
                        .unwrap_or_default()
                        .to_vec(),
                ),
                None => diagnosis.judge(known, source, tables),
            }
        }
        diagnosis.conclude(known)
    }

    /// The verdict on one table; Healthy is not kept, so none means healthy or not selected.
    #[must_use]
    pub fn of(&self, schema_id: &str) -> Option<&Judged> {
        let find = || {
            let judged = self.judged.iter().enumerate();
            let places = judged.map(|(place, judged)| (judged.schema_id.clone(), place));
            places.collect()
        };
        let place = self.places.get_or_init(find).get(schema_id)?;
        self.judged.get(*place)
    }

    /// The counts. `in_repair` says which tables count as stuck because of an open incident, even if `PostHog` shows another status during that time.
    #[must_use]
    pub fn summary(&self, in_repair: impl Fn(&str) -> bool) -> Summary {
        let mut sources = SourceCounts::default();
        let mut schemas = SchemaCounts::default();
        for part in &self.sources {
            add(&mut schemas, &part.schemas);
            sources.total += 1;
            if part.is_healthy {
                sources.healthy += 1;
            } else {
                sources.failing += 1;
            }
        }
        for judged in self
            .judged
            .iter()
            .filter(|judged| in_repair(&judged.schema_id))
        {
            *field(&mut schemas, &judged.verdict) -= 1;
            schemas.stuck += 1;
        }
        let on = schemas.total - schemas.disabled;
        let healthy_of = format!("{}/{on}", schemas.healthy + schemas.running);
        Summary {
            sources,
            schemas,
            healthy_of,
            pending_approval: 0,
            findings: Vec::new(),
        }
    }

    /// Judges the selected tables of a source.
    fn judge<'a>(
        &mut self,
        known: &Known<'_>,
        source: &Source,
        selected: impl Iterator<Item = &'a Schema>,
    ) {
        let title = redact::one_line(&source.title(), 80);
        let (mut judged, mut schemas, mut is_healthy) = (Vec::new(), SchemaCounts::default(), true);
        let of = SourceFacts::new(known.snapshot, source);
        for schema in selected {
            let seen = known.snapshot.seen(&schema.id);
            let verdict = judge::verdict(known, &of, schema, seen);
            schemas.total += 1;
            *field(&mut schemas, &verdict) += 1;
            is_healthy &= lets_source_be_healthy(&verdict);
            if verdict != Verdict::Healthy {
                judged.push(describe((&title, &source.id), schema, verdict, seen));
            }
        }
        if schemas.total > 0 {
            is_healthy &= !switched_off::is_off(known, source);
            let part = Part {
                source_id: source.id.clone(),
                judged: 0..0,
                schemas,
                is_healthy,
            };
            self.push(part, judged);
        }
    }

    fn push(&mut self, part: Part, judged: Vec<Judged>) {
        let begin = self.judged.len();
        self.judged.extend(judged);
        self.sources.push(Part {
            judged: begin..self.judged.len(),
            ..part
        });
    }

    /// What no table says alone.
    fn conclude(self, known: &Known<'_>) -> Self {
        let bad = FailedSources::of(known);
        let outage = bad.problem(&known.policy.limits.breaker, &self.judged);
        let in_outage = outage.iter().flat_map(|wide| wide.tables.clone()).collect();
        let (problems, blocked) = problems::all(known, &self.judged, outage);
        Self {
            in_outage,
            problems,
            blocked,
            together: bad.together(&known.policy.limits.breaker),
            for_other_projects: bad.for_other_projects(),
            exported: exported::exported(known),
            went_off: switched_off::remembered(known),
            ..self
        }
    }
}

fn add(sum: &mut SchemaCounts, more: &SchemaCounts) {
    let SchemaCounts {
        total,
        healthy,
        running,
        stuck,
        failing,
        stale,
        disabled,
        billing,
        unknown,
    } = more;
    sum.total += total;
    sum.healthy += healthy;
    sum.running += running;
    sum.stuck += stuck;
    sum.failing += failing;
    sum.stale += stale;
    sum.disabled += disabled;
    sum.billing += billing;
    sum.unknown += unknown;
}

/// The count in which a table of this verdict stands.
const fn field<'a>(counts: &'a mut SchemaCounts, verdict: &Verdict) -> &'a mut i64 {
    match verdict {
        Verdict::Healthy => &mut counts.healthy,
        Verdict::Running => &mut counts.running,
        Verdict::StuckJob(_) | Verdict::Silent(_) | Verdict::StuckWithoutJob { .. } => {
            &mut counts.stuck
        }
        Verdict::Failing { .. } | Verdict::JustFailed => &mut counts.failing,
        Verdict::Stale(_) => &mut counts.stale,
        Verdict::Disabled { .. } | Verdict::NotConfigured | Verdict::Paused => &mut counts.disabled,
        Verdict::Billing => &mut counts.billing,
        Verdict::Pending | Verdict::Unknown { .. } => &mut counts.unknown,
    }
}

const fn lets_source_be_healthy(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Healthy
        | Verdict::Running
        | Verdict::Pending
        | Verdict::Paused
        | Verdict::NotConfigured
        | Verdict::Disabled { after: None, .. } => true,
        Verdict::StuckJob(_)
        | Verdict::Silent(_)
        | Verdict::StuckWithoutJob { .. }
        | Verdict::Failing { .. }
        | Verdict::JustFailed
        | Verdict::Stale(_)
        | Verdict::Disabled { after: Some(_), .. }
        | Verdict::Billing
        | Verdict::Unknown { .. } => false,
    }
}

fn describe(
    (source, source_id): (&str, &str),
    schema: &Schema,
    verdict: Verdict,
    seen: Option<&Seen>,
) -> Judged {
    Judged {
        source: source.to_owned(),
        source_id: source_id.to_owned(),
        schema_id: schema.id.to_string(),
        schema: schema.name.to_string(),
        status: schema.status(),
        verdict,
        evidence: seen
            .and_then(|seen| seen.run_probe.as_ref())
            .map(suspects::describe)
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{HashMap, HashSet},
        sync::Arc,
    };

    use jiff::Timestamp;

    use super::*;
    use crate::{
        api::{Timings, ValidatedPolicy, WarehouseSyncPolicy, status::State, validated::Selector},
        observe::{
            ApprovalGuard, Changes, CredentialValues, Probes, Snapshot, Sources, WriteScope,
        },
    };

    /// Three sources of two tables, of which the first has this status.
    fn sources(statuses: [&str; 3]) -> Arc<Vec<Source>> {
        let source = |(place, status): (usize, &&str)| {
            let table = |name: &str, status: &str| {
                serde_json::json!({
                    "id": format!("{place}{name}"), "name": name, "should_sync": true, "status": status,
                    "sync_type": "full_refresh", "last_synced_at": "2026-10-01T11:00:00Z",
                })
            };
            serde_json::json!({
                "id": format!("s{place}"), "source_type": "Postgres", "access_method": "warehouse",
                "schemas": [table("a", status), table("b", "Completed")],
            })
        };
        let all: Vec<_> = statuses.iter().enumerate().map(source).collect();
        Arc::new(serde_json::from_value(all.into()).unwrap())
    }

    fn snapshot(statuses: [&str; 3]) -> Snapshot {
        Snapshot {
            sources: Sources::new(sources(statuses), &Selector::default()),
            runs: HashMap::new(),
            changes: Changes::default(),
            probes: Probes::default(),
            canaries: Vec::new(),
            readings: Arc::default(),
            run_probed: HashSet::new(),
            write_scope: WriteScope::Unknown,
            other_policies: Vec::new(),
            credential_values: CredentialValues::default(),
            other_projects: OtherProjects::default(),
            instance: crate::posthog::instance::Instance::default(),
            slowed: false,
            approval_guard: ApprovalGuard::broken("it was not looked at"),
        }
    }

    #[test]
    fn a_source_that_was_read_again_is_judged_again_and_no_other() {
        let policy: WarehouseSyncPolicy = serde_saphyr::from_str(
            "{apiVersion: warehousesync.dev/v1alpha1, kind: WarehouseSyncPolicy, metadata: {name: p, namespace: n, uid: u, \
             creationTimestamp: '2026-01-01T00:00:00Z'}, spec: {posthog: {host: 'http://127.0.0.1:1', projectId: 1, \
             apiKeySecretRef: {name: s, key: k}}}}",
        )
        .unwrap();
        let policy = ValidatedPolicy::new(&policy).unwrap();
        let (state, now) = (
            State::default(),
            "2026-10-01T12:00:00Z".parse::<Timestamp>(),
        );
        let now = now.unwrap();
        let known = |snapshot| Known {
            policy: &policy,
            snapshot,
            state: &state,
            proposals: &[],
            timings: &Timings::PRODUCTION,
            now,
        };
        let said = |diagnosis: &Diagnosis| {
            let verdicts: Vec<_> = (diagnosis.judged.iter())
                .map(|judged| (judged.schema_id.clone(), judged.verdict.clone()))
                .collect();
            (
                verdicts,
                diagnosis.problems.clone(),
                diagnosis.summary(|_| false),
            )
        };
        let before = snapshot(["Paused", "Completed", "Paused"]);
        let diagnosis = diagnose(&known(&before));
        let unchanged = diagnosis.again(&known(&before), "s1");
        assert_eq!(said(&unchanged), said(&diagnosis));
        let after = snapshot(["Completed", "Paused", "Completed"]);
        let again = diagnosis.again(&known(&after), "s1");
        let expected = snapshot(["Paused", "Paused", "Paused"]);
        assert_eq!(said(&again), said(&diagnose(&known(&expected))));
        assert_eq!(again.summary(|_| false).schemas.disabled, 3);
    }
}
