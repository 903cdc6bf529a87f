//! Keys: who may do what in which project.

use crate::http;
use crate::message::{Request, Response};
use crate::scenario::KeySpec;

/// A personal API key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) spec: KeySpec,
    pub(crate) label: String,
}

impl Key {
    pub(crate) fn new(spec: KeySpec, number: usize) -> Self {
        let label = spec
            .label
            .clone()
            .unwrap_or_else(|| format!("key-{number}"));
        Self { spec, label }
    }

    /// Write satisfies read, `*` satisfies both.
    pub(crate) fn check_scope(&self, scope: Scope) -> Result<(), Response> {
        let has = |wanted: &str| {
            self.spec.legacy
                || self
                    .spec
                    .scopes
                    .iter()
                    .any(|scope| scope == "*" || scope == wanted)
        };
        let write = has("external_data_source:write");
        let (enough, name) = match scope {
            Scope::Read => (
                write || has("external_data_source:read"),
                "external_data_source:read",
            ),
            Scope::Write => (write, "external_data_source:write"),
            Scope::Query => (has("query:read") || has("query:write"), "query:read"),
        };
        if enough {
            return Ok(());
        }
        Err(http::denied(&format!(
            "API key missing required scope '{name}'"
        )))
    }

    pub(crate) fn check_project(&self, project: u64) -> Result<(), Response> {
        match &self.spec.projects {
            Some(projects) if !projects.contains(&project) => {
                let text =
                    format!("API key does not have access to the requested project: ID {project}.");
                Err(http::denied(&text))
            }
            _ => Ok(()),
        }
    }
}

/// What a key must be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Looking at sources and schemas.
    Read,
    /// Changing them.
    Write,
    /// Looking into tables.
    Query,
}

pub(crate) fn token(request: &Request) -> Option<&str> {
    request
        .authorization
        .as_deref()?
        .strip_prefix("Bearer ")
        .map(str::trim)
}

/// The key of a request.
pub(crate) fn authenticate<'a>(
    keys: &'a [Key],
    request: &Request,
    base: &str,
) -> Result<&'a Key, Response> {
    let refuse = |code: &str, text: &str| {
        let challenge =
            format!("Bearer resource_metadata=\"{base}/.well-known/oauth-protected-resource\"");
        http::framework(401, "authentication_error", code, text)
            .header("WWW-Authenticate", challenge)
    };
    let Some(token) = token(request) else {
        return Err(refuse(
            "not_authenticated",
            "Authentication credentials were not provided.",
        ));
    };
    keys.iter()
        .find(|key| key.spec.token == token)
        .ok_or_else(|| {
            let text = "Personal API key found in request Authorization header is invalid.";
            refuse("authentication_failed", text)
        })
}
