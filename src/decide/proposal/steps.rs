//! The steps of proposals: as data, in words, and whether they can lose data.

use crate::{
    api::proposal::{LosesData, Material, ProposedCall, ProposedStep},
    decide::safety::why::Why,
    diagnose::words::plural,
    posthog::{
        redact,
        write::{FieldType, IncrementalField, NewSyncType, SchemaPatch, Write},
    },
};

/// Longest sentence for a step, in characters.
const SENTENCE_CAP: usize = 300;
/// Most tables that one call names.
pub const MAX_TABLES: usize = 100;

/// A call without parameters.
pub const fn call(call: ProposedCall) -> ProposedStep {
    ProposedStep {
        call,
        switch_on: false,
        incremental_field: None,
        incremental_field_type: None,
        primary_key_columns: None,
        sync_type: None,
        schema_ids: Vec::new(),
        job_id: None,
    }
}

/// Cancels this run.
pub fn cancel(job_id: String) -> ProposedStep {
    ProposedStep {
        job_id: Some(job_id),
        ..call(ProposedCall::Cancel)
    }
}

/// Rebuilds change data capture, which resets these tables.
pub fn repair_cdc_of(ids: impl Iterator<Item = String>) -> ProposedStep {
    ProposedStep {
        schema_ids: in_order(ids),
        ..call(ProposedCall::RepairCdc)
    }
}

/// Ids as a proposal names them: in the same order however `PostHog` lists them.
pub fn in_order(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<String> = ids.collect();
    ids.sort_unstable();
    ids
}

/// Sets another incremental field.
pub fn set_field(IncrementalField { name, kind }: IncrementalField) -> ProposedStep {
    ProposedStep {
        incremental_field: Some(name),
        incremental_field_type: Some(FieldType::as_str(kind).to_owned()),
        ..call(ProposedCall::PatchSchema)
    }
}

/// Sets the primary key.
pub fn set_key(columns: Vec<String>) -> ProposedStep {
    ProposedStep {
        primary_key_columns: Some(columns),
        ..call(ProposedCall::PatchSchema)
    }
}

/// Switches the table on again.
pub fn switch_on() -> ProposedStep {
    ProposedStep {
        switch_on: true,
        ..call(ProposedCall::PatchSchema)
    }
}

/// The call of a step of `material`; none if this version does not know it, for example in a status that another version wrote.
pub fn write(material: &Material, step: &ProposedStep) -> Option<Write> {
    let source_id = material.source_id.clone();
    let schema_id = || material.schema_id.clone();
    Some(match step.call {
        ProposedCall::PatchSchema => Write::PatchSchema(patch(step, &schema_id()?)?),
        ProposedCall::PatchTables => Write::BulkUpdateSchemas {
            source_id,
            patches: step
                .schema_ids
                .iter()
                .map(|id| patch(step, id))
                .collect::<Option<_>>()?,
        },
        ProposedCall::Resync => Write::Resync {
            schema_id: schema_id()?,
        },
        ProposedCall::DeleteData => Write::DeleteData {
            schema_id: schema_id()?,
        },
        ProposedCall::Reload => Write::Reload {
            schema_id: schema_id()?,
        },
        ProposedCall::Cancel => Write::Cancel {
            schema_id: schema_id()?,
        },
        ProposedCall::RefreshSchemas => Write::RefreshSchemas { source_id },
        ProposedCall::RepairCdc => Write::RepairCdc { source_id },
        ProposedCall::DeleteWebhook => Write::DeleteWebhook { source_id },
        ProposedCall::CreateWebhook => Write::CreateWebhook { source_id },
    })
}

