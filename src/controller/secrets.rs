//! API keys, credentials and receivers of notifications from Secrets: only from those whose owner released them for it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};
use secrecy::SecretString;

use super::{
    secret_use::{self, Use},
    timed,
};
use crate::{
    api::{
        conditions::Reason,
        names::{USE_API_KEY, USE_LABEL, USE_NOTIFICATION},
        policy::{CredentialUse, SecretKeyRef},
    },
    posthog::ApiKey,
    report::{
        Metrics,
        kubernetes::{SecretError, SecretRefused},
        notifications::channel::SecretValue,
    },
};

type CacheKey = (String, SecretKeyRef);

/// Reads API keys, and reads a Secret again only when it has changed.
pub struct ApiKeys {
    client: Client,
    metrics: Metrics,
    /// Labelled Secrets, without their data.
    stores: Vec<Store<PartialObjectMeta<Secret>>>,
    cache: Mutex<HashMap<CacheKey, (String, ApiKey)>>,
    /// Values for notifications: needed in every reconcile, and rarely changed.
    notifications: Mutex<HashMap<CacheKey, SecretValue>>,
}

impl ApiKeys {
    /// Reads with `client`; `stores` tell which labelled Secrets there are.
    #[must_use]
    pub fn new(
        client: Client,
        metrics: Metrics,
        stores: Vec<Store<PartialObjectMeta<Secret>>>,
    ) -> Self {
        Self {
            client,
            metrics,
            stores,
            cache: Mutex::default(),
            notifications: Mutex::default(),
        }
    }

    /// The key that `wanted` names.
    pub async fn read(
        &self,
        namespace: &str,
        wanted: &SecretKeyRef,
    ) -> Result<ApiKey, SecretError> {
        let cache_key = (namespace.to_owned(), wanted.clone());
        let watched = self.watched_version(namespace, &wanted.name, USE_API_KEY);
        if let Some((version, key)) = self.lock().get(&cache_key)
            && watched.as_ref() == Some(version)
        {
            return Ok(key.clone());
        }
        // A key that is no longer to be had is not kept.
        self.lock().remove(&cache_key);
        let secret = self.fetch(namespace, wanted, Use::ApiKey).await?;
        let version = secret.resource_version().unwrap_or_default();
        let key = take_key(&secret, wanted)?;
        self.lock().insert(cache_key, (version, key.clone()));
        Ok(key)
    }

    /// The credential of a source, if its owner allows the use. Not kept: a value that is in no memory leaks from none.
    pub async fn read_source(
        &self,
        namespace: &str,
        wanted: &CredentialUse,
        project_id: i64,
    ) -> Result<SecretString, SecretError> {
        let (at, wanted_for) = (&wanted.secret_ref, Use::Source { project_id, wanted });
        let secret = self.fetch(namespace, at, wanted_for).await?;
        Ok(secret_use::value(Some(&secret), namespace, at, wanted_for)?)
    }

    /// The URL of a receiver of notifications, or the key for signatures, that `wanted` names.
    pub async fn read_notification(
        &self,
        namespace: &str,
        wanted: &SecretKeyRef,
    ) -> Result<SecretValue, SecretError> {
        let cache_key = (namespace.to_owned(), wanted.clone());
        let watched = self.watched_version(namespace, &wanted.name, USE_NOTIFICATION);
        let known = self.notifications().remove(&cache_key);
        if let Some(held) = known.filter(|held| watched.as_ref() == Some(&held.version)) {
            self.notifications().insert(cache_key, held.clone());
            return Ok(held);
        }
        let secret = self.fetch(namespace, wanted, Use::Notification).await?;
        let version = secret.resource_version().unwrap_or_default();
        let value = secret_use::value(Some(&secret), namespace, wanted, Use::Notification)?;
        let held = SecretValue { value, version };
        self.notifications().insert(cache_key, held.clone());
        Ok(held)
    }

    /// The whole Secret, if it has the label for this use.
    async fn fetch(
        &self,
        namespace: &str,
        wanted: &SecretKeyRef,
        wanted_for: Use<'_>,
    ) -> Result<Secret, SecretError> {
        wanted_for.named(wanted)?;
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let name = &wanted.name;
        let get = api.get_metadata_opt(name);
        let meta = match timed::kubernetes(&self.metrics, "get_secret_metadata", name, get).await {
            Ok(Some(meta)) => meta,
            Ok(None) => return Err(wanted_for.missing(wanted).into()),
            Err(error) => return Err(unread(namespace, wanted, &error)),
        };
        // The labels first: without them, nothing of the Secret is read.
        wanted_for.check(&meta.metadata, namespace, wanted)?;
        match timed::kubernetes(&self.metrics, "get_secret", name, api.get_opt(name)).await {
            Ok(Some(secret)) => {
                wanted_for.check(&secret.metadata, namespace, wanted)?;
                Ok(secret)
            }
            Ok(None) => Err(wanted_for.missing(wanted).into()),
            Err(error) => Err(unread(namespace, wanted, &error)),
        }
    }

    /// The version of a labelled Secret, as its watch last reported.
    fn watched_version(&self, namespace: &str, name: &str, used_for: &str) -> Option<String> {
        let secret = ObjectRef::new(name).within(namespace);
        let labelled = self.stores.iter().find_map(|store| store.get(&secret))?;
        is_released(labelled.labels(), used_for).then(|| labelled.resource_version())?
    }

    fn notifications(&self) -> MutexGuard<'_, HashMap<CacheKey, SecretValue>> {
        self.notifications
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CacheKey, (String, ApiKey)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_released(labels: &BTreeMap<String, String>, wanted_for: &str) -> bool {
    labels
        .get(USE_LABEL)
        .is_some_and(|used_for| used_for == wanted_for)
}

/// 403 is for the user to fix, and reported on the policy; other errors are retried.
fn unread(namespace: &str, wanted: &SecretKeyRef, error: &kube::Error) -> SecretError {
    let name = &wanted.name;
    if !matches!(error, kube::Error::Api(status) if status.code == 403) {
        return timed::failed("read Secret", name, error).into();
    }
    let refused = SecretRefused {
        reason: Reason::SecretForbidden,
        message: format!(
            "The operator may not read Secret {name}: give its ServiceAccount get, list and watch on secrets in namespace {namespace}"
        ),
    };
    refused.into()
}

fn take_key(secret: &Secret, wanted: &SecretKeyRef) -> Result<ApiKey, SecretRefused> {
    let SecretKeyRef { name, key } = wanted;
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return Err(SecretRefused {
            reason: Reason::SecretKeyMissing,
            message: format!(
                "Secret {name} has no key {key:?}: add it, or name another in spec.posthog.apiKeySecretRef.key"
            ),
        });
    };
    ApiKey::new(&value.0).map_err(|error| SecretRefused {
        reason: Reason::SecretInvalid,
        message: format!("Key {key:?} of Secret {name} cannot be an API key: {error}. Put a personal API key of PostHog (phx_…) there"),
    })
}
