//! `deny`: denies a proposal, with a reason.

use std::process::ExitCode;

use clap::Args;

use super::{
    PluginError,
    annotation::{Annotation, value},
    answer::{AnswerArgs, Destination, whole},
    cluster::ClusterArgs,
    find::find,
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
    /// Reason, shown with the proposal
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
    let destination = Destination::read(&args.to, cluster).await?;
    let id = match destination.policy() {
        Some(policy) => &deniable(policy, id)?.id,
        None => whole(id)?,
    };
    destination
        .write(&Annotation::denial(id, &args.reason), format)
        .await
}

/// The proposal, if a denial can still stop it.
pub(super) fn deniable<'a>(
    policy: &'a WarehouseSyncPolicy,
    id: &str,
) -> Result<&'a Proposal, PluginError> {
    let proposal = find(policy, id)?;
    match proposal.phase {
        Phase::AwaitingApproval | Phase::Approved => Ok(proposal),
        phase => Err(PluginError::refused(format!(
            "{} can no longer be denied: it is {phase:?}. Nothing was changed",
            proposal.id
        ))),
    }
}
