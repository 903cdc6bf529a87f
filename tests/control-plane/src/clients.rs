//! Users of the API server: their kubeconfigs and clients.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};

use crate::control_plane::ControlPlane;
use crate::error::Error;
use crate::kubeconfig::{Credentials, kubeconfig};

impl ControlPlane {
    /// A kubeconfig for a person of this name and these groups, who proves it with a client
    /// certificate.
    ///
    /// Such a user may do nothing until RBAC says so.
    pub fn user_kubeconfig(&self, name: &str, groups: &[&str]) -> Result<PathBuf, Error> {
        let identity = self.authority.user(name, groups)?;
        self.write_kubeconfig(Credentials::Certificate(identity), "default")
    }

    /// A kubeconfig for a `ServiceAccount`, which is created if absent, with a token that the API
    /// server issued. Its namespace is that of the account, as in a pod.
    pub fn service_account_kubeconfig(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PathBuf, Error> {
        let created = self.kubectl(["create", "serviceaccount", "--namespace", namespace, name]);
        if let Err(error) = created
            && !error
                .stderr()
                .is_some_and(|stderr| stderr.contains("already exists"))
        {
            return Err(error);
        }
        let token = self.kubectl([
            "create",
            "token",
            "--namespace",
            namespace,
            name,
            "--duration=24h",
        ])?;
        self.write_kubeconfig(Credentials::Token(token.trim().to_owned()), namespace)
    }

    /// A client for the administrator: a new one each time, because a client works in one runtime
    /// only, and each `#[tokio::test]` has its own.
    pub async fn client(&self) -> Result<Client, Error> {
        self.client_for(self.admin_kubeconfig()).await
    }

    /// A new client for the user of a kubeconfig.
    pub async fn client_for(&self, kubeconfig: &Path) -> Result<Client, Error> {
        // It fails if a provider is installed already, which is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let unusable = |source| Error::Kubeconfig {
            path: kubeconfig.to_owned(),
            source,
        };
        let content = Kubeconfig::read_from(kubeconfig).map_err(unusable)?;
        let mut config = Config::from_custom_kubeconfig(content, &KubeConfigOptions::default())
            .await
            .map_err(unusable)?;
        // Taken from the environment; but no proxy reaches this machine's loopback interface.
        config.proxy_url = None;
        Client::try_from(config).map_err(kube_error("make a client"))
    }

    /// Creates a namespace whose name begins with `prefix`, and returns the name. It never existed
    /// before.
    ///
    /// One for each test: without a controller manager, a deleted namespace stays.
    pub async fn namespace(&self, prefix: &str) -> Result<String, Error> {
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some(format!("{prefix}-")),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let created = Api::all(self.client().await?)
            .create(&PostParams::default(), &namespace)
            .await
            .map_err(kube_error(format!("create a namespace {prefix}-*")))?;
        Ok(created.name_any())
    }

    pub(crate) fn write_kubeconfig(
        &self,
        credentials: Credentials,
        namespace: &str,
    ) -> Result<PathBuf, Error> {
        let number = self.kubeconfigs.fetch_add(1, Ordering::Relaxed);
        let content = kubeconfig(
            self.apiserver.port(),
            self.authority.certificate(),
            credentials,
            namespace,
        );
        self.folder
            .write(&format!("user-{number}.kubeconfig"), content)
    }
}

fn kube_error(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
    let action = action.into();
    move |source| Error::Kube {
        action,
        source: Box::new(source),
    }
}
