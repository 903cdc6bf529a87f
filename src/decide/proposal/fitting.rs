//! Which proposal fits which finding.
//!
//! | cause | proposal |
//! |---|---|
//! | `SchemaDrift`, also found by a probe of a `SourceObjectMissing` | `cf`: set the one incremental field that fits |
//! | `PrimaryKeyMissing`, none declared | `cf`: set the first key, then reload |
//! | `PrimaryKeyMissing` with one, `PrimaryKeyDuplicate` | `dd`: delete the data, set another key, reload |
//! | `TableMissing` | `rf`, one for each source |
//! | `DataCheckFailed`, `DataTypeMismatch` | `rs` |
//! | `CdcSlotLost`, once `PostHog` has had its time to recreate the slot, and while its prerequisite check passes | `rc` |
//! | `WebhookBroken`, switched off by the vendor | `rw` |
//! | `Requested` | `rs` or `dd` |
//! | what a reload would fix, if the next run may wipe the table | `rl` |
//! | silent runs that are not cancelled without approval: see `silent` | `ca` |
//! | tables that are off: see `reenable` | `re`, one for each source |
//!
//! The facts of a proposal must be certain; until then it stays open, and nothing changes.

use std::collections::BTreeMap;

use super::{
    draft::Draft,
    fit::{Fit, Wanted},
    key::Key,
    keys, pending_reset, reenable, silent,
    steps::{MAX_TABLES, call, repair_cdc_of, set_field, set_key, switch_on},
    webhook, wipe,
};
use crate::{
    api::{
        proposal::{ProposedAction, ProposedCall, ProposedStep},
        status::Severity,
    },
    decide::words::next_action as words,
    diagnose::{
        Cause, Diagnosis, Known, Problem, Verdict,
        causes::{Proposes, Remedy, rules},
        cdc,
        fix::{Fix, SwitchedOff},
    },
    posthog::{
        lax::Lax,
        probe::{IncrementalFields, SchemaDetail},
        wire::{Schema, Source},
    },
};

/// The action that fits each finding, by the subject of the proposal.
pub fn fitting(known: &Known<'_>, diagnosis: &Diagnosis) -> BTreeMap<Key, Wanted> {
    let mut groups: BTreeMap<Key, Vec<&Problem>> = BTreeMap::new();
    for problem in &diagnosis.problems {
        if needs_approval(problem)
            || pending_reset::needs_a_reload(known, problem)
            || webhook::is_off_at_vendor(problem)
            || silent::is_for_a_person(known, diagnosis, problem)
        {
            groups.entry(Key::of(problem)).or_default().push(problem);
        }
    }
    groups
        .into_iter()
        .filter_map(|(key, mut problems)| {
            // Of several problems, always the same one names the proposal.
            problems.sort_by_key(|problem| (problem.table.is_some(), problem.rule, &problem.table));
            let wanted = wanted(known, diagnosis, &problems)?;
            Some((key, wanted))
        })
        .chain(reenable::fitting(known, diagnosis))
        .collect()
}

fn needs_approval(problem: &Problem) -> bool {
    let remedy = Cause::of(problem.cause).remedy_for(problem.rule);
    matches!(remedy, Remedy::NeedsApproval(_))
}

fn wanted(known: &Known<'_>, diagnosis: &Diagnosis, problems: &[&Problem]) -> Option<Wanted> {
    let problem = *problems.first()?;
    let sources = &known.snapshot.sources;
    let source = sources
        .iter()
        .find(|source| source.id == problem.source_id)?;
    match Cause::of(problem.cause).proposes {
        Proposes::RefreshSchemas => Some(refresh(known, source, problems)),
        Proposes::RepairCdc => Some(repair_cdc(known, source, problem)),
        Proposes::ReregisterWebhook => webhook::reregister(known, problem, source),
        Proposes::Cancel => silent::cancel_and_reload(known, diagnosis, problem, source),
        Proposes::Nothing
        | Proposes::OpenUntilAsked
        | Proposes::OtherField
        | Proposes::FirstOrOtherKey
        | Proposes::OtherKey
        | Proposes::Resync
        | Proposes::AsRequested => {
            let (id, _) = problem.table.as_ref()?;
            let schema = source.schemas.iter().find(|schema| schema.id == *id)?;
            if pending_reset::needs_a_reload(known, problem) {
                return Some(pending_reset::reload(known, problem, source, schema));
            }
            if has_another_key(known, diagnosis, source, schema) {
                return Some(Wanted {
                    action: ProposedAction::RepairConfig,
                    fit: Fit::Nothing(words::KEY_CHANGED.to_owned()),
                });
            }
            Some(OfTable::new(known, diagnosis, problem, source, schema).wanted())
        }
    }
}

/// True for a table that was switched off for its key, which a person has changed since.
fn has_another_key(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    source: &Source,
    schema: &Schema,
) -> bool {
    diagnosis.of(&schema.id).is_some_and(|judged| {
        let row = (source, schema);
        SwitchedOff::new(known.state, known.snapshot, row, &judged.verdict)
            .is_some_and(|off| off.is_about_key() && off.fix() == Fix::Proved)
    })
}

