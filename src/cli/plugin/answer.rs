//! What `approve` and `deny` have in common: which proposal is answered, and where the answer is written.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use kube::ResourceExt;

use super::{
    PluginError,
    cluster::{Cluster, ClusterArgs},
    file::PolicyFile,
    mark::Mark,
    print::Format,
    tell::tell,
};
use crate::api::{
    WarehouseSyncPolicy,
    proposal::{Proposal, ProposedAction},
};

/// Which proposal is answered, and where.
#[derive(Debug, Args)]
pub(super) struct AnswerArgs {
    /// Name of the policy and id of the proposal, or the beginning of that (6 characters or more). With -f the name may be left
    /// out where the file holds one policy
    #[arg(value_names = ["NAME", "ID"], num_args = 1..=2, required = true)]
    names: Vec<String>,
    /// Write the answer into this YAML file, to be committed to git, and not into the cluster
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Do not ask the cluster whether the proposal waits. The id must be whole
    #[arg(long, requires = "file")]
    pub offline: bool,
}

impl AnswerArgs {
    /// The policy's name, if it was given, and the id.
    pub(super) fn name_and_id(&self) -> Result<(Option<&str>, &str), PluginError> {
        match self.names.as_slice() {
            [name, id] => Ok((Some(name), id)),
            [id] if self.file.is_some() => Ok((None, id)),
            _ => Err(PluginError::refused(
                "give the name of the policy and the id of the proposal, as `kubectl wsp proposals` shows them",
            )),
        }
    }
}

/// Where an answer goes, with the policy as the cluster has it.
pub(super) enum Asked {
    /// Into the cluster.
    Live(Cluster, WarehouseSyncPolicy),
    /// Into a file; without a policy if no cluster is to be asked.
    File(PolicyFile, Option<WarehouseSyncPolicy>),
}

impl Asked {
    /// Reads what the command line names.
    pub(super) async fn read(
        args: &AnswerArgs,
        cluster: &ClusterArgs,
    ) -> Result<Self, PluginError> {
        let (name, _) = args.name_and_id()?;
        let Some(path) = &args.file else {
            let cluster = cluster.connect().await?;
            let policy = cluster.policy(name.unwrap_or_default()).await?;
            return Ok(Self::Live(cluster, policy));
        };
        let file = PolicyFile::open(path, name, cluster.namespace())?;
        if args.offline {
            return Ok(Self::File(file, None));
        }
        let mut cluster = cluster.connect().await?;
        // The file knows better than the context where its policy lives.
        if let Some(namespace) = file.namespace() {
            namespace.clone_into(&mut cluster.namespace);
        }
        let policy = cluster.policy(file.name()).await?;
        Ok(Self::File(file, Some(policy)))
    }

    /// The policy as the cluster has it.
    pub(super) fn policy(&self) -> Option<&WarehouseSyncPolicy> {
        match self {
            Self::Live(_, policy) => Some(policy),
            Self::File(_, policy) => policy.as_ref(),
        }
    }

    /// Writes the answer.
    pub(super) async fn write(&self, mark: &Mark, format: Format) -> Result<ExitCode, PluginError> {
        match self {
            Self::Live(cluster, policy) => write_live(cluster, policy, mark, format).await,
            Self::File(file, _) => write_file(file, mark, format),
        }
    }
}

fn write_file(file: &PolicyFile, mark: &Mark, format: Format) -> Result<ExitCode, PluginError> {
    let there = mark.is_in(file.annotation(&mark.annotation))?;
    if !there {
        file.add(mark)?;
    }
    tell(format, mark, &file.path().display().to_string(), !there)
}

async fn write_live(
    cluster: &Cluster,
    policy: &WarehouseSyncPolicy,
    mark: &Mark,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let name = policy.name_any();
    let place = format!("policy {name} in namespace {}", cluster.namespace);
    let said = policy.annotations().get(&mark.annotation);
    let there = mark.is_in(said.map(String::as_str))?;
    if !there {
        cluster.annotate(&name, mark).await?;
    }
    tell(format, mark, &place, !there)
}

/// An id as it must be where nobody can look up which one begins like it.
pub(super) fn whole(id: &str) -> Result<&str, PluginError> {
    let fits = |(code, rest): (&str, &str)| {
        let known = ProposedAction::ALL
            .iter()
            .any(|action| action.code() == code);
        let base32 = |b: u8| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b);
        known && rest.len() == 26 && rest.bytes().all(base32)
    };
    if id.split_once('-').is_some_and(fits) {
        return Ok(id);
    }
    Err(PluginError::refused(format!(
        "{id:?} is no whole id of a proposal: with --offline all 29 characters are needed, two letters, a hyphen and 26 more"
    )))
}

/// True for what wipes the table for certain.
pub(super) const fn wipes(action: ProposedAction) -> bool {
    matches!(action, ProposedAction::Resync | ProposedAction::DeleteData)
}

/// What is approved or denied, in a few words.
pub(super) fn in_words(proposal: &Proposal) -> String {
    format!("{} of {}", proposal.action.as_str(), proposal.title())
}
