//! `approve`: yes to a proposal, as oneself, or for git on behalf of somebody.

use std::process::ExitCode;

use clap::Args;
use kube::ResourceExt;

use super::{
    PluginError,
    answer::{AnswerArgs, in_words, live, wipes, write_live},
    cluster::ClusterArgs,
    confirm::confirm,
    find::find,
    mark::Mark,
    print::Format,
    show::summary,
    verify::genuine,
};
use crate::{
    api::{
        WarehouseSyncPolicy,
        names::DENY,
        proposal::{Phase, Proposal},
    },
    cli::complain,
};

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    #[command(flatten)]
    to: AnswerArgs,
    /// Do not ask for the table's name before a Resync or DeleteData
    #[arg(long, short)]
    yes: bool,
}

/// Approves one proposal.
pub(super) async fn approve(
    args: &ApproveArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let (_, id) = args.to.name_and_id()?;
    let (cluster, policy) = live(&args.to, cluster).await?;
    let proposal = approvable(&policy, id)?;
    shown_and_meant(proposal, args.yes)?;
    let mark = Mark::approval(&proposal.id, &cluster.user_name().await?);
    write_live(&cluster, &policy, &mark, format).await
}

/// The proposal, if it waits and is what it says it is.
fn approvable<'a>(policy: &'a WarehouseSyncPolicy, id: &str) -> Result<&'a Proposal, PluginError> {
    let proposal = find(policy, id)?;
    let (id, phase) = (&proposal.id, proposal.phase);
    if phase != Phase::AwaitingApproval {
        let next = if phase.is_terminal() {
            "what is proposed anew has another id, which `kubectl wsp proposals` lists"
        } else {
            "it needs no other approval"
        };
        return Err(PluginError::refused(format!(
            "{id} does not wait for an approval: it is {phase:?}; {next}. Nothing was changed"
        )));
    }
    if let Some(reason) = policy.annotations().get(&format!("{DENY}{id}")) {
        return Err(PluginError::refused(format!(
            "{id} is denied by an annotation ({reason:?}), and a no wins. Nothing was changed"
        )));
    }
    genuine(policy, proposal)?;
    Ok(proposal)
}

/// Shows what is approved, and lets the person say again that they mean it where a table is wiped.
fn shown_and_meant(proposal: &Proposal, yes: bool) -> Result<(), PluginError> {
    // On standard error: standard output says what was written.
    complain(&summary(proposal));
    if wipes(proposal.action) {
        confirm(yes, &in_words(proposal), proposal.title())?;
    }
    Ok(())
}
