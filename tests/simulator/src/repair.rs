//! `repair_cdc`: every captured table is reset, to be imported from its beginning, and slot and publication are recreated. The reset
//! comes first: it stays where the database refuses the rest (400).

use serde_json::json;

use crate::clock::plus;
use crate::effect::{EffectKind, Trigger};
use crate::http;
use crate::message::Response;
use crate::simulator::Simulator;
use crate::state::Status;

/// How long a repair keeps another one out.
const LOCK: jiff::SignedDuration = jiff::SignedDuration::from_secs(300);

impl Simulator {
    pub(crate) fn repair_cdc(&mut self, source: usize) -> Result<Response, Response> {
        let captured: Vec<usize> = (0..self.schemas.len())
            .filter(|index| {
                let schema = self.schemas.get(*index);
                schema.is_some_and(|schema| {
                    schema.source == source && schema.is("cdc") && schema.should_sync
                })
            })
            .collect();
        self.check_repairable(source, &captured)?;
        let now = self.now();
        for index in &captured {
            self.arm(*index, Trigger::Repair);
        }
        if let Some(refused) = self.cannot_repair(source) {
            return Err(http::message(&refused));
        }
        if let Some(source) = self.sources.get_mut(source) {
            source.repairing_until = Some(plus(now, LOCK));
            if let Some(cdc) = &mut source.spec.cdc {
                cdc.slot_exists = true;
                cdc.publication_exists = true;
                cdc.schedule_paused = false;
            }
        }
        self.note_source(source, EffectKind::CdcRepaired);
        for index in &captured {
            self.edit(*index, |schema| schema.spec.cdc_broken = false);
            self.trigger(*index, now, Trigger::Repair);
            self.edit(*index, |schema| schema.paint(Status::Running));
        }
        let answer = json!({"success": true, "schemas_reset": captured.len()});
        Ok(Response::json(200, &answer))
    }

    /// Refusals before anything has happened.
    fn check_repairable(&self, source: usize, captured: &[usize]) -> Result<(), Response> {
        let now = self.now();
        let source = self.with_cdc(source)?;
        let Some(cdc) = source.spec.cdc.as_ref().filter(|cdc| cdc.enabled) else {
            return Err(http::message("CDC is not enabled on this source."));
        };
        if captured.is_empty() {
            return Err(http::message(
                "There are no active CDC schemas on this source to repair.",
            ));
        }
        if source.repairing_until.is_some_and(|until| now < until) {
            let text = "A repair is already running for this source. Try again in a few minutes.";
            return Err(Response::json(409, &json!({ "message": text })));
        }
        let any_broken = captured.iter().any(|index| {
            let schema = self.schemas.get(*index);
            schema.is_some_and(|schema| schema.spec.cdc_broken)
        });
        if cdc.slot_exists && cdc.publication_exists && !any_broken {
            return Err(http::message(
                "CDC looks healthy on this source — the replication slot and publication exist, so there is nothing to repair.",
            ));
        }
        Ok(())
    }

    /// Why the database does not make a slot.
    fn cannot_repair(&self, source: usize) -> Option<String> {
        let source = self.sources.get(source)?;
        if let Err(error) = crate::cdc::reach(source) {
            return Some(format!(
                "Could not connect to source to repair CDC: {error}"
            ));
        }
        let fails = source.spec.cdc.as_ref()?.repair_fails.as_ref();
        fails.map(|error| format!("Could not repair CDC: {error}"))
    }
}