fn refresh(known: &Known<'_>, source: &Source, problems: &[&Problem]) -> Wanted {
    let action = ProposedAction::RefreshSchemas;
    // A person who has switched a missing table off has done what there is to do.
    let mut missing = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    let fit = match missing.next() {
        None => Fit::Nothing(words::SWITCHED_OFF_BY_SOMEONE.to_owned()),
        Some(problem) => {
            let planned = (action, vec![call(ProposedCall::RefreshSchemas)]);
            Fit::draft(Draft::of_source(
                known.policy,
                problem,
                source,
                planned,
                Some(0),
            ))
        }
    };
    Wanted { action, fit }
}

fn repair_cdc(known: &Known<'_>, source: &Source, problem: &Problem) -> Wanted {
    let action = ProposedAction::RepairCdc;
    let sure = problem.table.is_none() && problem.severity == Severity::Error;
    let lost = sure && cdc::has_lost_its_slot(known, source);
    let missing = cdc::missing(known.snapshot, &source.id);
    let fit = if !lost {
        Fit::Open(words::SLOT_MAY_RETURN)
    } else if missing.is_none() {
        Fit::Open(words::NOT_CHECKED)
    } else if missing.is_some_and(|missing| !missing.is_empty()) {
        // A repair resets the tables before it finds out that the database refuses the slot.
        Fit::Open(words::NOT_PREPARED)
    } else {
        repair(known, source, problem)
    };
    Wanted { action, fit }
}

/// A repair names each table that it resets: what is captured later was not approved.
fn repair(known: &Known<'_>, source: &Source, problem: &Problem) -> Fit {
    let captured: Vec<&Schema> = cdc::captured(known, source).collect();
    let selector = &known.policy.selector;
    let is_selected = |schema: &&Schema| selector.selects_schema(&schema.name);
    let others = captured.len() - captured.iter().filter(|row| is_selected(row)).count();
    if others > 0 {
        return Fit::Nothing(words::resets_others(others));
    }
    if captured.len() > MAX_TABLES {
        return Fit::Nothing(words::resets_too_many(captured.len(), MAX_TABLES));
    }
    let planned = (
        ProposedAction::RepairCdc,
        vec![repair_cdc_of(captured.iter().map(|row| row.id.to_string()))],
    );
    let rows = captured.into_iter().map(rows).sum();
    let draft = Draft::of_source(known.policy, problem, source, planned, rows);
    Fit::draft(draft)
}

fn rows(schema: &Schema) -> Option<i64> {
    schema.table.as_ref()?.row_count.get().copied()
}

/// What is known about a table with a problem.
struct OfTable<'a> {
    known: &'a Known<'a>,
    problem: &'a Problem,
    source: &'a Source,
    schema: &'a Schema,
    detail: Option<&'a SchemaDetail>,
    at_source: Option<&'a IncrementalFields>,
    /// Whether syncing is off, and whether `PostHog` was observed switching it off.
    off: Off,
    /// Why its data is not wiped; none if that may be proposed.
    no_wipe: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Off {
    No,
    ByPostHog,
    ByWhom,
}

impl<'a> OfTable<'a> {
    fn new(
        known: &'a Known<'a>,
        diagnosis: &Diagnosis,
        problem: &'a Problem,
        source: &'a Source,
        schema: &'a Schema,
    ) -> Self {
        let snapshot = known.snapshot;
        // What is known about a failure must have been read after it; for bad data the time does not matter.
        let detail = if Cause::of(problem.cause).origin.needs_fresh_detail() {
            snapshot.detail(&schema.id)
        } else {
            let probed = snapshot.probes.details.get(schema.id.as_str());
            probed.and_then(|probed| probed.answer.as_ref().ok())
        };
        let verdict = diagnosis.of(&schema.id).map(|judged| &judged.verdict);
        let by_posthog =
            matches!(verdict, Some(Verdict::Disabled { by_posthog, .. }) if by_posthog.is_some());
        let off = match &schema.should_sync {
            Lax::Is(true) => Off::No,
            _ if by_posthog => Off::ByPostHog,
            _ => Off::ByWhom,
        };
        Self {
            known,
            problem,
            source,
            schema,
            detail,
            at_source: snapshot
                .fields(&schema.id)
                .and_then(|answer| answer.as_ref().ok()),
            off,
            no_wipe: wipe::forbids(known, diagnosis, problem, source),
        }
    }

    fn wanted(&self) -> Wanted {
        let (action, fit) = match Cause::of(self.problem.cause).proposes {
            Proposes::OpenUntilAsked => (
                ProposedAction::RepairConfig,
                Fit::Open(words::COLUMNS_NOT_READ),
            ),
            Proposes::OtherField => (ProposedAction::RepairConfig, self.other_field()),
            Proposes::FirstOrOtherKey if !self.has_key() => {
                (ProposedAction::RepairConfig, self.first_key())
            }
            Proposes::FirstOrOtherKey | Proposes::OtherKey => {
                (ProposedAction::DeleteData, self.other_key())
            }
            Proposes::AsRequested if self.problem.rule == rules::DELETE_DATA => {
                (ProposedAction::DeleteData, self.delete_as_asked())
            }
            // What is proposed for a source, or not at all, does not get here.
            Proposes::AsRequested
            | Proposes::Resync
            | Proposes::Nothing
            | Proposes::RefreshSchemas
            | Proposes::RepairCdc
            | Proposes::Cancel
            | Proposes::ReregisterWebhook => (ProposedAction::Resync, self.resync()),
        };
        Wanted { action, fit }
    }

