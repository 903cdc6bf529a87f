//! `repair_cdc`: slot and publication are made anew, and every captured table is imported from its beginning.

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
                schema.is_some_and(|schema| schema.source == source && schema.is("cdc"))
            })
            .collect();
        self.check_repairable(source, &captured)?;
        let now = self.now();
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
            self.arm(*index, Trigger::Repair);
            self.trigger(*index, now, Trigger::Repair);
            self.edit(*index, |schema| schema.paint(Status::Running));
        }
        let answer = json!({"success": true, "schemas_reset": captured.len()});
        Ok(Response::json(200, &answer))
    }

    fn check_repairable(&self, source: usize, captured: &[usize]) -> Result<(), Response> {
        let now = self.now();
        let source = self.with_cdc(source)?;
        let Some(cdc) = source.spec.cdc.as_ref().filter(|cdc| cdc.enabled) else {
            return Err(http::message("CDC is not enabled for this source."));
        };
        if source.repairing_until.is_some_and(|until| now < until) {
            let text = "A CDC repair is already in progress for this source.";
            return Err(Response::json(409, &json!({ "message": text })));
        }
        let any_broken = captured.iter().any(|index| {
            let schema = self.schemas.get(*index);
            schema.is_some_and(|schema| schema.spec.cdc_broken)
        });
        if cdc.slot_exists && cdc.publication_exists && !any_broken {
            return Err(http::message("CDC is healthy. There is nothing to repair."));
        }
        crate::cdc::reach(source)
            .map_err(|error| http::message(&format!("Could not connect to source: {error}")))
    }
}
