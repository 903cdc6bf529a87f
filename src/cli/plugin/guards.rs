//! Whether the admission policies of approvals are in the cluster, for one who has no operator to ask.

use kube::{Api, api::DynamicObject};

use super::cluster::Cluster;
use crate::controller::{
    approval_guard::{resource, shipped},
    timed,
};

/// How the guard stands, as far as its objects tell: that they are there as they were shipped, only the operator says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Guards {
    /// All are there.
    There,
    /// These are not.
    Missing(Vec<String>),
    /// They cannot be looked at, for this reason.
    Unknown(String),
}

/// Looks for each object that is shipped.
pub(super) async fn look(cluster: &Cluster) -> Guards {
    let mut missing = Vec::new();
    for (kind, name) in shipped() {
        let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource(&kind));
        match api.get_metadata_opt(&name).await {
            Ok(Some(_)) => {}
            Ok(None) => missing.push(format!("{kind} {name}")),
            Err(error) => return Guards::Unknown(timed::reason(&error)),
        }
    }
    if missing.is_empty() {
        Guards::There
    } else {
        Guards::Missing(missing)
    }
}
