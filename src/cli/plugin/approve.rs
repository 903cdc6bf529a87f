//! `approve`: approves a proposal, as oneself, or in a file for git on behalf of someone.

use std::process::ExitCode;

use clap::Args;
use kube::ResourceExt;

use super::{
    PluginError,
    annotation::{Annotation, value},
    answer::{AnswerArgs, Destination, in_words, whole, wipes},
    cluster::ClusterArgs,
    confirm::confirm,
    find::find,
    print::Format,
    show::summary,
    verify::genuine,
};
use crate::{
    api::{
        WarehouseSyncPolicy,
        names::{DENY, ON_BEHALF},
        proposal::{Phase, Proposal, ProposedAction},
    },
    cli::output::print_aside,
};

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    #[command(flatten)]
    to: AnswerArgs,
    /// Do not ask to type the table's name before a Resync or DeleteData
    #[arg(long, short)]
    yes: bool,
    /// With -f: name of the approver. It is not verified, and status says so: anyone who may merge can approve
    #[arg(long, value_name = "WHO", requires = "file", value_parser = value)]
    on_behalf: Option<String>,
}

/// Approves one proposal.
pub(super) async fn approve(
    args: &ApproveArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let (_, id) = args.to.name_and_id()?;
    if args.to.file.is_some() && args.on_behalf.is_none() {
        return Err(approver_missing());
    }
    let destination = Destination::read(&args.to, cluster).await?;
    let id = match destination.policy() {
        Some(policy) => {
            let proposal = approvable(policy, id)?;
            show_and_confirm(proposal, args.yes)?;
            &proposal.id
        }
        None => unconfirmed_id(id, args.yes)?,
    };
    let by = match &destination {
        Destination::Live(cluster, _) => cluster.user_name().await?,
        Destination::File(..) => {
            let who = args.on_behalf.as_deref().ok_or_else(approver_missing)?;
            format!("{ON_BEHALF}{who}")
        }
    };
    destination
        .write(&Annotation::approval(id, &by), format)
        .await
}

fn approver_missing() -> PluginError {
    PluginError::refused(
        "an approval in a file needs --on-behalf WHO: the cluster cannot see from git who approves",
    )
}

/// An id that the cluster has not confirmed. If its action deletes data, it must be typed again.
fn unconfirmed_id(id: &str, yes: bool) -> Result<&str, PluginError> {
    let id = whole(id)?;
    let wiping = ProposedAction::ALL.iter().filter(|action| wipes(**action));
    let code = id.split('-').next().unwrap_or_default();
    if let Some(action) = wiping.into_iter().find(|action| action.code() == code) {
        confirm(yes, action.as_str(), id)?;
    }
    Ok(id)
}

/// The proposal, if it waits and its id matches its content.
pub(super) fn approvable<'a>(
    policy: &'a WarehouseSyncPolicy,
    id: &str,
) -> Result<&'a Proposal, PluginError> {
    let proposal = find(policy, id)?;
    let (id, phase) = (&proposal.id, proposal.phase);
    if phase != Phase::AwaitingApproval {
        let next = if phase.is_terminal() {
            "if it is proposed again, it gets a new id, which `kubectl wsp proposals` lists"
        } else {
            "it needs no further approval"
        };
        return Err(PluginError::refused(format!(
            "{id} does not wait for an approval: it is {phase:?}; {next}. Nothing was changed"
        )));
    }
    if let Some(reason) = policy.annotations().get(&format!("{DENY}{id}")) {
        return Err(PluginError::refused(format!(
            "{id} is denied by an annotation ({reason:?}), and a denial takes precedence. Nothing was changed"
        )));
    }
    genuine(policy, proposal)?;
    Ok(proposal)
}

/// Shows what is approved, and asks for confirmation if it deletes data.
fn show_and_confirm(proposal: &Proposal, yes: bool) -> Result<(), PluginError> {
    // Standard output is for what was written.
    print_aside(&summary(proposal));
    if wipes(proposal.action) {
        confirm(yes, &in_words(proposal), proposal.title())?;
    }
    Ok(())
}
