//! The content of the Secrets that `spec.credentials` names: read once per reconcile, and shown nowhere.

use std::{collections::HashMap, fmt};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    api::policy::CredentialUse,
    posthog::{ApiKey, secrets::Secrets},
};

/// The values by their use, or why one is not available, in a sentence that names Secret and key. A value that one entry may use is not available to
/// another.
#[derive(Debug, Clone, Default)]
pub struct CredentialValues(HashMap<CredentialUse, Result<CredentialValue, String>>);

/// A value, and what tells it from another.
#[derive(Clone)]
pub struct CredentialValue {
    /// The value.
    pub value: SecretString,
    /// Its HMAC, keyed with the API key.
    pub hmac: String,
}

impl CredentialValues {
    /// Records what a Secret holds.
    pub fn add(
        &mut self,
        wanted: CredentialUse,
        value: Result<SecretString, String>,
        key: &ApiKey,
    ) {
        let offered = value.map(|value| CredentialValue {
            hmac: key.hmac(value.expose_secret().as_bytes()),
            value,
        });
        self.0.insert(wanted, offered);
    }

    /// Adds the values to what no text may show.
    pub fn hide(&self, secrets: &Secrets) {
        for offered in self.0.values().flatten() {
            secrets.add(offered.value.expose_secret());
        }
    }

    /// The value for a use; none if it was not read.
    #[must_use]
    pub fn get(&self, wanted: &CredentialUse) -> Option<Result<&CredentialValue, &str>> {
        let found = self.0.get(wanted)?;
        Some(found.as_ref().map_err(String::as_str))
    }
}

impl fmt::Debug for CredentialValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialValue(***)")
    }
}
