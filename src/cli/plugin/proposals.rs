//! `proposals`: lists proposals that wait for a person, or all.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;

use super::{
    PluginError,
    cluster::ClusterArgs,
    print::{Format, print, table},
    select::Selection,
    view,
};
use crate::api::{WarehouseSyncPolicy, proposal::Proposal};

/// Arguments of `proposals`.
#[derive(Debug, Args)]
pub(super) struct ProposalsArgs {
    #[command(flatten)]
    of: Selection,
    /// Also list proposals that no longer wait
    #[arg(long)]
    all: bool,
}

/// A proposal with its policy.
#[derive(Debug, Serialize)]
struct Row {
    namespace: String,
    policy: String,
    proposal: Proposal,
}

/// Lists proposals.
pub(super) async fn proposals(
    args: &ProposalsArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let cluster = cluster.connect().await?;
    let policies = args.of.read(&cluster).await?;
    let rows: Vec<Row> = policies.iter().flat_map(rows).collect();
    let shown = rows.into_iter();
    let shown: Vec<Row> = shown
        .filter(|row| args.all || row.proposal.is_open())
        .collect();
    print(format, &shown, || text(&shown, args.all, Timestamp::now()))
}

fn rows(policy: &WarehouseSyncPolicy) -> Vec<Row> {
    let status = policy.status.iter();
    status
        .flat_map(|status| &status.proposals)
        .map(|proposal| Row {
            namespace: policy.namespace().unwrap_or_default(),
            policy: policy.name_any(),
            proposal: proposal.clone(),
        })
        .collect()
}

fn text(rows: &[Row], all: bool, now: Timestamp) -> String {
    if rows.is_empty() {
        return if all {
            "No proposals found.\n".to_owned()
        } else {
            "No proposal waits for approval; --all lists earlier ones.\n".to_owned()
        };
    }
    let cells: Vec<_> = rows.iter().map(|row| cells(row, now)).collect();
    table(
        [
            "NAMESPACE",
            "POLICY",
            "ID",
            "ACTION",
            "OF",
            "PHASE",
            "LOSES DATA",
            "EXPIRES",
        ],
        &cells,
    )
}

fn cells(row: &Row, now: Timestamp) -> [String; 8] {
    let proposal = &row.proposal;
    [
        row.namespace.clone(),
        row.policy.clone(),
        proposal.id.clone(),
        proposal.action.as_str().to_owned(),
        proposal.title().to_owned(),
        format!("{:?}", proposal.phase),
        format!("{:?}", proposal.impact.loses_data),
        if proposal.is_open() {
            view::by(proposal.expires_at, now)
        } else {
            String::new()
        },
    ]
}
