//! Webhooks of a source: `webhook_info`, and the calls that make, change and delete one.

use serde_json::{Map, Value, json};

use crate::clock::text;
use crate::effect::EffectKind;
use crate::http;
use crate::message::Response;
use crate::patch::object;
use crate::row::merge;
use crate::simulator::{Call, Simulator};
use crate::state::{Schema, Source};

impl Simulator {
    pub(crate) fn webhook_info(&self, index: usize) -> Response {
        let source = self.sources.get(index);
        let info = source.map_or(Value::Null, |source| info(source, self.mapping(index)));
        Response::json(200, &info)
    }

    /// Makes an endpoint at the vendor each time it is called, as PostHog does.
    pub(crate) fn create_webhook(
        &mut self,
        index: usize,
        call: &Call<'_>,
    ) -> Result<Response, Response> {
        let Some(source) = self.sources.get(index) else {
            return Err(http::not_found("Not found."));
        };
        if !supports_webhooks(source) {
            return Err(http::message("This source type does not support webhooks"));
        }
        let inputs = inputs(&call.request.body)?;
        let known = fields(source);
        if inputs.keys().any(|name| !known.contains(name)) {
            return Err(http::message("Invalid webhook inputs"));
        }
        // PostHog's side is still created, and no request goes to the vendor.
        if let Some(reason) = creation_blocked(source) {
            let answer = json!({"success": false, "webhook_url": address(source), "error": reason, "pending_inputs": []});
            if let Some(source) = self.sources.get_mut(index) {
                source.spec.webhook.insert("exists".to_owned(), json!(true));
                source.spec.webhook.insert("inputs".to_owned(), json!({}));
            }
            return Ok(Response::json(200, &answer));
        }
        // 200 even so: only the body tells.
        if let Some(error) = &source.spec.probe_error {
            let answer = json!({"success": false, "webhook_url": null, "error": error, "pending_inputs": []});
            return Ok(Response::json(200, &answer));
        }
        let answer = json!({"success": true, "webhook_url": address(source), "error": null, "pending_inputs": []});
        self.register_webhook(index);
        Ok(Response::json(200, &answer))
    }

    /// A `PATCH` to webhook sync sets the webhook up, too.
    pub(crate) fn register_webhook_if_missing(&mut self, index: usize) {
        let source = self.sources.get(index);
        let exists = source.and_then(|source| source.spec.webhook.get("exists"));
        if exists != Some(&Value::Bool(true)) {
            self.register_webhook(index);
        }
    }

    fn register_webhook(&mut self, index: usize) {
        if let Some(source) = self.sources.get_mut(index) {
            let webhook = &mut source.spec.webhook;
            webhook.insert("exists".to_owned(), json!(true));
            webhook.insert("hog_function".to_owned(), json!({}));
            webhook.insert("external_status".to_owned(), json!({}));
            webhook.insert("missing_events".to_owned(), json!([]));
            webhook.remove("inputs");
        }
        self.note_source(index, EffectKind::WebhookCreated);
    }

    pub(crate) fn update_webhook_inputs(
        &mut self,
        index: usize,
        call: &Call<'_>,
    ) -> Result<Response, Response> {
        let inputs = inputs(&call.request.body)?;
        let Some(source) = self.sources.get_mut(index) else {
            return Err(http::not_found("Not found."));
        };
        let known = fields(source);
        let refused = |text: &str| Response::json(400, &json!({"success": false, "error": text}));
        if inputs.is_empty() {
            return Err(refused("No inputs provided"));
        }
        if source.spec.webhook.get("exists") != Some(&Value::Bool(true)) {
            return Err(refused(
                "No webhook function found for this source. Create a webhook first.",
            ));
        }
        let odd: Vec<&str> = inputs
            .keys()
            .map(String::as_str)
            .filter(|name| !known.iter().any(|known| known == name))
            .collect();
        if !odd.is_empty() {
            return Err(refused(&format!("Invalid input keys: {}", odd.join(", "))));
        }
        let error = source.spec.probe_error.clone();
        // Never shown again, only that there is one.
        let shown_now = info(source, Map::new());
        let before = shown_now.get("inputs").and_then(Value::as_object);
        let mut shown = before.cloned().unwrap_or_default();
        shown.extend(inputs.keys().map(|name| (name.clone(), set())));
        source
            .spec
            .webhook
            .insert("inputs".to_owned(), Value::Object(shown));
        self.note_source(index, EffectKind::WebhookInputsChanged);
        // Stored even so.
        match error {
            Some(error) => Err(refused(&error)),
            None => Ok(Response::json(200, &json!({"success": true}))),
        }
    }

