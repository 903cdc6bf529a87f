//! Webhooks of a source, as far as a client looks at them: `webhook_info`, and `create_webhook`.

use serde_json::{Value, json};

use crate::effect::{Effect, EffectKind};
use crate::http;
use crate::message::Response;
use crate::row::merge;
use crate::simulator::Simulator;
use crate::state::Source;

impl Simulator {
    pub(crate) fn webhook_info(&self, source: usize) -> Response {
        Response::json(200, &self.sources.get(source).map_or(Value::Null, info))
    }

    /// Makes an endpoint at the vendor each time it is called, as PostHog does.
    pub(crate) fn create_webhook(&mut self, index: usize) -> Result<Response, Response> {
        let now = self.now();
        let Some(source) = self.sources.get_mut(index) else {
            return Err(http::not_found("Not found."));
        };
        if info(source)["supports_webhooks"] != Value::Bool(true) {
            return Err(http::message("This source type does not support webhooks"));
        }
        // 200 even so: only the body tells.
        if let Some(error) = &source.probe_error {
            let answer = json!({"success": false, "webhook_url": null, "error": error, "pending_inputs": []});
            return Ok(Response::json(200, &answer));
        }
        let id = source.id.clone();
        source.webhook.insert("exists".to_owned(), json!(true));
        source.webhook.insert(
            "hog_function".to_owned(),
            json!({"id": id, "name": "webhook", "enabled": true}),
        );
        source.webhook.insert(
            "external_status".to_owned(),
            json!({"exists": true, "status": "enabled", "error": null}),
        );
        source
            .webhook
            .insert("missing_events".to_owned(), json!([]));
        self.effects.push(Effect {
            at: now,
            kind: EffectKind::WebhookCreated,
            trigger: None,
            source_id: id,
            schema_id: None,
            schema: None,
            job_id: None,
        });
        let url = "https://webhooks.posthog.invalid/public/webhooks/1";
        Ok(Response::json(
            200,
            &json!({"success": true, "webhook_url": url, "error": null, "pending_inputs": []}),
        ))
    }
}

fn info(source: &Source) -> Value {
    let mut info = json!({
        "supports_webhooks": false,
        "exists": false,
        "auto_creation_blocked_reason": null,
        "hog_function": null,
        "webhook_url": null,
        "schema_mapping": {},
        "inputs": {},
        "external_status": null,
        "missing_events": [],
    });
    merge(&mut info, &source.webhook);
    info
}
