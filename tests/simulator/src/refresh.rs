//! `refresh_schemas`: PostHog reads the source's list of tables anew.

use serde_json::json;

use crate::effect::EffectKind;
use crate::http;
use crate::load::Loader;
use crate::message::Response;
use crate::scenario::SchemaSpec;
use crate::simulator::Simulator;

impl Simulator {
    /// Deletes the schemas whose table is gone at the source, and nobody is told which before.
    pub(crate) fn refresh_schemas(&mut self, source: usize) -> Result<Response, Response> {
        let Some(spec) = self.sources.get_mut(source).map(|source| &mut source.spec) else {
            return Err(http::not_found("Not found."));
        };
        if let Some(error) = &spec.probe_error {
            return Err(http::message(error));
        }
        let new = std::mem::take(&mut spec.new_tables);
        let deleted = self.delete_vanished(source);
        for name in &new {
            self.discover(source, name);
        }
        let all = self.schemas.iter().filter(|schema| schema.source == source);
        let answer = json!({
            "added": new.len(),
            "deleted": deleted,
            "auto_enabled": 0,
            "total_tables_seen": all.count(),
        });
        Ok(Response::json(200, &answer))
    }

    fn delete_vanished(&mut self, source: usize) -> usize {
        let now = self.now();
        let gone = (0..self.schemas.len()).filter(|index| {
            let schema = self.schemas.get(*index);
            schema.is_some_and(|schema| schema.source == source && schema.spec.table_gone)
        });
        let gone: Vec<usize> = gone.collect();
        // From the last, since each that is removed moves those behind it.
        for index in gone.iter().rev() {
            self.note(*index, now, EffectKind::SchemaDeleted, None);
            self.schemas.remove(*index);
        }
        gone.len()
    }

    /// A new table is listed, switched off and not set up.
    fn discover(&mut self, source: usize, name: &str) {
        let spec = SchemaSpec {
            name: name.to_owned(),
            should_sync: false,
            sync_type: None,
            ..SchemaSpec::default()
        };
        let (start, schedule) = (self.now(), self.schedule);
        let mut loader = Loader {
            ids: &mut self.ids,
            start,
            schedule,
            lock: false,
        };
        let schema = loader.schema(source, spec, start);
        self.schemas.push(schema);
    }
}
