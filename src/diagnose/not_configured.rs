//! Tables that `PostHog` lists and that have never been set up: information, one line for each source.

use super::{
    known::Known,
    problem::{NAME_CAP, Problem},
};
use crate::{
    api::status::RootCause,
    posthog::{
        lax::Lax,
        redact,
        wire::{Schema, SchemaStatus},
    },
};

/// True for a table that has never been set up.
#[must_use]
pub fn is_not_configured(schema: &Schema) -> bool {
    schema.is_off() && schema.status() == SchemaStatus::Never && schema.sync_type == Lax::Null
}

/// One problem for each source that has such tables.
pub fn problems(known: &Known<'_>) -> Vec<Problem> {
    let selector = &known.policy.selector;
    known
        .snapshot
        .selected_sources()
        .filter_map(|source| {
            let tables: Vec<_> = source
                .schemas
                .iter()
                .filter(|schema| is_not_configured(schema) && selector.selects_schema(&schema.name))
                .collect();
            let message = match tables.as_slice() {
                [] => return None,
                [one] => format!(
                    "{} is not configured to sync",
                    redact::one_line(&one.name, NAME_CAP)
                ),
                many => format!("{} tables are not configured to sync", many.len()),
            };
            Some(Problem {
                affected: tables
                    .iter()
                    .map(|schema| redact::one_line(&schema.name, NAME_CAP))
                    .collect(),
                ..Problem::of_source(
                    redact::one_line(&source.title(), 80),
                    &source.id,
                    RootCause::NotConfigured,
                    "list/not-configured",
                    message,
                )
            })
        })
        .collect()
}
