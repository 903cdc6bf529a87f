//! The cluster: the connection, and every request to it.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Secret,
    events::v1::Event,
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use super::{PluginError, annotation::Annotation};
use crate::{
    api::{WarehouseSyncPolicy, names::PLUGIN_MANAGER},
    controller::startup::mind_exceptions,
    posthog::proxy,
};

/// Longest wait for a connection. A person is waiting.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for an answer.
const READ: Duration = Duration::from_secs(30);

/// The cluster, and the namespace in it.
#[derive(Debug, Clone, Args)]
pub(super) struct ClusterArgs {
    /// Namespace of the policy. Default: that of the context
    #[arg(long, short, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// Context of the kubeconfig. Default: its current one
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// Path of the kubeconfig. Default: KUBECONFIG, then ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A connection to a cluster.
#[derive(Clone)]
pub(super) struct Cluster {
    pub client: Client,
    /// The same without kube's silent retries: for what answers 503 to say something.
    pub direct: Client,
    pub namespace: String,
}

impl ClusterArgs {
    /// As if given on the command line.
    pub(super) fn new(
        namespace: Option<&str>,
        context: Option<&str>,
        kubeconfig: Option<&str>,
    ) -> Self {
        Self {
            namespace: namespace.map(str::to_owned),
            context: context.map(str::to_owned),
            kubeconfig: kubeconfig.map(PathBuf::from),
        }
    }

    /// The namespace from the command line.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The cluster that the flags and the environment name.
    pub(super) async fn connect(&self) -> Result<Cluster, PluginError> {
        proxy::check().map_err(|error| PluginError::refused(error.to_string()))?;
        let mut config = self.config().await?;
        mind_exceptions(&mut config);
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(READ);
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = |config| {
            Client::try_from(config).map_err(PluginError::kubernetes("use the kubeconfig"))
        };
        let mut direct = config.clone();
        direct.default_retry = false;
        Ok(Cluster {
            client: client(config)?,
            direct: client(direct)?,
            namespace,
        })
    }

    async fn config(&self) -> Result<Config, PluginError> {
        if self.kubeconfig.is_none() && self.context.is_none() {
            return Ok(Config::infer().await?);
        }
        let content = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path)?,
            None => Kubeconfig::read()?,
        };
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        Ok(Config::from_custom_kubeconfig(content, &options).await?)
    }
}

impl Cluster {
    /// The policy of this name.
    pub(super) async fn policy(&self, name: &str) -> Result<WarehouseSyncPolicy, PluginError> {
        let namespace = &self.namespace;
        let found = self.api().get_opt(name).await;
        let found = found.map_err(PluginError::kubernetes(format!(
            "read the policy {name} in namespace {namespace}"
        )))?;
        found.ok_or_else(|| {
            PluginError::refused(format!(
                "there is no policy {name} in namespace {namespace}: kubectl wsp get -A lists all"
            ))
        })
    }

    /// The policies of the namespace or of the cluster that have these labels; sorted by namespace and name.
    pub(super) async fn policies(
        &self,
        everywhere: bool,
        labels: Option<&str>,
    ) -> Result<Vec<WarehouseSyncPolicy>, PluginError> {
        let wanted = ListParams {
            label_selector: labels.map(str::to_owned),
            ..ListParams::default()
        };
        let scope = if everywhere {
            "all namespaces".to_owned()
        } else {
            format!("namespace {}", self.namespace)
        };
        let listed = self.scope(everywhere).list(&wanted).await;
        let listed =
            listed.map_err(PluginError::kubernetes(format!("list policies in {scope}")))?;
        Ok(listed.items)
    }

    /// The policies of the namespace or of the cluster.
    pub(super) fn scope(&self, everywhere: bool) -> Api<WarehouseSyncPolicy> {
        if everywhere {
            Api::all(self.client.clone())
        } else {
            self.api()
        }
    }

    /// Writes one annotation of a policy, and nothing else.
    pub(super) async fn annotate(
        &self,
        name: &str,
        annotation: &Annotation,
    ) -> Result<(), PluginError> {
        let patch =
            json!({ "metadata": { "annotations": { &annotation.key: &annotation.value } } });
        self.merge(name, &patch, "annotate").await
    }

    /// Sets `spec.suspend` of a policy, and nothing else.
    pub(super) async fn suspend(&self, name: &str, suspend: bool) -> Result<(), PluginError> {
        let patch = json!({ "spec": { "suspend": suspend } });
        let what = if suspend { "suspend" } else { "resume" };
        self.merge(name, &patch, what).await
    }

    async fn merge(&self, name: &str, patch: &Value, what: &str) -> Result<(), PluginError> {
        let params = PatchParams {
            field_manager: Some(PLUGIN_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let action = format!("{what} the policy {name} in namespace {}", self.namespace);
        let patched = self
            .api()
            .patch_metadata(name, &params, &Patch::Merge(patch))
            .await;
        patched.map_err(PluginError::kubernetes(action))?;
        Ok(())
    }

    /// The Secret of this name; none if it does not exist.
    pub(super) async fn secret(&self, name: &str) -> Result<Option<Secret>, PluginError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let action = format!("read the Secret {name} in namespace {}", self.namespace);
        let read = api.get_opt(name).await;
        read.map_err(PluginError::kubernetes(action))
    }

    /// Events about this policy, in no order.
    pub(super) async fn events(
        &self,
        policy: &WarehouseSyncPolicy,
    ) -> Result<Vec<Event>, PluginError> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        // By uid: an earlier policy may have had the same name.
        let of = policy.uid().unwrap_or_default();
        let wanted = ListParams::default().fields(&format!("regarding.uid={of}"));
        let listed = api.list(&wanted).await;
        let action = format!("list events in namespace {}", self.namespace);
        Ok(listed.map_err(PluginError::kubernetes(action))?.items)
    }

    /// The user name of the current user, according to the API server.
    pub(super) async fn user_name(&self) -> Result<String, PluginError> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = api
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await;
        let review = review.map_err(PluginError::kubernetes(
            "ask the API server for your user name",
        ))?;
        let user = review.status.and_then(|status| status.user_info);
        let name = user.and_then(|user| user.username);
        name.filter(|name| !name.is_empty())
            .ok_or_else(|| PluginError::refused("the API server did not return your user name"))
    }

    /// Whether the user may do this to the policy `name` of the namespace. An empty name means all policies, an empty
    /// namespace all namespaces.
    pub(super) async fn may(&self, verb: &str, name: &str) -> Result<bool, PluginError> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some("warehousesync.dev".to_owned()),
                    resource: Some("warehousesyncpolicies".to_owned()),
                    namespace: Some(self.namespace.clone()),
                    verb: Some(verb.to_owned()),
                    name: Some(name.to_owned()).filter(|name| !name.is_empty()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let reviewed = api.create(&PostParams::default(), &review).await;
        let reviewed = reviewed.map_err(PluginError::kubernetes(
            "ask the API server for your rights",
        ))?;
        Ok(reviewed.status.is_some_and(|status| status.allowed))
    }

    fn api(&self) -> Api<WarehouseSyncPolicy> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}