    fn has_key(&self) -> bool {
        self.detail
            .is_some_and(|detail| detail.primary_key_columns.is_some())
    }

    fn other_field(&self) -> Fit {
        let (Some(detail), Some(at_source)) = (self.detail, self.at_source) else {
            return Fit::Open(words::COLUMNS_NOT_READ);
        };
        let syncs_by_field = ["incremental", "append"]
            .iter()
            .any(|method| self.schema.syncs_by(method));
        if !syncs_by_field {
            return Fit::Nothing(words::NOT_INCREMENTAL.to_owned());
        }
        match keys::field(detail, at_source, self.declared_field()) {
            Ok(field) => self.draft(ProposedAction::RepairConfig, detail, vec![set_field(field)]),
            Err(instead) => Fit::Nothing(instead),
        }
    }

    fn first_key(&self) -> Fit {
        let Some(detail) = self.detail else {
            return Fit::Open(words::SETTINGS_NOT_READ);
        };
        let declared = self.declared();
        if declared.is_empty() && self.at_source.is_none() {
            return Fit::Open(words::COLUMNS_NOT_READ);
        }
        match keys::key(declared, self.at_source, None) {
            Ok(key) => self.draft(ProposedAction::RepairConfig, detail, vec![set_key(key)]),
            Err(instead) => Fit::Nothing(instead),
        }
    }

    fn other_key(&self) -> Fit {
        let Some(detail) = self.detail else {
            return Fit::Open(words::SETTINGS_NOT_READ);
        };
        let failed = detail.primary_key_columns.as_deref();
        let declared = self.declared();
        // Without a declared key PostHog used the one that it detects, and that one failed.
        let at_source = self
            .at_source
            .filter(|_| failed.is_some() || !declared.is_empty());
        if declared.is_empty() && failed.is_some() && at_source.is_none() {
            return Fit::Open(words::COLUMNS_NOT_READ);
        }
        match keys::key(declared, at_source, failed) {
            Ok(_) if self.no_wipe.is_some() => self.not_wiped(),
            Ok(key) => {
                let steps = vec![call(ProposedCall::DeleteData), set_key(key)];
                self.draft(ProposedAction::DeleteData, detail, steps)
            }
            Err(instead) => Fit::Nothing(instead),
        }
    }

    /// Without the change of a key, unless the policy declares one.
    fn delete_as_asked(&self) -> Fit {
        let Some(detail) = self.detail else {
            return Fit::Open(words::SETTINGS_NOT_READ);
        };
        let declared = self.declared();
        let mut steps = vec![call(ProposedCall::DeleteData)];
        if !declared.is_empty() && detail.primary_key_columns.as_deref() != Some(declared) {
            match keys::key(declared, self.at_source, None) {
                Ok(key) => steps.push(set_key(key)),
                Err(instead) => return Fit::Nothing(instead),
            }
        }
        self.draft(ProposedAction::DeleteData, detail, steps)
    }

    fn not_wiped(&self) -> Fit {
        Fit::Nothing(self.no_wipe.clone().unwrap_or_default())
    }

    fn resync(&self) -> Fit {
        match self.detail {
            _ if self.no_wipe.is_some() => self.not_wiped(),
            None => Fit::Open(words::SETTINGS_NOT_READ),
            Some(detail) => {
                let steps = vec![call(ProposedCall::Resync)];
                self.draft(ProposedAction::Resync, detail, steps)
            }
        }
    }

    fn declared_field(&self) -> Option<&'a str> {
        self.known.policy.incremental_field(
            self.source.type_name(),
            self.source.prefix_name(),
            &self.source.id,
            &self.schema.name,
        )
    }

    fn declared(&self) -> &'a [String] {
        self.known.policy.primary_keys(
            self.source.type_name(),
            self.source.prefix_name(),
            &self.source.id,
            &self.schema.name,
        )
    }

    /// What `PostHog` switched off is switched on again; what has another key is synced at once.
    fn draft(
        &self,
        action: ProposedAction,
        detail: &SchemaDetail,
        mut steps: Vec<ProposedStep>,
    ) -> Fit {
        let reload = steps.iter().any(|step| {
            step.primary_key_columns.is_some() || step.call == ProposedCall::DeleteData
        });
        if self.off == Off::ByPostHog {
            steps.push(switch_on());
        }
        if reload {
            steps.push(call(ProposedCall::Reload));
        }
        Fit::draft(Draft::of_table(
            self.known.policy,
            self.problem,
            (self.source, self.schema, detail),
            (action, steps),
            self.off == Off::ByWhom,
        ))
    }
}