    pub(crate) fn delete_webhook(&mut self, index: usize) -> Result<Response, Response> {
        let using = self.schemas.iter();
        let using = using.filter(|schema| schema.source == index && schema.is("webhook"));
        let using: Vec<&str> = using.map(|schema| schema.spec.name.as_str()).collect();
        if !using.is_empty() {
            return Err(http::message(&format!(
                "Cannot delete webhook while tables are using webhook sync: {}. Switch them to another sync method first.",
                using.join(", ")
            )));
        }
        if let Some(source) = self.sources.get_mut(index) {
            let webhook = &mut source.spec.webhook;
            webhook.insert("exists".to_owned(), json!(false));
            webhook.insert(
                "external_status".to_owned(),
                json!({"exists": false, "status": null}),
            );
            webhook.remove("hog_function");
        }
        self.note_source(index, EffectKind::WebhookDeleted);
        let answer = json!({"success": true, "external_deleted": true, "error": null});
        Ok(Response::json(200, &answer))
    }

    /// Which of the vendor's objects goes into which schema.
    fn mapping(&self, source: usize) -> Map<String, Value> {
        let pushed = |schema: &&Schema| schema.source == source && schema.is("webhook");
        let pushed = self.schemas.iter().filter(pushed);
        pushed
            .map(|schema| (schema.spec.name.to_lowercase(), json!(schema.id)))
            .collect()
    }
}

/// The names of the inputs that the webhook of a source takes, all of which it needs. They differ by type.
pub(crate) fn fields(source: &Source) -> Vec<String> {
    let names: &[&str] = match source.spec.source_type.as_str() {
        "SparkPost" | "ZapSign" => &["authorization_header"],
        "BrowseAI" => &["webhook_token"],
        "Pipedrive" => &["http_auth_user", "http_auth_password"],
        _ => &["signing_secret"],
    };
    let own = source.spec.webhook_fields.clone();
    own.unwrap_or_else(|| names.iter().map(|name| (*name).to_owned()).collect())
}

/// How an input is shown that has a value: never the value.
fn set() -> Value {
    json!({"secret": true})
}

fn creation_blocked(source: &Source) -> Option<&str> {
    let reason = source.spec.webhook.get("auto_creation_blocked_reason");
    reason.and_then(Value::as_str)
}

/// The `inputs` of a body; none of an empty one.
fn inputs(body: &[u8]) -> Result<Map<String, Value>, Response> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let body = object(body)?;
    let inputs = body.get("inputs").and_then(Value::as_object);
    Ok(inputs.cloned().unwrap_or_default())
}

pub(crate) fn supports_webhooks(source: &Source) -> bool {
    source.spec.webhook.get("supports_webhooks") == Some(&Value::Bool(true))
}

/// `exists` is about PostHog's side only: true if that side is there. What the vendor has is not known unless
/// the scenario says it.
fn info(source: &Source, mapping: Map<String, Value>) -> Value {
    let said = &source.spec.webhook;
    let exists = said.get("exists") == Some(&Value::Bool(true));
    let inputs: Map<String, Value> = (fields(source).into_iter())
        .map(|name| (name, set()))
        .collect();
    let mut info = json!({
        "supports_webhooks": false,
        "exists": exists,
        "auto_creation_blocked_reason": null,
        "hog_function": exists.then(|| hog_function(source)),
        "webhook_url": exists.then(|| address(source)),
        "schema_mapping": if exists { mapping } else { Map::new() },
        "inputs": if exists { inputs } else { Map::new() },
        "external_status": null,
        "missing_events": [],
    });
    merge(&mut info, said);
    complete(&mut info, "hog_function", hog_function(source));
    let external = external(source, info.get("external_status"));
    complete(&mut info, "external_status", external);
    info
}

/// Adds what an object of the scenario leaves out. Null stays null.
fn complete(info: &mut Value, name: &str, mut whole: Value) {
    if let Some(said @ Value::Object(_)) = info.get_mut(name) {
        let parts = said.as_object().cloned().unwrap_or_default();
        merge(&mut whole, &parts);
        *said = whole;
    }
}

fn hog_function(source: &Source) -> Value {
    json!({
        "id": source.id,
        "name": format!("{} webhook", source.spec.source_type),
        "enabled": true,
        "created_at": text(source.created_at),
        "status": {"state": 1, "tokens": 10000},
    })
}

/// The vendor's side: healthy, unless the scenario says that it was deleted or cannot be read.
fn external(source: &Source, said: Option<&Value>) -> Value {
    let part = |name: &str| said.and_then(|said| said.get(name));
    let unread = part("error").is_some_and(|error| !error.is_null());
    let exists = part("exists").and_then(Value::as_bool).unwrap_or(!unread);
    json!({
        "exists": exists,
        "url": exists.then(|| address(source)),
        "enabled_events": [],
        "status": exists.then_some("enabled"),
        "description": null,
        "created_at": exists.then(|| text(source.created_at)),
        "api_version": null,
        "error": null,
    })
}

fn address(source: &Source) -> String {
    format!(
        "https://webhooks.posthog.invalid/public/webhooks/{}",
        source.id
    )
}
