//! Finds a proposal by its id or the beginning of its id.

use clap::Args;
use kube::ResourceExt;

use super::PluginError;
use crate::api::{WarehouseSyncPolicy, proposal::Proposal};

/// Shortest accepted beginning of an id: two letters, the hyphen, and three more.
const SHORTEST: usize = 6;

/// A proposal of a policy.
#[derive(Debug, Args)]
pub(super) struct ProposalArgs {
    /// Name of the policy
    pub name: String,
    /// Id of the proposal, or its beginning (at least 6 characters) if no other id has the same
    pub id: String,
}

/// The proposal of `policy` whose id is or begins with `id`.
pub(super) fn find<'a>(
    policy: &'a WarehouseSyncPolicy,
    id: &str,
) -> Result<&'a Proposal, PluginError> {
    let all = || policy.status.iter().flat_map(|status| &status.proposals);
    if let Some(exact) = all().find(|proposal| proposal.id == id) {
        return Ok(exact);
    }
    if id.len() < SHORTEST {
        return Err(PluginError::refused(format!(
            "{id:?} is too short: write at least {SHORTEST} characters of the id"
        )));
    }
    let fitting: Vec<&Proposal> = all().filter(|row| row.id.starts_with(id)).collect();
    match fitting.as_slice() {
        [one] => Ok(one),
        [] => Err(unknown(policy, id)),
        several => {
            let ids: Vec<&str> = several.iter().map(|row| row.id.as_str()).collect();
            Err(PluginError::refused(format!(
                "{id:?} matches several proposals: {}",
                ids.join(", ")
            )))
        }
    }
}

fn unknown(policy: &WarehouseSyncPolicy, id: &str) -> PluginError {
    let name = policy.name_any();
    PluginError::refused(format!(
        "policy {name} has no proposal {id:?}; a renewed proposal has a new id. `kubectl wsp proposals {name}` lists the proposals that wait, and with --all the others"
    ))
}
