//! `refresh_schemas`, and the discovery that does the same without a request: PostHog reads the source's list of tables.

use serde_json::json;

use crate::effect::EffectKind;
use crate::error::Error;
use crate::http;
use crate::load::Loader;
use crate::message::Response;
use crate::scenario::SchemaSpec;
use crate::simulator::Simulator;
use crate::state::Status;

impl Simulator {
    /// PostHog's own discovery of a source, as it happens every few hours. Tells nobody what it did.
    pub fn discover(&mut self, source_id: &str) -> Result<(), Error> {
        let source = self.source_index(source_id)?;
        // A source that does not answer is left as it is.
        let _ = self.refresh_schemas(source);
        Ok(())
    }

    /// Tables that the source no longer shows are switched off and called Completed; only what was never synced is deleted.
    pub(crate) fn refresh_schemas(&mut self, source: usize) -> Result<Response, Response> {
        let Some(spec) = self.sources.get_mut(source).map(|source| &mut source.spec) else {
            return Err(http::not_found("Not found."));
        };
        if let Some(error) = &spec.probe_error {
            return Err(http::message(error));
        }
        let new = std::mem::take(&mut spec.new_tables);
        let deleted = self.note_vanished(source);
        for name in &new {
            self.discovered(source, name);
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

    fn note_vanished(&mut self, source: usize) -> usize {
        let now = self.now();
        let gone = (0..self.schemas.len()).filter(|index| {
            let schema = self.schemas.get(*index);
            schema.is_some_and(|schema| schema.source == source && schema.spec.table_gone)
        });
        let gone: Vec<usize> = gone.collect();
        let mut deleted = 0;
        // From the last, since each that is removed moves those behind it.
        for index in gone.into_iter().rev() {
            let Some(schema) = self.schemas.get_mut(index) else {
                continue;
            };
            if !schema.should_sync && schema.table.is_none() && schema.position.is_none() {
                self.note(index, now, EffectKind::SchemaDeleted, None);
                self.schemas.remove(index);
                deleted += 1;
                continue;
            }
            schema.status = Some(Status::Completed);
            let was_on = std::mem::replace(&mut schema.should_sync, false);
            schema.next_due = None;
            if was_on {
                self.note(index, now, EffectKind::Disabled, None);
            }
        }
        deleted
    }

    /// A new table is listed, switched off and not set up.
    fn discovered(&mut self, source: usize, name: &str) {
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
