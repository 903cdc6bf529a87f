//! The list of sources of a project, and what of it a policy selects.

use std::{ops::Deref, sync::Arc};

use crate::{
    api::validated::Selector,
    posthog::wire::{Schema, Source},
};

/// The sources of a project, and which of them and of their tables a policy selects. Names are matched once, when this is made: every check of a
/// reconcile asks.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Shared by all policies of the project and key.
    all: Arc<Vec<Source>>,
    /// The places of the selected sources, and in each the places of its selected tables.
    selected: Arc<[(usize, Vec<usize>)]>,
}

impl Sources {
    /// The sources of a list, as this selector sees them.
    #[must_use]
    pub fn new(all: Arc<Vec<Source>>, selector: &Selector) -> Self {
        let is_selected = |source: &Source| {
            selector.selects_source(source.type_name(), source.prefix_name(), &source.id)
        };
        let tables = |source: &Source| {
            let tables = source.schemas.iter().enumerate();
            let selected = tables.filter(|(_, schema)| selector.selects_schema(&schema.name));
            selected.map(|(place, _)| place).collect()
        };
        let sources = all.iter().enumerate();
        let selected = sources.filter(|(_, source)| is_selected(source));
        Self {
            selected: selected
                .map(|(place, source)| (place, tables(source)))
                .collect(),
            all,
        }
    }

    /// The same after a change of the list. What is selected is matched again: a change may concern names.
    #[must_use]
    pub fn changed(&self, selector: &Selector, change: impl FnOnce(&mut Vec<Source>)) -> Self {
        let mut all = self.all.clone();
        change(Arc::make_mut(&mut all));
        Self::new(all, selector)
    }

    /// The selected sources, each with its selected tables, which may be none.
    pub fn selected(&self) -> impl Iterator<Item = (&Source, impl Iterator<Item = &Schema>)> {
        self.selected.iter().filter_map(|(place, tables)| {
            let source = self.all.get(*place)?;
            let tables = tables.iter().filter_map(|place| source.schemas.get(*place));
            Some((source, tables))
        })
    }
}

/// All sources, selected or not.
impl Deref for Sources {
    type Target = [Source];

    fn deref(&self) -> &[Source] {
        &self.all
    }
}
