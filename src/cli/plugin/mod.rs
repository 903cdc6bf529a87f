//! `kubectl wsp`: what waits for a person, and the answers.
//!
//! It reads policies and writes annotations, in the cluster or in a file for git. It never speaks to `PostHog`, and of a
//! Secret it reads labels and annotations only. What it writes has no rights of its own: whether an approval counts is decided
//! by the API server and by the operator.

mod answer;
mod approve;
mod cluster;
mod confirm;
mod deny;
mod doctor;
mod error;
pub mod file;
mod find;
mod get;
mod guards;
mod mark;
mod print;
mod proposals;
mod request;
mod show;
mod tell;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use super::output;

pub use error::PluginError;
pub use file::FileError;
pub use mark::SaidOtherwise;

/// Shows what the warehouse-sync-operator proposes, and answers it.
#[derive(Debug, Parser)]
#[command(name = "kubectl-wsp", bin_name = "kubectl wsp", version, about = "Shows what the warehouse-sync-operator proposes, and answers it", long_about = None)]
pub struct PluginCli {
    #[command(flatten)]
    cluster: cluster::ClusterArgs,
    /// How to print
    #[arg(long, short, global = true, value_enum, default_value_t = print::Format::Table)]
    output: print::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Policies: whether PostHog can be read, how many tables are healthy, and how many proposals wait
    Get(get::GetArgs),
    /// What the operator would do once a person has said yes
    Proposals(proposals::ProposalsArgs),
    /// All of one proposal: why, what exactly, what it costs, and what came of it
    Show(find::ProposalArgs),
    /// Check that the id of a proposal stands for what status says of it
    Verify(find::ProposalArgs),
    /// Say yes to a proposal, as yourself
    Approve(approve::ApproveArgs),
    /// Say no to a proposal, with the reason
    Deny(deny::DenyArgs),
    /// Ask for a proposal to resync a table or to delete its data, of which you know that its data is bad
    Request(request::RequestArgs),
    /// Look for what keeps approvals from counting: rights, annotations without effect, Secrets without their label
    Doctor(doctor::DoctorArgs),
    /// Print a script that completes commands and flags: `source <(kubectl-wsp completion bash)`
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

impl PluginCli {
    /// Runs the command that was given.
    pub fn execute(self) -> Result<ExitCode, PluginError> {
        // One request after the other: nothing here needs a second thread.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(PluginError::Runtime)?;
        runtime.block_on(self.command.execute(&self.cluster, self.output))
    }
}

impl Command {
    async fn execute(
        self,
        cluster: &cluster::ClusterArgs,
        format: print::Format,
    ) -> Result<ExitCode, PluginError> {
        match self {
            Self::Get(args) => get::get(&args, cluster, format).await,
            Self::Proposals(args) => proposals::proposals(&args, cluster, format).await,
            Self::Show(args) => show::show(&args, cluster, format).await,
            Self::Verify(args) => verify::verify(&args, cluster, format).await,
            Self::Approve(args) => approve::approve(&args, cluster, format).await,
            Self::Deny(args) => deny::deny(&args, cluster, format).await,
            Self::Request(args) => request::request(&args, cluster, format).await,
            Self::Doctor(args) => doctor::doctor(&args, cluster, format).await,
            Self::Completion { shell } => completion(shell),
        }
    }
}

fn completion(shell: clap_complete::Shell) -> Result<ExitCode, PluginError> {
    let mut script = Vec::new();
    // Under the name of the file: shells complete `kubectl-wsp`, and kubectl its plugins in its own way.
    let mut command = PluginCli::command().bin_name("kubectl-wsp");
    clap_complete::generate(shell, &mut command, "kubectl-wsp", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
