//! A proposal before it is created: everything except its nonce, its id and its times.

use jiff::Timestamp;

use super::{
    commands,
    key::Key,
    material::{self, Seed},
    steps,
};
use crate::{
    api::{
        ValidatedPolicy,
        proposal::{
            Impact, LosesData, MAX_COLUMN, MAX_KEY_COLUMNS, Material, Phase, Proposal,
            ProposedAction, ProposedStep, Target,
        },
    },
    decide::words::cost,
    diagnose::{Problem, problem::NAME_CAP},
    posthog::{
        probe::SchemaDetail,
        redact,
        wire::{Schema, Source},
    },
};

/// Longest sentence of a proposal, in characters.
const SENTENCE_CAP: usize = 300;
/// Longest fact, in characters, and how many are kept: 32 proposals must fit into a status beside everything else.
const FACT_CAP: usize = 200;
const MAX_FACTS: usize = 4;

/// A proposal that could be made.
#[derive(Debug)]
pub struct Draft {
    material: Material,
    target: Target,
    reason: String,
    evidence: Vec<String>,
    rows: Option<i64>,
    stays_off: bool,
}

impl Draft {
    /// What would be done to a source as a whole.
    pub fn of_source(
        policy: &ValidatedPolicy,
        problem: &Problem,
        source: &Source,
        (action, steps): (ProposedAction, Vec<ProposedStep>),
        rows: Option<i64>,
    ) -> Self {
        Self {
            material: Material {
                version: material::VERSION,
                nonce: String::new(),
                policy_uid: policy.uid.clone(),
                action,
                steps,
                host: policy.project.host.to_string(),
                project_id: policy.project.id,
                source_id: source.id.clone(),
                schema_id: None,
                sync_type: None,
                incremental_field: None,
                primary_keys: None,
                cause: problem.cause,
                rule: problem.rule.to_owned(),
                table_id: None,
            },
            target: Target {
                project_id: policy.project.id,
                source: redact::one_line(&source.title(), 80),
                source_id: source.id.clone(),
                schema: String::new(),
                schema_id: String::new(),
            },
            reason: redact::one_line(&problem.message, SENTENCE_CAP),
            evidence: problem
                .evidence
                .iter()
                .take(MAX_FACTS)
                .map(|fact| redact::text(fact, FACT_CAP))
                .collect(),
            rows,
            stays_off: false,
        }
    }

    /// The same, where some of the tables sync by `method`, which decides what it costs.
    #[must_use]
    pub fn of_tables_that_sync_by(mut self, method: &str) -> Self {
        self.material.sync_type = Some(redact::one_line(method, MAX_COLUMN));
        self
    }

    /// What would be done to a table, independent of its settings.
    pub fn of_row(
        policy: &ValidatedPolicy,
        problem: &Problem,
        (source, schema): (&Source, &Schema),
        planned: (ProposedAction, Vec<ProposedStep>),
    ) -> Self {
        let rows = schema.table.as_ref();
        let rows = rows.and_then(|table| table.row_count.get().copied());
        let draft = Self::of_source(policy, problem, source, planned, rows);
        let column = |name: &str| redact::one_line(name, MAX_COLUMN);
        Self {
            material: Material {
                schema_id: Some(schema.id.to_string()),
                sync_type: schema.sync_type.get().map(|by| column(by)),
                table_id: schema
                    .table
                    .as_ref()
                    .and_then(|table| table.id.get().map(|id| column(id))),
                ..draft.material
            },
            target: Target {
                schema: redact::one_line(&schema.name, NAME_CAP),
                schema_id: schema.id.to_string(),
                ..draft.target
            },
            ..draft
        }
    }

    /// What would be done to a table.
    pub fn of_table(
        policy: &ValidatedPolicy,
        problem: &Problem,
        (source, schema, detail): (&Source, &Schema, &SchemaDetail),
        planned: (ProposedAction, Vec<ProposedStep>),
        stays_off: bool,
    ) -> Self {
        let column = |name: &str| redact::one_line(name, MAX_COLUMN);
        let draft = Self::of_row(policy, problem, (source, schema), planned);
        let keys = detail.primary_key_columns.as_ref();
        Self {
            material: Material {
                incremental_field: detail.incremental_field.get().map(|name| column(name)),
                primary_keys: keys.map(|keys| {
                    keys.iter()
                        .take(MAX_KEY_COLUMNS)
                        .map(|key| column(key))
                        .collect()
                }),
                ..draft.material
            },
            stays_off,
            ..draft
        }
    }

    /// True if `proposal` is this draft, created.
    pub fn is(&self, proposal: &Proposal) -> bool {
        let own = Material {
            nonce: proposal.material.nonce.clone(),
            ..self.material.clone()
        };
        own == proposal.material && material::id(&own) == proposal.id
    }

    /// What it would do, in words.
    pub fn in_words(&self) -> Vec<String> {
        let title = if self.target.schema.is_empty() {
            &self.target.source
        } else {
            &self.target.schema
        };
        steps::all_in_words(&self.material, title)
    }

    /// The proposal, about `key`, created at `now`.
    pub fn make(
        &self,
        policy: &ValidatedPolicy,
        key: &Key,
        seed: &Seed,
        now: Timestamp,
    ) -> Proposal {
        let material = Material {
            nonce: material::nonce(seed, key),
            ..self.material.clone()
        };
        let id = material::id(&material);
        let expires_at = now.checked_add(policy.proposals_expire_after);
        Proposal {
            approve_command: commands::approve(policy, &id),
            deny_command: commands::deny(policy, &id),
            id,
            action: material.action,
            target: self.target.clone(),
            steps: self.in_words(),
            reason: self.reason.clone(),
            evidence: self.evidence.clone(),
            impact: self.impact(),
            created_at: now,
            expires_at: expires_at.unwrap_or(now),
            phase: Phase::AwaitingApproval,
            message: String::new(),
            approval: None,
            execution: None,
            material,
        }
    }

    fn impact(&self) -> Impact {
        let sync_type = self.material.sync_type.clone();
        let wipes = sync_type
            .as_deref()
            .is_some_and(|by| matches!(by, "webhook" | "cdc"));
        let steps = self.material.steps.iter();
        let worst = steps.map(|step| steps::loses_data(step, wipes)).max();
        let worst = match self.material.action {
            ProposedAction::Reload => Some(LosesData::Maybe),
            _ => worst,
        };
        Impact {
            loses_data: worst.unwrap_or(LosesData::Maybe),
            rows: self.rows,
            sync_type,
            cost: cost::in_words(self.material.action, self.rows, self.stays_off),
        }
    }
}
