//! Whether the admission policies exist in the cluster, without asking the operator.

use kube::{Api, api::DynamicObject};

use super::cluster::Cluster;
use crate::controller::{
    approval_guard::{resource, shipped},
    timed,
};

/// Whether the admission policies exist. Only the operator checks that they are unchanged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AdmissionPolicies {
    /// All exist.
    Exist,
    /// These do not exist.
    Missing(Vec<String>),
    /// They cannot be read, for this reason.
    Unknown(String),
}

/// Checks that each shipped object exists.
pub(super) async fn find(cluster: &Cluster) -> AdmissionPolicies {
    let mut missing = Vec::new();
    for (kind, name) in shipped() {
        let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource(&kind));
        match api.get_metadata_opt(&name).await {
            Ok(Some(_)) => {}
            Ok(None) => missing.push(format!("{kind} {name}")),
            Err(error) => return AdmissionPolicies::Unknown(timed::reason(&error)),
        }
    }
    if missing.is_empty() {
        AdmissionPolicies::Exist
    } else {
        AdmissionPolicies::Missing(missing)
    }
}
