//! What `approve` and `deny` have in common: which proposal is answered, and where the answer is written.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use kube::ResourceExt;

use super::{
    PluginError,
    annotation::Annotation,
    cluster::{Cluster, ClusterArgs},
    file::PolicyFile,
    print::Format,
    written::print_written,
};
use crate::api::{
    WarehouseSyncPolicy,
    proposal::{Proposal, ProposedAction},
};

/// Which proposal is answered, and where.
#[derive(Debug, Args)]
pub(super) struct AnswerArgs {
    /// Name of the policy, and id of the proposal or its beginning (at least 6 characters). With -f, the name is
    /// optional if the file has only one policy
    #[arg(value_names = ["NAME", "ID"], num_args = 1..=2, required = true)]
    names: Vec<String>,
    /// Write the answer into this YAML file, to commit it to git, instead of into the cluster
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Do not check in the cluster that the proposal waits. Needs the complete id
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
                "name the policy and the id of the proposal, as `kubectl wsp proposals` shows them",
            )),
        }
    }
}

/// Where an answer is written, with the policy as it is in the cluster.
pub(super) enum Destination {
    /// Into the cluster.
    Live(Cluster, WarehouseSyncPolicy),
    /// Into a file; without a policy if the cluster is not read.
    File(PolicyFile, Option<WarehouseSyncPolicy>),
}

impl Destination {
    /// Reads the policy and the file that the command line names.
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
        // The namespace in the file takes precedence over that of the context.
        if let Some(namespace) = file.namespace() {
            namespace.clone_into(&mut cluster.namespace);
        }
        let policy = cluster.policy(file.name()).await?;
        Ok(Self::File(file, Some(policy)))
    }

    /// The policy as it is in the cluster.
    pub(super) fn policy(&self) -> Option<&WarehouseSyncPolicy> {
        match self {
            Self::Live(_, policy) => Some(policy),
            Self::File(_, policy) => policy.as_ref(),
        }
    }

    /// Writes the answer.
    pub(super) async fn write(
        &self,
        annotation: &Annotation,
        format: Format,
    ) -> Result<ExitCode, PluginError> {
        match self {
            Self::Live(cluster, policy) => write_live(cluster, policy, annotation, format).await,
            Self::File(file, _) => write_file(file, annotation, format),
        }
    }
}

fn write_file(
    file: &PolicyFile,
    annotation: &Annotation,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let exists = annotation.is_in(file.annotation(&annotation.key))?;
    if !exists {
        file.add(annotation)?;
    }
    print_written(
        format,
        annotation,
        &file.path().display().to_string(),
        !exists,
    )
}

async fn write_live(
    cluster: &Cluster,
    policy: &WarehouseSyncPolicy,
    annotation: &Annotation,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let place = format!(
        "policy {} in namespace {}",
        policy.name_any(),
        cluster.namespace
    );
    let changed = put(cluster, policy, annotation).await?;
    print_written(format, annotation, &place, changed)
}

/// Writes an answer into the cluster, unless it is there. Returns whether it was written.
pub(super) async fn put(
    cluster: &Cluster,
    policy: &WarehouseSyncPolicy,
    annotation: &Annotation,
) -> Result<bool, PluginError> {
    let current = policy.annotations().get(&annotation.key);
    let exists = annotation.is_in(current.map(String::as_str))?;
    if !exists {
        cluster.annotate(&policy.name_any(), annotation).await?;
    }
    Ok(!exists)
}

/// A complete id, needed where its beginning cannot be looked up.
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
        "{id:?} is not a complete id of a proposal: --offline needs all 29 characters (two letters, a hyphen and 26 more)"
    )))
}

/// True for actions that always delete the table's rows.
pub(super) const fn wipes(action: ProposedAction) -> bool {
    matches!(action, ProposedAction::Resync | ProposedAction::DeleteData)
}

/// What is approved or denied, in a few words.
pub(super) fn in_words(proposal: &Proposal) -> String {
    format!("{} of {}", proposal.action.as_str(), proposal.title())
}
