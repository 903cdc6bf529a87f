//! `deny`: no to a proposal, with the reason.

use std::process::ExitCode;

use clap::Args;

use super::{
    PluginError,
    answer::{AnswerArgs, live, write_live},
    cluster::ClusterArgs,
    find::find,
    mark::{Mark, value},
    print::Format,
};
use crate::api::{
    WarehouseSyncPolicy,
    proposal::{Phase, Proposal},
};

/// Arguments of `deny`.
#[derive(Debug, Args)]
pub(super) struct DenyArgs {
    #[command(flatten)]
    to: AnswerArgs,
    /// Why: it is shown with the proposal
    #[arg(long, value_name = "TEXT", value_parser = value)]
    reason: String,
}

/// Denies one proposal.
pub(super) async fn deny(
    args: &DenyArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let (_, id) = args.to.name_and_id()?;
    let (cluster, policy) = live(&args.to, cluster).await?;
    let mark = Mark::denial(&deniable(&policy, id)?.id, &args.reason);
    write_live(&cluster, &policy, &mark, format).await
}

/// The proposal, if a no can still stop it.
fn deniable<'a>(policy: &'a WarehouseSyncPolicy, id: &str) -> Result<&'a Proposal, PluginError> {
    let proposal = find(policy, id)?;
    match proposal.phase {
        Phase::AwaitingApproval | Phase::Approved => Ok(proposal),
        phase => Err(PluginError::refused(format!(
            "{} can no longer be denied: it is {phase:?}. Nothing was changed",
            proposal.id
        ))),
    }
}
