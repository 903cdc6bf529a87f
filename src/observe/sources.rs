//! The list of sources of a project, and what of it a policy selects.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use crate::{
    api::validated::Selector,
    posthog::{
        id::Id,
        wire::{Schema, Source},
    },
};

/// The sources of a project, and which of them and of their tables a policy selects. Names are matched once, when this is made: every check of a
/// reconcile asks.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Shared by all policies of the project and key.
    all: Arc<Vec<Source>>,
    /// The places of the selected sources, and in each the places of its selected tables.
    selected: Arc<[(usize, Vec<usize>)]>,
    /// Where each table is, by its id: its source and its place there. Made when it is first needed; as a rule nothing is wrong.
    places: Arc<OnceLock<HashMap<Id, (usize, usize)>>>,
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
            places: Arc::default(),
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

    /// The row of a table, selected or not.
    #[must_use]
    pub fn row(&self, schema_id: &str) -> Option<(&Source, &Schema)> {
        let find = || {
            let sources = self.all.iter().enumerate();
            let tables = sources.flat_map(|(place, source)| {
                let tables = source.schemas.iter().enumerate();
                tables.map(move |(of, table)| (table.id.clone(), (place, of)))
            });
            tables.collect()
        };
        let places = self.places.get_or_init(find);
        let (place, of) = places.get(&Id::from(schema_id))?;
        let source = self.all.get(*place)?;
        Some((source, source.schemas.get(*of)?))
    }
}

/// All sources, selected or not.
impl Deref for Sources {
    type Target = [Source];

    fn deref(&self) -> &[Source] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{ValidatedPolicy, WarehouseSyncPolicy};

    fn selector() -> Selector {
        let policy: WarehouseSyncPolicy = serde_saphyr::from_str(
            "{apiVersion: warehousesync.dev/v1alpha1, kind: WarehouseSyncPolicy, metadata: {name: p, namespace: n, uid: u, \
             creationTimestamp: '2026-01-01T00:00:00Z'}, spec: {posthog: {host: 'http://127.0.0.1:1', projectId: 1, \
             apiKeySecretRef: {name: s, key: k}}, selector: {sources: {prefixes: [prod]}, schemas: {include: ['a*']}}}}",
        )
        .unwrap();
        ValidatedPolicy::new(&policy).unwrap().selector
    }

    fn sources() -> Sources {
        let table = |name: &str| json!({"id": name, "name": name});
        let source = |id: &str, prefix: &str, tables: [&str; 2]| {
            let tables = tables.map(table);
            json!({"id": id, "source_type": "Postgres", "prefix": prefix, "schemas": tables})
        };
        let all = json!([
            source("s1", "test", ["a1", "b1"]),
            source("s2", "prod", ["b2", "a2"]),
            source("s3", "prod", ["b3", "b4"]),
        ]);
        Sources::new(Arc::new(serde_json::from_value(all).unwrap()), &selector())
    }

    /// The selected sources, each with its selected tables.
    fn selected(sources: &Sources) -> Vec<(String, Vec<String>)> {
        let names = |tables: &mut dyn Iterator<Item = &Schema>| {
            tables.map(|schema| schema.name.to_string()).collect()
        };
        let all = sources.selected();
        all.map(|(source, mut tables)| (source.id.clone(), names(&mut tables)))
            .collect()
    }

    fn of(id: &str, tables: &[&str]) -> (String, Vec<String>) {
        let tables = tables.iter().map(|name| (*name).to_owned());
        (id.to_owned(), tables.collect())
    }

    #[test]
    fn a_selected_source_without_a_selected_table_is_selected() {
        assert_eq!(selected(&sources()), [of("s2", &["a2"]), of("s3", &[])]);
        assert_eq!(sources().len(), 3);
    }

    #[test]
    fn names_that_a_read_has_changed_are_matched_again() {
        let renamed = sources().changed(&selector(), |all| {
            all[0].prefix = all[1].prefix.clone();
            all[1].schemas[1].name = "b2".into();
            all.remove(2);
        });
        assert_eq!(selected(&renamed), [of("s1", &["a1"]), of("s2", &[])]);
    }
}
