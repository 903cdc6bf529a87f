//! All that a decision may rest on.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Changes, Look, Probes, Seen};
use crate::{
    api::validated::{PolicyRef, Selector},
    posthog::wire::{Schema, Source},
};

/// What is known of a project at one moment, for one policy.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The list of sources, shared by all policies of the project and key.
    pub sources: Arc<Vec<Source>>,
    /// What closer looks found, by id of the table.
    pub runs: HashMap<String, Seen>,
    /// What was seen to change from list to list.
    pub changes: Changes,
    /// Answers to closer questions.
    pub probes: Probes,
    /// Ids of the tables that were looked at in this pass.
    pub looked: HashSet<String>,
    /// Whether the key may write.
    pub write_scope: WriteScope,
    /// The other policies on the project.
    pub rivals: Vec<Rival>,
}

impl Snapshot {
    /// The tables that `selector` selects, with their sources.
    pub fn selected<'a>(
        &'a self,
        selector: &'a Selector,
    ) -> impl Iterator<Item = (&'a Source, &'a Schema)> {
        self.selected_sources(selector)
            .flat_map(|source| source.schemas.iter().map(move |schema| (source, schema)))
            .filter(|(_, schema)| selector.selects_schema(&schema.name))
    }

    /// The sources that `selector` selects.
    pub fn selected_sources<'a>(
        &'a self,
        selector: &'a Selector,
    ) -> impl Iterator<Item = &'a Source> {
        self.sources.iter().filter(|source| {
            selector.selects_source(source.type_name(), source.prefix_name(), &source.id)
        })
    }

    /// The look of this pass at a table, if there was one.
    #[must_use]
    pub fn fresh_look(&self, schema_id: &str) -> Option<&Look> {
        self.runs
            .get(schema_id)?
            .look
            .as_ref()
            .filter(|_| self.looked.contains(schema_id))
    }

    /// The row of one table.
    #[must_use]
    pub fn row(&self, source_id: &str, schema_id: &str) -> Option<(&Source, &Schema)> {
        let source = self.sources.iter().find(|source| source.id == source_id)?;
        Some((
            source,
            source
                .schemas
                .iter()
                .find(|schema| schema.id == schema_id)?,
        ))
    }
}

/// Whether the key may write, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteScope {
    /// Not asked, or the answer told nothing.
    Unknown,
    /// It may.
    Granted,
    /// It lacks the scope.
    Missing,
}

/// Another policy on the same project.
#[derive(Debug, Clone)]
pub struct Rival {
    /// Where it is.
    pub at: PolicyRef,
    /// Its uid.
    pub uid: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it is in Enforce and not suspended.
    pub may_act: bool,
    /// What it selects.
    pub selector: Selector,
    /// Tables of which it has an incident in flight, with the deadline of the present step.
    pub in_flight: Vec<(String, Option<Timestamp>)>,
    /// Jobs that it has cancelled, or may have.
    pub cancelled: Vec<String>,
}
