//! Values that a user's Secret holds and `PostHog` is to have: never printed, never serialised but into a request.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::secrets::Secrets;

/// Whether an input is secret by its name: `PostHog` never shows it. It shows user names, and what says where or what could point a
/// table at another database. The CRD's rules on `jobInputs` and `webhookInputs` say the same.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    const EXACTLY: [&str; 3] = ["private_key", "service_account_key", "authorization_header"];
    const ENDINGS: [&str; 7] = [
        "password",
        "passphrase",
        "secret",
        "token",
        "api_key",
        "secret_key",
        "signing_key",
    ];
    let last = name.rsplit('.').next().unwrap_or_default();
    EXACTLY.contains(&last) || ENDINGS.iter().any(|ending| last.ends_with(ending))
}

/// Inputs of a source or of its webhook, by name. A name may lead into a container: `auth_method.stripe_secret_key`.
#[derive(Clone, Default)]
pub struct Inputs(BTreeMap<String, SecretString>);

impl Inputs {
    /// The names, without any value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Adds the values to what no text may show.
    pub fn hide(&self, secrets: &Secrets) {
        for value in self.0.values() {
            secrets.add(value.expose_secret());
        }
    }

    /// As `PostHog` takes them. Containers are merged there, so that what is not named stays.
    pub(super) fn json(&self) -> Map<String, Value> {
        let mut inputs = Map::new();
        for (name, value) in &self.0 {
            put(&mut inputs, name, value.expose_secret());
        }
        inputs
    }
}

fn put(inputs: &mut Map<String, Value>, name: &str, value: &str) {
    let Some((container, rest)) = name.split_once('.') else {
        inputs.insert(name.to_owned(), Value::from(value));
        return;
    };
    let place = inputs
        .entry(container)
        .or_insert_with(|| Value::Object(Map::new()));
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    if let Value::Object(inner) = place {
        put(inner, rest, value);
    }
}

impl FromIterator<(String, SecretString)> for Inputs {
    fn from_iter<I: IntoIterator<Item = (String, SecretString)>>(inputs: I) -> Self {
        Self(inputs.into_iter().collect())
    }
}

impl PartialEq for Inputs {
    fn eq(&self, other: &Self) -> bool {
        let shown = |inputs: &Self| Value::Object(inputs.json());
        shown(self) == shown(other)
    }
}

impl Eq for Inputs {}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inputs(pairs: &[(&str, &str)]) -> Inputs {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), SecretString::from((*value).to_owned())))
            .collect()
    }

    #[test]
    fn a_name_with_dots_leads_into_containers() {
        let inputs = inputs(&[
            ("password", "p"),
            ("auth_method.stripe_secret_key", "rk"),
            ("auth_method.other", "o"),
        ]);
        assert_eq!(
            Value::Object(inputs.json()),
            json!({"password": "p", "auth_method": {"stripe_secret_key": "rk", "other": "o"}})
        );
    }

    #[test]
    fn values_are_not_printed() {
        let shown = format!("{:?}", inputs(&[("password", "canary")]));
        assert_eq!(shown, r#"{"password"}"#);
    }
}
