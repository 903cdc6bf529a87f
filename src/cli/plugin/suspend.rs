//! `suspend` and `resume`: whether the operator may send calls for a policy.

use std::process::ExitCode;

use clap::Args;
use kube::ResourceExt;
use serde::Serialize;

use super::{
    PluginError,
    cluster::{Cluster, ClusterArgs},
    print::{Format, print},
    words,
};
use crate::{
    api::{WarehouseSyncPolicy, names::PLUGIN_MANAGER},
    cli::print_error,
};

/// Arguments of `suspend` and `resume`.
#[derive(Debug, Args)]
pub(super) struct SuspendArgs {
    /// Names of the policies
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// The result for one policy.
#[derive(Debug, Serialize)]
struct Row {
    namespace: String,
    name: String,
    suspended: bool,
    changed: bool,
}

/// Sets `spec.suspend` of policies.
pub(super) async fn suspend(
    args: &SuspendArgs,
    suspend: bool,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let cluster = cluster.connect().await?;
    let mut rows = Vec::new();
    for name in &args.names {
        let Set { changed, note } = set(&cluster, name, suspend).await?;
        if let Some(note) = note {
            print_error(&format!("note: {note}"));
        }
        rows.push(Row {
            namespace: cluster.namespace.clone(),
            name: name.clone(),
            suspended: suspend,
            changed,
        });
    }
    print(format, &rows, || rows.iter().map(line).collect())
}

/// The outcome of the change of `spec.suspend`.
pub(super) struct Set {
    pub changed: bool,
    /// Who may set it back.
    pub note: Option<String>,
}

/// Sets `spec.suspend` of the policy `name`, unless it has this value.
pub(super) async fn set(cluster: &Cluster, name: &str, suspend: bool) -> Result<Set, PluginError> {
    let policy = cluster.policy(name).await?;
    let changed = policy.spec.suspend != suspend;
    if changed {
        cluster.suspend(name, suspend).await?;
    }
    let other = other_manager(&policy).filter(|_| changed);
    let note = other.map(|manager| {
        format!(
            "{manager} also sets spec.suspend of {name} and may set it back: change it there, too"
        )
    });
    Ok(Set { changed, note })
}

/// Who else sets `spec.suspend`, such as a GitOps tool.
fn other_manager(policy: &WarehouseSyncPolicy) -> Option<&str> {
    let mut entries = policy.managed_fields().iter();
    let other = entries.find(|entry| {
        let fields = entry.fields_v1.as_ref();
        let sets = fields.is_some_and(|fields| !fields.0["f:spec"]["f:suspend"].is_null());
        sets && entry.manager.as_deref() != Some(PLUGIN_MANAGER)
    });
    other.and_then(|entry| entry.manager.as_deref())
}

fn line(row: &Row) -> String {
    let Row {
        namespace,
        name,
        suspended,
        changed,
    } = row;
    let already = if *changed { "" } else { "already " };
    let means = words::suspended(*suspended);
    format!("policy {name} in namespace {namespace} is {already}{means}\n")
}
