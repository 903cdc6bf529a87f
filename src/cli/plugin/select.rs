//! Which policies a command is about: one by its name, or those of a namespace or of the cluster.

use clap::Args;

use super::{PluginError, cluster::Cluster};
use crate::api::WarehouseSyncPolicy;

/// Policies to show.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Name of the policy. Default: all of the namespace
    #[arg(conflicts_with_all = ["all_namespaces", "selector"])]
    pub name: Option<String>,
    /// Policies of all namespaces
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Only policies with these labels, for example team=data,tier!=test
    #[arg(long, short = 'l', value_name = "LABELS")]
    pub selector: Option<String>,
}

impl Selection {
    /// The policy of this name.
    pub(super) fn one(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            all_namespaces: false,
            selector: None,
        }
    }

    /// Reads the policies, sorted by namespace and name.
    pub(super) async fn read(
        &self,
        cluster: &Cluster,
    ) -> Result<Vec<WarehouseSyncPolicy>, PluginError> {
        if let Some(name) = &self.name {
            return Ok(vec![cluster.policy(name).await?]);
        }
        cluster
            .policies(self.all_namespaces, self.selector.as_deref())
            .await
    }

    /// What to print if there are none.
    pub(super) const fn none(&self) -> &'static str {
        match (self.all_namespaces, &self.selector) {
            (_, Some(_)) => "No policies have these labels.\n",
            (true, None) => "No policies found.\n",
            (false, None) => "No policies found in this namespace; -A lists all namespaces.\n",
        }
    }
}