fn patch(step: &ProposedStep, schema_id: &str) -> Option<SchemaPatch> {
    let incremental_field = match (&step.incremental_field, &step.incremental_field_type) {
        (Some(name), Some(kind)) => Some(IncrementalField {
            name: name.clone(),
            kind: FieldType::parse(kind)?,
        }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return None,
    };
    let sync_type = match step.sync_type.as_deref() {
        None => None,
        Some(word) => Some(NewSyncType::parse(word)?),
    };
    Some(SchemaPatch {
        schema_id: schema_id.to_owned(),
        switch_on: step.switch_on,
        sync_type,
        incremental_field,
        primary_key_columns: step.primary_key_columns.clone(),
    })
}

/// The steps of `material` in words, as a proposal shows them, for the table or source called `title`.
#[must_use]
pub fn all_in_words(material: &Material, title: &str) -> Vec<String> {
    let steps = material.steps.iter();
    steps
        .map(|step| redact::one_line(&in_words(step, title), SENTENCE_CAP))
        .collect()
}

/// A step in words, for the table or source called `title`.
fn in_words(step: &ProposedStep, title: &str) -> String {
    match step.call {
        ProposedCall::PatchSchema => {
            let field = step.incremental_field.as_ref().map(|field| {
                let kind = step.incremental_field_type.as_deref().unwrap_or("?");
                format!("set the incremental field of {title} to {field} ({kind})")
            });
            let key = step.primary_key_columns.as_ref().map(|columns| {
                format!("set the primary key of {title} to ({})", columns.join(", "))
            });
            let on = step
                .switch_on
                .then(|| format!("switch on the syncing of {title} again"));
            let parts: Vec<String> = [field, key, on].into_iter().flatten().collect();
            parts.join(" and ")
        }
        ProposedCall::PatchTables => {
            let tables = plural(step.schema_ids.len(), "table");
            let how = step.sync_type.as_ref();
            let how = how.map(|how| format!("set {tables} of {title} to sync by {how}"));
            let on = step
                .switch_on
                .then(|| format!("switch on the syncing of {tables} of {title} again"));
            let parts: Vec<String> = [how, on].into_iter().flatten().collect();
            parts.join(" and ")
        }
        ProposedCall::DeleteWebhook => format!("remove the webhook of {title}"),
        ProposedCall::CreateWebhook => format!("create a webhook for {title}"),
        ProposedCall::Resync => format!("wipe {title} and import it again"),
        ProposedCall::Cancel => format!(
            "cancel the run of {title} ({})",
            step.job_id.as_deref().unwrap_or("?")
        ),
        ProposedCall::DeleteData => format!("delete the data of {title}"),
        ProposedCall::Reload => format!("reload {title}"),
        ProposedCall::RefreshSchemas => {
            format!("let PostHog reread the list of tables of {title}")
        }
        ProposedCall::RepairCdc => {
            let tables = match step.schema_ids.len() {
                0 => "every captured table".to_owned(),
                1 => "its captured table".to_owned(),
                tables => format!("its {tables} captured tables"),
            };
            format!("rebuild change data capture of {title} and import {tables} again")
        }
    }
}

/// The worst that a step can do to data, by the same reasons as the safety table's. `wipes_when_switched_on`: the table syncs
/// by webhook or change data capture.
pub fn loses_data(step: &ProposedStep, wipes_when_switched_on: bool) -> LosesData {
    let why = match step.call {
        ProposedCall::Resync => Some(Why::WipesTable),
        ProposedCall::DeleteData => Some(Why::DeletesData),
        ProposedCall::RefreshSchemas => Some(Why::SwitchesOffWhatIsHidden),
        ProposedCall::RepairCdc => Some(Why::ImportsCapturedTablesAnew),
        ProposedCall::PatchSchema | ProposedCall::PatchTables
            if step.switch_on && wipes_when_switched_on =>
        {
            Some(Why::SwitchingOnWipes)
        }
        ProposedCall::PatchSchema if step.incremental_field.is_some() => {
            Some(Why::ChangesIncrementalField)
        }
        ProposedCall::PatchSchema if step.primary_key_columns.is_some() => {
            Some(Why::ChangesPrimaryKey)
        }
        ProposedCall::PatchTables if step.sync_type.is_some() => Some(Why::ChangesSyncType),
        ProposedCall::DeleteWebhook => Some(Why::StopsWebhook),
        // A reload is proposed where the next run may wipe the table, or after a step that says what it costs.
        ProposedCall::PatchSchema
        | ProposedCall::PatchTables
        | ProposedCall::CreateWebhook
        | ProposedCall::Cancel
        | ProposedCall::Reload => None,
    };
    why.map_or(LosesData::No, Why::loses_data)
}
