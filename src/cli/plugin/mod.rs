//! `kubectl wsp`: how policies are, what the operator does, and the answers to its proposals.
//!
//! It reads policies, and writes annotations and `spec.suspend`, in the cluster or in a file for git. Only `tables` reads the
//! data of a Secret and calls `PostHog`. It has no rights of its own: the API server and the operator decide whether an
//! approval is valid.

mod admission_policies;
mod annotation;
mod answer;
mod approve;
mod cluster;
mod complete;
mod confirm;
mod deny;
mod doctor;
mod error;
mod explain;
pub mod file;
mod find;
mod get;
mod history;
mod open;
mod pods;
mod print;
mod proposals;
mod request;
mod select;
mod show;
mod status;
mod subject;
mod suspend;
mod tables;
mod trigger;
mod ui;
mod verify;
mod view;
mod watch;
mod words;
mod written;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use super::output;

pub use annotation::AnnotationConflict;
pub use error::PluginError;
pub use file::FileError;

/// Shows how the syncs of `PostHog` are and what the operator does, and answers its proposals.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-wsp",
    bin_name = "kubectl wsp",
    version,
    about = "Shows how PostHog's data-warehouse syncs are and what the operator does about them, and answers its proposals",
    long_about = None,
    after_help = "Exit codes:\n  \
        0  done\n  \
        1  refused or failed; for `verify`, the id does not match; for `doctor`, something is wrong\n  \
        2  wrong flags\n  \
        3  PostHog could not be read (`tables`), or the output could not be written"
)]
pub struct PluginCli {
    #[command(flatten)]
    cluster: cluster::ClusterArgs,
    /// Output format
    #[arg(long, short, global = true, value_enum, default_value_t = print::Format::Table)]
    output: print::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List policies: whether PostHog can be read, how many tables are healthy, and how many proposals wait
    Get(select::Selection),
    /// Show the state of policies, worst first: health, findings, incidents, held actions, and proposals that wait
    Status(status::StatusArgs),
    /// Show everything about one table or source: findings, incident, held actions, proposals, and its page in PostHog
    Explain(explain::ExplainArgs),
    /// Show what was done and observed, and why, from status and events; newest first
    History(history::HistoryArgs),
    /// Stop every call that changes something in PostHog, also during an incident. Polls and reports continue
    Suspend(suspend::SuspendArgs),
    /// Allow calls again after `suspend`
    Resume(suspend::SuspendArgs),
    /// Ask the operator to poll PostHog now, wait for the result, and show it
    Reconcile(trigger::TriggerArgs),
    /// Let the operator start over where it has given up: attempts are counted from one again, and an open circuit
    /// breaker allows one trial. Waits until this has taken effect
    Reset(trigger::TriggerArgs),
    /// List every table that a policy selects, with its state and cause, read from PostHog with the policy's API key.
    /// You need the right to read its Secret
    Tables(tables::TablesArgs),
    /// Open the page of a table's source in PostHog, or print its URL
    Open(open::OpenArgs),
    /// List proposals: actions that wait for a person's approval
    Proposals(proposals::ProposalsArgs),
    /// Show one proposal: reason, exact calls, cost, and result
    Show(find::ProposalArgs),
    /// Check that the id of a proposal matches what status shows
    Verify(find::ProposalArgs),
    /// Approve a proposal, as yourself
    Approve(approve::ApproveArgs),
    /// Deny a proposal, with a reason
    Deny(deny::DenyArgs),
    /// Request a proposal to resync a table or to delete its data, if you know that its data is wrong
    Request(request::RequestArgs),
    /// Check what makes approvals ineffective: missing rights or admission policies, annotations without effect,
    /// Secrets without their label
    Doctor(select::Selection),
    /// Show policies and proposals in a browser, and answer there: a page on 127.0.0.1 with your own rights
    Ui(ui::UiArgs),
    /// Print a script that completes commands and flags: `source <(kubectl-wsp completion bash)`
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// The command by which the shell asks what may come next. Not part of the interface for people.
const COMPLETE: &str = "__complete";

impl PluginCli {
    /// Reads the arguments of the process; none if they asked for completion, which has been printed then. If they are
    /// wrong, prints an error and exits.
    #[must_use]
    pub fn from_args() -> Option<Self> {
        // Arguments need not be UTF-8.
        let words = std::env::args_os().skip(1);
        let words: Vec<String> = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        if let [first, words @ ..] = words.as_slice()
            && first == COMPLETE
        {
            complete::complete(Self::command(), words);
            return None;
        }
        Some(Self::parse())
    }

    /// Runs the command.
    pub fn execute(self) -> Result<ExitCode, PluginError> {
        // Requests are sent one after the other, so one thread is enough.
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
            Self::Status(args) => status::status(&args, cluster, format).await,
            Self::Explain(args) => explain::explain(&args, cluster, format).await,
            Self::Tables(args) => tables::tables(&args, cluster, format).await,
            Self::Open(args) => open::open(&args, cluster, format).await,
            Self::History(args) => history::history(&args, cluster, format).await,
            Self::Suspend(args) => suspend::suspend(&args, true, cluster, format).await,
            Self::Resume(args) => suspend::suspend(&args, false, cluster, format).await,
            Self::Reconcile(args) => {
                trigger::run(&args, trigger::Trigger::Poll, cluster, format).await
            }
            Self::Reset(args) => {
                trigger::run(&args, trigger::Trigger::Reset, cluster, format).await
            }
            Self::Proposals(args) => proposals::proposals(&args, cluster, format).await,
            Self::Show(args) => show::show(&args, cluster, format).await,
            Self::Verify(args) => verify::verify(&args, cluster, format).await,
            Self::Approve(args) => approve::approve(&args, cluster, format).await,
            Self::Deny(args) => deny::deny(&args, cluster, format).await,
            Self::Request(args) => request::request(&args, cluster, format).await,
            Self::Doctor(args) => doctor::doctor(&args, cluster, format).await,
            Self::Ui(args) => ui::ui(&args, cluster).await,
            Self::Completion { shell } => completion(shell),
        }
    }
}

fn completion(shell: clap_complete::Shell) -> Result<ExitCode, PluginError> {
    let mut script = Vec::new();
    // Under the name of the file: shells complete `kubectl-wsp`; kubectl completes its plugins in another way.
    let mut command = PluginCli::command().bin_name("kubectl-wsp");
    clap_complete::generate(shell, &mut command, "kubectl-wsp", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
