//! Which inputs the webhook of a source needs before it takes an event. The names differ by type: `PostHog` lists them for its wizard;
//! of one that does not answer, those are known that this version has met.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

/// What the webhook of each type needs, as the wizard lists it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "HashMap<String, SourceType>")]
pub struct WebhookFields(HashMap<String, Vec<String>>);

#[derive(Deserialize)]
struct SourceType {
    #[serde(default, rename = "webhookFields")]
    webhook_fields: Value,
}

impl From<HashMap<String, SourceType>> for WebhookFields {
    fn from(types: HashMap<String, SourceType>) -> Self {
        let required = |field: &Value| {
            let is_required = field.get("required") == Some(&Value::Bool(true));
            let name = field.get("name").and_then(Value::as_str);
            name.filter(|_| is_required).map(str::to_owned)
        };
        let named = types.into_iter().filter_map(|(name, config)| {
            let fields = config.webhook_fields.as_array()?;
            Some((letters(&name), fields.iter().filter_map(required).collect()))
        });
        Self(named.collect())
    }
}

impl WebhookFields {
    /// What the webhook of a source of this type needs; none if the wizard does not list it.
    #[must_use]
    pub fn of_type(&self, source_type: &str) -> Option<&[String]> {
        self.0.get(&letters(source_type)).map(Vec::as_slice)
    }
}

/// One type is written in several ways: `BrowseAI`, `browse_ai`.
fn letters(source_type: &str) -> String {
    let letters = source_type.chars().filter(char::is_ascii_alphanumeric);
    letters.collect::<String>().to_ascii_lowercase()
}

/// The names by type, as `PostHog`'s configurations of sources have them in `webhookFields`, all of them required
/// (`sources/<type>/source.py`).
const FIELDS: [(&str, &[&str]); 11] = [
    ("browseai", &["webhook_token"]),
    ("customerio", &["signing_secret"]),
    ("gitea", &["signing_secret"]),
    ("github", &["signing_secret"]),
    ("instantly", &["signing_secret"]),
    ("mailgun", &["signing_secret"]),
    ("pipedrive", &["http_auth_user", "http_auth_password"]),
    ("sparkpost", &["authorization_header"]),
    ("stripe", &["signing_secret"]),
    ("workos", &["signing_secret"]),
    ("zapsign", &["authorization_header"]),
];

/// What the webhook of a source of this type needs, as far as this version knows.
#[must_use]
pub fn of_type(source_type: &str) -> &'static [&'static str] {
    let wanted = letters(source_type);
    let known = FIELDS.iter().find(|(name, _)| *name == wanted);
    known.map_or(&[], |(_, fields)| fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_fields_are_read_from_the_wizard_whatever_else_it_lists() {
        let json = r#"{"Stripe":{"name":"Stripe","fields":[],"webhookFields":[
                {"type":"input","name":"signing_secret","required":true,"secret":true},
                {"type":"input","name":"note","required":false}, 7, {"required":true}]},
            "Typeform":{"webhookFields":[{"name":"verifier","required":true}]},
            "Postgres":{"webhookFields":null}, "Odd":{"webhookFields":"none"}, "Bare":{}}"#;
        let fields: WebhookFields = serde_json::from_str(json).unwrap();
        assert_eq!(fields.of_type("stripe").unwrap(), ["signing_secret"]);
        assert_eq!(fields.of_type("Typeform").unwrap(), ["verifier"]);
        for silent in ["Postgres", "Odd", "Bare", "Novel"] {
            assert_eq!(fields.of_type(silent), None, "{silent}");
        }
    }
}
