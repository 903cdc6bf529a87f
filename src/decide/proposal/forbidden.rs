//! What speaks against a proposal, whatever the finding: the policy's own fields, and who owns the table or the source.

use super::Key;
use crate::{
    api::{
        ValidatedPolicy,
        policy::{Mode, Proposing},
        proposal::ProposedAction,
        status::Incident,
    },
    decide::{
        ownership::{
            Owner, Table, blocked_by, is_carried_out, is_in_flight, owned_by, source_owned_by,
        },
        safety::NotWarehouse,
    },
    diagnose::Known,
    observe::WriteScope,
    posthog::wire::{Schema, Source},
};

/// Why nothing is proposed.
#[derive(Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// In words.
    pub why: String,
    /// Whether it also ends what was proposed before; else that stands.
    pub withdraws: bool,
}

impl Forbidden {
    fn withdraws(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            withdraws: true,
        }
    }

    fn holds(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            withdraws: false,
        }
    }

    /// Another policy is in the way: for good, or until what it does there is over.
    fn by(policy: &ValidatedPolicy, owner: Owner<'_>, what: &str) -> Self {
        Self {
            why: blocked_by(policy, owner, what).why,
            withdraws: owner.lasts,
        }
    }
}

/// What speaks against proposing `action` for `key`, if anything does.
pub fn forbidden(
    known: &Known<'_>,
    incidents: &[Incident],
    key: &Key,
    action: ProposedAction,
) -> Option<Forbidden> {
    let policy = known.policy;
    if policy.proposing.of(action) == Proposing::Off {
        return Some(Forbidden::withdraws(format!(
            "spec.remediation.{} is Off",
            action.field()
        )));
    }
    if policy.mode == Mode::Observe {
        return Some(Forbidden::withdraws("spec.mode is Observe"));
    }
    // Who is suspended owns nothing, but only for as long.
    if let Some(why) = policy.stopped {
        return Some(Forbidden::holds(why));
    }
    if known.snapshot.write_scope == WriteScope::Missing {
        return Some(Forbidden::holds(
            "KeyLacksWriteScope: the API key lacks the scope external_data_source:write",
        ));
    }
    let mut sources = known.snapshot.sources.iter();
    let Some(source) = sources.find(|source| source.id == key.source_id) else {
        return Some(not_listed(known, key));
    };
    if !source.is_warehouse() {
        return Some(Forbidden::withdraws(NotWarehouse.to_string()));
    }
    match &key.schema_id {
        None => of_source(known, source),
        Some(id) => match source.schemas.iter().find(|schema| schema.id == *id) {
            None => Some(not_listed(known, key)),
            Some(schema) => of_table(known, incidents, source, schema),
        },
    }
}

/// What has left `PostHog`'s list is held for as long as that is remembered: a key with fewer rights sees fewer tables.
fn not_listed(known: &Known<'_>, key: &Key) -> Forbidden {
    let mut missing = known.snapshot.changes.missing.values();
    let remembered = missing.any(|gone| match &key.schema_id {
        Some(id) => gone.schema_id == *id,
        None => gone.source_id == key.source_id,
    });
    if remembered {
        Forbidden::holds("it is not in PostHog's list just now")
    } else {
        Forbidden::withdraws("it has left PostHog's list")
    }
}

fn of_source(known: &Known<'_>, source: &Source) -> Option<Forbidden> {
    let policy = known.policy;
    let selects = source
        .schemas
        .iter()
        .any(|schema| selects(known, source, schema));
    if !selects {
        return Some(Forbidden::withdraws(
            "the policy does not select this source",
        ));
    }
    let own = is_carried_out_on(known, &source.id);
    let owner = source_owned_by(policy, own, &known.snapshot.rivals, source, known.now)?;
    Some(Forbidden::by(policy, owner, "source"))
}

/// Whether this policy has a proposal under way for the table or source as a whole of this id.
fn is_carried_out_on(known: &Known<'_>, subject_id: &str) -> bool {
    let mut proposals = known.proposals.iter().filter(|row| is_carried_out(row));
    proposals.any(|row| row.subject_id() == subject_id)
}

fn of_table(
    known: &Known<'_>,
    incidents: &[Incident],
    source: &Source,
    schema: &Schema,
) -> Option<Forbidden> {
    let policy = known.policy;
    if !selects(known, source, schema) {
        return Some(Forbidden::withdraws(
            "the policy does not select this table",
        ));
    }
    let table = Table {
        source_type: source.type_name(),
        prefix: source.prefix_name(),
        source_id: &source.id,
        schema_id: &schema.id,
        name: &schema.name,
    };
    let in_flight = incidents
        .iter()
        .any(|incident| incident.schema_id == schema.id && is_in_flight(incident))
        || is_carried_out_on(known, &schema.id);
    let owner = owned_by(policy, in_flight, &known.snapshot.rivals, &table, known.now)?;
    Some(Forbidden::by(policy, owner, "table"))
}

fn selects(known: &Known<'_>, source: &Source, schema: &Schema) -> bool {
    let selector = &known.policy.selector;
    selector.selects_source(source.type_name(), source.prefix_name(), &source.id)
        && selector.selects_schema(&schema.name)
}
