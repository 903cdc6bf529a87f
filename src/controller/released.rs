//! For what a Secret may be used: only for what its owner released it, by label and annotation. So an editor of policies
//! cannot send a Secret of the namespace to another host, project or purpose.

use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use secrecy::SecretString;

use crate::{
    api::{
        conditions::Reason,
        names::{PROJECT_ANNOTATION, USE_API_KEY, USE_LABEL, USE_NOTIFICATION, USE_SOURCE},
        policy::SecretKeyRef,
    },
    report::kubernetes::SecretRefused,
};

/// What a Secret is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Use {
    /// Its API key of `PostHog`.
    ApiKey,
    /// Credentials of sources of a project.
    Source {
        /// The project.
        project_id: i64,
    },
    /// The URL of a receiver of notifications, or the key for signatures to it.
    Notification,
}

impl Use {
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
            Self::Notification => "what spec.notifications needs",
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

    /// Whether a Secret was released for it; if not, the command by which its owner does that.
    pub fn check(
        self,
        meta: &ObjectMeta,
        namespace: &str,
        wanted: &SecretKeyRef,
    ) -> Result<(), SecretRefused> {
        let refused = |message| SecretRefused {
            reason: Reason::SecretNotLabelled,
            message,
        };
        let (SecretKeyRef { name, key }, label) = (wanted, self.label());
        let said = |map: &Option<std::collections::BTreeMap<String, String>>, key| {
            map.as_ref().and_then(|map| map.get(key).cloned())
        };
        let used_for = said(&meta.labels, USE_LABEL);
        if used_for.as_deref() != Some(label) {
            return Err(refused(format!(
                "Secret {name} (key {key:?}) has not been released for this use: its owner runs kubectl label secret {name} --namespace {namespace} --overwrite {USE_LABEL}={label}"
            )));
        }
        let Self::Source { project_id } = self else {
            return Ok(());
        };
        let project = said(&meta.annotations, PROJECT_ANNOTATION);
        if project.as_deref() != Some(project_id.to_string().as_str()) {
            return Err(refused(format!(
                "Secret {name} (key {key:?}) has not been released for project {project_id}: its owner runs kubectl annotate secret {name} --namespace {namespace} --overwrite {PROJECT_ANNOTATION}={project_id}"
            )));
        }
        Ok(())
    }

    /// A Secret that is not there.
    #[must_use]
    pub fn missing(self, wanted: &SecretKeyRef) -> SecretRefused {
        let SecretKeyRef { name, key } = wanted;
        let (label, holds) = (self.label(), self.holds());
        let project = match self {
            Self::ApiKey | Self::Notification => String::new(),
            Self::Source { project_id } => {
                format!(" and the annotation {PROJECT_ANNOTATION}={project_id}")
            }
        };
        SecretRefused {
            reason: Reason::SecretMissing,
            message: format!(
                "There is no Secret {name} in this namespace: create it with {holds} under {key:?} and the label {USE_LABEL}={label}{project}"
            ),
        }
    }
}

/// The value in a Secret, as far as Kubernetes can tell; whether it has the shape of one is told later.
pub fn value(
    secret: Option<&Secret>,
    namespace: &str,
    wanted: &SecretKeyRef,
    wanted_for: Use,
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
