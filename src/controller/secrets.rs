//! API keys from Secrets: only from those whose owner released them for it by a label.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};

use super::timed;
use crate::{
    api::{
        conditions::Reason,
        names::{USE_API_KEY, USE_LABEL},
        policy::SecretKeyRef,
    },
    posthog::ApiKey,
    report::{KubernetesError, Metrics, kubernetes::SecretRefused},
};

type CacheKey = (String, SecretKeyRef);

/// Reads API keys, and reads a Secret again only when it has changed.
pub struct ApiKeys {
    client: Client,
    metrics: Metrics,
    /// Labelled Secrets, without their data.
    stores: Vec<Store<PartialObjectMeta<Secret>>>,
    cache: Mutex<HashMap<CacheKey, (String, ApiKey)>>,
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
        }
    }

    /// The key that `wanted` names.
    pub async fn read(
        &self,
        namespace: &str,
        wanted: &SecretKeyRef,
    ) -> Result<Result<ApiKey, SecretRefused>, KubernetesError> {
        let cache_key = (namespace.to_owned(), wanted.clone());
        let watched = self.watched_version(namespace, &wanted.name);
        if let Some((version, key)) = self.lock().get(&cache_key)
            && watched.as_ref() == Some(version)
        {
            return Ok(Ok(key.clone()));
        }
        // A key that is no longer to be had is not kept.
        self.lock().remove(&cache_key);
        let found = self.fetch(namespace, wanted).await?;
        Ok(found.map(|(version, key)| {
            self.lock().insert(cache_key, (version, key.clone()));
            key
        }))
    }

    async fn fetch(
        &self,
        namespace: &str,
        wanted: &SecretKeyRef,
    ) -> Result<Result<(String, ApiKey), SecretRefused>, KubernetesError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let name = &wanted.name;
        let get = api.get_metadata_opt(name);
        let meta = match timed::kubernetes(&self.metrics, "get_secret_metadata", name, get).await {
            Ok(Some(meta)) => meta,
            Ok(None) => return Ok(Err(missing(wanted))),
            Err(error) => return refused(namespace, wanted, &error),
        };
        // The label first: of a Secret that was not released, not a byte is read.
        if !is_released(meta.labels()) {
            return Ok(Err(not_labelled(namespace, wanted)));
        }
        let secret =
            match timed::kubernetes(&self.metrics, "get_secret", name, api.get_opt(name)).await {
                Ok(Some(secret)) if is_released(secret.labels()) => secret,
                Ok(Some(_)) => return Ok(Err(not_labelled(namespace, wanted))),
                Ok(None) => return Ok(Err(missing(wanted))),
                Err(error) => return refused(namespace, wanted, &error),
            };
        let version = secret.resource_version().unwrap_or_default();
        Ok(take_key(&secret, wanted).map(|key| (version, key)))
    }

    /// The version of a labelled Secret, as its watch last told.
    fn watched_version(&self, namespace: &str, name: &str) -> Option<String> {
        let secret = ObjectRef::new(name).within(namespace);
        let labelled = self.stores.iter().find_map(|store| store.get(&secret))?;
        is_released(labelled.labels()).then(|| labelled.resource_version())?
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CacheKey, (String, ApiKey)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_released(labels: &BTreeMap<String, String>) -> bool {
    labels
        .get(USE_LABEL)
        .is_some_and(|used_for| used_for == USE_API_KEY)
}

/// 403 is the user's to mend, and told on the policy; the rest is tried again.
fn refused<A>(
    namespace: &str,
    wanted: &SecretKeyRef,
    error: &kube::Error,
) -> Result<Result<A, SecretRefused>, KubernetesError> {
    let name = &wanted.name;
    if !matches!(error, kube::Error::Api(status) if status.code == 403) {
        return Err(timed::failed("read Secret", name, error));
    }
    Ok(Err(SecretRefused {
        reason: Reason::SecretForbidden,
        message: format!(
            "The operator may not read Secret {name}: give its ServiceAccount get, list and watch on secrets in namespace {namespace}"
        ),
    }))
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

fn missing(wanted: &SecretKeyRef) -> SecretRefused {
    let SecretKeyRef { name, key } = wanted;
    SecretRefused {
        reason: Reason::SecretMissing,
        message: format!(
            "There is no Secret {name} in this namespace: create it with a personal API key of PostHog under {key:?} and the label {USE_LABEL}={USE_API_KEY}"
        ),
    }
}

fn not_labelled(namespace: &str, wanted: &SecretKeyRef) -> SecretRefused {
    let name = &wanted.name;
    SecretRefused {
        reason: Reason::SecretNotLabelled,
        message: format!(
            "Secret {name} has not been released for this use: its owner runs kubectl label secret {name} --namespace {namespace} --overwrite {USE_LABEL}={USE_API_KEY}"
        ),
    }
}
