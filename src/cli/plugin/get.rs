//! `get`: policies, with the columns of `kubectl get wsp` that matter for approvals.

use std::process::ExitCode;

use kube::ResourceExt;
use serde::Serialize;

use super::{
    PluginError,
    cluster::ClusterArgs,
    print::{Format, print, table},
    select::Selection,
};
use crate::api::{WarehouseSyncPolicy, conditions::READY, policy::Mode};

/// What is shown of a policy.
#[derive(Debug, Serialize)]
struct Row {
    namespace: String,
    name: String,
    ready: String,
    healthy: String,
    pending: i64,
    mode: Mode,
}

/// Lists policies.
pub(super) async fn get(
    args: &Selection,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let cluster = cluster.connect().await?;
    let policies = args.read(&cluster).await?;
    let rows: Vec<Row> = policies.iter().map(row).collect();
    print(format, &rows, || {
        if rows.is_empty() {
            return args.none().to_owned();
        }
        text(&rows)
    })
}

fn row(policy: &WarehouseSyncPolicy) -> Row {
    let status = policy.status.as_ref();
    let ready = status.and_then(|status| status.condition(READY));
    let summary = status.and_then(|status| status.summary.as_ref());
    Row {
        namespace: policy.namespace().unwrap_or_default(),
        name: policy.name_any(),
        ready: ready.map_or_else(|| "Unknown".to_owned(), |ready| ready.status.clone()),
        healthy: summary.map_or_else(String::new, |summary| summary.healthy_of.clone()),
        pending: summary.map_or(0, |summary| summary.pending_approval),
        mode: policy.spec.mode,
    }
}

fn text(rows: &[Row]) -> String {
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            [
                row.namespace.clone(),
                row.name.clone(),
                row.ready.clone(),
                row.healthy.clone(),
                row.pending.to_string(),
                format!("{:?}", row.mode),
            ]
        })
        .collect();
    table(
        ["NAMESPACE", "NAME", "READY", "HEALTHY", "PENDING", "MODE"],
        &cells,
    )
}
