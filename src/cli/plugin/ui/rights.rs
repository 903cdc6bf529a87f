//! What the caller may do to a policy, as the API server answers. It only decides which buttons can be pressed: the API
//! server decides again about each request.

use futures::future::join3;

use crate::cli::plugin::cluster::Cluster;

/// Whether a button can be pressed.
pub(super) enum Right {
    /// It can.
    Granted,
    /// It cannot, for this reason.
    Missing(String),
}

impl Right {
    /// Why the button cannot be pressed.
    pub(super) fn missing(&self) -> Option<&str> {
        match self {
            Self::Granted => None,
            Self::Missing(why) => Some(why),
        }
    }
}

/// What the caller may do to a policy.
pub(super) struct Rights {
    /// Approve and deny proposals.
    pub answer: Right,
    /// Change it: suspend, resume, ask for a poll.
    pub change: Right,
}

impl Rights {
    /// Asks the API server for the rights on the policy `name`.
    pub(super) async fn ask(cluster: &Cluster, name: &str) -> Self {
        let may = |verb| cluster.may(verb, name);
        // The admission policies compare with these verbs: an approver has no `update`, an editor no `approve`.
        match join3(may("patch"), may("approve"), may("update")).await {
            (Ok(patch), Ok(approve), Ok(update)) => Self {
                answer: right(patch && approve, "warehousesync-approver", cluster),
                change: right(patch && update, "warehousesync-editor", cluster),
            },
            (patch, approve, update) => {
                let errors = [patch.err(), approve.err(), update.err()];
                let first = errors.into_iter().flatten().next();
                let why = first.map_or_else(String::new, |error| error.to_string());
                Self::unknown(&format!("Your rights are unknown: {why}"))
            }
        }
    }

    /// No button can be pressed, for this reason.
    pub(super) fn unknown(why: &str) -> Self {
        Self {
            answer: Right::Missing(why.to_owned()),
            change: Right::Missing(why.to_owned()),
        }
    }
}

fn right(granted: bool, role: &str, cluster: &Cluster) -> Right {
    if granted {
        return Right::Granted;
    }
    let namespace = &cluster.namespace;
    Right::Missing(format!("You need the role {role} in namespace {namespace}"))
}
